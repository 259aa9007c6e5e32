//! Our `Received:` field (RFC 5321 section 4.4, RFC 3848, RFC 6531 section 3.7.3) and the search for mail loops (section 6.3).
//!
//! Not here: counting all `Received:` fields, which the pass over the content does (`smtp`).

use crate::header::{Field, fields};
use posthaste_mail::{Mailbox, QueueId, Timestamp};
use std::io::Write;
use std::net::IpAddr;

/// More `Received:` fields than this, and a message is going round in circles (RFC 5321 section 6.3).
pub const HOP_LIMIT: u32 = 100;
/// More `Received:` fields by ourselves than this, and it is going round through us.
pub const OWN_LIMIT: u32 = 8;
/// The most octets of a client's HELO argument that are repeated.
const MAX_HELO: usize = 255;

/// How a message came (the `with` clause).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol<'a> {
    /// Over SMTP.
    Smtp(With<'a>),
    /// Handed in on this machine.
    Local,
}

/// What the `with` clause is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct With<'a> {
    /// After EHLO.
    pub extended: bool,
    /// With SMTPUTF8 for this message.
    pub utf8: bool,
    /// Under TLS: its version and cipher suite by their names.
    pub tls: Option<(&'a str, &'a str)>,
    /// After AUTH.
    pub authenticated: bool,
}

impl With<'_> {
    /// The registered name (RFC 3848, RFC 6531 section 4.3). There is none for HELO under TLS.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match (self.utf8, self.extended, self.tls.is_some(), self.authenticated) {
            (true, _, false, false) => "UTF8SMTP",
            (true, _, true, false) => "UTF8SMTPS",
            (true, _, false, true) => "UTF8SMTPA",
            (true, _, true, true) => "UTF8SMTPSA",
            (false, true, false, false) => "ESMTP",
            (false, true, true, false) => "ESMTPS",
            (false, true, false, true) => "ESMTPA",
            (false, true, true, true) => "ESMTPSA",
            (false, false, ..) => "SMTP",
        }
    }
}

/// What a `Received:` field says.
#[derive(Clone, Copy, Debug)]
pub struct Trace<'a> {
    /// What the client said in HELO or EHLO; empty when it handed the message in locally.
    pub helo: &'a str,
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// Our name.
    pub hostname: &'a str,
    /// How it came.
    pub protocol: Protocol<'a>,
    /// Its name in the queue.
    pub id: QueueId,
    /// The recipient, given only when there is no other: several would tell each of the others.
    pub only_recipient: Option<&'a Mailbox>,
    /// When.
    pub at: Timestamp,
}

impl Trace<'_> {
    /// The field, folded, with its last CRLF.
    #[must_use]
    pub fn field(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.write(&mut out).expect("a vector takes every write");
        out
    }

    fn write(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        out.extend_from_slice(b"Received: ");
        if let Some(ip) = self.ip {
            out.extend_from_slice(b"from ");
            self.write_helo(out, ip)?;
            match ip.to_canonical() {
                IpAddr::V4(v4) => write!(out, " ([{v4}])\r\n\t")?,
                IpAddr::V6(v6) => write!(out, " ([IPv6:{v6}])\r\n\t")?,
            }
        }
        if let Protocol::Smtp(With { tls: Some((version, cipher)), .. }) = self.protocol {
            write!(out, "(using {version} with cipher {cipher})\r\n\t")?;
        }
        write!(out, "by {}", self.hostname)?;
        if let Protocol::Smtp(with) = &self.protocol {
            write!(out, " with {}", with.name())?;
        }
        write!(out, " id {}", self.id)?;
        if let Some(mailbox) = self.only_recipient {
            write!(out, "\r\n\tfor <{mailbox}>")?;
        }
        write!(out, ";\r\n\t{}\r\n", self.at.rfc5322())
    }

    /// What is no domain or literal would break the field's grammar, or hide what follows in a comment.
    fn write_helo(&self, out: &mut Vec<u8>, ip: IpAddr) -> std::io::Result<()> {
        if self.helo.is_empty() {
            return match ip.to_canonical() {
                IpAddr::V4(v4) => write!(out, "[{v4}]"),
                IpAddr::V6(v6) => write!(out, "[IPv6:{v6}]"),
            };
        }
        let utf8 = matches!(self.protocol, Protocol::Smtp(With { utf8: true, .. }));
        let start = out.len();
        for c in self.helo.chars() {
            let plain = c.is_ascii_alphanumeric() || "-._[]:".contains(c);
            let kept = plain || (utf8 && !c.is_ascii() && !c.is_control());
            let c = if kept { c } else { '?' };
            if out.len() - start + c.len_utf8() > MAX_HELO {
                break;
            }
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }
}

/// How many `Received:` fields of a header section were written by a host of this name: their `by` clause says
/// so; case does not matter.
#[must_use]
pub fn received_by(header: &[u8], hostname: &str) -> u32 {
    let ours = |field: &Field<'_>| {
        field.is("Received")
            && by_clause(field.value).is_some_and(|by| by.eq_ignore_ascii_case(hostname.as_bytes()))
    };
    u32::try_from(fields(header).filter(ours).count()).unwrap_or(u32::MAX)
}

/// The argument of the `by` clause. What follows `from` is skipped: a client may call itself `by`.
fn by_clause(value: &[u8]) -> Option<&[u8]> {
    let mut words = Words { rest: value };
    let mut word = words.next()?;
    if word.eq_ignore_ascii_case(b"from") {
        words.next()?;
        word = words.next()?;
    }
    while !word.eq_ignore_ascii_case(b"by") {
        word = words.next()?;
    }
    words.next()
}

/// The words of a structured field up to the semicolon, comments left out (RFC 5322 section 3.2.2).
struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            self.rest = self.rest.trim_ascii_start();
            match self.rest.first()? {
                b';' => return None,
                b'(' => self.rest = after_comment(self.rest),
                _ => break,
            }
        }
        let ends = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'(' | b';');
        let end = self.rest.iter().position(ends).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(word)
    }
}

/// What follows the comment that starts `text`; nothing when it does not end.
fn after_comment(text: &[u8]) -> &[u8] {
    let (mut depth, mut escaped) = (0usize, false);
    for (i, octet) in text.iter().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => depth += 1,
            b')' if depth == 1 => return &text[i + 1..],
            b')' => depth -= 1,
            _ => {}
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMTP: Protocol<'_> =
        Protocol::Smtp(With { extended: false, utf8: false, tls: None, authenticated: false });
    const ESMTP: Protocol<'_> =
        Protocol::Smtp(With { extended: true, utf8: false, tls: None, authenticated: false });
    const UTF8SMTP: Protocol<'_> =
        Protocol::Smtp(With { extended: true, utf8: true, tls: None, authenticated: false });

    fn trace<'a>() -> Trace<'a> {
        Trace {
            helo: "client.example",
            ip: Some(IpAddr::from([192, 0, 2, 1])),
            hostname: "mx.example.org",
            protocol: ESMTP,
            id: QueueId::from_u64(1),
            only_recipient: None,
            at: Timestamp::from_secs(1_795_243_984),
        }
    }

    fn text(trace: &Trace<'_>) -> String {
        String::from_utf8(trace.field()).expect("UTF-8")
    }

    #[test]
    fn a_field_says_from_whom_by_whom_how_and_when() {
        let to = Mailbox::parse("a@example.org", false).expect("valid");
        assert_eq!(
            text(&Trace { only_recipient: Some(&to), ..trace() }),
            "Received: from client.example ([192.0.2.1])\r\n\
             \tby mx.example.org with ESMTP id 0000000000001\r\n\
             \tfor <a@example.org>;\r\n\
             \tSat, 21 Nov 2026 06:53:04 +0000\r\n"
        );
        let local = Trace { ip: None, helo: "", protocol: Protocol::Local, ..trace() };
        assert_eq!(
            text(&local),
            "Received: by mx.example.org id 0000000000001;\r\n\
             \tSat, 21 Nov 2026 06:53:04 +0000\r\n"
        );
    }

    #[test]
    fn the_protocol_is_composed_of_facts() {
        let tls = Some(("TLSv1.3", "TLS_AES_256_GCM_SHA384"));
        for (extended, utf8, tls, authenticated, expected) in [
            (false, false, None, false, "SMTP"),
            (false, false, tls, false, "SMTP"),
            (true, false, None, false, "ESMTP"),
            (true, false, tls, false, "ESMTPS"),
            (true, false, None, true, "ESMTPA"),
            (true, false, tls, true, "ESMTPSA"),
            (true, true, None, false, "UTF8SMTP"),
            (true, true, tls, false, "UTF8SMTPS"),
            (true, true, None, true, "UTF8SMTPA"),
            (true, true, tls, true, "UTF8SMTPSA"),
        ] {
            assert_eq!(With { extended, utf8, tls, authenticated }.name(), expected);
        }
        let with = With { extended: true, utf8: false, tls, authenticated: true };
        assert_eq!(
            text(&Trace { protocol: Protocol::Smtp(with), ..trace() }),
            "Received: from client.example ([192.0.2.1])\r\n\
             \t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n\
             \tby mx.example.org with ESMTPSA id 0000000000001;\r\n\
             \tSat, 21 Nov 2026 06:53:04 +0000\r\n"
        );
    }

    #[test]
    fn addresses_and_names_of_clients_keep_the_grammar() {
        let v6 = "2001:db8::1".parse().ok();
        let mapped = "::ffff:192.0.2.9".parse().ok();
        let long = "x".repeat(600);
        let long_kept = format!("from {} (", "x".repeat(MAX_HELO));
        for (helo, ip, protocol, expected) in [
            ("a", v6, SMTP, "from a ([IPv6:2001:db8::1])\r\n\tby mx.example.org with SMTP "),
            ("a", mapped, SMTP, "from a ([192.0.2.9])"),
            ("", v6, ESMTP, "from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])"),
            ("[192.0.2.1]", v6, ESMTP, "from [192.0.2.1] ("),
            ("x) by evil (", v6, ESMTP, "from x??by?evil?? ("),
            ("ä\r\nX: y", v6, ESMTP, "from ???X:?y ("),
            ("ä", v6, UTF8SMTP, "from ä ("),
            (&long, v6, ESMTP, &long_kept),
        ] {
            let field = text(&Trace { helo, ip, protocol, ..trace() });
            assert!(field.contains(expected), "{field}");
            assert!(field.split("\r\n").all(|line| line.len() <= 998));
        }
    }

    #[test]
    fn loops_are_seen_through_odd_fields() {
        for (field, ours) in [
            ("from a (b [1.2.3.4]) by MX.example.org (Posthaste) with ESMTP id 1; date", 1),
            ("by mx.example.org; date", 1),
            ("from by by mx.example.org;", 1),
            ("from mx.example.org by other.example;", 0),
            ("from a (by mx.example.org) by other.example;", 0),
            ("from a (\\) by mx.example.org (x)) by other.example;", 0),
            ("from a; by mx.example.org", 0),
            ("from a\r\n\tby mx.example.org(c)\r\n\twith SMTP;", 1),
            ("from a by", 0),
            ("from a (never closed by mx.example.org", 0),
            ("by mx.example.org.evil;", 0),
            ("", 0),
        ] {
            let header = format!("Received: {field}\r\nX: by mx.example.org\r\n\r\n");
            assert_eq!(received_by(header.as_bytes(), "mx.example.org"), ours, "{field}");
        }
        let ours = text(&trace()).repeat(9);
        assert_eq!(received_by(ours.as_bytes(), "MX.EXAMPLE.ORG"), 9);
    }
}
