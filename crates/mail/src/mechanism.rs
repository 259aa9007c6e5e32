//! Names of the SASL mechanisms (RFC 4422) that are spoken here. Not here: what they say (`smtp::sasl`).

/// A SASL mechanism (RFC 4422) that is spoken here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mechanism {
    /// SCRAM-SHA-256 (RFC 7677, RFC 5802): the password does not cross the network.
    ScramSha256,
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN: two questions, no standard; old clients know nothing else.
    Login,
    /// XOAUTH2: a token in place of a password. Only as a client, to providers that ask for it.
    XOAuth2,
}

impl Mechanism {
    /// Every mechanism with its registered name, the best first.
    pub const NAMES: [(Self, &'static str); 4] = [
        (Self::ScramSha256, "SCRAM-SHA-256"),
        (Self::XOAuth2, "XOAUTH2"),
        (Self::Plain, "PLAIN"),
        (Self::Login, "LOGIN"),
    ];

    /// The registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(m, _)| *m == self).map_or("PLAIN", |(_, name)| name)
    }

    /// By its name, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)).map(|(m, _)| *m)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_there_and_back() {
        for (mechanism, name) in Mechanism::NAMES {
            assert_eq!(Mechanism::named(&name.to_lowercase()), Some(mechanism));
            assert_eq!(mechanism.name(), name);
        }
        assert_eq!(Mechanism::named("CRAM-MD5"), None);
    }
}
