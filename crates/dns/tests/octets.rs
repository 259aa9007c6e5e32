//! Replies as octets: what they mean, and that no octets whatever make the reader panic, hang or swell.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::rdata::{A, CNAME, MX, NS, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType as WireType};
use posthaste_dns::meaning::{MAX_ALIASES, MAX_RECORDS, Meaning};
use posthaste_dns::wire::{self, Fit, Flags, MAX_EXTENDED, MAX_EXTENDED_TEXT, MAX_SIDE_RECORDS};
use posthaste_evidence::{AnswerKind, RecordData, RecordType, Transport};
use proptest::prelude::*;

const ID: u16 = 0x1234;

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).unwrap()
}

fn question() -> Vec<u8> {
    wire::question(ID, &name("example.org"), RecordType::Mx, true, Flags::default())
}

fn reply() -> Message {
    let mut message = Message::response(ID, OpCode::Query);
    message.metadata.recursion_available = true;
    message.add_query(Query::query(name("example.org"), WireType::MX));
    message
}

fn mx(owner: &str, preference: u16, host: &str) -> Record {
    Record::from_rdata(name(owner), 300, RData::MX(MX::new(preference, name(host))))
}

fn cname(owner: &str, target: &str) -> Record {
    Record::from_rdata(name(owner), 120, RData::CNAME(CNAME(name(target))))
}

fn soa(ttl: u32, minimum: u32) -> Record {
    let data = SOA::new(name("ns.example"), name("root.example"), 1, 2, 3, 4, minimum);
    Record::from_rdata(name("example.org"), ttl, RData::SOA(data))
}

fn ns() -> Record {
    Record::from_rdata(name("org"), 300, RData::NS(NS(name("a.nic.org"))))
}

fn meaning(message: &Message) -> Meaning {
    let octets = message.to_vec().unwrap();
    let reply = wire::read(&octets).unwrap();
    Meaning::of(&reply, "example.org", RecordType::Mx, Transport::Udp)
}

/// A reply with these answers, these authorities, and a response code.
fn with(answers: &[Record], authorities: &[Record], rcode: ResponseCode) -> Message {
    let mut message = reply();
    message.answers = answers.to_vec();
    message.authorities = authorities.to_vec();
    message.metadata.response_code = rcode;
    message
}

/// What a reply with these sections amounts to: kind, TTL, and the name to ask for next.
fn told(answers: &[Record], authorities: &[Record], rcode: ResponseCode) -> String {
    let Meaning { answer, next, .. } = meaning(&with(answers, authorities, rcode));
    format!("{:?} {} {}", answer.kind, answer.ttl, next.unwrap_or_default()).trim_end().to_owned()
}

#[test]
fn answers_have_their_meaning() {
    let records = [mx("example.org", 10, "mx")];
    let of_others = [mx("evil.example", 1, "mx")];
    let alias = cname("example.org", "shop.example");
    let to_records = [mx("shop.example", 5, "mx"), alias.clone()];
    let circle = [alias.clone(), cname("shop.example", "example.org")];
    let alias = [alias];
    for (story, answers, authorities, expected) in [
        ("records", &records[..], vec![], "Answer 300"),
        ("no data", &[], vec![soa(900, 60)], "NoData 60"),
        ("no data, the SOA's own TTL is lower", &[], vec![soa(30, 60)], "NoData 30"),
        ("no data without SOA", &[], vec![], "NoData 0"),
        ("records nobody asked for", &of_others, vec![], "NoData 0"),
        ("alias to a name without", &alias, vec![soa(900, 200)], "NoData 120"),
        ("alias into another's zone", &alias, vec![], "Answer 120 shop.example"),
        ("B24: alias with its records", &to_records, vec![], "Answer 120"),
        ("a circle", &circle, vec![], "Malformed 0"),
        ("upward referral", &[], vec![ns()], "Lame 0"),
    ] {
        assert_eq!(told(answers, &authorities, ResponseCode::NoError), expected, "{story}");
    }
    let circle = meaning(&with(&circle, &[], ResponseCode::NoError));
    assert!(!circle.speaks_against_server(), "a circle is the zone's fault, not the server's");
    let nothing = told(&[], &[soa(900, 60)], ResponseCode::NXDomain);
    assert_eq!(nothing, "NxDomain 60");
    let alias_to_nothing = told(&alias, &[soa(900, 60)], ResponseCode::NXDomain);
    assert_eq!(alias_to_nothing, "NxDomain 60");
}

#[test]
fn failures_are_kept_apart() {
    use ResponseCode as R;
    for (rcode, expected) in [
        (R::ServFail, "ServFail 0"),
        (R::Refused, "Refused 0"),
        (R::NotImp, "NotImp 0"),
        (R::FormErr, "FormErr 0"),
        (R::NotAuth, "OtherRcode(9) 0"),
    ] {
        assert_eq!(told(&[], &[], rcode), expected);
        assert_eq!(told(&[mx("example.org", 1, "mx")], &[], rcode), expected, "with records");
    }
}

#[test]
fn a_server_that_neither_owns_nor_asks_is_lame() {
    let mut message = with(&[], &[], ResponseCode::NoError);
    message.metadata.recursion_available = false;
    assert_eq!(meaning(&message).answer.kind, AnswerKind::Lame);
    message.metadata.authoritative = true;
    assert_eq!(meaning(&message).answer.kind, AnswerKind::NoData);
}

#[test]
fn the_null_mx_and_the_flags_are_read() {
    let null = Record::from_rdata(name("example.org"), 60, RData::MX(MX::new(0, Name::root())));
    let mut message = with(&[null], &[], ResponseCode::NoError);
    message.metadata.authentic_data = true;
    let answer = meaning(&message).answer;
    let exchange = RecordData::Mx { preference: 0, exchange: String::new() };
    assert_eq!(answer.records[0].data, exchange);
    assert_eq!(answer.records[0].name, "example.org");
    assert!(answer.authentic && !answer.authoritative);
}

#[test]
fn extended_errors_are_kept_within_bounds() {
    let mut edns = Edns::new();
    for code in 0..9u16 {
        let text = "ä".repeat(100);
        let octets = [&(code + 5).to_be_bytes()[..], text.as_bytes()].concat();
        edns.options_mut().insert(EdnsOption::Unknown(15, octets));
    }
    edns.options_mut().insert(EdnsOption::Unknown(15, vec![1]));
    let mut message = with(&[], &[], ResponseCode::ServFail);
    message.set_edns(edns);
    let answer = meaning(&message).answer;
    assert_eq!(answer.kind, AnswerKind::Bogus, "codes 6 to 8 are among them");
    assert_eq!(answer.extended.len(), MAX_EXTENDED);
    assert!(answer.extended.iter().all(|(_, text)| text.len() <= MAX_EXTENDED_TEXT));
    assert_eq!(answer.extended[0].0, 5);
}

#[test]
fn only_the_reply_to_the_question_is_taken() {
    let asked = question();
    let good = reply().to_vec().unwrap();
    assert!(wire::is_reply_to(&asked, &good));
    let changed = |at: usize, to: u8| {
        let mut reply = good.clone();
        reply[at] = to;
        reply
    };
    assert_eq!(wire::fit(&asked, &good), Fit::Exact);
    assert_eq!(wire::fit(&asked, &changed(13, b'E')), Fit::OtherCase);
    assert!(wire::is_reply_to(&asked, &changed(13, b'E')), "the reader decides about case");
    for (story, other) in [
        ("another id", changed(0, 0x99)),
        ("a query", changed(2, 0)),
        ("another opcode", changed(2, 0xa8)),
        ("another name", changed(13, b'f')),
        ("another type", changed(12 + 13 + 1, 1)),
        ("two questions", changed(5, 2)),
        ("no question", changed(5, 0)),
        ("a cut header", good[..11].to_vec()),
        ("a cut question", good[..20].to_vec()),
        ("nothing", Vec::new()),
    ] {
        assert!(!wire::is_reply_to(&asked, &other), "{story}");
    }
    let bare = |rcode| vec![0x12, 0x34, 0x80, rcode, 0, 0, 0, 0, 0, 0, 0, 0];
    assert!(wire::is_reply_to(&asked, &bare(1)), "a server that cannot read questions");
    assert!(!wire::is_reply_to(&asked, &bare(0)), "success must repeat the question");
}

/// A reply with something of everything: aliases, compression, authority, EDNS.
fn rich() -> Vec<u8> {
    let mut message =
        with(&[cname("example.org", "shop.example")], &[soa(900, 60), ns()], ResponseCode::NoError);
    for i in 0..20 {
        message.add_answer(mx("shop.example", i, &format!("mx{i}.shop.example")));
    }
    message.add_additional(Record::from_rdata(name("mx0"), 1, RData::A(A::new(192, 0, 2, 1))));
    let mut edns = Edns::new();
    edns.options_mut().insert(EdnsOption::Unknown(15, b"\0\x16text".to_vec()));
    message.set_edns(edns);
    message.to_vec().unwrap()
}

/// Whatever the octets are, what comes of them is bounded.
fn check(octets: &[u8]) {
    let _ = wire::is_reply_to(&question(), octets);
    let _ = wire::is_truncated(octets);
    let Ok(reply) = wire::read(octets) else { return };
    assert!(reply.authorities.len() <= MAX_SIDE_RECORDS);
    assert!(reply.additionals.len() <= MAX_SIDE_RECORDS && reply.extended.len() <= MAX_EXTENDED);
    for kind in [RecordType::Mx, RecordType::A, RecordType::Cname, RecordType::Txt] {
        let meaning = Meaning::of(&reply, "example.org", kind, Transport::Udp);
        let Meaning { answer, next, .. } = meaning;
        assert!(answer.records.len() <= MAX_RECORDS.max(MAX_ALIASES));
        assert!(next.is_none() || answer.kind == AnswerKind::Answer);
        assert!(answer.kind != AnswerKind::Answer || !answer.records.is_empty());
        for record in &answer.records {
            assert!(
                posthaste_dns::to_dns(&record.name).is_ok(),
                "{record:?} can be asked for again"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn every_case_of_a_question_is_the_same_question_and_no_other(
        chance in any::<u64>(), id in any::<u16>(), labels in prop::collection::vec("[a-z0-9-]{1,63}", 0..4),
    ) {
        let name = Name::from_labels(labels.iter().map(String::as_bytes)).unwrap();
        let plain = wire::question(id, &name, RecordType::Mx, true, Flags::default());
        let mut mixed = plain.clone();
        wire::mix_case(&mut mixed, || chance);
        prop_assert!(mixed.eq_ignore_ascii_case(&plain));
        prop_assert_eq!(&mixed[..12], &plain[..12]);
        let mut reply = mixed.clone();
        reply[2] |= 0x80;
        prop_assert_eq!(wire::fit(&mixed, &reply), Fit::Exact);
        let folds = if mixed == plain { Fit::Exact } else { Fit::OtherCase };
        prop_assert_eq!(wire::fit(&plain, &reply), folds);
        reply[0] ^= 1;
        prop_assert_eq!(wire::fit(&mixed, &reply), Fit::Stranger);
    }

    #[test]
    fn what_fits_has_the_id_and_the_question(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (asked, mut octets) = (question(), rich());
        for (at, value) in changes {
            let at = at.index(octets.len().min(40));
            octets[at] = value;
        }
        if let Some(cut) = cut {
            octets.truncate(cut.index(octets.len()));
        }
        let section = 12..12 + 17;
        match wire::fit(&asked, &octets) {
            Fit::Exact => prop_assert_eq!(&octets[section.clone()], &asked[section]),
            Fit::OtherCase => {
                prop_assert!(octets[section.clone()].eq_ignore_ascii_case(&asked[section]));
            }
            Fit::Bare => prop_assert!(octets.len() == 12 && octets[3] & 0x0f != 0),
            Fit::Stranger => return Ok(()),
        }
        prop_assert_eq!(&octets[..2], &asked[..2]);
        prop_assert!(octets[2] & 0x80 != 0);
    }

    #[test]
    fn mutated_replies_are_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut octets = rich();
        for (at, value) in changes {
            let at = at.index(octets.len());
            octets[at] = value;
        }
        if let Some(cut) = cut {
            octets.truncate(cut.index(octets.len()));
        }
        check(&octets);
    }

    #[test]
    fn compression_pointers_anywhere_end(
        at in any::<prop::sample::Index>(), to in 0u16..0x3fff, count in 0u16..2000,
    ) {
        let mut octets = rich();
        let at = 12 + at.index(octets.len() - 14);
        octets[at..at + 2].copy_from_slice(&(0xc000 | to).to_be_bytes());
        octets[6..8].copy_from_slice(&count.to_be_bytes());
        check(&octets);
    }

    #[test]
    fn random_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        check(&octets);
    }
}

#[test]
fn the_largest_messages_are_read_in_bounded_time() {
    let mut octets = reply().to_vec().unwrap();
    let record = [0xc0, 0x0c, 0, 15, 0, 1, 0, 0, 0, 9, 0, 4, 0, 7, 0xc0, 0x0c];
    let count = (65_535 - octets.len()) / record.len();
    for _ in 0..count {
        octets.extend(record);
    }
    octets[6..8].copy_from_slice(&u16::try_from(count).unwrap().to_be_bytes());
    check(&octets);
    let reply = wire::read(&octets).unwrap();
    assert_eq!(reply.answers.len(), count);
    // Names that are chains of pointers, each into the one before.
    let mut chain = octets[..12 + 17].to_vec();
    chain[6..8].copy_from_slice(&1u16.to_be_bytes());
    while chain.len() < 60_000 {
        let before = u16::try_from(chain.len().min(0x3ffe) - 2).unwrap();
        chain.extend((0xc000 | before).to_be_bytes());
    }
    check(&chain);
}
