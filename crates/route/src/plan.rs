//! The plan of one attempt: which DNS questions to ask, and from the answers where to connect
//! (RFC 5321 section 5.1, RFC 7505).
//!
//! A state machine without I/O. Whoever drives it asks what [`Step::Ask`] names, all of it at once if it
//! likes, and gives each answer to [`Plan::answer`], until [`Step::Done`]. A driver that need not wait for
//! the last slow answer looks at [`Plan::usable`] and calls [`Plan::conclude`].
//!
//! Not here: asking (`dns`), connecting and staggering (`delivery`).

use crate::addresses::{is_private, unmapped};
use crate::domain::{address_in_text, to_dns};
use crate::exchangers::{Exchangers, lot, read};
use crate::table::{Action, Order, Route, SMTP_PORT, SmartHost};
use posthaste_evidence::observation::Choice;
use posthaste_evidence::{
    Answer, AnswerKind, Effect, Fault, Observation, Record, RecordType, Records, Seen, Stage,
    Subject,
};
use posthaste_mail::{Host, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

mod outcome;

/// The most addresses tried in one attempt, over all hosts.
pub const MAX_ADDRESSES: usize = 10;
/// So many of [`MAX_ADDRESSES`] are kept for the other family, when it has any.
pub const KEPT_FOR_OTHER_FAMILY: usize = 2;

/// A question to ask of DNS.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Question {
    /// An A-label in lower case, without final dot.
    pub name: String,
    /// MX, A or AAAA.
    pub kind: RecordType,
    /// A permanent failure hangs on it: every configured server must be asked. Otherwise the first
    /// conclusive answer will do.
    pub confirm: bool,
}

/// What to do next.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Ask these, at the same time if possible, and bring the answers in any order.
    Ask(Vec<Question>),
    /// Questions are still open.
    Wait,
    /// The plan stands.
    Done(Planned),
}

/// How good a plan is that does without the answers that are open.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Usable {
    /// It leads nowhere.
    No,
    /// It leads to a host, and a better one, or one as good, has not been heard of at all.
    Barely,
    /// It leads to a host of the best preference; the family that decides is not known of all of them.
    Partly,
    /// Every host of the best preference has answered for the family that decides, and one has an address.
    Fully,
}

/// Where to go, or why not.
#[derive(Clone, PartialEq, Debug)]
pub struct Planned {
    /// The hosts in the order to try, each with at least one address.
    pub hops: Result<Vec<Hop>, Fault>,
    /// Choices worth an observation.
    pub noted: Vec<Noted>,
    /// What the fault rests on, when it is that something does not exist.
    pub missing: Option<Missing>,
}

/// What DNS says does not exist. Before mail fails for it, somebody must confirm it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Missing {
    /// The domain.
    Domain,
    /// Any record of the domain that mail could follow.
    Records,
    /// An address of any host that its MX records name: these, and none when every record names what is no host.
    Targets(Vec<String>),
}

impl Missing {
    /// The hosts that are missing.
    #[must_use]
    pub fn hosts(&self) -> &[String] {
        match self {
            Self::Targets(hosts) => hosts,
            Self::Domain | Self::Records => &[],
        }
    }
}

/// One host to try.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hop {
    /// Its name, or its address in text when it has none.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The MX preference; the place in the list for fixed hosts.
    pub preference: u16,
    /// In the order to try: families in turn, never empty.
    pub addresses: Vec<IpAddr>,
}

/// One address of one hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// The hop's place in the list.
    pub hop: usize,
    /// Where to connect.
    pub address: SocketAddr,
}

/// A choice of the plan; the driver makes an observation of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Noted {
    /// Which step.
    pub stage: Stage,
    /// About what.
    pub subject: Subject,
    /// What was chosen.
    pub choice: Choice,
    /// What it did to the attempt.
    pub effect: Effect,
}

/// By which names and addresses an MX list would mean ourselves.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ourselves {
    names: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
}

/// The state of one plan.
#[derive(Clone, Debug)]
pub struct Plan {
    start: Start,
    route: Route,
    ourselves: Ourselves,
    seed: u64,
    asked: BTreeSet<Question>,
    open: BTreeSet<Question>,
    heard: BTreeMap<(String, RecordType), Heard>,
}

/// Where a plan begins.
#[derive(Clone, Debug)]
enum Start {
    /// The addresses are known, or the hosts are: no MX question.
    Hosts(Vec<Candidate>),
    /// The domain, as DNS is asked for it.
    Domain(String),
    /// DNS cannot hold such a name; as the sender wrote it.
    NoName(String),
    /// The route sends nothing.
    Nowhere,
}

/// What DNS said to one question.
#[derive(Clone, Debug)]
struct Heard {
    kind: AnswerKind,
    records: Records,
    /// Every configured server says the same.
    permanent: bool,
    /// Every configured server was asked.
    confirmed: bool,
    /// It is past its TTL: what the servers say now.
    instead: Option<AnswerKind>,
}

/// A host whose addresses are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Candidate {
    host: String,
    port: u16,
    preference: u16,
    address: Option<IpAddr>,
}

/// What follows from all that was heard.
enum Next {
    Need(Vec<Question>),
    Done(Planned),
}

impl Plan {
    /// Begins a plan for what stands right of a recipient's `@`. `seed` decides the order among hosts of
    /// equal preference.
    #[must_use]
    pub fn start(
        recipient: Host<'_>,
        route: &Route,
        ourselves: &Ourselves,
        seed: u64,
    ) -> (Self, Step) {
        let mut plan = Self {
            start: Start::of(recipient, &route.action, seed),
            route: route.clone(),
            ourselves: ourselves.clone(),
            seed,
            asked: BTreeSet::new(),
            open: BTreeSet::new(),
            heard: BTreeMap::new(),
        };
        let step = plan.step();
        (plan, step)
    }

    /// Takes an answer. `permanent`: every configured server says the same of a missing name or type.
    /// Answers to questions that are not open are ignored.
    pub fn answer(&mut self, question: &Question, answer: &Answer, permanent: bool) -> Step {
        self.hear(question, answer, permanent, None)
    }

    /// Takes an answer that is past its TTL, while the servers say `instead`, which is no answer (RFC 8767). It may
    /// lead to hosts; nothing that is permanent rests on it.
    pub fn answer_past_ttl(
        &mut self,
        question: &Question,
        answer: &Answer,
        instead: AnswerKind,
    ) -> Step {
        self.hear(question, answer, false, Some(instead))
    }

    fn hear(
        &mut self,
        question: &Question,
        answer: &Answer,
        permanent: bool,
        instead: Option<AnswerKind>,
    ) -> Step {
        if self.open.remove(question) {
            let heard = Heard {
                kind: answer.kind,
                records: answer.records.clone(),
                permanent,
                confirmed: question.confirm,
                instead,
            };
            self.heard.insert((question.name.clone(), question.kind), heard);
        }
        self.step()
    }

    /// How good a plan can be made without the open answers. A broken AAAA never holds up mail that an A record can
    /// deliver, nor the other way round.
    #[must_use]
    pub fn usable(&self) -> Usable {
        let Ok(hosts) = self.candidates() else { return Usable::No };
        let Some(best) = hosts.first().map(|h| h.preference) else { return Usable::No };
        let planned = outcome::of_hosts(self, &hosts, true);
        let first = match &planned {
            Next::Done(Planned { hops: Ok(hops), .. }) => hops.first(),
            _ => None,
        };
        let of_best = || hosts.iter().filter(|h| h.preference == best);
        match first {
            None => Usable::No,
            Some(hop) if hop.preference != best => Usable::Barely,
            Some(_) if of_best().all(|h| self.has_heard(h)) => Usable::Fully,
            Some(_) if of_best().all(|h| self.has_heard_any(h)) => Usable::Partly,
            Some(_) => Usable::Barely,
        }
    }

    /// The plan from what is known; open questions count as not answered in time.
    #[must_use]
    pub fn conclude(&self) -> Planned {
        match self.decide(true) {
            Next::Done(planned) => planned,
            Next::Need(questions) => {
                let fault = questions.first().map_or(Fault::NoRoute, |q| Fault::DnsFailed {
                    name: q.name.clone(),
                    kind: q.kind,
                    answer: AnswerKind::Timeout,
                });
                Planned::failed(fault)
            }
        }
    }

    /// The questions that were asked and not yet answered.
    pub fn open_questions(&self) -> impl Iterator<Item = &Question> {
        self.open.iter()
    }

    fn step(&mut self) -> Step {
        match self.decide(false) {
            Next::Done(planned) => Step::Done(planned),
            Next::Need(questions) => {
                let mut fresh = questions;
                fresh.retain(|q| self.asked.insert(q.clone()));
                self.open.extend(fresh.iter().cloned());
                if fresh.is_empty() { Step::Wait } else { Step::Ask(fresh) }
            }
        }
    }

    /// What follows from all that was heard: the whole of the algorithm, computed anew each time.
    fn decide(&self, hasty: bool) -> Next {
        let next = match self.candidates() {
            Ok(hosts) => outcome::of_hosts(self, &hosts, hasty),
            Err(next) => next,
        };
        match next {
            Next::Done(planned) => Next::Done(self.unless_past_ttl(planned)),
            Next::Need(_) => next,
        }
    }

    /// What would end mail waits instead, while an answer that led to it is past its TTL (RFC 8767 is about helping
    /// out): then it is what the servers say now that is wrong.
    fn unless_past_ttl(&self, planned: Planned) -> Planned {
        let ends = |fault: &Fault| match fault {
            // Not every server says that something is missing.
            Fault::DnsFailed { answer, .. } => answer.is_conclusive(),
            fault => fault.is_permanent(),
        };
        let ends = planned.hops.as_ref().is_err_and(ends);
        let stale =
            self.heard.iter().filter_map(|(question, heard)| Some((question, heard.instead?)));
        let decides = |((_, kind), _): &(&(String, RecordType), _)| {
            (*kind != RecordType::Mx, *kind != self.families()[0])
        };
        match stale.min_by_key(decides) {
            Some(((name, kind), answer)) if ends => {
                Planned::failed(Fault::DnsFailed { name: name.clone(), kind: *kind, answer })
            }
            _ => planned,
        }
    }

    /// The hosts to look up, or what comes before them.
    fn candidates(&self) -> Result<Vec<Candidate>, Next> {
        match &self.start {
            Start::Hosts(hosts) => Ok(hosts.clone()),
            Start::NoName(name) => {
                Err(Next::Done(Planned::failed(Fault::NoSuchDomain { name: name.clone() })))
            }
            Start::Nowhere => Err(Next::Done(Planned::failed(Fault::NoRoute))),
            Start::Domain(domain) => {
                let heard = self.heard(domain, RecordType::Mx);
                let heard = heard.ok_or_else(|| Next::Need(vec![ask_mx(domain, false)]))?;
                outcome::of_exchangers(self, domain, heard)
            }
        }
    }

    fn heard(&self, name: &str, kind: RecordType) -> Option<&Heard> {
        self.heard.get(&(name.to_owned(), kind))
    }

    /// True when the host has answered for the family that decides.
    fn has_heard(&self, host: &Candidate) -> bool {
        let [decides, _] = self.families();
        host.address.is_some() || self.heard(&host.host, decides).is_some()
    }

    /// The family that decides, then the other one: A, unless only IPv6 is used.
    fn families(&self) -> [RecordType; 2] {
        let any_v4 = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        let both = [RecordType::A, RecordType::Aaaa];
        if self.route.families.allow(any_v4) { both } else { [both[1], both[0]] }
    }

    /// True when the host has answered for one family.
    fn has_heard_any(&self, host: &Candidate) -> bool {
        let heard = |kind| self.heard(&host.host, kind).is_some();
        host.address.is_some() || heard(RecordType::A) || heard(RecordType::Aaaa)
    }

    fn exchangers(&self, records: &[Record]) -> Exchangers {
        read(records, |name| self.ourselves.names.contains(name), self.seed)
    }
}

impl Start {
    fn of(recipient: Host<'_>, action: &Action, seed: u64) -> Self {
        match (action, recipient) {
            (Action::SmartHosts { hosts, order, .. }, _) => Self::Hosts(fixed(hosts, *order, seed)),
            (Action::Mx { port }, Host::Literal(ip)) => Self::Hosts(vec![Candidate {
                host: ip.to_string(),
                port: *port,
                preference: 0,
                address: Some(ip),
            }]),
            (Action::Mx { .. }, Host::Name(name)) => {
                to_dns(name).map_or_else(|| Self::NoName(name.to_owned()), Self::Domain)
            }
            (Action::Discard | Action::Fail { .. } | Action::Hold, _) => Self::Nowhere,
        }
    }
}

impl Candidate {
    fn fixed(host: &str, port: u16, preference: u16) -> Self {
        let address = address_in_text(host);
        let name = address.map(|ip| ip.to_string()).or_else(|| to_dns(host));
        Self { host: name.unwrap_or_else(|| host.to_owned()), port, preference, address }
    }
}

/// Fixed hosts in the order to try. Of those that share the load each has the same preference.
fn fixed(hosts: &[SmartHost], order: Order, seed: u64) -> Vec<Candidate> {
    let numbered = (0u16..).zip(hosts);
    match order {
        Order::AsListed => {
            numbered.map(|(place, h)| Candidate::fixed(&h.host, h.port, place)).collect()
        }
        Order::Shared => {
            let mut drawn: Vec<&SmartHost> = hosts.iter().collect();
            drawn.sort_by_cached_key(|h| lot(seed, &h.to_string()));
            drawn.into_iter().map(|h| Candidate::fixed(&h.host, h.port, 0)).collect()
        }
    }
}

impl Ourselves {
    /// `names`: our host name and what else MX records may call us. `addresses`: those under which others
    /// reach our port 25; loopback is left out by itself, since it is judged as private.
    #[must_use]
    pub fn new<'a>(
        names: impl IntoIterator<Item = &'a str>,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Self {
        let addresses = addresses.into_iter().map(unmapped).filter(|ip| !ip.is_loopback());
        Self {
            names: names.into_iter().filter_map(to_dns).collect(),
            addresses: addresses.collect(),
        }
    }

    fn has(&self, ip: IpAddr) -> bool {
        self.addresses.contains(&unmapped(ip))
    }
}

impl Planned {
    fn failed(fault: Fault) -> Self {
        Self { hops: Err(fault), noted: Vec::new(), missing: None }
    }
}

impl Noted {
    /// The observation of it.
    #[must_use]
    pub fn observed(self, at: Timestamp) -> Observation {
        Observation {
            at,
            took: Duration::ZERO,
            stage: self.stage,
            subject: self.subject,
            seen: Seen::Chose(self.choice),
            effect: self.effect,
        }
    }
}

/// Every address of every hop, in the order to try.
#[must_use]
pub fn endpoints(hops: &[Hop]) -> Vec<Endpoint> {
    let of_hop = |(place, hop): (usize, &Hop)| -> Vec<Endpoint> {
        let at = |&ip| Endpoint { hop: place, address: SocketAddr::new(ip, hop.port) };
        hop.addresses.iter().map(at).collect()
    };
    hops.iter().enumerate().flat_map(of_hop).collect()
}

fn ask_mx(domain: &str, confirm: bool) -> Question {
    Question { name: domain.to_owned(), kind: RecordType::Mx, confirm }
}

#[cfg(test)]
mod tests;
