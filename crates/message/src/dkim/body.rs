//! The hash of a body in its canonical form (RFC 6376 sections 3.4.3 and 3.4.4), computed while the body comes in.
//!
//! Not here: `l=`, which lets anybody add to a message; it is never made.

use super::canon::Canon;
use aws_lc_rs::digest::{Context, SHA256};
use memchr::{memchr, memchr3};

/// Canonical octets are gathered up to this size before they are hashed.
const GATHERED: usize = 8 * 1024;
const CRLF: &[u8] = b"\r\n";

/// Octets of SHA-256.
pub const HASH: usize = 32;

/// SHA-256 of a body's canonical form. Any cut of the same octets gives the same hash.
///
/// A line ends with CRLF; a CR or LF alone is content.
#[derive(Clone)]
pub struct BodyHash {
    canon: Canon,
    hash: Context,
    gathered: Vec<u8>,
    /// Line ends that count only when something follows: empty lines at the end do not.
    line_ends: u64,
    /// Blanks that count, as one, only when something follows in their line (relaxed).
    blank: bool,
    /// The last octet was CR, and whether it ends a line is not known yet.
    cr: bool,
    /// Something was hashed.
    any: bool,
}

impl std::fmt::Debug for BodyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BodyHash").field("canon", &self.canon).finish_non_exhaustive()
    }
}

impl BodyHash {
    /// Before the first octet.
    #[must_use]
    pub fn new(canon: Canon) -> Self {
        Self {
            canon,
            hash: Context::new(&SHA256),
            gathered: Vec::with_capacity(GATHERED),
            line_ends: 0,
            blank: false,
            cr: false,
            any: false,
        }
    }

    /// Takes the next octets of the body.
    pub fn feed(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.cr) {
                if first == b'\n' {
                    self.end_line();
                    rest = &rest[1..];
                    continue;
                }
                self.content(b"\r");
            }
            let run = match self.canon {
                Canon::Relaxed => memchr3(b' ', b'\t', b'\r', rest),
                Canon::Simple => memchr(b'\r', rest),
            };
            let run = run.unwrap_or(rest.len());
            if run > 0 {
                self.content(&rest[..run]);
            }
            match rest.get(run) {
                Some(b'\r') => self.cr = true,
                Some(_) => self.blank = true,
                None => {}
            }
            rest = rest.get(run + 1..).unwrap_or_default();
        }
    }

    /// The hash of all that was fed. A body that does not end with CRLF gets one; without one octet that counts the
    /// canonical body is a CRLF (simple), or empty (relaxed).
    #[must_use]
    pub fn finish(mut self) -> [u8; HASH] {
        if std::mem::take(&mut self.cr) {
            self.content(b"\r");
        }
        if self.any || self.canon == Canon::Simple {
            self.gather(CRLF);
        }
        self.hash.update(&self.gathered);
        let digest = self.hash.finish();
        digest.as_ref().try_into().expect("SHA-256 has 32 octets")
    }

    const fn end_line(&mut self) {
        self.blank = false;
        self.line_ends += 1;
    }

    fn content(&mut self, octets: &[u8]) {
        for _ in 0..std::mem::take(&mut self.line_ends) {
            self.gather(CRLF);
        }
        if std::mem::take(&mut self.blank) {
            self.gather(b" ");
        }
        self.any = true;
        self.gather(octets);
    }

    fn gather(&mut self, octets: &[u8]) {
        if self.gathered.len() + octets.len() > GATHERED {
            self.hash.update(&self.gathered);
            self.gathered.clear();
        }
        if octets.len() > GATHERED / 8 {
            self.hash.update(&self.gathered);
            self.gathered.clear();
            self.hash.update(octets);
        } else {
            self.gathered.extend_from_slice(octets);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::digest::digest;

    fn hash(canon: Canon, pieces: &[&[u8]]) -> [u8; HASH] {
        let mut hash = BodyHash::new(canon);
        for piece in pieces {
            hash.feed(piece);
        }
        hash.finish()
    }

    fn sha256(octets: &[u8]) -> [u8; HASH] {
        digest(&SHA256, octets).as_ref().try_into().expect("32 octets")
    }

    /// Body, its simple and its relaxed form; RFC 6376 section 3.4.5 first.
    const BODIES: &[(&str, &str, &str)] = &[
        (" C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n"),
        ("", "\r\n", ""),
        ("\r\n", "\r\n", ""),
        ("\r\n\r\n\r\n", "\r\n", ""),
        (" \t\r\n", " \t\r\n", ""),
        (" \r\n\t\r\n \t \r\n", " \r\n\t\r\n \t \r\n", ""),
        ("a\r\n \r\n\t\r\n", "a\r\n \r\n\t\r\n", "a\r\n"),
        ("a\r\n \r\n\r\n \t", "a\r\n \r\n\r\n \t\r\n", "a\r\n"),
        ("a\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\nb\r\n"),
        ("a\r\n \r\n\t\r\nb", "a\r\n \r\n\t\r\nb\r\n", "a\r\n\r\n\r\nb\r\n"),
        ("a", "a\r\n", "a\r\n"),
        ("a \t", "a \t\r\n", "a\r\n"),
        (" a", " a\r\n", " a\r\n"),
        ("\t a\r\n", "\t a\r\n", " a\r\n"),
        ("a\tb  c \t d\r\n", "a\tb  c \t d\r\n", "a b c d\r\n"),
        ("\r\n\r\na\r\n", "\r\n\r\na\r\n", "\r\n\r\na\r\n"),
        (".\r\n..\r\n", ".\r\n..\r\n", ".\r\n..\r\n"),
        ("a\rb\nc\r\r\n", "a\rb\nc\r\r\n", "a\rb\nc\r\r\n"),
        ("a\r", "a\r\r\n", "a\r\r\n"),
        ("a \r b\r\n", "a \r b\r\n", "a \r b\r\n"),
        ("\u{e9} \u{e9}\r\n", "\u{e9} \u{e9}\r\n", "\u{e9} \u{e9}\r\n"),
    ];

    #[test]
    fn canonical_bodies_cut_at_every_octet() {
        for (body, simple, relaxed) in BODIES {
            for (canon, canonical) in [(Canon::Simple, simple), (Canon::Relaxed, relaxed)] {
                let expected = sha256(canonical.as_bytes());
                let body = body.as_bytes();
                for cut in 0..=body.len() {
                    let (a, b) = body.split_at(cut);
                    assert_eq!(hash(canon, &[a, b]), expected, "{canon:?} {body:?} cut at {cut}");
                }
                let single: Vec<&[u8]> = body.chunks(1).collect();
                assert_eq!(hash(canon, &single), expected, "{canon:?} {body:?} octet by octet");
            }
        }
    }

    #[test]
    fn the_hashes_of_empty_bodies_as_everybody_knows_them() {
        use base64::Engine as _;
        let text = |canon| base64::engine::general_purpose::STANDARD.encode(hash(canon, &[]));
        assert_eq!(text(Canon::Simple), "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=");
        assert_eq!(text(Canon::Relaxed), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn long_lines_and_many_blank_lines() {
        let line = format!("{}\r\n", "x".repeat(3 * GATHERED + 7));
        let body = format!("{line}{}{}", "\r\n".repeat(10_000), line.repeat(3));
        for size in [1, 7, 1000, GATHERED, body.len()] {
            let pieces: Vec<&[u8]> = body.as_bytes().chunks(size).collect();
            for canon in [Canon::Simple, Canon::Relaxed] {
                assert_eq!(hash(canon, &pieces), sha256(body.as_bytes()), "{size}");
            }
        }
    }
}
