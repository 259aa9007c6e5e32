//! Who an address says it is, and whether its name says the same (RFC 1035 section 3.5, RFC 1912 section 2.1).
//!
//! Not here: what a missing or wrong name costs with a peer.

use super::{IPV4_ZONE, IPV6_ZONE, addresses, is_negative, plain, reversed};
use crate::lookup::{Agreement, Lookup};
use crate::resolver::Resolver;
use futures_util::future::join_all;
use posthaste_evidence::{AnswerKind, RecordData, RecordType};
use std::net::IpAddr;

/// The most names of one address that are confirmed; others are not looked at.
pub const MAX_NAMES: usize = 8;

/// What the names of an address come to together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Naming {
    /// It has a name, and that name has this address.
    Confirmed,
    /// It has names, and none of them has this address.
    Mismatch,
    /// It has no name.
    NoPtr,
    /// That cannot be told now: this is why.
    Failed(AnswerKind),
}

/// Whether a name has the address that bears it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forward {
    /// It has.
    Confirmed,
    /// It has other addresses, or none.
    Mismatch,
    /// That cannot be told now: this is why.
    Failed(AnswerKind),
}

/// The names of an address.
#[derive(Clone, PartialEq, Debug)]
pub struct Reverse {
    /// The address; one that came as IPv4 in IPv6 is an IPv4 address here.
    pub ip: IpAddr,
    /// What it comes to.
    pub naming: Naming,
    /// Its names in the resolver's form, at most [`MAX_NAMES`], and whether each has the address.
    pub names: Vec<(String, Forward)>,
    /// There are more names than were looked at.
    pub more: bool,
    /// The questions: the PTR one, then one for each name, in the order of the names.
    pub lookups: Vec<Lookup>,
}

impl Resolver {
    /// The names of an address, each with whether it has the address. Always answers, within twice
    /// [`crate::Settings::total_limit`].
    pub async fn reverse(&self, ip: IpAddr) -> Reverse {
        let ip = plain(ip);
        let (zone, kind) = match ip {
            IpAddr::V4(_) => (IPV4_ZONE, RecordType::A),
            IpAddr::V6(_) => (IPV6_ZONE, RecordType::Aaaa),
        };
        let pointer = self.ask(&reversed(ip, zone), RecordType::Ptr, Agreement::First).await;
        let mut names = named(&pointer);
        let more = names.len() > MAX_NAMES;
        names.truncate(MAX_NAMES);
        let asked = join_all(names.iter().map(|n| self.ask(n, kind, Agreement::First))).await;
        let forward: Vec<Forward> = asked.iter().map(|lookup| forward(lookup, ip)).collect();
        let naming = naming(pointer.verdict(), &forward);
        let mut lookups = vec![pointer];
        lookups.extend(asked);
        Reverse { ip, naming, names: names.into_iter().zip(forward).collect(), more, lookups }
    }
}

/// Each name once, in the order of the answer.
fn named(pointer: &Lookup) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for record in &pointer.answer.records {
        match &record.data {
            RecordData::Ptr(name) if !names.contains(name) => names.push(name.clone()),
            _ => {}
        }
    }
    names
}

fn forward(lookup: &Lookup, ip: IpAddr) -> Forward {
    match lookup.verdict() {
        _ if addresses(&lookup.answer).any(|found| found == ip) => Forward::Confirmed,
        AnswerKind::Answer => Forward::Mismatch,
        kind if is_negative(kind) => Forward::Mismatch,
        kind => Forward::Failed(kind),
    }
}

/// One name that is confirmed is enough; that none is cannot be said while one is in doubt.
fn naming(pointer: AnswerKind, names: &[Forward]) -> Naming {
    let failed = |forward: &Forward| match forward {
        Forward::Failed(kind) => Some(*kind),
        _ => None,
    };
    match pointer {
        _ if names.contains(&Forward::Confirmed) => Naming::Confirmed,
        AnswerKind::Answer if names.is_empty() => Naming::NoPtr,
        AnswerKind::Answer => {
            names.iter().find_map(failed).map_or(Naming::Mismatch, Naming::Failed)
        }
        kind if is_negative(kind) => Naming::NoPtr,
        kind => Naming::Failed(kind),
    }
}
