//! A connection takes its next message: what is due first, with all its due recipients at the destination.

use super::connection::{Connection, Phase};
use super::{ConnectTicket, DestinationId, Pulled, Scheduler, Work};
use crate::life::RecipientState;
use crate::message::Mark;
use posthaste_mail::{QueueId, Timestamp};

impl Scheduler {
    /// The next message for this connection with its due recipients at the destination, at most
    /// `max_recipients` (at least 1). Work that was neither settled nor put back goes back first.
    pub fn pull(
        &mut self,
        now: Timestamp,
        ticket: &ConnectTicket,
        max_recipients: usize,
    ) -> Pulled {
        self.put_back(now, ticket);
        let Some(connection) = self.connections.get(&ticket.id) else { return Pulled::Enough };
        if !self.running || self.is_worn(now, connection) {
            return Pulled::Enough;
        }
        let destination = connection.destination;
        let first = self.first_for(now, ticket, connection);
        let first = first.and_then(|message| {
            self.take_turn(now, destination).map(|()| message).map_err(Pulled::Later)
        });
        let Some(connection) = self.connections.get(&ticket.id) else { return Pulled::Enough };
        match first {
            Ok(message) => {
                Pulled::Work(self.take(now, ticket, destination, message, max_recipients))
            }
            Err(_) if self.is_crowded(connection) => Pulled::Enough,
            Err(nothing) => {
                self.set_phase(ticket.id, Phase::Idle);
                self.refresh(now, destination);
                nothing
            }
        }
    }

    /// The pulled work goes back untouched.
    pub fn put_back(&mut self, now: Timestamp, ticket: &ConnectTicket) {
        let Some(connection) = self.connections.get_mut(&ticket.id) else { return };
        let destination = connection.destination;
        if let Some((message, numbers)) = connection.work.take() {
            connection.transactions -= 1;
            self.set_hungry(ticket.id);
            self.unmark(now, message, destination, &numbers);
        }
    }

    fn is_worn(&self, now: Timestamp, connection: &Connection) -> bool {
        let limits = &self.settings.limits;
        connection.transactions >= limits.messages_per_connection.max(1)
            || now.since(connection.started) >= limits.connection_time
    }

    fn first_for(
        &self,
        now: Timestamp,
        ticket: &ConnectTicket,
        connection: &Connection,
    ) -> Result<QueueId, Pulled> {
        let destination = self.destinations.get(&connection.destination).ok_or(Pulled::Enough)?;
        if self.is_kept(connection.destination) {
            return Err(Pulled::Enough);
        }
        let (due, message) = destination.mail().waiting.first().copied().ok_or(Pulled::Empty)?;
        if due > now {
            return Err(Pulled::Empty);
        }
        if let Some(outage) = destination.outage() {
            // Down: one message for the trial, nothing for anybody else.
            let is_trial = outage.trial == Some(ticket.id) && connection.transactions == 0;
            return if is_trial { Ok(message) } else { Err(Pulled::Empty) };
        }
        match destination.active().and_then(|a| a.draining) {
            Some(draining) if !draining.is_open(now) => Err(Pulled::Later(draining.next)),
            _ => Ok(message),
        }
    }

    fn take(
        &mut self,
        now: Timestamp,
        ticket: &ConnectTicket,
        destination: DestinationId,
        message: QueueId,
        max_recipients: usize,
    ) -> Work {
        let drain = self.settings.drain;
        let entry = self.destinations.get_mut(&destination).expect("first_for found it");
        if let Some(draining) = &mut entry.active_mut().draining {
            draining.take(now, &drain);
        }
        let terms = self.terms(destination);
        let taken = self.change(now, message, destination, |message| {
            let mut recipients: Vec<(u32, RecipientState)> = Vec::new();
            let received = message.received;
            let due = message.at_mut(destination).iter_mut().filter(|r| r.is_due(now, received));
            for recipient in due.take(max_recipients.max(1)) {
                recipient.mark = Mark::InFlight;
                recipients.push((recipient.number, recipient.state()));
            }
            (message.size(), terms.expires(message), received, recipients)
        });
        let (size, expires, received, recipients) = taken.expect("a message that waits is there");
        if let Some(connection) = self.connections.get_mut(&ticket.id) {
            connection.transactions += 1;
            connection.work = Some((message, recipients.iter().map(|r| r.0).collect()));
        }
        self.set_phase(ticket.id, Phase::Busy);
        self.refresh(now, destination);
        Work { message, size, received, expires, recipients }
    }
}
