//! What the operator sets: doors, networks and limits. Not here: own domains (`recipients`), the file they are written in.

use crate::network::Network;
use crate::rates::Rates;
use crate::recipients::VerifySettings;
use crate::users::UserRates;
use posthaste_evidence::Keep;
use posthaste_io::Clients;
use posthaste_mail::Mailbox;
use posthaste_message::dkim::{Keyring, Signing};
use posthaste_smtp::server::{BareNewline, Extensions};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The longest wait of a refusal, in units of [`Limits::tarpit_delay`].
pub const TARPIT_MOST: u32 = 10;

/// Settings of the reception. Sessions keep those they began with; a reload never changes one under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Our name: in the greeting, in trace fields, and what loops are told by.
    pub hostname: String,
    /// The domain that bare names get in mail handed in on this machine; the hostname by default.
    pub origin: String,
    /// The doors.
    pub listeners: Vec<Listener>,
    /// Whose clients may send to anywhere. Loopback only by default: the relay is closed to strangers.
    pub relay_networks: Vec<Network>,
    /// Whose clients get no service: `554 5.7.1` instead of a greeting.
    pub refuse_networks: Vec<Network>,
    /// Limits of asking next hops for recipients.
    pub verify: VerifySettings,
    /// Extensions announced and honoured.
    pub extensions: Extensions,
    /// Limits.
    pub limits: Limits,
    /// Which sessions go to the session log.
    pub sessions: Keep,
    /// Our own permanent refusals of recipients become temporary ones, for the first days of a server (Postfix:
    /// `soft_bounce`). Nothing is accepted that would not be accepted otherwise.
    pub soft_fail: bool,
    /// Whose mail is signed (DKIM).
    pub dkim: Arc<Keyring>,
}

/// A door: where mail is accepted, and from whom (Exchange: receive connector).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// Its name in logs and in the source of messages; unique.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whom it serves.
    pub kind: ListenerKind,
    /// What happens to bare CR and LF; `None`: normalize for relay networks and users, reject for strangers.
    pub bare_newline: Option<BareNewline>,
    /// AUTH is offered, under TLS only (RFC 4954). Always so where [`ListenerKind::Submission`].
    pub auth: bool,
    /// A user's message must be from one of the user's own senders, in `From:` too (RFC 6409 section 8).
    pub check_from: bool,
    /// Clients who need no AUTH at a door for submission; nobody by default, loopback neither.
    pub without_auth: Vec<Network>,
    /// Balancers: connections from there must begin with a PROXY header (version 2), and count as those of the client
    /// that it tells.
    pub proxy_from: Vec<Network>,
    /// When sessions are secured.
    pub tls: ListenerTls,
    /// Whether clients are asked for a certificate.
    pub clients: Clients,
    /// Which of them may send to anywhere: the names of certificates that are believed, or keys.
    pub relay_certificates: Vec<Certified>,
}

/// When a door's sessions are secured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ListenerTls {
    /// Never.
    Off,
    /// When the client says STARTTLS (RFC 3207).
    #[default]
    StartTls,
    /// Before the greeting (RFC 8314 section 3).
    Implicit,
}

/// By what a client's certificate is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Certified {
    /// A name in it, or the common name of its subject; without regard to case. It must be believed.
    Name(String),
    /// SHA-256 of its key (SPKI), whoever vouches for it.
    Key([u8; 32]),
}

/// Whom a door serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ListenerKind {
    /// Clients in relay networks may send to anywhere, strangers to our own domains.
    #[default]
    Relay,
    /// Everybody is a stranger here, even with an address in a relay network: for doors behind a proxy or NAT.
    Inbound,
    /// Users, who log in before they send, and may then send to anywhere (RFC 6409). Nobody else sends, from a relay
    /// network neither, but for [`Listener::without_auth`].
    Submission,
}

/// Limits. Every one of them has a reply of its own, or closes the session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Sessions at the same time; a tenth of them is for relay networks and users. Over it the stranger who has come
    /// least far makes room for a new client, or this one gets `421 4.3.2`. Programs on this machine have an eighth of it beside these.
    pub sessions: usize,
    /// Sessions of one stranger's address (IPv6: of its /64) at the same time; over it `421 4.7.0`.
    pub sessions_per_client: usize,
    /// Sessions of one address in a relay network at the same time; over it `421 4.7.0`.
    pub sessions_per_relay_client: usize,
    /// Sessions of one network of strangers (IPv4 /24, IPv6 /48) at the same time; over it `421 4.7.0`.
    pub sessions_per_network: usize,
    /// What a stranger may do in a minute.
    pub rates: Rates,
    /// What a client in a relay network may do in a minute.
    pub relay_rates: Rates,
    /// How much a user may do, unless the user has limits of its own.
    pub user_rates: UserRates,
    /// Sessions of one user at the same time; over it `421 4.7.0`.
    pub sessions_per_user: usize,
    /// Failed logins of a session; the last is answered `421 4.7.0`.
    pub failed_logins: u32,
    /// Failed logins of one address (IPv6: of its /64) in a minute; beyond it nothing is checked, `421 4.7.0`. 0: any number.
    pub failed_logins_per_minute: u32,
    /// Octets of a message; over it `552 5.3.4`.
    pub message_size: u64,
    /// Recipients of a transaction; over it `452 4.5.3`.
    pub recipients: u32,
    /// Commands of a session; over it `421 4.7.0`.
    pub commands: u32,
    /// Refused commands since the last accepted message; over it `421 4.7.0`.
    pub errors: u32,
    /// From this refused command of a stranger on, counted as for [`Self::errors`], refusals wait; 0: never.
    pub tarpit_after: u32,
    /// How long the first of them waits; each further one as much longer, at most [`TARPIT_MOST`] times as long.
    pub tarpit_delay: Duration,
    /// How long a client may take for a command, or to take our reply (RFC 5321 section 4.5.3.2.7).
    pub command_timeout: Duration,
    /// How long a client may pause within a message (RFC 5321 section 4.5.3.2.5).
    pub data_timeout: Duration,
    /// How long a TLS handshake may take; then the connection is closed.
    pub handshake_timeout: Duration,
    /// How long a message may take in all.
    pub message_timeout: Duration,
    /// Octets a second that content must come at, on average over each [`Self::data_timeout`]; 0: any. Below it
    /// `421 4.4.2`.
    pub min_rate: u32,
    /// How long a session may take in all; a message under way then may still be finished. After it `421 4.4.2`.
    pub session_time: Duration,
    /// How long MAIL waits for its answer while a resource is scarce ([`Pressure::Slow`](crate::Pressure::Slow)).
    pub slow_delay: Duration,
    /// How long the store may take before the client is told to come back. Below the 10 minutes for which
    /// clients wait (RFC 5321 section 4.5.3.2.6).
    pub store_timeout: Duration,
    /// Octets of bodies in memory, of all sessions together; what goes beyond is written to files.
    pub receive_budget: usize,
    /// `Received:` fields of a message before ours; over it `554 5.4.6`.
    pub hops: u32,
    /// `Received:` fields with our own name before ours; over it `554 5.4.6`.
    pub own_hops: u32,
}

impl Settings {
    /// The defaults of a relay with this name and no listener.
    #[must_use]
    pub fn new(hostname: impl Into<String>) -> Self {
        let hostname = hostname.into();
        Self {
            origin: hostname.clone(),
            hostname,
            listeners: Vec::new(),
            relay_networks: Network::LOOPBACK.to_vec(),
            refuse_networks: Vec::new(),
            verify: VerifySettings::default(),
            extensions: Extensions::default(),
            limits: Limits::default(),
            sessions: Keep::default(),
            soft_fail: false,
            dkim: Arc::default(),
        }
    }
}

impl Settings {
    /// Who sees a message go by and signs it; `None` when nobody could. `stranger`: it comes from none of ours.
    pub(crate) fn signing(&self, author: Option<&Mailbox>, stranger: bool) -> Option<Signing> {
        let nobody = self.dkim.is_empty() || (stranger && !self.dkim.signs_strangers());
        let sender = || author.map(Mailbox::domain_key);
        (!nobody).then(|| Signing::new(Arc::clone(&self.dkim), sender(), stranger))
    }
}

impl Listener {
    /// A door for relay networks and strangers.
    #[must_use]
    pub fn new(name: impl Into<String>, address: SocketAddr) -> Self {
        Self {
            name: name.into(),
            address,
            kind: ListenerKind::Relay,
            bare_newline: None,
            auth: false,
            check_from: true,
            without_auth: Vec::new(),
            proxy_from: Vec::new(),
            tls: ListenerTls::default(),
            clients: Clients::default(),
            relay_certificates: Vec::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 1000,
            sessions_per_client: 20,
            sessions_per_relay_client: 1000,
            sessions_per_network: 100,
            rates: Rates { connections: 300, messages: 1000, recipients: 10_000 },
            relay_rates: Rates::default(),
            user_rates: UserRates::default(),
            sessions_per_user: 20,
            failed_logins: 5,
            failed_logins_per_minute: 10,
            message_size: 36 * 1024 * 1024,
            recipients: 1000,
            commands: 100_000,
            errors: 20,
            tarpit_after: 5,
            tarpit_delay: Duration::from_secs(1),
            command_timeout: Duration::from_secs(300),
            data_timeout: Duration::from_secs(180),
            handshake_timeout: Duration::from_secs(30),
            message_timeout: Duration::from_secs(3600),
            min_rate: 50,
            session_time: Duration::from_secs(4 * 3600),
            slow_delay: Duration::from_secs(1),
            store_timeout: Duration::from_secs(300),
            receive_budget: 64 * 1024 * 1024,
            hops: posthaste_message::trace::HOP_LIMIT,
            own_hops: posthaste_message::trace::OWN_LIMIT,
        }
    }
}
