//! DNS as operators look at it: how each server stands, a question asked as mail asks it, forgetting what is kept.
//!
//! Not here: how anything is shown (`posthaste_admin`), asking (`posthaste_dns`).

use super::Daemon;
use crate::config::setting::Text as _;
use crate::config::{Lowered, Server};
use posthaste_admin::resolving::{
    CacheStanding, Checked, DnsAnswer, DnsFault, DnsQuestion, Resolving, ServerList, ServerStanding,
};
use posthaste_dns::questions::reverse::Reverse;
use posthaste_dns::questions::{IPV4_ZONE, IPV6_ZONE, reversed};
use posthaste_dns::walk;
use posthaste_dns::{Agreement, Lookup, Resolver, ServerHealth, to_dns};
use posthaste_evidence::{AnswerKind, RecordData, RecordType};
use posthaste_io::Task;
use posthaste_mail::Mailbox;
use posthaste_route::{Facts, Route, Table};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Targets of an MX answer whose addresses are asked for.
const MAX_TARGETS: usize = 10;

impl Resolving for Daemon {
    fn servers(&self) -> Vec<ServerStanding> {
        let lists = self.lists().into_iter();
        lists.flat_map(|(list, resolver)| standings(&resolver, &list)).collect()
    }

    fn caches(&self) -> Vec<CacheStanding> {
        let standing = |(list, resolver): (ServerList, Arc<Resolver>)| CacheStanding {
            list,
            kept: resolver.cached(),
            numbers: resolver.numbers(),
        };
        self.lists().into_iter().map(standing).collect()
    }

    fn ask(&self, question: DnsQuestion) -> Task<'_, Result<DnsAnswer, DnsFault>> {
        Box::pin(async move {
            let (asked, resolver) = self.whom(&question)?;
            let address: Option<IpAddr> = question.name.parse().ok();
            let address = address.filter(|_| matches!(question.kind, None | Some(RecordType::Ptr)));
            if let Some(ip) = address {
                let zone = if ip.to_canonical().is_ipv4() { IPV4_ZONE } else { IPV6_ZONE };
                if question.fresh {
                    resolver.forget(&reversed(ip.to_canonical(), zone));
                }
                let Reverse { naming, lookups, .. } = resolver.reverse(ip).await;
                return Ok(DnsAnswer { asked, lookups, naming: Some(naming) });
            }
            let name = to_dns(&question.name).map_err(|_| DnsFault::BadName(question.name))?;
            if question.fresh {
                resolver.forget(&name);
            }
            let lookups = match question.kind {
                Some(kind) => vec![resolver.ask(&name, kind, Agreement::First).await],
                None => as_mail_asks(&resolver, &name).await,
            };
            Ok(DnsAnswer { asked, lookups, naming: None })
        })
    }

    fn check(&self, name: &str, route: Option<&str>) -> Task<'_, Result<Checked, DnsFault>> {
        let (name, route) = (name.to_owned(), route.map(str::to_owned));
        Box::pin(async move {
            let (asked, settings) = as_mail_to(&self.settings(), &name, route.as_deref())?;
            let report = walk::domain(&self.world, &settings, &name).await;
            let report = report.map_err(|_| DnsFault::BadName(name))?;
            let known = self.dispatch.has_delivered(&report.name);
            let report = if known { report.of_delivered() } else { report };
            Ok(Checked { asked, report })
        })
    }

    fn flush(&self, name: Option<&str>) -> Result<usize, DnsFault> {
        if let Some(name) = name {
            to_dns(name).map_err(|_| DnsFault::BadName(name.to_owned()))?;
        }
        let resolvers = self.dispatch.resolvers();
        Ok(resolvers.iter().map(|resolver| resolver.flush(name)).sum())
    }
}

impl Daemon {
    /// Every resolver in use, and whose servers it asks.
    fn lists(&self) -> Vec<(ServerList, Arc<Resolver>)> {
        let resolvers = self.dispatch.resolvers();
        let settings = self.settings();
        let list = |resolver: &Arc<Resolver>| {
            if Arc::ptr_eq(resolver, resolvers.of_all()) {
                return (ServerList::Primary, Arc::clone(resolver));
            }
            let servers = &resolver.settings().servers;
            let routes = settings.routes.iter().map(|(_, route)| route);
            let names = routes.filter(|route| route.resolvers == *servers);
            let names = names.map(|route| route.name.clone()).collect();
            (ServerList::Routes(names), Arc::clone(resolver))
        };
        resolvers.iter().map(list).collect()
    }

    /// Who is to be asked, with its name for people.
    fn whom(&self, question: &DnsQuestion) -> Result<(String, Arc<Resolver>), DnsFault> {
        let resolvers = self.dispatch.resolvers();
        let settings = self.settings();
        if let Some(server) = &question.server {
            let server = Server::from_text(server).map_err(DnsFault::BadServer)?;
            let known = [&settings.dns.servers, &settings.dns.fallback];
            let known = known
                .into_iter()
                .flatten()
                .find(|known| known.address == server.0.address && known.tls == server.0.tls);
            let asked = format!("server {}", server.to_text());
            let alone = posthaste_dns::Settings {
                servers: vec![known.cloned().unwrap_or_else(|| server.believed(&[]))],
                fallback: Vec::new(),
                stale_for: Duration::ZERO,
                ..settings.dns.clone()
            };
            return Ok((asked, Arc::new(Resolver::new(self.world.clone(), alone))));
        }
        let Some(name) = &question.route else {
            return Ok(("[resolver]".to_owned(), Arc::clone(resolvers.of_all())));
        };
        let route = named(&settings.routes, name)?;
        Ok((format!("route {name}"), Arc::clone(resolvers.of(route))))
    }
}

/// Whose servers mail to a domain asks, or those of the route that is named, and the settings to ask them with.
///
/// # Errors
/// No route has that name.
pub(crate) fn as_mail_to(
    settings: &Lowered,
    domain: &str,
    route: Option<&str>,
) -> Result<(String, posthaste_dns::Settings), DnsFault> {
    let routes = &settings.routes;
    let route = match route {
        Some(name) => Some(named(routes, name)?),
        None => Mailbox::parse(&format!("postmaster@{domain}"), true).ok().and_then(|recipient| {
            let (sender, listener, user, size) = (None, "", None, 0);
            let facts = Facts { recipient: &recipient, sender, listener, user, size };
            routes.find(&facts).map(|(_, route)| route)
        }),
    };
    let Some(route) = route.filter(|route| !route.resolvers.is_empty()) else {
        return Ok(("[resolver]".to_owned(), settings.dns.clone()));
    };
    // As for mail: names that these servers know are not for everybody (`delivery::Resolvers`).
    let (servers, fallback) = (route.resolvers.clone(), Vec::new());
    let own = posthaste_dns::Settings { servers, fallback, ..settings.dns.clone() };
    Ok((format!("route {}", route.name), own))
}

fn named<'a>(routes: &'a Table, name: &str) -> Result<&'a Route, DnsFault> {
    routes.by_name(name).map(|(_, route)| route).ok_or_else(|| DnsFault::NoSuchRoute {
        asked: name.to_owned(),
        there: routes.iter().map(|(_, route)| route.name.clone()).collect(),
    })
}

/// MX, then the addresses of its targets; without MX records those of the name itself (RFC 5321 section 5.1).
async fn as_mail_asks(resolver: &Arc<Resolver>, name: &str) -> Vec<Lookup> {
    let exchangers = resolver.ask(name, RecordType::Mx, Agreement::First).await;
    let mut targets: Vec<String> = Vec::new();
    match exchangers.verdict() {
        AnswerKind::Answer => {
            let mut records: Vec<(u16, &str)> = Vec::new();
            for record in &exchangers.answer.records {
                if let RecordData::Mx { preference, exchange } = &record.data {
                    records.push((*preference, exchange));
                }
            }
            records.sort_unstable();
            for (_, exchange) in records {
                // The null MX has no name (RFC 7505).
                if !exchange.is_empty() && !targets.iter().any(|target| target == exchange) {
                    targets.push(exchange.to_owned());
                }
            }
            targets.truncate(MAX_TARGETS);
        }
        AnswerKind::NoData => targets.push(name.to_owned()),
        _ => {}
    }
    let mut lookups = vec![exchangers];
    let asked: Vec<_> = targets
        .into_iter()
        .map(|target| tokio::spawn(addresses(Arc::clone(resolver), target)))
        .collect();
    for found in asked {
        // A task that is gone found nothing.
        lookups.extend(found.await.into_iter().flatten());
    }
    lookups
}

/// Both families at once.
async fn addresses(resolver: Arc<Resolver>, name: String) -> [Lookup; 2] {
    let (v4, v6) = tokio::join!(
        resolver.ask(&name, RecordType::A, Agreement::First),
        resolver.ask(&name, RecordType::Aaaa, Agreement::First)
    );
    [v4, v6]
}

fn standings(resolver: &Resolver, list: &ServerList) -> Vec<ServerStanding> {
    let standing = |health: ServerHealth| ServerStanding {
        list: if health.fallback { ServerList::Fallback } else { list.clone() },
        health,
    };
    resolver.servers().into_iter().map(standing).collect()
}
