//! The MX records and the hosts they name (RFC 5321 section 5.1, RFC 7505).

use super::super::finding::{About, Problem};
use super::super::seen::ExchangerSeen;
use super::Case;
use posthaste_evidence::{AnswerKind, Effect};
use std::net::IpAddr;

/// What a mail exchanger is good for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Good,
    Unknown,
    Dangling,
    Private,
    NoName,
    Refuses,
}

impl Case<'_> {
    pub(super) fn exchangers(&mut self) {
        let seen = self.seen;
        let mx: Vec<Option<usize>> = match seen.is_at_zone(self.observations) {
            true => seen.servers.iter().map(|s| s.mx).collect(),
            false => seen.resolvers.iter().map(|r| r.mx).collect(),
        };
        let domain = || About::Domain(self.name.to_owned());
        let (domain, alias) = (domain(), mx.iter().find(|at| self.is_alias(**at, self.name)));
        if let Some(at) = alias {
            self.find(Problem::ApexAlias, domain.clone(), Effect::Degrading, [*at]);
        }
        let fleeting = mx.iter().find(|at| {
            let records = self.answer(**at).map(|answer| &answer.records[..]).unwrap_or_default();
            records.iter().any(|record| record.ttl == 0)
        });
        if let Some(at) = fleeting {
            self.find(Problem::ZeroTtl, domain.clone(), Effect::Cosmetic, [*at]);
        }
        let uses: Vec<Use> = seen.exchangers.iter().map(|host| self.usefulness(host)).collect();
        if seen.exchangers.iter().any(|host| host.preference.is_none()) {
            self.implicit(domain, &uses, &mx);
        } else {
            self.each(domain, &uses, &mx);
        }
        for host in &seen.exchangers {
            self.aaaa(host);
        }
    }

    /// Without MX records the domain itself is the host.
    fn implicit(&mut self, domain: About, uses: &[Use], mx: &[Option<usize>]) {
        if !mx.iter().any(|at| self.is_conclusive(*at)) {
            return;
        }
        let host = self.seen.exchangers.first();
        let evidence = || {
            let addresses = host.into_iter().flat_map(|host| [host.a, host.aaaa]);
            mx.iter().copied().chain(addresses).collect::<Vec<_>>()
        };
        match uses.first() {
            Some(Use::Dangling) => {
                self.find(Problem::NoRecords, domain, Effect::Blocking, evidence());
            }
            Some(Use::Private) => {
                self.find(Problem::AllExchangersPrivate, domain, Effect::Blocking, evidence());
            }
            Some(_) => self.find(Problem::ImplicitMx, domain, Effect::Cosmetic, evidence()),
            None => {}
        }
    }

    fn each(&mut self, domain: About, uses: &[Use], mx: &[Option<usize>]) {
        let seen = self.seen;
        for (host, use_) in seen.exchangers.iter().zip(uses) {
            let about = About::Host(host.name.clone());
            let target = host.target.as_ref();
            let evidence =
                [host.a, host.aaaa, target.and_then(|t| t.a), target.and_then(|t| t.aaaa)];
            let problem = match use_ {
                Use::Good => None,
                Use::Unknown => Some(Problem::ExchangerUnknown),
                Use::Dangling => Some(Problem::ExchangerDangling),
                Use::Private => Some(Problem::ExchangerPrivate),
                Use::NoName => Some(Problem::ExchangerIsAddress),
                Use::Refuses if uses.len() == 1 => {
                    let at = mx.iter().copied();
                    self.find(Problem::NullMx, domain.clone(), Effect::Blocking, at);
                    None
                }
                Use::Refuses => Some(Problem::ExchangerDangling),
            };
            if let Some(problem) = problem {
                let of_mx = if evidence == [None; 4] { mx } else { &[] };
                let evidence = evidence.into_iter().chain(of_mx.iter().copied());
                self.find(problem, about.clone(), Effect::Degrading, evidence);
            }
            if self.is_alias(host.a, &host.name) {
                self.find(Problem::ExchangerIsAlias, about, Effect::Cosmetic, [host.a]);
            }
        }
        let hopeless = |u: &Use| !matches!(u, Use::Good | Use::Unknown | Use::Refuses);
        if !uses.is_empty() && uses.iter().all(hopeless) {
            let private = uses.contains(&Use::Private);
            let problem = if private {
                Problem::AllExchangersPrivate
            } else {
                Problem::AllExchangersDangling
            };
            let evidence: Vec<_> = seen.exchangers.iter().flat_map(|h| [h.a, h.aaaa]).collect();
            self.find(problem, domain, Effect::Blocking, evidence);
        }
    }

    fn usefulness(&self, host: &ExchangerSeen) -> Use {
        if host.name.is_empty() {
            return Use::Refuses;
        }
        if host.name.parse::<IpAddr>().is_ok() {
            return Use::NoName;
        }
        // What is known of the host that an alias leads to is what counts.
        let (at_a, at_aaaa) = end_of(host);
        let mut addresses = self.addresses_at(at_a);
        addresses.extend(self.addresses_at(at_aaaa));
        let (a, aaaa) = (self.kind(at_a), self.kind(at_aaaa));
        let nothing = |kind| matches!(kind, Some(AnswerKind::NoData | AnswerKind::NxDomain));
        if !addresses.is_empty() {
            let private = addresses.iter().all(|ip| posthaste_route::is_private(*ip));
            return if private && !self.seen.closed { Use::Private } else { Use::Good };
        }
        if a == Some(AnswerKind::NxDomain) || (nothing(a) && nothing(aaaa)) {
            return Use::Dangling;
        }
        Use::Unknown
    }

    /// What is wrong with the answer to AAAA alone.
    fn aaaa(&mut self, host: &ExchangerSeen) {
        let (at_a, at_aaaa) = end_of(host);
        let (Some(a), Some(aaaa)) = (self.kind(at_a), self.kind(at_aaaa)) else { return };
        let denied = aaaa == AnswerKind::NxDomain && a != AnswerKind::NxDomain;
        if a.is_conclusive() && (denied || !aaaa.is_conclusive()) {
            let about = About::Host(host.name.clone());
            let evidence = [at_a, at_aaaa];
            self.find(Problem::AaaaBroken(aaaa), about, Effect::Cosmetic, evidence);
        }
    }
}

/// The answers to A and AAAA about the host itself, at the end of its aliases.
fn end_of(host: &ExchangerSeen) -> (Option<usize>, Option<usize>) {
    host.target.as_ref().map_or((host.a, host.aaaa), |target| (target.a, target.aaaa))
}
