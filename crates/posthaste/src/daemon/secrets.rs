//! The passwords and tokens with which we log in at smarthosts: from a file, a variable or a token command.
//!
//! A file is read at each login, a variable does not change, a token is kept for a while. Not here: running commands
//! (`token_broker`), which routes log in (`config`).

use super::privileges;
use crate::token_broker::{Broker, one_line};
use posthaste_delivery::Secrets;
use posthaste_evidence::SecretFault;
use posthaste_io::Task;
use posthaste_mail::{MAX_SECRET, Secret};
use posthaste_route::SecretSource;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a token is used before it is asked for again.
const TOKEN_LIFE: Duration = Duration::from_secs(5 * 60);
/// The longest that reading a file may take; commands have a limit of their own.
const LONGEST_READ: Duration = Duration::from_secs(10);

/// Where delivery gets them.
pub(super) struct Vault {
    broker: Option<Arc<Broker>>,
    tokens: Mutex<BTreeMap<Vec<String>, Token>>,
    /// One command runs at a time: who waited finds its token.
    flight: tokio::sync::Mutex<()>,
}

struct Token {
    secret: Secret,
    until: Instant,
}

impl Vault {
    pub(super) fn new(broker: Option<Broker>) -> Self {
        let broker = broker.map(Arc::new);
        Self { broker, tokens: Mutex::default(), flight: tokio::sync::Mutex::default() }
    }

    /// Forgets all tokens: the settings were read again.
    pub(super) fn forget(&self) {
        self.tokens().clear();
    }

    /// Commands are fixed when the daemon starts.
    pub(super) fn can_run(&self, command: &[String]) -> bool {
        self.broker.as_ref().is_some_and(|broker| broker.knows(command))
    }

    async fn token(&self, command: &[String]) -> Result<Secret, SecretFault> {
        let _alone = self.flight.lock().await;
        if let Some(token) = self.tokens().get(command).filter(|t| Instant::now() < t.until) {
            return Ok(token.secret.clone());
        }
        let unknown = SecretFault::NotRun(rustix::io::Errno::PERM.raw_os_error());
        let broker = Arc::clone(self.broker.as_ref().ok_or(unknown)?);
        let words = command.to_vec();
        let asked = tokio::task::spawn_blocking(move || broker.token(&words)).await;
        let secret = asked.unwrap_or(Err(unknown))?;
        let token = Token { secret: secret.clone(), until: Instant::now() + TOKEN_LIFE };
        self.tokens().insert(command.to_vec(), token);
        Ok(secret)
    }

    fn tokens(&self) -> MutexGuard<'_, BTreeMap<Vec<String>, Token>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
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
                    one_line(Secret::new(value.into_vec()))
                }
                SecretSource::Command(words) => self.token(words).await,
            }
        })
    }

    fn refused(&self, source: &SecretSource, secret: &Secret) {
        let SecretSource::Command(words) = source else { return };
        let mut tokens = self.tokens();
        // Another connection may have got a new one meanwhile.
        if tokens.get(words).is_some_and(|token| token.secret == *secret) {
            tokens.remove(words);
        }
    }
}

fn read(path: &Path) -> Result<Secret, SecretFault> {
    let unreadable = |error: std::io::Error| {
        let number = error.raw_os_error().unwrap_or(0);
        let told = privileges::explain(path, error);
        tracing::warn!(file = %path.display(), "a password cannot be read: {told}");
        SecretFault::Unreadable(number)
    };
    let most = u64::try_from(MAX_SECRET).unwrap_or(u64::MAX) + 1;
    let mut octets = Vec::with_capacity(MAX_SECRET + 1);
    let file = File::open(path).map_err(unreadable)?;
    file.take(most).read_to_end(&mut octets).map_err(unreadable)?;
    one_line(Secret::new(octets))
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
        let command = SecretSource::Command(vec!["/bin/echo".into()]);
        assert_eq!(vault.secret(&command).await, Err(SecretFault::NotRun(1)));
    }
}
