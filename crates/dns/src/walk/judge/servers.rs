//! The delegation, and each server of the zone.

use super::super::finding::{About, Problem};
use super::super::seen::{ServerSeen, WhyUnplaced};
use super::Case;
use posthaste_evidence::{AnswerKind, Edns, Effect, RecordData};
use std::collections::BTreeSet;

/// How a server stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Good,
    Lame(AnswerKind),
    Dead,
}

impl Case<'_> {
    pub(super) fn delegation(&mut self) {
        let seen = self.seen;
        if seen.missing.is_some() {
            let about = About::Domain(self.name.to_owned());
            return self.find(Problem::NotDelegated, about, Effect::Blocking, [seen.missing]);
        }
        if !seen.servers.is_empty() || seen.last.is_some() || seen.zones.is_empty() {
            return;
        }
        if seen.zones.len() == 1 {
            let all = (0..self.observations.len()).map(Some);
            let all: Vec<_> = all.filter(|place| self.asks_root(*place)).collect();
            return self.find(Problem::RootsUnreachable, About::Here, Effect::Degrading, all);
        }
        let (zone, effect) = (self.zone(), self.unless_resolved());
        let referred = seen.zones.last().and_then(|zone| zone.referred);
        self.find(Problem::AllServersDead, About::Zone(zone), effect, [referred]);
    }

    fn asks_root(&self, place: Option<usize>) -> bool {
        let ours: BTreeSet<_> = self.seen.resolvers.iter().map(|r| r.address).collect();
        let subject = place.and_then(|at| self.observations.get(at)).map(|o| &o.subject);
        match subject {
            Some(posthaste_evidence::Subject::Question { server: Some(server), .. }) => {
                !ours.contains(server)
            }
            _ => false,
        }
    }

    pub(super) fn servers(&mut self) {
        let servers = &self.seen.servers;
        let standing: Vec<Standing> = servers.iter().map(|server| self.standing(server)).collect();
        let good = standing.iter().filter(|s| **s == Standing::Good).count();
        let all = servers.iter().flat_map(|s| [s.udp, s.plain, s.tcp]);
        if good == 0 && !servers.is_empty() {
            let dead = standing.iter().all(|s| *s == Standing::Dead);
            let problem = if dead { Problem::AllServersDead } else { Problem::AllServersLame };
            self.find(problem, About::Zone(self.zone()), self.unless_resolved(), all);
        }
        for (server, standing) in servers.iter().zip(standing) {
            match standing {
                Standing::Good => self.ways(server),
                Standing::Lame(kind) => {
                    let problem = Problem::ServerLame(kind);
                    self.find(problem, about(server), Effect::Degrading, [server.udp]);
                }
                Standing::Dead => {
                    let evidence = [server.udp, server.plain, server.tcp];
                    self.find(Problem::ServerDead, about(server), Effect::Degrading, evidence);
                }
            }
            if server.glue && server.own == Some(false) {
                let harmless = standing == Standing::Good;
                let effect = if harmless { Effect::Cosmetic } else { Effect::Degrading };
                let referred = self.seen.zones.last().and_then(|zone| zone.referred);
                self.find(Problem::GlueStale, about(server), effect, [referred]);
            }
        }
        self.unplaced();
        self.agreement();
    }

    fn standing(&self, server: &ServerSeen) -> Standing {
        let ways = [server.udp, server.again, server.plain, server.tcp];
        let kinds: Vec<AnswerKind> =
            ways.into_iter().filter_map(|place| self.kind(place)).collect();
        if server.ns.is_some() {
            return Standing::Good;
        }
        let silent =
            |kind: &&AnswerKind| matches!(kind, AnswerKind::Timeout | AnswerKind::Unreachable);
        match kinds.iter().find(|kind| !silent(kind)) {
            Some(AnswerKind::Malformed) | None => Standing::Dead,
            Some(kind) => Standing::Lame(*kind),
        }
    }

    /// The ways by which a good server is reached.
    fn ways(&mut self, server: &ServerSeen) {
        let by_udp = self.is_conclusive(server.udp) || self.is_conclusive(server.again);
        let by_plain = self.is_conclusive(server.plain);
        if !by_udp && by_plain && self.kind(server.again) == Some(AnswerKind::Timeout) {
            let evidence = [server.udp, server.again, server.plain];
            self.find(Problem::EdnsDropped, about(server), Effect::Degrading, evidence);
        }
        if self.answer(server.udp).is_some_and(|answer| answer.edns == Edns::LeftOut) {
            let evidence = [server.udp];
            self.find(Problem::EdnsRefused, about(server), Effect::Cosmetic, evidence);
        }
        let lost = [server.ns, server.mx].into_iter().find(|place| {
            self.answer(*place).is_some_and(|a| a.truncated && !a.kind.is_conclusive())
        });
        if let Some(lost) = lost {
            let effect = self.unless_resolved();
            self.find(Problem::LargeAnswerLost, about(server), effect, [lost, server.tcp]);
        } else if (by_udp || by_plain) && !self.is_conclusive(server.tcp) {
            self.find(Problem::TcpClosed, about(server), Effect::Cosmetic, [server.tcp]);
        }
    }

    fn unplaced(&mut self) {
        let effect =
            if self.seen.servers.is_empty() { self.unless_resolved() } else { Effect::Degrading };
        for server in &self.seen.unplaced {
            let problem = match server.why {
                WhyUnplaced::NoAddress => Problem::ServerWithoutAddress,
                WhyUnplaced::Alias => Problem::ServerIsAlias,
                WhyUnplaced::Private => Problem::ServerPrivate,
            };
            let about = About::Server { name: server.name.clone(), address: None };
            self.find(problem, about, effect, server.evidence.iter().copied().map(Some));
        }
    }

    /// Whether the servers agree with each other, and with the zone above.
    fn agreement(&mut self) {
        let servers = &self.seen.servers;
        let zone = About::Zone(self.zone());
        let serials: BTreeSet<u32> = servers.iter().filter_map(|s| self.serial(s)).collect();
        if serials.len() > 1 {
            let evidence = servers.iter().filter(|s| s.ns.is_some()).map(|s| s.udp.or(s.tcp));
            self.find(Problem::SerialsDiffer, zone.clone(), Effect::Degrading, evidence);
        }
        let with_mx = || servers.iter().filter(|s| self.is_conclusive(s.mx));
        let sets: BTreeSet<_> = with_mx().map(|s| self.exchangers_at(s.mx)).collect();
        if sets.len() > 1 {
            let evidence: Vec<_> = with_mx().map(|s| s.mx).collect();
            self.find(Problem::ExchangersDiffer, zone.clone(), Effect::Degrading, evidence);
        }
        let Some(delegation) = self.seen.zones.last().filter(|zone| zone.by_parent) else { return };
        let above: BTreeSet<&str> = delegation.servers.iter().map(|(name, _)| &name[..]).collect();
        let differs = servers.iter().find(|server| {
            let own = self.data(server.ns).filter_map(|(_, data)| match data {
                RecordData::Ns(name) => Some(name.as_str()),
                _ => None,
            });
            let own: BTreeSet<&str> = own.collect();
            !own.is_empty() && own != above
        });
        if let Some(server) = differs {
            let evidence = [delegation.referred, server.ns];
            self.find(Problem::ServersDiffer, zone, Effect::Cosmetic, evidence);
        }
    }

    fn serial(&self, server: &ServerSeen) -> Option<u32> {
        let ways = [server.udp, server.again, server.plain, server.tcp];
        ways.into_iter().find_map(|place| {
            self.data(place).find_map(|(_, data)| match data {
                RecordData::Soa { serial, .. } => Some(*serial),
                _ => None,
            })
        })
    }
}

fn about(server: &ServerSeen) -> About {
    About::Server { name: server.name.clone(), address: Some(server.address) }
}
