//! A secret on its way through the house: a password, a token, a private key in text.
//!
//! It is never shown (`Debug` hides it, there is no `Display`) and is wiped when it is dropped. Not here: where it comes
//! from, how it is stored.

use std::fmt;
use zeroize::Zeroizing;

/// The longest secret that is taken, octets: an RSA key in PEM, or a token.
pub const MAX_SECRET: usize = 16 * 1024;

/// Octets that nobody may see.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the octets over; the caller keeps no copy.
    #[must_use]
    pub fn new(octets: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(octets.into()))
    }

    /// The secret itself, for the one place that uses it.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The secret as text; `None` when it is none.
    #[must_use]
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// True when there is not one octet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// In a time that depends on the lengths alone, so that nobody learns a secret by trying.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        let differing = self.0.iter().zip(other.0.iter()).fold(0, |seen, (a, b)| seen | (a ^ b));
        self.0.len() == other.0.len() && std::hint::black_box(differing) == 0
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_compared_and_never_shown() {
        let secret = Secret::new("open sesame");
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        for (other, same) in [
            ("open sesame", true),
            ("open sesamf", false),
            ("open", false),
            ("open sesame!", false),
            ("", false),
        ] {
            assert_eq!(secret == Secret::new(other), same, "{other}");
        }
        assert_eq!(secret.expose_str(), Some("open sesame"));
        assert_eq!(Secret::new([0xff]).expose_str(), None);
        assert!(Secret::default().is_empty());
    }
}
