//! Postfix, Exim and OpenSMTPD hand mail to Posthaste by TLS with AUTH: what each says of the connection, what we say, what
//! arrives; and what is refused on which side. A row for every way.
//!
//! Not here: mail programs (`programs`), mail to them (`outbound`).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::among_peers::start;
use crate::authority::Authority;
use crate::client::Client;
use crate::ours::{DOMAIN, Ours, says_of_taken};
use crate::peer::{Peer, Place, Scene, mechanisms_of_client};
use crate::process::until;
use crate::sink::Sink;
use crate::way::{Auth, Check, Security, Seen, Way, content, ways};

const PATIENCE: Duration = Duration::from_secs(40);

#[test]
fn mail_of_other_servers_comes_by_tls_with_auth() {
    let (authority, stranger) = (Authority::new("Ours"), Authority::new("Nobody's"));
    let sink = Sink::start(&[]);
    let own: Vec<_> =
        every_way().filter(|w| w.auth == Auth::No).map(|w| w.domain(DOMAIN)).collect();
    let ours = Ours::start(&authority, &own, |_| {
        format!("[[route]]\nto = [\"*\"]\nvia = [\"{}\"]\n", sink.address())
    });
    let target = &ours.target;
    let rows: Vec<_> = clients()
        .into_iter()
        .map(|(place, ways)| {
            let scene =
                Scene { place, target, ways: &ways, authority: &authority, stranger: &stranger };
            let peer = start(&scene);
            ways.iter().for_each(|way| hand_in(&place, way));
            (place, peer, ways)
        })
        .collect();
    let rows: Vec<_> = rows
        .iter()
        .flat_map(|(place, peer, ways)| {
            ways.iter().map(|way| Row { place: *place, peer: peer.as_ref(), way: *way })
        })
        .collect();
    until(PATIENCE, || rows.iter().all(|row| row.is_settled(&sink)));
    let logins = ours.logins();
    let mut wrong = Vec::new();
    for row in &rows {
        let (line, faults) = row.judge(&sink, &logins);
        println!("{line}");
        if !faults.is_empty() {
            wrong.push((row.name(), faults, row.peer.says_of_waiting(&row.domain())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", ours.daemon.log());
}

/// Each server with the ways it can go; each way has an OpenSMTPD of its own, which leaves a host alone for minutes after a
/// failure and takes its time with each way to a host that it does not know.
fn clients() -> Vec<(Place, Vec<Way>)> {
    let mut all = Vec::new();
    for (product, name) in [("Postfix", "mx.postfix.test"), ("Exim", "mx.exim.test")] {
        let ways = ways_of(product);
        all.push((Place::new(product, name, "unused.test"), ways));
    }
    let place = || Place::new("OpenSMTPD", "mx.opensmtpd.test", "unused.test");
    all.extend(ways_of("OpenSMTPD").into_iter().map(|way| (place(), vec![way])));
    all
}

fn ways_of(product: &str) -> Vec<Way> {
    let has = |way: &Way| match product {
        "OpenSMTPD" => !way.old && way.check != Check::OtherRoots,
        _ => true,
    };
    // Without AUTH there is STARTTLS at port 25 alone.
    let is_ours = |way: &Way| way.auth != Auth::No || way.security == Security::StartTls;
    ways(mechanisms_of_client(product)).into_iter().filter(|w| has(w) && is_ours(w)).collect()
}

fn every_way() -> impl Iterator<Item = Way> {
    ways(&[Auth::No]).into_iter()
}

/// Mail of each server has a domain of its own below the way's.
fn hand_in(place: &Place, way: &Way) {
    let mut client = Client::connect(place.plain()).expect("it is up");
    let domain = way.domain(DOMAIN);
    let to = format!("{}@{domain}", place.product.to_lowercase());
    let content = marked(place, &domain);
    let reply = client.send("a@sender.test", &[&to], &content).expect("a reply");
    assert!(reply.starts_with("250"), "{to}: {reply}");
}

fn marked(place: &Place, domain: &str) -> String {
    content(domain) + &format!("by {}\r\n", place.product)
}

struct Row<'a> {
    place: Place,
    peer: &'a dyn Peer,
    way: Way,
}

impl Row<'_> {
    fn name(&self) -> String {
        format!("{} -> Posthaste {}", self.place.product, self.way.label())
    }

    fn domain(&self) -> String {
        self.way.domain(DOMAIN)
    }

    /// Every copy that came through us.
    fn arrived(&self, sink: &Sink) -> Vec<String> {
        let end = marked(&self.place, &self.domain()).replace('\r', "");
        let texts = sink.messages().into_iter();
        let texts = texts.map(|taken| String::from_utf8_lossy(&taken.content).into_owned());
        texts.filter(|text| text.ends_with(&end)).collect()
    }

    /// Whether there is nothing more to wait for.
    fn is_settled(&self, sink: &Sink) -> bool {
        if self.way.works() {
            return self.peer.says_of_sent(&self.domain()).is_some()
                && !self.arrived(sink).is_empty();
        }
        self.is_refused()
    }

    /// Whether the client says why its mail waits, and rightly.
    fn is_refused(&self) -> bool {
        let said = self.peer.says_of_waiting(&self.domain()).to_lowercase();
        let words: &[&str] = match self.way.check {
            Check::OtherName | Check::OtherRoots => &[
                "not trusted",
                "not verified",
                "no match",
                "mismatch",
                "cert-check result=\"fail",
                "certificate verif",
            ],
            _ => &["535", "authentication attempt(s) failed"],
        };
        words.iter().any(|word| said.contains(word))
    }

    /// A line of the table, and what is not as it has to be.
    fn judge(&self, sink: &Sink, logins: &BTreeMap<String, &str>) -> (String, Vec<&'static str>) {
        let arrived = self.arrived(sink);
        let client = self.peer.says_of_sent(&self.domain());
        let (server, protocol) = arrived.first().map(|text| says_of_taken(text)).unzip();
        let to = format!("{}@{}", self.place.product.to_lowercase(), self.domain());
        let user = logins.get(&to).copied();
        let show =
            |seen: &Option<Seen>| seen.as_ref().map_or_else(|| "-".to_owned(), Seen::to_string);
        let line = format!(
            "{:58} {} arrived; we saw {:22} {:9} of {:6}; the client saw {}",
            self.name(),
            arrived.len(),
            show(&server),
            protocol.as_deref().unwrap_or("-"),
            user.unwrap_or("-"),
            show(&client),
        );
        if !self.way.works() {
            let held = [
                (arrived.is_empty() && client.is_none(), "it came all the same"),
                (self.is_refused(), "the client does not say why it waits"),
            ];
            return (
                line,
                held.iter().filter(|(holds, _)| !holds).map(|(_, what)| *what).collect(),
            );
        }
        let expected = if self.way.auth == Auth::No { "ESMTPS" } else { "ESMTPSA" };
        let version = if self.way.old { "1.2" } else { "1.3" };
        let server = server.unwrap_or_default();
        let client = client.unwrap_or_default();
        let held = [
            (arrived.len() == 1, "not exactly one copy"),
            (protocol.as_deref() == Some(expected), "the protocol"),
            (user == self.way.user(), "who logged in"),
            (server.version == version, "the version"),
            ((&server.version, &server.cipher) == (&client.version, &client.cipher), "both sides"),
            (!server.cipher.is_empty(), "the cipher"),
        ];
        (line, held.iter().filter(|(holds, _)| !holds).map(|(_, what)| *what).collect())
    }
}
