//! Our recursive servers beside the zone's own.

use super::super::finding::{About, Problem, Validation};
use super::super::seen::ResolverSeen;
use super::Case;
use posthaste_evidence::{AnswerKind, Effect};

/// RFC 8914: signature expired, signature not yet valid.
const TIMES: [u16; 2] = [7, 8];
/// RFC 8914: DNSKEY missing, signatures missing.
const KEYS: [u16; 2] = [9, 10];

impl Case<'_> {
    /// What our servers say of the domain where nobody of its zone, or of the one above, could be heard.
    pub(super) fn hearsay(&mut self) {
        if self.seen.is_at_zone(self.observations) {
            return;
        }
        let said: Vec<Option<usize>> = self.seen.resolvers.iter().map(|r| r.mx).collect();
        let kinds = said.iter().filter_map(|at| self.kind(*at)).filter(|k| k.is_conclusive());
        let denied: Vec<bool> = kinds.map(|kind| kind == AnswerKind::NxDomain).collect();
        let about = About::Domain(self.name.to_owned());
        if denied.is_empty() || !denied.contains(&true) {
            return;
        }
        if denied.contains(&false) {
            return self.find(Problem::ResolversDisagree, about, Effect::Degrading, said);
        }
        self.find(Problem::SaidMissing, about, Effect::Blocking, said);
    }

    pub(super) fn resolvers(&mut self) {
        let problems: Vec<(&ResolverSeen, Problem, Vec<Option<usize>>)> = self
            .seen
            .resolvers
            .iter()
            .flat_map(|resolver| {
                let first = self.for_mail(resolver);
                let others = self.for_names(resolver);
                first.into_iter().chain(others).map(move |(problem, at)| (resolver, problem, at))
            })
            .collect();
        // With one good resolver mail flows, late at times.
        let bad = |resolver: &ResolverSeen| {
            problems
                .iter()
                .any(|(of, problem, _)| of.address == resolver.address && stops(*problem))
        };
        let all_bad = self.seen.resolvers.iter().all(bad);
        let found: Vec<_> = problems
            .into_iter()
            .map(|(resolver, problem, at)| (resolver.address, problem, at))
            .collect();
        for (address, problem, at) in found {
            let effect = match (stops(problem), all_bad) {
                (true, true) => Effect::Blocking,
                (true, false) => Effect::Degrading,
                (false, _) => Effect::Cosmetic,
            };
            self.find(problem, About::Resolver(address), effect, at);
        }
    }

    /// What is wrong with its answer to MX.
    fn for_mail(&self, resolver: &ResolverSeen) -> Option<(Problem, Vec<Option<usize>>)> {
        let kind = self.kind(resolver.mx)?;
        let lives = self.is_conclusive(resolver.root);
        let known = || self.seen.servers.iter().filter(|s| self.is_conclusive(s.mx));
        let theirs = known().find_map(|s| s.mx);
        let problem = match kind {
            AnswerKind::Refused => Problem::ResolverRefuses,
            AnswerKind::Timeout | AnswerKind::Unreachable if !lives => Problem::ResolverDead,
            AnswerKind::Answer | AnswerKind::NoData | AnswerKind::NxDomain => {
                return self.conclusive(resolver, kind, theirs);
            }
            AnswerKind::ServFail | AnswerKind::Bogus if self.is_conclusive(resolver.unchecked) => {
                self.bogus(resolver)?
            }
            _ if !lives => Problem::ResolverFails,
            _ if self.is_unseen() => self.alone(kind)?,
            // With the zone's servers dead for us, too, it cannot do better; and with some of them dead it takes long.
            _ if self.has_bad_servers() => return None,
            _ if theirs.is_none() => self.alone(kind)?,
            _ => Problem::ResolverFailsHere,
        };
        let own = [resolver.mx, resolver.unchecked, resolver.above, resolver.root];
        Some((problem, own.into_iter().chain([theirs]).collect()))
    }

    /// Nobody but our resolvers could be asked about the domain.
    const fn is_unseen(&self) -> bool {
        self.seen.zones.len() <= 1 && self.seen.last.is_none() && self.seen.missing.is_none()
    }

    /// A server of the zone that a resolver may have asked in vain.
    fn has_bad_servers(&self) -> bool {
        let bad = |problem| matches!(problem, Problem::ServerDead | Problem::ServerLame(_));
        self.findings.iter().any(|finding| bad(finding.problem))
    }

    /// It fails for this domain, and the zone's servers say nothing either.
    fn alone(&self, kind: AnswerKind) -> Option<Problem> {
        let dead = [Problem::AllServersDead, Problem::AllServersLame, Problem::NotDelegated];
        match kind {
            // With the zone's servers dead for us, too, it cannot do better.
            _ if dead.iter().any(|problem| self.has(*problem)) => None,
            AnswerKind::Bogus => Some(Problem::ResolverBogusAlone),
            _ => Some(Problem::ResolverFailsUnseen),
        }
    }

    /// It answers without validation. What the zone's servers show goes before what the resolver says of it.
    fn bogus(&self, resolver: &ResolverSeen) -> Option<Problem> {
        let told = &self.answer(resolver.mx)?.extended;
        let says = |codes: &[u16]| told.iter().any(|(code, _)| codes.contains(code));
        let has = |problems: [Problem; 2]| problems.iter().any(|problem| self.has(*problem));
        let above = self.kind(resolver.above);
        let everywhere = matches!(above, Some(AnswerKind::ServFail | AnswerKind::Bogus));
        let signed = self.standing_of_signatures();
        Some(if everywhere && signed.above {
            Problem::ResolverClock
        } else if has([Problem::DsWithoutKey, Problem::Unsigned]) {
            Problem::ResolverBogus(Validation::Keys)
        } else if has([Problem::SignatureExpired, Problem::SignatureNotYet]) {
            Problem::ResolverBogus(Validation::Times)
        } else if signed.above && signed.zone && says(&TIMES) {
            Problem::ResolverClock
        } else if signed.above && signed.zone {
            // What it may say of keys is contradicted.
            Problem::ResolverBogus(Validation::Unexplained)
        } else if says(&TIMES) {
            Problem::ResolverBogus(Validation::Times)
        } else if says(&KEYS) {
            Problem::ResolverBogus(Validation::Keys)
        } else {
            Problem::ResolverBogus(Validation::Unexplained)
        })
    }

    /// It has an answer: is it that of the zone's servers?
    fn conclusive(
        &self,
        resolver: &ResolverSeen,
        kind: AnswerKind,
        theirs: Option<usize>,
    ) -> Option<(Problem, Vec<Option<usize>>)> {
        let theirs = theirs?;
        let own_word = self.answer(resolver.mx).is_some_and(|answer| answer.authoritative);
        let evidence = vec![resolver.mx, Some(theirs)];
        let split = |other| if own_word { Problem::ResolverSplit } else { other };
        let sets = self.seen.servers.iter().filter(|s| self.is_conclusive(s.mx));
        let mut sets = sets.map(|s| self.exchangers_at(s.mx));
        let ours = self.exchangers_at(resolver.mx);
        if kind == AnswerKind::Answer {
            let same = ours.is_empty() || sets.any(|set| set == ours || set.is_empty());
            return (!same).then(|| (split(Problem::ResolverStale), evidence));
        }
        let something = sets.any(|set| !set.is_empty());
        something.then(|| (split(Problem::ResolverNegative), evidence))
    }

    /// What is wrong with its answers about other names.
    fn for_names(&self, resolver: &ResolverSeen) -> Vec<(Problem, Vec<Option<usize>>)> {
        let mut found = Vec::new();
        let denied = self.kind(self.seen.control) == Some(AnswerKind::NxDomain)
            || self.seen.missing.is_some();
        if denied && self.is_answer(resolver.control) {
            let evidence = vec![resolver.control, self.seen.control, self.seen.missing];
            found.push((Problem::ResolverRewrites, evidence));
        }
        let first =
            self.seen.exchangers.first().filter(|_| self.seen.is_at_zone(self.observations));
        let theirs = first.and_then(|host| host.aaaa);
        let silent = self.kind(resolver.aaaa) == Some(AnswerKind::Timeout);
        if silent && self.is_conclusive(resolver.a) && self.is_conclusive(theirs) {
            found.push((Problem::ResolverDropsAaaa, vec![resolver.aaaa, resolver.a, theirs]));
        }
        found
    }
}

/// Mail to the domain cannot go by this resolver.
const fn stops(problem: Problem) -> bool {
    !matches!(problem, Problem::ResolverDropsAaaa | Problem::ResolverRewrites)
}
