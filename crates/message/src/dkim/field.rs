//! The signature field (RFC 6376 section 3.5), composed with folds, its last tag `b=` so that what is hashed of it is simply
//! its beginning.

use super::canon::{Canon, Canons, Raw, push_field};
use super::key::Algorithm;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use posthaste_mail::Timestamp;

/// The name of the field.
pub const NAME: &str = "DKIM-Signature";
/// The most octets of a line that can be folded (RFC 5322 section 2.1.1).
const LINE: usize = 78;
const FOLD: &str = "\r\n\t";

/// What a signature says besides the hashes.
#[derive(Clone, Copy, Debug)]
pub struct Says<'a> {
    /// `a=`
    pub algorithm: Algorithm,
    /// `c=`
    pub canons: Canons,
    /// `d=`
    pub domain: &'a str,
    /// `s=`
    pub selector: &'a str,
    /// `t=`
    pub at: Timestamp,
    /// `x=`: the signature counts no longer.
    pub until: Option<Timestamp>,
}

/// The field up to and including `b=`, without a value.
#[must_use]
pub fn unsigned(says: &Says<'_>, names: &[&str], body_hash: &[u8]) -> String {
    let mut lines = Lines { text: format!("{NAME}:"), column: NAME.len() + 1 };
    let canons = says.canons;
    lines.word(" v=1;");
    lines.word(&format!(" a={};", says.algorithm.as_str()));
    lines.word(&format!(" c={}/{};", canons.header.as_str(), canons.body.as_str()));
    lines.word(&format!(" d={};", says.domain));
    lines.word(&format!(" s={};", says.selector));
    lines.word(&format!(" t={};", seconds(says.at)));
    if let Some(until) = says.until {
        lines.word(&format!(" x={};", seconds(until)));
    }
    for (at, name) in names.iter().enumerate() {
        let start = if at == 0 { " h=" } else { "" };
        let end = if at + 1 == names.len() { ";" } else { ":" };
        lines.word(&format!("{start}{name}{end}"));
    }
    lines.word(&format!(" bh={};", STANDARD.encode(body_hash)));
    lines.text.push_str(FOLD);
    lines.text.push_str("b=");
    lines.text
}

/// The whole field with its line end.
#[must_use]
pub fn signed(unsigned: String, signature: &[u8]) -> String {
    let (mut field, text) = (unsigned, STANDARD.encode(signature));
    // The first line has `b=` and the tab before it, the others a tab.
    let mut room = LINE - 3;
    let mut rest = text.as_str();
    while rest.len() > room {
        let (line, after) = rest.split_at(room);
        field.push_str(line);
        field.push_str(FOLD);
        (rest, room) = (after, LINE - 1);
    }
    field.push_str(rest);
    field.push_str("\r\n");
    field
}

/// The octets whose hash is signed: the chosen fields, then the signature field without the value of `b=` and without its
/// line end (RFC 6376 section 3.7).
#[must_use]
pub fn signed_octets<'a>(
    canon: Canon,
    fields: impl Iterator<Item = Raw<'a>>,
    unsigned: &str,
) -> Vec<u8> {
    let mut octets = Vec::with_capacity(2048);
    for field in fields {
        push_field(canon, field, &mut octets);
        octets.extend_from_slice(b"\r\n");
    }
    push_field(canon, Raw { name: NAME.as_bytes(), lines: unsigned.as_bytes() }, &mut octets);
    octets
}

fn seconds(at: Timestamp) -> u64 {
    at.as_millis() / 1000
}

/// Text broken before words that would not fit.
struct Lines {
    text: String,
    column: usize,
}

impl Lines {
    fn word(&mut self, word: &str) {
        if self.column + word.len() > LINE && self.column > 1 {
            self.text.push_str(FOLD);
            self.column = 1;
            let word = word.trim_start();
            self.text.push_str(word);
            self.column += word.len();
        } else {
            self.text.push_str(word);
            self.column += word.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_folded() {
        let says = Says {
            algorithm: Algorithm::RsaSha256,
            canons: Canons::default(),
            domain: "a-rather-long-name-of-a-department.example.org",
            selector: "s2026",
            at: Timestamp::from_secs(1_795_243_984),
            until: Some(Timestamp::from_secs(1_795_843_984)),
        };
        let names =
            ["From", "From", "To", "Subject", "Content-Transfer-Encoding", "List-Unsubscribe-Post"];
        let field = signed(unsigned(&says, &names, &[7; 32]), &[9; 256]);
        assert_eq!(
            field.lines().take(4).collect::<Vec<_>>(),
            [
                "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;",
                "\td=a-rather-long-name-of-a-department.example.org; s=s2026; t=1795243984;",
                "\tx=1795843984; h=From:From:To:Subject:Content-Transfer-Encoding:",
                "\tList-Unsubscribe-Post; bh=BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=;",
            ]
        );
        assert!(field.lines().all(|line| line.len() <= LINE), "{field}");
        assert!(field.ends_with("CQ==\r\n") || field.ends_with("=\r\n"), "{field}");
        assert_eq!(field.matches("\r\n").count(), field.lines().count());
    }
}
