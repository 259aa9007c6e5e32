//! A reply as any server, or anybody who can spoof one, may send it: reading and judging it never panics, never takes
//! long, keeps within its limits, and what is believed belongs to the question.
#![no_main]

use hickory_proto::rr::Name;
use libfuzzer_sys::fuzz_target;
use posthaste_dns::meaning::{MAX_ALIASES, MAX_RECORDS, Meaning};
use posthaste_dns::wire::{self, Fit, Flags, HEADER};
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
/// The octets of our EDNS record without options (RFC 6891 section 6.1.2).
const OPT: usize = 11;

fuzz_target!(|octets: &[u8]| {
    let Some((&choice, reply)) = octets.split_first() else { return };
    let kind = TYPES[usize::from(choice) % TYPES.len()];
    let _ = wire::is_truncated(reply);
    fits(reply);
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

/// What is taken for a reply to our question has its id, and the same question or an error and nothing else.
fn fits(reply: &[u8]) {
    let name = Name::from_ascii(NAME).expect("a name");
    // The id that the reply has, so that more than one in 65,536 is looked at further.
    let id = reply.first_chunk::<2>().map_or(0, |id| u16::from_be_bytes(*id));
    let question = wire::question(id, &name, RecordType::Mx, true, Flags::default());
    let end = question.len() - OPT;
    match wire::fit(&question, reply) {
        Fit::Exact => assert_eq!(reply[HEADER..end], question[HEADER..end]),
        Fit::OtherCase => {
            assert!(reply[HEADER..end].eq_ignore_ascii_case(&question[HEADER..end]));
            assert_ne!(reply[HEADER..end], question[HEADER..end]);
        }
        Fit::Bare => assert!(reply.len() == HEADER && reply[3] & 0x0f != 0),
        Fit::Stranger => {}
    }
    let other = wire::question(!id, &name, RecordType::Mx, true, Flags::default());
    assert_eq!(wire::fit(&other, reply), Fit::Stranger, "another id");
}
