//! Exim and OpenSMTPD as clients of Posthaste and as its next hops: messages of many shapes arrive octet for octet below
//! the trace fields, each path as a row of a table.
//!
//! Not here: how the two are run (`exim`, `opensmtpd`). The table, as seen:
//! `cargo test -p posthaste --test real_mail neighbours -- --nocapture`.

mod shapes;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tempfile::TempDir;

use crate::client::Client;
use crate::exim::Exim;
use crate::loopback;
use crate::opensmtpd::OpenSmtpd;
use crate::posthaste::Posthaste;
use crate::process::until;
use crate::sink::Sink;
use shapes::{SHAPES, Shape};

const PATIENCE: Duration = Duration::from_secs(60);
/// One of success over each path, and two of failure: OpenSMTPD has no SMTPUTF8.
const NOTICES: usize = 7;

#[test]
fn neighbours_pass_on_and_take_messages_of_every_shape() {
    let scene = Scene::set();
    let paths = [
        Path { first: "Posthaste", server: scene.listener, keeper: Keeper::Exim },
        Path { first: "Posthaste", server: scene.listener, keeper: Keeper::OpenSmtpd },
        Path { first: "Exim", server: scene.exim_address, keeper: Keeper::OpenSmtpd },
        Path { first: "OpenSMTPD", server: scene.opensmtpd_address, keeper: Keeper::Exim },
        Path { first: "Exim", server: scene.exim_address, keeper: Keeper::SecondExim },
    ];
    let mut sent = Vec::new();
    for path in &paths {
        for shape in SHAPES {
            sent.push((path, shape, hand_in(path, shape)));
        }
    }
    let expected: usize = sent.iter().map(|(path, shape, _)| path.expected(shape)).sum();
    until(PATIENCE, || scene.count() >= expected && scene.senders.count() >= NOTICES);

    let mut wrong = Vec::new();
    for (path, shape, reply) in sent {
        let arrived = scene.arrived(path.keeper);
        let content = shape.kept(path.first);
        let whole = arrived.iter().filter(|kept| kept.ends_with(&content)).count();
        let line = format!(
            "{:36} {:16} {whole:3} of {:3} arrived  {reply}",
            path.through(),
            shape.name,
            shape.recipients
        );
        println!("{line}");
        let accepted = reply.starts_with("250 ");
        if whole != path.expected(shape) || accepted != path.is_accepted(shape) {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), scene.logs());
    assert_eq!(scene.count(), expected, "nothing twice, nothing else\n{}", scene.logs());
    the_senders_are_told(&scene);
    assert!(scene.exim.log().contains(" K C=\"250 2.0.0 queued as"), "Exim hands in by CHUNKING");
}

/// NOTIFY=SUCCESS reaches the last host over every path; what needs SMTPUTF8 is not put through a host without it, and
/// says so. Exim gives ENVID and ORCPT back, OpenSMTPD does not keep them.
fn the_senders_are_told(scene: &Scene) {
    let notices = scene.senders.messages();
    let texts: Vec<_> = notices.iter().map(|n| String::from_utf8_lossy(&n.content)).collect();
    let count = |parts: &[&str]| {
        texts.iter().filter(|text| parts.iter().all(|part| text.contains(part))).count()
    };
    assert_eq!(texts.len(), NOTICES, "{texts:#?}");
    assert_eq!(count(&["Action: delivered"]), 5, "{texts:#?}");
    let given_back = ["Original-Envelope-ID: e+2B17", "rfc822;first@elsewhere.test"];
    assert_eq!(count(&given_back), 3, "{texts:#?}");
    assert_eq!(count(&["Action: failed", "Status: 5.6.7"]), 2, "{texts:#?}");
}

/// From the test to `server`, from there to Posthaste unless it is Posthaste, and on to who keeps the mail.
struct Path {
    first: &'static str,
    server: SocketAddr,
    keeper: Keeper,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Keeper {
    Exim,
    SecondExim,
    OpenSmtpd,
}

impl Keeper {
    fn domain(self) -> &'static str {
        match self {
            Self::Exim => "exim.test",
            Self::SecondExim => "second.test",
            Self::OpenSmtpd => "opensmtpd.test",
        }
    }
}

impl Path {
    fn through(&self) -> String {
        let before =
            if self.first == "Posthaste" { String::new() } else { format!("{} -> ", self.first) };
        format!("{before}Posthaste -> {:?}", self.keeper)
    }

    fn is_accepted(&self, shape: &Shape) -> bool {
        !(shape.needs_smtputf8 && self.first == "OpenSMTPD")
    }

    /// How many copies have to arrive.
    fn expected(&self, shape: &Shape) -> usize {
        let lacks = self.first == "OpenSMTPD" || self.keeper == Keeper::OpenSmtpd;
        if shape.needs_smtputf8 && lacks { 0 } else { shape.recipients }
    }
}

/// Returns the last reply.
fn hand_in(path: &Path, shape: &Shape) -> String {
    let mut client = Client::connect(path.server).expect("it is up");
    let to: Vec<_> = (0..shape.recipients)
        .map(|n| {
            let number = if n == 0 { String::new() } else { n.to_string() };
            format!("<{}{number}@{}>{}", shape.local_part, path.keeper.domain(), shape.rcpt)
        })
        .collect();
    let from = format!("<a@sender.test>{}", shape.mail);
    client.transact(&from, &to, &shape.content(path.first)).expect("a reply")
}

/// Posthaste in the middle, and its neighbours.
struct Scene {
    posthaste: Posthaste,
    listener: SocketAddr,
    exim: Exim,
    exim_address: SocketAddr,
    second_exim: Exim,
    opensmtpd: OpenSmtpd,
    opensmtpd_address: SocketAddr,
    senders: Sink,
    _dir: TempDir,
}

impl Scene {
    fn set() -> Self {
        let [listener, exim_address, second, opensmtpd_address] =
            [2525, 25, 25, 25].map(loopback::address);
        let exim = Exim::start(exim_address, Keeper::Exim.domain(), listener);
        let second_exim = Exim::start(second, Keeper::SecondExim.domain(), listener);
        let opensmtpd = OpenSmtpd::start(opensmtpd_address, Keeper::OpenSmtpd.domain(), listener);
        let senders = Sink::start(&[]);
        let dir = tempfile::tempdir().expect("a temporary folder");
        let routes = BTreeMap::from([
            (Keeper::Exim.domain(), exim_address),
            (Keeper::SecondExim.domain(), second),
            (Keeper::OpenSmtpd.domain(), opensmtpd_address),
            ("sender.test", senders.address()),
        ]);
        let posthaste = Posthaste::start(&settings(&dir, listener, &routes), dir.path());
        Self {
            posthaste,
            listener,
            exim,
            exim_address,
            second_exim,
            opensmtpd,
            opensmtpd_address,
            senders,
            _dir: dir,
        }
    }

    fn arrived(&self, keeper: Keeper) -> Vec<Vec<u8>> {
        match keeper {
            Keeper::Exim => self.exim.arrived(),
            Keeper::SecondExim => self.second_exim.arrived(),
            Keeper::OpenSmtpd => self.opensmtpd.arrived(),
        }
    }

    fn count(&self) -> usize {
        self.exim.count() + self.second_exim.count() + self.opensmtpd.count()
    }

    fn logs(&self) -> String {
        [self.posthaste.log(), self.exim.log(), self.second_exim.log(), self.opensmtpd.log()]
            .join("\n")
    }
}

fn settings(dir: &TempDir, listener: SocketAddr, routes: &BTreeMap<&str, SocketAddr>) -> String {
    let step = "{ times = 60, every = \"1s\" }";
    let mut text = format!(
        "hostname = \"mta.sender.test\"\ndata = \"{}\"\n\
         [[listener]]\naddress = \"{listener}\"\n\
         [resolver]\nservers = [\"127.0.0.1:9\"]\nroots = []\n\
         [retry]\nglitch = {step}\ntransient = {step}\n\
         [admin]\naddress = \"off\"\n",
        dir.path().join("data").display(),
    );
    for (domain, hop) in routes {
        text += &format!("[[route]]\nto = [\"{domain}\"]\nvia = [\"{hop}\"]\n");
    }
    text
}
