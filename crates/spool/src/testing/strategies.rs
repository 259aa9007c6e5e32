//! Random words of every kind, for property tests.

use crate::record::ActedOn;
use crate::testing::{self, every_fault, every_observation};
use crate::{
    Change, Decision, Hold, LedgerEntry, LedgerKey, LedgerValue, NewPlace, Settled, Stage, Started,
    Target,
};
use posthaste_evidence::{
    Act, Attempt, Connection, ConnectionId, NoticeKind, Observation, Order, Outcome,
    RecipientResult, Withheld,
};
use posthaste_mail::envelope::{Notify, Ret, SignedBy};
use posthaste_mail::{
    BodyType, ContentFacts, EnhancedStatus, Envelope, Mailbox, QueueId, Recipient, Reply,
    ReversePath, SourceKind, Timestamp,
};
use posthaste_queue::belief::{self, Claim, Finding};
use posthaste_queue::delivered::{MAX_IN_PART, Part};
use posthaste_queue::life::Life;
use posthaste_queue::{DestinationState, RecipientState};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

fn time() -> impl Strategy<Value = Timestamp> {
    (0i64..4_000_000_000_000_000).prop_map(Timestamp::from_micros)
}

fn span() -> impl Strategy<Value = Duration> {
    (0u64..4_000_000_000).prop_map(Duration::from_micros)
}

fn id() -> impl Strategy<Value = QueueId> {
    any::<u64>().prop_map(QueueId::from_u64)
}

fn socket() -> impl Strategy<Value = SocketAddr> {
    any::<SocketAddr>()
}

fn mailbox() -> impl Strategy<Value = Mailbox> {
    "[a-z]{1,12}@[a-z]{1,12}\\.example"
        .prop_map(|text| Mailbox::parse(&text, false).expect("the pattern is valid"))
}

pub(crate) fn reply() -> impl Strategy<Value = Reply> {
    let enhanced = (prop_oneof![Just(2u8), Just(4), Just(5)], 0u16..1000, 0u16..1000)
        .prop_map(|(c, s, d)| EnhancedStatus::new(c, s, d));
    (0u16..1000, option::of(enhanced), vec(".{0,80}", 1..4))
        .prop_map(|(code, enhanced, lines)| Reply { code, enhanced, lines }.shortened())
}

pub(crate) fn state() -> impl Strategy<Value = RecipientState> {
    let lives = vec![
        Life::Queued,
        Life::Held,
        Life::Poison,
        Life::Refused,
        Life::Delivered,
        Life::Failed,
        Life::Expired,
        Life::Removed,
        Life::Failing,
        Life::Expiring,
    ];
    let due = prop_oneof![Just(Timestamp::EPOCH), time()];
    let warned = prop_oneof![Just(0), any::<u8>()];
    (select(lives), 0u32..90, 0u32..90, due, 0u8..4, warned).prop_map(
        |(life, attempts, failures, due, crashes, warned)| RecipientState {
            life,
            attempts,
            failures,
            due,
            crashes,
            warned,
        },
    )
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    (id(), any::<u32>(), state()).prop_map(|(message, recipient, state)| Change {
        message,
        recipient,
        state,
    })
}

pub(crate) fn started() -> impl Strategy<Value = Started> {
    (id(), vec(any::<u32>(), 0..9), option::of(socket()))
        .prop_map(|(message, recipients, peer)| Started { message, recipients, peer })
}

fn observation() -> impl Strategy<Value = Observation> {
    (select(every_observation()), time(), span()).prop_map(|(o, at, took)| Observation {
        at,
        took,
        ..o
    })
}

fn result() -> impl Strategy<Value = RecipientResult> {
    let outcomes = vec![
        Outcome::Delivered,
        Outcome::Deferred,
        Outcome::Failed,
        Outcome::Indeterminate,
        Outcome::Discarded,
    ];
    (0u32..50, select(outcomes), option::of(reply()), option::of(select(every_fault()))).prop_map(
        |(recipient, outcome, reply, fault)| RecipientResult { recipient, outcome, reply, fault },
    )
}

pub(crate) fn attempt() -> impl Strategy<Value = Attempt> {
    let connection = option::of(any::<u64>().prop_map(ConnectionId));
    (id(), time(), span(), connection, vec(result(), 1..6), vec(observation(), 0..60)).prop_map(
        |(message, at, took, connection, results, observations)| Attempt {
            message,
            at,
            took,
            connection,
            results,
            observations,
        },
    )
}

pub(crate) fn connection() -> impl Strategy<Value = Connection> {
    let host = (option::of("[a-z]{1,20}"), option::of(socket()), option::of(socket()));
    (any::<u64>(), time(), span(), host, vec(observation(), 0..256)).prop_map(
        |(id, at, took, (host, peer, local), observations)| Connection {
            at,
            took,
            host,
            peer,
            local,
            observations,
            ..testing::connection(id)
        },
    )
}

pub(crate) fn ledger_entry() -> impl Strategy<Value = LedgerEntry> {
    let key = prop_oneof![
        ".{0,40}".prop_map(LedgerKey::Destination),
        socket().prop_map(LedgerKey::NextHop),
        any::<u64>().prop_map(LedgerKey::Decision),
        any::<u64>().prop_map(LedgerKey::Hold),
        ".{0,40}".prop_map(LedgerKey::Missing),
        any::<u16>().prop_map(LedgerKey::Delivered),
    ];
    let failure = (connection(), vec(observation(), 0..5))
        .prop_map(|(c, observations)| Connection { observations, ..c });
    let down = (time(), any::<u32>(), time(), vec(failure, 0..4)).prop_map(
        |(since, failures, next_trial, connections)| LedgerValue::Down {
            state: DestinationState { since, failures, next_trial },
            failures: connections,
        },
    );
    let value = prop_oneof![down, hold(), decision(), claim(), delivered()];
    (key, option::of(value)).prop_map(|(key, value)| LedgerEntry { key, value })
}

fn claim() -> impl Strategy<Value = LedgerValue> {
    let findings = vec![Finding::Domain, Finding::Records, Finding::Targets];
    let proof = (time(), vec(socket(), 0..4)).prop_map(|(again, by)| belief::Proof { again, by });
    (select(findings), time(), time(), option::of(proof)).prop_map(
        |(finding, since, last, proof)| LedgerValue::Missing(Claim { finding, since, last, proof }),
    )
}

fn delivered() -> impl Strategy<Value = LedgerValue> {
    (".{0,40}", vec(any::<u64>(), 0..MAX_IN_PART + 1))
        .prop_map(|(name, domains)| LedgerValue::Delivered(Part { name, domains }))
}

fn order() -> impl Strategy<Value = Order> {
    (".{0,20}", option::of(".{0,40}"), option::of(any::<u64>()))
        .prop_map(|(by, reason, decision)| Order { by, reason, decision })
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        vec(id(), 0..9).prop_map(Target::Messages),
        ".{0,40}".prop_map(Target::Filter),
        "[a-z.]{1,20}".prop_map(Target::Destination),
        Just(Target::All),
    ]
}

fn hold() -> impl Strategy<Value = LedgerValue> {
    (target(), order(), time(), any::<u64>())
        .prop_map(|(target, order, at, caught)| Hold { target, order, at, caught })
        .prop_map(LedgerValue::Hold)
}

fn act() -> impl Strategy<Value = Act> {
    select(Act::ALL.map(|(act, _)| act).to_vec())
}

fn decision() -> impl Strategy<Value = LedgerValue> {
    let places =
        prop_oneof![".{1,20}".prop_map(NewPlace::Address), ".{1,20}".prop_map(NewPlace::Route)];
    let stages = vec![Stage::Going, Stage::Done, Stage::Cancelled, Stage::Stopped];
    let words = (option::of(places), option::of(".{0,40}"), option::of(".{0,40}"));
    let progress = (any::<[u64; 4]>(), vec((id(), any::<u32>()), 0..5), select(stages));
    let times = (time(), time());
    (act(), target(), order(), times, words, progress)
        .prop_map(|(act, target, order, (at, since), words, (numbers, in_flight, stage))| {
            Decision {
                act,
                target,
                to: words.0,
                text: words.1,
                order,
                at,
                last: QueueId::from_u64(numbers[0]),
                cursor: QueueId::from_u64(numbers[1]),
                messages: numbers[2],
                recipients: numbers[3],
                in_flight,
                stage,
                fault: words.2,
                since,
            }
        })
        .prop_map(|decision| LedgerValue::Decision(Box::new(decision)))
}

fn acted() -> impl Strategy<Value = ActedOn> {
    (act(), any::<u32>(), order(), option::of(id())).prop_map(|(act, recipient, order, into)| {
        ActedOn { act, recipient, order: order.into(), into }
    })
}

pub(crate) fn settled() -> impl Strategy<Value = Settled> {
    let changes = vec((0u32..2000, state()), 0..5);
    let kinds =
        NoticeKind::ALL.iter().map(|(kind, _)| Some(*kind)).chain([None]).collect::<Vec<_>>();
    let reasons = Withheld::ALL.iter().map(|(why, _)| *why).collect::<Vec<_>>();
    let told = (vec((id(), select(kinds)), 0..3), vec(select(reasons), 0..3));
    let ends = (told, any::<bool>(), vec(acted(), 0..3));
    (id(), time(), vec(attempt(), 0..3), changes, ends).prop_map(
        |(message, at, attempts, changes, ((notices, withheld), done, acts))| Settled {
            message,
            at,
            attempts: attempts.into_iter().map(|a| Attempt { message, ..a }).collect(),
            changes,
            notices,
            withheld,
            done,
            acts,
        },
    )
}

fn recipient() -> impl Strategy<Value = Recipient> {
    let notify =
        any::<[bool; 3]>().prop_map(|[success, failure, delay]| Notify { success, failure, delay });
    (mailbox(), option::of(".{0,30}"), option::of(notify))
        .prop_map(|(mailbox, orcpt, notify)| Recipient { mailbox, orcpt, notify })
}

fn facts() -> impl Strategy<Value = ContentFacts> {
    (any::<[u64; 3]>(), any::<[bool; 4]>(), any::<[u32; 2]>()).prop_map(|(n, b, m)| ContentFacts {
        size: n[0],
        header_end: n[1],
        received: m[0],
        eight_bit: b[0],
        eight_bit_header: b[2],
        longest_line: n[2],
        dotted: b[1],
        signed: b[3],
        crc: m[1],
    })
}

pub(crate) fn envelope() -> impl Strategy<Value = Envelope> {
    let text = || option::of(".{0,40}");
    let words = (text(), text(), text(), text(), text(), text());
    let from =
        option::of(mailbox()).prop_map(|m| m.map_or(ReversePath::Null, ReversePath::Mailbox));
    let kinds = vec![
        SourceKind::Relay,
        SourceKind::Inbound,
        SourceKind::Local,
        SourceKind::Notice,
        SourceKind::Submission,
    ];
    let source = (select(kinds), ".{0,20}", option::of(any::<IpAddr>()), ".{0,20}");
    let ret = option::of(select(vec![Ret::Full, Ret::Hdrs]));
    let flags = (any::<bool>(), any::<bool>(), option::of("[a-z ]{1,20}"));
    (id(), time(), from, vec(recipient(), 1..20), ret, facts(), words, source, flags).prop_map(
        |(id, received, reverse_path, recipients, ret, facts, words, source, flags)| {
            let mut e = testing::envelope(id, 1, b"");
            (e.received, e.reverse_path, e.recipients) = (received, reverse_path, recipients);
            (e.ret, e.facts, e.smtputf8) = (ret, facts, flags.0);
            e.body_type = if flags.1 { BodyType::SevenBit } else { BodyType::EightBitMime };
            (e.envid, e.summary.header_from, e.summary.subject) = (words.0, words.1, words.2);
            (e.summary.message_id, e.summary.date, e.source.user) = (words.3, words.4, words.5);
            (e.source.kind, e.source.listener, e.source.ip, e.source.helo) = source;
            e.route = flags.2;
            let by = |domain: &str| SignedBy { domain: domain.into(), selector: "s".into() };
            let signers = usize::from(e.smtputf8) * 2;
            e.summary.signed_by =
                ["a.example", "b.example"][..signers].iter().map(|d| by(d)).collect();
            e
        },
    )
}
