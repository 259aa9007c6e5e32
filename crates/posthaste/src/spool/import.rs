//! Messages that were carried here enter a spool that no daemon has: with their ids where those are free, their states,
//! due times and attempts. What is counted is durable.
//!
//! It can be done again after it was broken off: what is here already is passed over.

use super::parcel::{Arrived, Parcel};
use anyhow::{Result, anyhow};
use posthaste_io::Disk;
use posthaste_mail::{QueueId, Timestamp};
use posthaste_spool::{
    Content, LedgerEntry, NewMail, Refused, SettleFault, Settlement, Started, Tenure,
};
use posthaste_spool_local::{Answer, Fate, Group, Log, Request};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Octets of contents in one commit, about.
const COMMIT: usize = 4 << 20;
/// Messages in one commit.
const MESSAGES: usize = 200;

/// What has come in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Imported {
    /// Messages that are durable now.
    pub(crate) messages: u64,
    /// Messages that were here already.
    pub(crate) here: u64,
    /// Ids that were in use here, and those given instead.
    pub(crate) renamed: Vec<(QueueId, QueueId)>,
    /// Messages that could not be read, and why.
    pub(crate) bad: Vec<(String, String)>,
}

/// Takes in all that has arrived.
///
/// # Errors
/// When the spool takes no more; what was counted before is durable all the same, and doing it again goes on.
pub(crate) fn import<D: Disk>(
    log: &mut Log<D>,
    arrived: &Arrived,
    now: Timestamp,
) -> Result<Imported> {
    let ids = arrived.parcels.iter().filter_map(|parcel| parcel.carried().ok());
    let ids: BTreeSet<QueueId> = ids.map(|carried| carried.live.envelope.id).collect();
    let fates = log.fates(&ids);
    let (imported, loaded) = (Imported::default(), Load::default());
    let mut into = Into_ { log, now, fates, arriving: ids, imported, loaded };
    for unread in &arrived.parcels {
        match unread.read() {
            Ok(parcel) => into.take(parcel)?,
            Err(error) => into.imported.bad.push((unread.name(), format!("{error:#}"))),
        }
    }
    into.commit()?;
    into.ledger(&arrived.ledger)?;
    Ok(into.imported)
}

/// What is to be committed next.
#[derive(Default)]
struct Load {
    accepts: Vec<Request>,
    after: Vec<Request>,
    octets: usize,
}

struct Into_<'l, D: Disk> {
    log: &'l mut Log<D>,
    now: Timestamp,
    /// Of those that arrive: what became of messages with their ids here.
    fates: BTreeMap<QueueId, Fate>,
    arriving: BTreeSet<QueueId>,
    imported: Imported,
    loaded: Load,
}

impl<D: Disk> Into_<'_, D> {
    fn take(&mut self, mut parcel: Parcel) -> Result<()> {
        let id = parcel.carried.live.envelope.id;
        match self.fates.get(&id) {
            Some(Fate::Live) if self.is_here(&parcel)? => {
                self.imported.here += 1;
                return Ok(());
            }
            Some(_) => {
                let new = self.free_id(id)?;
                rename(&mut parcel, new);
            }
            None => {}
        }
        self.load(parcel);
        if self.loaded.octets >= COMMIT || self.loaded.accepts.len() >= MESSAGES {
            self.commit()?;
        }
        Ok(())
    }

    /// The message of this id is the same one.
    fn is_here(&self, parcel: &Parcel) -> Result<bool> {
        let arrived = &parcel.carried.live.envelope;
        let here = self.log.find(arrived.id).map_err(|e| anyhow!("{e}"))?;
        Ok(here.is_some_and(|here| {
            here.envelope.facts.crc == arrived.facts.crc
                && here.envelope.received == arrived.received
        }))
    }

    /// An id that nobody has, nor has arrived with.
    fn free_id(&mut self, old: QueueId) -> Result<QueueId> {
        const TRIES: usize = 1_000_000;
        for _ in 0..TRIES {
            let new = self.log.mint(self.now);
            // It is beyond all that is here; what arrives may be beyond it.
            if !self.arriving.contains(&new) {
                self.imported.renamed.push((old, new));
                return Ok(new);
            }
        }
        Err(anyhow!("no id is free: is the clock right?"))
    }

    fn load(&mut self, parcel: Parcel) {
        let Parcel { carried, content } = parcel;
        let live = carried.live;
        let message = live.envelope.id;
        self.loaded.octets += content.len();
        if !carried.history.attempts.is_empty() {
            let mut settlement = self.settlement();
            settlement.connections = carried.history.connections;
            settlement.attempts = carried.history.attempts;
            self.loaded.after.push(Request::Settle(Arc::new(settlement)));
        }
        if !live.in_hand.is_empty() {
            let started = Started { message, recipients: live.in_hand, peer: live.in_hand_with };
            self.loaded.after.push(Request::Started(started));
        }
        let mail = NewMail {
            envelope: live.envelope,
            content: Content::Inline(content.into()),
            states: live.states,
        };
        self.loaded.accepts.push(Request::Accept(Arc::new(mail)));
    }

    fn settlement(&self) -> Settlement {
        Settlement {
            tenure: Tenure { shard: 0, epoch: self.log.epoch() },
            at: self.now,
            connections: Vec::new(),
            acts: Vec::new(),
            attempts: Vec::new(),
            changes: Vec::new(),
            withheld: Vec::new(),
            notices: Vec::new(),
            ledger: Vec::new(),
        }
    }

    /// Makes durable what is loaded.
    fn commit(&mut self) -> Result<()> {
        let Load { accepts, after, .. } = std::mem::take(&mut self.loaded);
        let requests = accepts.into_iter().chain(after).collect();
        self.commit_all(requests)
    }

    fn commit_all(&mut self, requests: Vec<Request>) -> Result<()> {
        let mut group = Group { requests, answers: Vec::new() };
        let done = self.log.commit(&mut group);
        for answer in &group.answers {
            if let Answer::Accepted(Ok(_)) = answer {
                self.imported.messages += 1;
            }
        }
        done?;
        let here = self.imported.messages;
        for answer in group.answers {
            let refused: Refused = match answer {
                Answer::Accepted(Err(refused)) => refused,
                Answer::Settled(Err(SettleFault::Fenced | SettleFault::StoreFault)) => {
                    Refused::Unhealthy
                }
                _ => continue,
            };
            return Err(anyhow!(
                "the spool takes no more ({refused}) after {here} messages; do it again when that is mended: what \
                 is here is passed over"
            ));
        }
        Ok(())
    }

    /// What is down there is not tried at once here; what this spool knows itself counts more.
    fn ledger(&mut self, arrived: &[LedgerEntry]) -> Result<()> {
        let known = self.log.ledger().map_err(|e| anyhow!("{e}"))?;
        let unknown = |entry: &&LedgerEntry| known.iter().all(|(key, _)| *key != entry.key);
        let ledger: Vec<LedgerEntry> = arrived.iter().filter(unknown).cloned().collect();
        if ledger.is_empty() {
            return Ok(());
        }
        let settlement = Settlement { ledger, ..self.settlement() };
        self.commit_all(vec![Request::Settle(Arc::new(settlement))])
    }
}

fn rename(parcel: &mut Parcel, new: QueueId) {
    parcel.carried.live.envelope.id = new;
    for attempt in &mut parcel.carried.history.attempts {
        attempt.message = new;
    }
}
