//! What the rows of group A share: the tree, and how a row is run.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::internet::{Domain, Internet};
use crate::mta::{Fate, Mta, Outcome};
use crate::row::{Names, Row, asked, concluded, held_up};
use crate::scripted::Scripted;
use crate::servers::Server;
use crate::sink::Sink;

pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// What a second server may cost: it is asked after 300 ms (issue 4, Show 2).
pub(super) const SECOND_SERVER: Duration = Duration::from_millis(500);

/// The tree: every name below `many.test` takes mail.
pub(crate) struct Lab {
    pub(super) net: Internet,
    pub(super) mail: IpAddr,
    /// The server of `young.test`, a domain that grows.
    young: Scripted,
}

/// What a row says beside what is found out.
pub(super) struct About {
    pub(super) case: &'static str,
    pub(super) broken: &'static str,
    pub(super) servers: &'static str,
}

impl Lab {
    pub(crate) fn new(sink: &Sink) -> Self {
        let mail = sink.address().ip();
        let domain = |name: &str, knot, records: String| Domain {
            name: name.to_owned(),
            delegated_to: vec![knot],
            on_knot: Some(records),
            ..Domain::default()
        };
        let good = format!("mx IN A {mail}\n@ IN MX 10 mx\n* IN MX 10 mx\n");
        let hosts = (0..60).map(|n| format!("@ IN MX {n} mx-number-{n}-of-a-large-set\nmx-number-{n}-of-a-large-set IN A {mail}\n"));
        let large: String = hosts.collect();
        let young = Scripted::of(&[]);
        let at = young.address.ip();
        let net = Internet::start(mail, |places| {
            vec![
                Domain {
                    name: "young.test".to_owned(),
                    delegated_to: vec![at],
                    ..Domain::default()
                },
                domain("many.test", places.knot, good.clone()),
                domain("partner.test", places.knot, good.clone()),
                domain("large.test", places.knot, large),
            ]
        });
        let lab = Self { net, mail, young };
        lab.young.set(&[("young.test", &lab.young_zone(""))]);
        lab
    }

    fn young_zone(&self, more: &str) -> String {
        let ip = self.young.address.ip();
        format!(
            "young.test SOA ns0.young.test 1 3600\nyoung.test NS ns0.young.test\nns0.young.test A {ip}\n{more}"
        )
    }

    /// A name below `young.test` that takes mail from now on.
    pub(super) fn add_to_young(&self, name: &str) {
        let more = format!("{name} MX 10 mx.{name}\nmx.{name} A {}\n", self.mail);
        self.young.set(&[("young.test", &self.young_zone(&more))]);
    }

    /// Where walking begins.
    pub(crate) fn root(&self) -> SocketAddr {
        self.net.root()
    }

    /// A good resolver.
    pub(crate) fn unbound(&self) -> Server {
        Server::unbound(self.net.root(), &self.net.anchor_of_unbound())
    }

    /// The same, at the address of one that was bad.
    pub(crate) fn unbound_at(&self, address: SocketAddr) -> Server {
        Server::unbound_at(address, self.net.root(), &self.net.anchor_of_unbound())
    }

    /// Another good one.
    pub(super) fn bind(&self) -> Server {
        Server::bind(Some(self.net.root()), "dnssec-validation no;", "", &[])
    }
}

/// What a row expects.
#[derive(Clone, Copy)]
pub(super) enum Expected {
    /// At the first attempt, at most so much later than its DNS allowed.
    Delivered(Duration),
    /// The same, with a question for A and one for AAAA.
    DeliveredOfTwo(Duration),
    /// Tried again later; what a server said.
    Waits(&'static str),
    /// Returned at the first attempt, after at most so long, with this status.
    Returned(Duration, &'static str),
}

/// One message for `domain` under the fault, and one for `after` when `heal` has taken it away.
pub(super) fn run(
    about: About,
    mta: &Mta,
    names: &Names,
    (domain, expected): (&str, Expected),
    after: &str,
    heal: impl FnOnce(),
) -> Row {
    let mut own = mta.outcome(&mta.send(domain).0, PATIENCE);
    let mut wrong = Vec::new();
    if matches!(expected, Expected::DeliveredOfTwo(_))
        && !own.as_mut().is_some_and(|o| mta.with_both_families(o, domain))
    {
        wrong.push("no line in the DNS log for A and AAAA".to_owned());
    }
    if !own.as_ref().is_some_and(|own| is_as(own, expected)) {
        wrong.push(format!("{own:?}"));
    }
    let About { case, broken, servers } = about;
    let mut row = Row {
        case,
        broken,
        servers,
        asked: asked(own.as_ref(), names),
        concluded: concluded(own.as_ref()),
        held_up: held_up(own.as_ref()),
        control: String::new(),
        check: String::new(),
        wrong,
    };
    row.add_check(mta, domain);
    heal();
    let healed = mta.end(&mta.send(after).0, PATIENCE);
    if !delivered_at_once(healed.as_ref()) {
        row.wrong.push(format!("with the fault off: {healed:?}"));
    }
    row.control = format!("fault off, {after} {}", held_up(healed.as_ref()));
    row
}

fn is_as(own: &Outcome, expected: Expected) -> bool {
    match expected {
        Expected::Delivered(limit) | Expected::DeliveredOfTwo(limit) => {
            let in_time = own.lost.is_some_and(|lost| lost <= limit);
            own.fate == Fate::Delivered && own.attempts == 1 && in_time
        }
        Expected::Waits(says) => {
            own.fate == Fate::Waits && own.said.iter().any(|s| s.outcome.contains(says))
        }
        Expected::Returned(limit, status) => {
            let ended = (own.fate, own.attempts, &*own.status);
            ended == (Fate::Failed, 1, status) && own.took <= limit
        }
    }
}

pub(super) fn delivered_at_once(outcome: Option<&Outcome>) -> bool {
    outcome.is_some_and(|o| o.fate == Fate::Delivered && o.attempts == 1)
}
