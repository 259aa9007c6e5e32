//! How our own recursive servers see a domain.

use super::super::limits::MAX_RESOLVERS;
use super::super::seen::{DomainSeen, ExchangerSeen, ResolverSeen};
use super::super::walker::{Question, Said, Walker};
use super::exchangers::{best_hosts, is_askable};
use crate::exchange::Manner;
use crate::settings::Settings;
use crate::wire::Flags;
use futures_util::future::join_all;
use posthaste_evidence::{AnswerKind, NameServer, RecordType, Subject};

/// What each of them is asked for.
struct Names<'a> {
    name: &'a str,
    /// The zone above that of `name`.
    above: Option<&'a str>,
    /// The first mail exchanger.
    best: Option<&'a str>,
    /// A name that nobody has.
    nobody: &'a str,
}

impl Walker {
    /// Asks each of them; `best` is the first mail exchanger.
    pub(super) async fn resolvers(
        &self,
        settings: &Settings,
        name: &str,
        best: Option<&str>,
        seen: &mut DomainSeen,
    ) {
        let nobody = self.name_at(seen.control).unwrap_or_else(|| self.nobody(name));
        let above = seen.zones.iter().rev().nth(1).map(|zone| zone.name.clone());
        let names = Names { name, above: above.as_deref(), best, nobody: &nobody };
        let one = |server| self.resolver(server, &names, settings.tcp_only);
        seen.resolvers = join_all(settings.servers.iter().take(MAX_RESOLVERS).map(one)).await;
    }

    async fn resolver(
        &self,
        server: &NameServer,
        names: &Names<'_>,
        tcp_only: bool,
    ) -> ResolverSeen {
        let Names { name, above, best, nobody } = *names;
        let ask = |name, kind, checking_disabled| {
            let flags = Flags { checking_disabled, ..Flags::default() };
            let manner = Manner { flags, tcp_only, ..Manner::default() };
            let plain = Question::plain(server.address, "", name, kind);
            self.ask(Question { manner, ours: Some(server), ..plain })
        };
        let at = |said: &Option<Said>| said.as_ref().map(|said| said.seen);
        let mut seen = ResolverSeen {
            address: server.address,
            mx: None,
            unchecked: None,
            above: None,
            root: None,
            a: None,
            aaaa: None,
            control: None,
        };
        let kind_of =
            |said: &Option<Said>| said.as_ref().map(|said| said.heard.meaning.answer.kind);
        let mut mx = ask(name, RecordType::Mx, false).await;
        if !kind_of(&mx).is_some_and(AnswerKind::is_conclusive) {
            let root = ask("", RecordType::Ns, false).await;
            seen.root = at(&root);
            // It lives, and still asks servers that are silent: the answer may have come since.
            let lives = kind_of(&root).is_some_and(AnswerKind::is_conclusive);
            if lives && kind_of(&mx) == Some(AnswerKind::Timeout) {
                mx = ask(name, RecordType::Mx, false).await.or(mx);
            }
        }
        seen.mx = at(&mx);
        let kind = kind_of(&mx);
        if matches!(kind, Some(AnswerKind::ServFail | AnswerKind::Bogus)) {
            seen.unchecked = at(&ask(name, RecordType::Mx, true).await);
            if let Some(above) = above {
                seen.above = at(&ask(above, RecordType::Soa, false).await);
            }
        }
        if !kind.is_some_and(AnswerKind::is_conclusive) {
            return seen;
        }
        seen.control = at(&ask(nobody, RecordType::A, false).await);
        if let Some(best) = best.filter(|best| !best.is_empty()) {
            seen.a = at(&ask(best, RecordType::A, false).await);
            seen.aaaa = at(&ask(best, RecordType::Aaaa, false).await);
        }
        seen
    }

    /// The mail exchangers as our servers have them: all that can be had where nobody of the zone speaks.
    pub(super) async fn exchangers_by_resolvers(
        &self,
        settings: &Settings,
        name: &str,
        seen: &mut DomainSeen,
    ) {
        let good = |server: &&NameServer| {
            let mut resolvers = seen.resolvers.iter();
            resolvers.any(|r| r.address == server.address && self.has_spoken(r.mx))
        };
        let servers: Vec<&NameServer> =
            settings.servers.iter().take(MAX_RESOLVERS).filter(good).collect();
        let denied = |r: &ResolverSeen| self.denies(r.mx);
        if servers.is_empty() || seen.resolvers.iter().any(denied) {
            return;
        }
        let records = seen.resolvers.iter().flat_map(|resolver| self.records_at(resolver.mx));
        let hosts = best_hosts(records.collect(), name);
        let manner = Manner { tcp_only: settings.tcp_only, ..Manner::default() };
        let looked_at = hosts.into_iter().map(async |(preference, name)| {
            let (mut a, mut aaaa) = (None, None);
            for server in servers.iter().filter(|_| is_askable(&name)) {
                for (kind, at) in [(RecordType::A, &mut a), (RecordType::Aaaa, &mut aaaa)] {
                    let said = self.ask(ours(server, manner, &name, kind)).await;
                    *at = said.map(|said| said.seen).or(*at);
                }
                // Only what none of them has is missing.
                if [a, aaaa].iter().any(|at| !self.records_at(*at).is_empty()) {
                    break;
                }
            }
            ExchangerSeen { name, preference, a, aaaa, target: None }
        });
        seen.exchangers = join_all(looked_at).await;
    }

    /// The answer says that there is no such name.
    fn denies(&self, place: Option<usize>) -> bool {
        self.kind_at(place) == Some(AnswerKind::NxDomain)
    }

    /// The name that was asked for.
    fn name_at(&self, place: Option<usize>) -> Option<String> {
        match self.subject_at(place?)? {
            Subject::Question { name, .. } => Some(name),
            _ => None,
        }
    }
}

/// A question to a recursive server of ours.
fn ours<'a>(
    server: &'a NameServer,
    manner: Manner,
    name: &'a str,
    kind: RecordType,
) -> Question<'a> {
    Question { manner, ours: Some(server), ..Question::plain(server.address, "", name, kind) }
}
