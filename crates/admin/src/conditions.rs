//! What holds the daemon back, and how busy it is: scarce resources, maintenance, `soft_fail`, the last minute.
//!
//! Plain data between the daemon and the views. Not here: measuring and judging (the daemon), wording (`view`).

use posthaste_mail::Timestamp;

/// How scarce a resource is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum PressureLevel {
    /// There is enough.
    #[default]
    Fine,
    /// Mail is accepted slowly, by fewer sessions.
    Slow,
    /// Mail is refused for now (`452 4.3.1`).
    Refuse,
}

impl PressureLevel {
    /// The name in the outside interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Slow => "slow",
            Self::Refuse => "refuse",
        }
    }
}

/// How one resource stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResourceStanding {
    /// `disk`, `memory`, `files` or `queue`.
    pub name: &'static str,
    /// How scarce.
    pub level: PressureLevel,
    /// The measure in words.
    pub text: String,
}

/// Closed for maintenance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Maintenance {
    /// Since when.
    pub since: Timestamp,
    /// What the operator said.
    pub reason: Option<String>,
    /// Nothing is delivered either.
    pub hold: bool,
}

/// A certificate of ours that has expired or soon will.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpiringCertificate {
    /// Its file.
    pub file: String,
    /// What it is for.
    pub names: Vec<String>,
    /// Its end.
    pub not_after: Timestamp,
}

/// What holds the daemon back.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Conditions {
    /// The four resources.
    pub resources: Vec<ResourceStanding>,
    /// Our certificates that have expired or soon will.
    pub certificates: Vec<ExpiringCertificate>,
    /// Sessions under TLS since the start, of clients.
    pub secured: u64,
    /// TLS handshakes of clients that failed since the start.
    pub handshakes_failed: u64,
    /// Sessions since the start with something in clear behind STARTTLS, which was dropped.
    pub injected: u64,
    /// Closed for maintenance.
    pub maintenance: Option<Maintenance>,
    /// Nothing fails for good.
    pub soft_fail: bool,
    /// Sessions there may be.
    pub sessions_limit: u64,
    /// Outgoing connections there may be.
    pub connections_limit: u64,
    /// Sessions, connections, messages and recipients refused by limits since the start.
    pub refused_by_limits: u64,
    /// Logins since the start, those that failed, and those that were not tried.
    pub logins: u64,
    /// See above.
    pub failed_logins: u64,
    /// See above.
    pub refused_logins: u64,
    /// Messages signed with DKIM since the start, and those that a key is there for and that no signature would hold on.
    pub signed: u64,
    /// See above.
    pub unsigned: u64,
    /// What became of strangers.
    pub strangers: Strangers,
}

/// What became of strangers since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Strangers {
    /// Sessions that made room for others.
    pub made_room: u64,
    /// Sessions refused by `refuse_networks`.
    pub refused_networks: u64,
    /// Refusals that waited.
    pub tarpitted: u64,
    /// Connections of proxies without a sound header.
    pub refused_proxies: u64,
}

/// What happened within a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Messages accepted.
    pub accepted: u64,
    /// Recipients delivered.
    pub delivered: u64,
    /// Deferrals of recipients.
    pub deferred: u64,
    /// Recipients failed or expired.
    pub failed: u64,
}

/// Destinations by how they are, and recipients that need a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spread {
    /// Destinations with connections.
    pub active: u64,
    /// With mail that is due.
    pub ready: u64,
    /// That wait for their time or trial.
    pub retry: u64,
    /// All of whose mail is held.
    pub held: u64,
    /// Recipients that no route matches.
    pub unreachable: u64,
    /// Destinations of such recipients.
    pub no_route: u64,
}
