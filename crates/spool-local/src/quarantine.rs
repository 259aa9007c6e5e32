//! What is damaged, taken out for those who look at it: the octets of each place, and what has become of the messages
//! in them since.

use crate::entry::Head;
use crate::layout::entries;
use crate::local::LocalSpool;
use crate::log::{Failed, Log, failed};
use crate::salvage::Stretch;
use crate::scan;
use crate::shared::Shared;
use bytes::Bytes;
use posthaste_io::{Disk, DiskFile};
use posthaste_mail::QueueId;
use posthaste_spool::store::Quarantined;
use posthaste_spool::{LedgerKey, LedgerValue, Live, ReadFault};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most octets of one damaged place that are taken out: a commit is smaller; more is a whole segment, which stays
/// where it is.
const MAX_STRETCH: u32 = 16 << 20;

/// What the records say of a message, wherever it is mentioned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fate {
    /// It is mentioned, and nothing says that it has left.
    Mentioned,
    /// It has left.
    Left,
    /// It is in the queue.
    Live,
}

impl<D: Disk> Log<D> {
    /// What is damaged, and its octets where they could be taken out of a segment.
    #[must_use]
    pub fn damaged(&self) -> Vec<(Quarantined, Option<Stretch>)> {
        self.shared.damaged()
    }

    /// What the records say of these messages; those that no readable record mentions are left out. Reads every
    /// directory of the store.
    #[must_use]
    pub fn fates(&self, of: &BTreeSet<QueueId>) -> BTreeMap<QueueId, Fate> {
        self.shared.fates(of)
    }

    /// One live message's envelope and states.
    ///
    /// # Errors
    /// [`ReadFault`] when its record cannot be read.
    pub fn find(&self, id: QueueId) -> Result<Option<Live>, ReadFault> {
        self.shared.find(id)
    }

    /// The whole ledger, in order of key.
    ///
    /// # Errors
    /// [`ReadFault::Disk`] when the disk does not answer.
    pub fn ledger(&self) -> Result<Vec<(LedgerKey, LedgerValue)>, ReadFault> {
        self.shared.ledger()
    }

    /// Segments that were lost are no longer looked for.
    ///
    /// # Errors
    /// [`Failed`] when the disk does.
    pub fn forget_lost(&mut self) -> Result<(), Failed> {
        let done = self.manifest.forget_lost().map_err(|e| failed(&e));
        self.note_failure(done)
    }
}

impl<D: Disk + 'static> LocalSpool<D> {
    /// What is damaged, and its octets where they could be taken out of a segment.
    #[must_use]
    pub fn damaged(&self) -> Vec<(Quarantined, Option<Stretch>)> {
        self.shared.damaged()
    }

    /// What the records say of these messages; those that no readable record mentions are left out. Reads every
    /// directory of the store: takes its time.
    #[must_use]
    pub fn fates(&self, of: &BTreeSet<QueueId>) -> BTreeMap<QueueId, Fate> {
        self.shared.fates(of)
    }
}

impl<D: Disk> Shared<D> {
    fn damaged(&self) -> Vec<(Quarantined, Option<Stretch>)> {
        let (listed, places) = {
            let index = self.index.lock();
            (index.quarantined.clone(), index.damaged_places())
        };
        let with_stretch = |damage: Quarantined| {
            let place = places.iter().find(|(name, ..)| *name == damage.place);
            let stretch = place.and_then(|(_, segment, first, end)| {
                self.stretch(*segment, u32::try_from(*first).ok()?, u32::try_from(*end).ok()?)
            });
            (damage, stretch)
        };
        listed.into_iter().map(with_stretch).collect()
    }

    /// The octets of a damaged place: of a record's the whole group, where that is known.
    fn stretch(&self, segment: u32, first: u32, end: u32) -> Option<Stretch> {
        let (file, header, used) = {
            let index = self.index.lock();
            let segment = index.segments.get(&segment)?;
            (Arc::clone(&segment.file), segment.header, segment.used)
        };
        let groups = scan::known(&*file, &header, used);
        let around = groups.iter().find(|g| g.offset <= first && first < g.end());
        let (first, end) = around.map_or((first, end), |g| (g.offset, g.end()));
        let length = end.checked_sub(first)?.min(MAX_STRETCH);
        let mut octets = vec![0; length as usize];
        let read = file.read_at(u64::from(first), &mut octets).ok()?;
        octets.truncate(read);
        Some(Stretch {
            sequence: header.sequence,
            seed: header.seed().number(),
            offset: first,
            octets: Bytes::from(octets),
        })
    }

    fn fates(&self, of: &BTreeSet<QueueId>) -> BTreeMap<QueueId, Fate> {
        let mut fates = BTreeMap::new();
        let segments: Vec<_> = {
            let index = self.index.lock();
            let live = |id: &&QueueId| index.messages.contains_key(id);
            fates.extend(of.iter().filter(live).map(|id| (*id, Fate::Live)));
            index.segments.values().map(|s| (Arc::clone(&s.file), s.header, s.used)).collect()
        };
        let mut note = |id: QueueId, fate: Fate| {
            if of.contains(&id) {
                let known = fates.entry(id).or_insert(fate);
                *known = fate.max(*known);
            }
        };
        for (file, header, used) in segments {
            for group in scan::known(&*file, &header, used) {
                for raw in entries(&group.directory, group.offset).unwrap_or_default() {
                    match Head::decode(raw.kind, raw.head) {
                        Ok(Some(Head::End(end))) => note(end.id, Fate::Left),
                        Ok(Some(Head::Mail(mail))) => note(mail.id, Fate::Mentioned),
                        Ok(Some(Head::Update(update))) => note(update.id, Fate::Mentioned),
                        _ => {}
                    }
                }
            }
        }
        fates
    }
}
