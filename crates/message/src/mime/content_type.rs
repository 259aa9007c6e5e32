//! The value of a `Content-Type:` (RFC 2045 section 5.1): the type and its parameters, with comments (RFC 5322 section 3.2.2)
//! and with parameters that are divided or encoded (RFC 2231), tolerant of what real servers send, and bounded.

use crate::header;
use std::collections::BTreeMap;

/// Parameters that are read, pieces of divided ones counted each.
const MAX_PARAMETERS: usize = 16;
/// Octets of the field that are read.
const MAX_FIELD: usize = 4 * 1024;
/// Octets of a parameter (RFC 2046 section 5.1.1 allows 70 for boundaries; real ones go beyond).
pub(super) const MAX_VALUE: usize = 256;

/// What a `Content-Type:` says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ContentType {
    /// `type/subtype` in lower case; `None` where none is given.
    pub(crate) media_type: Option<String>,
    /// Names in lower case.
    parameters: Vec<(String, String)>,
}

impl ContentType {
    pub(crate) fn of(field: header::Field<'_>) -> Self {
        let value = &field.value[..field.value.len().min(MAX_FIELD)];
        let unfolded = header::Field { name: field.name, value }.unfolded();
        let text = without_comments(&String::from_utf8_lossy(&unfolded));
        let (kind, rest) = text.split_once(';').unwrap_or((&text, ""));
        let kind: Vec<String> =
            kind.split('/').map(|part| part.trim().to_ascii_lowercase()).collect();
        let kind = kind.join("/");
        let parameters = Parameters(rest).take(MAX_PARAMETERS);
        let fits = |(_, value): &(String, String)| !value.is_empty() && value.len() <= MAX_VALUE;
        let parameters = parameters.map(|(name, value)| (name.to_ascii_lowercase(), value));
        Self {
            media_type: (!kind.is_empty()).then_some(kind),
            parameters: parameters.filter(fits).collect(),
        }
    }

    /// The first parameter of this name, in lower case; encoded ones decoded, divided ones put together.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        if let Some((_, value)) = self.parameters.iter().find(|(known, _)| known == name) {
            return Some(value.clone());
        }
        let mut pieces = BTreeMap::new();
        for (known, value) in &self.parameters {
            let Some(place) = known.strip_prefix(name).and_then(|rest| rest.strip_prefix('*'))
            else {
                continue;
            };
            let (place, encoded) =
                place.strip_suffix('*').map_or((place, place.is_empty()), |p| (p, true));
            let place: usize = if place.is_empty() { 0 } else { place.parse().ok()? };
            let value = if encoded { decoded(value, place == 0) } else { value.clone().into() };
            pieces.entry(place).or_insert(value);
        }
        let whole = pieces.into_values().flatten().collect::<Vec<u8>>();
        (!whole.is_empty()).then(|| String::from_utf8_lossy(&whole).into_owned())
    }
}

/// RFC 2231 section 4; the first piece begins with character set and language.
fn decoded(value: &str, first: bool) -> Vec<u8> {
    let text = if first { value.splitn(3, '\'').last().unwrap_or(value) } else { value };
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [octet, after @ ..] = rest {
        let hex = |at: usize| after.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (octet, hex(0), hex(1)) {
            octets.extend(u8::try_from(high * 16 + low));
            rest = &after[2..];
        } else {
            octets.push(*octet);
            rest = after;
        }
    }
    octets
}

/// Each comment becomes a blank; one that does not end is none.
fn without_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '('
            && !quoted
            && let Some(end) = comment_end(rest)
        {
            plain.push(' ');
            rest = &rest[end..];
            continue;
        }
        if c == '(' && !quoted {
            plain.push_str(rest);
            break;
        }
        plain.push(c);
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        rest = &rest[c.len_utf8()..];
    }
    plain
}

/// The index after the comment that starts the text.
fn comment_end(text: &str) -> Option<usize> {
    let (mut depth, mut escaped) = (0usize, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '(' => depth += 1,
            ')' if depth == 1 => return Some(at + 1),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// `name=value; name="quoted \" value"`.
struct Parameters<'a>(&'a str);

impl Iterator for Parameters<'_> {
    type Item = (String, String);

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.0.trim_start_matches([';', ' ', '\t']);
        let (name, rest) = text.split_once('=')?;
        let rest = rest.trim_start();
        let (value, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => {
                let end = rest.find(';').unwrap_or(rest.len());
                (rest[..end].trim().to_owned(), &rest[end..])
            }
        };
        self.0 = after;
        Some((name.trim().to_owned(), value))
    }
}

fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return (value, &text[at + 1..]),
            c => {
                escaped = false;
                value.push(c);
            }
        }
    }
    (value, "")
}
