//! What senders get, in every language: a golden file of the whole notice, `*.eml`, and one of the text in it, `*.txt`, which
//! is the one to read.

use super::{ARRIVED, HEADER, envelope, hold_against, mailbox, recipient, result, said};
use posthaste_evidence::{
    AnswerKind, ConnectFault, Doubt, Fault, Outcome, RecipientResult, RecordType, Stage, WaitReason,
};
use posthaste_mail::envelope::{Notify, RedirectedFrom, Ret};
use posthaste_mail::{Body, EnhancedStatus, Envelope, QueueId, Reply, ReversePath, Timestamp};
use posthaste_message::dsn::{
    Composed, Kind, MAX_REPORTED, Notice, Report, Sender, Tried, compose,
};
use std::net::IpAddr;
use std::time::Duration;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const LANGUAGES: [&str; 2] = ["en", "de"];

/// A notice and all it is made of.
struct Story {
    name: &'static str,
    kind: Kind,
    envelope: Envelope,
    content: String,
    told: Vec<Told>,
    /// When it is composed, seconds after the message arrived.
    after: u64,
}

/// What became of one recipient.
#[derive(Clone, Default)]
struct Told {
    fault: Option<Fault>,
    tries: Vec<Try>,
    attempts: u32,
    remark: Option<&'static str>,
    waits: Option<WaitReason>,
    /// Seconds after the message arrived.
    kept_since: Option<u64>,
}

/// Seconds after the message arrived, the host, its address, what came of it.
type Try = (u64, Option<&'static str>, Option<&'static str>, RecipientResult);

impl Story {
    fn new(name: &'static str, kind: Kind, to: &[&str], after: u64) -> Self {
        let content = format!("{HEADER}Dear all,\r\n\r\nhere are the minutes.\r\n");
        let envelope = envelope(&content, to.iter().map(|to| recipient(to)).collect());
        Self { name, kind, envelope, content, told: Vec::new(), after }
    }

    fn tells(mut self, told: Told) -> Self {
        self.told.push(told);
        self
    }

    fn compose(&self, sender: &Sender, language: &str) -> Composed {
        let body = Body::from(self.content.clone().into_bytes());
        let reports = self.envelope.recipients.iter().zip(&self.told).map(|(recipient, told)| {
            let history: Vec<_> = told.tries.iter().map(tried).collect();
            Report {
                recipient,
                fault: told.fault.as_ref(),
                last: history.last().cloned(),
                attempts: told.attempts,
                history,
                until: ARRIVED.plus(Duration::from_secs(2 * DAY)),
                remark: told.remark,
                waits: told.waits,
                kept_since: told.kept_since.map(at),
            }
        });
        compose(&Notice {
            kind: self.kind,
            envelope: &self.envelope,
            original: &body,
            reports: reports.collect(),
            sender,
            language: Some(language),
            id: QueueId::from_u64(8),
            token: 0x0123_4567_89ab_cdef,
            now: at(self.after),
        })
    }
}

fn at(after: u64) -> Timestamp {
    ARRIVED.plus(Duration::from_secs(after))
}

fn tried(one: &Try) -> Tried<'_> {
    let address = one.2.map(|ip| ip.parse::<IpAddr>().expect("an address"));
    Tried { at: at(one.0), host: one.1, address, result: &one.3 }
}

fn on(after: u64, outcome: Outcome, fault: &Fault) -> Try {
    let result = result(outcome, fault.clone());
    if matches!(fault, Fault::DnsFailed { .. }) {
        return (after, None, None, result);
    }
    (after, Some("mail.example.net"), Some("192.0.2.25"), result)
}

fn taken(after: u64) -> Try {
    let reply = Reply::new(250, Some(EnhancedStatus::new(2, 0, 0)), "Ok: queued as 4Qx7");
    let outcome = Outcome::Delivered;
    let result = RecipientResult { recipient: 0, outcome, reply: Some(reply), fault: None };
    (after, Some("mail.example.net"), Some("192.0.2.25"), result)
}

fn silent() -> Fault {
    Fault::Connect(ConnectFault::TimedOut)
}

fn busy() -> Fault {
    said(Stage::Banner, 421, (4, 3, 2), &["Too many connections, try again later"])
}

fn greylisted() -> Fault {
    said(Stage::Rcpt, 450, (4, 7, 1), &["Greylisted, please try again in 5 minutes"])
}

fn no_dns() -> Fault {
    let (name, kind) = ("example.net".to_owned(), RecordType::Mx);
    Fault::DnsFailed { name, kind, answer: AnswerKind::ServFail }
}

/// Attempts of an hour, at the quarters from `from` to `to` hours.
fn row(from: u64, to: u64, fault: &Fault) -> Vec<Try> {
    (from * 4..to * 4).map(|q| on(q * HOUR / 4 + 60, Outcome::Deferred, fault)).collect()
}

fn refused() -> Story {
    let lines = ["<bob@example.net>: Recipient address rejected:", "User unknown in local table"];
    let nobody = said(Stage::Rcpt, 550, (5, 1, 1), &lines);
    let mut story = Story::new("refused", Kind::Failed, &["bob@example.net"], 3);
    story.envelope.ret = Some(Ret::Hdrs);
    story.envelope.envid = Some("ann-1".into());
    story.envelope.recipients[0].orcpt = Some("rfc822;robert@example.net".into());
    story.tells(Told {
        tries: vec![on(2, Outcome::Failed, &nobody)],
        fault: Some(nobody),
        attempts: 1,
        ..Told::default()
    })
}

/// One was refused for long and is unreachable at the end, the other never answered.
fn expired() -> Story {
    let stop = said(Stage::Banner, 554, (5, 7, 1), &["Blocked, see https://example.net/why"]);
    let tries = [row(0, 1, &busy()), row(1, 30, &greylisted()), row(30, 40, &stop)].concat();
    let tries = [tries, row(40, 48, &silent())].concat();
    let thinned = tries.iter().enumerate().filter(|(i, _)| !(8..100).contains(i));
    let first = Told {
        fault: Some(Fault::Expired),
        attempts: 192,
        tries: thinned.map(|(_, one)| one.clone()).collect(),
        ..Told::default()
    };
    let second = Told {
        fault: Some(Fault::Expired),
        attempts: 192,
        tries: row(0, 48, &silent()),
        ..Told::default()
    };
    let to = ["bob@example.net", "eve@example.net"];
    Story::new("expired", Kind::Failed, &to, 2 * DAY + 40).tells(first).tells(second)
}

fn never_tried() -> Story {
    let told = Told { fault: Some(Fault::Expired), ..Told::default() };
    Story::new("never-tried", Kind::Failed, &["bob@example.net"], 2 * DAY).tells(told)
}

fn by_the_operator() -> Story {
    let told = Told {
        fault: Some(Fault::Operator),
        remark: Some("The project is over; please write to info@example.org."),
        tries: row(0, 2, &no_dns()),
        attempts: 8,
        ..Told::default()
    };
    Story::new("operator", Kind::Failed, &["bob@example.net"], 3 * HOUR).tells(told)
}

/// The founding story: a busy host first, then none at all.
fn delayed() -> Story {
    let late = [row(0, 3, &busy()), row(3, 4, &silent())].concat();
    let told = Told { fault: Some(silent()), tries: late, attempts: 16, ..Told::default() };
    let other = Told {
        fault: Some(greylisted()),
        tries: row(3, 4, &greylisted()),
        attempts: 4,
        ..Told::default()
    };
    let to = ["bob@example.net", "eve@example.net", "dan@example.com"];
    let story = Story::new("delayed", Kind::Delayed, &to, 4 * HOUR);
    story.tells(told.clone()).tells(told).tells(other)
}

fn held() -> Story {
    let told = Told { waits: Some(WaitReason::Held), ..Told::default() };
    let mut story = Story::new("held", Kind::Delayed, &["bob@example.net"], 2 * DAY - 90 * 60 - 12);
    story.envelope.summary.subject = None;
    let notify = Some(Notify { delay: true, ..Notify::default() });
    story.envelope.recipients[0].notify = notify;
    story.tells(told)
}

/// One was held for most of its time, one at the end, and of one nobody knows since when.
fn held_to_the_end() -> Story {
    let full = said(Stage::Rcpt, 452, (4, 2, 2), &["Mailbox full"]);
    let held = |hours: u64, since: Option<u64>| Told {
        fault: Some(Fault::Expired),
        tries: row(0, hours, &full),
        attempts: u32::try_from(4 * hours).expect("few"),
        waits: Some(WaitReason::Held),
        kept_since: since,
        ..Told::default()
    };
    let to = ["bob@example.net", "eve@example.net", "dan@example.com"];
    let story = Story::new("held-to-the-end", Kind::Failed, &to, 2 * DAY + 40);
    story
        .tells(held(2, Some(2 * HOUR)))
        .tells(held(40, Some(40 * HOUR)))
        .tells(Told { waits: Some(WaitReason::RouteHeld), ..held(3, None) })
}

/// One waits for the administrator, one for its next attempt.
fn mixed() -> Story {
    let held = Told { waits: Some(WaitReason::Held), ..Told::default() };
    let tries = row(3, 4, &no_dns());
    let late = Told { fault: Some(no_dns()), tries, attempts: 4, ..Told::default() };
    Story::new("mixed", Kind::Delayed, &["bob@example.net", "eve@example.net"], 4 * HOUR)
        .tells(held)
        .tells(late)
}

fn good(name: &'static str, kind: Kind, to: &[&str], before: Vec<Try>) -> Story {
    let after = if before.is_empty() { 1 } else { 5 * HOUR };
    let tries = [before, vec![taken(after)]].concat();
    let attempts = u32::try_from(tries.len()).expect("few");
    let told = Told { tries, attempts, ..Told::default() };
    let story = Story::new(name, kind, to, after + 1);
    to.iter().fold(story, |story, _| story.tells(told.clone()))
}

fn beyond_ascii() -> Story {
    let mut story = Story::new("utf8", Kind::Failed, &["zoë@example.net"], 2);
    story.content = "From: jörg@münchen.example\r\nSubject: Grüße\r\n\r\nHallo\r\n".into();
    story.envelope = envelope(&story.content, story.envelope.recipients);
    story.envelope.reverse_path = ReversePath::Mailbox(mailbox("jörg@münchen.example"));
    story.envelope.smtputf8 = true;
    let fault = Fault::NeedsSmtpUtf8;
    let tries = vec![on(1, Outcome::Failed, &fault)];
    story.tells(Told { fault: Some(fault), tries, attempts: 1, ..Told::default() })
}

/// An original of eight bits, in a form that every host takes.
fn eight_bit() -> Story {
    let mut story = refused();
    story.name = "eight-bit";
    story.envelope.ret = None;
    let mime = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                Content-Transfer-Encoding: 8bit\r\n\r\n";
    let header = HEADER.strip_suffix("\r\n").expect("an empty line");
    story.content = format!("{header}{mime}Liebe Grüße,\r\n.\r\nFrom Köln\r\n");
    let old = story.envelope;
    story.envelope = envelope(&story.content, old.recipients);
    story
}

/// Markup, marks that turn the direction of writing, control characters, a false header and a false boundary.
fn hostile() -> Story {
    let mut story = Story::new("hostile", Kind::Failed, &["bob@example.net"], 9);
    let subject = "<script>alert(1)</script>\u{202e}gnp.exe\u{9b}31m \u{2066}x\r\n \
                   --0000000000008.0123456789abcdef =?utf-8?Q?=0D=0ABcc:_x=40y?= &amp; \"q\" 'a'";
    story.content = HEADER.replace("Minutes of the meeting", subject);
    story.envelope = envelope(&story.content, story.envelope.recipients);
    let reply = "no\u{202e}\u{1b}[2J \u{7} <b onclick='x'>thanks</b> &lt; \u{85}";
    let fault = said(Stage::Data, 554, (5, 7, 1), &[reply]);
    let tries = vec![on(1, Outcome::Failed, &fault)];
    story.tells(Told { fault: Some(fault), tries, attempts: 1, ..Told::default() })
}

/// Of a list with thirty people five have left, and the mailbox of one is full.
fn several() -> Story {
    let names = ["amy", "bea", "cid", "dan", "eve"].map(|name| format!("{name}@example.net"));
    let to: Vec<&str> = names.iter().map(String::as_str).chain(["full@example.net"]).collect();
    let mut story = Story::new("several", Kind::Failed, &to, 3);
    for address in &to {
        let gone = format!("<{address}>: no such user here");
        let fault = match *address {
            "full@example.net" => said(Stage::Rcpt, 552, (5, 2, 2), &["Mailbox full"]),
            _ => said(Stage::Rcpt, 550, (5, 1, 1), &[&gone]),
        };
        let tries = vec![on(2, Outcome::Failed, &fault)];
        story = story.tells(Told { fault: Some(fault), tries, attempts: 1, ..Told::default() });
    }
    story
}

/// Behind an alias two addresses fail, and one whose client names an original that is none.
fn alias() -> Story {
    let to = ["bob@example.net", "eve@example.net", "zoë@example.net", "dan@example.net"];
    let mut story = Story::new("alias", Kind::Failed, &to, 3);
    story.envelope.smtputf8 = true;
    let originals = [
        "rfc822;team@example.org",
        "rfc822;team@example.org",
        "utf-8;jörg@example.org",
        "rfc822;your account is closed",
    ];
    for (address, original) in to.into_iter().zip(originals) {
        let number = story.told.len();
        story.envelope.recipients[number].orcpt = Some(original.into());
        let gone = format!("<{address}>: no such user here");
        let fault = said(Stage::Rcpt, 550, (5, 1, 1), &[&gone]);
        let tries = vec![on(2, Outcome::Failed, &fault)];
        story = story.tells(Told { fault: Some(fault), tries, attempts: 1, ..Told::default() });
    }
    story
}

/// An operator sent it on to another address, whose domain nobody finds, an hour after it had come.
fn redirected() -> Story {
    let mut story = Story::new("redirected", Kind::Delayed, &["bob@example.com"], 4 * HOUR);
    story.envelope.recipients[0].orcpt = Some("rfc822;bob@example.net".into());
    story.envelope.redirected_from =
        Some(RedirectedFrom { id: QueueId::from_u64(6), received: ARRIVED });
    story.envelope.received = at(HOUR);
    let name = "example.com".to_owned();
    let fault = Fault::Doubted { name, doubt: Doubt::Unconfirmed };
    let result = result(Outcome::Deferred, fault.clone());
    let tries = vec![(HOUR, None, None, result.clone()), (2 * HOUR, None, None, result)];
    story.tells(Told { fault: Some(fault), tries, attempts: 2, ..Told::default() })
}

fn stories() -> Vec<Story> {
    let both = ["bob@example.net", "eve@example.net"];
    let wait = [row(0, 2, &busy()), row(2, 3, &silent())].concat();
    vec![
        refused(),
        several(),
        expired(),
        never_tried(),
        by_the_operator(),
        alias(),
        redirected(),
        delayed(),
        held(),
        held_to_the_end(),
        mixed(),
        good("delivered", Kind::Delivered, &both, Vec::new()),
        good("relayed", Kind::Relayed, &both[..1], Vec::new()),
        good("all-clear", Kind::AllClear, &both[..1], wait),
        beyond_ascii(),
        eight_bit(),
        hostile(),
    ]
}

#[test]
fn every_kind_is_told_in_every_language() {
    let sender = Sender::named("mx.example.org");
    let mut differ = Vec::new();
    for story in stories() {
        for language in LANGUAGES {
            let composed = story.compose(&sender, language);
            assert_eq!(composed.parts.language, language);
            // What has no 8BITMIME takes it, but for one to an address that no such host has (RFC 6531 section 3.1).
            assert_eq!(composed.eight_bit, composed.smtputf8, "{}", story.name);
            assert_eq!(composed.eight_bit, !composed.octets.is_ascii(), "{}", story.name);
            let name = format!("{}.{language}", story.name);
            differ.extend(hold_against(&format!("{name}.eml"), &composed.octets));
            differ.extend(hold_against(&format!("{name}.txt"), composed.parts.text.as_bytes()));
        }
    }
    assert!(differ.is_empty(), "these differ: {differ:#?}");
}

/// What hostile words could do to a mail program, a terminal, or the notice itself.
#[test]
fn words_of_strangers_stay_words() {
    let composed = hostile().compose(&Sender::named("mx.example.org"), "en");
    let html = composed.parts.html.as_deref().expect("by default");
    for said in [&composed.parts.text, html, &composed.parts.subject, &composed.parts.status] {
        let turns = ['\u{202e}', '\u{2066}', '\u{1b}', '\u{7}', '\u{85}', '\u{9b}'];
        assert!(!said.contains(turns), "{said}");
    }
    assert!(!html.contains("<script") && !html.contains("onclick='"));
    let octets = String::from_utf8(composed.octets).expect("UTF-8");
    let head = octets.split("\r\n\r\n").next().expect("a header");
    assert!(!head.contains("\r\nBcc:"), "{head}");
    let boundary = "\r\n--0000000000008.0123456789abcdefx";
    assert_eq!(octets.matches(&format!("{boundary}\r\n")).count(), 3);
    assert!(octets.ends_with(&format!("{boundary}--\r\n")));
}

/// Notices are settled with their cause: what strangers say must not make them large.
#[test]
fn many_recipients_and_long_replies_make_no_large_notice() {
    let names: Vec<_> = (0..MAX_REPORTED + 5).map(|i| format!("user{i}@example.net")).collect();
    let to: Vec<_> = names.iter().map(String::as_str).collect();
    let mut story = Story::new("many", Kind::Failed, &to, 3);
    for i in 0..u16::try_from(to.len()).expect("few") {
        let long = "ä".repeat(240) + &i.to_string();
        let tries = (0..8).map(|n| {
            let fault = said(Stage::Rcpt, 400 + i % 30 + n, (4, 0, i % 30 + n), &[&long]);
            on(u64::from(n) * HOUR, Outcome::Deferred, &fault)
        });
        let tries = tries.collect();
        let fault = Some(Fault::Expired);
        story = story.tells(Told { fault, tries, attempts: 8, ..Told::default() });
    }
    let composed = story.compose(&Sender::named("mx.example.org"), "en");
    assert!(composed.octets.len() < 512 * 1024, "{}", composed.octets.len());
    let text = &composed.parts.text;
    assert!(text.contains("and 5 more recipients") && text.contains("user99@example.net"));
    assert!(text.replace("\r\n", " ").contains("The attached delivery report has"));
}

#[test]
fn who_wants_no_html_gets_one_text() {
    let sender = Sender { html: false, ..Sender::named("mx.example.org") };
    let composed = delayed().compose(&sender, "en");
    assert_eq!(composed.parts.html, None);
    let octets = String::from_utf8(composed.octets).expect("ASCII");
    assert!(!octets.contains("multipart/alternative") && !octets.contains("text/html"));
}

/// The original goes back whole with failures only, up to the sender's limit.
#[test]
fn only_failures_return_the_content() {
    let small = Sender { max_original: 100, ..Sender::named("mx.example.org") };
    let large = Sender::named("mx.example.org");
    for (story, sender, whole) in [
        (expired(), &large, true),
        (expired(), &small, false),
        (refused(), &large, false),
        (delayed(), &large, false),
        (good("delivered", Kind::Delivered, &["bob@example.net"], Vec::new()), &large, false),
    ] {
        let octets = String::from_utf8(story.compose(sender, "en").octets).expect("ASCII");
        let returned = octets.contains("\r\nContent-Type: message/rfc822\r\n");
        let headers = octets.contains("\r\nContent-Type: text/rfc822-headers\r\n");
        assert_eq!((returned, headers), (whole, !whole), "{}", story.name);
        assert_eq!(octets.contains("here are the minutes"), whole, "{}", story.name);
    }
}
