//! What follows from the answers heard: the rules of RFC 5321 section 5.1 and RFC 7505, as functions of them.

use super::{
    Candidate, Heard, Hop, KEPT_FOR_OTHER_FAMILY, MAX_ADDRESSES, Missing, Next, Noted, Plan,
    Planned, Question, ask_mx, is_private,
};
use crate::domain::address_in_text;
use crate::exchangers::{Exchanger, Exchangers};
use crate::table::Action;
use posthaste_evidence::observation::Choice;
use posthaste_evidence::{
    AnswerKind, ConnectFault, Effect, Fault, Record, RecordData, RecordType, Stage, Subject,
};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// MX records that are told of as naming an address.
const MAX_NOTED: usize = 4;

/// The hosts that the answer to the MX question leads to, or what else follows from it.
pub(super) fn of_exchangers(
    plan: &Plan,
    domain: &str,
    heard: &Heard,
) -> Result<Vec<Candidate>, Next> {
    match heard.kind {
        AnswerKind::Answer | AnswerKind::NoData => {}
        AnswerKind::NxDomain if heard.permanent => {
            let fault = Fault::NoSuchDomain { name: domain.to_owned() };
            return Err(missing(fault, Missing::Domain));
        }
        AnswerKind::NxDomain if !heard.confirmed => {
            return Err(Next::Need(vec![ask_mx(domain, true)]));
        }
        answer => {
            let kind = RecordType::Mx;
            let fault = Fault::DnsFailed { name: domain.to_owned(), kind, answer };
            return Err(match answer {
                // Not every server says so, but one that knows may.
                AnswerKind::NxDomain => missing(fault, Missing::Domain),
                _ => failed(fault),
            });
        }
    }
    let hosts = match plan.exchangers(&heard.records) {
        Exchangers::None => vec![Exchanger { host: domain.to_owned(), preference: 0 }],
        Exchangers::Null => return Err(null_mx(domain)),
        Exchangers::OnlyOurselves { name } => return Err(loops_back(domain, &name, None)),
        Exchangers::Hosts(hosts) | Exchangers::BetterThanOurselves { hosts, .. } => hosts,
    };
    let implicit_is_ours = hosts.len() == 1 && plan.ourselves.names.contains(&hosts[0].host);
    if implicit_is_ours {
        return Err(loops_back(domain, domain, None));
    }
    if hosts.is_empty() {
        let fault = Fault::NoHosts { name: domain.to_owned() };
        let Next::Done(planned) = missing(fault, Missing::Targets(Vec::new())) else {
            unreachable!("it is done")
        };
        let noted = addresses_for_exchangers(heard, Effect::Blocking);
        return Err(Next::Done(Planned { noted, ..planned }));
    }
    let port = if let Action::Mx { port } = plan.route.action { port } else { super::SMTP_PORT };
    let candidate =
        |e: Exchanger| Candidate { host: e.host, port, preference: e.preference, address: None };
    Ok(hosts.into_iter().map(candidate).collect())
}

/// What follows for these hosts from the addresses heard. `hasty`: open questions count as not answered.
pub(super) fn of_hosts(plan: &Plan, hosts: &[Candidate], hasty: bool) -> Next {
    let missing: Vec<Question> = hosts.iter().flat_map(|h| unheard(plan, h)).collect();
    if !missing.is_empty() && !hasty {
        return Next::Need(missing);
    }
    let mut noted = notes_of_mx(plan);
    let hosts = match without_ourselves(plan, hosts, &mut noted) {
        Ok(hosts) => hosts,
        Err(next) => return next,
    };
    let hops = usable_hops(plan, &hosts, &mut noted);
    if !hops.is_empty() {
        return Next::Done(Planned { hops: Ok(capped(hops)), noted, missing: None });
    }
    match why_none(plan, &hosts, &noted) {
        Ok(fault) => {
            let private = matches!(fault, Fault::OnlyPrivateAddresses { .. });
            for note in noted.iter_mut().filter(|n| private && n.choice == Choice::PrivateAddress) {
                note.effect = Effect::Blocking;
            }
            noted.extend(unused_family(plan, &hosts, &fault));
            let missing = what_is_missing(plan, &hosts, &fault);
            Next::Done(Planned { hops: Err(fault), noted, missing })
        }
        Err(questions) => Next::Need(questions),
    }
}

/// The address questions of a host that have no answer yet. Both families, whichever are used: that a
/// domain has no host at all can only be said when neither exists.
fn unheard(plan: &Plan, host: &Candidate) -> Vec<Question> {
    if host.address.is_some() {
        return Vec::new();
    }
    let open = |kind: &RecordType| plan.heard(&host.host, *kind).is_none();
    let ask = |kind| Question { name: host.host.clone(), kind, confirm: false };
    [RecordType::A, RecordType::Aaaa].into_iter().filter(open).map(ask).collect()
}

/// The choices already made when the MX list was read.
fn notes_of_mx(plan: &Plan) -> Vec<Noted> {
    let super::Start::Domain(domain) = &plan.start else { return Vec::new() };
    let Some(heard) = plan.heard(domain, RecordType::Mx) else { return Vec::new() };
    match plan.exchangers(&heard.records) {
        Exchangers::None => vec![note_mx(domain, Choice::ImplicitMx, Effect::None)],
        Exchangers::BetterThanOurselves { name, .. } => {
            vec![note_ourselves(&name, None, Effect::None)]
        }
        _ => addresses_for_exchangers(heard, Effect::Cosmetic),
    }
}

/// The hosts that are left when one of them has an address of ours: those of a better preference.
fn without_ourselves(
    plan: &Plan,
    hosts: &[Candidate],
    noted: &mut Vec<Noted>,
) -> Result<Vec<Candidate>, Next> {
    if matches!(plan.route.action, Action::SmartHosts { .. }) {
        return Ok(hosts.to_vec());
    }
    let own_address =
        |h: &Candidate| addresses(plan, h).into_iter().find(|&ip| plan.ourselves.has(ip));
    let ours = hosts.iter().filter_map(|h| own_address(h).map(|ip| (h, ip)));
    let Some((ours, ip)) = ours.min_by_key(|(h, _)| h.preference) else {
        return Ok(hosts.to_vec());
    };
    let mut left = hosts.to_vec();
    left.retain(|h| h.preference < ours.preference);
    let at = Some(SocketAddr::new(ip, ours.port));
    if left.is_empty() {
        let domain = match &plan.start {
            super::Start::Domain(domain) => domain,
            _ => &ours.host,
        };
        return Err(loops_back(domain, &ours.host, at));
    }
    noted.push(note_ourselves(&ours.host, at, Effect::None));
    Ok(left)
}

/// The hosts with the addresses that may be connected to. No endpoint comes twice.
fn usable_hops(plan: &Plan, hosts: &[Candidate], noted: &mut Vec<Noted>) -> Vec<Hop> {
    let mut seen = BTreeSet::new();
    let mut hops = Vec::new();
    for host in hosts {
        let (refused, open): (Vec<IpAddr>, Vec<IpAddr>) = addresses(plan, host)
            .into_iter()
            .partition(|&ip| is_private(ip) && !plan.route.allow_private);
        if let Some(&ip) = refused.first() {
            noted.push(Noted {
                stage: Stage::DnsAddr,
                subject: Subject::Host {
                    name: host.host.clone(),
                    address: Some(SocketAddr::new(ip, host.port)),
                },
                choice: Choice::PrivateAddress,
                effect: Effect::Degrading,
            });
        }
        let mut addresses = plan.route.families.in_turn(&open);
        addresses.retain(|&ip| seen.insert((ip, host.port)));
        if !addresses.is_empty() {
            let Candidate { host, port, preference, .. } = host.clone();
            hops.push(Hop { host, port, preference, addresses });
        }
    }
    hops
}

/// All addresses heard of a host.
fn addresses(plan: &Plan, host: &Candidate) -> Vec<IpAddr> {
    let of = |kind| plan.heard(&host.host, kind).map_or(&[][..], |h: &Heard| &h.records);
    let records = of(RecordType::A).iter().chain(of(RecordType::Aaaa));
    host.address.into_iter().chain(records.filter_map(address)).collect()
}

const fn address(record: &Record) -> Option<IpAddr> {
    match record.data {
        RecordData::A(ip) => Some(IpAddr::V4(ip)),
        RecordData::Aaaa(ip) => Some(IpAddr::V6(ip)),
        _ => None,
    }
}

/// Why no host has an address to connect to, or what must be asked of every server before saying so.
fn why_none(plan: &Plan, hosts: &[Candidate], noted: &[Noted]) -> Result<Fault, Vec<Question>> {
    if let Some(fault) = hosts.iter().find_map(|h| unanswered(plan, h)) {
        return Ok(fault);
    }
    let name = match &plan.start {
        super::Start::Domain(name) => name.clone(),
        _ => hosts.first().map(|h| h.host.clone()).unwrap_or_default(),
    };
    if noted.iter().any(|n| n.choice == Choice::PrivateAddress) {
        return Ok(Fault::OnlyPrivateAddresses { name });
    }
    if hosts.iter().any(|h| !addresses(plan, h).is_empty()) {
        // There are addresses, but of a family that this route does not use.
        return Ok(Fault::Connect(ConnectFault::NetworkUnreachable));
    }
    confirmed_missing(plan, hosts, name)
}

/// The first host that has an address, when none is of a family that the route uses.
fn unused_family(plan: &Plan, hosts: &[Candidate], fault: &Fault) -> Option<Noted> {
    let of_family = *fault == Fault::Connect(ConnectFault::NetworkUnreachable);
    let found = hosts.iter().find_map(|h| Some((h, *addresses(plan, h).first()?)));
    let (host, ip) = found.filter(|_| of_family)?;
    let address = Some(SocketAddr::new(ip, host.port));
    let subject = Subject::Host { name: host.host.clone(), address };
    let (choice, effect) = (Choice::FamilyUnused, Effect::Blocking);
    Some(Noted { stage: Stage::Connect, subject, choice, effect })
}

/// The first address question of a host that DNS did not answer: of both families the one that decides.
fn unanswered(plan: &Plan, host: &Candidate) -> Option<Fault> {
    if host.address.is_some() {
        return None;
    }
    plan.families().into_iter().find_map(|kind| {
        let answer = plan.heard(&host.host, kind).map_or(AnswerKind::Timeout, |h| h.kind);
        let failed = || Fault::DnsFailed { name: host.host.clone(), kind, answer };
        (!answer.is_conclusive()).then(failed)
    })
}

/// Nobody has an address: permanent once every server says so of every question that led here.
fn confirmed_missing(
    plan: &Plan,
    hosts: &[Candidate],
    domain: String,
) -> Result<Fault, Vec<Question>> {
    let mut chain: Vec<(String, RecordType)> = Vec::new();
    if let super::Start::Domain(domain) = &plan.start {
        let implicit = plan
            .heard(domain, RecordType::Mx)
            .is_some_and(|h| matches!(plan.exchangers(&h.records), Exchangers::None));
        chain.extend(implicit.then(|| (domain.clone(), RecordType::Mx)));
    }
    for host in hosts {
        chain.extend([RecordType::A, RecordType::Aaaa].map(|kind| (host.host.clone(), kind)));
    }
    let doubtful = chain.into_iter().filter_map(|(name, kind)| {
        let heard = plan.heard(&name, kind).filter(|h| !h.permanent)?;
        Some((Question { name, kind, confirm: true }, heard.kind, heard.confirmed))
    });
    let doubtful: Vec<(Question, AnswerKind, bool)> = doubtful.collect();
    // A fixed host is the operator's own word: its mail waits until DNS or the word is put right.
    let fixed = matches!(plan.route.action, Action::SmartHosts { .. });
    let unconfirmed = doubtful.iter().filter(|(.., confirmed)| !confirmed && !fixed);
    let to_ask: Vec<Question> = unconfirmed.map(|(q, ..)| q.clone()).collect();
    if !to_ask.is_empty() {
        return Err(to_ask);
    }
    if fixed {
        let answer = plan.heard(&domain, RecordType::A).map_or(AnswerKind::NoData, |h| h.kind);
        return Ok(Fault::DnsFailed { name: domain, kind: RecordType::A, answer });
    }
    Ok(match doubtful.into_iter().next() {
        Some((q, answer, _)) => Fault::DnsFailed { name: q.name, kind: q.kind, answer },
        None => Fault::NoHosts { name: domain },
    })
}

/// At most [`MAX_ADDRESSES`] over all hosts, with a few kept for each family that there is.
fn capped(hops: Vec<Hop>) -> Vec<Hop> {
    let count = |v6| hops.iter().flat_map(|h| &h.addresses).filter(|ip| ip.is_ipv6() == v6).count();
    let room = |others: usize| MAX_ADDRESSES - others.min(KEPT_FOR_OTHER_FAMILY);
    let (mut v4_left, mut v6_left) = (room(count(true)), room(count(false)));
    let mut left = MAX_ADDRESSES;
    let mut kept = hops;
    for hop in &mut kept {
        hop.addresses.retain(|ip| {
            let of_family = if ip.is_ipv6() { &mut v6_left } else { &mut v4_left };
            let keep = *of_family > 0 && left > 0;
            if keep {
                *of_family -= 1;
                left -= 1;
            }
            keep
        });
    }
    kept.retain(|hop| !hop.addresses.is_empty());
    kept
}

fn missing(fault: Fault, what: Missing) -> Next {
    Next::Done(Planned { missing: Some(what), ..Planned::failed(fault) })
}

/// What is said not to exist, when that is why there is no host.
fn what_is_missing(plan: &Plan, hosts: &[Candidate], fault: &Fault) -> Option<Missing> {
    let (Fault::NoHosts { .. }, super::Start::Domain(domain)) = (fault, &plan.start) else {
        return None;
    };
    let heard = plan.heard(domain, RecordType::Mx)?;
    Some(match plan.exchangers(&heard.records) {
        Exchangers::None => Missing::Records,
        _ => Missing::Targets(hosts.iter().map(|h| h.host.clone()).collect()),
    })
}

/// MX records that name an address in text.
fn addresses_for_exchangers(heard: &Heard, effect: Effect) -> Vec<Noted> {
    let exchange = |record: &Record| match &record.data {
        RecordData::Mx { exchange, .. } => address_in_text(exchange).map(|_| exchange.clone()),
        _ => None,
    };
    let choice = Choice::AddressForExchanger;
    let note = |name| {
        let subject = Subject::Host { name, address: None };
        Noted { stage: Stage::DnsMx, subject, choice, effect }
    };
    heard.records.iter().filter_map(exchange).take(MAX_NOTED).map(note).collect()
}

fn failed(fault: Fault) -> Next {
    Next::Done(Planned::failed(fault))
}

fn null_mx(domain: &str) -> Next {
    let noted = vec![note_mx(domain, Choice::NullMx, Effect::Blocking)];
    let fault = Fault::NullMx { name: domain.to_owned() };
    Next::Done(Planned { noted, ..Planned::failed(fault) })
}

fn loops_back(domain: &str, host: &str, address: Option<SocketAddr>) -> Next {
    let noted = vec![note_ourselves(host, address, Effect::Blocking)];
    let fault = Fault::LoopsBack { name: domain.to_owned() };
    Next::Done(Planned { noted, ..Planned::failed(fault) })
}

fn note_mx(domain: &str, choice: Choice, effect: Effect) -> Noted {
    let name = domain.to_owned();
    let subject = Subject::Question { server: None, name, kind: RecordType::Mx };
    Noted { stage: Stage::DnsMx, subject, choice, effect }
}

fn note_ourselves(host: &str, address: Option<SocketAddr>, effect: Effect) -> Noted {
    let subject = Subject::Host { name: host.to_owned(), address };
    Noted { stage: Stage::DnsMx, subject, choice: Choice::DroppedOurselves, effect }
}
