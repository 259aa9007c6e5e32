//! The content filter of `docs/content-filter.md`, run as the page has it: its text is read from there, and only what
//! this machine has otherwise (addresses, folders, DNS) is replaced. The filter is a second Posthaste that hands all it
//! gets back to the listener `reinject`.
//!
//! Also here, as seen by a real next hop: our name in EHLO and our source addresses, as a route says them.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::client::Client;
use crate::loopback;
use crate::posthaste::Posthaste;
use crate::process::until;
use crate::sink::{Dumped, Sink};
use crate::stories::queued_as;

const PATIENCE: Duration = Duration::from_secs(30);

/// What every daemon here has: it asks nobody and shows nothing.
fn surroundings(dir: &Path) -> String {
    let data = dir.join("data");
    format!(
        "[resolver]\nservers = [\"127.0.0.1:9\"]\nroots = []\n[admin]\naddress = \"off\"\nsocket = \"{}\"\n",
        data.join("control.sock").display()
    )
}

/// The example of the page, with our addresses in the places of its own.
fn example(dir: &Path, places: &[(&str, SocketAddr)]) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/content-filter.md");
    let page = fs::read_to_string(page).expect("part of the repository");
    let shown = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let mut text = shown.expect("it has an example").to_owned();
    for (there, here) in places {
        let (there, here) = (format!("\"{there}\""), format!("\"{here}\""));
        assert_eq!(text.matches(&there).count(), 1, "{there} stands once in\n{text}");
        text = text.replace(&there, &here);
    }
    format!("data = \"{}\"\n{text}\n{}", dir.join("data").display(), surroundings(dir))
}

fn is_quiet(posthaste: &Posthaste) -> bool {
    let listed = posthaste.json(&["queue", "messages"]);
    listed["messages"].as_array().is_some_and(Vec::is_empty)
}

fn trace_fields(message: &Dumped, by: &str) -> usize {
    String::from_utf8_lossy(&message.content).matches(&format!("by {by}")).count()
}

#[test]
fn mail_passes_the_filter_of_the_manual_exactly_once_and_arrives() {
    let [internet, reinject, filter] = [25, 10026, 10025].map(loopback::address);
    let mailboxes = Sink::start(&[]);

    let filters = tempfile::tempdir().expect("a temporary folder");
    let config = format!(
        "hostname = \"filter.test\"\ndata = \"{}\"\n[[listener]]\naddress = \"{filter}\"\n\
         [[route]]\nto = [\"*\"]\nvia = [\"{reinject}\"]\n{}",
        filters.path().join("data").display(),
        surroundings(filters.path()),
    );
    let filter_host = Posthaste::start(&config, filters.path());

    let ours = tempfile::tempdir().expect("a temporary folder");
    fs::write(ours.path().join("recipients"), "bob\neve\n").expect("ours");
    let places = [
        ("0.0.0.0:25", internet),
        ("127.0.0.1:10026", reinject),
        ("127.0.0.1:10025", filter),
        ("10.0.0.5", mailboxes.address()),
    ];
    let posthaste = Posthaste::start(&example(ours.path(), &places), ours.path());

    let mut stranger = Client::connect(internet).expect("it is up");
    for n in 0..5 {
        let message = format!("Subject: {n}\r\n\r\nhello\r\n");
        let to = ["bob@example.org", "eve@example.org"];
        queued_as(&stranger.send("a@sender.test", &to, &message).expect("a reply"));
    }
    for (to, refusal) in [("nobody@example.org", "550"), ("x@elsewhere.test", "55")] {
        let mut client = Client::connect(internet).expect("it is up");
        let said = client.send("a@sender.test", &[to], "Subject: no\r\n\r\n").expect("a reply");
        assert!(said.starts_with(refusal), "{to}: {said}");
    }

    let arrived = || {
        let taken: usize = mailboxes.messages().iter().map(|m| m.recipients.len()).sum();
        taken >= 10 && is_quiet(&posthaste) && is_quiet(&filter_host)
    };
    assert!(until(PATIENCE, arrived), "{}\n{}", posthaste.log(), filter_host.log());
    let taken = mailboxes.messages();
    assert_eq!(taken.iter().map(|m| m.recipients.len()).sum::<usize>(), 10, "{taken:?}");
    for message in &taken {
        let text = String::from_utf8_lossy(&message.content).into_owned();
        assert_eq!(trace_fields(message, "filter.test"), 1, "through the filter once: {text}");
        assert_eq!(trace_fields(message, "mail.example.org"), 2, "in, and in again: {text}");
        assert!(text.ends_with("\nhello\n"), "{text}");
    }
}

#[test]
fn a_filter_that_is_down_is_passed_by_by_nothing() {
    let [internet, reinject, filter] = [25, 10026, 10025].map(loopback::address);
    let mailboxes = Sink::start(&[]);
    let ours = tempfile::tempdir().expect("a temporary folder");
    fs::write(ours.path().join("recipients"), "bob\n").expect("ours");
    let places = [
        ("0.0.0.0:25", internet),
        ("127.0.0.1:10026", reinject),
        ("127.0.0.1:10025", filter),
        ("10.0.0.5", mailboxes.address()),
    ];
    let posthaste = Posthaste::start(&example(ours.path(), &places), ours.path());
    let mut stranger = Client::connect(internet).expect("it is up");
    let message = "Subject: x\r\n\r\nhello\r\n";
    let said = stranger.send("a@sender.test", &["bob@example.org"], message).expect("a reply");
    let id = queued_as(&said);
    let tried = || {
        let shown = posthaste.json(&["queue", "show", &id]);
        shown["recipients"][0]["last_error"]["stage"] == "connect"
    };
    assert!(until(PATIENCE, tried), "{}", posthaste.log());
    let shown = posthaste.json(&["queue", "show", &id]);
    assert_eq!(shown["recipients"][0]["destination"], filter.to_string(), "{shown:#}");
    assert_eq!(mailboxes.count(), 0);
}

#[test]
fn a_next_hop_sees_the_name_and_the_sources_that_the_route_says() {
    const MESSAGES: usize = 40;
    let (named, usual) = (Sink::start(&["-w", "1"]), Sink::start(&[]));
    let dir = tempfile::tempdir().expect("a temporary folder");
    let listener = loopback::address(2525);
    let config = format!(
        "hostname = \"mta.sender.test\"\ndata = \"{}\"\n[[listener]]\naddress = \"{listener}\"\n\
         [[route]]\nto = [\"named.test\"]\nvia = [\"{}\"]\nehlo = \"out.sender.test\"\n\
         source = [\"127.0.0.2\", \"127.0.0.3\"]\n\
         [[route]]\nto = [\"usual.test\"]\nvia = [\"{}\"]\n\
         [delivery]\nmessages_per_connection = 2\n{}",
        dir.path().join("data").display(),
        named.address(),
        usual.address(),
        surroundings(dir.path()),
    );
    let posthaste = Posthaste::start(&config, dir.path());
    let mut client = Client::connect(listener).expect("it is up");
    for domain in ["named.test", "usual.test"] {
        for n in 0..MESSAGES {
            let (to, message) = (format!("r{n}@{domain}"), format!("Subject: {n}\r\n\r\nx\r\n"));
            queued_as(&client.send("a@sender.test", &[&to], &message).expect("a reply"));
        }
    }
    let all = || named.count() == MESSAGES && usual.count() == MESSAGES && is_quiet(&posthaste);
    assert!(until(2 * PATIENCE, all), "{} {}", named.count(), posthaste.log());

    let of = |sink: &Sink| -> (BTreeSet<String>, BTreeSet<String>) {
        let messages = sink.messages();
        let addresses = messages.iter().map(|m| m.client.clone()).collect();
        (messages.iter().map(|m| m.helo.clone()).collect(), addresses)
    };
    let set = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(of(&named), (set(&["out.sender.test"]), set(&["127.0.0.2", "127.0.0.3"])));
    let (names, addresses) = of(&usual);
    assert_eq!(names, set(&["mta.sender.test"]));
    assert!(addresses.is_disjoint(&set(&["127.0.0.2", "127.0.0.3"])), "{addresses:?}");
}
