//! Names as the resolver keys and asks them: A-labels, lower case, no final dot, the root empty.
//!
//! Octets that are no letters, digits, hyphens or underscores are written as `\DDD` (RFC 1035 section 5.1).

use hickory_proto::rr::Name;

/// DNS cannot hold such a name: a label over 63 octets, the whole over 255, an empty label, or characters
/// that IDNA forbids (RFC 1035 section 2.3.4, RFC 5891).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` cannot be a name in DNS")]
pub struct BadName(pub String);

/// The name as it is asked for.
///
/// # Errors
/// [`BadName`], when no such name can exist.
pub fn to_dns(name: &str) -> Result<String, BadName> {
    parse(name).map(|name| text(&name))
}

/// The name as the codec has it.
pub(crate) fn parse(name: &str) -> Result<Name, BadName> {
    let bad = || BadName(name.to_owned());
    let bare = without_final_dot(name);
    let ascii = if bare.is_ascii() {
        bare.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii(bare).map_err(|_| bad())?
    };
    let labels = labels(&ascii).ok_or_else(bad)?;
    let mut parsed = Name::from_labels(labels).map_err(|_| bad())?;
    parsed.set_fqdn(true);
    Ok(parsed)
}

/// The name in text.
pub(crate) fn text(name: &Name) -> String {
    let mut text = String::with_capacity(name.len());
    for label in name.iter() {
        if !text.is_empty() {
            text.push('.');
        }
        for &octet in label {
            match octet {
                b'.' | b'\\' => text.extend(['\\', char::from(octet)]),
                b'!'..=b'~' => text.push(char::from(octet.to_ascii_lowercase())),
                other => text.push_str(&format!("\\{other:03}")),
            }
        }
    }
    text
}

/// An escaped dot at the end belongs to the last label.
fn without_final_dot(name: &str) -> &str {
    match name.strip_suffix('.') {
        Some(bare) if (bare.len() - bare.trim_end_matches('\\').len()).is_multiple_of(2) => bare,
        _ => name,
    }
}

/// The octets of each label; `None` when a label is empty or an escape is not complete.
fn labels(name: &str) -> Option<Vec<Vec<u8>>> {
    if name.is_empty() {
        return Some(Vec::new());
    }
    let mut labels = vec![Vec::new()];
    let mut rest = name.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        match octet {
            b'.' => labels.push(Vec::new()),
            b'\\' => {
                let (value, taken) = escaped(rest)?;
                labels.last_mut()?.push(value);
                rest = &rest[taken..];
            }
            other => labels.last_mut()?.push(other),
        }
    }
    labels.iter().all(|label| !label.is_empty()).then_some(labels)
}

/// What follows a backslash: three digits or any other octet; its value, and how much it takes.
fn escaped(rest: &[u8]) -> Option<(u8, usize)> {
    match rest {
        [a, b, c, ..] if [a, b, c].iter().all(|d| d.is_ascii_digit()) => {
            let value = [a, b, c].iter().fold(0u16, |n, d| n * 10 + u16::from(**d - b'0'));
            Some((u8::try_from(value).ok()?, 3))
        }
        [other, ..] if !other.is_ascii_digit() => Some((*other, 1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_asked_in_one_form() {
        for (given, asked) in [
            ("Example.ORG.", "example.org"),
            ("münchen.de", "xn--mnchen-3ya.de"),
            ("_25._tcp.mx.example", "_25._tcp.mx.example"),
            ("*.example", "*.example"),
            ("", ""),
            (".", ""),
            (r"a\.b.example", r"a\.b.example"),
            (r"a\.", r"a\."),
            (r"a\..", r"a\."),
            (r"a\\.", r"a\\"),
        ] {
            assert_eq!(to_dns(given).as_deref(), Ok(asked), "{given}");
        }
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = "abcdefgh.".repeat(29);
        for bad in ["a..b", ".a", r"a\", r"a\1", r"a\256", &long_label, &long_name] {
            assert_eq!(to_dns(bad), Err(BadName(bad.into())));
        }
    }

    #[test]
    fn unusual_octets_survive_the_way_to_text_and_back() {
        let odd = Name::from_labels([&b"a b"[..], b"x\xffy", b"dot.dot", b"back\\slash"]).unwrap();
        let text = text(&odd);
        assert_eq!(text, r"a\032b.x\255y.dot\.dot.back\\slash");
        assert!(parse(&text).unwrap().eq_ignore_root(&odd));
    }
}
