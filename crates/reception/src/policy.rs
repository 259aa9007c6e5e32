//! Who may relay, and how refusals are worded. Pure; not here: our own recipients (`recipients`), protocol faults, which
//! `smtp` words itself.

use crate::network::Network;
use crate::places::Closing;
use crate::pressure::Resource;
use crate::rates::Rates;
use crate::recipients::Troubled;
use crate::settings::{Listener, ListenerKind, ListenerTls, Settings, TARPIT_MOST};
use posthaste_evidence::Fault;
use posthaste_mail::{EnhancedStatus, Reply, SourceKind};
use posthaste_smtp::sasl::Mechanism;
use posthaste_smtp::server::{self, BareNewline, Extensions};
use posthaste_spool::Refused;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The listener of messages handed in on this machine, in their source.
const LOCAL: &str = "local";
/// Programs on this machine have no limits a minute.
const UNLIMITED: Rates = Rates { connections: 0, messages: 0, recipients: 0 };
/// What is offered to users, the best first: a client that can do SCRAM insists on it, so it is left out as long as nobody
/// has keys for it.
const MECHANISMS: [Mechanism; 3] = [Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login];
/// The code of a refusal that `soft_fail` made temporary.
const SOFT_REFUSAL: u16 = 450;

/// Settings made ready for sessions, once per load.
pub(crate) struct Policy {
    pub(crate) settings: Settings,
    doors: Vec<Arc<Door>>,
    /// The door for programs on this machine.
    local: Arc<Door>,
}

/// A listener made ready.
pub(crate) struct Door {
    pub(crate) listener: Listener,
    with_scram: Sessions,
    without_scram: Sessions,
}

/// Settings of sessions.
struct Sessions {
    relay: Arc<server::Settings>,
    stranger: Arc<server::Settings>,
    /// For programs on this machine, which may leave the domain away.
    local: Arc<server::Settings>,
}

/// How far a client is trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trust {
    /// It may send to anywhere.
    Relay,
    /// It may send to our own domains.
    Stranger,
    /// It has logged in: it may send to anywhere, from its own addresses, within its limits.
    User,
    /// A program on this machine, over a unix socket: it may send to anywhere, and its messages are made whole.
    Local,
}

impl Policy {
    pub(crate) fn new(settings: Settings) -> Self {
        let doors = settings.listeners.iter().map(|l| Arc::new(Door::new(l, &settings))).collect();
        let local = Arc::new(Door::new(&local_listener(), &settings));
        Self { settings, doors, local }
    }

    pub(crate) fn door(&self, name: &str) -> Option<Arc<Door>> {
        self.doors.iter().find(|door| door.listener.name == name).cloned()
    }

    pub(crate) fn local_door(&self) -> Arc<Door> {
        Arc::clone(&self.local)
    }

    pub(crate) fn trust(&self, door: &Door, ip: IpAddr) -> Trust {
        let relays = |network: &Network| network.contains(ip);
        let trusted = match door.listener.kind {
            ListenerKind::Relay => &self.settings.relay_networks,
            ListenerKind::Submission => &door.listener.without_auth,
            ListenerKind::Inbound => return Trust::Stranger,
        };
        if trusted.iter().any(relays) { Trust::Relay } else { Trust::Stranger }
    }

    /// True when this client gets no service.
    pub(crate) fn refuses(&self, trust: Trust, ip: IpAddr) -> bool {
        let refused = || self.settings.refuse_networks.iter().any(|network| network.contains(ip));
        trust == Trust::Stranger && refused()
    }

    /// How long the reply to the last of so many refused commands waits.
    pub(crate) fn tarpit(&self, trust: Trust, errors: u32) -> Duration {
        let limits = &self.settings.limits;
        if trust != Trust::Stranger || limits.tarpit_after == 0 || errors < limits.tarpit_after {
            return Duration::ZERO;
        }
        limits.tarpit_delay * (errors - limits.tarpit_after + 1).min(TARPIT_MOST)
    }

    /// How much of everything this client may do in a minute.
    pub(crate) const fn rates(&self, trust: Trust) -> &Rates {
        match trust {
            Trust::Relay => &self.settings.limits.relay_rates,
            Trust::Stranger => &self.settings.limits.rates,
            // A user has limits of its own.
            Trust::Local | Trust::User => &UNLIMITED,
        }
    }

    /// A refusal of a recipient as it is said: with `soft_fail` none of them is permanent.
    pub(crate) fn recipient_refusal(&self, reply: Reply) -> Reply {
        if !self.settings.soft_fail || !reply.is_permanent() {
            return reply;
        }
        let enhanced = reply.enhanced.map(|e| EnhancedStatus::new(4, e.subject, e.detail));
        Reply { code: SOFT_REFUSAL, enhanced, ..reply }
    }
}

impl Door {
    fn new(listener: &Listener, settings: &Settings) -> Self {
        Self {
            listener: listener.clone(),
            with_scram: Sessions::new(listener, settings, &MECHANISMS),
            without_scram: Sessions::new(listener, settings, &MECHANISMS[1..]),
        }
    }

    /// `scram`: somebody has keys for it.
    pub(crate) fn session(&self, trust: Trust, scram: bool) -> Arc<server::Settings> {
        let sessions = if scram { &self.with_scram } else { &self.without_scram };
        Arc::clone(match trust {
            Trust::Relay => &sessions.relay,
            Trust::Stranger | Trust::User => &sessions.stranger,
            Trust::Local => &sessions.local,
        })
    }
}

impl Sessions {
    fn new(listener: &Listener, settings: &Settings, mechanisms: &[Mechanism]) -> Self {
        let kind = listener.kind;
        let users_only = kind == ListenerKind::Submission;
        let session = |default, origin: Option<&str>, auth_required| {
            let auth = origin.is_none() && (listener.auth || users_only);
            let starttls = origin.is_none() && listener.tls == ListenerTls::StartTls;
            Arc::new(server::Settings {
                hostname: settings.hostname.clone(),
                extensions: Extensions { auth, starttls, ..settings.extensions },
                mechanisms: mechanisms.to_vec(),
                auth_required,
                bare_newline: listener.bare_newline.unwrap_or(default),
                limits: server::Limits {
                    message_size: settings.limits.message_size,
                    recipients: settings.limits.recipients,
                    commands: settings.limits.commands,
                    errors: settings.limits.errors,
                },
                origin: origin.map(str::to_owned),
            })
        };
        let strangers = if users_only { BareNewline::Normalize } else { BareNewline::Reject };
        Self {
            relay: session(BareNewline::Normalize, None, false),
            stranger: session(strangers, None, users_only),
            local: session(BareNewline::Normalize, Some(&settings.origin), false),
        }
    }
}

impl Trust {
    pub(crate) const fn source_kind(self) -> SourceKind {
        match self {
            Self::Relay => SourceKind::Relay,
            Self::Stranger => SourceKind::Inbound,
            Self::User => SourceKind::Submission,
            Self::Local => SourceKind::Local,
        }
    }
}

/// It has no address: whoever wires binds its socket.
fn local_listener() -> Listener {
    Listener::new(LOCAL, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0))
}

fn reply(code: u16, status: (u8, u16, u16), text: &str) -> Reply {
    Reply::new(code, Some(EnhancedStatus::new(status.0, status.1, status.2)), text)
}

pub(crate) fn relay_denied() -> Reply {
    reply(550, (5, 7, 1), "Relaying denied: not one of our domains, and your address may not relay")
}

pub(crate) fn routed() -> Reply {
    reply(550, (5, 7, 1), "Relaying denied: the local part asks to send on to another host")
}

pub(crate) fn unknown_recipient() -> Reply {
    reply(550, (5, 1, 1), "Recipient unknown")
}

/// The next hop's own words, so that whoever reads the bounce knows who said it.
pub(crate) fn unknown_by_next_hop(said: &Reply) -> Reply {
    reply(550, (5, 1, 1), &format!("Recipient unknown; its mail host says: {said}"))
}

pub(crate) fn cannot_verify(fault: &Fault) -> Reply {
    let status = fault.status().with_class(4);
    Reply::new(450, Some(status), "Recipient cannot be verified now, try again later")
}

pub(crate) fn aliases_at_fault(why: Troubled) -> Reply {
    reply(451, (4, 3, 5), &format!("Recipient not accepted now: {why}; its postmaster must act"))
}

pub(crate) fn too_many_recipients() -> Reply {
    reply(452, (4, 5, 3), "Too many recipients")
}

pub(crate) fn too_many_sessions() -> Reply {
    reply(421, (4, 3, 2), "Too many sessions, try again later")
}

pub(crate) fn too_many_of_client() -> Reply {
    reply(421, (4, 7, 0), "Too many sessions from your address, try again later")
}

pub(crate) fn too_many_of_network() -> Reply {
    reply(421, (4, 7, 0), "Too many sessions from your network, try again later")
}

pub(crate) fn too_many_of_user() -> Reply {
    reply(421, (4, 7, 0), "Too many sessions of your user, try again later")
}

pub(crate) fn too_many_connections() -> Reply {
    reply(421, (4, 7, 0), "Too many connections a minute from your address, try again later")
}

pub(crate) fn too_many_messages() -> Reply {
    reply(451, (4, 7, 0), "Too many messages a minute from your address, try again later")
}

pub(crate) fn too_many_recipients_a_minute() -> Reply {
    reply(451, (4, 7, 0), "Too many recipients a minute from your address, try again later")
}

pub(crate) fn scarce(resource: Resource) -> Reply {
    let text = format!("Not enough {resource} on this server, try again later");
    reply(452, (4, 3, 1), &text)
}

pub(crate) fn maintenance() -> Reply {
    reply(421, (4, 3, 2), "Service closed for maintenance, try again later")
}

pub(crate) fn session_over() -> Reply {
    reply(421, (4, 4, 2), "The session has lasted too long, closing connection")
}

pub(crate) fn too_slow() -> Reply {
    reply(421, (4, 4, 2), "The message comes too slowly, closing connection")
}

pub(crate) fn closing(why: Closing) -> Reply {
    match why {
        Closing::Stopping => shutting_down(),
        Closing::Maintenance => maintenance(),
        Closing::MakingRoom => making_room(),
    }
}

pub(crate) fn making_room() -> Reply {
    reply(421, (4, 3, 2), "Too many sessions, and others have come further; try again later")
}

pub(crate) fn network_refused(hostname: &str) -> Reply {
    reply(554, (5, 7, 1), &format!("{hostname} gives no service to your network"))
}

/// Told to the session log only: a balancer reads no replies.
pub(crate) fn no_proxy_header(why: &dyn fmt::Display) -> Reply {
    reply(421, (4, 3, 5), &format!("Connection closed: {why}"))
}

pub(crate) fn shutting_down() -> Reply {
    reply(421, (4, 3, 2), "Service shutting down, try again later")
}

pub(crate) fn timed_out() -> Reply {
    reply(421, (4, 4, 2), "Timeout, closing connection")
}

pub(crate) fn no_tls() -> Reply {
    reply(454, (4, 7, 0), "TLS is not available")
}

pub(crate) fn login_later() -> Reply {
    reply(454, (4, 7, 0), "Passwords cannot be checked now, try again later")
}

pub(crate) fn login_failed() -> Reply {
    reply(535, (5, 7, 8), "Authentication failed: user name or password are not right")
}

pub(crate) fn too_many_failed_logins() -> Reply {
    reply(421, (4, 7, 0), "Too many failed logins, try again later")
}

pub(crate) fn no_more_logged_in() -> Reply {
    reply(421, (4, 7, 0), "Your login does not hold any more, log in again")
}

/// As Postfix says it (`reject_sender_login_mismatch`).
pub(crate) fn not_your_sender() -> Reply {
    reply(553, (5, 7, 1), "Sender address not allowed for this user")
}

pub(crate) fn not_your_from() -> Reply {
    reply(550, (5, 7, 1), "The From field names somebody whom this user may not send as")
}

pub(crate) fn from_unseen() -> Reply {
    reply(550, (5, 7, 1), "The header section is too long for its From field to be checked")
}

pub(crate) fn user_too_many_messages() -> Reply {
    reply(451, (4, 7, 0), "Too many messages a minute of this user, try again later")
}

pub(crate) fn user_too_many_recipients() -> Reply {
    reply(451, (4, 7, 0), "Too many recipients of this user, try again later")
}

pub(crate) fn header_too_long() -> Reply {
    reply(552, (5, 3, 4), "The header section is too long to be completed")
}

pub(crate) fn looping() -> Reply {
    reply(554, (5, 4, 6), "Mail loop: too many Received fields")
}

pub(crate) fn store_late() -> Reply {
    reply(451, (4, 3, 0), "The message could not be stored in time, try again later")
}

pub(crate) fn refused(why: Refused) -> Reply {
    match why {
        Refused::Full => reply(452, (4, 3, 1), "Insufficient storage, try again later"),
        Refused::Unhealthy => reply(451, (4, 3, 0), "Mail cannot be stored now, try again later"),
        Refused::TooBig => reply(552, (5, 3, 4), "The message is too large to be stored"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let mut settings = Settings::new("mx.example.org");
        let at = "127.0.0.1:25".parse().expect("an endpoint");
        settings.listeners.push(Listener::new("relay", at));
        let inbound = Listener { kind: ListenerKind::Inbound, ..Listener::new("inbound", at) };
        settings.listeners.push(inbound);
        let submission = Listener {
            kind: ListenerKind::Submission,
            without_auth: vec!["192.0.2.9".parse().expect("a network")],
            ..Listener::new("submission", at)
        };
        settings.listeners.push(submission);
        Policy::new(settings)
    }

    #[test]
    fn only_relay_networks_are_trusted() {
        let policy = policy();
        for (door, client, trust) in [
            ("relay", "127.0.0.1", Trust::Relay),
            ("relay", "::1", Trust::Relay),
            ("relay", "::ffff:127.0.0.1", Trust::Relay),
            ("relay", "192.0.2.1", Trust::Stranger),
            ("inbound", "127.0.0.1", Trust::Stranger),
            ("submission", "127.0.0.1", Trust::Stranger),
            ("submission", "192.0.2.9", Trust::Relay),
        ] {
            let door = policy.door(door).expect("it was set");
            let ip = client.parse().expect("an address");
            assert_eq!(policy.trust(&door, ip), trust, "{client}");
        }
    }

    #[test]
    fn at_a_door_for_submission_nobody_sends_before_auth() {
        let policy = policy();
        let settings = |door, trust| policy.door(door).expect("it was set").session(trust, true);
        let submission = settings("submission", Trust::Stranger);
        assert!(submission.auth_required && submission.extensions.auth);
        assert!(!settings("submission", Trust::Relay).auth_required);
        let mx = settings("inbound", Trust::Stranger);
        assert!(!mx.auth_required && !mx.extensions.auth);
    }

    #[test]
    fn refusals_of_a_stranger_wait_longer_and_longer() {
        let mut policy = policy();
        let waits = |policy: &Policy, trust| {
            [0, 4, 5, 6, 14, 100].map(|errors| policy.tarpit(trust, errors).as_secs())
        };
        assert_eq!(waits(&policy, Trust::Stranger), [0, 0, 1, 2, 10, 10]);
        for trust in [Trust::Relay, Trust::User, Trust::Local] {
            assert_eq!(waits(&policy, trust), [0; 6]);
        }
        policy.settings.limits.tarpit_after = 0;
        assert_eq!(waits(&policy, Trust::Stranger), [0; 6]);
    }

    #[test]
    fn only_strangers_are_refused_by_network() {
        let mut policy = policy();
        policy.settings.refuse_networks = vec!["192.0.2.0/24".parse().expect("a network")];
        let refuses = |trust, ip: &str| policy.refuses(trust, ip.parse().expect("an address"));
        assert!(
            refuses(Trust::Stranger, "192.0.2.9") && refuses(Trust::Stranger, "::ffff:192.0.2.9")
        );
        assert!(!refuses(Trust::Stranger, "192.0.3.9") && !refuses(Trust::Relay, "192.0.2.9"));
    }

    #[test]
    fn with_soft_fail_no_refusal_of_a_recipient_is_permanent() {
        let mut policy = policy();
        assert_eq!(policy.recipient_refusal(relay_denied()), relay_denied());
        policy.settings.soft_fail = true;
        let soft = policy.recipient_refusal(relay_denied());
        assert!(soft.to_string().starts_with("450 4.7.1 Relaying denied"), "{soft}");
        assert_eq!(
            policy.recipient_refusal(too_many_recipients_a_minute()),
            too_many_recipients_a_minute()
        );
    }

    #[test]
    fn strangers_may_not_send_bare_newlines_unless_the_door_says_so() {
        let policy = policy();
        let door = policy.door("relay").expect("it was set");
        assert_eq!(door.session(Trust::Relay, true).bare_newline, BareNewline::Normalize);
        assert_eq!(door.session(Trust::Stranger, true).bare_newline, BareNewline::Reject);
        let strict = Listener { bare_newline: Some(BareNewline::Reject), ..door.listener.clone() };
        let strict = Door::new(&strict, &policy.settings);
        assert_eq!(strict.session(Trust::Relay, true).bare_newline, BareNewline::Reject);
        assert!(policy.door("elsewhere").is_none());
    }
}
