//! What follows from what a check has seen. Pure: the same evidence leads to the same findings.

mod exchangers;
mod resolvers;
mod servers;
mod signing;
#[cfg(test)]
mod tests;

use super::finding::{About, Finding, Problem};
use super::seen::DomainSeen;
use posthaste_evidence::{Answer, AnswerKind, Effect, Observation, RecordData, RecordType, Seen};
use posthaste_mail::Timestamp;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Mail exchangers as one server has them: preference and name.
type Exchangers = BTreeSet<(u16, String)>;

/// Everything that is wrong.
pub(super) fn judge(
    name: &str,
    seen: &DomainSeen,
    observations: &[Observation],
    now: Timestamp,
) -> Vec<Finding> {
    let mut case = Case { name, seen, observations, now, findings: Vec::new() };
    case.delegation();
    case.servers();
    case.exchangers();
    case.signing();
    case.hearsay();
    case.resolvers();
    case.findings
}

struct Case<'a> {
    name: &'a str,
    seen: &'a DomainSeen,
    observations: &'a [Observation],
    now: Timestamp,
    findings: Vec<Finding>,
}

impl Case<'_> {
    fn find(
        &mut self,
        problem: Problem,
        about: About,
        effect: Effect,
        evidence: impl IntoIterator<Item = Option<usize>>,
    ) {
        let evidence = evidence.into_iter().flatten().collect();
        self.findings.push(Finding { problem, about, effect, evidence });
    }

    fn has(&self, problem: Problem) -> bool {
        self.findings.iter().any(|finding| finding.problem == problem)
    }

    fn answer(&self, place: Option<usize>) -> Option<&Answer> {
        match &self.observations.get(place?)?.seen {
            Seen::Answer(answer) => Some(answer),
            _ => None,
        }
    }

    fn kind(&self, place: Option<usize>) -> Option<AnswerKind> {
        self.answer(place).map(|answer| answer.kind)
    }

    fn is_conclusive(&self, place: Option<usize>) -> bool {
        self.kind(place).is_some_and(AnswerKind::is_conclusive)
    }

    fn is_answer(&self, place: Option<usize>) -> bool {
        self.kind(place) == Some(AnswerKind::Answer)
    }

    /// The data of the records of an answer.
    fn data(&self, place: Option<usize>) -> impl Iterator<Item = (&str, &RecordData)> {
        let records = self.answer(place).map(|answer| &answer.records[..]).unwrap_or_default();
        records.iter().map(|record| (record.name.as_str(), &record.data))
    }

    fn exchangers_at(&self, place: Option<usize>) -> Exchangers {
        let mx = self.data(place).filter_map(|(_, data)| match data {
            RecordData::Mx { preference, exchange } => Some((*preference, exchange.clone())),
            _ => None,
        });
        mx.collect()
    }

    fn addresses_at(&self, place: Option<usize>) -> Vec<IpAddr> {
        let ip = |data| {
            let of = |kind| super::reading::address(data, kind);
            of(RecordType::A).or_else(|| of(RecordType::Aaaa))
        };
        self.data(place).filter_map(|(_, data)| ip(data)).collect()
    }

    /// The alias that an answer has for `name`.
    fn is_alias(&self, place: Option<usize>, name: &str) -> bool {
        let mut data = self.data(place);
        data.any(|(owner, data)| owner == name && matches!(data, RecordData::Cname(_)))
    }

    /// A resolver of ours can say what the domain has: mail flows all the same.
    fn is_resolved(&self) -> bool {
        self.seen.resolvers.iter().any(|resolver| self.is_conclusive(resolver.mx))
    }

    /// What stops mail stops it only when no resolver of ours knows better.
    fn unless_resolved(&self) -> Effect {
        if self.is_resolved() { Effect::Degrading } else { Effect::Blocking }
    }

    fn zone(&self) -> String {
        self.seen.zones.last().map(|zone| zone.name.clone()).unwrap_or_default()
    }
}
