//! One DNS question as one line of JSON, for the DNS log. The format is described in the head of [`crate::journal`].
//!
//! What servers sent is text of strangers: records are shown as a zone file would have them (RFC 1035 section 5.1), with
//! everything but plain ASCII escaped, and cut.

use crate::session_json::millis;
use posthaste_evidence::{
    Answer, AnswerKind, DnsQuestion, Edns, Observation, Record, RecordData, Seen, Subject,
    Transport,
};
use posthaste_mail::text::armoured;
use serde::Serialize;
use std::fmt::Write;

/// The version of the format; raised when a field changes its meaning, not when one is added.
const VERSION: u32 = 1;
/// Records of one answer that are shown; all are counted.
const SHOWN: usize = 4;
/// Octets shown of one text or one block of data.
const MAX_TEXT: usize = 128;
/// Servers of one question that are told.
const MAX_SERVERS: usize = 64;

/// Adds the question as JSON without a line end.
pub(crate) fn line(question: &DnsQuestion, to: &mut String) {
    let json = serde_json::to_string(&of(question));
    to.push_str(&armoured(json.expect("a struct of strings and numbers becomes JSON")));
}

#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    at: String,
    name: &'a str,
    r#type: String,
    r#for: &'static str,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rcode: Option<u16>,
    took_ms: f64,
    #[serde(skip_serializing_if = "is_zero")]
    ttl: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    fallback: bool,
    #[serde(skip_serializing_if = "is_false")]
    stale: bool,
    #[serde(skip_serializing_if = "is_false")]
    secure: bool,
    #[serde(skip_serializing_if = "is_zero")]
    askers: u32,
    servers: Vec<ServerLine<'a>>,
}

#[derive(Serialize)]
struct ServerLine<'a> {
    server: Option<String>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rcode: Option<u16>,
    ms: f64,
    #[serde(flatten)]
    answer: Option<AnswerLine<'a>>,
}

#[derive(Serialize)]
struct AnswerLine<'a> {
    transport: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flags: Vec<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    fallback: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    edns: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ede: Vec<(u16, &'a str)>,
    #[serde(skip_serializing_if = "is_zero")]
    ttl: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    first: Vec<String>,
}

fn of(question: &DnsQuestion) -> Line<'_> {
    let servers = question.observations.iter().take(MAX_SERVERS);
    Line {
        v: VERSION,
        at: question.at.rfc3339(),
        name: if question.name.is_empty() { "." } else { &question.name },
        r#type: question.kind.to_string(),
        r#for: question.purpose.name(),
        verdict: word(question.answer.kind),
        rcode: rcode(question.answer.kind),
        took_ms: millis(question.took),
        ttl: question.answer.ttl,
        by: question.by.map(|server| server.to_string()),
        fallback: question.answer.fallback,
        stale: question.stale,
        secure: question.secure,
        askers: question.askers,
        servers: servers.map(server).collect(),
    }
}

fn server(observation: &Observation) -> ServerLine<'_> {
    let server = match &observation.subject {
        Subject::Question { server, .. } => server.map(|server| server.to_string()),
        _ => None,
    };
    let answer = match &observation.seen {
        Seen::Answer(answer) => Some(answer),
        _ => None,
    };
    let kind = answer.map_or(AnswerKind::Timeout, |answer| answer.kind);
    ServerLine {
        server,
        outcome: word(kind),
        rcode: rcode(kind),
        ms: millis(observation.took),
        answer: answer.map(told),
    }
}

fn told(answer: &Answer) -> AnswerLine<'_> {
    let flags = [(answer.authoritative, "AA"), (answer.authentic, "AD"), (answer.truncated, "TC")];
    AnswerLine {
        transport: transport(answer.transport),
        flags: flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect(),
        fallback: answer.fallback,
        edns: edns(answer.edns),
        ede: answer.extended.iter().map(|(code, text)| (*code, text.as_str())).collect(),
        ttl: answer.ttl,
        records: Some(answer.records.len()).filter(|count| *count > 0),
        first: answer.records.iter().take(SHOWN).map(record).collect(),
    }
}

/// As the outside interface names the outcomes of observations.
const fn word(kind: AnswerKind) -> &'static str {
    match kind {
        AnswerKind::Answer => "answer",
        AnswerKind::NoData => "nodata",
        AnswerKind::NxDomain => "nxdomain",
        AnswerKind::ServFail => "servfail",
        AnswerKind::Refused => "refused",
        AnswerKind::NotImp => "notimp",
        AnswerKind::FormErr => "formerr",
        AnswerKind::OtherRcode(_) => "other-rcode",
        AnswerKind::Lame => "lame",
        AnswerKind::Timeout => "timed-out",
        AnswerKind::Unreachable => "unreachable",
        AnswerKind::Malformed => "malformed",
        AnswerKind::Bogus => "bogus",
    }
}

const fn rcode(kind: AnswerKind) -> Option<u16> {
    match kind {
        AnswerKind::OtherRcode(code) => Some(code),
        _ => None,
    }
}

const fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
        Transport::Cache => "cache",
        Transport::Hosts => "hosts",
    }
}

/// Nothing for the usual.
const fn edns(edns: Edns) -> Option<&'static str> {
    match edns {
        Edns::Offered => None,
        Edns::LeftOut => Some("left-out"),
        Edns::LeftOutToSee => Some("left-out-to-see"),
    }
}

/// A record as a line of a zone file.
fn record(record: &Record) -> String {
    let mut text = format!("{} {} ", name(&record.name), record.ttl);
    let written = match &record.data {
        RecordData::A(ip) => write!(text, "A {ip}"),
        RecordData::Aaaa(ip) => write!(text, "AAAA {ip}"),
        RecordData::Mx { preference, exchange } => {
            write!(text, "MX {preference} {}", name(exchange))
        }
        RecordData::Cname(target) => write!(text, "CNAME {}", name(target)),
        RecordData::Ptr(target) => write!(text, "PTR {}", name(target)),
        RecordData::Ns(target) => write!(text, "NS {}", name(target)),
        RecordData::Txt(data) => write!(text, "TXT \"{}\"", escaped(data)),
        RecordData::Soa { primary, serial, minimum } => {
            write!(text, "SOA {} {serial} {minimum}", name(primary))
        }
        RecordData::Tlsa(usage, selector, matching, data) => {
            write!(text, "TLSA {usage} {selector} {matching} {}", hex(data))
        }
        RecordData::Ds { key_tag, algorithm, digest_type } => {
            write!(text, "DS {key_tag} {algorithm} {digest_type}")
        }
        RecordData::Dnskey { flags, algorithm, key_tag } => {
            write!(text, "DNSKEY {flags} 3 {algorithm} ; key {key_tag}")
        }
        RecordData::Rrsig { covers, key_tag, expiration, signer, .. } => {
            write!(text, "RRSIG {covers} {expiration} {key_tag} {}", name(signer))
        }
    };
    written.expect("a string takes what is written");
    text
}

/// In zone files a name without final dot would be continued by the zone's.
fn name(name: &str) -> String {
    format!("{name}.")
}

fn escaped(text: &str) -> String {
    let shown = &text[..text.floor_char_boundary(MAX_TEXT)];
    let mut escaped = String::with_capacity(shown.len());
    for octet in shown.bytes() {
        match octet {
            b'"' | b'\\' => escaped.extend(['\\', char::from(octet)]),
            b' '..=b'~' => escaped.push(char::from(octet)),
            other => write!(escaped, "\\{other:03}").expect("a string takes what is written"),
        }
    }
    if shown.len() < text.len() {
        escaped.push_str("...");
    }
    escaped
}

fn hex(data: &[u8]) -> String {
    let mut text = String::with_capacity(2 * MAX_TEXT);
    for octet in data.iter().take(MAX_TEXT) {
        write!(text, "{octet:02x}").expect("a string takes what is written");
    }
    text
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_evidence::{Effect, Purpose, RecordType, Stage};
    use posthaste_mail::Timestamp;
    use std::net::SocketAddr;
    use std::time::Duration;

    const SERVER: ([u8; 4], u16) = ([192, 0, 2, 53], 53);

    fn observed(seen: Seen, micros: u64) -> Observation {
        let server = Some(SocketAddr::from(SERVER));
        Observation {
            at: Timestamp::EPOCH,
            took: Duration::from_micros(micros),
            stage: Stage::DnsMx,
            subject: Subject::Question { server, name: "y.example".into(), kind: RecordType::Mx },
            seen,
            effect: Effect::None,
        }
    }

    fn question(answer: Answer, observations: Vec<Observation>) -> DnsQuestion {
        DnsQuestion {
            at: Timestamp::from_micros(1_795_243_984_123_456),
            took: Duration::from_micros(21_400),
            purpose: Purpose::Answer,
            name: "y.example".into(),
            kind: RecordType::Mx,
            answer,
            by: None,
            stale: false,
            secure: false,
            askers: 1,
            observations,
        }
    }

    fn text(question: &DnsQuestion) -> String {
        let mut text = String::new();
        line(question, &mut text);
        text
    }

    fn answer(records: Vec<RecordData>) -> Answer {
        let owned = |data| Record { name: "y.example".into(), ttl: 300, data };
        let records = records.into_iter().map(owned).collect();
        Answer { records, ttl: 300, ..Answer::empty(AnswerKind::Answer, Transport::Udp) }
    }

    #[test]
    fn every_servers_answer_is_in_the_line() {
        let mx = RecordData::Mx { preference: 10, exchange: "mx.y.example".into() };
        let good = Answer { authentic: true, ..answer(vec![mx]) };
        let slow = observed(Seen::TimedOut { after: Duration::from_millis(300) }, 300_100);
        let told = observed(Seen::Answer(good.clone()), 20_900);
        let by = Some(SERVER.into());
        let question = DnsQuestion { by, askers: 3, ..question(good, vec![slow, told]) };
        assert_eq!(
            text(&question),
            r#"{"v":1,"at":"2026-11-21T06:53:04.123Z","name":"y.example","type":"MX","for":"answer","verdict":"answer","took_ms":21.4,"ttl":300,"by":"192.0.2.53:53","askers":3,"servers":[{"server":"192.0.2.53:53","outcome":"timed-out","ms":300.1},{"server":"192.0.2.53:53","outcome":"answer","ms":20.9,"transport":"udp","flags":["AD"],"ttl":300,"records":1,"first":["y.example. 300 MX 10 mx.y.example."]}]}"#
        );
    }

    #[test]
    fn a_failure_says_how() {
        let bogus = Answer {
            truncated: true,
            edns: Edns::LeftOut,
            extended: vec![(7, "expired".into())],
            ..Answer::empty(AnswerKind::Bogus, Transport::Tcp)
        };
        let odd = Answer::empty(AnswerKind::OtherRcode(9), Transport::Tls);
        let seen = [bogus, odd.clone()].map(|a| observed(Seen::Answer(a), 1000)).to_vec();
        let purpose = Purpose::Confirmation;
        let verdict = Answer { fallback: true, ..odd };
        let failed = DnsQuestion { purpose, stale: true, ..question(verdict, seen) };
        let line: serde_json::Value = serde_json::from_str(&text(&failed)).unwrap();
        assert_eq!((&line["verdict"], &line["rcode"]), (&"other-rcode".into(), &9.into()));
        assert_eq!(line["fallback"], true);
        assert_eq!((&line["for"], &line["stale"]), (&"confirmation".into(), &true.into()));
        let [first, second] = &line["servers"].as_array().unwrap()[..] else { panic!("{line}") };
        assert_eq!(first["ede"], serde_json::json!([[7, "expired"]]));
        assert_eq!((&first["flags"][0], &first["edns"]), (&"TC".into(), &"left-out".into()));
        assert_eq!((&second["rcode"], &second["transport"]), (&9.into(), &"tls".into()));
    }

    #[test]
    fn what_strangers_write_stays_on_its_line_and_in_its_string() {
        let evil = "\"}\n{\"v\":1,\"verdict\":\"answer\"}\u{1b}[2J\u{202e}\\";
        let mut records = vec![RecordData::Txt(evil.into()), RecordData::Txt("x".repeat(4096))];
        records.extend((0..60).map(|i| RecordData::Cname(format!("a\\010b{i}"))));
        let extended = vec![(0, evil.to_owned())];
        let spoofed = Answer { extended, ..answer(records) };
        let question = question(spoofed.clone(), vec![observed(Seen::Answer(spoofed), 1)]);
        let text = text(&question);
        assert!(!text.contains('\n') && !text.contains('\u{1b}') && text.len() < 1_500, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        let server = &line["servers"][0];
        assert_eq!(server["records"], 62);
        let first = server["first"].as_array().unwrap();
        assert_eq!(first.len(), SHOWN);
        assert!(first[0].as_str().unwrap().is_ascii());
        assert!(first[0].as_str().unwrap().contains(r#"\"}\010{\""#), "{}", first[0]);
        assert!(first[1].as_str().unwrap().ends_with("xxx...\""));
        assert_eq!(server["ede"][0][1], evil);
    }

    #[test]
    fn every_type_has_a_form() {
        for (data, form) in [
            (RecordData::A([192, 0, 2, 1].into()), "A 192.0.2.1"),
            (RecordData::Mx { preference: 0, exchange: String::new() }, "MX 0 ."),
            (RecordData::Tlsa(3, 1, 1, vec![0xab, 0x0c]), "TLSA 3 1 1 ab0c"),
            (
                RecordData::Soa { primary: "ns.y".into(), serial: 7, minimum: 300 },
                "SOA ns.y. 7 300",
            ),
            (RecordData::Ds { key_tag: 1, algorithm: 13, digest_type: 2 }, "DS 1 13 2"),
        ] {
            let owned = Record { name: String::new(), ttl: 5, data };
            assert_eq!(record(&owned), format!(". 5 {form}"));
        }
    }
}
