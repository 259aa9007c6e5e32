//! Transfer encodings undone (RFC 2045 section 6), tolerant: what is not in the alphabet is passed over or stays.

use crate::encoded;
use std::borrow::Cow;

/// How a body travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Encoding {
    /// 7bit, 8bit, binary, and what is not known.
    None,
    Base64,
    QuotedPrintable,
}

impl Encoding {
    pub(super) fn named(name: &[u8]) -> Self {
        match name.trim_ascii() {
            name if name.eq_ignore_ascii_case(b"base64") => Self::Base64,
            name if name.eq_ignore_ascii_case(b"quoted-printable") => Self::QuotedPrintable,
            _ => Self::None,
        }
    }

    /// At most `limit` octets of the result.
    pub(super) fn undone(self, body: &[u8], limit: usize) -> Cow<'_, [u8]> {
        let within = |times: usize| &body[..body.len().min(limit.saturating_mul(times))];
        let mut out = Vec::new();
        match self {
            Self::None => return Cow::Borrowed(within(1)),
            Self::Base64 => encoded::base64(within(2), &mut out),
            Self::QuotedPrintable => quoted_printable(within(3), &mut out),
        }
        out.truncate(limit);
        Cow::Owned(out)
    }
}

fn quoted_printable(text: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(&octet) = text.get(at) {
        let rest = &text[at + 1..];
        if octet == b'='
            && let Some(length) = soft_end(rest)
        {
            at += 1 + length;
            continue;
        }
        let digits = rest.get(..2).filter(|_| octet == b'=');
        match digits.and_then(|d| encoded::hex_pair(d[0], d[1])) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(octet);
                at += 1;
            }
        }
    }
}

/// Blanks may stand before a soft line end.
fn soft_end(rest: &[u8]) -> Option<usize> {
    let blank = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    match &rest[blank..] {
        [b'\r', b'\n', ..] => Some(blank + 2),
        [b'\n', ..] => Some(blank + 1),
        [] => Some(blank),
        _ => None,
    }
}
