//! **check**: a domain looked at from the root down, what is wrong with it, and who must act.

use super::{ObservationView, VERSION, When, millis};
use crate::text;
use posthaste_dns::walk::seen::{ExchangerSeen, ResolverSeen, ServerSeen, ZoneSeen};
use posthaste_dns::walk::{About, DomainReport, Finding};
use posthaste_evidence::Effect;
use serde::Serialize;
use std::net::IpAddr;

/// A check of a domain. Evidence is named by the ids of `observations`.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name; see `walk::DomainReport`")]
pub struct CheckObject {
    pub v: u32,
    pub domain: String,
    pub at: When,
    pub took_ms: u64,
    /// Who of ours was asked: `[resolver]` or `route NAME`.
    pub asked: String,
    /// The zone's own servers, or those of the zone above, said what there is. `false`: what the findings say of the
    /// domain is the word of our own servers alone.
    pub at_zone: bool,
    /// A finding is blocking: mail to the domain cannot be delivered now.
    pub blocking: bool,
    pub findings: Vec<FindingView>,
    pub zones: Vec<ZoneView>,
    pub servers: Vec<NameServerView>,
    pub exchangers: Vec<ExchangerView>,
    pub resolvers: Vec<ResolverView>,
    /// What cut it short: `questions`, `time`, `depth`, `loop`, `servers`.
    pub limits: Vec<&'static str>,
    pub observations: Vec<ObservationView>,
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name")]
pub struct FindingView {
    pub cause: &'static str,
    pub subject: String,
    pub effect: &'static str,
    /// As in a verdict: `us`, `recipient-dns`, `recipient-registrar`, `sender`, `nobody`.
    pub owner: &'static str,
    pub owner_text: &'static str,
    pub text: String,
    pub advice: &'static str,
    pub evidence: Vec<String>,
}

/// A zone on the way.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name; see `walk::seen::ZoneSeen`")]
pub struct ZoneView {
    pub name: String,
    pub by_parent: bool,
    pub servers: Vec<DelegatedView>,
    pub referral: Option<String>,
}

/// A name server as the zone above gives it.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name")]
pub struct DelegatedView {
    pub name: String,
    pub glue: Vec<IpAddr>,
}

/// A name server at one address.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name; see `walk::seen::ServerSeen`")]
pub struct NameServerView {
    pub name: String,
    pub address: String,
    pub glue: bool,
    pub own: Option<bool>,
    pub udp: Option<String>,
    pub without_edns: Option<String>,
    pub tcp: Option<String>,
    pub ns: Option<String>,
    pub mx: Option<String>,
}

/// A mail exchanger.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(
    missing_docs,
    reason = "each says what it is by its name; see `walk::seen::ExchangerSeen`"
)]
pub struct ExchangerView {
    pub name: String,
    pub preference: Option<u16>,
    pub a: Option<String>,
    pub aaaa: Option<String>,
    /// The host in another zone that its name is an alias of.
    pub target: Option<TargetView>,
}

/// Where an alias leads.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TargetView {
    /// The last name reached.
    pub name: String,
    /// The answer to A; null when nobody there answers, or the aliases do not end.
    pub a: Option<String>,
    /// The answer to AAAA.
    pub aaaa: Option<String>,
}

/// A recursive server of ours.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name; see `walk::seen::ResolverSeen`")]
pub struct ResolverView {
    pub address: String,
    pub mx: Option<String>,
    pub unchecked: Option<String>,
    pub a: Option<String>,
    pub aaaa: Option<String>,
}

impl CheckObject {
    /// From what the walk came to.
    #[must_use]
    pub fn of(report: &DomainReport, asked: &str) -> Self {
        let at_zone = report.seen.is_at_zone(&report.observations);
        Self {
            v: VERSION,
            asked: asked.to_owned(),
            at_zone,
            domain: report.name.clone(),
            at: When(report.at),
            took_ms: millis(report.took),
            blocking: report.findings.iter().any(|finding| finding.effect == Effect::Blocking),
            findings: report.findings.iter().map(|f| FindingView::of(f, at_zone)).collect(),
            zones: report.seen.zones.iter().map(ZoneView::of).collect(),
            servers: report.seen.servers.iter().map(NameServerView::of).collect(),
            exchangers: report.seen.exchangers.iter().map(ExchangerView::of).collect(),
            resolvers: report.seen.resolvers.iter().map(ResolverView::of).collect(),
            limits: report.limits.iter().map(|limit| limit.name()).collect(),
            observations: ObservationView::all(&report.observations, "o", &[], None),
        }
    }
}

impl FindingView {
    fn of(finding: &Finding, at_zone: bool) -> Self {
        let problem = finding.problem;
        let hearsay = !at_zone && matches!(finding.about, About::Domain(_) | About::Host(_));
        let by_whom = if hearsay {
            "by the word of our own servers, not confirmed at the zone: "
        } else {
            ""
        };
        Self {
            cause: problem.cause(),
            subject: text::about(&finding.about),
            effect: finding.effect.name(),
            owner: problem.acts().name(),
            owner_text: text::acts(problem.acts()),
            text: format!("{by_whom}{}", text::problem(problem)),
            advice: text::advice(problem),
            evidence: finding.evidence.iter().filter_map(|place| id(Some(*place))).collect(),
        }
    }
}

impl ZoneView {
    fn of(zone: &ZoneSeen) -> Self {
        let server = |(name, glue): &(String, Vec<IpAddr>)| DelegatedView {
            name: name.clone(),
            glue: glue.clone(),
        };
        Self {
            name: if zone.name.is_empty() { ".".to_owned() } else { zone.name.clone() },
            by_parent: zone.by_parent,
            servers: zone.servers.iter().map(server).collect(),
            referral: id(zone.referred),
        }
    }
}

impl NameServerView {
    fn of(server: &ServerSeen) -> Self {
        Self {
            name: server.name.clone(),
            address: server.address.to_string(),
            glue: server.glue,
            own: server.own,
            udp: id(server.again.or(server.udp)),
            without_edns: id(server.plain),
            tcp: id(server.tcp),
            ns: id(server.ns),
            mx: id(server.mx),
        }
    }
}

impl ExchangerView {
    fn of(host: &ExchangerSeen) -> Self {
        Self {
            name: host.name.clone(),
            preference: host.preference,
            a: id(host.a),
            aaaa: id(host.aaaa),
            target: host.target.as_ref().map(|target| TargetView {
                name: target.name.clone(),
                a: id(target.a),
                aaaa: id(target.aaaa),
            }),
        }
    }
}

impl ResolverView {
    fn of(resolver: &ResolverSeen) -> Self {
        Self {
            address: resolver.address.to_string(),
            mx: id(resolver.mx),
            unchecked: id(resolver.unchecked),
            a: id(resolver.a),
            aaaa: id(resolver.aaaa),
        }
    }
}

/// The id of an observation, as [`ObservationView::all`] gives it.
fn id(place: Option<usize>) -> Option<String> {
    place.map(|at| format!("o.{}", at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_dns::walk::{DomainSeen, Limit, Problem};
    use posthaste_evidence::{
        AnswerKind, Observation, RecordType, Seen, Stage, Subject, Transport,
    };
    use posthaste_mail::Timestamp;
    use std::time::Duration;

    fn report(effect: Effect) -> DomainReport {
        let address = Some(([203, 0, 113, 1], 53).into());
        let refused = posthaste_evidence::Answer::empty(AnswerKind::Refused, Transport::Udp);
        let subject =
            Subject::Question { server: address, name: "shop.test".into(), kind: RecordType::Soa };
        DomainReport {
            name: "shop.test".into(),
            at: Timestamp::EPOCH,
            took: Duration::from_millis(1500),
            seen: DomainSeen { missing: Some(0), ..DomainSeen::default() },
            observations: vec![Observation {
                at: Timestamp::EPOCH,
                took: Duration::from_millis(4),
                stage: Stage::DnsTxt,
                subject,
                seen: Seen::Answer(refused),
                effect: Effect::Degrading,
            }],
            findings: vec![Finding {
                problem: Problem::ServerLame(AnswerKind::Refused),
                about: About::Server { name: "ns1.shop.test".into(), address },
                effect,
                evidence: vec![0],
            }],
            limits: vec![Limit::Questions],
        }
    }

    #[test]
    fn a_finding_names_cause_owner_and_evidence() {
        let object = CheckObject::of(&report(Effect::Degrading), "[resolver]");
        assert!(!object.blocking && object.at_zone);
        let finding = &object.findings[0];
        assert_eq!(finding.cause, "dns.lame-delegation");
        assert_eq!(finding.subject, "ns1.shop.test (203.0.113.1:53)");
        assert_eq!(finding.owner, "recipient-dns");
        assert!(finding.text.ends_with("it answers refused"), "{}", finding.text);
        assert_eq!(finding.evidence, [object.observations[0].id.clone()]);
        assert_eq!((object.took_ms, &object.limits[..]), (1500, &["questions"][..]));
        assert!(CheckObject::of(&report(Effect::Blocking), "").blocking);
    }
}
