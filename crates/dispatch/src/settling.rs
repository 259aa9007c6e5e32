//! What the event log needs to know of settlements that are not durable yet: forward-paths, hosts, and whether
//! a message is done with them.

use posthaste_evidence::ConnectionId;
use posthaste_mail::{Envelope, QueueId};
use posthaste_spool::events::Lookup;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Settlements under way, by message, and the hosts they may name.
#[derive(Default)]
pub(crate) struct Settling {
    messages: BTreeMap<QueueId, Underway>,
    hosts: BTreeMap<ConnectionId, (String, SocketAddr)>,
}

#[derive(Default)]
struct Underway {
    settlements: u32,
    done: bool,
    /// `None` while only states change that no event tells of.
    envelope: Option<Arc<Envelope>>,
}

impl Settling {
    /// A settlement of this message will be given to the store; said as soon as the scheduler has decided it.
    /// `done`: no live recipient is left.
    pub(crate) fn begin(&mut self, envelope: &Arc<Envelope>, done: bool) {
        self.begin_silent(envelope.id);
        self.describe(envelope, done);
    }

    /// The same before its envelope is at hand (see [`Self::describe`]), or for a change of states that no
    /// event tells of.
    pub(crate) fn begin_silent(&mut self, id: QueueId) {
        self.messages.entry(id).or_default().settlements += 1;
    }

    /// What events will tell of a settlement that was begun.
    pub(crate) fn describe(&mut self, envelope: &Arc<Envelope>, done: bool) {
        if let Some(entry) = self.messages.get_mut(&envelope.id) {
            entry.done |= done;
            entry.envelope.get_or_insert_with(|| Arc::clone(envelope));
        }
    }

    /// True when the one settlement that is still under way is the message's last.
    pub(crate) fn ends(&self, id: QueueId) -> bool {
        self.messages.get(&id).is_some_and(|u| u.done && u.settlements == 1)
    }

    /// A settlement of this message is durable, or cannot be made.
    pub(crate) fn end(&mut self, id: QueueId) {
        if let Some(entry) = self.messages.get_mut(&id) {
            entry.settlements -= 1;
            if entry.settlements == 0 {
                self.messages.remove(&id);
            }
        }
    }

    /// How many settlements of this message are under way.
    pub(crate) fn count(&self, id: QueueId) -> u32 {
        self.messages.get(&id).map_or(0, |underway| underway.settlements)
    }

    /// A settlement of this message is under way.
    pub(crate) fn has(&self, id: QueueId) -> bool {
        self.messages.contains_key(&id)
    }

    /// A connection stands.
    pub(crate) fn remember_host(&mut self, id: ConnectionId, host: &str, peer: SocketAddr) {
        self.hosts.insert(id, (host.to_owned(), peer));
    }

    /// A connection has ended, and its settlements are durable.
    pub(crate) fn forget_host(&mut self, id: ConnectionId) {
        self.hosts.remove(&id);
    }
}

impl Lookup for Settling {
    fn forward_path(&self, message: QueueId, recipient: u32) -> Option<String> {
        let envelope = self.messages.get(&message)?.envelope.as_ref()?;
        let recipient = envelope.recipients.get(recipient as usize)?;
        Some(recipient.mailbox.as_str().to_owned())
    }

    fn host(&self, connection: ConnectionId) -> Option<(String, SocketAddr)> {
        self.hosts.get(&connection).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_done_with_its_last_settlement_only() {
        let mut settling = Settling::default();
        let envelope = Arc::new(crate::notice::tests::mail(7, 1).envelope.clone());
        settling.begin(&envelope, false);
        settling.begin(&envelope, true);
        assert!(!settling.ends(envelope.id), "another one is still under way");
        settling.end(envelope.id);
        assert!(settling.ends(envelope.id));
        assert_eq!(settling.forward_path(envelope.id, 0).as_deref(), Some("to@example.org"));
        settling.end(envelope.id);
        assert!(settling.forward_path(envelope.id, 0).is_none(), "nothing is kept");
    }

    #[test]
    fn a_silent_change_counts_too_and_the_message_is_done_after_it() {
        let mut settling = Settling::default();
        let envelope = Arc::new(crate::notice::tests::mail(7, 1).envelope.clone());
        settling.begin_silent(envelope.id);
        settling.begin(&envelope, true);
        assert!(!settling.ends(envelope.id));
        settling.end(envelope.id);
        assert!(settling.ends(envelope.id) && settling.has(envelope.id));
        settling.end(envelope.id);
        assert!(!settling.has(envelope.id));
    }
}
