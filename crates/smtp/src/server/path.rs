//! Paths of MAIL and RCPT (RFC 5321 sections 4.1.1.2, 4.1.1.3, 4.1.2).
//!
//! Not here: mailboxes themselves (`posthaste_mail::address`).

use posthaste_mail::address::{AddressError, check_domain_name};
use posthaste_mail::{Mailbox, ReversePath};

/// The longest path we look at, octets: a source route may stand before the mailbox.
const MAX_PATH_WITH_ROUTE: usize = 1024;

/// RFC 5321 section 4.1.1.3: where a message is to go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ForwardPath {
    /// A mailbox; a source route before it was ignored (RFC 5321 section 3.6.1).
    Mailbox(Mailbox),
    /// `<postmaster>` without a domain, in any case (RFC 5321 section 4.5.1): the agent knows whose.
    Postmaster,
}

/// Splits `<path> parameters` after the path, which may hold a quoted string. Answers the path without its brackets.
///
/// `None` when there is no closed path at the start, or something other than a blank after it.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('<')?;
    let (mut quoted, mut escaped) = (false, false);
    for (i, octet) in inner.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => {
                let after = &inner[i + 1..];
                return (after.is_empty() || after.starts_with(' '))
                    .then_some((&inner[..i], after));
            }
            _ => {}
        }
    }
    None
}

/// Reads the inside of a reverse-path. `origin`: the domain of a bare name, where those are understood.
pub(super) fn reverse(
    inner: &str,
    utf8: bool,
    origin: Option<&str>,
) -> Result<ReversePath, AddressError> {
    if inner.is_empty() {
        return Ok(ReversePath::Null);
    }
    mailbox(inner, utf8, origin).map(ReversePath::Mailbox)
}

/// Reads the inside of a forward-path. `origin`: the domain of a bare name, where those are understood.
pub(super) fn forward(
    inner: &str,
    utf8: bool,
    origin: Option<&str>,
) -> Result<ForwardPath, AddressError> {
    if inner.eq_ignore_ascii_case("postmaster") {
        return Ok(ForwardPath::Postmaster);
    }
    mailbox(inner, utf8, origin).map(ForwardPath::Mailbox)
}

fn mailbox(inner: &str, utf8: bool, origin: Option<&str>) -> Result<Mailbox, AddressError> {
    let inner = without_route(inner)?;
    match origin {
        Some(origin) if !inner.contains('@') => Mailbox::parse(&format!("{inner}@{origin}"), utf8),
        _ => Mailbox::parse(inner, utf8),
    }
}

/// Drops `@a,@b:` in front of a mailbox (RFC 5321 appendix C), whose hosts must still be domain names.
fn without_route(inner: &str) -> Result<&str, AddressError> {
    if inner.len() > MAX_PATH_WITH_ROUTE {
        return Err(AddressError::TooLong);
    }
    if !inner.starts_with('@') {
        return Ok(inner);
    }
    let (route, mailbox) = inner.split_once(':').ok_or(AddressError::Shape)?;
    for hop in route.split(',') {
        check_domain_name(hop.strip_prefix('@').ok_or(AddressError::Shape)?)?;
    }
    Ok(mailbox)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_end_at_the_bracket_that_closes_them() {
        for (text, expected) in [
            ("<a@b>", Some(("a@b", ""))),
            ("<> SIZE=1", Some(("", " SIZE=1"))),
            (r#"<"a>b"@c> X"#, Some((r#""a>b"@c"#, " X"))),
            (r#"<"a\">b"@c>"#, Some((r#""a\">b"@c"#, ""))),
            ("<a@b>SIZE=1", None),
            ("<a@b", None),
            ("a@b", None),
            (r#"<"a@b>"#, None),
            ("", None),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }

    #[test]
    fn forward_paths() {
        let mailbox = |text: &str| match forward(text, false, None) {
            Ok(ForwardPath::Mailbox(m)) => m.as_str().to_owned(),
            other => format!("{other:?}"),
        };
        for (text, expected) in [
            ("u@h", "u@h"),
            (r#""a b"@[IPv6:::1]"#, r#""a b"@[IPv6:::1]"#),
            ("@a,@b.example:c@d", "c@d"),
            ("@a:c@d", "c@d"),
            ("PostMaster", "Ok(Postmaster)"),
            ("", "Err(Shape)"),
            ("@a", "Err(Shape)"),
            ("@a,b:c@d", "Err(Shape)"),
            ("@-:c@d", "Err(Domain)"),
            ("@a:", "Err(Shape)"),
            ("nobody", "Err(Shape)"),
        ] {
            assert_eq!(mailbox(text), expected, "{text}");
        }
    }

    #[test]
    fn reverse_paths() {
        assert_eq!(reverse("", false, None), Ok(ReversePath::Null));
        assert!(reverse("postmaster", false, None).is_err());
        assert_eq!(reverse("jörg@x", false, None), Err(AddressError::NeedsUtf8));
        assert!(reverse("jörg@x", true, None).is_ok());
    }

    #[test]
    fn bare_names_are_understood_where_there_is_an_origin() {
        let read = |text: &str, origin| match forward(text, false, origin) {
            Ok(ForwardPath::Mailbox(m)) => m.as_str().to_owned(),
            other => format!("{other:?}"),
        };
        for (text, here, elsewhere) in [
            ("root", "root@h.example", "Err(Shape)"),
            (r#""a b""#, r#""a b"@h.example"#, "Err(Shape)"),
            ("u@other", "u@other", "u@other"),
            ("postmaster", "Ok(Postmaster)", "Ok(Postmaster)"),
            ("", "Err(Shape)", "Err(Shape)"),
            ("u@", "Err(Shape)", "Err(Shape)"),
        ] {
            assert_eq!(read(text, Some("h.example")), here, "{text}");
            assert_eq!(read(text, None), elsewhere, "{text}");
        }
        assert_eq!(reverse("", false, Some("h.example")), Ok(ReversePath::Null));
        let root = reverse("root", false, Some("h.example")).expect("qualified");
        assert_eq!(root.mailbox().map(Mailbox::as_str), Some("root@h.example"));
    }
}
