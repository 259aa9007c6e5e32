//! What the operators' interface needs of a running daemon: one trait of plain data.
//!
//! The daemon implements it over scheduler, spool, route table and resolver; tests implement it with a list. Not here:
//! how anything is shown (`view`), filters, pages and limits (`http`).

pub use crate::conditions::{
    Conditions, ExpiringCertificate, Maintenance, PressureLevel, ResourceStanding, Spread,
    Strangers, Traffic,
};
use crate::keeper::Keeper;
use crate::resolving::{Resolving, ServerStanding};
use bytes::Bytes;
use posthaste_evidence::{Fault, NoticeKind, Observation, TlsDemand, Withheld};
use posthaste_io::Task;
use posthaste_mail::Recipient;
use posthaste_mail::envelope::Ret;
use posthaste_mail::{Envelope, Mailbox, Mechanism, QueueId, ReversePath, Timestamp};
use posthaste_message::dsn::Composed;
use posthaste_queue::RecipientState;
use posthaste_queue::scheduler::{DestinationView, Waiting};
use posthaste_spool::decision::{Command, DecisionView, HoldView, OrderFault};
use posthaste_spool::{Health, History, SpilledBody, Stored};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The running daemon, as the operators' interface sees it.
///
/// Every listing is a slice in order of key: at most `limit` entries after the key given, in about a millisecond of
/// work; who wants more asks again with the last key.
pub trait Desk: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// Whether all listeners are bound and recovery is done.
    fn readiness(&self) -> Readiness;

    /// What is going on, in numbers.
    fn numbers(&self) -> Task<'_, Numbers>;

    /// Destinations in order of (name, route), after the one given.
    fn destinations(
        &self,
        after: Option<(String, String)>,
        limit: usize,
    ) -> Task<'_, Vec<Destination>>;

    /// Live messages in order of id, after the one given ([`QueueId::MIN`] for the first).
    fn messages(&self, after: QueueId, limit: usize) -> Task<'_, Result<Vec<Message>, DeskFault>>;

    /// One live message and what is remembered of its attempts; `None` when it is not (or no longer) here.
    fn message(&self, id: QueueId) -> Task<'_, Result<Option<(Message, History)>, DeskFault>>;

    /// Takes a command on the queue: durable when it answers; a large one goes on by itself. Named messages that are
    /// not here are answered beside it.
    fn order(&self, command: Command)
    -> Task<'_, Result<(DecisionView, Vec<QueueId>), OrderFault>>;

    /// Waits until a decision is over, at most so long; how it stands then. `None`: there is none of that number.
    fn finished(&self, number: u64, limit: Duration) -> Task<'_, Option<DecisionView>>;

    /// Decisions under way, and the last ones that are over.
    fn decisions(&self) -> Vec<DecisionView>;

    /// Calls a decision off; `None` when there is none of that number under way.
    fn cancel(&self, number: u64) -> Task<'_, Option<DecisionView>>;

    /// Holds of mail that is still to come.
    fn holds(&self) -> Vec<HoldView>;

    /// A live message with its content, to export.
    fn content(&self, id: QueueId) -> Task<'_, Result<Option<Stored>, DeskFault>>;

    /// Part of a content that is kept in a file of its own.
    fn content_part(
        &self,
        body: &SpilledBody,
        offset: u64,
        length: usize,
    ) -> Task<'_, Result<Bytes, DeskFault>>;

    /// Accepts a message that was exported, with its envelope. The id is answered once it is durable.
    fn import(
        &self,
        submission: Submission,
        replayed: Replayed,
    ) -> Task<'_, Result<QueueId, SubmitFault>>;

    /// Accepts a message from this machine. The id is answered once the message is durable.
    fn submit(&self, submission: Submission) -> Task<'_, Result<QueueId, SubmitFault>>;

    /// How such mail would be sent now. Asks DNS; sends nothing.
    fn route(&self, question: RouteQuestion) -> Task<'_, RouteAnswer>;

    /// The notice that the sender of a live message would get now, in this language or else the one the message asks
    /// for. Sends nothing. `None`: the message is not here.
    fn preview(
        &self,
        id: QueueId,
        kind: NoticeKind,
        language: Option<&str>,
    ) -> Task<'_, Result<Option<Composed>, PreviewFault>>;

    /// The names by which mail comes in: the listeners', and our own doors'.
    fn listeners(&self) -> Vec<String>;

    /// The largest message that may be handed in, octets.
    fn message_size(&self) -> usize;

    /// Rereads the settings. Sessions and attempts under way keep theirs.
    fn reload(&self) -> Task<'_, Result<Reloaded, ReloadFault>>;

    /// The spool itself, where the daemon has one of its own.
    fn keeper(&self) -> Option<&dyn Keeper> {
        None
    }

    /// DNS, where the daemon asks it.
    fn dns(&self) -> Option<&dyn Resolving> {
        None
    }

    /// Begins maintenance, or ends it with `None`; durable, so that it holds after a restart. Answers what holds now.
    fn set_maintenance(
        &self,
        wanted: Option<MaintenanceWish>,
    ) -> Task<'_, Result<Option<Maintenance>, MaintenanceFault>>;

    /// Begins to stop: no new mail, no new attempts; the process ends once all under way is settled.
    fn stop(&self);
}

/// How far the start has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Readiness {
    /// All listeners are bound.
    pub listening: bool,
    /// The spool has been read and deliveries have started.
    pub recovered: bool,
    /// The daemon is stopping.
    pub stopping: bool,
    /// Why no mail is accepted: `maintenance`, `read-only`, or the scarce resource; `None` when it is.
    pub refusing: Option<&'static str>,
}

impl Readiness {
    /// All listeners are bound and mail is delivered; whether it is accepted too, [`Self::refusing`] tells.
    #[must_use]
    pub const fn is_ready(self) -> bool {
        self.listening && self.recovered && !self.stopping
    }
}

/// What is going on, in numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Numbers {
    /// When the process started.
    pub started: Timestamp,
    /// What we call ourselves.
    pub hostname: String,
    /// Messages in the queue.
    pub messages: u64,
    /// Live recipients.
    pub recipients: u64,
    /// Of them held or parked.
    pub held: u64,
    /// Of them in an attempt right now.
    pub in_flight: u64,
    /// Destinations with mail.
    pub destinations: u64,
    /// Of them down: waiting for a trial.
    pub destinations_down: u64,
    /// The acceptance of the oldest live message.
    pub oldest: Option<Timestamp>,
    /// Outgoing connections.
    pub connections: u64,
    /// Incoming sessions.
    pub sessions: u64,
    /// Messages accepted since the start.
    pub accepted: u64,
    /// Recipients delivered since the start.
    pub delivered: u64,
    /// Deferrals of recipients since the start.
    pub deferred: u64,
    /// Recipients failed or expired since the start.
    pub failed: u64,
    /// Messages that came into the queue in the last minute.
    pub came_last_minute: u64,
    /// Messages that left it in the last minute.
    pub left_last_minute: u64,
    /// Events that did not fit the event log's buffer.
    pub events_dropped: u64,
    /// Sessions that did not fit the session log's buffer.
    pub sessions_dropped: u64,
    /// DNS questions that did not fit the DNS log's buffer.
    pub dns_dropped: u64,
    /// The store.
    pub store: Health,
    /// Files that wait in the pickup folder.
    pub pickup_waiting: u64,
    /// Files there that cannot be sent.
    pub pickup_bad: u64,
    /// Files there that cannot be taken up, read or moved, and stay as they are.
    pub pickup_stuck: u64,
    /// Smarthosts that do not let us in: mail waits for a password to be corrected.
    pub smarthosts_closed: u64,
    /// Where that folder is; `None` when there is none.
    pub pickup: Option<String>,
    /// Notices made since the start, of each kind in the order of [`NoticeKind::ALL`].
    pub notices: [u64; NoticeKind::ALL.len()],
    /// Recipients of whom nobody was told, by reason in the order of [`Withheld::ALL`].
    pub withheld: [u64; Withheld::ALL.len()],
    /// What holds us back.
    pub conditions: Conditions,
    /// The last minute.
    pub minute: Traffic,
    /// Destinations by how they are.
    pub spread: Spread,
    /// The destination where most recipients wait after a failure.
    pub worst: Option<Destination>,
    /// Decisions that cannot be carried out.
    pub decisions_stopped: u64,
    /// Holds whose filter cannot be read: they hold nothing.
    pub holds_broken: u64,
    /// DNS servers.
    pub resolvers: Vec<ServerStanding>,
    /// What the process may do, where that is known.
    pub rights: Option<Rights>,
}

/// What the process may do on its machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rights {
    /// The user it runs as.
    pub user: String,
    /// Whether the kernel keeps it to its own folders.
    pub files: Kept,
    /// Whether the kernel refuses the system calls it never makes.
    pub calls: Kept,
}

/// How far the kernel keeps the process to what it needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// As far as we ask for.
    Confined,
    /// As far as this kernel can, which is less.
    Partly,
    /// Not at all: it is off, or the kernel cannot.
    Open,
}

impl Kept {
    /// The word of the interface.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Confined => "confined",
            Self::Partly => "partly",
            Self::Open => "open",
        }
    }
}

/// A destination and what last went wrong there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    /// As the scheduler sees it.
    pub view: DestinationView,
    /// What last went wrong with it, while it is down.
    pub last_error: Option<LastError>,
}

/// A live message.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    /// Its envelope.
    pub envelope: Arc<Envelope>,
    /// Its recipients, in the envelope's order, ended ones included.
    pub recipients: Vec<Standing>,
}

/// How one recipient stands.
#[derive(Clone, PartialEq, Debug)]
pub struct Standing {
    /// Its state.
    pub state: RecipientState,
    /// Attempts that were its destination's and concern it too: failed trials since the message came, as far as
    /// they are remembered. [`RecipientState::attempts`] does not count them.
    pub shared_attempts: u32,
    /// Where it goes next: name and route; `None` when no route matches or it has ended.
    pub destination: Option<(String, String)>,
    /// Why it is not done yet; `None` when it has ended.
    pub waiting: Option<Waiting>,
    /// When its time is over.
    pub expires: Timestamp,
    /// When its sender is told next that it is delayed, if it still is; `None`: not (again).
    pub next_notice: Option<Timestamp>,
    /// What last went wrong.
    pub last_error: Option<LastError>,
}

/// What last went wrong, and with whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastError {
    /// When.
    pub at: Timestamp,
    /// What.
    pub fault: Fault,
    /// The host's name, when one was chosen.
    pub host: Option<String>,
    /// Its endpoint.
    pub peer: Option<SocketAddr>,
    /// It would have failed for good, and `soft_fail` defers it.
    pub soft_fail: bool,
}

/// A message from this machine.
#[derive(Clone, PartialEq, Debug)]
pub struct Submission {
    /// Where notices go.
    pub from: ReversePath,
    /// At least one.
    pub to: Vec<Mailbox>,
    /// Header and body, lines as they came: CRLF or LF.
    pub content: bytes::Bytes,
    /// Who asks, as the kernel says: `uid 1000`.
    pub user: Option<String>,
}

/// What mail is asked about: what rules can look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteQuestion {
    /// Whom to.
    pub to: Mailbox,
    /// Whom from.
    pub from: ReversePath,
    /// The listener it comes in by.
    pub listener: Option<String>,
    /// The user who hands it in.
    pub user: Option<String>,
    /// Its octets.
    pub size: u64,
}

/// What an exported message's envelope says besides the sender.
#[derive(Clone, PartialEq, Debug)]
pub struct Replayed {
    /// At least one.
    pub recipients: Vec<Recipient>,
    /// RFC 3461 section 4.3.
    pub ret: Option<Ret>,
    /// RFC 3461 section 4.4, decoded.
    pub envid: Option<String>,
}

/// How mail would be sent.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RouteAnswer {
    /// The first route that matches; `None` when none does.
    pub route: Option<String>,
    /// How it sends: `mx`, or its next hops, with `lmtp:` in front where LMTP is spoken to them; else what it does, as the settings name it.
    pub via: String,
    /// What becomes of such mail.
    pub does: RouteDoes,
    /// What holds for it besides.
    pub limits: RouteLimits,
    /// The destination it belongs to.
    pub destination: Option<String>,
    /// Where a connection would be tried, in order.
    pub hops: Vec<RouteHop>,
    /// How it logs in at its next hops; `None` where it does not.
    pub login: Option<RouteLogin>,
    /// Why there is no hop.
    pub fault: Option<Fault>,
    /// What was seen while asking: DNS answers and choices.
    pub observations: Vec<Observation>,
    /// How the destination stands now: why not now.
    pub standing: Option<Destination>,
    /// The most connections the destination may have now, if it is known.
    pub concurrency: Option<u32>,
    /// How long delivery is tried.
    pub expire_after: Duration,
    /// What would become of the recipient when it is given to us.
    pub acceptance: Acceptance,
}

/// What becomes of mail by its route.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RouteDoes {
    /// It is sent.
    #[default]
    Sends,
    /// It is removed, and nobody is told.
    Discards,
    /// It fails, and its sender is told.
    Fails,
    /// It waits until the rules change.
    Holds,
    /// No route matches: it waits until one does.
    Waits,
}

/// What a route has of its own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RouteLimits {
    /// Connections over all its destinations.
    pub connections: Option<u32>,
    /// Messages begun a minute.
    pub messages_per_minute: Option<u32>,
    /// The largest message, octets.
    pub message_size: Option<u64>,
    /// Our addresses to connect from; empty: the system chooses.
    pub sources: Vec<IpAddr>,
    /// What we say in EHLO; `None`: our host name.
    pub ehlo: Option<String>,
    /// DNS servers; empty: the common ones.
    pub resolvers: Vec<SocketAddr>,
}

/// What would become of a recipient.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Acceptance {
    /// The word of the outside interface for it: `elsewhere`, `any`, `list`, `alias`, `postmaster`, `verify`, `refused`.
    pub by: &'static str,
    /// For whom it is taken, when it is an alias.
    pub becomes: Vec<String>,
    /// The reply that refuses it or puts it off.
    pub reply: Option<String>,
    /// Its next hop takes recipients that cannot exist, too.
    pub takes_everybody: bool,
}

/// A place to connect to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteHop {
    /// The host's name.
    pub host: String,
    /// The preference of its MX record.
    pub preference: Option<u16>,
    /// Its endpoint.
    pub address: SocketAddr,
    /// What it must meet.
    pub tls: RouteTls,
}

/// What is demanded of TLS with a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteTls {
    /// How much, and who says so.
    pub demand: TlsDemand,
    /// TLS begins with the first octet.
    pub implicit: bool,
    /// The name that the host is told in the handshake.
    pub server_name: String,
    /// Who must vouch for it; below [`posthaste_evidence::TlsLevel::Verify`] it is only seen whether they do.
    pub vouchers: RouteVouchers,
}

/// Who vouches for a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouteVouchers {
    /// The authorities that this machine trusts, for one of these names: `*.` in front stands for any below.
    System(Vec<String>),
    /// The authorities of `tls_roots`, for one of these names.
    Given(Vec<String>),
    /// Nobody but these keys: SHA-256 of the SPKI.
    Keys(Arc<[[u8; 32]]>),
}

/// How a route logs in. Never the secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteLogin {
    /// As the next hop knows us.
    pub user: String,
    /// Of these the best that the host offers.
    pub mechanisms: Vec<Mechanism>,
}

/// What a reload came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reloaded {
    /// Settings that changed in the file but hold only after a restart.
    pub after_restart: Vec<String>,
    /// Recipients that waited on settings that have changed, and are due now.
    pub due_now: u64,
}

/// The daemon could not answer; the operator must look at its log.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the store could not be read: {0}")]
pub struct DeskFault(pub String);

/// There is no notice to show.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PreviewFault {
    /// Nobody would be told; whoever asks must ask for another kind.
    #[error("{0}")]
    NoNotice(String),
    /// There are no texts in this language.
    #[error("there are no texts in `{asked}`; there are: {}", there.join(", "))]
    NoSuchLanguage {
        /// The one asked for.
        asked: String,
        /// Those there are.
        there: Vec<String>,
    },
    /// The message could not be read.
    #[error(transparent)]
    Desk(#[from] DeskFault),
}

/// A message from this machine was not accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SubmitFault {
    /// The store is full, closing or not healthy; try again later.
    #[error("not accepted now: {0}")]
    Later(String),
    /// The message itself is at fault.
    #[error("not accepted: {0}")]
    Never(String),
}

/// What an operator wants of maintenance.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MaintenanceWish {
    /// Why, for colleagues.
    pub reason: Option<String>,
    /// Deliver nothing either.
    pub hold: bool,
}

/// Maintenance could not be noted for the next start, and nothing has changed. The operator must look at the folder.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("maintenance cannot be noted in the data folder: {0}")]
pub struct MaintenanceFault(pub String);

/// The new settings were not taken; the old ones hold. The operator must correct the file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ReloadFault(pub String);
