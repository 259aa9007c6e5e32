//! **route**: how mail to an address would be sent now, and why not now.

use super::{DestinationObject, ObservationView, VERSION};
use crate::desk::{
    RouteAnswer, RouteDoes, RouteHop, RouteLimits, RouteLogin, RouteTls, RouteVouchers,
};
use crate::text;
use posthaste_evidence::TlsLevel;
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};

/// How mail would be sent.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RouteObject {
    /// Always 1.
    pub v: u32,
    /// The address asked about.
    pub address: String,
    /// The route's name; `null` when none matches.
    pub route: Option<String>,
    /// `mx`, or the fixed next hops; `discard`, `fail`, `hold`; `none` when no route matches.
    pub via: String,
    /// What becomes of such mail: `send`, `discard`, `fail`, or `hold`.
    pub action: &'static str,
    /// What the route has of its own.
    pub limits: LimitsView,
    /// The destination it belongs to.
    pub destination: Option<String>,
    /// Where a connection would be tried, in order.
    pub hops: Vec<HopView>,
    /// Why there is no hop, in words.
    pub reason: Option<String>,
    /// The enhanced status a notice would give for it.
    pub enhanced: Option<String>,
    /// How the destination stands now; `null` when nothing is queued for it.
    pub standing: Option<DestinationObject>,
    /// The most connections it may have now.
    pub concurrency: Option<u32>,
    /// Seconds.
    pub expire_after: u64,
    /// What was seen while asking.
    pub observations: Vec<ObservationView>,
    /// What would become of the recipient when it is given to us.
    pub recipient: AcceptanceView,
    /// How it logs in at its next hops; `null` where it does not.
    pub auth: Option<AuthView>,
}

/// How a route logs in: never the secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AuthView {
    /// As the next hop knows us.
    pub user: String,
    /// Of these the best that the host offers: `SCRAM-SHA-256`, `PLAIN`, `LOGIN`, `XOAUTH2`.
    pub mechanisms: Vec<&'static str>,
}

/// What a route has of its own; `null` and empty where the common settings hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LimitsView {
    /// Connections over all its destinations.
    pub connections: Option<u32>,
    /// Messages begun a minute.
    pub messages_per_minute: Option<u32>,
    /// The largest message, octets.
    pub message_size: Option<u64>,
    /// Our addresses to connect from.
    pub source: Vec<IpAddr>,
    /// What we say in EHLO.
    pub ehlo: Option<String>,
    /// DNS servers.
    pub resolvers: Vec<SocketAddr>,
}

/// What would become of a recipient.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AcceptanceView {
    /// `elsewhere` (none of ours: clients who may relay send to it), `any`, `list`, `alias`, `postmaster`, `verify`, or
    /// `refused`.
    pub by: &'static str,
    /// For whom it is taken, when it is an alias.
    pub becomes: Vec<String>,
    /// The reply that refuses it or puts it off.
    pub reply: Option<String>,
    /// Its next hop takes recipients that cannot exist, too: verifying says nothing there.
    pub takes_everybody: bool,
}

/// A place to connect to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HopView {
    /// The host's name.
    pub host: String,
    /// The preference of its MX record.
    pub preference: Option<u16>,
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// What it must meet.
    pub tls: DemandView,
}

/// What is demanded of TLS with a host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DemandView {
    /// `none`, `opportunistic`, `require`, `verify`, or `pinned`.
    pub level: &'static str,
    /// Who says so: `route`, `mta-sts`, or `dane`.
    pub by: &'static str,
    /// TLS begins with the first octet.
    pub implicit: bool,
    /// The name that the host is told in the handshake; `null` without TLS.
    pub server_name: Option<String>,
    /// The certificate must be for one of them; below `verify` it is only seen whether it is.
    pub names: Vec<String>,
    /// Whose authorities vouch: `system`, or `given` for those of `tls_roots`; `null` where none is asked.
    pub roots: Option<&'static str>,
    /// SHA-256 of public keys (SPKI) in base64: as `tls_pins` has them.
    pub pins: Vec<String>,
}

impl RouteObject {
    /// From what the desk says.
    #[must_use]
    pub fn of(address: &str, answer: &RouteAnswer) -> Self {
        Self {
            v: VERSION,
            address: address.to_owned(),
            route: answer.route.clone(),
            via: answer.via.clone(),
            action: match answer.does {
                RouteDoes::Sends => "send",
                RouteDoes::Discards => "discard",
                RouteDoes::Fails => "fail",
                RouteDoes::Holds | RouteDoes::Waits => "hold",
            },
            limits: LimitsView::of(&answer.limits),
            destination: answer.destination.clone(),
            hops: answer.hops.iter().map(HopView::of).collect(),
            reason: answer.fault.as_ref().map(text::fault),
            enhanced: answer.fault.as_ref().map(|fault| fault.status().to_string()),
            standing: answer.standing.as_ref().map(DestinationObject::of),
            concurrency: answer.concurrency,
            expire_after: answer.expire_after.as_secs(),
            observations: ObservationView::all(&answer.observations, "o", &[], None),
            recipient: AcceptanceView {
                by: answer.acceptance.by,
                becomes: answer.acceptance.becomes.clone(),
                reply: answer.acceptance.reply.clone(),
                takes_everybody: answer.acceptance.takes_everybody,
            },
            auth: answer.login.as_ref().map(AuthView::of),
        }
    }
}

impl LimitsView {
    fn of(limits: &RouteLimits) -> Self {
        Self {
            connections: limits.connections,
            messages_per_minute: limits.messages_per_minute,
            message_size: limits.message_size,
            source: limits.sources.clone(),
            ehlo: limits.ehlo.clone(),
            resolvers: limits.resolvers.clone(),
        }
    }
}

impl HopView {
    fn of(hop: &RouteHop) -> Self {
        Self {
            host: hop.host.clone(),
            preference: hop.preference,
            ip: hop.address.ip(),
            port: hop.address.port(),
            tls: DemandView::of(&hop.tls),
        }
    }
}

impl DemandView {
    fn of(tls: &RouteTls) -> Self {
        let level = tls.demand.level;
        let (level_name, by) = (level.name(), tls.demand.origin.name());
        let bare = Self {
            level: level_name,
            by,
            implicit: tls.implicit,
            server_name: None,
            names: Vec::new(),
            roots: None,
            pins: Vec::new(),
        };
        if level == TlsLevel::None {
            return bare;
        }
        let server_name = Some(tls.server_name.clone());
        match &tls.vouchers {
            RouteVouchers::System(names) => {
                Self { server_name, names: names.clone(), roots: Some("system"), ..bare }
            }
            RouteVouchers::Given(names) => {
                Self { server_name, names: names.clone(), roots: Some("given"), ..bare }
            }
            RouteVouchers::Keys(keys) => {
                Self { server_name, pins: keys.iter().map(text::pin).collect(), ..bare }
            }
        }
    }
}

impl AuthView {
    fn of(login: &RouteLogin) -> Self {
        let mechanisms = login.mechanisms.iter().map(|mechanism| mechanism.name());
        Self { user: login.user.clone(), mechanisms: mechanisms.collect() }
    }
}
