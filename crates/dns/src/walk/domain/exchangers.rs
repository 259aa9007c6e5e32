//! Each mail exchanger of a domain, asked for at its own zone.

use super::super::descent::Path;
use super::super::limits::MAX_EXCHANGERS;
use super::super::reading::Step;
use super::super::seen::{DomainSeen, ExchangerSeen};
use super::super::walker::{Question, Walker};
use futures_util::future::join_all;
use posthaste_evidence::{AnswerKind, RecordData, RecordType};
use std::collections::BTreeMap;
use std::net::IpAddr;

impl Walker {
    /// Every host that any server of the zone names, the best ones; the domain itself when none does.
    pub(super) async fn exchangers(&self, name: &str, seen: &DomainSeen) -> Vec<ExchangerSeen> {
        let mut records: Vec<_> =
            seen.servers.iter().flat_map(|server| self.records_at(server.mx)).collect();
        let is_mx = |data: &RecordData| matches!(data, RecordData::Mx { .. });
        let alias = records.iter().find_map(|record| match &record.data {
            RecordData::Cname(target) => Some(target.clone()),
            _ => None,
        });
        if let Some(target) = alias.filter(|_| !records.iter().any(|r| is_mx(&r.data))) {
            let elsewhere = self.descend(&target, RecordType::Mx, &Path::to(name), false).await;
            records = self.records_at(elsewhere.said.map(|said| said.seen));
        }
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
            hosts.push((None, name.to_owned()));
        }
        // What is no name of a host is not asked for.
        let askable = |name: &str| !name.is_empty() && name.parse::<IpAddr>().is_err();
        let looked_at = hosts.into_iter().map(async |(preference, name)| {
            let (a, aaaa) = if askable(&name) { self.both(&name).await } else { (None, None) };
            ExchangerSeen { name, preference, a, aaaa }
        });
        join_all(looked_at).await
    }

    /// A and AAAA of a host, of the same server. Only when no server of its zone has it, it has no address: they may
    /// disagree.
    async fn both(&self, name: &str) -> (Option<usize>, Option<usize>) {
        let path = Path::to(name);
        let descent = self.descend(name, RecordType::A, &path, false).await;
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
