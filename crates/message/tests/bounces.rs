//! Bounces in the shapes of real servers read (RFC 3464): `bounces/read.tsv` says what is found in each; a difference is
//! looked at before it is accepted.
//!
//! They are of our own writing: the fields, their order and their oddities are those of the server that a file is named for,
//! the words are ours. Not here: how bounces out of the field are read, which `examples/read_bounces.rs` measures.

use posthaste_message::dsn::status::{RecipientStatus, Typed};
use posthaste_message::dsn::{ReadReport, read};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bounces")
}

fn bounces() -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder().join("mail")).expect("the folder is there");
    let mut all: Vec<(String, Vec<u8>)> = entries
        .map(|entry| entry.expect("readable"))
        .map(|entry| {
            let name = entry.file_name().into_string().expect("a name in ASCII");
            (name, std::fs::read(entry.path()).expect("readable"))
        })
        .collect();
    all.sort();
    all
}

const HEAD: &str = "file\tplace\tkind\treporting\trecipient\taction\tstatus\tremote\tdiagnostic\treply\tlast_attempt\tof_message\treturned\twords";

fn lines(name: &str, report: &ReadReport) -> Vec<String> {
    let typed = |value: Option<&Typed>| {
        value.map_or("-".to_owned(), |typed| format!("{}|{:.60}", typed.kind, typed.value))
    };
    let status = &report.status;
    let returned = report.returned.as_ref().map_or("-".to_owned(), |returned| {
        let id = returned.summary().message_id.unwrap_or_default();
        format!(
            "{} {} {id}",
            if returned.whole { "whole" } else { "header" },
            returned.octets.len()
        )
    });
    let one = |one: &RecipientStatus| {
        let fields = [
            one.address().unwrap_or("-").to_owned(),
            one.action.map_or("-", |action| action.name()).to_owned(),
            one.status.map_or("-".to_owned(), |status| status.to_string()),
            typed(one.remote_mta.as_ref()),
            typed(one.diagnostic.as_ref()),
            one.diagnostic.as_ref().and_then(Typed::reply).map_or("-".to_owned(), |reply| {
                let status = reply.enhanced.map(|status| format!(" {status}")).unwrap_or_default();
                format!("{}{status} x{}", reply.code, reply.lines.len())
            }),
            one.last_attempt_date
                .as_ref()
                .map_or("-".to_owned(), |date| date.at().map_or("?".to_owned(), |at| at.rfc3339())),
        ];
        fields.join("\t")
    };
    let mut recipients: Vec<String> = status.recipients.iter().map(one).collect();
    if recipients.is_empty() {
        recipients.push(["-"; 7].join("\t"));
    }
    let front = format!(
        "{name}\t{:?}\t{}\t{}",
        report.place,
        report.kind().map_or("-", |kind| kind.name()),
        typed(status.reporting_mta.as_ref())
    );
    let about = report.head.in_reply_to.as_deref().unwrap_or("-");
    let text = report.text.as_deref().unwrap_or_default();
    let words = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("-").trim();
    let end = format!("{about}\t{returned}\t{words:.40}");
    recipients.into_iter().map(|one| format!("{front}\t{one}\t{end}")).collect()
}

#[test]
fn bounces_of_each_shape_are_read() {
    let all = bounces();
    let mut table = vec![HEAD.to_owned()];
    for (name, octets) in &all {
        let report = read(octets).unwrap_or_else(|none| panic!("{name}: {none}"));
        assert!(report.text.is_some() || report.html.is_some(), "{name}: no words for people");
        table.extend(lines(name, &report));
    }
    let table = table.join("\n") + "\n";
    let expected = std::fs::read_to_string(folder().join("read.tsv")).unwrap_or_default();
    if table != expected {
        let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join("read.tsv");
        std::fs::write(&new, &table).expect("the target folder can be written");
        panic!("what is read differs from bounces/read.tsv; the new table is in {}", new.display());
    }
}

/// CRLF and LF mean the same.
#[test]
fn line_ends_make_no_difference() {
    for (name, octets) in bounces() {
        let text: Vec<u8> = octets.iter().copied().filter(|&b| b != b'\r').collect();
        let mut crlf = Vec::with_capacity(text.len() * 2);
        for &octet in &text {
            if octet == b'\n' {
                crlf.push(b'\r');
            }
            crlf.push(octet);
        }
        let (one, other) = (read(&text).expect(&name), read(&crlf).expect(&name));
        assert_eq!((one.status, one.text), (other.status, other.text), "{name}");
    }
}

/// As somebody who has got the bounce sends it on to the help desk.
#[test]
fn a_forwarded_bounce_is_read_as_it_is() {
    for (name, octets) in bounces() {
        let own = read(&octets).expect(&name);
        let mut mail = b"From: ann@example.org\nSubject: Fwd: what is this?\nContent-Type: multipart/mixed; boundary=\"fwd=_\"\n\n\
            --fwd=_\nContent-Type: text/plain\n\nPlease look.\n\n--fwd=_\nContent-Type: message/rfc822\n\n"
            .to_vec();
        mail.extend_from_slice(&octets);
        mail.extend_from_slice(b"\n--fwd=_--\n");
        let forwarded = read(&mail).expect(&name);
        assert_eq!((forwarded.status, forwarded.head), (own.status, own.head), "{name}");
    }
}

/// Whatever is lost on the way, reading it ends without a panic, and finds no recipient that is not there.
#[test]
fn damaged_bounces_do_no_harm() {
    for (name, octets) in bounces() {
        let whole = read(&octets).expect(&name);
        let known: Vec<_> =
            whole.status.recipients.iter().filter_map(RecipientStatus::address).collect();
        for cut in (0..octets.len()).step_by(29) {
            if let Ok(part) = read(&octets[..cut]) {
                assert!(part.status.recipients.len() <= known.len().max(1), "{name} cut at {cut}");
            }
            let mut wounded = octets.clone();
            wounded[cut] ^= 0x20;
            let _ = read(&wounded);
        }
    }
}
