//! What is kept of a password: an argon2id hash (RFC 9106) in the PHC form, or SCRAM keys (RFC 5803).
//!
//! Not here: the file (`store`), when a password is checked (`keeper`).

use anyhow::{Result, anyhow};
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use posthaste_mail::Secret;
use posthaste_smtp::sasl::scram::Stored;
use posthaste_smtp::sasl::server::MAX_PASSWORD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Memory in KiB, passes and lanes: the first choice of OWASP's Password Storage Cheat Sheet for argon2id. RFC 9106
/// section 4 has more memory, which a server that checks several at once does not spend on each.
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// The most that a hash made elsewhere may ask for: that of the second choice of RFC 9106 section 4 in memory.
const MOST_MEMORY: u32 = 64 * 1024;
const MOST_PASSES: u32 = 10;
const MOST_LANES: u32 = 8;
/// Iterations of new SCRAM keys: what clients take without a noticeable wait. RFC 7677 section 4 asks for 4096 at least.
pub(crate) const ITERATIONS: u32 = 65_536; // Cyrus SASL, so Postfix as a client, computes no more than these
/// Octets of a salt (RFC 9106 section 3.1).
const SALT: usize = 16;
/// Characters of a password at least (NIST SP 800-63B section 5.1.1.1).
const SHORTEST: usize = 8;
/// Of a password that is made: no letters that look alike, 32 of them.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789A";
const GROUPS: usize = 5;
const GROUP: usize = 4;

/// With what errors of this room begin.
pub(super) const WRONG: &str = "the password is kept in";

/// A password as it is kept.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Kept {
    /// `$argon2id$v=19$m=...,t=...,p=...$salt$hash`.
    Argon2id(Arc<Secret>),
    /// Keys.
    Scram(Stored),
}

/// What a hash costs to check.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Cost {
    /// KiB.
    memory: u32,
    passes: u32,
    lanes: u32,
    /// Of the algorithm.
    version: u32,
}

/// That of new ones.
impl Default for Cost {
    fn default() -> Self {
        Self { memory: MEMORY, passes: PASSES, lanes: LANES, version: Version::V0x13.into() }
    }
}

impl Cost {
    /// A hash that costs so much, and says what it is told.
    pub(super) fn hash(self, salt: &[u8], hash: &[u8]) -> Kept {
        let Self { memory, passes, lanes, version } = self;
        let salt = STANDARD_NO_PAD.encode(salt);
        let hash = STANDARD_NO_PAD.encode(hash);
        let text = format!("$argon2id$v={version}$m={memory},t={passes},p={lanes}${salt}${hash}");
        Kept::Argon2id(Arc::new(Secret::new(text)))
    }
}

/// In which form a password is to be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    Argon2id,
    Scram,
}

impl Form {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Argon2id => "argon2id",
            Self::Scram => "scram-sha-256",
        }
    }
}

impl Kept {
    /// Keeps a password. It takes a while: that is its point.
    pub(crate) fn of(password: &Secret, form: Form) -> Result<Self> {
        let salt = random::<SALT>()?;
        Ok(match form {
            Form::Scram => Self::Scram(Stored::of(password, &salt, ITERATIONS)),
            Form::Argon2id => {
                let params =
                    Params::new(MEMORY, PASSES, LANES, None).map_err(|e| anyhow!("{e}"))?;
                let salt = SaltString::encode_b64(&salt).map_err(|e| anyhow!("{e}"))?;
                let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                let hash = hasher.hash_password(password.expose(), &salt);
                let hash = hash.map_err(|e| anyhow!("the password cannot be hashed: {e}"))?;
                Self::Argon2id(Arc::new(Secret::new(hash.to_string())))
            }
        })
    }

    pub(crate) const fn form(&self) -> Form {
        match self {
            Self::Argon2id(_) => Form::Argon2id,
            Self::Scram(_) => Form::Scram,
        }
    }

    /// It is this password's. As long for each password.
    pub(crate) fn is_of(&self, password: &Secret) -> bool {
        match self {
            Self::Scram(keys) => keys.is_of(password),
            Self::Argon2id(hash) => {
                let hash = hash.expose_str().and_then(|text| PasswordHash::new(text).ok());
                hash.is_some_and(|hash| {
                    Argon2::default().verify_password(password.expose(), &hash).is_ok()
                })
            }
        }
    }

    /// What a hash costs; `None` of keys.
    pub(super) fn cost(&self) -> Option<Cost> {
        let Self::Argon2id(hash) = self else { return None };
        let hash = PasswordHash::new(hash.expose_str()?).ok()?;
        let params = Params::try_from(&hash).ok()?;
        let version = hash.version.unwrap_or_else(|| Version::default().into());
        let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
        Some(Cost { memory, passes, lanes, version })
    }

    fn read(text: &str) -> Result<Self, String> {
        if let Some(keys) = Stored::read(text) {
            return Ok(Self::Scram(keys));
        }
        let unknown =
            || format!("{WRONG} no form that is known: $argon2id$... or SCRAM-SHA-256$...");
        let hash = PasswordHash::new(text).map_err(|_| unknown())?;
        if hash.algorithm != ARGON2ID_IDENT || hash.hash.is_none() || hash.salt.is_none() {
            return Err(unknown());
        }
        let params = Params::try_from(&hash).map_err(|_| unknown())?;
        let modest = params.m_cost() <= MOST_MEMORY
            && params.t_cost() <= MOST_PASSES
            && params.p_cost() <= MOST_LANES;
        if !modest {
            return Err(format!(
                "{WRONG} a form that costs too much to check: at most m={MOST_MEMORY}, t={MOST_PASSES}, p={MOST_LANES}"
            ));
        }
        Ok(Self::Argon2id(Arc::new(Secret::new(text))))
    }

    fn text(&self) -> Secret {
        match self {
            Self::Argon2id(hash) => (**hash).clone(),
            Self::Scram(keys) => keys.text(),
        }
    }
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text().expose_str().unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Why a password is not taken; its owner must choose another.
pub(crate) fn check(password: &Secret) -> Result<(), String> {
    let Some(text) = password.expose_str() else {
        return Err("the password is not UTF-8".to_owned());
    };
    if text.is_empty() {
        return Err("the password is empty".to_owned());
    }
    if text.chars().count() < SHORTEST {
        return Err(format!("the password is too short: at least {SHORTEST} characters"));
    }
    if text.len() > MAX_PASSWORD {
        return Err(format!("the password is too long: at most {MAX_PASSWORD} octets"));
    }
    if text.contains(char::is_control) {
        return Err("the password has a control character, which no mail program sends".to_owned());
    }
    Ok(())
}

/// A password of 100 random bits.
pub(crate) fn generate() -> Result<Secret> {
    let octets = Zeroizing::new(random::<{ GROUPS * GROUP }>()?);
    // All the room it needs: one that grows leaves copies behind.
    let mut text = Vec::with_capacity(GROUPS * (GROUP + 1));
    for group in octets.chunks(GROUP) {
        if !text.is_empty() {
            text.push(b'-');
        }
        text.extend(group.iter().map(|octet| LETTERS[usize::from(octet % 32)]));
    }
    Ok(Secret::new(text))
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut octets = [0; N];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| anyhow!("the system has no random octets"))?;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_kept_in_either_form_and_known_again() {
        for form in [Form::Argon2id, Form::Scram] {
            let kept = Kept::of(&Secret::new("open sesame"), form).unwrap();
            assert_eq!(kept.form(), form);
            assert!(kept.is_of(&Secret::new("open sesame")));
            assert!(!kept.is_of(&Secret::new("open sesam")));
            let text = kept.text();
            assert_eq!(Kept::read(text.expose_str().unwrap()), Ok(kept.clone()));
            assert_ne!(Kept::of(&Secret::new("open sesame"), form).unwrap().text(), text, "salted");
            assert!(!format!("{kept:?}").contains("argon2id$v"), "{kept:?}");
        }
    }

    #[test]
    fn hashes_of_other_programs_are_known_and_those_that_cost_too_much_are_not() {
        // printf password | argon2 somesalt -id -t 2 -m 16 -p 1 -e
        let theirs = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let kept = Kept::read(theirs).unwrap();
        assert!(kept.is_of(&Secret::new("password")) && !kept.is_of(&Secret::new("Password")));
        for (text, what) in [
            (theirs.replace("m=65536", "m=2097152"), "costs too much"),
            (theirs.replace("t=2", "t=1000"), "costs too much"),
            (theirs.replace("argon2id", "argon2i"), "no form that is known"),
            (theirs[..40].to_owned(), "no form that is known"),
            ("$6$salt$hash".to_owned(), "no form that is known"),
            (String::new(), "no form that is known"),
        ] {
            let said = Kept::read(&text).unwrap_err();
            assert!(said.contains(what), "{text}: {said}");
        }
    }

    #[test]
    fn weak_passwords_are_refused_and_those_that_are_made_are_not() {
        for (password, what) in [
            ("", "is empty"),
            ("short", "too short: at least 8"),
            ("with\ta tab", "control character"),
            (&*"x".repeat(1025), "too long"),
        ] {
            assert!(check(&Secret::new(password)).unwrap_err().contains(what), "{password}");
        }
        assert!(check(&Secret::new([0xff; 9])).unwrap_err().contains("not UTF-8"));
        let made = generate().unwrap();
        assert_eq!(check(&made), Ok(()));
        assert_eq!(made.expose().len(), 24);
        assert_ne!(generate().unwrap(), made);
        assert!(LETTERS.iter().all(|l| LETTERS.iter().filter(|o| *o == l).count() == 1));
    }
}
