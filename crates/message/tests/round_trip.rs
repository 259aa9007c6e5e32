//! Our own notices read back: of every kind, with every fault, for every sort of message nothing is lost. What hostile
//! words in them can do is only to be read as words.

use posthaste_evidence::{
    AnswerKind, ConnectFault, Doubt, Fault, LoginFault, Outcome, RecipientResult, RecordType,
    Stage, TlsFault, WaitReason,
};
use posthaste_mail::envelope::{Notify, Ret};
use posthaste_mail::{
    Body, BodyType, ContentFacts, EnhancedStatus, Envelope, Mailbox, QueueId, Recipient, Reply,
    ReversePath, Source, SourceKind, Timestamp,
};
use posthaste_message::dsn::status::{Action, DeliveryStatus, Form, Typed};
use posthaste_message::dsn::{
    ATTEMPTS, Kind, Notice, Place, Report, Sender, Tried, action, compose, form, read,
};
use posthaste_message::mime::Entity;
use posthaste_message::{section, summary};
use proptest::prelude::*;
use std::time::Duration;

const ARRIVED: Timestamp = Timestamp::from_secs(1_795_243_984);

fn words() -> impl Strategy<Value = String> {
    proptest::collection::vec("[!-<>-~]{1,12}|[a-zäöü用😀]{1,6}", 1..20)
        .prop_map(|words| words.join(" "))
}

/// Whatever a hostile server may send: controls, marks that turn the writing, MIME, escapes.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\r\nAction: delivered\r\n".to_owned()),
        Just("\r\n\r\n--x--\r\n".to_owned()),
        Just("=?utf-8?Q?x?=".to_owned()),
        Just("\\x{41}\u{202e}\u{1b}[2J".to_owned()),
        Just("</p><script>".to_owned()),
        any::<String>(),
    ];
    proptest::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

fn reply(text: impl Strategy<Value = String>) -> impl Strategy<Value = Reply> {
    let status = proptest::option::of((0..3usize, 0..8u16, 0..700u16));
    let lines = proptest::collection::vec(text, 1..4);
    (prop_oneof![Just(250u16), 400..600u16], status, lines).prop_map(|(code, status, lines)| {
        Reply {
            code,
            enhanced: status
                .map(|(c, subject, detail)| EnhancedStatus::new([2, 4, 5][c], subject, detail)),
            lines,
        }
    })
}

fn stage() -> impl Strategy<Value = Stage> {
    (0..Stage::NAMES.len()).prop_map(|at| Stage::NAMES[at].0)
}

fn fault(text: fn() -> BoxedStrategy<String>) -> impl Strategy<Value = Fault> {
    let name = "[a-z]{1,9}\\.example";
    let about_names = prop_oneof![
        name.prop_map(|name| Fault::DnsFailed {
            name,
            kind: RecordType::Mx,
            answer: AnswerKind::ServFail
        }),
        name.prop_map(|name| Fault::Doubted { name, doubt: Doubt::Contradicted }),
        name.prop_map(|name| Fault::NoSuchDomain { name }),
        name.prop_map(|name| Fault::NoHosts { name }),
        name.prop_map(|name| Fault::NullMx { name }),
        name.prop_map(|name| Fault::LoopsBack { name }),
        name.prop_map(|name| Fault::OnlyPrivateAddresses { name }),
    ];
    let said = prop_oneof![
        (stage(), reply(text())).prop_map(|(stage, reply)| Fault::Reply { stage, reply }),
        (stage(), reply(text())).prop_map(|(stage, reply)| Fault::TlsWanted { stage, reply }),
        reply(text()).prop_map(|reply| Fault::TlsRefused { reply }),
        text().prop_map(|text| Fault::RouteFails {
            route: "closed".into(),
            status: EnhancedStatus::new(5, 7, 1),
            text
        }),
    ];
    let others = proptest::sample::select(vec![
        Fault::Connect(ConnectFault::TimedOut),
        Fault::Connect(ConnectFault::Other(99)),
        Fault::Lost { stage: Stage::Eod },
        Fault::TimedOut { stage: Stage::Data, after: Duration::from_secs(120) },
        Fault::Gibberish { stage: Stage::Banner },
        Fault::NeedsSmtpUtf8,
        Fault::NeedsEightBit,
        Fault::OverPeersSize { limit: 10_240_000 },
        Fault::NoRoute,
        Fault::StoreFault,
        Fault::AttemptTooLong,
        Fault::Interrupted,
        Fault::Expired,
        Fault::Operator,
        Fault::RouteDiscards { route: "nowhere".into() },
        Fault::OverRouteSize { route: "small".into(), limit: 1_000 },
        Fault::UnknownRecipient,
        Fault::TlsNotOffered,
        Fault::Tls(TlsFault::NothingInCommon),
        Fault::Login { route: "smart".into(), fault: LoginFault::NoCommonMechanism },
    ]);
    prop_oneof![about_names, said, others]
}

fn mailbox() -> impl Strategy<Value = Mailbox> {
    let address = prop_oneof![
        "[a-z+=]{1,20}@[a-z]{1,20}\\.example",
        "\"[a-z <>()]{1,10}\"@[a-z]{1,20}\\.example",
        "[a-zäöü用]{1,20}@[a-zäöü]{1,10}\\.example",
    ];
    address.prop_filter_map("no mailbox", |text| Mailbox::parse(&text, true).ok())
}

prop_compose! {
    fn recipient()(
        mailbox in mailbox(),
        orcpt in proptest::option::of(prop_oneof![
            "rfc822;[a-z+=]{1,20}@[a-z]{1,20}\\.example",
            "utf-8;[a-zäöü+=用]{1,20}@[a-zäöü]{1,10}\\.example",
            "x400;/G=[a-z]{1,9}/C=de",
        ]),
        success: bool,
    ) -> Recipient {
        Recipient { mailbox, orcpt, notify: Some(Notify { success, failure: true, delay: true }) }
    }
}

prop_compose! {
    fn envelope()(
        recipients in proptest::collection::vec(recipient(), 1..6),
        sender in mailbox(),
        envid in proptest::option::of("[!-~]{1,40}( [!-~]{1,40})?"),
        ret in proptest::sample::select(vec![None, Some(Ret::Full), Some(Ret::Hdrs)]),
        smtputf8: bool,
        body in "[ -~\\n]{0,400}",
        umlaut: bool,
        subject in words(),
    ) -> (Envelope, Vec<u8>) {
        let content = format!(
            "From: <ann@example.org>\r\nTo: <bob@example.net>\r\nSubject: {}\r\nMessage-ID: <1@example.org>\r\n\r\n{}{}",
            if umlaut { subject } else { "Minutes".to_owned() },
            body.replace('\n', "\r\n"),
            if umlaut { "Grüße" } else { "" },
        );
        let header = section(content.as_bytes());
        let envelope = Envelope {
            id: QueueId::from_u64(7),
            received: ARRIVED,
            reverse_path: ReversePath::Mailbox(sender),
            recipients,
            ret,
            envid,
            body_type: BodyType::SevenBit,
            smtputf8,
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
        };
        (envelope, content.into_bytes())
    }
}

/// What became of each recipient: the fault that is told, the last attempt's, attempts, host.
type Ends = Vec<(Option<Fault>, Option<RecipientResult>, u32, Option<String>, Option<WaitReason>)>;

fn ends(text: fn() -> BoxedStrategy<String>) -> impl Strategy<Value = Ends> {
    let result = (fault(text), reply(text()), any::<bool>()).prop_map(|(fault, reply, well)| {
        let said = match &fault {
            Fault::Reply { reply, .. } => Some(reply.clone()),
            _ => None,
        };
        if well {
            let reply = Some(Reply { code: 250, ..reply });
            return RecipientResult {
                recipient: 0,
                outcome: Outcome::Delivered,
                reply,
                fault: None,
            };
        }
        RecipientResult {
            recipient: 0,
            outcome: Outcome::Deferred,
            reply: said,
            fault: Some(fault),
        }
    });
    let host =
        proptest::option::of(prop_oneof!["[a-z]{1,9}\\.example", Just("192.0.2.1".to_owned())]);
    let waits = (0..=WaitReason::ALL.len())
        .prop_map(|at| WaitReason::ALL.get(at).map(|(reason, ..)| *reason));
    let one =
        (proptest::option::of(fault(text)), proptest::option::of(result), 0..500u32, host, waits);
    proptest::collection::vec(one, 6)
}

fn kind() -> impl Strategy<Value = Kind> {
    (0..Kind::ALL.len()).prop_map(|at| Kind::ALL[at].0)
}

fn with_notice(
    kind: Kind,
    (envelope, content): &(Envelope, Vec<u8>),
    ends: &Ends,
    language: &str,
    check: impl FnOnce(&Notice<'_>) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let body = Body::from(content.clone());
    let sender = Sender::named("mx.example.org");
    let reports = envelope.recipients.iter().zip(ends).map(|(recipient, end)| {
        let (fault, result, attempts, host, waits) = end;
        let last = result.as_ref().map(|result| Tried {
            at: ARRIVED.plus(Duration::from_secs(3600)),
            host: host.as_deref(),
            address: None,
            result,
        });
        Report {
            recipient,
            fault: fault.as_ref(),
            history: last.iter().cloned().collect(),
            last,
            attempts: *attempts,
            until: ARRIVED.plus(Duration::from_secs(432_000)),
            remark: None,
            waits: *waits,
            kept_since: None,
        }
    });
    check(&Notice {
        kind,
        envelope,
        original: &body,
        reports: reports.collect(),
        sender: &sender,
        language: Some(language),
        id: QueueId::from_u64(8),
        token: 0x0123_4567_89ab_cdef,
        now: ARRIVED.plus(Duration::from_secs(14_400)),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn nothing_is_lost(
        kind in kind(),
        message in envelope(),
        ends in ends(|| words().boxed()),
        german: bool,
    ) {
        with_notice(kind, &message, &ends, if german { "de" } else { "en" }, |notice| {
            let composed = compose(notice);
            let found = read(&composed.octets).expect("a notice of ours is a report");
            prop_assert_eq!(found.place, Place::Labelled);
            prop_assert_eq!(found.kind(), Some(kind));
            prop_assert_eq!(&found.status, &DeliveryStatus::of(notice));
            let lf = |text: &str| text.replace("\r\n", "\n");
            prop_assert_eq!(found.text, Some(lf(&composed.parts.text)));
            prop_assert_eq!(found.html, composed.parts.html.as_deref().map(lf));
            prop_assert_eq!(found.head.in_reply_to.as_deref(), Some("<1@example.org>"));
            prop_assert_eq!(found.head.language.as_deref(), Some(composed.parts.language.as_str()));
            let returned = found.returned.expect("something always comes back");
            let whole = kind == Kind::Failed && message.0.ret != Some(Ret::Hdrs);
            prop_assert_eq!(returned.whole, whole);
            let original = if whole { &message.1[..] } else { section(&message.1) };
            let to = notice.envelope.reverse_path.mailbox().expect("never null").as_str();
            if to.is_ascii() && whole && !original.is_ascii() && section(original).is_ascii() {
                // Of a whole message the parts are encoded, not it itself.
                let inner = Entity::of(&returned.octets);
                prop_assert!(inner.octets.is_ascii());
                let body = Entity::of(original).body;
                prop_assert_eq!(&inner.content(usize::MAX)[..], body);
            } else {
                prop_assert_eq!(&returned.octets[..], original);
            }
            prop_assert_eq!(composed.octets.is_ascii(), to.is_ascii());
            for (one, (recipient, end)) in found.status.recipients.iter().zip(message.0.recipients.iter().zip(&ends)) {
                let told = one.final_recipient.as_ref().expect("always told");
                prop_assert_eq!(&told.value, recipient.mailbox.as_str());
                let orcpt = one.original_recipient.as_ref().map(|t| format!("{};{}", t.kind, t.value));
                prop_assert_eq!(&orcpt, &recipient.orcpt);
                prop_assert_eq!(one.action, Some(action(kind)));
                let attempts = end.2.to_string();
                prop_assert_eq!(one.extension(ATTEMPTS), Some(attempts.as_str()));
                prop_assert_eq!(one.will_retry_until.is_some(), kind == Kind::Delayed);
                let class = one.status.expect("always told").class;
                let classes: &[u8] = match one.action {
                    Some(Action::Failed) => &[4, 5],
                    Some(Action::Delayed) => &[4],
                    _ => &[2],
                };
                prop_assert!(classes.contains(&class), "{:?} {}", one.action, class);
            }
            prop_assert_eq!(found.status.original_envelope_id, message.0.envid.clone());
            Ok(())
        })?;
    }

    #[test]
    fn the_form_decides_about_octets_and_not_about_what_is_said(
        kind in kind(),
        message in envelope(),
        ends in ends(|| words().boxed()),
    ) {
        with_notice(kind, &message, &ends, "en", |notice| {
            let status = DeliveryStatus::of(notice);
            let (seven, global) = (status.written(Form::SevenBit), status.written(Form::Global));
            prop_assert!(seven.is_ascii());
            prop_assert_eq!(DeliveryStatus::read(seven.as_bytes()), DeliveryStatus::read(global.as_bytes()));
            let needed = form(notice) == Form::Global;
            let ascii = message.0.recipients.iter().all(|r| r.mailbox.as_str().is_ascii());
            prop_assert!(needed || ascii);
            Ok(())
        })?;
    }

    #[test]
    fn hostile_words_stay_words(
        kind in kind(),
        message in envelope(),
        ends in ends(|| hostile().boxed()),
    ) {
        with_notice(kind, &message, &ends, "en", |notice| {
            let composed = compose(notice);
            let found = read(&composed.octets).expect("a notice of ours is a report");
            prop_assert_eq!(found.status.recipients.len(), message.0.recipients.len());
            for one in &found.status.recipients {
                prop_assert_eq!(one.action, Some(action(kind)));
                prop_assert!(one.extension("Action").is_none());
                let calm = |typed: &Typed| !typed.value.chars().any(char::is_control);
                prop_assert!(one.diagnostic.as_ref().is_none_or(calm));
            }
            prop_assert!(found.returned.is_some());
            Ok(())
        })?;
    }
}
