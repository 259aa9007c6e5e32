//! Typed values of a report: `rfc822; bob@example.net`, `dns; mx.example.net`, `smtp; 550 5.1.1 no such user` (RFC 3464
//! section 2.1.2), and addresses beyond ASCII in the three forms of RFC 6533 section 3.
//!
//! Not here: the parameters of RCPT, which have an encoding of their own around it (`smtp::xtext`).

use super::writing::Form;
use posthaste_mail::{EnhancedStatus, Reply};
use std::fmt::Write;

/// A value and its type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Typed {
    /// As written; empty where the type was left out. Case does not matter: see [`Typed::is`].
    pub kind: String,
    /// The value. Of addresses of the type `utf-8` the characters themselves, whatever form they had.
    pub value: String,
}

impl Typed {
    /// A value of this type.
    #[must_use]
    pub fn new(kind: &str, value: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), value: value.into() }
    }

    /// Reads `type; value`. Where no type stands in front, all of it is the value.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let atom = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"[]".contains(c);
        match text.split_once(';') {
            Some((kind, value)) if !kind.trim().is_empty() && kind.trim().chars().all(atom) => {
                Self::new(kind.trim(), value.trim())
            }
            _ => Self::new("", text.trim()),
        }
    }

    /// An address of an envelope: `rfc822`, or `utf-8` when it has characters beyond ASCII (RFC 6533 section 3).
    #[must_use]
    pub fn of_address(address: &str) -> Self {
        Self::new(if address.is_ascii() { "rfc822" } else { "utf-8" }, address)
    }

    /// A diagnostic code of type `smtp`: each line of the reply with its code and status, as they came (RFC 3461
    /// section 9.2).
    #[must_use]
    pub fn of_reply(reply: &Reply) -> Self {
        let mut text = String::new();
        let status = reply.enhanced.map(|status| status.to_string()).unwrap_or_default();
        for (number, words) in reply.lines.iter().enumerate() {
            let last = number + 1 == reply.lines.len();
            let blank = if text.is_empty() { "" } else { " " };
            let mark = if last { ' ' } else { '-' };
            write!(text, "{blank}{:03}{mark}{status}", reply.code)
                .expect("a string takes every write");
            if !status.is_empty() && !words.is_empty() {
                text.push(' ');
            }
            text.push_str(words);
        }
        Self::new("smtp", text.trim_end())
    }

    /// True when the type has this name.
    #[must_use]
    pub fn is(&self, kind: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind)
    }

    /// The bare address: without the angle brackets, the comment behind it, and the `SMTP:` that some write around it.
    #[must_use]
    pub fn address(&self) -> &str {
        let value = self.value.trim();
        if let Some(start) = value.find('<')
            && let Some(end) = value[start..].find('>')
            && !value.starts_with('"')
        {
            return value[start + 1..start + end].trim();
        }
        let value = match value.find(" (") {
            Some(comment) if value.ends_with(')') => value[..comment].trim_end(),
            _ => value,
        };
        let smtp = value.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("smtp:"));
        if smtp { &value[5..] } else { value }
    }

    /// The reply that a diagnostic code of type `smtp` (or none) holds, when it begins with one: `550 5.1.1 no such user`, and of several lines
    /// `550-5.1.1 no 550 5.1.1 such user`.
    #[must_use]
    pub fn reply(&self) -> Option<Reply> {
        if !["", "smtp", "lmtp"].iter().any(|kind| self.is(kind)) {
            return None;
        }
        let (code, more, first) = line(self.value.trim())?;
        let (enhanced, text) = status(first);
        let mut lines = Vec::new();
        let mut rest = text;
        let mut more = more;
        while more {
            let Some((before, last, after)) = next_line(rest, code, enhanced) else { break };
            lines.push(single_blanks(before));
            rest = after;
            more = !last;
        }
        lines.push(single_blanks(rest));
        Some(Reply { code, enhanced, lines })
    }

    /// As it stands behind the name of an address field.
    pub(super) fn written_address(&self, form: Form) -> String {
        let value = if self.is("utf-8") { embed(&self.value, form) } else { self.value.clone() };
        joined(&self.kind, &value)
    }

    pub(super) fn written(&self) -> String {
        joined(&self.kind, &self.value)
    }
}

/// Many servers indent the lines that they fold.
fn single_blanks(text: &str) -> String {
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn joined(kind: &str, value: &str) -> String {
    if kind.is_empty() { value.to_owned() } else { format!("{kind}; {value}") }
}

/// Code, whether more lines follow, and the text.
fn line(text: &str) -> Option<(u16, bool, &str)> {
    let (digits, rest) = text.split_at_checked(3)?;
    let code = digits.parse::<u16>().ok().filter(|code| (200..600).contains(code))?;
    match rest.as_bytes().first() {
        None => Some((code, false, "")),
        Some(b' ') => Some((code, false, rest[1..].trim_start())),
        Some(b'-') => Some((code, true, rest[1..].trim_start())),
        _ => None,
    }
}

fn status(text: &str) -> (Option<EnhancedStatus>, &str) {
    match EnhancedStatus::split(text.as_bytes()) {
        Some((status, rest)) => (Some(status), &text[text.len() - rest.len()..]),
        None => (None, text),
    }
}

/// What stands before the next ` 550-5.1.1 ` or ` 550 5.1.1 `, whether that begins the last line, and what follows it.
fn next_line(
    text: &str,
    code: u16,
    enhanced: Option<EnhancedStatus>,
) -> Option<(&str, bool, &str)> {
    // The text of a line may be empty: then the mark follows at once.
    let mark = format!("{code:03}");
    for (at, _) in text.match_indices(&mark) {
        if at > 0 && !text[..at].ends_with(' ') {
            continue;
        }
        let Some((_, more, after)) = line(&text[at..]) else { continue };
        let (found, words) = status(after);
        if enhanced.is_none() || found == enhanced {
            let words = if enhanced.is_none() { after } else { words };
            let before = text[..at].strip_suffix(' ').unwrap_or(&text[..at]);
            return Some((before, !more, words));
        }
    }
    None
}

/// RFC 6533 section 3: in a part of 8-bit text the address itself (`utf-8-address`), or where it has a backslash, which
/// would begin an escape, `utf-8-addr-unitext`; in a 7-bit part `utf-8-addr-xtext`.
pub(crate) fn embed(address: &str, form: Form) -> String {
    let plain = form == Form::Global && !address.contains('\\');
    let mut out = String::with_capacity(address.len());
    for c in address.chars() {
        let kept = match form {
            _ if plain => true,
            Form::Global => !matches!(c, '+' | '=' | '\\' | ' '),
            Form::SevenBit => c.is_ascii_graphic() && !matches!(c, '+' | '=' | '\\'),
        };
        if kept && !c.is_control() {
            out.push(c);
        } else {
            write!(out, "\\x{{{:02X}}}", u32::from(c)).expect("a string takes every write");
        }
    }
    out
}

/// `\x{HEX}` becomes the character it stands for; what is no such escape, or stands for a control character, stays.
pub(crate) fn unembed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\x{") {
        out.push_str(&rest[..at]);
        let inner = &rest[at + 3..];
        match inner.find('}').and_then(|end| Some((character(&inner[..end])?, end))) {
            Some((c, end)) => {
                out.push(c);
                rest = &inner[end + 1..];
            }
            None => {
                out.push_str("\\x{");
                rest = inner;
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(digits: &str) -> Option<char> {
    let hex = (2..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let code = u32::from_str_radix(digits, 16).ok().filter(|_| hex)?;
    char::from_u32(code).filter(|c| !c.is_control())
}
