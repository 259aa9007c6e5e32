//! What a store should hold: the plainest model, and the same view read out of a real store.

use posthaste_evidence::{Attempt, ConnectionId};
use posthaste_io::Disk;
use posthaste_mail::QueueId;
use posthaste_queue::RecipientState;
use posthaste_spool::conformance::block_on;
use posthaste_spool::{
    Change, Content, LedgerKey, LedgerValue, NewMail, Settled, Spool, Stored, thin,
};
use posthaste_spool_local::{LocalSpool, Request};
use std::collections::BTreeMap;

/// Everything a store holds.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct View {
    pub(crate) messages: BTreeMap<QueueId, Message>,
    pub(crate) ledger: BTreeMap<LedgerKey, LedgerValue>,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Message {
    pub(crate) states: Vec<RecipientState>,
    /// Of the content.
    pub(crate) crc: u32,
    /// Without what was observed.
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) in_hand: Vec<u32>,
}

fn bare(attempt: &Attempt) -> Attempt {
    Attempt { observations: Vec::new(), ..attempt.clone() }
}

impl View {
    /// Applies a request whole.
    pub(crate) fn apply(&mut self, request: &Request) {
        match request {
            Request::Accept(mail) => self.insert(mail),
            Request::Started(started) => {
                if let Some(message) = self.messages.get_mut(&started.message) {
                    message.in_hand.extend(&started.recipients);
                    message.in_hand.sort_unstable();
                    message.in_hand.dedup();
                }
            }
            Request::Settle(settlement) => {
                for part in Settled::by_message(settlement, |_| false) {
                    self.settle(&part);
                }
                for notice in &settlement.notices {
                    self.insert(&notice.mail);
                }
                for entry in &settlement.ledger {
                    match &entry.value {
                        Some(value) => self.ledger.insert(entry.key.clone(), value.clone()),
                        None => self.ledger.remove(&entry.key),
                    };
                }
            }
        }
    }

    fn insert(&mut self, mail: &NewMail) {
        let message = Message {
            states: mail.states.clone(),
            crc: mail.envelope.facts.crc,
            attempts: Vec::new(),
            in_hand: Vec::new(),
        };
        self.messages.insert(mail.envelope.id, message);
    }

    fn settle(&mut self, part: &Settled) {
        let Some(message) = self.messages.get_mut(&part.message) else { return };
        for (recipient, state) in &part.changes {
            Change::apply_to(&mut message.states[*recipient as usize], *state);
        }
        for attempt in &part.attempts {
            thin::remember_attempt(&mut message.attempts, bare(attempt));
        }
        message.in_hand.retain(|recipient| !part.concerns(*recipient));
        if message.states.iter().all(|state| !state.life.is_live()) {
            self.messages.remove(&part.message);
        }
    }

    /// Reads a store whole: every content, every history.
    pub(crate) fn of<D: Disk + 'static>(spool: &LocalSpool<D>) -> Result<Self, String> {
        let mut view = Self::default();
        let mut after = Some(QueueId::MIN);
        while let Some(from) = after {
            let page = block_on(spool.live(from, 50)).map_err(|e| e.to_string())?;
            for live in page.items {
                let id = live.envelope.id;
                let stored = block_on(spool.fetch(id)).map_err(|e| e.to_string())?;
                let crc = crc_of(spool, &stored.ok_or("gone while it was read")?)?;
                let history = block_on(spool.history(id)).map_err(|e| e.to_string())?;
                let attempts: Vec<Attempt> = history.attempts.iter().map(bare).collect();
                let mut named = attempts.iter().filter_map(|a| a.connection);
                let known = |id: &ConnectionId| history.connections.iter().any(|c| c.id == *id);
                if let Some(lost) = named.find(|id| !known(id)) {
                    return Err(format!("connection {} of {id} is lost", lost.0));
                }
                let (states, in_hand) = (live.states, live.in_hand);
                view.messages.insert(id, Message { states, crc, attempts, in_hand });
            }
            after = page.next;
        }
        view.ledger = block_on(spool.ledger()).map_err(|e| e.to_string())?.into_iter().collect();
        match spool.quarantined().first() {
            Some(damage) => Err(format!("damage: {damage:?}")),
            None => Ok(view),
        }
    }

    /// The first difference, for people.
    pub(crate) fn difference(&self, other: &Self) -> String {
        for (id, message) in &self.messages {
            match other.messages.get(id) {
                None => return format!("{id} is only in the store: {message:?}"),
                Some(wanted) if wanted != message => {
                    return format!("{id} is {message:?} instead of {wanted:?}");
                }
                Some(_) => {}
            }
        }
        let missing = other.messages.keys().find(|id| !self.messages.contains_key(id));
        missing.map_or_else(|| "the ledger differs".into(), |id| format!("{id} is missing"))
    }
}

fn crc_of<D: Disk + 'static>(spool: &LocalSpool<D>, stored: &Stored) -> Result<u32, String> {
    match &stored.content {
        Content::Inline(body) => Ok(crc32c::crc32c(&body.to_vec())),
        Content::Spilled(body) => {
            let mut crc = 0;
            let mut at = 0;
            while at < body.size {
                let part = block_on(spool.range(body, at, 1 << 20)).map_err(|e| e.to_string())?;
                crc = crc32c::crc32c_append(crc, &part);
                at += part.len() as u64;
            }
            Ok(crc)
        }
    }
}
