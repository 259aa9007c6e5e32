//! From zone to zone downwards, and the addresses of the servers on the way (RFC 1034 section 5.3.3).
//!
//! The whole name is asked at each step, not its next label (RFC 9156): a walk is rare, and what it needs is what
//! the servers say to the question that mail asks; broken ones answer empty names between zones wrongly.

use super::limits::{
    Limit, MAX_ADDRESSES, MAX_DEPTH, MAX_GLUELESS, MAX_NESTED, MAX_SERVERS, STAGGER,
};
use super::reading::{self, Delegation, Named, Step, address};
use super::walker::{Question, Said, Walker};
use super::zones::{Host, Zone};
use futures_util::StreamExt;
use futures_util::future::{Either, join_all, select};
use futures_util::stream::FuturesUnordered;
use posthaste_evidence::RecordType;
use posthaste_io::{Task, sleep};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;

/// The names whose servers are being looked for, innermost first: who comes by twice goes in a circle.
pub(super) struct Path<'a> {
    name: &'a str,
    outer: Option<&'a Path<'a>>,
}

/// Where a way down ended.
pub(super) struct Descent {
    /// The zones from the first one known to the last one reached.
    pub(super) chain: Vec<Arc<Zone>>,
    /// The last word; `None` when no server of the last zone has one.
    pub(super) said: Option<Said>,
}

impl Descent {
    /// The last zone reached.
    pub(super) fn zone(&self) -> &Arc<Zone> {
        self.chain.last().expect("a way down begins with a zone")
    }
}

impl<'a> Path<'a> {
    pub(super) const fn to(name: &'a str) -> Self {
        Self { name, outer: None }
    }

    fn depth(&self) -> usize {
        1 + self.outer.map_or(0, Self::depth)
    }

    fn has(&self, name: &str) -> bool {
        self.name == name || self.outer.is_some_and(|outer| outer.has(name))
    }
}

impl Walker {
    /// Goes down to the servers that know `name`. With `delegated`, a referral to a zone of just that name is the end.
    pub(super) async fn descend(
        &self,
        name: &str,
        kind: RecordType,
        path: &Path<'_>,
        delegated: bool,
    ) -> Descent {
        let mut chain = vec![self.closest(name)];
        for _ in 0..MAX_DEPTH {
            let zone = Arc::clone(chain.last().expect("it begins with one"));
            let Some(said) = self.race(&zone, name, kind, path).await else {
                return Descent { chain, said: None };
            };
            let next = match &said.step {
                Step::Referral(to) if delegated && to.zone == name => None,
                Step::Referral(to) => Some(self.below(&zone, to, said.seen)),
                _ => self.hidden(&zone, name, &said).await,
            };
            match next {
                Some(next) if next.name != zone.name => chain.push(next),
                _ => return Descent { chain, said: Some(said) },
            }
        }
        self.meets(Limit::Depth);
        Descent { chain, said: None }
    }

    /// The closest enclosing zone that is known already; the root at the least.
    fn closest(&self, name: &str) -> Arc<Zone> {
        let mut at = Some(name);
        while let Some(zone) = at {
            if let Some(known) = self.known_zone(zone) {
                return known;
            }
            at = reading::above(zone);
        }
        let root = Arc::new(Zone {
            name: String::new(),
            parent: None,
            servers: Vec::new(),
            referred: None,
            by_parent: false,
        });
        self.learn_zone(&root);
        root
    }

    fn below(&self, zone: &Zone, to: &Delegation, seen: usize) -> Arc<Zone> {
        if to.more {
            self.meets(Limit::Servers);
        }
        let zone = Arc::new(Zone {
            name: to.zone.clone(),
            parent: Some(zone.name.clone()),
            servers: to.servers.clone(),
            referred: Some(seen),
            by_parent: true,
        });
        self.learn_zone(&zone);
        zone
    }

    /// The zone below that a server answered for at once, because it serves both: told by the owner of its SOA.
    async fn hidden(&self, zone: &Zone, name: &str, said: &Said) -> Option<Arc<Zone>> {
        let reply = said.heard.reply.as_ref().filter(|_| said.step.is_usable())?;
        let owner = reading::soa_owner(reply)?;
        let is_below = owner != zone.name && reading::is_within(owner, &zone.name);
        if !is_below || !reading::is_within(name, owner) {
            return None;
        }
        let question = Question::plain(said.by, owner, owner, RecordType::Ns);
        let named = self.ask(question).await?;
        let reply = named.heard.reply.as_ref().filter(|_| named.step == Step::Answer)?;
        let mut servers =
            reading::servers_of(owner, &reply.answers, &reply.additionals, &zone.name);
        servers.truncate(MAX_SERVERS);
        let hidden = Arc::new(Zone {
            name: owner.to_owned(),
            parent: Some(zone.name.clone()),
            servers,
            referred: Some(named.seen),
            by_parent: false,
        });
        self.learn_zone(&hidden);
        Some(hidden)
    }

    /// Asks the servers of a zone one after the other, the next one when the last is slow or of no use; the first
    /// usable word.
    async fn race(
        &self,
        zone: &Zone,
        name: &str,
        kind: RecordType,
        path: &Path<'_>,
    ) -> Option<Said> {
        let mut near = self.glued(zone);
        if !near.is_empty() {
            // Each walk begins with another one, so that no server gets all questions.
            let first = self.world.random.next() % near.len() as u64;
            near.rotate_left(usize::try_from(first).unwrap_or(0));
        }
        if let Some(said) = self.race_among(&near, &zone.name, name, kind).await {
            return Some(said);
        }
        let far = self.glueless(zone, path, MAX_GLUELESS).await;
        self.race_among(&far, &zone.name, name, kind).await
    }

    async fn race_among(
        &self,
        servers: &[SocketAddr],
        zone: &str,
        name: &str,
        kind: RecordType,
    ) -> Option<Said> {
        let mut line = servers.iter();
        let mut running = FuturesUnordered::new();
        loop {
            if let Some(&to) = line.next() {
                running.push(self.ask(Question::plain(to, zone, name, kind)));
            } else if running.is_empty() {
                return None;
            }
            let patience = pin!(async {
                sleep(&*self.world.clock, STAGGER).await;
            });
            let said = if line.len() == 0 {
                running.next().await
            } else {
                match select(running.next(), patience).await {
                    Either::Left((said, _)) => said,
                    Either::Right(((), _)) => None,
                }
            };
            if let Some(said) = said.flatten().filter(|said| said.step.is_usable()) {
                return Some(said);
            }
        }
    }

    /// The servers of a zone whose addresses are known: the configured ones of the root, else those with glue.
    fn glued(&self, zone: &Zone) -> Vec<SocketAddr> {
        if zone.parent.is_none() {
            return self.roots.clone();
        }
        let glue = zone.servers.iter().flat_map(|server| &server.glue);
        self.endpoints(glue.copied())
    }

    /// The other servers of a zone, looked up by walks of their own; at most `most` names.
    async fn glueless(&self, zone: &Zone, path: &Path<'_>, most: usize) -> Vec<SocketAddr> {
        let without = zone.servers.iter().filter(|server| server.glue.is_empty());
        let looked_up = without.take(most).map(|server| self.host(&server.name, path));
        let hosts = join_all(looked_up).await;
        let addresses = hosts.iter().filter(|host| !host.alias).flat_map(|host| &host.addresses);
        self.endpoints(addresses.copied())
    }

    /// Every server of a zone with the addresses it can be asked at.
    pub(super) async fn all_servers(&self, zone: &Zone, path: &Path<'_>) -> Vec<Vec<SocketAddr>> {
        if zone.parent.is_none() {
            return self.roots.iter().map(|root| vec![*root]).collect();
        }
        let one = async |server: &Named| {
            if !server.glue.is_empty() {
                return self.endpoints(server.glue.iter().copied());
            }
            let host = self.host(&server.name, path).await;
            let addresses = if host.alias { Vec::new() } else { host.addresses.clone() };
            self.endpoints(addresses.into_iter())
        };
        join_all(zone.servers.iter().take(MAX_SERVERS).map(one)).await
    }

    pub(super) fn endpoints(&self, addresses: impl Iterator<Item = IpAddr>) -> Vec<SocketAddr> {
        let mut endpoints: Vec<SocketAddr> = Vec::new();
        for endpoint in addresses.filter_map(|ip| self.endpoint(ip)) {
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        }
        endpoints
    }

    /// The addresses of a host, by a walk of its own within this one. A host whose zone can only be asked through
    /// itself has none. An alias is told, not followed (RFC 2181 section 10.3).
    pub(super) fn host<'w>(&'w self, name: &'w str, path: &'w Path<'w>) -> Task<'w, Arc<Host>> {
        Box::pin(async move {
            if let Some(known) = self.known_host(name) {
                return known;
            }
            if path.depth() > MAX_NESTED || path.has(name) {
                self.meets(Limit::Loop);
                return Arc::default();
            }
            if !self.may_look_up() {
                return Arc::default();
            }
            let path = Path { name, outer: Some(path) };
            let descent = self.descend(name, RecordType::A, &path, false).await;
            let Some(said) = &descent.said else { return Arc::default() };
            let mut host = Host { a: Some(said.seen), ..Host::default() };
            host.take(said, name, RecordType::A);
            let zone = &descent.zone().name;
            let question = Question::plain(said.by, zone, name, RecordType::Aaaa);
            // What does not exist or is an alias is so for both types.
            if said.step != Step::NxDomain
                && !host.alias
                && let Some(said) = self.ask(question).await
            {
                host.aaaa = Some(said.seen);
                host.take(&said, name, RecordType::Aaaa);
            }
            let host = Arc::new(host);
            self.learn_host(name, &host);
            host
        })
    }
}

impl Host {
    fn take(&mut self, said: &Said, name: &str, kind: RecordType) {
        let Some(reply) = said.heard.reply.as_ref().filter(|_| said.step == Step::Answer) else {
            return;
        };
        let own = || reply.answers.iter().filter(|r| r.name == name);
        let found = own().filter_map(|r| address(&r.data, kind));
        self.addresses.extend(found.take(MAX_ADDRESSES));
        let is_alias = |r: &posthaste_evidence::Record| {
            matches!(r.data, posthaste_evidence::RecordData::Cname(_))
        };
        self.alias |= own().any(is_alias);
    }
}
