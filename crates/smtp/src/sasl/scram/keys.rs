//! The computations (RFC 5802 section 3, with SHA-256 as RFC 7677 says).

use super::KEY;
use aws_lc_rs::{digest, hmac, pbkdf2};
use posthaste_mail::Secret;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// One of the keys. Wiped when dropped, never shown, compared in constant time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key(Secret);

impl Key {
    /// Of these octets.
    #[must_use]
    pub fn new(octets: [u8; KEY]) -> Self {
        let octets = Zeroizing::new(octets);
        Self(Secret::new(&octets[..]))
    }

    /// The octets, for what is stored.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    /// What signs with it: `ClientSignature` with `StoredKey`, `ServerSignature` with `ServerKey`.
    #[must_use]
    pub fn sign(&self, auth_message: &str) -> [u8; KEY] {
        hmac_sha256(self.expose(), auth_message.as_bytes())
    }

    /// As `ClientKey`: its hash, which a server stores.
    #[must_use]
    pub fn stored(&self) -> Self {
        Self::new(sha256(self.expose()))
    }

    /// As `ClientKey`: `ClientProof`, which only whoever knows the password can make.
    #[must_use]
    pub fn proof(&self, auth_message: &str) -> [u8; KEY] {
        let mut proof = self.stored().sign(auth_message);
        proof.iter_mut().zip(self.expose()).for_each(|(p, k)| *p ^= k);
        proof
    }

    /// As `StoredKey`: the proof was made with the `ClientKey` that belongs to it.
    #[must_use]
    pub fn proves(&self, auth_message: &str, proof: &[u8; KEY]) -> bool {
        let mut client = Zeroizing::new(self.sign(auth_message));
        client.iter_mut().zip(proof).for_each(|(c, p)| *c ^= p);
        Self::new(sha256(&*client)) == *self
    }
}

/// What the password becomes: as good as the password itself for this salt.
#[derive(Clone, Debug)]
pub struct SaltedPassword(Key);

impl SaltedPassword {
    /// `Hi(password, salt, iterations)`, which is PBKDF2 with HMAC-SHA-256. It takes a while: that is its point.
    ///
    /// Zero iterations count as one.
    #[must_use]
    pub fn derive(password: &Secret, salt: &[u8], iterations: u32) -> Self {
        let iterations = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
        let mut out = Zeroizing::new([0; KEY]);
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(algorithm, iterations, salt, password.expose(), &mut *out);
        Self(Key::new(*out))
    }

    /// Signs for the client.
    #[must_use]
    pub fn client_key(&self) -> Key {
        Key::new(hmac_sha256(self.0.expose(), b"Client Key"))
    }

    /// Signs for the server.
    #[must_use]
    pub fn server_key(&self) -> Key {
        Key::new(hmac_sha256(self.0.expose(), b"Server Key"))
    }
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; KEY] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    tag.as_ref().try_into().expect("HMAC-SHA-256 has 32 octets")
}

fn sha256(octets: &[u8]) -> [u8; KEY] {
    digest::digest(&digest::SHA256, octets).as_ref().try_into().expect("SHA-256 has 32 octets")
}
