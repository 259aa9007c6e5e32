//! The passwords and tokens with which we log in at smarthosts: from a file, a variable or a token command.
//!
//! A file is read at each login, a variable does not change, a token is kept for a while. Not here: running commands
//! (`token_broker`), which routes log in (`config`).

use crate::token_broker::{Broker, one_line};
use posthaste_delivery::Secrets;
use posthaste_evidence::SecretFault;
use posthaste_io::Task;
use posthaste_mail::{MAX_SECRET, Secret};
use posthaste_route::SecretSource;
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long a token is used before it is asked for again.
const TOKEN_LIFE: Duration = Duration::from_secs(5 * 60);
/// The longest that reading a file may take; commands have a limit of their own.
const LONGEST_READ: Duration = Duration::from_secs(10);

/// Where delivery gets them.
pub(super) struct Vault {
    broker: Option<Arc<Broker>>,
    tokens: Arc<Tokens>,
    flights: Flights,
}

/// Each command runs once at a time, whoever waits for it; another one does not wait for it. As many as the settings name.
#[derive(Default)]
struct Flights(Mutex<BTreeMap<Vec<String>, Arc<tokio::sync::Mutex<()>>>>);

impl Flights {
    fn of(&self, command: &[String]) -> Arc<tokio::sync::Mutex<()>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(command.to_vec()).or_default())
    }
}

/// What each command came to the last time.
#[derive(Default)]
struct Tokens(Mutex<BTreeMap<Vec<String>, Token>>);

struct Token {
    result: Result<Secret, SecretFault>,
    since: Instant,
}

impl Vault {
    pub(super) fn new(broker: Option<Broker>) -> Self {
        let broker = broker.map(Arc::new);
        Self { broker, tokens: Arc::default(), flights: Flights::default() }
    }

    /// Forgets all tokens: the settings were read again.
    pub(super) fn forget(&self) {
        self.tokens.held().clear();
    }

    /// Commands are fixed when the daemon starts.
    pub(super) fn can_run(&self, command: &[String]) -> bool {
        self.broker.as_ref().is_some_and(|broker| broker.knows(command))
    }

    async fn token(&self, command: &[String]) -> Result<Secret, SecretFault> {
        let asked = Instant::now();
        let alone = self.flights.of(command).lock_owned().await;
        if let Some(result) = self.tokens.known(command, asked) {
            return result;
        }
        let unknown = SecretFault::NotRun(rustix::io::Errno::PERM.raw_os_error());
        let broker = Arc::clone(self.broker.as_ref().ok_or(unknown)?);
        let (tokens, words) = (Arc::clone(&self.tokens), command.to_vec());
        // Who asked may not wait so long; the command runs all the same, and no other one beside it.
        let run = tokio::task::spawn_blocking(move || {
            let result = broker.token(&words);
            let token = Token { result: result.clone(), since: Instant::now() };
            tokens.held().insert(words, token);
            drop(alone);
            result
        });
        run.await.unwrap_or(Err(unknown))
    }
}

impl Tokens {
    /// What need not be asked for again by one who has waited since `asked`: a token for a while, and how the command failed
    /// meanwhile.
    fn known(&self, command: &[String], asked: Instant) -> Option<Result<Secret, SecretFault>> {
        let held = self.held();
        let token = held.get(command)?;
        let is_known = match token.result {
            Ok(_) => token.since.elapsed() < TOKEN_LIFE,
            Err(_) => token.since >= asked,
        };
        is_known.then(|| token.result.clone())
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Vec<String>, Token>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Secrets for Vault {
    fn secret<'a>(&'a self, source: &'a SecretSource) -> Task<'a, Result<Secret, SecretFault>> {
        Box::pin(async move {
            match source {
                SecretSource::File(path) => {
                    let path = path.clone();
                    let read = tokio::task::spawn_blocking(move || read(&path));
                    let read = tokio::time::timeout(LONGEST_READ, read).await;
                    read.map_err(|_| SecretFault::TimedOut)?.unwrap_or(Err(SecretFault::TimedOut))
                }
                SecretSource::Environment(name) => {
                    let value = std::env::var_os(name).ok_or(SecretFault::Unset)?;
                    one_line(&Zeroizing::new(value.into_vec()))
                }
                SecretSource::Command(words) => self.token(words).await,
            }
        })
    }

    fn refused(&self, source: &SecretSource, secret: &Secret) {
        let SecretSource::Command(words) = source else { return };
        let mut tokens = self.tokens.held();
        // Another connection may have got a new one meanwhile.
        if tokens.get(words).is_some_and(|token| token.result.as_ref() == Ok(secret)) {
            tokens.remove(words);
        }
    }
}

fn read(path: &Path) -> Result<Secret, SecretFault> {
    let unreadable = |error: std::io::Error| {
        let number = error.raw_os_error().unwrap_or(0);
        tracing::warn!(file = %path.display(), "a password cannot be read: {error}");
        SecretFault::Unreadable(number)
    };
    let most = u64::try_from(MAX_SECRET).unwrap_or(u64::MAX) + 1;
    let mut octets = Zeroizing::new(Vec::with_capacity(MAX_SECRET + 1));
    let file = crate::regular::open(path).map_err(unreadable)?;
    file.take(most).read_to_end(&mut octets).map_err(unreadable)?;
    one_line(&octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_again_and_says_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let (vault, source) = (Vault::new(None), SecretSource::File(path.clone()));
        assert_eq!(vault.secret(&source).await, Err(SecretFault::Unreadable(2)));
        for (content, expected) in [
            ("open sesame\n", Ok("open sesame")),
            ("another \r\n", Ok("another ")),
            ("\n", Err(SecretFault::Empty)),
        ] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(vault.secret(&source).await, expected.map(Secret::new), "{content:?}");
        }
        std::fs::write(&path, vec![b'x'; MAX_SECRET + 1]).unwrap();
        assert_eq!(vault.secret(&source).await, Err(SecretFault::TooLong));
        let unset = SecretSource::Environment("POSTHASTE_NO_SUCH_VARIABLE".into());
        assert_eq!(vault.secret(&unset).await, Err(SecretFault::Unset));
        let command = SecretSource::Command(words());
        assert_eq!(vault.secret(&command).await, Err(SecretFault::NotRun(1)));
    }

    #[tokio::test]
    async fn a_pipe_is_no_password_and_one_command_does_not_wait_for_another() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let vault = Vault::new(None);
        let soon = Duration::from_secs(5);
        let asked = SecretSource::File(pipe);
        let told = tokio::time::timeout(soon, vault.secret(&asked)).await;
        assert_eq!(told.unwrap(), Err(SecretFault::Unreadable(0)));
        let hangs = vault.flights.of(&["/bin/hangs".into()]).lock_owned().await;
        let asked = SecretSource::Command(words());
        let told = tokio::time::timeout(soon, vault.secret(&asked)).await;
        assert_eq!(told.unwrap(), Err(SecretFault::NotRun(1)));
        drop(hangs);
    }

    fn words() -> Vec<String> {
        vec!["/bin/echo".into()]
    }

    #[test]
    fn a_token_is_kept_and_a_failure_only_for_those_who_waited_for_it() {
        let (tokens, before) = (Tokens::default(), Instant::now());
        assert_eq!(tokens.known(&words(), before), None);
        for (result, for_those_who_waited, for_others) in
            [(Ok(Secret::new("x")), true, true), (Err(SecretFault::TimedOut), true, false)]
        {
            let since = Instant::now();
            tokens.held().insert(words(), Token { result: result.clone(), since });
            std::thread::sleep(Duration::from_millis(1));
            for (asked, known) in [(before, for_those_who_waited), (Instant::now(), for_others)] {
                assert_eq!(tokens.known(&words(), asked), known.then(|| result.clone()));
            }
        }
    }
}
