//! Each mail exchanger of a domain, asked for at its own zone.

use super::super::descent::{Descent, Path};
use super::super::limits::{Limit, MAX_EXCHANGERS};
use super::super::reading::Step;
use super::super::seen::{DomainSeen, ExchangerSeen, TargetSeen};
use super::super::walker::{Question, Walker};
use crate::meaning::{MAX_ALIASES, is_of};
use futures_util::future::join_all;
use posthaste_evidence::{AnswerKind, Record, RecordData, RecordType};
use std::collections::BTreeMap;
use std::net::IpAddr;

impl Walker {
    /// Every host that any server of the zone names, the best ones; the domain itself when none does.
    pub(super) async fn exchangers(&self, name: &str, seen: &DomainSeen) -> Vec<ExchangerSeen> {
        let mut records: Vec<_> =
            seen.servers.iter().flat_map(|server| self.records_at(server.mx)).collect();
        if leads(&records, name, RecordType::Mx).is_some() {
            let (_, elsewhere) = self.followed(name, records, RecordType::Mx).await;
            records = self.records_at(elsewhere.and_then(|end| end.said).map(|said| said.seen));
        }
        let looked_at = best_hosts(records, name).into_iter().map(async |(preference, name)| {
            if is_askable(&name) {
                self.exchanger(name, preference).await
            } else {
                ExchangerSeen { name, preference, a: None, aaaa: None, target: None }
            }
        });
        join_all(looked_at).await
    }

    async fn exchanger(&self, name: String, preference: Option<u16>) -> ExchangerSeen {
        let (a, aaaa) = self.both(&name).await;
        let records = self.records_at(a);
        let mut target = None;
        if leads(&records, &name, RecordType::A).is_some() {
            let (last, end) = self.followed(&name, records, RecordType::A).await;
            let (a, aaaa) = match end {
                Some(end) => self.both_of(&last, &end).await,
                None => (None, None),
            };
            target = Some(TargetSeen { name: last, a, aaaa });
        }
        ExchangerSeen { name, preference, a, aaaa, target }
    }

    /// Where the aliases in an answer lead: the last name, and the way to it; `None` when they do not end.
    async fn followed(
        &self,
        name: &str,
        records: Vec<Record>,
        kind: RecordType,
    ) -> (String, Option<Descent>) {
        let (mut names, mut records) = (vec![name.to_owned()], records);
        let mut way = None;
        while let Some(next) = leads(&records, names.last().expect("it begins with one"), kind) {
            if names.contains(&next) || names.len() > MAX_ALIASES {
                self.meets(Limit::Loop);
                return (next, None);
            }
            let descent = self.descend(&next, kind, &Path::to(&next), false).await;
            records = self.records_at(descent.said.as_ref().map(|said| said.seen));
            names.push(next);
            way = Some(descent);
        }
        (names.pop().expect("it begins with one"), way)
    }

    /// A and AAAA of a host, of the same server. Only when no server of its zone has it, it has no address: they may
    /// disagree.
    async fn both(&self, name: &str) -> (Option<usize>, Option<usize>) {
        let descent = self.descend(name, RecordType::A, &Path::to(name), false).await;
        self.both_of(name, &descent).await
    }

    async fn both_of(&self, name: &str, descent: &Descent) -> (Option<usize>, Option<usize>) {
        let path = Path::to(name);
        let zone = descent.zone();
        let Some(mut said) = descent.said.clone() else { return (None, None) };
        if said.step != Step::Answer {
            let servers = self.all_servers(zone, &path).await;
            let others = servers.iter().filter_map(|addresses| addresses.first().copied());
            let others = others.filter(|to| *to != said.by);
            let ask = |to| self.ask(Question::plain(to, &zone.name, name, RecordType::A));
            let heard = join_all(others.map(ask)).await;
            let known = heard.into_iter().flatten().find(|other| other.step == Step::Answer);
            said = known.unwrap_or(said);
        }
        let aaaa = || self.ask(Question::plain(said.by, &zone.name, name, RecordType::Aaaa));
        let mut six = aaaa().await;
        let lost = |step: &Step| matches!(step, Step::Failed(AnswerKind::Timeout));
        if six.as_ref().is_some_and(|said| lost(&said.step)) {
            six = aaaa().await;
        }
        (Some(said.seen), six.map(|said| said.seen))
    }
}

/// The name that the aliases from `name` on end at, when the records have nothing of `kind` there: who has that must
/// be asked elsewhere. Aliases in a circle lead to where they began.
fn leads(records: &[Record], name: &str, kind: RecordType) -> Option<String> {
    let mut at = name;
    for _ in 0..=MAX_ALIASES {
        if records.iter().any(|record| record.name == at && is_of(record, kind)) {
            return None;
        }
        let next = records.iter().find_map(|record| match &record.data {
            RecordData::Cname(target) if record.name == at => Some(target),
            _ => None,
        });
        match next {
            Some(next) => at = next,
            None => return (at != name).then(|| at.to_owned()),
        }
    }
    Some(name.to_owned())
}

/// The hosts that MX records name, the best ones first; without such records the domain itself.
pub(super) fn best_hosts(records: Vec<Record>, domain: &str) -> Vec<(Option<u16>, String)> {
    let mut best: BTreeMap<String, u16> = BTreeMap::new();
    for record in records {
        if let RecordData::Mx { preference, exchange } = record.data {
            let known = best.entry(exchange).or_insert(preference);
            *known = preference.min(*known);
        }
    }
    let mut hosts: Vec<(Option<u16>, String)> =
        best.into_iter().map(|(name, preference)| (Some(preference), name)).collect();
    hosts.sort();
    hosts.truncate(MAX_EXCHANGERS);
    if hosts.is_empty() {
        hosts.push((None, domain.to_owned()));
    }
    hosts
}

/// What is no name of a host is not asked for.
pub(super) fn is_askable(name: &str) -> bool {
    !name.is_empty() && name.parse::<IpAddr>().is_err()
}
