//! Events made again from the log, for an event log that a crash has cut short.

use crate::entry::{Head, Remembered};
use crate::index::At;
use crate::layout::entries;
use crate::place::Place;
use crate::scan;
use crate::shared::Shared;
use posthaste_evidence::{Connection, ConnectionId, Event};
use posthaste_io::Disk;
use posthaste_mail::{Envelope, QueueId};
use posthaste_spool::events::{self, Lookup};
use posthaste_spool::record::wire::Fields;
use posthaste_spool::{LedgerEntry, Lsn, Record, Settled};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

impl<D: Disk> Shared<D> {
    /// The events of commits after `commit`, in order. What cannot be read is listed and left out.
    pub(crate) fn events_since(&self, commit: u64) -> Vec<Event> {
        let mut telling = Telling {
            shared: self,
            paths: BTreeMap::new(),
            cache: RefCell::default(),
            hosts: BTreeMap::new(),
        };
        let news = self.news_since(commit);
        for (head, _) in &news {
            if let Head::End(end) = head {
                telling.paths.insert(end.id, end.envelope);
            }
        }
        let mut told = Vec::new();
        for (head, at) in news {
            telling.tell(&head, at, &mut told);
        }
        told.retain(|event| event.commit > commit);
        told
    }

    /// Entries that events are made of, and connections, of all segments with commits after `commit`. A commit
    /// that was written again at a start is taken once.
    fn news_since(&self, commit: u64) -> Vec<(Head, At)> {
        let segments: Vec<_> = {
            let index = self.index.lock();
            let late = index.segments.values().filter(|s| s.last_news > commit);
            late.map(|s| (Arc::clone(&s.file), s.header, s.used)).collect()
        };
        let mut news = Vec::new();
        let mut last = 0;
        for (file, header, used) in segments {
            for group in scan::known(&*file, &header, used) {
                if group.number <= last {
                    continue;
                }
                last = group.number;
                for raw in entries(&group.directory, group.offset).unwrap_or_default() {
                    let Ok(Some(head)) = Head::decode(raw.kind, raw.head) else { continue };
                    let late = group.number > commit && head.is_news();
                    if late || matches!(head, Head::Connection(_)) {
                        let (segment, offset, pieces) = (header.sequence, raw.offset, raw.pieces);
                        news.push((head, At { segment, offset, pieces, commit: group.number }));
                    }
                }
            }
        }
        news
    }
}

struct Telling<'a, D: Disk> {
    shared: &'a Shared<D>,
    /// Where the envelopes of messages are that have left.
    paths: BTreeMap<QueueId, Place>,
    cache: RefCell<BTreeMap<QueueId, Option<Envelope>>>,
    hosts: BTreeMap<ConnectionId, Place>,
}

impl<D: Disk> Telling<'_, D> {
    fn tell(&mut self, head: &Head, at: At, told: &mut Vec<Event>) {
        let commit = Lsn(at.commit);
        match head {
            Head::Connection(id) => {
                self.hosts.insert(*id, at.piece());
            }
            Head::Mail(_) => {
                let envelope = self.shared.envelope(at.piece()).ok();
                told.extend(envelope.map(|envelope| events::received(&envelope, commit)));
            }
            Head::Update(update) => {
                let remembered = self.shared.piece(at.piece()).ok();
                let remembered = remembered.and_then(|p| Remembered::decode(&p, update.id).ok());
                let settled = remembered.and_then(|remembered| remembered.settled);
                told.extend(settled.iter().flat_map(|s| events::of_message(s, commit, self)));
            }
            Head::End(end) => {
                let piece = self.shared.piece(at.piece()).ok();
                let settled =
                    piece.and_then(|p| Settled::read_within(Fields::new(&p), end.id).ok());
                told.extend(settled.iter().flat_map(|s| events::of_message(s, commit, self)));
            }
            Head::Ledger { .. } => {
                let piece = self.shared.piece(at.piece()).ok();
                let entry = piece.and_then(|p| LedgerEntry::decode(&p).ok());
                told.extend(entry.and_then(|entry| events::of_ledger(&entry, commit)));
            }
            Head::Started(_) => {}
        }
    }

    fn envelope(&self, id: QueueId) -> Option<Envelope> {
        let of_live = || {
            let read = |slot: &crate::index::Slot| self.shared.envelope(slot.envelope);
            self.shared.with_slot(id, read).ok().flatten()
        };
        let ended = self.paths.get(&id).and_then(|place| self.shared.envelope(*place).ok());
        ended.or_else(of_live)
    }
}

impl<D: Disk> Lookup for Telling<'_, D> {
    fn forward_path(&self, message: QueueId, recipient: u32) -> Option<String> {
        let mut cache = self.cache.borrow_mut();
        let envelope = cache.entry(message).or_insert_with(|| self.envelope(message));
        let recipient = envelope.as_ref()?.recipients.get(recipient as usize)?;
        Some(recipient.mailbox.as_str().to_owned())
    }

    fn host(&self, connection: ConnectionId) -> Option<(String, SocketAddr)> {
        let piece = self.shared.piece(*self.hosts.get(&connection)?).ok()?;
        Connection::decode(&piece).ok().as_ref().and_then(events::host_of)
    }
}
