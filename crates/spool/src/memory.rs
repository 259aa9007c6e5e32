//! A store in memory: complete, at once durable by decree, for the tests of others. It is also the plainest
//! statement of what a store does.

use crate::events::{self, Lookup};
use crate::store::Quarantined;
use crate::thin;
use crate::{
    Accepted, Change, Content, Health, History, LedgerEntry, LedgerKey, LedgerValue, Live, Lsn,
    NewMail, Page, ReadFault, Record, Refused, SettleFault, Settled, Settlement, Spill,
    SpilledBody, Spool, Started, Stored, Tenure, Watcher,
};
use bytes::Bytes;
use posthaste_evidence::{Attempt, Connection, ConnectionId, Event};
use posthaste_io::Task;
use posthaste_mail::{Envelope, QueueId, Timestamp};
use posthaste_queue::RecipientState;
use std::collections::BTreeMap;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A store in memory. A watcher must not call `accept` or `settle` from within.
#[derive(Default)]
pub struct MemorySpool {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    watcher: Mutex<Option<Arc<dyn Watcher>>>,
    /// Held from commit to announcement, so that announcements come in order of commits.
    order: Mutex<()>,
}

#[derive(Clone, Default)]
struct State {
    epoch: u64,
    commit: u64,
    last_id: u64,
    messages: BTreeMap<QueueId, Message>,
    spilled: BTreeMap<QueueId, Vec<u8>>,
    connections: BTreeMap<ConnectionId, Connection>,
    ledger: BTreeMap<LedgerKey, LedgerValue>,
    events: Vec<Event>,
    refusing: Option<Refused>,
    closed: bool,
}

#[derive(Clone)]
struct Message {
    envelope: Arc<Envelope>,
    content: Content,
    states: Vec<RecipientState>,
    attempts: Vec<Attempt>,
    in_hand: InHand,
    was_in_hand: InHand,
}

#[derive(Clone, Default)]
struct InHand {
    recipients: Vec<u32>,
    peer: Option<SocketAddr>,
}

impl MemorySpool {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        let spool = Self::default();
        spool.state().epoch = 1;
        spool
    }

    /// The store as the next start of the process finds it; this one refuses everything from now on.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let mut state = self.state().clone();
        self.state().closed = true;
        state.epoch += 1;
        state.closed = false;
        let named: Vec<QueueId> = state.messages.keys().copied().collect();
        state.spilled.retain(|id, _| named.binary_search(id).is_ok());
        for message in state.messages.values_mut() {
            let InHand { recipients, peer } = std::mem::take(&mut message.in_hand);
            message.was_in_hand.recipients.extend(recipients);
            message.was_in_hand.recipients.sort_unstable();
            message.was_in_hand.recipients.dedup();
            message.was_in_hand.peer = peer.or(message.was_in_hand.peer);
        }
        let shared = Shared { state: Mutex::new(state), ..Shared::default() };
        Self { shared: Arc::new(shared) }
    }

    /// From now on `accept` and `spill` are refused for this reason; `None` accepts again.
    pub fn refuse(&self, reason: Option<Refused>) {
        self.state().refusing = reason;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    fn watcher(&self) -> Option<Arc<dyn Watcher>> {
        lock(&self.shared.watcher).clone()
    }

    fn commit_mail(&self, mail: NewMail) -> Result<Accepted, Refused> {
        let _in_order = lock(&self.shared.order);
        let mail = Arc::new(mail);
        let commit = {
            let mut state = self.state();
            state.check(&mail)?;
            state.commit += 1;
            state.insert(&mail);
            Lsn(state.commit)
        };
        if let Some(watcher) = self.watcher() {
            watcher.accepted(commit, vec![mail]);
        }
        Ok(Accepted { commit })
    }

    fn commit_settlement(&self, settlement: &Settlement) -> Result<Lsn, SettleFault> {
        let _in_order = lock(&self.shared.order);
        let notices: Vec<_> =
            settlement.notices.iter().map(|notice| Arc::new(notice.mail.clone())).collect();
        let commit = {
            let mut state = self.state();
            if state.closed {
                return Err(SettleFault::StoreFault);
            }
            if settlement.tenure.epoch != state.epoch {
                return Err(SettleFault::Fenced);
            }
            state.commit += 1;
            state.apply(settlement, &notices);
            Lsn(state.commit)
        };
        if let Some(watcher) = self.watcher() {
            if !notices.is_empty() {
                watcher.accepted(commit, notices);
            }
            watcher.settled(commit, settlement);
        }
        Ok(commit)
    }
}

/// A panic in one test thread must not hide the state from the others.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn check(&self, mail: &NewMail) -> Result<(), Refused> {
        let known = match &mail.content {
            Content::Inline(_) => true,
            Content::Spilled(body) => self.spilled.contains_key(&body.id),
        };
        match self.refusing {
            Some(reason) => Err(reason),
            None if self.closed || !known => Err(Refused::Unhealthy),
            None => Ok(()),
        }
    }

    fn insert(&mut self, mail: &NewMail) {
        let id = mail.envelope.id;
        self.last_id = self.last_id.max(id.as_u64());
        self.events.push(events::received(&mail.envelope, Lsn(self.commit)));
        let message = Message {
            envelope: Arc::new(mail.envelope.clone()),
            content: mail.content.clone(),
            states: mail.states.clone(),
            attempts: Vec::new(),
            in_hand: InHand::default(),
            was_in_hand: InHand::default(),
        };
        self.messages.insert(id, message);
    }

    fn apply(&mut self, settlement: &Settlement, notices: &[Arc<NewMail>]) {
        for connection in &settlement.connections {
            self.connections.insert(connection.id, kept(connection));
        }
        for Change { message, recipient, state } in &settlement.changes {
            let message = self.messages.get_mut(message);
            let slot = message.and_then(|m| m.states.get_mut(*recipient as usize));
            if let Some(slot) = slot {
                Change::apply_to(slot, *state);
            }
        }
        let commit = Lsn(self.commit);
        let known = |part: &Settled| self.messages.contains_key(&part.message);
        let parts: Vec<_> = Settled::by_message(settlement, |id| self.has_ended(id))
            .into_iter()
            .filter(known)
            .collect();
        let made: Vec<_> =
            parts.iter().flat_map(|part| events::of_message(part, commit, self)).collect();
        self.events.extend(made);
        self.events.extend(settlement.ledger.iter().filter_map(|e| events::of_ledger(e, commit)));
        for part in &parts {
            self.settle_message(part);
        }
        for notice in notices {
            self.insert(notice);
        }
        for LedgerEntry { key, value } in &settlement.ledger {
            match value {
                Some(value) => self.ledger.insert(key.clone(), kept(value)),
                None => self.ledger.remove(key),
            };
        }
    }

    fn has_ended(&self, id: QueueId) -> bool {
        let message = self.messages.get(&id);
        message.is_some_and(|m| m.states.iter().all(|state| !state.life.is_live()))
    }

    fn settle_message(&mut self, part: &Settled) {
        if part.done {
            self.messages.remove(&part.message);
            self.spilled.remove(&part.message);
            return;
        }
        let Some(message) = self.messages.get_mut(&part.message) else { return };
        for attempt in &part.attempts {
            thin::remember_attempt(&mut message.attempts, kept(attempt));
        }
        for in_hand in [&mut message.in_hand, &mut message.was_in_hand] {
            in_hand.recipients.retain(|&recipient| !part.concerns(recipient));
            if in_hand.recipients.is_empty() {
                in_hand.peer = None;
            }
        }
    }
}

/// As a store on disk would give it back.
fn kept<T: Record>(value: &T) -> T {
    T::decode(&value.encode()).expect("what was encoded can be decoded")
}

impl Lookup for State {
    fn forward_path(&self, message: QueueId, recipient: u32) -> Option<String> {
        let recipients = &self.messages.get(&message)?.envelope.recipients;
        Some(recipients.get(recipient as usize)?.mailbox.as_str().to_owned())
    }

    fn host(&self, connection: ConnectionId) -> Option<(String, SocketAddr)> {
        self.connections.get(&connection).and_then(events::host_of)
    }
}

fn live(message: &Message) -> Live {
    Live {
        envelope: (*message.envelope).clone(),
        states: message.states.clone(),
        in_hand: message.was_in_hand.recipients.clone(),
        in_hand_with: message.was_in_hand.peer,
    }
}

impl Spool for MemorySpool {
    fn mint(&self, now: Timestamp) -> QueueId {
        let mut state = self.state();
        state.last_id = QueueId::first_at(now).as_u64().max(state.last_id + 1);
        QueueId::from_u64(state.last_id)
    }

    fn accept(&self, mail: NewMail) -> Task<'static, Result<Accepted, Refused>> {
        Box::pin(ready(self.commit_mail(mail)))
    }

    fn spill(&self, id: QueueId) -> Task<'_, Result<Box<dyn Spill>, Refused>> {
        let refused = match self.state() {
            state if state.closed => Some(Refused::Unhealthy),
            state => state.refusing,
        };
        let spill = MemorySpill { shared: Arc::clone(&self.shared), id, octets: Vec::new() };
        Box::pin(ready(match refused {
            Some(reason) => Err(reason),
            None => Ok(Box::new(spill) as Box<dyn Spill>),
        }))
    }

    fn discard(&self, body: SpilledBody) {
        self.state().spilled.remove(&body.id);
    }

    fn started(&self, started: Started) {
        if let Some(message) = self.state().messages.get_mut(&started.message) {
            message.in_hand.recipients.extend(started.recipients);
            message.in_hand.peer = started.peer;
        }
    }

    fn settle(&self, settlement: Settlement) -> Task<'static, Result<Lsn, SettleFault>> {
        Box::pin(ready(self.commit_settlement(&settlement)))
    }

    fn take(&self) -> Tenure {
        Tenure { shard: 0, epoch: self.state().epoch }
    }

    fn watch(&self, watcher: Arc<dyn Watcher>) {
        *lock(&self.shared.watcher) = Some(watcher);
    }

    fn live(&self, after: QueueId, limit: usize) -> Task<'_, Result<Page<Live>, ReadFault>> {
        let state = self.state();
        let mut rest = state.messages.range(after.next()..).map(|(_, m)| live(m));
        let items: Vec<Live> = rest.by_ref().take(limit).collect();
        let next = rest.next().and_then(|_| items.last()).map(|last| last.envelope.id);
        Box::pin(ready(Ok(Page { items, next })))
    }

    fn find(&self, id: QueueId) -> Task<'_, Result<Option<Live>, ReadFault>> {
        Box::pin(ready(Ok(self.state().messages.get(&id).map(live))))
    }

    fn fetch(&self, id: QueueId) -> Task<'_, Result<Option<Stored>, ReadFault>> {
        let state = self.state();
        let stored = state.messages.get(&id).map(|message| Stored {
            envelope: Arc::clone(&message.envelope),
            content: message.content.clone(),
        });
        Box::pin(ready(Ok(stored)))
    }

    fn range(
        &self,
        body: &SpilledBody,
        offset: u64,
        length: usize,
    ) -> Task<'_, Result<Bytes, ReadFault>> {
        let state = self.state();
        let part = state.spilled.get(&body.id).map(|octets| {
            let (head, offset) = body.split(offset, length);
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(octets.len());
            let to = from.saturating_add(length - head.len()).min(octets.len());
            Bytes::from([&head[..], &octets[from..to]].concat())
        });
        Box::pin(ready(part.ok_or(ReadFault::Damaged(body.id))))
    }

    fn history(&self, id: QueueId) -> Task<'_, Result<History, ReadFault>> {
        let state = self.state();
        let attempts = state.messages.get(&id).map_or_else(Vec::new, |m| m.attempts.clone());
        let named = |c: &&Connection| attempts.iter().any(|a| a.connection == Some(c.id));
        let connections = state.connections.values().filter(named).cloned().collect();
        Box::pin(ready(Ok(History { attempts, connections })))
    }

    fn ledger(&self) -> Task<'_, Result<Vec<(LedgerKey, LedgerValue)>, ReadFault>> {
        let ledger = self.state().ledger.clone();
        Box::pin(ready(Ok(ledger.into_iter().collect())))
    }

    fn events_since(&self, commit: u64) -> Task<'_, Result<Vec<Event>, ReadFault>> {
        let state = self.state();
        let later = state.events.iter().filter(|e| e.commit > commit).cloned().collect();
        Box::pin(ready(Ok(later)))
    }

    fn events_safe(&self, commit: u64) {
        self.state().events.retain(|e| e.commit > commit);
    }

    fn quarantined(&self) -> Vec<Quarantined> {
        Vec::new()
    }

    fn health(&self) -> Health {
        let state = self.state();
        Health {
            messages: state.messages.len() as u64,
            commits: state.commit,
            accepting: !state.closed && state.refusing.is_none(),
            free_octets: u64::MAX,
            ..Health::default()
        }
    }

    fn close(&self) -> Task<'_, ()> {
        self.state().closed = true;
        Box::pin(ready(()))
    }
}

struct MemorySpill {
    shared: Arc<Shared>,
    id: QueueId,
    octets: Vec<u8>,
}

impl Spill for MemorySpill {
    fn write(&mut self, chunk: Bytes) -> Task<'_, Result<(), Refused>> {
        self.octets.extend_from_slice(&chunk);
        Box::pin(ready(Ok(())))
    }

    fn finish(self: Box<Self>) -> Task<'static, Result<SpilledBody, Refused>> {
        let Self { shared, id, octets } = *self;
        let size = octets.len() as u64;
        lock(&shared.state).spilled.insert(id, octets);
        Box::pin(ready(Ok(SpilledBody::new(id, size))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, Fixture, block_on};
    use crate::testing::{self, NOON};

    struct InMemory(Arc<MemorySpool>);

    impl Fixture for InMemory {
        fn spool(&self) -> Arc<dyn Spool> {
            Arc::clone(&self.0) as _
        }
        fn crash(&mut self) {
            self.0 = Arc::new(self.0.reopen());
        }
    }

    #[test]
    fn is_a_store() {
        conformance::run(|_| Box::new(InMemory(Arc::new(MemorySpool::new()))));
    }

    #[test]
    fn refuses_when_it_is_told_to() {
        let spool = MemorySpool::new();
        spool.refuse(Some(Refused::Full));
        let mail = testing::mail(spool.mint(NOON), 1, 10);
        assert_eq!(block_on(spool.accept(mail.clone())), Err(Refused::Full));
        spool.refuse(None);
        assert!(block_on(spool.accept(mail)).is_ok());
    }
}
