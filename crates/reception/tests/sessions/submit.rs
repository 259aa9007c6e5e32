//! Messages handed in on this machine.

use crate::House;
use posthaste_mail::{Mailbox, QueueId, Recipient, ReversePath, SourceKind};
use posthaste_reception::{Submission, SubmitError, Unknown};
use posthaste_spool::Refused;

pub(crate) fn submission(message: impl Into<Vec<u8>>) -> Submission {
    let mailbox = |text| Mailbox::parse(text, true).expect("valid");
    Submission {
        reverse_path: ReversePath::Mailbox(mailbox("root@mx.example.org")),
        recipients: vec![Recipient {
            mailbox: mailbox("b@remote.example"),
            orcpt: None,
            notify: None,
        }],
        message: message.into(),
        listener: "send".to_owned(),
        user: Some("root".to_owned()),
        id: None,
        written: None,
        ret: None,
        envid: None,
        replayed: false,
        unknown: Unknown::Refuse,
    }
}

pub(crate) fn submit(house: &House, submission: Submission) -> Result<QueueId, SubmitError> {
    let reception = house.reception.clone();
    house.world.finish(async move { reception.submit(submission).await.map(|done| done.id) })
}

#[test]
fn a_bare_text_becomes_a_whole_message() {
    let house = House::new();
    let id = submit(&house, submission("Subject: hi\n\nä.\n")).expect("accepted");
    let (live, content) = house.store.messages().remove(0);
    assert_eq!(
        String::from_utf8_lossy(&content),
        format!(
            "Received: by mx.example.org id {id}\r\n\tfor <b@remote.example>;\r\n\
             \tSat, 21 Nov 2026 06:53:04 +0000\r\n\
             Date: Sat, 21 Nov 2026 06:53:04 +0000\r\nFrom: <root@mx.example.org>\r\n\
             Message-ID: <{id}@mx.example.org>\r\nSubject: hi\r\n\r\nä.\r\n"
        )
    );
    let envelope = live.envelope;
    assert_eq!((envelope.id, envelope.facts.size), (id, content.len() as u64));
    assert_eq!(envelope.summary.subject.as_deref(), Some("hi"));
    assert!(envelope.facts.eight_bit && !envelope.smtputf8);
    assert_eq!(
        (envelope.source.kind, envelope.source.user.as_deref()),
        (SourceKind::Local, Some("root"))
    );
}

#[test]
fn a_replayed_message_stays_as_it_was() {
    for (content, kept) in [
        ("Received: by x; y\r\nBcc: b\r\nTo: joe\r\n\r\n.\r\n", None),
        ("Return-Path: <>\r\nSubject: no date\r\n", None),
        ("no header\n", Some("\r\nno header\r\n")),
    ] {
        let house = House::new();
        let replayed = Submission { replayed: true, ..submission(content) };
        let id = submit(&house, replayed).expect("accepted");
        let trace = format!(
            "Received: by mx.example.org id {id}\r\n\tfor <b@remote.example>;\r\n\
             \tSat, 21 Nov 2026 06:53:04 +0000\r\n"
        );
        assert_eq!(house.stored(), [trace + kept.unwrap_or(content)]);
    }
}

#[test]
fn a_large_one_goes_to_a_file() {
    let house = House::new();
    let id = submit(&house, submission("x\n".repeat(300_000))).expect("accepted");
    assert!(house.store.is_spilled(id));
    assert_eq!(house.stored()[0].matches("x\r\n").count(), 300_000);
    assert_eq!(house.reception.counts().spilled, 1);
}

#[test]
fn what_cannot_be_sent_is_not_taken() {
    let house = House::with(|s| s.limits.message_size = 10_000_000);
    let nobody = Submission { recipients: Vec::new(), ..submission("x") };
    assert_eq!(submit(&house, nobody), Err(SubmitError::NoRecipients));
    let crowd = std::iter::repeat_n(submission("x").recipients.remove(0), 1001).collect();
    let crowd = Submission { recipients: crowd, ..submission("x") };
    assert_eq!(submit(&house, crowd), Err(SubmitError::TooManyRecipients(1000)));
    let own = "Received: by mx.example.org; now\n".repeat(9);
    for (message, error) in [
        ("a\0".to_owned(), SubmitError::Nul),
        ("x".repeat(2 << 20), SubmitError::LineTooLong),
        ("x\n".repeat(6_000_000), SubmitError::TooBig(10_000_000)),
        (own, SubmitError::Looping),
    ] {
        assert_eq!(submit(&house, submission(message)), Err(error));
    }
    house.store.inner.refuse(Some(Refused::Full));
    for size in [1, 300_000] {
        let refused = submit(&house, submission("x\n".repeat(size)));
        assert_eq!(refused, Err(SubmitError::Store(Refused::Full)));
    }
    house.store.inner.refuse(None);
    house.store.hold();
    assert_eq!(submit(&house, submission("late")), Err(SubmitError::StoreLate));
    assert_eq!(house.reception.counts().messages, 0);
}
