//! A small reader of MIME (RFC 2045, RFC 2046), written apart from the product's own: the leaves of a message, decoded.
//!
//! For messages that are well-formed; what is not is seen as one leaf, which no checker takes for a notice.

/// A part that has no parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// Its media type in lower case, without parameters.
    pub kind: String,
    /// Its content, decoded, invalid UTF-8 replaced.
    pub text: String,
}

/// How deep parts are looked for in parts.
const DEPTH: usize = 8;

/// The leaves of a message in order. Attached messages are leaves.
#[must_use]
pub fn leaves(content: &[u8]) -> Vec<Leaf> {
    let mut found = Vec::new();
    walk(&String::from_utf8_lossy(content), DEPTH, &mut found);
    found
}

fn walk(entity: &str, depth: usize, found: &mut Vec<Leaf>) {
    let (head, body) = entity.split_once("\r\n\r\n").unwrap_or((entity, ""));
    let head = format!("\r\n{head}").replace("\r\n ", " ").replace("\r\n\t", " ");
    let field = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let kind = field("Content-Type").unwrap_or("text/plain");
    let bare = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if bare.starts_with("multipart/") && depth > 0 {
        let boundary = kind.split("boundary=").nth(1).unwrap_or_default();
        let boundary = boundary.split(';').next().unwrap_or_default().trim().trim_matches('"');
        for part in parts(body, boundary) {
            walk(part, depth - 1, found);
        }
        return;
    }
    let encoding = field("Content-Transfer-Encoding").unwrap_or_default().to_ascii_lowercase();
    let text = match encoding.as_str() {
        "quoted-printable" => quoted_printable(body),
        "base64" => base64(body),
        _ => body.to_owned(),
    };
    found.push(Leaf { kind: bare, text });
}

/// What stands between the lines of this boundary (RFC 2046 section 5.1.1).
fn parts<'a>(body: &'a str, boundary: &str) -> Vec<&'a str> {
    let line = format!("--{boundary}");
    let inner = body.split(line.as_str()).skip(1).take_while(|part| !part.starts_with("--"));
    let bare = |part: &'a str| part.strip_prefix("\r\n").unwrap_or(part);
    inner.map(bare).map(|part| part.strip_suffix("\r\n").unwrap_or(part)).collect()
}

/// RFC 2045 section 6.7.
fn quoted_printable(text: &str) -> String {
    let joined = text.replace("=\r\n", "");
    let mut octets = Vec::with_capacity(joined.len());
    let mut rest = joined.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        let hex = (octet == b'=').then(|| after.get(..2)).flatten();
        let value = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        match value.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) => {
                octets.push(value);
                rest = &after[2..];
            }
            None => {
                octets.push(octet);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// RFC 2045 section 6.8; other characters are skipped.
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut octets, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for value in text.bytes().filter_map(|octet| DIGITS.iter().position(|d| *d == octet)) {
        bits = (bits << 6 | u32::try_from(value).unwrap_or(0)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            octets.push(u8::try_from(bits >> held & 0xff).unwrap_or(0));
        }
    }
    String::from_utf8_lossy(&octets).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_in_parts_are_found_and_decoded() {
        let message = "Subject: x\r\nContent-Type: Multipart/Report; report-type=delivery-status;\r\n\tboundary=\"o.1\"\r\n\r\npreamble\r\n\
            --o.1\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
            gr=C3=BC=\r\n=C3=9Fe=\r\n!\r\n--i\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+w7w8\r\nL2I+\r\n--i--\r\n\r\n\
            --o.1\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; a\r\n\r\nAction: failed\r\n\r\n--o.1--\r\n";
        let leaf = |kind: &str, text: &str| Leaf { kind: kind.into(), text: text.into() };
        assert_eq!(
            leaves(message.as_bytes()),
            [
                leaf("text/plain", "grüße!"),
                leaf("text/html", "<b>ü</b>"),
                leaf("message/delivery-status", "Reporting-MTA: dns; a\r\n\r\nAction: failed\r\n"),
            ]
        );
    }
}
