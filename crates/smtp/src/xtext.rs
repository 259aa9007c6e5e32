//! Encodings of DSN parameters: xtext (RFC 3461 section 4) and utf-8-addr-xtext (RFC 6533 section 3).
//!
//! Not here: which parameter uses which, and its limits (`server::params`, `client::transaction`).

use std::fmt::Write as _;

/// The value is not in the encoding it claims; the client must correct the parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the value is not valid xtext")]
pub struct BadXtext;

/// Decodes xtext: `+HH` stands for an octet. The result must be printable ASCII, or UTF-8 when `utf8`.
///
/// # Errors
/// [`BadXtext`] for a stray `+` or `=`, a control character, or octets beyond what is allowed.
pub fn decode(text: &str, utf8: bool) -> Result<String, BadXtext> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        match octet {
            b'+' => octets.push((hex(rest.next())? << 4) | hex(rest.next())?),
            b'=' | 0..=b' ' | 0x7f => return Err(BadXtext),
            _ => octets.push(octet),
        }
    }
    let decoded = String::from_utf8(octets).map_err(|_| BadXtext)?;
    let fine = |c: char| !c.is_control() && (utf8 || c.is_ascii());
    if decoded.chars().all(fine) { Ok(decoded) } else { Err(BadXtext) }
}

/// Encodes as xtext: everything but printable ASCII, and `+`, `=` and blanks, becomes `+HH`.
pub fn encode(text: &str, out: &mut Vec<u8>) {
    for octet in text.bytes() {
        if matches!(octet, b'!'..=b'~') && octet != b'+' && octet != b'=' {
            out.push(octet);
        } else {
            push_hex(octet, out);
        }
    }
}

/// Decodes the address of `ORCPT=utf-8;`, in any of its two forms: `\x{HEX}` stands for a character, others for
/// themselves; `+HH` is understood as well, because the whole may have travelled as xtext.
///
/// # Errors
/// [`BadXtext`] for a malformed escape or a control character.
pub fn decode_utf8_address(text: &str) -> Result<String, BadXtext> {
    let mut decoded = String::with_capacity(text.len());
    let plain = decode(text, true)?;
    let mut rest = plain.as_str();
    while let Some(escape) = rest.find('\\') {
        decoded.push_str(&rest[..escape]);
        let inner = rest[escape..].strip_prefix("\\x{").ok_or(BadXtext)?;
        let (digits, after) = inner.split_once('}').ok_or(BadXtext)?;
        decoded.push(embedded_char(digits)?);
        rest = after;
    }
    decoded.push_str(rest);
    Ok(decoded)
}

/// Encodes an address for `ORCPT=utf-8;`. As utf-8-addr-unitext when the peer takes SMTPUTF8, else in pure ASCII.
pub fn encode_utf8_address(address: &str, peer_takes_utf8: bool, out: &mut Vec<u8>) {
    for c in address.chars() {
        let plain = matches!(c, '!'..='~') && !matches!(c, '+' | '=' | '\\');
        if plain || (!c.is_ascii() && peer_takes_utf8) {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            let mut escape = String::with_capacity(12);
            write!(escape, "\\x{{{:X}}}", u32::from(c)).expect("writing to a string never fails");
            out.extend_from_slice(escape.as_bytes());
        }
    }
}

fn embedded_char(digits: &str) -> Result<char, BadXtext> {
    if !(2..=6).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(BadXtext);
    }
    let code = u32::from_str_radix(digits, 16).map_err(|_| BadXtext)?;
    char::from_u32(code).filter(|c| !c.is_control()).ok_or(BadXtext)
}

/// RFC 3461 wants upper case digits; senders of lower case exist and mean the same.
fn hex(digit: Option<u8>) -> Result<u8, BadXtext> {
    let value = char::from(digit.ok_or(BadXtext)?).to_digit(16).ok_or(BadXtext)?;
    u8::try_from(value).map_err(|_| BadXtext)
}

fn push_hex(octet: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push(b'+');
    out.push(DIGITS[usize::from(octet >> 4)]);
    out.push(DIGITS[usize::from(octet & 15)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext_goes_both_ways() {
        for (plain, coded) in
            [("QQ314159", "QQ314159"), ("a+b=c d", "a+2Bb+3Dc+20d"), ("jörg", "j+C3+B6rg")]
        {
            let mut out = Vec::new();
            encode(plain, &mut out);
            assert_eq!(out, coded.as_bytes());
            assert_eq!(decode(coded, true).as_deref(), Ok(plain));
        }
        assert_eq!(decode("a+2bb", false).as_deref(), Ok("a+b"));
        for bad in ["a+", "a+2", "a+2G", "a=b", "a b", "+0D+0A", "+00", "j+C3+B6rg", "+E4", "ä"] {
            assert_eq!(decode(bad, false), Err(BadXtext), "{bad}");
        }
    }

    #[test]
    fn utf8_addresses_go_both_ways() {
        for (plain, ascii, unitext) in [
            ("jörg@münchen.de", r"j\x{F6}rg@m\x{FC}nchen.de", "jörg@münchen.de"),
            (r"a\b+c", r"a\x{5C}b\x{2B}c", r"a\x{5C}b\x{2B}c"),
        ] {
            for (utf8, coded) in [(false, ascii), (true, unitext)] {
                let mut out = Vec::new();
                encode_utf8_address(plain, utf8, &mut out);
                assert_eq!(String::from_utf8_lossy(&out), coded);
                assert_eq!(decode_utf8_address(coded).as_deref(), Ok(plain));
            }
        }
        for bad in [r"\", r"\x{}", r"\x{D800}", r"\x{0A}", r"\x{F6", r"\y{F6}", r"\x{1234567}"] {
            assert_eq!(decode_utf8_address(bad), Err(BadXtext), "{bad}");
        }
    }
}
