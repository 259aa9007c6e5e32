//! Lines longer than SMTP allows: whatever is accepted can be sent.

use crate::words::*;
use posthaste_sim::Plan;

const HOST: &str = "mx0.d.test";
/// The longest line that is accepted, octets without CRLF.
const LONGEST: usize = 1 << 20;

/// What the host took of one message with this content, after our trace header.
fn arrives(content: &[u8]) -> Vec<u8> {
    let system = up(Plan::domain("d.test", 1));
    hand_in(&system, letter(1, &["r@d.test"]).saying(content));
    until_quiet(&system, MINUTE);
    peer(&system, HOST).arrivals().remove(0).content
}

#[test]
fn signed_mail_is_sent_as_it_is_however_long_its_lines() {
    for (field, folded) in [
        ("DKIM-Signature: v=1; a=x", false),
        ("Content-Type: multipart/signed; boundary=b", false),
        ("Content-Type: multipart/mixed; boundary=b", true),
    ] {
        for length in [5000, LONGEST] {
            let line = "z".repeat(length);
            let system = up(Plan::domain("d.test", 1));
            let mut letter = letter(1, &["r@d.test"]);
            letter.content = format!("{field}\r\n\r\n{line}\r\n.dot\r\n").into_bytes();
            hand_in(&system, letter.clone());
            until_quiet(&system, MINUTE);
            let content = peer(&system, HOST).arrivals().remove(0).content;
            assert_eq!(content.ends_with(&letter.content), !folded, "{field} {length}");
        }
    }
}

#[test]
fn the_longest_line_that_is_accepted_can_be_sent_from_the_store() {
    for length in [LONGEST - 2, LONGEST - 1, LONGEST] {
        for before in [0, 1, 300_000] {
            let (line, before) = ("z".repeat(length), "short\r\n".repeat(before));
            let body = format!("{before}{line}\r\n.last\r\n");
            let content = String::from_utf8(arrives(body.as_bytes())).unwrap();
            assert!(content.lines().all(|line| line.len() <= 998), "{length}");
            assert_eq!(content.matches('z').count(), length);
            assert!(content.ends_with("z\r\n.last\r\n"), "{length}");
        }
    }
}
