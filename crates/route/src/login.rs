//! How we log in at fixed next hops (RFC 4954). Plain data: where the secret comes from, never the secret itself.
//!
//! Not here: the secret (`delivery` is given one when it needs it), the exchange (`smtp`).

use posthaste_mail::Mechanism;
use std::fmt;
use std::path::PathBuf;

/// A user name, and where its secret comes from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Login {
    /// As the next hop knows us.
    pub user: String,
    /// Where the password or the token is.
    pub secret: SecretSource,
    /// Mechanisms that may be used; never empty. The best of them that the host offers is.
    pub mechanisms: Vec<Mechanism>,
    /// It may go over a connection that is not encrypted. Only towards addresses that are private or of this machine.
    pub in_clear: bool,
}

/// Where a password or a token comes from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SecretSource {
    /// A password in a file, read again when it changes.
    File(PathBuf),
    /// A password in a variable of the daemon's environment, read once at start.
    Environment(String),
    /// A token that a program prints: the program, with its path, and its arguments.
    Command(Vec<String>),
}

impl Login {
    /// What may be used with a source when the operator says nothing: passwords by everything that takes one, tokens by
    /// XOAUTH2.
    #[must_use]
    pub fn usual_mechanisms(secret: &SecretSource) -> Vec<Mechanism> {
        match secret {
            SecretSource::Command(_) => vec![Mechanism::XOAuth2],
            _ => vec![Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login],
        }
    }

    /// The best mechanism that is allowed and offered: a list of names in any case.
    #[must_use]
    pub fn best_of(&self, offered: &[String]) -> Option<Mechanism> {
        let is_offered =
            |m: &Mechanism| offered.iter().any(|name| m.name().eq_ignore_ascii_case(name));
        let known = Mechanism::NAMES.iter().map(|(mechanism, _)| *mechanism);
        known.filter(|m| self.mechanisms.contains(m)).find(is_offered)
    }
}

/// `file PATH`, `variable NAME`, `command PROGRAM`: without the arguments, which may be told apart but not shown.
impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "variable {name}"),
            Self::Command(words) => {
                write!(f, "command {}", words.first().map_or("", String::as_str))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_mechanism_that_both_know_is_used() {
        use Mechanism::{Login as LoginMechanism, Plain, ScramSha256, XOAuth2};
        let password = SecretSource::Environment("PASSWORD".into());
        let token = SecretSource::Command(vec!["/usr/bin/token".into()]);
        for (source, allowed, offered, best) in [
            (&password, None, &["LOGIN", "PLAIN", "SCRAM-SHA-256"][..], Some(ScramSha256)),
            (&password, None, &["login", "plain"], Some(Plain)),
            (&password, None, &["LOGIN", "XOAUTH2"], Some(LoginMechanism)),
            (&password, None, &["XOAUTH2", "GSSAPI"], None),
            (&password, None, &[], None),
            (
                &password,
                Some(vec![LoginMechanism, Plain]),
                &["SCRAM-SHA-256", "PLAIN"],
                Some(Plain),
            ),
            (&password, Some(vec![ScramSha256]), &["PLAIN"], None),
            (&token, None, &["PLAIN", "XOAUTH2"], Some(XOAuth2)),
        ] {
            let mechanisms = allowed.unwrap_or_else(|| Login::usual_mechanisms(source));
            let login =
                Login { user: "me".into(), secret: source.clone(), mechanisms, in_clear: false };
            let offered: Vec<String> = offered.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(login.best_of(&offered), best, "{offered:?}");
        }
    }
}
