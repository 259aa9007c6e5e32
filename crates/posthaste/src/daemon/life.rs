//! What the daemon knows of its own life besides mail: how scarce things are, maintenance, the last minute, and what
//! keeps it from accepting mail.
//!
//! Not here: measuring (`resources`), judging (`pressure`), the file of maintenance (`maintenance`).

use super::Daemon;
use super::pressure::Standing;
use super::traffic::Minute;
use crate::config;
use posthaste_admin::desk::{Conditions, Maintenance, Strangers};
use posthaste_reception::Pressure;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Shared by all clones of the daemon.
#[derive(Default)]
pub(super) struct Life {
    /// The last look at the machine.
    standing: Mutex<Standing>,
    maintenance: Mutex<Option<Maintenance>>,
    minute: Mutex<Minute>,
}

impl Life {
    pub(super) fn minute(&self) -> MutexGuard<'_, Minute> {
        lock(&self.minute)
    }

    pub(super) fn maintenance(&self) -> MutexGuard<'_, Option<Maintenance>> {
        lock(&self.maintenance)
    }
}

impl Daemon {
    pub(super) fn standing(&self) -> Standing {
        *lock(&self.life.standing)
    }

    pub(super) fn set_standing(&self, standing: Standing) {
        *lock(&self.life.standing) = standing;
    }

    /// The thresholds in force.
    pub(super) fn thresholds(&self) -> config::Pressure {
        self.settings().pressure
    }

    /// Why no mail is accepted; `None` when it is.
    pub(super) fn refusing(&self) -> Option<&'static str> {
        if self.life.maintenance().is_some() {
            return Some("maintenance");
        }
        if self.spool.health().read_only {
            return Some("read-only");
        }
        match self.reception.pressure() {
            Pressure::Refuse(resource) => Some(resource.name()),
            Pressure::None | Pressure::Slow(_) => None,
        }
    }

    /// What holds us back, for status.
    pub(super) fn conditions(&self) -> Conditions {
        let settings = self.settings();
        let refused = self.reception.counts();
        Conditions {
            resources: self.standing().view(),
            certificates: self.expiring_certificates(),
            secured: refused.secured,
            handshakes_failed: refused.handshakes_failed,
            injected: refused.injected,
            maintenance: self.life.maintenance().clone(),
            soft_fail: settings.dispatch.soft_fail,
            sessions_limit: settings.reception.limits.sessions as u64,
            connections_limit: u64::from(settings.queue.limits.connections),
            logins: refused.logins,
            failed_logins: refused.failed_logins,
            refused_logins: refused.refused_logins,
            refused_by_limits: refused.refused_sessions
                + refused.refused_client_sessions
                + refused.refused_rates,
            signed: refused.signed,
            unsigned: refused.unsigned,
            strangers: Strangers {
                made_room: refused.made_room,
                refused_networks: refused.refused_networks,
                tarpitted: refused.tarpitted,
                refused_proxies: refused.refused_proxies,
            },
        }
    }
}

/// What a lock here guards is whole after every assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
