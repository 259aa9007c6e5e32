//! Our recursive servers beside the zone's own.

use super::super::finding::{About, Problem};
use super::super::seen::ResolverSeen;
use super::Case;
use posthaste_evidence::{AnswerKind, Effect};

/// RFC 8914: signature expired, signature not yet valid.
const TIMES: [u16; 2] = [7, 8];

impl Case<'_> {
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
            // With the zone's servers dead for us, too, it cannot do better.
            _ if theirs.is_none() => return None,
            _ => Problem::ResolverFailsHere,
        };
        Some((problem, vec![resolver.mx, resolver.unchecked, resolver.root, theirs]))
    }

    /// It answers without validation.
    fn bogus(&self, resolver: &ResolverSeen) -> Option<Problem> {
        let wrong = [
            Problem::SignatureExpired,
            Problem::SignatureNotYet,
            Problem::DsWithoutKey,
            Problem::Unsigned,
        ];
        let told = self.answer(resolver.mx)?;
        let of_time = told.extended.iter().any(|(code, _)| TIMES.contains(code));
        if wrong.iter().any(|problem| self.has(*problem)) {
            return Some(Problem::ResolverBogus);
        }
        let checked = self.seen.signing.soa.is_some();
        Some(if of_time && checked { Problem::ResolverClock } else { Problem::ResolverBogus })
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
        let theirs = self.seen.exchangers.first().and_then(|host| host.aaaa);
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
