//! Golden dialogues: every script under `tests/dialogues` is played whole, octet by octet and in pieces of seven, with
//! the same result. `tests/common/script.rs` says how scripts are written.

mod common;

use common::receiver::Receiver;
use common::script::{self, Line, escape};
use common::sender::{Mail, Sender};
use posthaste_smtp::sasl::Mechanism;
use posthaste_smtp::{client, server};

const PIECES: [usize; 3] = [usize::MAX, 7, 1];

#[test]
fn receiving() {
    for (name, lines) in script::folder("server") {
        for piece in PIECES {
            play_server(&format!("{name} in pieces of {piece}"), &lines, piece);
        }
    }
}

#[test]
fn sending() {
    for (name, lines) in script::folder("client") {
        for piece in PIECES {
            play_client(&format!("{name} in pieces of {piece}"), &lines, piece);
        }
    }
}

fn play_server(name: &str, lines: &[Line], piece: usize) {
    let mut settings = server::Settings { hostname: "mx.example".into(), ..Default::default() };
    for line in lines {
        if let Line::Set(key, value) = line {
            set_server(&mut settings, key, value);
        }
    }
    let mut receiver = Receiver::new(settings);
    let (mut said, mut heard, mut messages) = (receiver.feed(b""), Vec::new(), 0);
    for line in lines {
        match line {
            Line::Client(octets) => heard.extend_from_slice(octets),
            Line::Server(expected) => {
                feed(&mut heard, piece, |part| said.extend(receiver.feed(part)));
                let said_now: Vec<u8> = said.drain(..expected.len().min(said.len())).collect();
                assert_eq!(escape(&said_now), escape(expected), "{name}");
            }
            Line::Message(expected) => {
                let m =
                    receiver.accepted.get(messages).unwrap_or_else(|| panic!("{name}: {expected}"));
                messages += 1;
                let seen = format!("{} -> {}: {}", m.from, m.to.join(", "), escape(&m.content));
                assert_eq!(&seen, expected, "{name}");
            }
            Line::Close => {
                feed(&mut heard, piece, |part| said.extend(receiver.feed(part)));
                assert!(receiver.closed, "{name}: closed");
            }
            Line::Do(what) if what == "secured" => receiver.session.secured(&mut receiver.input),
            Line::Set(..) => {}
            other => panic!("{name}: {other:?} has no meaning here"),
        }
    }
    feed(&mut heard, piece, |part| said.extend(receiver.feed(part)));
    assert_eq!(escape(&said), "", "{name}: nothing more was said");
    assert_eq!(receiver.accepted.len(), messages, "{name}: no other message was accepted");
    let closes = matches!(lines.last(), Some(Line::Close));
    assert_eq!(receiver.closed, closes, "{name}: closed in the end");
}

fn set_server(settings: &mut server::Settings, key: &str, value: &str) {
    let number = || value.parse::<u32>().expect("a number");
    match (key, value) {
        ("bare_newline", "normalize") => {
            settings.bare_newline = server::BareNewline::Normalize;
        }
        ("starttls", "on") => settings.extensions.starttls = true,
        ("auth", "on") => {
            settings.extensions.auth = true;
            settings.mechanisms = vec![Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login];
        }
        ("auth_required", "on") => settings.auth_required = true,
        ("chunking", "off") => settings.extensions.chunking = false,
        ("size", _) => settings.limits.message_size = u64::from(number()),
        ("recipients", _) => settings.limits.recipients = number(),
        ("commands", _) => settings.limits.commands = number(),
        ("errors", _) => settings.limits.errors = number(),
        _ => panic!("unknown setting {key} {value}"),
    }
}

fn play_client(name: &str, lines: &[Line], piece: usize) {
    let mut settings = client::Settings { name: "me.example".into(), ..Default::default() };
    settings.pipelining = !lines.contains(&Line::Set("pipelining".into(), "off".into()));
    if lines.contains(&Line::Set("protocol".into(), "lmtp".into())) {
        settings.protocol = client::Protocol::Lmtp;
    }
    let mut sender = Sender::new(settings);
    let (mut said, mut heard) = (Vec::new(), Vec::new());
    for line in lines {
        match line {
            Line::Server(octets) => heard.extend_from_slice(octets),
            Line::Client(expected) => {
                feed(&mut heard, piece, |part| said.extend(sender.feed(part)));
                let said_now: Vec<u8> = said.drain(..expected.len().min(said.len())).collect();
                assert_eq!(escape(&said_now), escape(expected), "{name}");
            }
            Line::Result(expected) => {
                feed(&mut heard, piece, |part| said.extend(sender.feed(part)));
                assert!(!sender.results.is_empty(), "{name}: no result {expected}");
                assert_eq!(&sender.results.remove(0), expected, "{name}");
            }
            Line::Do(what) => {
                feed(&mut heard, piece, |part| said.extend(sender.feed(part)));
                act(&mut sender, what, &mut said);
            }
            Line::Close => {
                feed(&mut heard, piece, |part| said.extend(sender.feed(part)));
                assert!(sender.closed, "{name}: closed");
            }
            Line::Set(..) => {}
            Line::Message(_) => panic!("{name}: {line:?} has no meaning here"),
        }
    }
    assert_eq!(escape(&said), "", "{name}: nothing more was said");
    assert_eq!(sender.results, Vec::<String>::new(), "{name}: nothing more was concluded");
}

/// `send from to,to content`, `quit`, `lost`, `hold`.
fn act(sender: &mut Sender, what: &str, said: &mut Vec<u8>) {
    let mut words = what.splitn(4, ' ');
    match words.next() {
        Some("send") => {
            let from = words.next().expect("a sender").trim_matches(['<', '>']);
            let to: Vec<&str> = words.next().expect("recipients").split(',').collect();
            let content = script::unescape(words.next().unwrap_or_default());
            sender.mails.push_back(Mail::new(from, &to, &content));
        }
        Some("quit") => sender.quit_when_idle = true,
        Some("hold") => sender.hold_content = true,
        Some("lost") => return sender.lost(),
        _ => panic!("unknown deed {what}"),
    }
    said.extend(sender.feed(b""));
}

fn feed(heard: &mut Vec<u8>, piece: usize, mut to: impl FnMut(&[u8])) {
    for part in heard.chunks(piece.min(heard.len().max(1))) {
        to(part);
    }
    heard.clear();
}
