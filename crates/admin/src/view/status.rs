//! **status**: what is going on, in numbers.

use super::{DestinationObject, ServerObject};
use super::{VERSION, When};
use crate::desk::{
    Conditions, Maintenance, Numbers, Readiness, Rights, Spread, Strangers, Traffic,
};
use posthaste_evidence::{NoticeKind, Withheld};
use posthaste_mail::Timestamp;
use posthaste_spool::Health;
use serde::Serialize;
use std::collections::BTreeMap;

/// What is going on.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name; see `desk::Numbers`")]
pub struct StatusObject {
    pub v: u32,
    pub at: When,
    pub version: &'static str,
    pub hostname: String,
    pub ready: bool,
    pub stopping: bool,
    pub started: When,
    /// Seconds.
    pub uptime: u64,
    pub messages: u64,
    pub recipients: u64,
    pub held: u64,
    pub in_flight: u64,
    pub destinations: u64,
    pub destinations_down: u64,
    pub oldest: Option<When>,
    pub connections: u64,
    pub sessions: u64,
    pub accepted: u64,
    pub delivered: u64,
    pub deferred: u64,
    pub failed: u64,
    /// Notices made since the start, by kind.
    pub notices: BTreeMap<&'static str, u64>,
    /// Recipients of whom nobody was told, by reason.
    pub notices_withheld: BTreeMap<&'static str, u64>,
    pub came_last_minute: u64,
    pub left_last_minute: u64,
    pub events_dropped: u64,
    pub sessions_dropped: u64,
    pub dns_dropped: u64,
    pub store: StoreView,
    pub pickup_waiting: u64,
    pub pickup_bad: u64,
    pub pickup_stuck: u64,
    /// Destinations of routes with fixed next hops that do not let us log in.
    pub smarthosts_closed: u64,
    /// The pickup folder.
    pub pickup: Option<String>,
    /// Mail is accepted.
    pub accepting: bool,
    /// Why not.
    pub refusing: Option<&'static str>,
    pub maintenance: Option<MaintenanceView>,
    pub soft_fail: bool,
    /// Certificates that have expired or soon will.
    pub certificates: Vec<ExpiringView>,
    pub sessions_secured: u64,
    pub handshakes_failed: u64,
    /// Sessions with something in clear behind STARTTLS, which was dropped.
    pub injected: u64,
    pub pressure: Vec<ResourceView>,
    pub sessions_limit: u64,
    pub connections_limit: u64,
    pub refused_by_limits: u64,
    pub logins: u64,
    pub failed_logins: u64,
    pub refused_logins: u64,
    /// With DKIM.
    pub signed: u64,
    /// A key was there, and no signature would hold.
    pub unsigned: u64,
    pub strangers: StrangersView,
    pub last_minute: TrafficView,
    pub by_status: SpreadView,
    /// Where most recipients wait after a failure.
    pub worst: Option<DestinationObject>,
    pub decisions_stopped: u64,
    pub holds_broken: u64,
    /// DNS servers.
    pub resolvers: Vec<ServerObject>,
    /// What the process may do.
    pub process: Option<ProcessView>,
}

/// What the process may do on its machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ProcessView {
    /// The user it runs as.
    pub user: String,
    /// `confined` to its own folders, `partly`, or `open`.
    pub files: &'static str,
    /// The same of system calls.
    pub calls: &'static str,
}

/// Closed for maintenance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name; see `desk::Maintenance`")]
pub struct MaintenanceView {
    pub since: When,
    pub reason: Option<String>,
    pub hold: bool,
}

/// A certificate of ours that has expired or soon will.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[expect(
    missing_docs,
    reason = "each says what it is by its name; see `desk::ExpiringCertificate`"
)]
pub struct ExpiringView {
    pub file: String,
    pub names: Vec<String>,
    pub not_after: When,
    pub expired: bool,
}

/// How a resource stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name; see `desk::ResourceStanding`")]
pub struct ResourceView {
    pub resource: &'static str,
    pub level: &'static str,
    pub text: String,
}

/// What became of strangers since the start.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name; see `desk::Strangers`")]
pub struct StrangersView {
    pub made_room: u64,
    pub refused_networks: u64,
    pub tarpitted: u64,
    pub refused_proxies: u64,
}

/// What happened in the last minute.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name; see `desk::Traffic`")]
pub struct TrafficView {
    pub accepted: u64,
    pub delivered: u64,
    pub deferred: u64,
    pub failed: u64,
}

/// Destinations by status, and recipients (and their destinations) that no route matches.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name; see `desk::Spread`")]
pub struct SpreadView {
    pub active: u64,
    pub ready: u64,
    pub retry: u64,
    pub held: u64,
    pub unreachable: u64,
    pub no_route: u64,
}

/// How the store is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name; see `spool::Health`")]
pub struct StoreView {
    pub accepting: bool,
    pub read_only: bool,
    pub live_octets: u64,
    pub disk_octets: u64,
    pub free_octets: u64,
    pub commits: u64,
    pub quarantined: u64,
}

impl StatusObject {
    /// From what the desk says.
    #[must_use]
    pub fn of(now: Timestamp, ready: Readiness, numbers: &Numbers) -> Self {
        Self {
            v: VERSION,
            at: When(now),
            version: env!("CARGO_PKG_VERSION"),
            hostname: numbers.hostname.clone(),
            ready: ready.is_ready(),
            stopping: ready.stopping,
            started: When(numbers.started),
            uptime: now.since(numbers.started).as_secs(),
            messages: numbers.messages,
            recipients: numbers.recipients,
            held: numbers.held,
            in_flight: numbers.in_flight,
            destinations: numbers.destinations,
            destinations_down: numbers.destinations_down,
            oldest: numbers.oldest.map(When),
            connections: numbers.connections,
            sessions: numbers.sessions,
            accepted: numbers.accepted,
            delivered: numbers.delivered,
            deferred: numbers.deferred,
            failed: numbers.failed,
            notices: named(NoticeKind::ALL.map(|(_, name)| name), numbers.notices),
            notices_withheld: named(Withheld::ALL.map(|(_, name)| name), numbers.withheld),
            came_last_minute: numbers.came_last_minute,
            left_last_minute: numbers.left_last_minute,
            events_dropped: numbers.events_dropped,
            sessions_dropped: numbers.sessions_dropped,
            dns_dropped: numbers.dns_dropped,
            store: StoreView::of(&numbers.store),
            pickup_waiting: numbers.pickup_waiting,
            pickup_bad: numbers.pickup_bad,
            pickup_stuck: numbers.pickup_stuck,
            smarthosts_closed: numbers.smarthosts_closed,
            pickup: numbers.pickup.clone(),
            accepting: ready.refusing.is_none() && !ready.stopping,
            refusing: ready.refusing,
            maintenance: numbers.conditions.maintenance.as_ref().map(MaintenanceView::of),
            soft_fail: numbers.conditions.soft_fail,
            certificates: certificates(&numbers.conditions, now),
            sessions_secured: numbers.conditions.secured,
            handshakes_failed: numbers.conditions.handshakes_failed,
            injected: numbers.conditions.injected,
            pressure: resources(&numbers.conditions),
            sessions_limit: numbers.conditions.sessions_limit,
            connections_limit: numbers.conditions.connections_limit,
            refused_by_limits: numbers.conditions.refused_by_limits,
            logins: numbers.conditions.logins,
            failed_logins: numbers.conditions.failed_logins,
            refused_logins: numbers.conditions.refused_logins,
            signed: numbers.conditions.signed,
            unsigned: numbers.conditions.unsigned,
            strangers: StrangersView::of(numbers.conditions.strangers),
            last_minute: TrafficView::of(numbers.minute),
            by_status: SpreadView::of(numbers.spread),
            worst: numbers.worst.as_ref().map(DestinationObject::of),
            decisions_stopped: numbers.decisions_stopped,
            holds_broken: numbers.holds_broken,
            resolvers: numbers.resolvers.iter().map(ServerObject::of).collect(),
            process: numbers.rights.as_ref().map(ProcessView::of),
        }
    }
}

fn named<const N: usize>(
    names: [&'static str; N],
    counts: [u64; N],
) -> BTreeMap<&'static str, u64> {
    names.into_iter().zip(counts).collect()
}

fn certificates(conditions: &Conditions, now: Timestamp) -> Vec<ExpiringView> {
    let one = |certificate: &crate::desk::ExpiringCertificate| ExpiringView {
        file: certificate.file.clone(),
        names: certificate.names.clone(),
        not_after: When(certificate.not_after),
        expired: certificate.not_after < now,
    };
    conditions.certificates.iter().map(one).collect()
}

fn resources(conditions: &Conditions) -> Vec<ResourceView> {
    let one = |r: &crate::desk::ResourceStanding| ResourceView {
        resource: r.name,
        level: r.level.name(),
        text: r.text.clone(),
    };
    conditions.resources.iter().map(one).collect()
}

impl ProcessView {
    fn of(rights: &Rights) -> Self {
        let (files, calls) = (rights.files.word(), rights.calls.word());
        Self { user: rights.user.clone(), files, calls }
    }
}

impl MaintenanceView {
    /// From what the desk says.
    #[must_use]
    pub fn of(maintenance: &Maintenance) -> Self {
        let reason = maintenance.reason.clone();
        Self { since: When(maintenance.since), reason, hold: maintenance.hold }
    }
}

impl StrangersView {
    const fn of(strangers: Strangers) -> Self {
        let Strangers { made_room, refused_networks, tarpitted, refused_proxies } = strangers;
        Self { made_room, refused_networks, tarpitted, refused_proxies }
    }
}

impl TrafficView {
    const fn of(traffic: Traffic) -> Self {
        let Traffic { accepted, delivered, deferred, failed } = traffic;
        Self { accepted, delivered, deferred, failed }
    }
}

impl SpreadView {
    const fn of(spread: Spread) -> Self {
        let Spread { active, ready, retry, held, unreachable, no_route } = spread;
        Self { active, ready, retry, held, unreachable, no_route }
    }
}

impl StoreView {
    const fn of(health: &Health) -> Self {
        Self {
            accepting: health.accepting,
            read_only: health.read_only,
            live_octets: health.live_octets,
            disk_octets: health.disk_octets,
            free_octets: health.free_octets,
            commits: health.commits,
            quarantined: health.quarantined,
        }
    }
}
