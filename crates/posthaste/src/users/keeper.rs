//! The users while the daemon runs: their passwords are checked here, away from the reactor and few at a time, and who is
//! unknown costs as much as who is known.
//!
//! Each check computes one argon2id hash and one PBKDF2, whoever it is for: what is not the user's is a decoy's. Not here:
//! slowing who fails (`reception`), when the file is read again (`daemon`).

use super::decoys::{Decoys, MadeUp};
use super::password::{Form, Kept, random};
use super::{Book, key};
use anyhow::{Context as _, Result};
use posthaste_io::Task;
use posthaste_io_tokio::Folder;
use posthaste_mail::Secret;
use posthaste_reception::{Account, Checked, FailedLogin, Standing, Users};
use posthaste_smtp::sasl::scram::{KEY, Stored};
use std::collections::BTreeMap;
use std::io::{self, Write as _};
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

/// The users in force.
pub(crate) struct Keeper {
    known: RwLock<Arc<Known>>,
    /// One more after each change of them.
    generation: AtomicU64,
    made_up: MadeUp,
    turns: Arc<Semaphore>,
    at_once: usize,
    waiting: Arc<AtomicUsize>,
    work: Arc<Work>,
}

#[derive(Default)]
struct Known {
    /// Those who are not disabled.
    users: BTreeMap<String, (Arc<Account>, Kept)>,
    has_keys: bool,
    /// What is checked instead of what a user does not have.
    decoys: Decoys,
    /// So many passwords were seen.
    passwords: u64,
}

/// What one password is checked against.
struct Against {
    kept: Option<Kept>,
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
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            known: RwLock::default(),
            generation: AtomicU64::new(0),
            made_up: MadeUp::new(&secret(data)?),
            turns: Arc::new(Semaphore::new(cores.min(MOST_AT_ONCE))),
            at_once: cores.min(MOST_AT_ONCE),
            waiting: Arc::default(),
            work: Arc::default(),
        })
    }

    /// Somebody may log in.
    pub(crate) fn has_users(&self) -> bool {
        !self.known().users.is_empty()
    }

    /// These are the users from now on. Answers how many may log in.
    pub(crate) fn take(&self, book: &Book) -> usize {
        let before = self.known();
        let mut passwords = before.passwords;
        let mut users = BTreeMap::new();
        for user in book.users().filter(|user| !user.disabled) {
            let name = key(&user.name);
            let same = before.users.get(&name).filter(|(_, kept)| *kept == user.password);
            let password = same.map(|(account, _)| account.password).unwrap_or_else(|| {
                passwords += 1;
                passwords
            });
            users.insert(name, (Arc::new(user.account(password)), user.password.clone()));
        }
        let has_keys = users.values().any(|(_, kept)| kept.form() == Form::Scram);
        let count = users.len();
        let decoys = Decoys::of(users.values().map(|(_, kept)| kept));
        let known = Arc::new(Known { users, has_keys, decoys, passwords });
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        self.generation.fetch_add(1, Ordering::Release);
        count
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Users for Keeper {
    fn has_keys(&self) -> bool {
        self.known().has_keys
    }

    fn check(&self, name: &str, password: Secret) -> Task<'static, Checked> {
        let known = self.known();
        let (account, kept) = known.users.get(&key(name)).cloned().unzip();
        let argon2id = known.decoys.argon2id(name, &self.made_up);
        let scram = Kept::Scram(known.decoys.keys(name, &self.made_up));
        let (against, work) = (Against { kept, argon2id, scram }, Arc::clone(&self.work));
        let (turns, waiting) = (Arc::clone(&self.turns), Arc::clone(&self.waiting));
        Box::pin(async move {
            let Some(place) = Waiting::take(waiting) else { return Checked::Busy };
            let Ok(turn) = turns.acquire_owned().await else { return Checked::Busy };
            drop(place);
            let checked = tokio::task::spawn_blocking(move || {
                let right = against.prove(&password, &work);
                drop(turn);
                account.filter(|_| right)
            });
            match checked.await {
                Ok(Some(account)) => Checked::Right(account),
                Ok(None) => Checked::Wrong,
                Err(_) => Checked::Busy,
            }
        })
    }

    fn checks_at_once(&self) -> usize {
        self.at_once
    }

    fn keys(&self, name: &str) -> Stored {
        let known = self.known();
        match known.users.get(&key(name)) {
            Some((_, Kept::Scram(keys))) => keys.clone(),
            _ => known.decoys.keys(name, &self.made_up),
        }
    }

    fn with_keys(&self, name: &str) -> Option<Arc<Account>> {
        let known = self.known();
        let (account, kept) = known.users.get(&key(name))?;
        (kept.form() == Form::Scram).then(|| Arc::clone(account))
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn standing(&self, account: &Account) -> Standing {
        let known = self.known();
        let now = known.users.get(&key(&account.name)).map(|(now, _)| now);
        let same = now.filter(|now| now.password == account.password);
        same.map_or(Standing::Gone, |now| Standing::Good(Arc::clone(now)))
    }

    fn tell(&self, failed: &FailedLogin<'_>) {
        tracing::warn!("{failed}");
    }
}

impl Against {
    /// One hash of each form is computed, whoever it is.
    fn prove(&self, password: &Secret, work: &Work) -> bool {
        let of = |form| self.kept.as_ref().filter(|kept| kept.form() == form);
        let (hash, keys) = (of(Form::Argon2id), of(Form::Scram));
        let by_hash = hash.unwrap_or(&self.argon2id).is_of(password);
        work.argon2id.fetch_add(1, Ordering::Relaxed);
        let by_keys = keys.unwrap_or(&self.scram).is_of(password);
        work.scram.fetch_add(1, Ordering::Relaxed);
        (by_hash && hash.is_some()) | (by_keys && keys.is_some())
    }
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
    let keep = || -> io::Result<()> {
        let (folder, name) = Folder::of_file(&path)?;
        let mut file = folder.fresh(&name)?;
        file.write_all(&octets)?;
        file.sync_all()
    };
    keep().with_context(told)?;
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

    #[test]
    fn who_has_logged_in_stands_as_long_as_he_has_this_password() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = keeper(folder.path());
        let account = keeper.with_keys("bob").unwrap();
        let bob = || User::new("bob", keeper.known().users["bob"].1.clone());
        let after = |user: Option<User>| {
            let before = keeper.generation();
            let mut book = Book::default();
            user.into_iter().for_each(|user| book.add(user));
            keeper.take(&book);
            assert_ne!(keeper.generation(), before);
            keeper.standing(&account)
        };
        assert_eq!(keeper.standing(&account), Standing::Good(Arc::clone(&account)));
        let senders = vec!["boss@example.org".to_owned()];
        let own = bob();
        let Standing::Good(now) = after(Some(User { senders, ..own.clone() })) else { panic!() };
        assert!(now.senders.len() == 1 && account.senders.is_empty(), "in force at once");
        let password = Kept::of(&Secret::new("open sesame"), Form::Scram).unwrap();
        assert_eq!(after(Some(User { password, ..own.clone() })), Standing::Gone, "another salt");
        assert_eq!(after(Some(own.clone())), Standing::Gone, "the old one again");
        assert_eq!(after(Some(User { disabled: true, ..own })), Standing::Gone);
        assert_eq!(after(None), Standing::Gone);
    }

    #[test]
    fn salts_and_costs_of_unknown_users_are_those_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = keeper(folder.path());
        let mut book = Book::default();
        let theirs = Stored::of(&Secret::new("open sesame"), &[7; 24], 100_000);
        book.add(User::new("dora", Kept::Scram(theirs)));
        let hash = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        book.add(User::new("eve", serde_json::from_value(hash.into()).unwrap()));
        keeper.take(&book);
        for name in ["dora", "eve", "nobody"] {
            let keys = keeper.keys(name);
            assert_eq!((keys.iterations, keys.salt.len()), (100_000, 24), "{name}");
        }
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
