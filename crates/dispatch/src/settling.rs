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

struct Underway {
    settlements: u32,
    done: bool,
    envelope: Arc<Envelope>,
}

impl Settling {
    /// A settlement of this message is given to the store. `done`: no live recipient is left.
    pub(crate) fn begin(&mut self, envelope: &Arc<Envelope>, done: bool) {
        let fresh = || Underway { settlements: 0, done: false, envelope: Arc::clone(envelope) };
        let entry = self.messages.entry(envelope.id).or_insert_with(fresh);
        entry.settlements += 1;
        entry.done |= done;
    }

    /// True when the one settlement that is still under way is the message's last.
    pub(crate) fn ends(&self, id: QueueId) -> bool {
        self.messages.get(&id).is_some_and(|u| u.done && u.settlements == 1)
    }

    /// A settlement of this message is durable.
    pub(crate) fn end(&mut self, id: QueueId) {
        if let Some(entry) = self.messages.get_mut(&id) {
            entry.settlements -= 1;
            if entry.settlements == 0 {
                self.messages.remove(&id);
            }
        }
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
        let envelope = &self.messages.get(&message)?.envelope;
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
}
