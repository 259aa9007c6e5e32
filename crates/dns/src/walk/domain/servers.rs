//! Each server of a zone at each of its addresses, by each way: UDP with and without EDNS, TCP.

use super::super::descent::Path;
use super::super::limits::{MAX_CHECKED, MAX_SERVERS};
use super::super::reading::{Named, Step};
use super::super::seen::{DomainSeen, ServerSeen, Unplaced, WhyUnplaced};
use super::super::walker::{PLAIN, Question, Said, Walker};
use super::super::zones::{Host, Zone};
use crate::exchange::Manner;
use futures_util::future::{join, join_all};
use posthaste_evidence::{AnswerKind, Edns, RecordData, RecordType};
use std::net::IpAddr;
use std::sync::Arc;

const WITHOUT_EDNS: Manner = Manner { edns: Edns::LeftOutToSee, ..PLAIN };
const BY_TCP: Manner = Manner { tcp_only: true, ..PLAIN };

impl Walker {
    /// Asks every server of `zone`: those that the zone above names, then those that only the zone itself names.
    pub(super) async fn servers(&self, zone: &Zone, name: &str, seen: &mut DomainSeen) {
        let named: Vec<Named> = zone.servers.iter().take(MAX_SERVERS).cloned().collect();
        self.servers_named(zone, name, &named, seen).await;
        let mut others: Vec<Named> = Vec::new();
        for server in &seen.servers {
            for own in self.names_at(server.ns) {
                let known = named.iter().chain(&others).any(|known| known.name == own);
                if !known && named.len() + others.len() < MAX_SERVERS {
                    others.push(Named { name: own, glue: Vec::new() });
                }
            }
        }
        self.servers_named(zone, name, &others, seen).await;
    }

    async fn servers_named(&self, zone: &Zone, name: &str, named: &[Named], seen: &mut DomainSeen) {
        let path = Path::to(&zone.name);
        let by_glue = named.iter().flat_map(|s| s.glue.iter().map(move |ip| (&s.name, *ip, true)));
        let first = self.probes(zone, name, by_glue.collect()).await;
        let alive = first.iter().any(|s| s.ns.is_some()) || !seen.servers.is_empty();
        // With every server of the zone silent, nothing more is to be had of names inside it.
        let asked = named.iter().filter(|s| s.glue.is_empty() || alive);
        let hosts = join_all(asked.clone().map(|server| self.host(&server.name, &path))).await;
        let hosts: Vec<(&Named, Arc<Host>)> = asked.zip(hosts).collect();
        let mut rest = Vec::new();
        for (server, host) in &hosts {
            let own = host.addresses.iter().filter(|ip| !server.glue.contains(ip) && !host.alias);
            rest.extend(own.map(|ip| (&server.name, *ip, false)));
            seen.unplaced.extend(self.unplaced(server, host));
        }
        let second = self.probes(zone, name, rest).await;
        for mut server in first.into_iter().chain(second) {
            let host = hosts.iter().find(|(named, _)| named.name == server.name);
            let known = host.filter(|(_, host)| host.a.is_some());
            server.own = known.map(|(_, host)| host.addresses.contains(&server.address.ip()));
            if seen.servers.len() < MAX_CHECKED {
                seen.servers.push(server);
            }
        }
    }

    /// Why a server cannot be asked anywhere.
    fn unplaced(&self, server: &Named, host: &Host) -> Option<Unplaced> {
        let all = || server.glue.iter().chain(&host.addresses);
        let why = if host.alias {
            WhyUnplaced::Alias
        } else if all().next().is_none() {
            WhyUnplaced::NoAddress
        } else if all().all(|ip| self.endpoint(*ip).is_none()) {
            WhyUnplaced::Private
        } else {
            return None;
        };
        let evidence = host.a.into_iter().chain(host.aaaa).collect();
        Some(Unplaced { name: server.name.clone(), why, evidence })
    }

    async fn probes(
        &self,
        zone: &Zone,
        name: &str,
        at: Vec<(&String, IpAddr, bool)>,
    ) -> Vec<ServerSeen> {
        let probes = at.into_iter().filter_map(|(server, ip, glue)| {
            let address = self.endpoint(ip)?;
            let seen = ServerSeen {
                name: server.clone(),
                address,
                glue,
                own: None,
                udp: None,
                again: None,
                plain: None,
                tcp: None,
                ns: None,
                mx: None,
            };
            Some(self.probe(zone, name, seen))
        });
        join_all(probes.take(MAX_CHECKED)).await
    }

    /// One server at one address.
    async fn probe(&self, zone: &Zone, name: &str, mut seen: ServerSeen) -> ServerSeen {
        let apex = &zone.name;
        let soa = |manner| {
            let plain = Question::plain(seen.address, apex, apex, RecordType::Soa);
            self.ask(Question { manner, ..plain })
        };
        let udp = soa(PLAIN).await;
        let (plain, tcp) = join(soa(WITHOUT_EDNS), soa(BY_TCP)).await;
        let silent = |said: &Option<Said>| {
            let failed = said.as_ref().map(|said| &said.step);
            matches!(failed, Some(Step::Failed(AnswerKind::Timeout)))
        };
        // One datagram may be lost; what answers without EDNS is asked again before EDNS is blamed.
        let again = if silent(&udp) && !silent(&plain) { soa(PLAIN).await } else { None };
        let ways = [(&udp, PLAIN), (&again, PLAIN), (&plain, WITHOUT_EDNS), (&tcp, BY_TCP)];
        let works = |(said, _): &(&Option<Said>, Manner)| said.as_ref().is_some_and(knows);
        let manner = ways.into_iter().find(works).map(|(_, manner)| manner);
        let at = |said: &Option<Said>| said.as_ref().map(|said| said.seen);
        [seen.udp, seen.again, seen.plain, seen.tcp] = [&udp, &again, &plain, &tcp].map(at);
        if let Some(manner) = manner {
            let ask = |name, kind| {
                self.ask(Question { manner, ..Question::plain(seen.address, apex, name, kind) })
            };
            let (ns, mx) = join(ask(apex, RecordType::Ns), ask(name, RecordType::Mx)).await;
            (seen.ns, seen.mx) = (at(&ns), at(&mx));
        }
        seen
    }

    /// The name servers in an answer.
    fn names_at(&self, place: Option<usize>) -> Vec<String> {
        let names = self.records_at(place).into_iter().filter_map(|record| match record.data {
            RecordData::Ns(name) => Some(name),
            _ => None,
        });
        names.collect()
    }
}

/// It answered as a server of the zone does.
const fn knows(said: &Said) -> bool {
    matches!(said.step, Step::Answer | Step::NoData)
}
