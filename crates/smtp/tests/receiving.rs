//! Content on its way in, against a slow and obvious model; memory; limits; what leaves without a copy.

mod common;

use bytes::BytesMut;
use common::receiver::{GATHER_BOUND, Receiver};
use posthaste_mail::Reply;
use posthaste_smtp::content::ContentScan;
use posthaste_smtp::sasl::Mechanism;
use posthaste_smtp::server::{
    BareNewline, ContentFault, Event, Extensions, MAX_AUTH_LINE, MAX_TEXT_LINE, Session, Settings,
    Step,
};
use proptest::prelude::*;
use std::sync::Arc;

const START: &[u8] = b"HELO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";

fn settings(bare_newline: BareNewline) -> Settings {
    Settings { bare_newline, ..Settings::default() }
}

/// A receiver that waits for content.
fn in_data(settings: Settings) -> Receiver {
    let mut receiver = Receiver::new(settings);
    receiver.feed(START);
    receiver.feed(b"DATA\r\n");
    receiver
}

/// The content that DATA carries on this wire: the rules, one octet at a time.
fn model_unstuffed(wire: &[u8]) -> Vec<u8> {
    let with_command = [b"\r\n", wire].concat();
    let end = with_command.windows(5).position(|w| w == b"\r\n.\r\n").expect("the data end");
    let mut content = Vec::new();
    for i in 2..end + 2 {
        let dot_at_line_start = with_command[i] == b'.' && &with_command[i - 2..i] == b"\r\n";
        if !dot_at_line_start {
            content.push(with_command[i]);
        }
    }
    content
}

/// Every CR, LF and CRLF as CRLF; and whether one was not CRLF.
fn model_newlines(content: &[u8]) -> (Vec<u8>, bool) {
    let (mut out, mut bare, mut i) = (Vec::new(), false, 0);
    while i < content.len() {
        match content[i] {
            b'\r' if content.get(i + 1) == Some(&b'\n') => {
                out.extend_from_slice(b"\r\n");
                i += 1;
            }
            b'\r' | b'\n' => {
                out.extend_from_slice(b"\r\n");
                bare = true;
            }
            other => out.push(other),
        }
        i += 1;
    }
    (out, bare)
}

/// With the empty line that content without a header lacks.
fn model_begun(content: Vec<u8>) -> Vec<u8> {
    let first = content.split(|&octet| octet == b'\r').next().unwrap_or_default();
    let colon = first.iter().position(|&octet| octet == b':');
    let name = colon.map(|colon| first[..colon].trim_ascii_end());
    let short = |name: &&[u8]| (1..=256).contains(&name.len());
    let field = name.filter(short).is_some_and(|name| name.iter().all(u8::is_ascii_graphic));
    let mailbox = first.starts_with(b"From ") || first.starts_with(b">From ");
    if first.is_empty() || field || mailbox { content } else { [b"\r\n", &content[..]].concat() }
}

/// Line ends, dots, fields and text in every order; now and then enough text to leave without a copy.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"\n".to_vec()),
        3 => Just(b".".to_vec()),
        3 => Just(b"x".to_vec()),
        1 => Just(b":".to_vec()),
        1 => Just(b" ".to_vec()),
        1 => Just(b"From ".to_vec()),
        1 => Just(b"Subject: y\r\n".to_vec()),
        1 => (1000usize..6000).prop_map(|n| vec![b'y'; n]),
        1 => (1000usize..6000).prop_map(|n| b"text and\r\n".repeat(n / 10)),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(prop_oneof![1usize..5, 1usize..3000], 0..60)
}

fn in_pieces<'a>(mut wire: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for &cut in cuts {
        let (piece, rest) = wire.split_at(cut.min(wire.len()));
        pieces.push(piece);
        wire = rest;
    }
    pieces.push(wire);
    pieces
}

/// The one message of a receiver, checked against what the model makes of its content.
fn check(receiver: &Receiver, content: &[u8], policy: BareNewline) -> Result<(), TestCaseError> {
    let (normal, bare) = model_newlines(content);
    if bare && policy == BareNewline::Reject {
        prop_assert_eq!(&receiver.content_faults, &[ContentFault::BareNewline]);
        prop_assert!(receiver.closed && receiver.accepted.is_empty());
        return Ok(());
    }
    prop_assert_eq!(receiver.accepted.len(), 1);
    let normal = model_begun(normal);
    let message = &receiver.accepted[0];
    prop_assert_eq!(&message.content, &normal);
    let mut scan = ContentScan::new();
    scan.feed(receiver.trace);
    scan.feed(&normal);
    prop_assert_eq!(&message.facts, &scan.facts());
    prop_assert!(message.chunks <= 2 + normal.len() / 1000, "{} chunks", message.chunks);
    Ok(())
}

proptest! {
    #[test]
    fn data_is_what_the_model_says_however_it_arrives(content in octets(), cuts in cuts(), reject: bool) {
        let policy = if reject { BareNewline::Reject } else { BareNewline::Normalize };
        let wire = [&content, &b"\r\n.\r\n"[..]].concat();
        let mut receiver = in_data(settings(policy));
        receiver.trace = b"";
        for piece in in_pieces(&wire, &cuts) {
            receiver.feed(piece);
            prop_assert!(receiver.input.len() <= 2048);
            if !receiver.accepted.is_empty() || receiver.closed {
                break;
            }
        }
        check(&receiver, &model_unstuffed(&wire), policy)?;
    }

    #[test]
    fn chunks_are_what_the_model_says_however_they_are_cut(
        content in octets(), chunks in cuts(), cuts in cuts(), reject: bool,
    ) {
        let policy = if reject { BareNewline::Reject } else { BareNewline::Normalize };
        let mut wire = START.to_vec();
        for piece in in_pieces(&content, &chunks) {
            wire.extend_from_slice(format!("BDAT {}\r\n", piece.len()).as_bytes());
            wire.extend_from_slice(piece);
        }
        wire.extend_from_slice(b"BDAT 0 LAST\r\n");
        let mut receiver = Receiver::new(settings(policy));
        receiver.trace = b"Received: from a\r\n\tby b\r\n";
        for piece in in_pieces(&wire, &cuts) {
            receiver.feed(piece);
        }
        let (normal, _) = model_newlines(&content);
        let ended = normal.is_empty() || normal.ends_with(b"\r\n");
        let content = if ended { content } else { [&content, &b"\r\n"[..]].concat() };
        check(&receiver, &content, policy)?;
    }
}

#[test]
fn large_clean_content_leaves_as_slices_of_the_read_buffer() {
    let mut session = Session::new(Arc::new(Settings::default()));
    let line = [b"A: ", &[b'x'; 73][..], b"\r\n"].concat();
    let wire = [START, b"DATA\r\n", &line.repeat(200), b".\r\n"].concat();
    let mut input = BytesMut::from(&wire[..]);
    let span = input.as_ptr_range();
    let mut chunks = Vec::new();
    loop {
        match session.next(&mut input) {
            Step::Event(Event::Hello { .. } | Event::Mail(..) | Event::Rcpt(..)) => {
                session.accept()
            }
            Step::Event(Event::Content { .. }) => session.accept_content(b""),
            Step::Event(Event::Chunk(chunk)) => chunks.push(chunk),
            Step::Event(Event::End(end)) => break assert_eq!(end.received, 200 * 78),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(chunks.len(), 1);
    assert!(span.contains(&chunks[0].as_ptr()), "no copy");
}

#[test]
fn content_octet_by_octet_costs_no_chunk_for_each() {
    let mut receiver = in_data(Settings::default());
    for octet in b"0123456789\r\n".repeat(5000) {
        receiver.feed(&[octet]);
    }
    receiver.feed(b".\r\n");
    assert_eq!(receiver.accepted[0].content.len(), 60_002, "and the empty line it lacked");
    assert!(receiver.accepted[0].chunks <= 5, "{} chunks", receiver.accepted[0].chunks);
}

#[test]
fn content_without_a_header_gets_the_empty_line_it_lacks() {
    let trace = "Received: from a\r\n\tby b\r\n";
    for (content, kept) in [
        ("Hello,\r\nyou: there\r\n", "\r\nHello,\r\nyou: there\r\n"),
        (" x\r\n", "\r\n x\r\n"),
        ("Subject: x\r\n\r\ny\r\n", "Subject: x\r\n\r\ny\r\n"),
        ("\r\ny\r\n", "\r\ny\r\n"),
        ("From a@b Sat\r\nTo: x\r\n", "From a@b Sat\r\nTo: x\r\n"),
        ("", ""),
    ] {
        let data = format!("DATA\r\n{content}.\r\n");
        let whole = format!("BDAT {} LAST\r\n{content}", content.len());
        let halves = content.split_at(content.len().min(3));
        let parts = format!(
            "BDAT {}\r\n{}BDAT {} LAST\r\n{}",
            halves.0.len(),
            halves.0,
            halves.1.len(),
            halves.1
        );
        for wire in [data, whole, parts] {
            let mut receiver = Receiver::new(Settings::default());
            receiver.trace = trace.as_bytes();
            receiver.feed(START);
            receiver.feed(wire.as_bytes());
            let message = &receiver.accepted[0];
            assert_eq!(String::from_utf8_lossy(&message.content), kept, "{wire}");
            let mut scan = ContentScan::new();
            scan.feed(trace.as_bytes());
            scan.feed(kept.as_bytes());
            assert_eq!(message.facts, scan.facts(), "{wire}");
        }
    }
}

#[test]
fn size_is_counted_without_stuffing_and_to_the_octet() {
    let mut tight = Settings::default();
    tight.limits.message_size = 20_000;
    for (last, code) in [(&b"abcd\r\n"[..], "250"), (b"abcde\r\n", "552")] {
        let mut receiver = in_data(tight.clone());
        receiver.feed(&b"..\r\n".repeat(6000));
        receiver.feed(&b"x\r\n".repeat(664));
        let answer = receiver.feed(&[b"xx", last].concat());
        assert!(answer.is_empty());
        let answer = receiver.feed(b".\r\n");
        assert!(answer.starts_with(code.as_bytes()), "{}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn what_is_over_the_limit_is_swallowed_without_memory() {
    for (start, end) in [("DATA\r\n", ".\r\n"), ("BDAT 60000000 LAST\r\n", "")] {
        let mut receiver = Receiver::new(Settings::default());
        receiver.feed(START);
        receiver.feed(start.as_bytes());
        let block = b"0123456789012345678901234567890123456789012345678\r\n".repeat(1000);
        for _ in 0..60_000_000 / block.len() {
            assert!(receiver.feed(&block).is_empty());
            assert!(receiver.input.is_empty());
        }
        let rest = 60_000_000 % block.len();
        let last = receiver.feed(&[&block[..rest], end.as_bytes()].concat());
        let last = if last.is_empty() { receiver.feed(b"\r\n.\r\n") } else { last };
        assert!(last.starts_with(b"552 5.3.4 "), "{}", String::from_utf8_lossy(&last));
        assert_eq!(receiver.content_faults, [ContentFault::TooBig]);
        assert!(receiver.most_held as u64 <= 36_000_000);
        assert!(receiver.feed(b"NOOP\r\n").starts_with(b"250"));
    }
}

#[test]
fn a_line_may_have_a_mebibyte_and_no_more() {
    for (length, code) in [(MAX_TEXT_LINE, "250"), (MAX_TEXT_LINE + 1, "554 5.6.0")] {
        let mut receiver = in_data(Settings::default());
        let mut left = usize::try_from(length).expect("fits");
        while left > 0 {
            let piece = left.min(60_000);
            receiver.feed(&vec![b'x'; piece]);
            left -= piece;
        }
        let answer = receiver.feed(b"\r\n.\r\n");
        assert!(answer.starts_with(code.as_bytes()), "{}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn the_agent_can_tell_content_from_commands() {
    let mut receiver = Receiver::new(Settings::default());
    receiver.feed(START);
    assert!(!receiver.session.in_content());
    assert_eq!(receiver.session.protocol(), "SMTP");
    receiver.feed(b"DATA\r\nx");
    assert!(receiver.session.in_content());
    receiver.feed(b"\r\n.\r\nEHLO c\r\nMAIL FROM:<a@b> SMTPUTF8\r\n");
    assert!(!receiver.session.in_content());
    assert_eq!(receiver.session.protocol(), "UTF8SMTP");
    receiver.feed(b"BDAT 5\r\nxx");
    assert!(receiver.session.in_content(), "a refused chunk is swallowed");
    receiver.feed(b"xxxRSET\r\n");
    assert!(!receiver.session.in_content());
    assert_eq!(receiver.session.protocol(), "ESMTP");
}

#[test]
fn what_is_heard_of_auth_is_the_mechanism() {
    let auth = Extensions { auth: true, ..Extensions::default() };
    let mechanisms = vec![Mechanism::Plain, Mechanism::Login];
    let settings = Settings { extensions: auth, mechanisms, ..Settings::default() };
    let mut receiver = Receiver::new(settings);
    receiver.session.secured(&mut receiver.input);
    receiver.session.listen_in();
    receiver.feed(b"EHLO c\r\nAUTH PLAIN AGFubgBzZWNyZXQ=\r\nauth login YW5u\r\nc2VjcmV0\r\n");
    receiver.feed(b"AUTH PLAIN\r\nAGFubgBzZWNyZXQ=\r\nAUTH c2VjcmV0\r\nAUTH c2Vj cmV0\r\nAUTH\r\n");
    let heard = String::from_utf8_lossy(receiver.session.heard()).replace("\r\n", "|");
    let told =
        "EHLO c|AUTH PLAIN ***|AUTH LOGIN ***|***|AUTH PLAIN|***|AUTH ***|AUTH ***|AUTH ***|";
    assert_eq!(heard, told);
    let (refused, _) = receiver.session.refused();
    let commands: Vec<_> = refused.iter().filter_map(|r| r.command.as_deref()).collect();
    let told = ["AUTH PLAIN ***", "***", "***", "AUTH ***", "AUTH ***", "AUTH ***"];
    assert_eq!(commands, told, "also of what was refused");
}

#[test]
fn what_is_heard_of_auth_at_a_door_that_is_shut_is_the_mechanism_too() {
    let mut receiver = Receiver::new(Settings::default());
    receiver.session.refuse_service(&Reply::new(554, None, "no service"));
    receiver.session.listen_in();
    receiver.feed(b"EHLO c\r\nAUTH PLAIN AGFubgBzZWNyZXQ=\r\nQUIT\r\n");
    let heard = String::from_utf8_lossy(receiver.session.heard()).replace("\r\n", "|");
    assert_eq!(heard, "EHLO c|AUTH PLAIN ***|QUIT|");
}

#[test]
fn what_may_belong_to_auth_is_not_heard_where_the_parser_sees_no_auth() {
    let secret = "AGFubgBzZWNyZXQ=";
    for (before, line, told) in [
        ("", " AUTH PLAIN AGFubgBzZWNyZXQ=", "AUTH PLAIN ***"),
        ("", "\tAUTH PLAIN AGFubgBzZWNyZXQ=", "AUTH PLAIN ***"),
        ("", "AUTH\tPLAIN\tAGFubgBzZWNyZXQ=", "AUTH PLAIN ***"),
        ("", "X AUTH PLAIN AGFubgBzZWNyZXQ=", "***"),
        ("", "XAUTH AGFubgBzZWNyZXQ=", "***"),
        ("", "\u{1}AGFubgBzZWNyZXQ=", "***"),
        ("AUTH LOGIN\r\n", "AGFubgBzZWNyZXQ=", "***"),
        ("", "FOO bar", "FOO bar"),
        ("", "MAIL FROM:<a@b> AUTH=<>", "MAIL FROM:<a@b> AUTH=<>"),
    ] {
        for is_refused in [false, true] {
            let mut receiver = Receiver::new(Settings::default());
            receiver.session.listen_in();
            if is_refused {
                receiver.session.refuse_service(&Reply::new(554, None, "no"));
            }
            receiver.feed(format!("{before}{line}\r\n").as_bytes());
            let heard = String::from_utf8_lossy(receiver.session.heard()).into_owned();
            assert!(heard.ends_with(&format!("{told}\r\n")), "{line:?}: {heard:?}");
            assert!(!heard.contains(secret), "{heard:?}");
            let (refused, _) = receiver.session.refused();
            assert!(!format!("{refused:?}").contains(secret), "{refused:?}");
        }
    }
}

#[test]
fn a_line_within_auth_may_be_long_and_has_an_end() {
    let auth = Extensions { auth: true, ..Extensions::default() };
    let mechanisms = vec![Mechanism::Plain];
    let settings = Settings { extensions: auth, mechanisms, ..Settings::default() };
    let mut receiver = Receiver::new(settings);
    receiver.session.secured(&mut receiver.input);
    receiver.feed(b"EHLO c\r\nAUTH PLAIN\r\n");
    let long = "A".repeat(MAX_AUTH_LINE - 2 - 2);
    let answer = receiver.feed(format!("{long}\r\n").as_bytes());
    assert_eq!(answer, b"501 5.5.2 cannot decode the response\r\n", "no message, but a line");
    receiver.feed(b"AUTH PLAIN\r\n");
    let answer = receiver.feed(format!("{long}AAAA\r\n").as_bytes());
    assert_eq!(answer, b"500 5.5.6 authentication exchange line is too long\r\n");
    assert_eq!(receiver.feed(b"NOOP\r\n"), b"250 2.0.0 Ok\r\n", "and AUTH is over");
}

#[test]
fn closing_words_end_the_session_at_any_moment() {
    for before in [&b""[..], b"HELO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx"] {
        let mut receiver = Receiver::new(Settings::default());
        receiver.feed(before);
        receiver.session.close_with(&Reply::new(421, None, "Shutting down"));
        assert_eq!(receiver.feed(b"y\r\n.\r\nNOOP\r\n"), b"421 Shutting down\r\n");
        assert!(receiver.closed && receiver.accepted.is_empty() && receiver.input.is_empty());
    }
}

#[test]
fn eight_bit_is_accepted_undeclared_and_marked_and_our_trace_header_counts() {
    let mut receiver = Receiver::new(Settings::default());
    receiver.trace = b"Received: from c\r\n\tby mx.example\r\n";
    receiver.feed(START);
    receiver.feed(b"DATA\r\nReceived: x\r\nSubject: \xc3\xa4\r\n\r\nbody\r\n.\r\n");
    let facts = &receiver.accepted[0].facts;
    assert!(facts.eight_bit && !facts.dotted);
    assert_eq!((facts.received, facts.header_end, facts.size), (2, 62, 68));
}

#[test]
fn normalizing_gathers_with_bounded_memory() {
    let mut receiver = in_data(settings(BareNewline::Normalize));
    receiver.feed(&b"\n".repeat(200_000));
    receiver.feed(b"\r\n.\r\n");
    let message = &receiver.accepted[0];
    assert_eq!(message.content.len(), 400_002);
    assert!(message.chunks >= message.content.len() / GATHER_BOUND);
}

#[test]
fn a_pipelining_client_that_does_not_read_is_made_to() {
    let mut session = Session::new(Arc::new(Settings::default()));
    let mut input = BytesMut::from(&b"NOOP\r\n".repeat(10_000)[..]);
    let mut writes = 0;
    loop {
        match session.next(&mut input) {
            Step::Event(Event::Noop) => {}
            Step::Write => {
                writes += 1;
                assert!(session.take_output().len() < 17 * 1024);
            }
            Step::Read => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(writes >= 8, "{writes}");
}

#[test]
#[should_panic(expected = "the agent did not answer")]
fn an_agent_that_forgets_to_answer_is_told_loudly() {
    let mut session = Session::new(Arc::new(Settings::default()));
    let mut input = BytesMut::from(&b"HELO c\r\nNOOP\r\n"[..]);
    session.next(&mut input);
    session.next(&mut input);
}
