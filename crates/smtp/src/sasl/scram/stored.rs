//! What a server keeps of a password: `SCRAM-SHA-256$4096:salt$stored:server` (RFC 5803 section 3).

use super::{Key, MAX_ITERATIONS, MAX_SALT, MIN_ITERATIONS, SaltedPassword, decoded, decoded_key};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use posthaste_mail::Secret;

const SCHEME: &str = "SCRAM-SHA-256";

/// The keys of one user. Whoever has them can pretend to be the server, and try passwords; so they are secrets too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// [`MIN_ITERATIONS`] to [`MAX_ITERATIONS`].
    pub iterations: u32,
    /// Random, at most [`MAX_SALT`] octets.
    pub salt: Vec<u8>,
    /// `StoredKey`.
    pub stored: Key,
    /// `ServerKey`.
    pub server: Key,
}

impl Stored {
    /// Of a password. The salt is random: the caller's.
    #[must_use]
    pub fn of(password: &Secret, salt: &[u8], iterations: u32) -> Self {
        let salted = SaltedPassword::derive(password, salt, iterations);
        let (stored, server) = (salted.client_key().stored(), salted.server_key());
        Self { iterations, salt: salt.to_vec(), stored, server }
    }

    /// Reads it; `None` when it is none, or its iterations are out of bounds.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('$');
        let (scheme, info, keys) = (parts.next()?, parts.next()?, parts.next()?);
        let (iterations, salt) = info.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let iterations = iterations.parse().ok()?;
        let salt = decoded(salt).ok()?;
        let fits = scheme.eq_ignore_ascii_case(SCHEME)
            && parts.next().is_none()
            && (MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations)
            && (1..=MAX_SALT).contains(&salt.len());
        let stored = Key::new(decoded_key(stored).ok()?);
        let server = Key::new(decoded_key(server).ok()?);
        fits.then_some(Self { iterations, salt, stored, server })
    }

    /// For the file of the users.
    #[must_use]
    pub fn text(&self) -> Secret {
        let [salt, stored, server] = [&self.salt[..], self.stored.expose(), self.server.expose()]
            .map(|k| STANDARD.encode(k));
        Secret::new(format!("{SCHEME}${}:{salt}${stored}:{server}", self.iterations))
    }

    /// A password in full, as PLAIN brings it, is the one. It takes as long as [`SaltedPassword::derive`].
    #[must_use]
    pub fn is_of(&self, password: &Secret) -> bool {
        Self::of(password, &self.salt, self.iterations).stored == self.stored
    }
}
