//! Waiting for the client: how long, and what ends it. Strangers get less time while most places are taken.
//!
//! Not here: who makes room when all are taken (`places`), octets and timers (`wire`).

use super::Conversation;
use super::transaction::Transaction;
use super::wire::Heard;
use crate::places::{Amid, Progress};
use crate::policy::{self, Trust};
use posthaste_evidence::Ended;
use posthaste_io::Instant;
use std::time::Duration;

/// Of a stranger, while most places are taken: for its first command, and for each other one.
const STRESSED_FIRST: Duration = Duration::from_secs(10);
const STRESSED_IDLE: Duration = Duration::from_secs(20);
/// How often a stranger who is silent is looked at again: things may have changed.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
impl Conversation {
    /// Until when to wait for the client, and whether that is within content.
    fn patience(&mut self) -> Instant {
        let limits = &self.policy.settings.limits;
        match self.transaction.as_ref().and_then(|t| t.content.as_ref()) {
            Some(under_way) => under_way.pace.look_at(limits.data_timeout).min(under_way.by),
            None => {
                let now = self.wire.now();
                let by = self.command_by(now).min(self.over_at);
                if self.trust() == Trust::Stranger { by.min(now + LOOK_AGAIN) } else { by }
            }
        }
    }

    /// By when the client must have finished its command.
    fn command_by(&mut self, now: Instant) -> Instant {
        *self.command_since.get_or_insert(now) + self.command_limit()
    }

    /// How long the client may take for a command, or to take our reply.
    pub(super) fn command_limit(&self) -> Duration {
        let limits = &self.policy.settings.limits;
        let hurried =
            self.trust() == Trust::Stranger && self.house.places.is_stressed(limits.sessions);
        match hurried {
            false => limits.command_timeout,
            true if self.helo.is_empty() => limits.command_timeout.min(STRESSED_FIRST),
            true => limits.command_timeout.min(STRESSED_IDLE),
        }
    }

    /// What the session is in the middle of.
    pub(super) fn amid(&self) -> Amid {
        match &self.transaction {
            None => Amid::Nothing,
            Some(Transaction { content: None, .. }) => Amid::Transaction,
            Some(Transaction { content: Some(_), .. }) => Amid::Content,
        }
    }

    pub(super) fn comes(&self, progress: Progress) {
        self.place.comes(progress, self.wire.now());
    }

    /// Reads more. False when the client is gone.
    pub(super) async fn read(&mut self) -> bool {
        let (deadline, amid) = (self.patience(), self.amid());
        let in_content = amid == Amid::Content;
        let before = self.wire.input.len();
        match self.wire.read(deadline, amid, &self.place).await {
            Heard::Some => {
                self.recorder.read();
                if in_content {
                    self.heard(self.wire.input.len().saturating_sub(before));
                }
                true
            }
            Heard::Gone => {
                self.house.counters.lost_messages.add(u64::from(in_content));
                false
            }
            Heard::TimedOut => {
                self.timed_out(in_content);
                true
            }
            Heard::Closing(why) => {
                self.recorder.end(Ended::Closed);
                self.smtp.close_with(&policy::closing(why));
                true
            }
        }
    }

    /// Content has come: is it enough?
    fn heard(&mut self, octets: usize) {
        let (now, limits) = (self.wire.now(), &self.policy.settings.limits);
        let Some(under_way) = self.transaction.as_mut().and_then(|t| t.content.as_mut()) else {
            return;
        };
        under_way.pace.heard(now, octets);
        self.place.comes(Progress::Content, now);
        if !under_way.pace.goes_on(now, limits.data_timeout, limits.min_rate) {
            self.house.counters.timeouts.one();
            self.recorder.end(Ended::TimedOut);
            self.smtp.close_with(&policy::too_slow());
        }
    }

    /// Nothing came in time, or it is time to look at the pace of the content.
    fn timed_out(&mut self, in_content: bool) {
        let now = self.wire.now();
        if !in_content && now < self.command_by(now).min(self.over_at) {
            return;
        }
        let limits = &self.policy.settings.limits;
        let window = limits.data_timeout;
        let under_way = self.transaction.as_mut().and_then(|t| t.content.as_mut());
        let reply = match under_way {
            Some(under_way) if in_content => {
                let late = under_way.pace.is_silent(now, window) || now >= under_way.by;
                if !late && under_way.pace.goes_on(now, window, limits.min_rate) {
                    return;
                }
                if late { policy::timed_out() } else { policy::too_slow() }
            }
            _ if now >= self.over_at => policy::session_over(),
            _ => policy::timed_out(),
        };
        self.house.counters.timeouts.one();
        self.recorder.end(Ended::TimedOut);
        self.smtp.close_with(&reply);
    }
}
