//! MIME as far as mail that is read needs it (RFC 2045, RFC 2046): an entity's type and parts, tolerant of what real servers
//! send, and bounded.
//!
//! Not here: what the parts mean; composing.

pub mod charset;
mod content_type;
mod transfer;

pub(crate) use content_type::ContentType;

use crate::encoded::Charset;
use crate::header;
use content_type::MAX_VALUE;
use memchr::memchr_iter;
use std::borrow::Cow;
use transfer::Encoding;

/// Multiparts within multiparts that are opened; what lies deeper is one part.
pub const MAX_DEPTH: usize = 12;
/// Parts that are looked at in one message.
pub const MAX_PARTS: usize = 256;

/// A message, or one part of it.
#[derive(Clone, Debug)]
pub struct Entity<'a> {
    /// All of it.
    pub octets: &'a [u8],
    /// The header section with the empty line behind it.
    pub header: &'a [u8],
    /// What follows, its transfer encoding not undone.
    pub body: &'a [u8],
    /// `type/subtype` in lower case; `None` where none is given.
    pub media_type: Option<String>,
    boundary: Option<String>,
    charset: Option<String>,
    encoding: Encoding,
}

impl<'a> Entity<'a> {
    /// Takes a message or a part asunder: header and body.
    #[must_use]
    pub fn of(octets: &'a [u8]) -> Self {
        let header = header::section(octets);
        let mut entity = Self {
            octets,
            header,
            body: &octets[header.len()..],
            media_type: None,
            boundary: None,
            charset: None,
            encoding: Encoding::None,
        };
        let (mut typed, mut encoded) = (false, false);
        for field in header::fields(header) {
            if !typed && field.is("Content-Type") {
                typed = true;
                entity.read_type(field);
            } else if !encoded && field.is("Content-Transfer-Encoding") {
                encoded = true;
                entity.encoding = Encoding::named(&field.unfolded());
            }
        }
        entity
    }

    /// True when this is its media type; lower case.
    #[must_use]
    pub fn is(&self, media_type: &str) -> bool {
        self.media_type.as_deref() == Some(media_type)
    }

    /// True for text without a type too (RFC 2045 section 5.2).
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.media_type.as_deref().is_none_or(|kind| kind.starts_with("text/") || kind == "text")
    }

    /// A `multipart/` type was given.
    #[must_use]
    pub fn is_multipart(&self) -> bool {
        self.media_type.as_deref().is_some_and(|kind| kind.starts_with("multipart"))
    }

    /// It is base64 or quoted-printable.
    #[must_use]
    pub fn is_encoded(&self) -> bool {
        self.encoding != Encoding::None
    }

    /// The body with its transfer encoding undone, at most so many octets.
    #[must_use]
    pub fn content(&self, limit: usize) -> Cow<'a, [u8]> {
        self.encoding.undone(self.body, limit)
    }

    /// The body as text with LF line ends, at most so many octets of it.
    #[must_use]
    pub fn text(&self, limit: usize) -> String {
        let octets = self.content(limit);
        let text = match self.charset.as_deref() {
            Some(name) if Charset::named(name.as_bytes()).is_some() => {
                charset::read(Some(name), &octets)
            }
            _ => charset::from_unknown(&octets),
        };
        text.replace("\r\n", "\n")
    }

    /// The parts, in order, multiparts within them opened; the entity itself when it has none. At most `left` of them,
    /// which is counted down.
    #[must_use]
    pub fn leaves(&self, left: &mut usize) -> Vec<Entity<'a>> {
        let mut leaves = Vec::new();
        self.collect(0, left, &mut leaves);
        leaves
    }

    /// The parts behind a boundary that is not the multipart's own, where there should be none.
    #[must_use]
    pub fn strays(&self) -> Vec<Entity<'a>> {
        guessed(self.octets).map_or_else(Vec::new, |own| divided(self.octets, own, MAX_PARTS))
    }

    fn collect(&self, depth: usize, left: &mut usize, leaves: &mut Vec<Entity<'a>>) {
        let parts = if depth < MAX_DEPTH { self.parts(*left) } else { Vec::new() };
        if parts.is_empty() && *left > 0 {
            *left -= 1;
            leaves.push(self.clone());
        }
        for part in parts {
            part.collect(depth + 1, left, leaves);
        }
    }

    /// The parts of a multipart. Where its boundary is not found, what looks like one is taken for it.
    fn parts(&self, limit: usize) -> Vec<Entity<'a>> {
        if !self.is_multipart() {
            return Vec::new();
        }
        let given = self.boundary.as_deref().map(str::as_bytes);
        let parts = given.map_or_else(Vec::new, |boundary| divided(self.body, boundary, limit));
        match (parts.is_empty(), guessed(self.body)) {
            (true, Some(boundary)) => divided(self.body, boundary, limit),
            _ => parts,
        }
    }

    /// Where in the body the parts of a multipart begin and end, by its own boundary only.
    pub(crate) fn places(&self) -> Vec<(usize, usize)> {
        let boundary = self.boundary.as_deref().filter(|_| self.is_multipart());
        boundary.map_or_else(Vec::new, |boundary| places(self.body, boundary.as_bytes(), MAX_PARTS))
    }

    fn read_type(&mut self, field: header::Field<'_>) {
        let kind = ContentType::of(field);
        self.boundary = kind.parameter("boundary");
        self.charset = kind.parameter("charset");
        self.media_type = kind.media_type;
    }
}

/// What stands between the lines with the boundary (RFC 2046 section 5.1.1). The last part may lack its end; the line end
/// before a boundary belongs to it.
fn divided<'a>(body: &'a [u8], boundary: &[u8], limit: usize) -> Vec<Entity<'a>> {
    let places = places(body, boundary, limit);
    places.into_iter().map(|(start, end)| Entity::of(&body[start..end])).collect()
}

fn places(body: &[u8], boundary: &[u8], limit: usize) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    let mut open = None;
    for (start, end) in lines(body) {
        let Some(closing) = delimiter(&body[start..end], boundary) else { continue };
        if let Some(from) = open {
            let part = without_line_end(&body[from..start.max(from)]);
            parts.push((from, from + part.len()));
        }
        open = (!closing).then_some(end);
        if closing || parts.len() >= limit {
            open = None;
            break;
        }
    }
    if let Some(from) = open.filter(|&from| from < body.len()) {
        parts.push((from, body.len()));
    }
    parts
}

/// Whether the line is the boundary, and if so whether it is the closing one.
fn delimiter(line: &[u8], boundary: &[u8]) -> Option<bool> {
    let rest = line.strip_prefix(b"--")?.strip_prefix(boundary)?;
    match rest.trim_ascii_end() {
        b"" => Some(false),
        rest if rest.starts_with(b"--") => Some(true),
        _ => None,
    }
}

/// The first line that begins with `--` and has a `Content-` field, or an empty line, behind it.
fn guessed(body: &[u8]) -> Option<&[u8]> {
    let mut before: Option<&[u8]> = None;
    for (start, end) in lines(body) {
        let line = body[start..end].trim_ascii_end();
        let field = line.get(..8).is_some_and(|name| name.eq_ignore_ascii_case(b"content-"));
        if let Some(boundary) = before.filter(|_| field) {
            return Some(boundary);
        }
        let fits = line.len() > 2 && line.len() <= MAX_VALUE && !line.contains(&b' ');
        before = line.strip_prefix(b"--").filter(|_| fits);
    }
    None
}

/// Start and end of each line, line end included.
fn lines(octets: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut start = 0;
    let ends = memchr_iter(b'\n', octets).map(|lf| lf + 1);
    let tail = octets.last().is_some_and(|&b| b != b'\n').then_some(octets.len());
    ends.chain(tail).map(move |end| (std::mem::replace(&mut start, end), end))
}

fn without_line_end(octets: &[u8]) -> &[u8] {
    let octets = octets.strip_suffix(b"\n").unwrap_or(octets);
    octets.strip_suffix(b"\r").unwrap_or(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(message: &str) -> Vec<(Option<String>, String)> {
        let message = message.replace('\n', "\r\n");
        let mut left = MAX_PARTS;
        let parts = Entity::of(message.as_bytes()).leaves(&mut left);
        parts.iter().map(|part| (part.media_type.clone(), part.text(1000))).collect()
    }

    fn leaf(kind: &str, text: &str) -> (Option<String>, String) {
        ((!kind.is_empty()).then(|| kind.to_owned()), text.to_owned())
    }

    #[test]
    fn parts_in_order() {
        let nested = "Content-Type: multipart/mixed; charset=x; boundary=\"a b\\\"\"\n\npreamble\n--a b\"\n\
            Content-Type: Multipart/Alternative;\n boundary=inner\n\n--inner\n\none\n--innermost\n--inner\n\
            Content-Type: text/html\n\n<p>\n\n--inner--\n\n--a b\" \nContent-Type: message/rfc822\n\nSubject: x\n\nbody\n\
            --a b\"--\nepilogue\n--a b\"\n\nnever\n";
        assert_eq!(
            leaves(nested),
            [
                leaf("", "one\n--innermost"),
                leaf("text/html", "<p>\n"),
                leaf("message/rfc822", "Subject: x\n\nbody"),
            ]
        );
    }

    #[test]
    fn what_real_servers_send() {
        for (message, expected) in [
            ("", vec![leaf("", "")]),
            ("Subject: x\n\nplain", vec![leaf("", "plain")]),
            (
                "Content-Type: multipart/report\n\n--b\nContent-Type: text/plain\n\na\n--b\n\nb\n",
                vec![leaf("text/plain", "a"), leaf("", "b\n")],
            ),
            (
                "Content-Type: multipart/report; boundary=wrong\n\n--b\ncontent-id: 1\n\na\n--b--\n",
                vec![leaf("", "a")],
            ),
            (
                "Content-Type: multipart/report; boundary=b\n\nno boundary at all\n",
                vec![leaf("multipart/report", "no boundary at all\n")],
            ),
            (
                "Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n--b--\n",
                vec![leaf("", ""), leaf("", "")],
            ),
            (
                "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\na=E4=\n b=20\n",
                vec![leaf("text/plain", "aä b \n")],
            ),
            (
                "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: BASE64\n\nw6TD\ntg==\n",
                vec![leaf("text/plain", "äö")],
            ),
        ] {
            assert_eq!(leaves(message), expected, "{message}");
        }
    }

    #[test]
    fn a_flood_of_parts_and_depths_ends_at_the_limits() {
        let flood =
            format!("Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\nx\n".repeat(3000));
        assert_eq!(leaves(&flood).len(), MAX_PARTS);
        let mut deep = String::new();
        for level in 0..200 {
            deep.push_str(&format!(
                "Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"
            ));
        }
        assert_eq!(leaves(&deep).len(), 1);
    }
}
