//! The three servers with each other, without Posthaste: what the tables expect of Posthaste holds between them.
//!
//! Not here: the ways (`way`).

use std::time::Duration;

use crate::authority::Authority;
use crate::client::Client;
use crate::exim::Exim;
use crate::opensmtpd::OpenSmtpd;
use crate::peer::{Peer, Place, Scene, mechanisms_of_client, mechanisms_of_server};
use crate::postfix::Postfix;
use crate::process::until;
use crate::way::{Auth, Seen, Way, content, kept_content, ways};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_peers_secure_mail_to_each_other_as_the_tables_expect() {
    let (authority, stranger) = (Authority::new("Ours"), Authority::new("Nobody's"));
    let postfix = Place::new("Postfix", "mx.postfix.test", "postfix.test");
    let exim = Place::new("Exim", "mx.exim.test", "exim.test");
    let opensmtpd = Place::new("OpenSMTPD", "mx.opensmtpd.test", "opensmtpd.test");
    let round = [(postfix, exim), (exim, opensmtpd), (opensmtpd, postfix)];
    let all = round.map(|(from, to)| ways_between(&from, &to));
    let peers: [Box<dyn Peer>; 3] = std::array::from_fn(|n| {
        let (place, to) = round[n];
        let (target, ways) = (&to.target(), &all[n]);
        start(&Scene { place, target, ways, authority: &authority, stranger: &stranger })
    });
    let rows: Vec<_> = (0..3)
        .flat_map(|n| all[n].iter().map(move |way| (n, *way)))
        .map(|(n, way)| Row { way, from: round[n].0, to: round[n].1, between: [n, (n + 1) % 3] })
        .collect();
    rows.iter().for_each(Row::hand_in);
    until(PATIENCE, || rows.iter().filter(|row| row.way.works()).all(|row| row.is_there(&peers)));
    let mut wrong = Vec::new();
    for row in &rows {
        let (line, holds) = row.judge(&peers);
        println!("{line}");
        if !holds {
            wrong.push(row.name());
        }
    }
    let logs = || peers.iter().map(|peer| peer.log()).collect::<Vec<_>>().join("\n----\n");
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", logs());
}

/// Starts the server of that place.
pub(crate) fn start(scene: &Scene<'_>) -> Box<dyn Peer> {
    match scene.place.product {
        "Postfix" => Box::new(Postfix::start(scene)),
        "Exim" => Box::new(Exim::start(scene)),
        _ => Box::new(OpenSmtpd::start(scene)),
    }
}

struct Row {
    way: Way,
    from: Place,
    to: Place,
    /// Which of the peers these are.
    between: [usize; 2],
}

impl Row {
    fn name(&self) -> String {
        format!("{} -> {} {}", self.from.product, self.to.product, self.way.label())
    }

    fn domain(&self) -> String {
        self.way.domain(self.to.domain)
    }

    fn hand_in(&self) {
        let mut client = Client::connect(self.from.plain()).expect("it is up");
        let domain = self.domain();
        let reply = client.send("a@sender.test", &[&format!("b@{domain}")], &content(&domain));
        assert!(reply.as_ref().is_ok_and(|r| r.starts_with("250")), "{domain}: {reply:?}");
    }

    /// What both say of it, and how often it is there.
    fn seen(&self, peers: &[Box<dyn Peer>; 3]) -> (Option<Seen>, Option<Seen>, usize) {
        let [client, server] = self.between.map(|n| &peers[n]);
        let whole = kept_content(&self.domain());
        let kept: Vec<_> = server.kept().into_iter().filter(|m| m.ends_with(&whole)).collect();
        let server = kept.first().map(|message| server.says_of_kept(message));
        (client.says_of_sent(&self.domain()), server, kept.len())
    }

    fn is_there(&self, peers: &[Box<dyn Peer>; 3]) -> bool {
        let (client, server, _) = self.seen(peers);
        client.is_some() && server.is_some()
    }

    /// A line of the table, and whether it is as it has to be.
    fn judge(&self, peers: &[Box<dyn Peer>; 3]) -> (String, bool) {
        let (client, server, copies) = self.seen(peers);
        let show =
            |seen: &Option<Seen>| seen.as_ref().map_or_else(|| "-".to_owned(), Seen::to_string);
        let line = format!(
            "{:62} {copies} there; server saw {:20} client saw {}",
            self.name(),
            show(&server),
            show(&client)
        );
        let has_user = self.way.auth != Auth::No;
        let version = if self.way.old { "1.2" } else { "1.3" };
        let holds = match (&server, &client) {
            (Some(server), Some(client)) => {
                self.way.works()
                    && copies == 1
                    && server.version == version
                    && server.login.is_some() == has_user
                    && (&server.version, &server.cipher) == (&client.version, &client.cipher)
            }
            (None, None) => !self.way.works(),
            _ => false,
        };
        (line, holds)
    }
}

/// What both can; `opensmtpd` tells what it has no settings for.
fn ways_between(from: &Place, to: &Place) -> Vec<Way> {
    let server = mechanisms_of_server(to.product);
    let both: Vec<_> = mechanisms_of_client(from.product)
        .iter()
        .copied()
        .filter(|mechanism| server.contains(mechanism))
        .collect();
    let is_possible = |way: &Way| {
        let names = [from.product, to.product];
        // OpenSMTPD leaves a host alone for minutes after one failure, and takes its time with every way to it.
        let is_plain = way.works() && way.checks() && way.auth == Auth::Plain;
        !(way.old && names.contains(&"OpenSMTPD")) && (from.product != "OpenSMTPD" || is_plain)
    };
    ways(&both).into_iter().filter(is_possible).collect()
}
