//! Whole notices beside golden files: read `golden/*.txt` to see what a sender gets.

#[path = "notices/stories.rs"]
mod stories;

use posthaste_evidence::{AnswerKind, Fault, Outcome, RecipientResult, RecordType, Stage};
use posthaste_mail::{
    Body, BodyType, ContentFacts, EnhancedStatus, Envelope, Mailbox, QueueId, Recipient, Reply,
    ReversePath, Source, SourceKind, Timestamp,
};
use posthaste_message::dsn::{Kind, MAX_ORIGINAL, Notice, Report, Sender, Tried, compose};
use posthaste_message::{section, summary};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

const ARRIVED: Timestamp = Timestamp::from_secs(1_795_243_984);
const HEADER: &str = "Received: from client.example ([192.0.2.1])\r\n\
    \tby mx.example.org with ESMTP id 06N2G0S0SS000;\r\n\
    \tSat, 21 Nov 2026 06:53:04 +0000\r\n\
    From: Ann <ann@example.org>\r\n\
    To: <bob@example.net>\r\n\
    Subject: Minutes of the meeting\r\n\
    Message-ID: <minutes.1@example.org>\r\n\r\n";

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text, true).expect("valid")
}

fn recipient(text: &str) -> Recipient {
    Recipient { mailbox: mailbox(text), orcpt: None, notify: None }
}

fn envelope(content: &str, recipients: Vec<Recipient>) -> Envelope {
    let header = section(content.as_bytes());
    Envelope {
        id: QueueId::from_u64(7),
        received: ARRIVED,
        reverse_path: ReversePath::Mailbox(mailbox("ann@example.org")),
        recipients,
        ret: None,
        envid: None,
        body_type: BodyType::SevenBit,
        smtputf8: false,
        facts: ContentFacts {
            size: content.len() as u64,
            header_end: header.len() as u64,
            eight_bit: !content.is_ascii(),
            ..ContentFacts::default()
        },
        summary: summary(header),
        source: Source {
            kind: SourceKind::Relay,
            listener: "relay".into(),
            ip: None,
            helo: "client.example".into(),
            user: None,
            session: None,
        },
        route: None,
        redirected_from: None,
    }
}

fn result(outcome: Outcome, fault: Fault) -> RecipientResult {
    let reply = match &fault {
        Fault::Reply { reply, .. } => Some(reply.clone()),
        _ => None,
    };
    RecipientResult { recipient: 0, outcome, reply, fault: Some(fault) }
}

fn said(stage: Stage, code: u16, status: (u8, u16, u16), lines: &[&str]) -> Fault {
    let enhanced = Some(EnhancedStatus::new(status.0, status.1, status.2));
    let lines = lines.iter().map(|line| (*line).to_owned()).collect();
    Fault::Reply { stage, reply: Reply { code, enhanced, lines } }
}

fn last<'a>(after: u64, host: Option<&'a str>, result: &'a RecipientResult) -> Tried<'a> {
    Tried { at: ARRIVED.plus(Duration::from_secs(after)), host, address: None, result }
}

static SENDER: LazyLock<Sender> = LazyLock::new(|| Sender::named("mx.example.org"));

fn notice<'a>(
    envelope: &'a Envelope,
    original: &'a Body,
    after: u64,
    reports: Vec<Report<'a>>,
) -> Notice<'a> {
    Notice {
        kind: Kind::Failed,
        envelope,
        original,
        reports,
        sender: &SENDER,
        language: None,
        id: QueueId::from_u64(8),
        token: 0x0123_4567_89ab_cdef,
        now: ARRIVED.plus(Duration::from_secs(after)),
    }
}

/// On a difference the new text is left in the target folder, to be read and, if right, copied; answers where.
fn hold_against(golden: &str, octets: &[u8]) -> Option<PathBuf> {
    let text = String::from_utf8_lossy(octets);
    assert!(text.ends_with("\r\n") && !text.replace("\r\n", "").contains(['\r', '\n']));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(golden);
    let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join(golden);
    if octets == std::fs::read(&path).unwrap_or_default() {
        let _ = std::fs::remove_file(&new);
        return None;
    }
    std::fs::write(&new, octets).expect("the target folder can be written");
    Some(new)
}

#[test]
fn faults_keep_their_status_and_only_peers_are_quoted() {
    let dns = |answer| Fault::DnsFailed { name: "x.example".into(), kind: RecordType::Mx, answer };
    let operator = Fault::Operator;
    let expired = Fault::Expired;
    let busy = said(Stage::Eod, 451, (4, 3, 2), &["Busy"]);
    let nobody = Fault::NoSuchDomain { name: "x.example".into() };
    let lost = Fault::Lost { stage: Stage::Banner };
    let stuck = Fault::TimedOut { stage: Stage::Eod, after: Duration::from_secs(600) };
    let servfail = dns(AnswerKind::ServFail);
    // (what ended it, the last failure, status, diagnostic, whether a remote MTA is named)
    let rows = [
        (&nobody, &nobody, "5.1.2", "x-posthaste; no_such_domain: x.example", false),
        (&expired, &servfail, "4.4.3", "x-posthaste; dns_failed: x.example Mx: SERVFAIL", false),
        (&expired, &busy, "4.3.2", "smtp; 451 4.3.2 Busy", true),
        (&expired, &lost, "4.4.2", "x-posthaste; lost: at banner", false),
        (&expired, &stuck, "4.4.2", "x-posthaste; timed_out: at eod, after 600 s", true),
        (&operator, &busy, "5.7.1", "smtp; 451 4.3.2 Busy", true),
        (&operator, &servfail, "5.7.1", "x-posthaste; operator", false),
    ];
    for (fault, cause, status, diagnostic, remote) in rows {
        let envelope = envelope(HEADER, vec![recipient("bob@x.example")]);
        let body = Body::from(HEADER.as_bytes().to_vec());
        let result = result(Outcome::Deferred, cause.clone());
        let recipient = &envelope.recipients[0];
        let attempt = Some(last(1, Some("mx.x.example"), &result));
        let report = Report {
            recipient,
            fault: Some(fault),
            last: attempt,
            attempts: 2,
            remark: None,
            history: Vec::new(),
            until: ARRIVED.plus(Duration::from_secs(432_000)),
            waits: None,
            kept_since: None,
        };
        let octets = compose(&notice(&envelope, &body, 9, vec![report])).octets;
        let text = String::from_utf8(octets).expect("UTF-8");
        assert!(text.contains(&format!("\r\nStatus: {status}\r\n")), "{text}");
        assert!(text.contains(&format!("\r\nDiagnostic-Code: {diagnostic}")), "{text}");
        assert_eq!(text.contains("\r\nRemote-MTA: dns; mx.x.example\r\n"), remote, "{text}");
    }
}

#[test]
fn a_large_original_comes_back_as_its_header_and_hostile_words_do_no_harm() {
    let boundary = "0000000000008.0123456789abcdef";
    let hostile = format!("{HEADER}--{boundary}--\r\n");
    let large = format!("{HEADER}{}", "x".repeat(usize::try_from(MAX_ORIGINAL).expect("small")));
    let fault = said(Stage::Data, 554, (5, 7, 1), &["no\u{202e}\x1b[2J \x07 thanks"]);
    for (content, kind) in [(hostile, "message/rfc822"), (large, "text/rfc822-headers")] {
        let envelope = envelope(&content, vec![recipient("bob@example.net")]);
        let body = Body::from(content.into_bytes());
        let result = result(Outcome::Failed, fault.clone());
        let recipient = &envelope.recipients[0];
        let attempt = Some(last(1, Some("mx.x.example"), &result));
        let report = Report {
            recipient,
            fault: Some(&fault),
            last: attempt,
            attempts: 1,
            remark: None,
            history: Vec::new(),
            until: ARRIVED.plus(Duration::from_secs(432_000)),
            waits: None,
            kept_since: None,
        };
        let octets = compose(&notice(&envelope, &body, 9, vec![report])).octets;
        let text = String::from_utf8(octets).expect("UTF-8");
        assert!(text.contains(&format!("\r\nContent-Type: {kind}\r\n")), "{text}");
        assert!(text.len() < 16_384 && !text.contains('\x1b') && !text.contains('\x07'));
        let named = text.split("boundary=\"").nth(1).and_then(|t| t.split('"').next());
        let named = named.expect("a boundary is named");
        assert_eq!(text.matches(&format!("\r\n--{named}\r\n")).count(), 3);
        assert!(text.ends_with(&format!("\r\n--{named}--\r\n")));
    }
}
