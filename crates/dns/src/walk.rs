//! From the root, or the configured roots of a closed network, to the servers that know (RFC 1034 section 5.3.3).
//!
//! Evidence for the rare moment before a bounce and for checks; never on the fast path of mail. A walk trusts nobody
//! further than their zone reaches (`reading`), has limits (`limits`), and keeps what each server said. Not here:
//! asking recursive servers (`resolver`), validation of signatures.

mod descent;
mod domain;
mod existing;
pub mod finding;
mod judge;
pub mod limits;
mod reading;
pub mod roots;
pub mod seen;
mod walker;
mod zones;

pub use domain::domain;
pub use finding::{About, Acts, Finding, Problem, Validation};
pub use limits::{Limit, Limits};
pub use roots::ROOTS;
pub use seen::{DomainReport, DomainSeen};

use crate::exchange::Heard;
use crate::meaning::Meaning;
use crate::settings::Settings;
use posthaste_evidence::{Observation, RecordType, Transport};
use posthaste_io::World;
use std::net::{IpAddr, SocketAddr};
use walker::Walker;

/// What the servers of the closest enclosing delegated zone say of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Existence {
    /// One of them knows it, or delegates it.
    Exists {
        /// The zone, in the resolver's form.
        zone: String,
        /// Who says so.
        by: SocketAddr,
    },
    /// One of them says, with authority, that it does not exist, and none that it does.
    Missing {
        /// The zone, in the resolver's form.
        zone: String,
        /// Who says so.
        by: SocketAddr,
    },
    /// None of them could be asked, or there are no roots to begin with.
    Unreachable,
}

/// A walk that has ended.
#[derive(Clone, PartialEq, Debug)]
pub struct Walked {
    /// What it came to.
    pub existence: Existence,
    /// The zone at which the way ended, because none of its servers had an answer of use.
    pub silent: Option<String>,
    /// One for each question to a server, in the order they were asked.
    pub observations: Vec<Observation>,
}

/// Asks, from the roots of `settings` down, whether `name` exists. Ends within [`Limits::EXISTENCE`].
pub async fn existence(world: &World, settings: &Settings, name: &str) -> Walked {
    let walker = Walker::new(world, settings, Limits::EXISTENCE);
    let (existence, silent) = match crate::name::to_dns(name) {
        Ok(name) if !settings.roots.is_empty() => walker.exists(&name).await,
        _ => (Existence::Unreachable, None),
    };
    let (observations, _) = walker.finish();
    Walked { existence, silent, observations }
}

/// A referral, as [`stepped`] tells it.
#[doc(hidden)]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Below {
    /// The zone below.
    pub zone: String,
    /// Its servers and their glue.
    pub servers: Vec<(String, Vec<IpAddr>)>,
}

/// What a walk makes of the octets that a server of `zone` sends about `name`: `None` when they are no DNS message,
/// `Some(None)` when the way ends there. For fuzzing; a walk itself reads what an exchange heard.
#[doc(hidden)]
#[must_use]
pub fn stepped(octets: &[u8], zone: &str, name: &str) -> Option<Option<Below>> {
    let reply = crate::wire::read(octets).ok()?;
    let meaning = Meaning::of(&reply, name, RecordType::A, Transport::Udp);
    let heard = Heard { meaning, reply: Some(reply), strangers: 0, folds_case: false };
    // What decides how a walk goes on and what it shows, beside the step.
    if let Some(reply) = &heard.reply {
        let _ = (reading::soa_owner(reply), reading::has_foreign_soa(reply, zone, name));
        let _ = reading::servers_of(zone, &reply.answers, &reply.additionals, zone);
    }
    let reading::Step::Referral(to) = reading::read(&heard, zone, name) else { return Some(None) };
    let servers = to.servers.into_iter().map(|server| (server.name, server.glue)).collect();
    Some(Some(Below { zone: to.zone, servers }))
}
