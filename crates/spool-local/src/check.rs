//! Reads a whole store and says what is wrong with it: every group and piece, every envelope, history and content
//! against its checksum, the ledger. Changes nothing; of a store opened read-only it tells what an open would do.
//!
//! Not here: the open itself, which reads only what it needs (`open`).

use crate::index::Segment;
use crate::log::Log;
use crate::scan;
use posthaste_io::Disk;
use posthaste_mail::{Envelope, QueueId};
use posthaste_spool::store::Quarantined;
use posthaste_spool::{Content, ReadFault, Stored};
use std::sync::Arc;

/// Messages looked at at once.
const PAGE: usize = 500;
/// Octets of a content read at once.
const STRIDE: usize = 1 << 20;

/// Of a content whose checksum is another.
pub(crate) const CHANGED: &str = "its content is not what was accepted";

/// What a check has read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Checked {
    /// Segments with records.
    pub segments: u64,
    /// Of them those without an index at their end: an open reads them group by group.
    pub without_index: u64,
    /// Groups that are whole.
    pub groups: u64,
    /// Live messages whose every part can be read.
    pub messages: u64,
    /// Octets of their contents.
    pub octets: u64,
    /// Of them those with a file of their own.
    pub large: u64,
    /// Ledger entries.
    pub ledger: u64,
    /// All that cannot be read, what the open has found included.
    pub damaged: Vec<Quarantined>,
}

impl<D: Disk> Log<D> {
    /// Reads everything.
    ///
    /// # Errors
    /// [`ReadFault::Disk`] when the disk does not answer; damage is no error.
    pub fn check(&self) -> Result<Checked, ReadFault> {
        let mut checked = Checked::default();
        self.check_segments(&mut checked);
        let mut after = QueueId::MIN;
        loop {
            let ids = self.ids_after(after);
            let Some(last) = ids.last() else { break };
            after = *last;
            for id in ids {
                self.check_message(id, &mut checked)?;
            }
        }
        checked.ledger = self.shared.ledger()?.len() as u64;
        checked.damaged.clone_from(&self.shared.index.lock().quarantined);
        Ok(checked)
    }

    fn check_segments(&self, checked: &mut Checked) {
        let facts = |s: &Segment<D::File>| (Arc::clone(&s.file), s.header, s.indexed);
        let all: Vec<_> = self.shared.index.lock().segments.values().map(facts).collect();
        for (file, header, indexed) in all {
            let found = scan::whole(&*file, &header);
            checked.segments += 1;
            checked.without_index += u64::from(!indexed);
            checked.groups += found.groups.len() as u64;
            let mut index = self.shared.index.lock();
            for (offset, size) in found.damage {
                let size = u64::from(size);
                index.quarantine(header.sequence, offset, size, "a commit is damaged");
            }
        }
    }

    fn ids_after(&self, after: QueueId) -> Vec<QueueId> {
        let index = self.shared.index.lock();
        index.messages.range(after.next()..).take(PAGE).map(|(id, _)| *id).collect()
    }

    fn check_message(&self, id: QueueId, checked: &mut Checked) -> Result<(), ReadFault> {
        let what = match self.fault_of(id, checked) {
            Err(ReadFault::Disk(error)) => return Err(ReadFault::Disk(error)),
            // Listed by the reader, with its place.
            Err(ReadFault::Damaged(_)) | Ok(None) => return Ok(()),
            Ok(Some(what)) => what,
        };
        let place = format!("message {id}");
        self.shared.index.lock().list_damage(Quarantined { place, size: 0, what });
        Ok(())
    }

    /// What is wrong with a message that can be read.
    fn fault_of(
        &self,
        id: QueueId,
        checked: &mut Checked,
    ) -> Result<Option<&'static str>, ReadFault> {
        let Some(live) = self.shared.find(id)? else { return Ok(None) };
        let Some(stored) = self.shared.fetch(id)? else { return Ok(None) };
        self.shared.history(id)?;
        if live.envelope.id != id {
            return Ok(Some("its envelope has another id"));
        }
        if live.states.len() != live.envelope.recipients.len() {
            return Ok(Some("it has not as many states as recipients"));
        }
        if self.crc_of(&stored)? != live.envelope.facts.crc {
            return Ok(Some(CHANGED));
        }
        let Envelope { facts, .. } = &live.envelope;
        checked.messages += 1;
        checked.octets += facts.size;
        checked.large += u64::from(matches!(stored.content, Content::Spilled(_)));
        Ok(None)
    }

    fn crc_of(&self, stored: &Stored) -> Result<u32, ReadFault> {
        let body = match &stored.content {
            Content::Inline(body) => {
                let chunks = body.chunks().iter();
                return Ok(chunks.fold(0, |crc, chunk| crc32c::crc32c_append(crc, chunk)));
            }
            Content::Spilled(body) => body,
        };
        let (mut crc, mut at) = (0, 0);
        while at < body.size {
            let part = self.shared.range(body, at, STRIDE)?;
            crc = crc32c::crc32c_append(crc, &part);
            at += part.len() as u64;
        }
        Ok(crc)
    }
}
