//! Round trips of everything, arbitrary octets, and the sizes that the design promises.

use super::*;
use crate::testing::{self, strategies as any};
use crate::{Change, LedgerEntry, Started};
use posthaste_evidence::observation::Choice;
use posthaste_evidence::{
    Attempt, Connection, ConnectionId, Effect, Fault, Observation, Outcome, RecipientResult, Seen,
    Stage, Subject,
};
use posthaste_mail::{EnhancedStatus, Envelope, QueueId, Reply};
use posthaste_queue::RecipientState;
use posthaste_queue::life::Life;
use proptest::prelude::*;

fn round_trip<T: Record + PartialEq + std::fmt::Debug>(value: &T) {
    let bytes = value.encode();
    assert_eq!(&T::decode(&bytes).expect("decodes"), value);
}

/// What the future may add: a field that this version does not know.
fn with_unknown_field(bytes: &[u8]) -> Vec<u8> {
    let mut w = Writer::default();
    w.bytes(800, b"from the future");
    w.append(bytes);
    w.number(801, 7);
    w.into_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn envelopes(value in any::envelope()) {
        round_trip(&value);
        let future = with_unknown_field(&value.encode());
        prop_assert_eq!(Envelope::decode(&future).expect("decodes"), value);
    }

    #[test]
    fn attempts(value in any::attempt()) {
        let bytes = value.encode();
        let kept = Attempt::decode(&bytes).expect("decodes");
        prop_assert!(bytes.len() <= MAX_ATTEMPT + 8 * value.results.len() + 16);
        if !kept.observations.iter().any(|o| o.seen == Seen::Chose(Choice::LeftOut)) {
            prop_assert_eq!(&kept.observations, &value.observations);
        }
        prop_assert_eq!(kept.results.len(), value.results.len());
        round_trip(&kept);
    }

    #[test]
    fn connections(value in any::connection()) {
        let bytes = value.encode();
        prop_assert!(bytes.len() <= MAX_CONNECTION);
        round_trip(&Connection::decode(&bytes).expect("decodes"));
    }

    #[test]
    fn ledger_entries(value in any::ledger_entry()) {
        round_trip(&value);
    }

    #[test]
    fn small_things(states in prop::collection::vec(any::state(), 0..40),
                    change in any::change(), started in any::started(), settled in any::settled()) {
        let mut packed = Vec::new();
        write_states(&mut packed, &states);
        prop_assert_eq!(read_states(&packed).expect("reads"), states);
        round_trip(&change);
        round_trip(&started);
        let kept = Settled::decode(&settled.encode()).expect("decodes");
        round_trip(&kept);
    }

    #[test]
    fn arbitrary_octets_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        decode_all(&bytes);
    }

    #[test]
    fn nor_do_damaged_records(attempt in any::attempt(), connection in any::connection(),
                              at in any::<prop::sample::Index>(), mask in 1u8..) {
        for mut bytes in [attempt.encode(), connection.encode()] {
            let index = at.index(bytes.len());
            bytes[index] ^= mask;
            decode_all(&bytes);
        }
    }
}

fn decode_all(bytes: &[u8]) {
    let _ = Envelope::decode(bytes);
    let _ = Attempt::decode(bytes);
    let _ = Connection::decode(bytes);
    let _ = LedgerEntry::decode(bytes);
    let _ = Change::decode(bytes);
    let _ = Started::decode(bytes);
    let _ = Settled::decode(bytes);
    let _ = read_states(bytes);
}

#[test]
fn every_variant_makes_the_round_trip() {
    let mut attempt = testing::deferred(QueueId::from_u64(7), 0);
    attempt.observations = testing::every_observation();
    attempt.results = testing::every_fault()
        .into_iter()
        .zip(0..)
        .map(|(fault, recipient)| RecipientResult {
            recipient,
            outcome: Outcome::Deferred,
            reply: None,
            fault: Some(fault),
        })
        .collect();
    round_trip(&attempt);
    let mut connection = testing::connection(9);
    connection.observations = testing::every_observation();
    round_trip(&connection);
}

#[test]
fn a_run_of_equal_states_cannot_fill_the_memory() {
    let mut packed = vec![128];
    wire::put_varint(&mut packed, u64::MAX >> 1);
    assert!(read_states(&packed).is_err());
    let mut many = Vec::new();
    write_states(&mut many, &vec![RecipientState::default(); 1000]);
    assert!(many.len() <= 3);
}

#[test]
fn a_delivered_settlement_is_small() {
    let id = QueueId::first_at(Timestamp::from_secs(1_795_243_984));
    let at = Timestamp::from_micros(1_795_243_984_123_456);
    let reply = Reply::new(250, Some(EnhancedStatus::new(2, 0, 0)), "Ok: queued as 4bXyZ12345");
    let result = RecipientResult {
        recipient: 0,
        outcome: Outcome::Delivered,
        reply: Some(reply),
        fault: None,
    };
    let attempt = Attempt {
        message: id,
        at: at.minus(Duration::from_millis(350)),
        took: Duration::from_millis(340),
        connection: Some(ConnectionId(1_234_567)),
        results: vec![result],
        observations: testing::transaction(at),
    };
    let state = RecipientState { life: Life::Delivered, attempts: 1, ..Default::default() };
    let settled = Settled {
        message: id,
        at,
        attempts: vec![attempt],
        changes: vec![(0, state)],
        notices: vec![],
        withheld: vec![],
        done: true,
        acts: vec![],
    };
    let mut w = Writer::default();
    settled.write_within(&mut w);
    let size = w.into_vec().len();
    // The log adds the message's id and place, a checksum and lengths: 30 octets (spool rule 9: 128 in all).
    assert!(size <= 128 - 30, "{size}");
}

#[test]
fn a_deferred_attempt_is_small_and_never_large() {
    let typical = testing::deferred(QueueId::from_u64(7), 3).encode();
    assert!(typical.len() <= 400, "{}", typical.len());

    let mut wild = testing::deferred(QueueId::from_u64(7), 0);
    let at = wild.at;
    let said = |n: u32| Reply::new(450, None, format!("{n} {}", "x".repeat(600)));
    wild.results = (0..1000)
        .map(|n| RecipientResult {
            recipient: n,
            outcome: Outcome::Deferred,
            reply: Some(said(n)),
            fault: Some(Fault::Reply { stage: Stage::Rcpt, reply: said(n) }),
        })
        .collect();
    wild.observations = (0..1000).map(|n| observed(at, n, said(n))).collect();
    let bytes = wild.encode();
    assert!(bytes.len() < 1000 * 40, "{}", bytes.len());

    wild.results.truncate(3);
    let bytes = wild.encode();
    assert!(bytes.len() <= MAX_ATTEMPT, "{}", bytes.len());
    let kept = Attempt::decode(&bytes).expect("decodes");
    let marks = kept.observations.iter().filter(|o| o.seen == Seen::Chose(Choice::LeftOut));
    assert_eq!(marks.count(), 1);
    assert_eq!(kept.observations.first().map(|o| &o.subject), Some(&Subject::Recipient(0)));
    assert_eq!(kept.observations.last().map(|o| &o.subject), Some(&Subject::Recipient(999)));
}

fn observed(at: Timestamp, recipient: u32, reply: Reply) -> Observation {
    Observation {
        at,
        took: Duration::from_millis(1),
        stage: Stage::Rcpt,
        subject: Subject::Recipient(recipient),
        seen: Seen::Reply(reply),
        effect: Effect::Blocking,
    }
}
