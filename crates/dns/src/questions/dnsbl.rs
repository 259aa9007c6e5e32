//! Whether a DNS list has an address or a domain, and whether the list can be believed (RFC 5782).
//!
//! A list says of itself that it works: of its two test points one must be in it, the other must not (section 5). They
//! are asked beside each question; the cache makes that cheap. Not here: which lists matter, and what a listing costs.

use super::{addresses_v4, is_negative, mapped, plain, reversed};
use crate::lookup::{Agreement, Lookup};
use crate::resolver::Resolver;
use futures_util::future::join3;
use posthaste_evidence::{AnswerKind, RecordData, RecordType};
use std::net::{IpAddr, Ipv4Addr};

/// The most octets kept of a list's reason.
pub const MAX_REASON: usize = 512;
/// Codes of one listing that are told.
pub const MAX_CODES: usize = 16;

/// Must be in every list of addresses (RFC 5782 section 5).
const TEST_LISTED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Must be in none.
const TEST_UNLISTED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
/// The same for lists of domains.
const TEST_NAMES: (&str, &str) = ("test", "invalid");

/// What a list is asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Listee {
    /// An address (RFC 5782 section 2).
    Address(IpAddr),
    /// A domain (RFC 5782 section 3).
    Domain(String),
}

/// What a list says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It has it.
    Listed {
        /// Its codes, within 127.0.0.0/8, at most [`MAX_CODES`].
        codes: Vec<Ipv4Addr>,
        /// Its reason, cut at [`MAX_REASON`] octets.
        reason: Option<String>,
    },
    /// It does not have it.
    NotListed,
    /// The list does not work, and what it says means nothing.
    ListBroken(Broken),
    /// The list does not answer us: too many questions, a public resolver, or no permission.
    QueryRefused,
    /// Nobody can tell now: this is why.
    Unknown(AnswerKind),
}

/// What is wrong with a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broken {
    /// It has the test point that no list may have: it has been shut down, or its domain was sold.
    ListsEverything,
    /// It does not have the test point that every list must have.
    ListsNothing,
    /// It answers with this, outside of 127.0.0.0/8: the answer of a web server or a search page.
    Outside(Ipv4Addr),
}

/// What a list says of an address or domain, with the questions asked.
#[derive(Clone, PartialEq, Debug)]
pub struct Listing {
    /// The list, in the resolver's form.
    pub zone: String,
    /// Who it was asked about.
    pub listee: Listee,
    /// What it says.
    pub verdict: Verdict,
    /// The questions: about the listee, the two test points (that must be listed, that must not), the reason.
    pub lookups: Vec<Lookup>,
}

/// What one A question to a list came to.
enum Said {
    Has(Vec<Ipv4Addr>),
    HasNot,
    Outside(Ipv4Addr),
    Refused,
    Failed(AnswerKind),
}

impl Resolver {
    /// Asks a list about an address or a domain, and its test points. Always answers, within twice
    /// [`crate::Settings::total_limit`].
    pub async fn dnsbl(&self, zone: &str, listee: Listee) -> Listing {
        let listee = match listee {
            Listee::Address(ip) => Listee::Address(plain(ip)),
            domain @ Listee::Domain(_) => domain,
        };
        let name = name_of(&listee, zone);
        let (must, must_not) = test_points(&listee, zone);
        let ask = |name| async move {
            let name: String = name;
            self.ask(&name, RecordType::A, Agreement::First).await
        };
        let (about, must, must_not) = join3(ask(name.clone()), ask(must), ask(must_not)).await;
        let mut verdict = judge(&said(&about), &said(&must), &said(&must_not));
        let mut lookups = vec![about, must, must_not];
        if let Verdict::Listed { reason, .. } = &mut verdict {
            let text = self.ask(&name, RecordType::Txt, Agreement::First).await;
            *reason = reason_of(&text);
            lookups.push(text);
        }
        let zone = crate::name::to_dns(zone).unwrap_or_else(|_| zone.to_lowercase());
        Listing { zone, listee, verdict, lookups }
    }
}

fn name_of(listee: &Listee, zone: &str) -> String {
    match listee {
        Listee::Address(ip) => reversed(*ip, zone),
        Listee::Domain(domain) => below(domain, zone),
    }
}

/// That which must be listed, and that which must not.
fn test_points(listee: &Listee, zone: &str) -> (String, String) {
    match listee {
        Listee::Address(IpAddr::V4(_)) => {
            (reversed(TEST_LISTED.into(), zone), reversed(TEST_UNLISTED.into(), zone))
        }
        Listee::Address(IpAddr::V6(_)) => {
            let in_v6 = |ip| reversed(mapped(ip).into(), zone);
            (in_v6(TEST_LISTED), in_v6(TEST_UNLISTED))
        }
        Listee::Domain(_) => (below(TEST_NAMES.0, zone), below(TEST_NAMES.1, zone)),
    }
}

fn below(name: &str, zone: &str) -> String {
    format!("{}.{}", name.trim_end_matches('.'), zone.trim_end_matches('.'))
}

fn said(lookup: &Lookup) -> Said {
    match lookup.verdict() {
        // That it had it yesterday is no listing.
        AnswerKind::Answer if lookup.answer.stale => Said::Failed(AnswerKind::Timeout),
        AnswerKind::Answer => {
            let codes: Vec<Ipv4Addr> = addresses_v4(&lookup.answer).collect();
            // 127.255.255.0/24: what large lists answer to those whom they do not serve.
            let refusal = |ip: &Ipv4Addr| ip.octets()[..3] == [127, 255, 255];
            match codes.iter().find(|ip| !ip.is_loopback()) {
                _ if codes.iter().any(refusal) => Said::Refused,
                Some(outside) => Said::Outside(*outside),
                None if codes.is_empty() => Said::HasNot,
                None => Said::Has(codes.into_iter().take(MAX_CODES).collect()),
            }
        }
        AnswerKind::Refused => Said::Refused,
        kind if is_negative(kind) => Said::HasNot,
        kind => Said::Failed(kind),
    }
}

/// A listing needs a list that does not list everything, and its absence one that lists something.
fn judge(about: &Said, must: &Said, must_not: &Said) -> Verdict {
    match (about, must, must_not) {
        (Said::Refused, ..) => Verdict::QueryRefused,
        (Said::Outside(ip), ..) | (_, _, Said::Outside(ip)) | (_, Said::Outside(ip), _) => {
            Verdict::ListBroken(Broken::Outside(*ip))
        }
        (Said::Failed(kind), ..) => Verdict::Unknown(*kind),
        (Said::Has(_), _, Said::Has(_)) => Verdict::ListBroken(Broken::ListsEverything),
        (Said::Has(codes), _, Said::HasNot) => {
            Verdict::Listed { codes: codes.clone(), reason: None }
        }
        (Said::HasNot, Said::Has(_), _) => Verdict::NotListed,
        (Said::HasNot, Said::HasNot, _) => Verdict::ListBroken(Broken::ListsNothing),
        (Said::HasNot, Said::Refused, _) | (Said::Has(_), _, Said::Refused) => {
            Verdict::QueryRefused
        }
        (Said::HasNot, Said::Failed(kind), _) | (Said::Has(_), _, Said::Failed(kind)) => {
            Verdict::Unknown(*kind)
        }
    }
}

fn reason_of(text: &Lookup) -> Option<String> {
    text.answer.records.iter().find_map(|record| match &record.data {
        RecordData::Txt(reason) => {
            Some(reason[..reason.floor_char_boundary(MAX_REASON)].to_owned())
        }
        _ => None,
    })
}
