//! A next-hop host: what all destinations on it share.

use crate::drain::Draining;
use crate::life::DestinationState;
use crate::scheduler::{DestinationId, HostUse, TicketId};
use posthaste_mail::Timestamp;
use std::collections::BTreeSet;

/// A host, by its endpoint.
#[derive(Debug, Default)]
pub(crate) struct Host {
    /// Open, or being dialled.
    pub(crate) connections: u32,
    /// Of them those that stand.
    pub(crate) established: u32,
    /// When it last did its part in a transaction or a greeting.
    pub(crate) last_success: Option<Timestamp>,
    pub(crate) outage: Option<HostOutage>,
    /// Destinations that wait for it, by their turn.
    pub(crate) waiting: BTreeSet<(u64, DestinationId)>,
    /// It answers again: those that wait are let go at a bounded rate.
    pub(crate) draining: Option<Draining>,
    /// Where it stands on the agenda: for its trial, or to let the next destination go.
    pub(crate) appointment: Option<Timestamp>,
    /// Where it stands in the list of what may be forgotten.
    pub(crate) idle_since: Option<Timestamp>,
}

/// It rests; one trial at each step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct HostOutage {
    pub(crate) state: DestinationState,
    /// The trial under way.
    pub(crate) trial: Option<TicketId>,
}

impl Host {
    /// Where it stands for a new connection. While its trial is under way it rests for everybody else.
    pub(crate) fn usable(&self, now: Timestamp, limit: u32) -> HostUse {
        match &self.outage {
            Some(outage) if outage.trial.is_some() || outage.state.next_trial > now => {
                HostUse::Down { until: outage.state.next_trial.max(now) }
            }
            Some(_) => HostUse::Usable,
            None if self.connections >= limit => HostUse::Busy,
            None => HostUse::Usable,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.connections == 0 && self.waiting.is_empty()
    }
}
