//! What is told and computed for who is unknown, so that nothing tells him from who is known: costs and lengths are those of the
//! users in force, each chosen by the name alone and as often as users have it.
//!
//! Not here: when it is computed (`keeper`).

use super::key;
use super::password::{Cost, ITERATIONS, Kept};
use aws_lc_rs::hmac;
use posthaste_mail::Secret;
use posthaste_smtp::sasl::scram::{KEY, Key, Stored};
use std::collections::BTreeMap;

/// Octets of a salt when nobody has keys: as many as new ones have.
const SALT: usize = 16;

/// The secret of which everything is made up. Whoever knows it can tell who is unknown, and nothing else.
pub(super) struct MadeUp(hmac::Key);

/// How the users' passwords are kept, and how many are so.
#[derive(Default)]
pub(super) struct Decoys {
    argon2id: Shares<Cost>,
    /// Iterations and octets of the salt.
    scram: Shares<(u32, usize)>,
}

/// Kinds, and how many there are of each.
#[derive(Default)]
struct Shares<T> {
    kinds: BTreeMap<T, u64>,
    all: u64,
}

impl MadeUp {
    pub(super) fn new(secret: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose()))
    }

    /// Octets that nobody can tell from random ones, the same for a name each time.
    fn octets(&self, what: &str, name: &str) -> [u8; KEY] {
        let tag = hmac::sign(&self.0, format!("{what} {}", key(name)).as_bytes());
        tag.as_ref().try_into().expect("HMAC-SHA-256 has 32 octets")
    }

    fn salt(&self, length: usize, name: &str) -> Vec<u8> {
        let mut salt = self.octets("salt", name).to_vec();
        for part in 1..length.div_ceil(KEY) {
            salt.extend(self.octets(&format!("salt {part}"), name));
        }
        salt.truncate(length);
        salt
    }

    /// A number from 0 to `below` - 1, each as often.
    fn number(&self, what: &str, name: &str, below: u64) -> u64 {
        let octets = self.octets(what, name);
        let (first, _) = octets.split_first_chunk().expect("there are 32");
        let number = u128::from(u64::from_be_bytes(*first)) * u128::from(below);
        u64::try_from(number >> 64).expect("it is below a number of 64 bits")
    }
}

impl Decoys {
    pub(super) fn of<'a>(users: impl Iterator<Item = &'a Kept>) -> Self {
        let mut all = Self::default();
        for kept in users {
            match kept {
                Kept::Argon2id(_) => all.argon2id.add(kept.cost().unwrap_or_default()),
                Kept::Scram(keys) => all.scram.add((keys.iterations, keys.salt.len())),
            }
        }
        all
    }

    /// A hash that is no password's.
    pub(super) fn argon2id(&self, name: &str, made_up: &MadeUp) -> Kept {
        let cost = self.argon2id.pick("cost", name, made_up).unwrap_or_default();
        cost.hash(&made_up.octets("hash salt", name)[..SALT], &made_up.octets("hash", name))
    }

    /// Keys that are no password's.
    pub(super) fn keys(&self, name: &str, made_up: &MadeUp) -> Stored {
        let (iterations, salt) =
            self.scram.pick("keys", name, made_up).unwrap_or((ITERATIONS, SALT));
        Stored {
            iterations,
            salt: made_up.salt(salt, name),
            stored: Key::new(made_up.octets("stored", name)),
            server: Key::new(made_up.octets("server", name)),
        }
    }
}

impl<T: Ord + Copy> Shares<T> {
    fn add(&mut self, kind: T) {
        *self.kinds.entry(kind).or_default() += 1;
        self.all += 1;
    }

    /// The kinds lie one behind the other, each as long as there are many of it: one more user changes few names' kinds.
    fn pick(&self, what: &str, name: &str, made_up: &MadeUp) -> Option<T> {
        let mut at = made_up.number(what, name, self.all);
        self.kinds.iter().find_map(|(kind, count)| match at.checked_sub(*count) {
            None => Some(*kind),
            Some(rest) => {
                at = rest;
                None
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::password::Form;
    use super::*;

    fn keys(iterations: u32, salt: usize) -> Kept {
        Kept::Scram(Stored::of(&Secret::new("open sesame"), &vec![7; salt], iterations))
    }

    #[test]
    fn who_is_unknown_looks_like_those_who_are_known_as_often_as_they_do() {
        let made_up = MadeUp::new(&Secret::new("x"));
        let dear = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let dear: Kept = serde_json::from_value(dear.into()).unwrap();
        let cheap = Kept::of(&Secret::new("open sesame"), Form::Argon2id).unwrap();
        let all = |kinds: &[(&Kept, usize)]| {
            let each = kinds.iter().flat_map(|(kept, count)| std::iter::repeat_n(*kept, *count));
            Decoys::of(each)
        };
        let (rare, common) = (keys(4096, 16), keys(100_000, 40));
        let few = all(&[(&rare, 1), (&common, 3), (&dear, 4)]);
        let mut common_ones = 0;
        for n in 0..400 {
            let name = format!("user{n}");
            let told = few.keys(&name, &made_up);
            assert!([(4096, 16), (100_000, 40)].contains(&(told.iterations, told.salt.len())));
            assert_eq!(told.text(), few.keys(&name.to_uppercase(), &made_up).text());
            common_ones += u32::from(told.iterations == 100_000);
            assert_eq!(few.argon2id(&name, &made_up).cost(), dear.cost(), "64 MiB for all");
        }
        assert!((250..350).contains(&common_ones), "three of four: {common_ones}");
        let more = all(&[(&rare, 100), (&common, 301), (&cheap, 1)]);
        let changed = (0..400).filter(|n| {
            let told = |decoys: &Decoys| decoys.keys(&format!("user{n}"), &made_up).iterations;
            told(&few) != told(&more)
        });
        assert!(changed.count() < 8, "a user more changes hardly anything");
        assert_eq!(more.argon2id("nobody", &made_up).cost(), cheap.cost());
        let nobody = Decoys::default().keys("nobody", &made_up);
        assert_eq!((nobody.iterations, nobody.salt.len()), (ITERATIONS, SALT));
        assert!(!Decoys::default().argon2id("nobody", &made_up).is_of(&Secret::new("x")));
    }
}
