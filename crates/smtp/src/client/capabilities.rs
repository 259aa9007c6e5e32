//! What a server offers in its reply to EHLO (RFC 5321 section 4.1.1.1).
//!
//! Not here: what to do about it (`commands`, the agent).

use posthaste_mail::Reply;

/// Keyword lines kept.
const MAX_KEYWORDS: usize = 64;
/// Octets kept of each.
const MAX_KEYWORD: usize = 256;

/// The offers of a server. All absent after HELO.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Capabilities {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 1870: announced at all. Then MAIL may say SIZE=.
    pub size_announced: bool,
    /// RFC 1870: the limit in octets; absent or 0 means none.
    pub size: Option<u64>,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 2034.
    pub enhanced_status: bool,
    /// RFC 3030.
    pub chunking: bool,
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 4954: mechanisms, in upper case.
    pub auth: Vec<String>,
    /// Every keyword line as written, at most 64 of at most 256 octets.
    pub keywords: Vec<String>,
}

impl Capabilities {
    /// Reads the lines after the first.
    #[must_use]
    pub fn read(reply: &Reply) -> Self {
        let mut found = Self::default();
        for line in reply.lines.iter().skip(1).take(MAX_KEYWORDS) {
            let line = &line[..line.floor_char_boundary(MAX_KEYWORD)];
            found.keyword(line);
            found.keywords.push(line.to_owned());
        }
        found
    }

    fn keyword(&mut self, line: &str) {
        // "AUTH=LOGIN" is what old servers wrote before RFC 2554.
        let mut words = line.split([' ', '=']).filter(|word| !word.is_empty());
        let keyword = words.next().unwrap_or_default();
        match keyword {
            k if k.eq_ignore_ascii_case("PIPELINING") => self.pipelining = true,
            k if k.eq_ignore_ascii_case("8BITMIME") => self.eight_bit_mime = true,
            k if k.eq_ignore_ascii_case("SMTPUTF8") => self.smtputf8 = true,
            k if k.eq_ignore_ascii_case("DSN") => self.dsn = true,
            k if k.eq_ignore_ascii_case("ENHANCEDSTATUSCODES") => self.enhanced_status = true,
            k if k.eq_ignore_ascii_case("CHUNKING") => self.chunking = true,
            k if k.eq_ignore_ascii_case("STARTTLS") => self.starttls = true,
            k if k.eq_ignore_ascii_case("SIZE") => {
                self.size_announced = true;
                self.size = words.next().and_then(|n| n.parse().ok()).filter(|&n| n > 0);
            }
            k if k.eq_ignore_ascii_case("AUTH") => {
                for mechanism in words.map(str::to_ascii_uppercase) {
                    if !self.auth.contains(&mechanism) {
                        self.auth.push(mechanism);
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Capabilities {
        let lines = std::iter::once(&"mx.example").chain(lines).map(|&l| l.to_owned()).collect();
        Capabilities::read(&Reply { code: 250, enhanced: None, lines })
    }

    #[test]
    fn what_servers_announce() {
        let all = read(&[
            "pipelining",
            "SIZE 35882577",
            "8BITMIME",
            "SMTPUTF8",
            "DSN",
            "ENHANCEDSTATUSCODES",
            "CHUNKING",
            "STARTTLS",
            "AUTH PLAIN login",
            "AUTH=LOGIN",
            "XCLIENT NAME ADDR",
        ]);
        assert!(all.pipelining && all.eight_bit_mime && all.smtputf8 && all.dsn);
        assert!(all.enhanced_status && all.chunking && all.starttls && all.size_announced);
        assert_eq!(all.size, Some(35_882_577));
        assert_eq!(all.auth, ["PLAIN", "LOGIN"]);
        assert_eq!(all.keywords.len(), 11);
    }

    #[test]
    fn size_without_a_usable_number_is_no_limit() {
        for line in ["SIZE", "SIZE 0", "SIZE big", "SIZE 99999999999999999999999"] {
            assert_eq!((read(&[line]).size_announced, read(&[line]).size), (true, None), "{line}");
        }
        assert_eq!(read(&[]), Capabilities::default());
        assert!(!read(&["PIPELININGX"]).pipelining);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let long = "ä".repeat(300);
        let many = read(&vec![long.as_str(); 200]);
        assert_eq!(many.keywords.len(), 64);
        assert!(many.keywords.iter().all(|k| k.len() <= 256));
    }
}
