//! The users while the daemon runs: their passwords are checked here, away from the reactor and few at a time, and who is
//! unknown costs as much as who is known.
//!
//! Each check computes one argon2id hash and one PBKDF2, whoever it is for: what is not the user's is a decoy's. Not here:
//! slowing who fails (`reception`), when the file is read again (`daemon`).

use super::password::{Form, ITERATIONS, Kept, random};
use super::{Book, key};
use anyhow::{Context as _, Result};
use aws_lc_rs::hmac;
use posthaste_io::Task;
use posthaste_mail::Secret;
use posthaste_reception::{Account, Checked, FailedLogin, Users};
use posthaste_smtp::sasl::scram::{KEY, Key, Stored};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Semaphore;

/// Passwords checked at the same time, at most, and not more than there are cores: each takes 19 MiB and a core for a while.
const MOST_AT_ONCE: usize = 4;
/// Those that wait for their turn; more are told to come back.
const MOST_WAITING: usize = 64;
/// The file of the secret that salts of unknown users are made of, in the folder of all data.
const SECRET: &str = "users.secret";
/// Octets of a salt that is made up: as many as those of users have.
const SALT: usize = 16;

/// The users in force.
pub(crate) struct Keeper {
    known: RwLock<Arc<Known>>,
    secret: hmac::Key,
    decoys: Arc<Decoys>,
    turns: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    work: Arc<Work>,
}

#[derive(Default)]
struct Known {
    /// Those who are not disabled.
    users: BTreeMap<String, (Arc<Account>, Kept)>,
    has_keys: bool,
}

/// What is checked instead of what a user does not have.
struct Decoys {
    argon2id: Kept,
    scram: Kept,
}

/// How often was computed.
#[derive(Default)]
struct Work {
    argon2id: AtomicU64,
    scram: AtomicU64,
}

impl Keeper {
    /// With nobody yet. `data`: where its secret is kept.
    pub(crate) fn new(data: &Path) -> Result<Self> {
        let nobody = Secret::new(random::<KEY>()?);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            known: RwLock::default(),
            secret: hmac::Key::new(hmac::HMAC_SHA256, secret(data)?.expose()),
            decoys: Arc::new(Decoys {
                argon2id: Kept::of(&nobody, Form::Argon2id)?,
                scram: Kept::of(&nobody, Form::Scram)?,
            }),
            turns: Arc::new(Semaphore::new(cores.min(MOST_AT_ONCE))),
            waiting: Arc::default(),
            work: Arc::default(),
        })
    }

    /// These are the users from now on. Answers how many may log in.
    pub(crate) fn take(&self, book: &Book) -> usize {
        let enabled = book.users().filter(|user| !user.disabled);
        let one = |user: &super::User| {
            (key(&user.name), (Arc::new(user.account()), user.password.clone()))
        };
        let users: BTreeMap<_, _> = enabled.map(one).collect();
        let has_keys = users.values().any(|(_, kept)| kept.form() == Form::Scram);
        let count = users.len();
        let known = Arc::new(Known { users, has_keys });
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        count
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Octets that nobody can tell from random ones, the same for a name each time.
    fn made_up(&self, what: &str, name: &str) -> [u8; KEY] {
        let tag = hmac::sign(&self.secret, format!("{what} {}", key(name)).as_bytes());
        tag.as_ref().try_into().expect("HMAC-SHA-256 has 32 octets")
    }
}

impl Users for Keeper {
    fn has_keys(&self) -> bool {
        self.known().has_keys
    }

    fn check(&self, name: &str, password: Secret) -> Task<'static, Checked> {
        let found = self.known().users.get(&key(name)).cloned();
        let (decoys, work) = (Arc::clone(&self.decoys), Arc::clone(&self.work));
        let (turns, waiting) = (Arc::clone(&self.turns), Arc::clone(&self.waiting));
        Box::pin(async move {
            let Some(place) = Waiting::take(waiting) else { return Checked::Busy };
            let Ok(turn) = turns.acquire_owned().await else { return Checked::Busy };
            drop(place);
            let checked = tokio::task::spawn_blocking(move || {
                let right = prove(found.as_ref().map(|(_, kept)| kept), &password, &decoys, &work);
                drop(turn);
                found.filter(|_| right).map(|(account, _)| account)
            });
            match checked.await {
                Ok(Some(account)) => Checked::Right(account),
                Ok(None) => Checked::Wrong,
                Err(_) => Checked::Busy,
            }
        })
    }

    fn keys(&self, name: &str) -> Stored {
        if let Some((_, Kept::Scram(keys))) = self.known().users.get(&key(name)) {
            return keys.clone();
        }
        Stored {
            iterations: ITERATIONS,
            salt: self.made_up("salt", name)[..SALT].to_vec(),
            stored: Key::new(self.made_up("stored", name)),
            server: Key::new(self.made_up("server", name)),
        }
    }

    fn with_keys(&self, name: &str) -> Option<Arc<Account>> {
        let known = self.known();
        let (account, kept) = known.users.get(&key(name))?;
        (kept.form() == Form::Scram).then(|| Arc::clone(account))
    }

    fn tell(&self, failed: &FailedLogin<'_>) {
        tracing::warn!("{failed}");
    }
}

/// One hash of each form is computed, whoever it is.
fn prove(kept: Option<&Kept>, password: &Secret, decoys: &Decoys, work: &Work) -> bool {
    let of = |form| kept.filter(|kept| kept.form() == form);
    let (hash, keys) = (of(Form::Argon2id), of(Form::Scram));
    let by_hash = hash.unwrap_or(&decoys.argon2id).is_of(password);
    work.argon2id.fetch_add(1, Ordering::Relaxed);
    let by_keys = keys.unwrap_or(&decoys.scram).is_of(password);
    work.scram.fetch_add(1, Ordering::Relaxed);
    (by_hash && hash.is_some()) | (by_keys && keys.is_some())
}

/// One who waits.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn take(count: Arc<AtomicUsize>) -> Option<Self> {
        let free = |waiting| (waiting < MOST_WAITING).then_some(waiting + 1);
        let taken = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free);
        taken.is_ok().then(|| Self(count))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Made at the first start. Whoever knows it can tell salts that are made up from others, and nothing else.
fn secret(data: &Path) -> Result<Secret> {
    let path = data.join(SECRET);
    let told = || format!("cannot keep {}", path.display());
    match std::fs::read(&path) {
        Ok(octets) if octets.len() == KEY => return Ok(Secret::new(octets)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(told);
        }
        _ => {}
    }
    let octets = random::<KEY>()?;
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .with_context(told)?;
    file.write_all(&octets).and_then(|()| file.sync_all()).with_context(told)?;
    Ok(Secret::new(octets))
}

#[cfg(test)]
mod tests {
    use super::super::User;
    use super::*;

    fn keeper(folder: &Path) -> Keeper {
        let keeper = Keeper::new(folder).unwrap();
        let mut book = Book::default();
        let kept = |form| Kept::of(&Secret::new("open sesame"), form).unwrap();
        book.add(User::new("ann@example.org", kept(Form::Argon2id)));
        book.add(User::new("bob", kept(Form::Scram)));
        book.add(User { disabled: true, ..User::new("carl", kept(Form::Argon2id)) });
        assert_eq!(keeper.take(&book), 2);
        keeper
    }

    #[tokio::test]
    async fn known_or_not_the_same_is_computed() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = keeper(folder.path());
        let work = || {
            let count = |work: &AtomicU64| work.load(Ordering::Relaxed);
            (count(&keeper.work.argon2id), count(&keeper.work.scram))
        };
        for (number, (name, password, right)) in [
            ("ann@example.org", "open sesame", true),
            ("ANN@Example.org", "open sesame", true),
            ("ann@example.org", "Open sesame", false),
            ("bob", "open sesame", true),
            ("bob", "wrong", false),
            ("carl", "open sesame", false),
            ("nobody", "open sesame", false),
        ]
        .into_iter()
        .enumerate()
        {
            let checked = keeper.check(name, Secret::new(password)).await;
            assert_eq!(matches!(checked, Checked::Right(_)), right, "{name} {password}");
            let done = number as u64 + 1;
            assert_eq!(work(), (done, done), "{name}: one of each");
        }
    }

    #[test]
    fn keys_of_unknown_users_are_made_up_and_stay_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let first = keeper(folder.path());
        assert!(first.has_keys());
        let told = |keeper: &Keeper, name: &str| {
            let keys = keeper.keys(name);
            (keys.iterations, keys.salt.clone(), keys.text())
        };
        let again = keeper(folder.path());
        for name in ["nobody", "ann@example.org", "carl"] {
            assert_eq!(told(&first, name), told(&again, name), "{name}: also after a restart");
            assert_eq!(told(&first, name), told(&first, &name.to_uppercase()), "{name}");
            assert!(first.with_keys(name).is_none(), "{name}");
        }
        let (iterations, salt, _) = told(&first, "nobody");
        let (of_bob, bobs, _) = told(&first, "bob");
        assert_eq!((iterations, salt.len()), (of_bob, bobs.len()), "nothing tells them apart");
        assert_ne!(told(&first, "nobody"), told(&first, "nobody2"));
        assert_eq!(first.with_keys("BOB").unwrap().name, "bob");
        let other = tempfile::tempdir().unwrap();
        assert_ne!(told(&keeper(other.path()), "nobody"), told(&first, "nobody"));
    }

    #[tokio::test]
    async fn many_at_once_wait_their_turn_and_too_many_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = keeper(folder.path());
        let turns = Arc::clone(&keeper.turns);
        let all =
            turns.acquire_many(u32::try_from(turns.available_permits()).unwrap()).await.unwrap();
        let checks: Vec<_> = (0..=MOST_WAITING)
            .map(|_| tokio::spawn(keeper.check("nobody", Secret::new("x"))))
            .collect();
        let mut checks = checks.into_iter();
        for check in checks.by_ref().skip(MOST_WAITING) {
            assert_eq!(check.await.unwrap(), Checked::Busy);
        }
        drop(all);
        drop(checks);
    }
}
