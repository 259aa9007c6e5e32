//! What addresses are matched with: domains, everything below one, address literals, and one user of those.
//!
//! Domains are compared as A-labels, local parts without regard to the case of ASCII letters: a rule that an
//! operator writes for `Postmaster@` is meant for `postmaster@`. Not here: the order of rules (`table`).

use crate::domain::to_dns;
use posthaste_mail::address::parse_literal;
use posthaste_mail::{Host, Mailbox};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Written `*`, `*.example.org`, `example.org`, `[192.0.2.1]`, or `user@` before one of these.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pattern {
    /// Every address.
    Any,
    /// Everybody at this domain; as an A-label in lower case.
    Exact(String),
    /// Everybody at every domain below this one, not at itself; as an A-label in lower case.
    Below(String),
    /// Everybody at this address literal.
    Literal(IpAddr),
    /// This user, where the other pattern fits.
    User(String, Box<Pattern>),
}

/// The text is no pattern; the operator must correct the configuration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` is not a pattern; write example.org, *.example.org, [192.0.2.1], * or user@ before one of these"
)]
pub struct PatternError(pub String);

impl Pattern {
    /// True when it fits every address that the other one fits.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::User(user, at), Self::User(same, below)) => {
                user.eq_ignore_ascii_case(same) && at.covers(below)
            }
            (Self::User(..), _) => false,
            (_, Self::User(_, at)) => self.covers(at),
            (Self::Below(parent), Self::Exact(name) | Self::Below(name)) => {
                is_below(name, parent) || self == other
            }
            _ => self == other,
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let wrong = || PatternError(text.to_owned());
        if let Some((user, at)) = text.rsplit_once('@') {
            let at = at.parse().map_err(|_| wrong())?;
            if user == "*" {
                return Ok(at);
            }
            let valid = Mailbox::parse(&format!("{user}@example.org"), true).is_ok();
            // Who writes an asterisk means more than the one user it could be part of the name of.
            if !valid || user.contains('*') {
                return Err(wrong());
            }
            return Ok(Self::User(user.to_owned(), Box::new(at)));
        }
        if text == "*" {
            return Ok(Self::Any);
        }
        if text.starts_with('[') {
            return parse_literal(text).map(Self::Literal).ok_or_else(wrong);
        }
        let (below, name) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        if name.contains(|c: char| c == '*' || c == '/' || c.is_whitespace()) {
            return Err(wrong());
        }
        let name = to_dns(name).ok_or_else(wrong)?;
        Ok(if below { Self::Below(name) } else { Self::Exact(name) })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Literal(IpAddr::V4(ip)) => write!(f, "[{ip}]"),
            Self::Literal(IpAddr::V6(ip)) => write!(f, "[IPv6:{ip}]"),
            Self::User(user, at) => write!(f, "{user}@{at}"),
        }
    }
}

/// An address to be compared; its domain is put into the form of patterns when the first one needs it.
pub(crate) struct Target<'a> {
    mailbox: &'a Mailbox,
    place: Option<Place>,
}

enum Place {
    Literal(IpAddr),
    Name(String),
}

impl<'a> Target<'a> {
    pub(crate) const fn of(mailbox: &'a Mailbox) -> Self {
        Self { mailbox, place: None }
    }

    pub(crate) fn fits(&mut self, pattern: &Pattern) -> bool {
        match pattern {
            Pattern::Any => true,
            Pattern::User(user, at) => {
                self.mailbox.local_part().eq_ignore_ascii_case(user) && self.fits(at)
            }
            Pattern::Exact(exact) => matches!(self.place(), Place::Name(name) if name == exact),
            Pattern::Below(parent) => {
                matches!(self.place(), Place::Name(name) if is_below(name, parent))
            }
            Pattern::Literal(ip) => matches!(self.place(), Place::Literal(target) if target == ip),
        }
    }

    fn place(&mut self) -> &Place {
        self.place.get_or_insert_with(|| match self.mailbox.host() {
            Host::Literal(ip) => Place::Literal(ip),
            Host::Name(name) => Place::Name(to_dns(name).unwrap_or_else(|| name.to_lowercase())),
        })
    }
}

fn is_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn patterns_print_as_they_are_written_and_refuse_the_rest() {
        for text in [
            "*",
            "*.example.org",
            "example.org",
            "[192.0.2.1]",
            "[IPv6:2001:db8::1]",
            "user@example.org",
            "user@*",
            "o'brien+x@*.example.org",
            "\"a b\"@[192.0.2.1]",
        ] {
            assert_eq!(pattern(text).to_string(), text);
        }
        assert_eq!(pattern("*@example.org"), pattern("example.org"));
        for wrong in [
            "",
            "*.",
            "**",
            "*.*.org",
            "[x]",
            "a b",
            "mx*.example",
            ".",
            "a..b",
            "@example.org",
            "a@",
            "a@b@c",
            "news-*@example.org",
            "a b@c",
            "*user@*..",
        ] {
            assert_eq!(wrong.parse::<Pattern>(), Err(PatternError(wrong.into())));
        }
    }

    #[test]
    fn users_are_told_apart_without_regard_to_case() {
        for (text, address, fits) in [
            ("user@example.org", "User@EXAMPLE.org", true),
            ("user@example.org", "user@a.example.org", false),
            ("user@example.org", "users@example.org", false),
            ("user@*", "user@[192.0.2.1]", true),
            ("user@*.example.org", "user@a.example.org", true),
            ("user@[192.0.2.1]", "user@[192.0.2.1]", true),
            ("user@münchen.de", "user@xn--mnchen-3ya.de", true),
        ] {
            let mailbox = Mailbox::parse(address, true).expect("an address");
            assert_eq!(Target::of(&mailbox).fits(&pattern(text)), fits, "{text} {address}");
        }
    }

    #[test]
    fn a_wider_pattern_covers_a_narrower_one() {
        for (wide, narrow, covers) in [
            ("*", "*", true),
            ("*", "user@[192.0.2.1]", true),
            ("example.org", "*", false),
            ("example.org", "example.org", true),
            ("example.org", "user@Example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "*.a.example.org", true),
            ("*.example.org", "*.example.org", true),
            ("*.a.example.org", "*.example.org", false),
            ("*.example.org", "badexample.org", false),
            ("user@*", "User@example.org", true),
            ("user@*", "*", false),
            ("user@*.example.org", "user@a.example.org", true),
            ("user@example.org", "other@example.org", false),
            ("[192.0.2.1]", "user@[192.0.2.1]", true),
        ] {
            assert_eq!(pattern(wide).covers(&pattern(narrow)), covers, "{wide} {narrow}");
        }
    }
}
