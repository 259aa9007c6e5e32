//! A reply as any server, or anybody who can spoof one, may send it: reading and judging it never panics, never takes
//! long, keeps within its limits, and what is believed belongs to the question.
#![no_main]

use libfuzzer_sys::fuzz_target;
use posthaste_dns::meaning::{MAX_ALIASES, MAX_RECORDS, Meaning};
use posthaste_dns::wire;
use posthaste_evidence::{AnswerKind, RecordType, Transport};

const TYPES: [RecordType; 9] = [
    RecordType::A,
    RecordType::Aaaa,
    RecordType::Mx,
    RecordType::Cname,
    RecordType::Ptr,
    RecordType::Txt,
    RecordType::Soa,
    RecordType::Ns,
    RecordType::Tlsa,
];
const NAME: &str = "example.org";

fuzz_target!(|octets: &[u8]| {
    let Some((&choice, reply)) = octets.split_first() else { return };
    let kind = TYPES[usize::from(choice) % TYPES.len()];
    let _ = wire::is_truncated(reply);
    let Ok(read) = wire::read(reply) else { return };
    assert!(read.extended.len() <= wire::MAX_EXTENDED);
    assert!(read.extended.iter().all(|(_, text)| text.len() <= wire::MAX_EXTENDED_TEXT));
    let meaning = Meaning::of(&read, NAME, kind, Transport::Udp);
    assert!(meaning.answer.records.len() <= MAX_RECORDS);
    let aliases = meaning.answer.records.iter().take_while(|r| r.name == NAME).count();
    assert!(aliases <= MAX_RECORDS && MAX_ALIASES < MAX_RECORDS);
    if let Some(next) = &meaning.next {
        assert_eq!(meaning.answer.kind, AnswerKind::Answer);
        // What is asked for next is a name that can be asked for.
        let _ = posthaste_dns::to_dns(next);
    }
    if let Some(first) = meaning.answer.records.first() {
        assert_eq!(first.name, NAME, "a chain begins with the name asked for");
    }
});
