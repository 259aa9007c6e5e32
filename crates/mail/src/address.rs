//! Addresses as the envelope has them (RFC 5321 section 4.1.2, RFC 6531 section 3.3).
//!
//! Not here: header addresses (RFC 5322), which are wider.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// RFC 5321 section 4.5.3.1.1, octets.
pub const MAX_LOCAL_PART: usize = 64;
/// RFC 5321 section 4.5.3.1.2, octets.
pub const MAX_DOMAIN: usize = 255;
/// RFC 5321 section 4.5.3.1.3, octets, without the angle brackets.
pub const MAX_PATH: usize = 254;
/// RFC 1035 section 2.3.4, octets.
const MAX_LABEL: usize = 63;

/// `local-part@domain`, kept as written: the local part is the receiver's to interpret (RFC 5321 section 2.4).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mailbox {
    text: Box<str>,
    at: u32,
}

/// What stands right of the `@`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Host<'a> {
    /// A domain name, as written.
    Name(&'a str),
    /// An address literal (RFC 5321 section 4.1.3).
    Literal(IpAddr),
}

/// RFC 5321 section 4.1.1.2: a mailbox, or `<>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReversePath {
    /// `<>`: a notice; nothing may be sent back.
    Null,
    /// Where notices go.
    Mailbox(Mailbox),
}

/// Why a text is not a mailbox; the sender must correct the address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    /// No `@`, or nothing on one side of it.
    #[error("an address has the form local-part@domain")]
    Shape,
    /// The local part is neither a dot-string nor a quoted string.
    #[error("the local part is not valid; quote it if it has unusual characters")]
    LocalPart,
    /// The domain is not valid.
    #[error("the domain is not valid")]
    Domain,
    /// Not an IPv4 or IPv6 address literal.
    #[error("the address literal is not valid; write [192.0.2.1] or [IPv6:2001:db8::1]")]
    Literal,
    /// Over the limits of RFC 5321 section 4.5.3.1.
    #[error("the address is too long")]
    TooLong,
    /// Needs SMTPUTF8, which was not declared.
    #[error("the address has characters beyond ASCII, but SMTPUTF8 was not given")]
    NeedsUtf8,
}

impl Mailbox {
    /// Reads a whole mailbox, e.g. `a.b@example.org`, `"a b"@[IPv6:::1]`. `utf8` allows RFC 6531 forms.
    ///
    /// # Errors
    /// [`AddressError`] names the first thing that is wrong.
    pub fn parse(text: &str, utf8: bool) -> Result<Self, AddressError> {
        if !utf8 && !text.is_ascii() {
            return Err(AddressError::NeedsUtf8);
        }
        let at = split_at_sign(text)?;
        let (local, domain) = (&text[..at], &text[at + 1..]);
        if local.len() > MAX_LOCAL_PART || domain.len() > MAX_DOMAIN || text.len() > MAX_PATH {
            return Err(AddressError::TooLong);
        }
        check_local(local)?;
        check_domain(domain)?;
        let at = u32::try_from(at).map_err(|_| AddressError::TooLong)?;
        Ok(Self { text: text.into(), at })
    }

    /// A mailbox read back from the store: accepted once, so not judged again by rules that may have changed.
    /// `None` when it has no `@` to divide it.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        let at = split_at_sign(text).ok().or_else(|| text.rfind('@'))?;
        Some(Self { text: text.into(), at: u32::try_from(at).ok()? })
    }

    /// The whole address as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Left of the `@`, quotes included, as written.
    #[must_use]
    pub fn local_part(&self) -> &str {
        &self.text[..self.at as usize]
    }

    /// Right of the `@`, as written.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.text[self.at as usize + 1..]
    }

    /// The domain in lower case: what routes and queues compare.
    #[must_use]
    pub fn domain_key(&self) -> String {
        self.domain().to_lowercase()
    }

    /// The domain as a name or an address literal.
    #[must_use]
    pub fn host(&self) -> Host<'_> {
        match parse_literal(self.domain()) {
            Some(ip) => Host::Literal(ip),
            None => Host::Name(self.domain()),
        }
    }
}

impl ReversePath {
    /// The mailbox, unless null.
    #[must_use]
    pub const fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Null => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }

    /// True for `<>`.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

/// Reads `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 section 4.1.3); `None` for anything else.
#[must_use]
pub fn parse_literal(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    if let Some(v6) = inner.get(..5).filter(|tag| tag.eq_ignore_ascii_case("IPv6:")) {
        return inner[v6.len()..].parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    inner.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

/// Checks a domain name: letters, digits, hyphens (and U-labels), RFC 5321 section 4.1.2 and RFC 6531.
///
/// Underscores are let through, as every transport does: such domains exist and receive mail.
///
/// # Errors
/// [`AddressError::Domain`] or [`AddressError::TooLong`].
pub fn check_domain_name(name: &str) -> Result<(), AddressError> {
    if name.len() > MAX_DOMAIN {
        return Err(AddressError::TooLong);
    }
    for label in name.split('.') {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || u_label_char(c);
        if label.is_empty() || !label.chars().all(inner) {
            return Err(AddressError::Domain);
        }
        if label.is_ascii() && label.len() > MAX_LABEL {
            return Err(AddressError::TooLong);
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(AddressError::Domain);
        }
    }
    Ok(())
}

fn u_label_char(c: char) -> bool {
    !c.is_ascii() && !c.is_control() && !c.is_whitespace()
}

fn split_at_sign(text: &str) -> Result<usize, AddressError> {
    let at = if text.starts_with('"') {
        quoted_end(text).ok_or(AddressError::LocalPart)?
    } else {
        text.find('@').ok_or(AddressError::Shape)?
    };
    if at == 0 || text.as_bytes().get(at) != Some(&b'@') || at + 1 == text.len() {
        return Err(AddressError::Shape);
    }
    Ok(at)
}

/// The offset just after the closing quote of a quoted string that starts the text.
fn quoted_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(i + 1),
            _ => {}
        }
    }
    None
}

/// Checks a local part alone: a dot-string or a quoted string (RFC 5321 section 4.1.2, RFC 6531 section 3.3).
///
/// # Errors
/// [`AddressError::LocalPart`] or [`AddressError::TooLong`].
pub fn check_local_part(local: &str) -> Result<(), AddressError> {
    if local.len() > MAX_LOCAL_PART {
        return Err(AddressError::TooLong);
    }
    if local.starts_with('"') && quoted_end(local) != Some(local.len()) {
        return Err(AddressError::LocalPart);
    }
    check_local(local)
}

fn check_local(local: &str) -> Result<(), AddressError> {
    let valid = match local.strip_prefix('"').and_then(|l| l.strip_suffix('"')) {
        Some(inner) => inner.chars().all(|c| !c.is_control()),
        None => local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(atom_char)),
    };
    if valid { Ok(()) } else { Err(AddressError::LocalPart) }
}

fn atom_char(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_control() && !c.is_whitespace())
}

fn check_domain(domain: &str) -> Result<(), AddressError> {
    if domain.starts_with('[') {
        return parse_literal(domain).map(|_| ()).ok_or(AddressError::Literal);
    }
    check_domain_name(domain)
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.text)
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.mailbox().map_or("", Mailbox::as_str))
    }
}

impl fmt::Debug for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{self}>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_grammar_allows() {
        for (text, local, domain) in [
            ("a@b", "a", "b"),
            ("o'brien+tag@example.org", "o'brien+tag", "example.org"),
            ("\"a b\"@[IPv6:::1]", "\"a b\"", "[IPv6:::1]"),
            ("\"a@b\\\"c\"@example.org", "\"a@b\\\"c\"", "example.org"),
            ("x@[192.0.2.1]", "x", "[192.0.2.1]"),
            ("x@_smtp.example", "x", "_smtp.example"),
            ("x@xn--mnchen-3ya.de", "x", "xn--mnchen-3ya.de"),
        ] {
            let mailbox = Mailbox::parse(text, false).expect(text);
            assert_eq!((mailbox.local_part(), mailbox.domain()), (local, domain));
        }
        assert!(Mailbox::parse("jörg@münchen.de", true).is_ok());
    }

    #[test]
    fn refuses_the_rest_and_says_why() {
        use AddressError as E;
        let long_local = format!("{}@b", "a".repeat(65));
        let long_label = format!("a@{}.de", "b".repeat(64));
        for (text, error) in [
            ("", E::Shape),
            ("@b", E::Shape),
            ("a@", E::Shape),
            ("a", E::Shape),
            (".a@b", E::LocalPart),
            ("a..b@c", E::LocalPart),
            ("a b@c", E::LocalPart),
            ("\"a@c", E::LocalPart),
            ("\"a\"x@c", E::Shape),
            ("a@b..c", E::Domain),
            ("a@-b.c", E::Domain),
            ("a@b c", E::Domain),
            ("a@b@c", E::Domain),
            ("a@b.", E::Domain),
            ("a@[1.2.3]", E::Literal),
            ("a@[IPv6:::1", E::Literal),
            ("jörg@x.de", E::NeedsUtf8),
            (&long_local, E::TooLong),
            (&long_label, E::TooLong),
        ] {
            assert_eq!(Mailbox::parse(text, false), Err(error), "{text}");
        }
    }

    #[test]
    fn what_was_stored_is_read_back_whatever_the_rules_say_now() {
        for text in ["a@b", "\"a@b\\\"c\"@example.org", "a..b@-odd-.example", "@b"] {
            assert_eq!(Mailbox::from_stored(text).expect(text).as_str(), text);
        }
        assert_eq!(Mailbox::from_stored("\"a@b\"@c").expect("valid").domain(), "c");
        assert_eq!(Mailbox::from_stored("nothing to divide"), None);
    }

    #[test]
    fn literals_are_addresses_and_names_are_not() {
        let host = |t: &str| Mailbox::parse(t, false).expect("valid").host().to_owned_string();
        assert_eq!(host("a@[IPv6:2001:db8::1]"), "2001:db8::1");
        assert_eq!(host("a@Example.ORG"), "Example.ORG");
    }

    impl Host<'_> {
        fn to_owned_string(self) -> String {
            match self {
                Host::Name(name) => name.to_owned(),
                Host::Literal(ip) => ip.to_string(),
            }
        }
    }
}
