//! Posthaste hands mail to Postfix, Exim and OpenSMTPD by TLS, logging in: what each side says of the connection, what
//! arrives, what waits and why; and that a corrected password sends the mail on. A row for every way.
//!
//! Not here: downgrades (crate `delivery`), mail from them (`inbound`).

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::among_peers::start;
use crate::authority::Authority;
use crate::client::Client;
use crate::ours::{Ours, write_secret};
use crate::peer::{Peer, Place, Scene, mechanisms_of_server};
use crate::process::until;
use crate::way::{Check, OTHER_NAME, PASSWORD, Seen, Way, content, kept_content, ways};

const PATIENCE: Duration = Duration::from_secs(60);
/// A password that is wrong at first is in a file of that name, below the way's.
const SECRETS: &str = "secrets";

#[test]
fn mail_goes_to_other_servers_by_tls_with_auth() {
    let (authority, stranger) = (Authority::new("Ours"), Authority::new("Nobody's"));
    let servers = [
        Place::new("Postfix", "mx.postfix.test", "postfix.test"),
        Place::new("Exim", "mx.exim.test", "exim.test"),
        Place::new("OpenSMTPD", "mx.opensmtpd.test", "opensmtpd.test"),
    ]
    .map(|place| {
        let scene = Scene {
            place,
            target: &place.target(),
            ways: &[],
            authority: &authority,
            stranger: &stranger,
        };
        (place, start(&scene))
    });
    let rows: Vec<_> = servers
        .iter()
        .flat_map(|(place, peer)| {
            let ways = ways_to(place);
            ways.into_iter().map(|way| Row { place: *place, peer: peer.as_ref(), way })
        })
        .collect();
    let ours = Ours::start(&authority, &[], |folder| {
        std::fs::write(folder.join("stranger.pem"), stranger.pem()).expect("ours");
        std::fs::create_dir(folder.join(SECRETS)).expect("ours");
        rows.iter().map(|row| row.route(folder)).collect()
    });
    rows.iter().for_each(|row| row.hand_in(&ours));
    until(PATIENCE, || rows.iter().all(|row| row.is_settled(&ours)));
    let mut wrong = Vec::new();
    for row in &rows {
        let (line, faults) = row.judge(&ours);
        println!("{line}");
        wrong.extend((!faults.is_empty()).then(|| (row.name(), faults, row.waits(&ours))));
    }
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", ours.daemon.log());

    let corrected: Vec<_> = rows.iter().filter(|row| !row.way.right_password).collect();
    for row in &corrected {
        write_secret(&row.secret(ours.folder()), PASSWORD);
    }
    let reloaded = ours.daemon.verb(&["reload"]);
    assert!(reloaded.status.success(), "{reloaded:?}");
    until(PATIENCE, || corrected.iter().all(|row| row.kept().len() == 1));
    for row in &corrected {
        println!("{:62} after the correction: {} there", row.name(), row.kept().len());
        assert_eq!(row.kept().len(), 1, "{}\n{}", row.name(), row.waits(&ours));
    }
}

fn ways_to(place: &Place) -> Vec<Way> {
    let mut all = ways(mechanisms_of_server(place.product));
    all.retain(|way| !(way.old && place.product == "OpenSMTPD"));
    all
}

struct Row<'a> {
    place: Place,
    peer: &'a dyn Peer,
    way: Way,
}

impl Row<'_> {
    fn name(&self) -> String {
        format!("Posthaste -> {} {}", self.place.product, self.way.label())
    }

    fn domain(&self) -> String {
        self.way.domain(self.place.domain)
    }

    fn secret(&self, folder: &Path) -> std::path::PathBuf {
        folder.join(SECRETS).join(self.domain())
    }

    /// The route of this way, as it stands in our settings.
    fn route(&self, folder: &Path) -> String {
        let (way, target) = (&self.way, self.place.target());
        let mut text = format!(
            "[[route]]\nto = [\"{}\"]\nvia = [\"{}\"]\n",
            self.domain(),
            target.address(way)
        );
        if way.security == crate::way::Security::Implicit {
            text += "tls_wrap = true\n";
        }
        if way.checks() {
            let name = if way.check == Check::OtherName { OTHER_NAME } else { target.name };
            let roots = if way.check == Check::OtherRoots { "stranger" } else { "trusted" };
            let roots = folder.join(roots).with_extension("pem");
            let _ = writeln!(
                text,
                "tls = \"verify\"\ntls_names = [\"{name}\"]\ntls_roots = \"{}\"",
                roots.display()
            );
        } else {
            text += "tls = \"require\"\n";
        }
        if let Some(user) = way.user() {
            write_secret(&self.secret(folder), way.password());
            let _ = writeln!(
                text,
                "auth = {{ user = \"{user}\", password_file = \"{}\", mechanisms = [\"{}\"] }}",
                self.secret(folder).display(),
                way.auth.name()
            );
        }
        text
    }

    fn hand_in(&self, ours: &Ours) {
        let mut client = Client::connect(ours.relay).expect("it is up");
        let domain = self.domain();
        let reply = client.send("a@sender.test", &[&format!("b@{domain}")], &content(&domain));
        let reply = reply.expect("a reply");
        assert!(reply.starts_with("250"), "{domain}: {reply}");
    }

    /// Whole copies that the server keeps.
    fn kept(&self) -> Vec<String> {
        let whole = kept_content(&self.domain());
        self.peer.kept().into_iter().filter(|text| text.ends_with(&whole)).collect()
    }

    /// What the queue tells of it; empty when it is not there.
    fn waits(&self, ours: &Ours) -> String {
        ours.waits(&format!("b@{}", self.domain()))
    }

    fn is_settled(&self, ours: &Ours) -> bool {
        if self.way.works() { !self.kept().is_empty() } else { self.is_told(ours) }
    }

    /// Whether we say rightly why it waits.
    fn is_told(&self, ours: &Ours) -> bool {
        let told = self.waits(ours);
        let words: &[&str] = match self.way.check {
            Check::OtherName => &["wrong-name", "name"],
            Check::OtherRoots => &["unknown-issuer", "issuer"],
            _ => &["route.smarthost-auth"],
        };
        words.iter().any(|word| told.contains(word))
    }

    /// A line of the table, and what is not as it has to be.
    fn judge(&self, ours: &Ours) -> (String, Vec<&'static str>) {
        let kept = self.kept();
        let server = kept.first().map(|text| self.peer.says_of_kept(text));
        let sent = self.way.works() && !kept.is_empty();
        let client = sent.then(|| ours.says_of_sent(&format!("b@{}", self.domain()))).flatten();
        let show =
            |seen: &Option<Seen>| seen.as_ref().map_or_else(|| "-".to_owned(), Seen::to_string);
        let line = format!(
            "{:62} {} there; the server saw {:22} we saw {}",
            self.name(),
            kept.len(),
            show(&server),
            show(&client)
        );
        if !self.way.works() {
            let held = [
                (kept.is_empty(), "it went all the same"),
                (self.is_told(ours), "we do not say why it waits"),
            ];
            return (
                line,
                held.iter().filter(|(holds, _)| !holds).map(|(_, what)| *what).collect(),
            );
        }
        let version = if self.way.old { "1.2" } else { "1.3" };
        let (server, client) = (server.unwrap_or_default(), client.unwrap_or_default());
        let held = [
            (kept.len() == 1, "not exactly one copy"),
            (server.version == version, "the version"),
            (server.login.as_deref() == self.way.user(), "who logged in"),
            (!server.cipher.is_empty(), "the cipher"),
            ((&server.version, &server.cipher) == (&client.version, &client.cipher), "both sides"),
        ];
        (line, held.iter().filter(|(holds, _)| !holds).map(|(_, what)| *what).collect())
    }
}
