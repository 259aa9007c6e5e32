//! How long mail of a route is tried, and when its senders are told of a delay: settled once, because it is asked for at
//! every step.

use super::{DestinationId, Scheduler};
use crate::life;
use crate::message::{Message, Recipient};
use crate::ranks::NEVER;
use crate::schedule::DelayRule;
use crate::settings::Settings;
use posthaste_mail::Timestamp;
use std::time::Duration;

/// The terms of one route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Terms {
    lifetime: Duration,
    of_notices: Duration,
    pub(super) delay: DelayRule,
}

impl Terms {
    pub(super) fn of(settings: &Settings, route: &str) -> Self {
        Self {
            lifetime: settings.lifetime(route, false),
            of_notices: settings.lifetime(route, true),
            delay: settings.delay_rule(route),
        }
    }

    /// How long those of a rank are tried.
    pub(super) const fn lifetime(&self, rank: u8) -> Duration {
        if rank == NEVER { self.of_notices } else { self.lifetime }
    }

    /// When the time of a message is over.
    pub(super) fn expires(&self, message: &Message) -> Timestamp {
        let rank = if message.is_notice() { NEVER } else { 0 };
        life::expires(message.received, self.lifetime(rank))
    }

    /// How long after acceptance those of a rank are told next, before their time is over: `None` when never.
    pub(super) fn told_after(&self, rank: u8) -> Option<Duration> {
        self.delay.due(rank).filter(|due| *due < self.lifetime)
    }

    /// The same, when no failure shows that it is time.
    pub(super) fn told_anyway_after(&self, rank: u8) -> Option<Duration> {
        self.delay.due_anyway(rank).filter(|due| *due < self.lifetime)
    }

    /// How many delay notices a message of this age should have had; 0 when its time is over.
    pub(super) fn rounds(&self, message: &Message, now: Timestamp) -> u8 {
        let age = now.since(message.received);
        if message.is_notice() || age >= self.lifetime { 0 } else { self.delay.rounds(age) }
    }
}

impl Scheduler {
    /// The terms of a destination's route. Those of a destination that is not known do not matter.
    pub(super) fn terms(&self, id: DestinationId) -> Terms {
        let route = self.destinations.get(&id).and_then(|d| self.routes.get(d.route as usize));
        route.map_or_else(|| Terms::of(&self.settings, super::NO_ROUTE), |route| route.terms)
    }

    /// When its next delay notice is due, if it waits so long.
    pub(super) fn notice_at(&self, message: &Message, recipient: &Recipient) -> Option<Timestamp> {
        let asks = !message.is_notice() && recipient.life.waits();
        let due = self.terms(recipient.destination).told_after(recipient.passed);
        due.filter(|_| asks).map(|due| message.received.plus(due))
    }
}
