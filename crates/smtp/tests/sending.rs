//! The sending session: parameters, many recipients, time limits, what stands against a transaction.

mod common;

use common::sender::{Mail, Sender};
use posthaste_mail::envelope::{Notify, Ret};
use posthaste_mail::{
    BodyType, ContentFacts, Envelope, Mailbox, QueueId, Recipient, Reply, ReversePath, Source,
    SourceKind, Summary, Timestamp,
};
use posthaste_smtp::client::{
    Capabilities, End, MAX_AHEAD, Obstacles, Settings, Stage, Step, Timeouts, Transaction,
};
use std::time::Duration;

const ALL: &[u8] = b"220 mx\r\n250-mx\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN\r\n";

fn text(octets: Vec<u8>) -> String {
    String::from_utf8(octets).expect("commands are UTF-8")
}

fn recipient(to: &str, orcpt: Option<&str>, notify: Option<Notify>) -> Recipient {
    let mailbox = Mailbox::parse(to, true).expect("valid");
    Recipient { mailbox, orcpt: orcpt.map(str::to_owned), notify }
}

fn envelope() -> Envelope {
    Envelope {
        id: QueueId::MIN,
        received: Timestamp::EPOCH,
        reverse_path: ReversePath::Mailbox(Mailbox::parse("a@b", false).expect("valid")),
        recipients: vec![
            recipient("c@d", Some("rfc822;c+x@d"), Some(Notify::default())),
            recipient("jörg@d", Some("utf-8;jörg@d"), None),
            recipient("e@d", None, Some(Notify { success: true, failure: false, delay: true })),
        ],
        ret: Some(Ret::Hdrs),
        envid: Some("id=1 2".into()),
        body_type: BodyType::EightBitMime,
        smtputf8: false,
        facts: ContentFacts { size: 1234, ..ContentFacts::default() },
        summary: Summary::default(),
        source: Source {
            kind: SourceKind::Relay,
            listener: String::new(),
            ip: None,
            helo: String::new(),
            user: None,
            session: None,
        },
        route: None,
        redirected_from: None,
    }
}

/// What is sent for these recipients of the envelope to a server with these offers.
fn commands(recipients: &[u32], offers: &[u8]) -> String {
    let envelope = envelope();
    let transaction = Transaction::of(&envelope, recipients);
    let mut sender = Sender::new(Settings::default());
    sender.feed(offers);
    sender.session.begin(&transaction);
    text(sender.session.take_output())
}

#[test]
fn parameters_are_those_that_the_server_understands() {
    assert_eq!(
        commands(&[0, 2], ALL),
        "MAIL FROM:<a@b> SIZE=1234 BODY=8BITMIME RET=HDRS ENVID=id+3D1+202\r\n\
         RCPT TO:<c@d> NOTIFY=NEVER ORCPT=rfc822;c+2Bx@d\r\n\
         RCPT TO:<e@d> NOTIFY=SUCCESS,DELAY\r\n\
         DATA\r\n"
    );
    assert_eq!(
        commands(&[1, 99], ALL),
        "MAIL FROM:<a@b> SIZE=1234 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=id+3D1+202\r\n\
         RCPT TO:<jörg@d> ORCPT=utf-8;jörg@d\r\n\
         DATA\r\n"
    );
    let plain = b"220 mx\r\n250-mx\r\n250 PIPELINING\r\n";
    assert_eq!(commands(&[0], plain), "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
    let no_utf8 = b"220 mx\r\n250-mx\r\n250-PIPELINING\r\n250 DSN\r\n";
    assert!(commands(&[1], no_utf8).contains(r"ORCPT=utf-8;j\x{F6}rg@d"));
}

#[test]
fn obstacles_are_seen_before_anything_is_sent() {
    let envelope = envelope();
    let none = Capabilities::default();
    let utf8 = Transaction::of(&envelope, &[1]);
    assert_eq!(
        utf8.obstacles(&none),
        Obstacles { over_size: None, no_eight_bit: true, no_smtputf8: true }
    );
    let all = Capabilities {
        size: Some(1233),
        eight_bit_mime: true,
        smtputf8: true,
        ..Capabilities::default()
    };
    assert_eq!(utf8.obstacles(&all), Obstacles { over_size: Some(1233), ..Obstacles::default() });
    let ascii = Transaction::of(&envelope, &[0]);
    assert!(!ascii.obstacles(&none).no_smtputf8);
}

#[test]
fn a_thousand_recipients_go_out_in_groups_and_each_has_its_own_reply() {
    let names: Vec<String> = (0..1000).map(|n| format!("user{n}@example.org")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut sender = Sender::new(Settings::default());
    sender.feed(ALL);
    sender.mails.push_back(Mail::new("a@b", &names, b"x\r\n"));
    let mut unanswered: Vec<String> = text(sender.feed(b"")).lines().map(str::to_owned).collect();
    let (mut rcpts, mut rounds) = (0, 0);
    while !unanswered.is_empty() {
        assert!(unanswered.len() <= MAX_AHEAD as usize);
        rounds += 1;
        let mut replies = String::new();
        for command in unanswered.drain(..) {
            replies.push_str(match command.as_str() {
                "DATA" => "354 go on\r\n",
                "." => "250 queued\r\n",
                "x" => "",
                c if c.starts_with("RCPT") => {
                    rcpts += 1;
                    // RFC 5321 section 4.5.3.1.10: the rest goes in another transaction.
                    if rcpts > 900 { "452 4.5.3 too many\r\n" } else { "250 ok\r\n" }
                }
                _ => "250 ok\r\n",
            });
        }
        unanswered = text(sender.feed(replies.as_bytes())).lines().map(str::to_owned).collect();
    }
    let report = &sender.reports[0];
    assert!(matches!(&report.end, End::Delivered(reply) if reply.text() == "queued"));
    let refused = |n: usize| report.refused[n].as_ref().map(Reply::to_string);
    assert_eq!((refused(899), refused(900)), (None, Some("452 4.5.3 too many".into())));
    assert!((10..=13).contains(&rounds), "{rounds}");
}

#[test]
fn every_stage_has_the_time_limit_of_the_rfc() {
    let limits = Timeouts::default();
    for (stage, seconds) in [
        (Stage::Banner, 300),
        (Stage::Ehlo, 300),
        (Stage::Helo, 300),
        (Stage::Mail, 300),
        (Stage::Rcpt(7), 300),
        (Stage::Data, 120),
        (Stage::Content, 180),
        (Stage::Eod, 600),
        (Stage::Rset, 20),
        (Stage::Quit, 5),
    ] {
        assert_eq!(limits.of(stage), Duration::from_secs(seconds), "{stage:?}");
    }
    let mut sender = Sender::new(Settings::default());
    let step = sender.session.next(&mut sender.input);
    assert_eq!(step, Step::Read { stage: Stage::Banner, timeout: Duration::from_secs(300) });
}

#[test]
fn a_kept_connection_is_tried_with_rset() {
    let mut sender = Sender::new(Settings::default());
    sender.feed(ALL);
    sender.session.reset();
    assert_eq!(sender.session.stage(), Stage::Rset);
    assert_eq!(text(sender.feed(b"")), "RSET\r\n");
    sender.feed(b"250 ok\r\n");
    assert_eq!(sender.session.stage(), Stage::Idle);
    sender.session.reset();
    sender.feed(b"502 what\r\n");
    assert!(sender.closed);
}

#[test]
fn capabilities_are_known_after_ehlo_and_absent_after_helo() {
    let mut sender = Sender::new(Settings::default());
    sender.feed(ALL);
    assert!(sender.session.extended() && sender.session.capabilities().dsn);
    let mut old = Sender::new(Settings::default());
    old.feed(b"220 mx\r\n500 what\r\n250 mx\r\n");
    assert!(!old.session.extended());
    assert_eq!(old.session.capabilities(), &Capabilities::default());
}

#[test]
fn a_reply_to_a_command_not_sent_yet_ends_the_session() {
    let mut sender = Sender::new(Settings::default());
    sender.feed(b"220 mx\r\n250 mx\r\n");
    sender.mails.push_back(Mail::new("a@b", &["c@d"], b"x\r\n"));
    assert_eq!(text(sender.feed(b"")), "MAIL FROM:<a@b>\r\n");
    sender.feed(b"250 ok\r\n250 and another\r\n");
    assert!(sender.closed);
    assert_eq!(sender.reports[0].end, End::Lost(Stage::Rcpt(0)));
}
