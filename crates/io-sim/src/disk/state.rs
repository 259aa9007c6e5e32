//! What the disk holds: per file and for the folder, what is there now and what a power cut would leave.
//!
//! A plain value: copied for checkpoints, replayed from recorded operations. No faults, no handles.

use super::content::Content;
use super::cut::{self, Cut, Sector};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Names a file whatever its name is now.
pub type FileId = u64;

/// One operation that reached the disk, in the order they came.
#[derive(Clone, Debug)]
pub enum Op {
    /// A file was made; durable by [`Op::SyncDir`].
    Create {
        /// The file.
        file: FileId,
        /// Its name.
        name: String,
    },
    /// Octets were written; durable by [`Op::Sync`].
    Write {
        /// The file.
        file: FileId,
        /// Where.
        offset: u64,
        /// What.
        data: Arc<[u8]>,
    },
    /// All writes to the file became durable.
    Sync {
        /// The file.
        file: FileId,
    },
    /// A sync failed: some pending writes landed, by this seed; the others never will, though they can
    /// still be read until the power goes (as Linux drops dirty pages after a write error).
    SyncFailed {
        /// The file.
        file: FileId,
        /// Chooses what landed.
        seed: u64,
    },
    /// A file got another name.
    Rename {
        /// The file.
        file: FileId,
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// A name was removed.
    Remove {
        /// The file.
        file: FileId,
        /// Its name.
        name: String,
    },
    /// All names became durable.
    SyncDir,
    /// Bits of the medium turned over.
    Rot {
        /// The file.
        file: FileId,
        /// Where.
        offset: u64,
        /// Which bits.
        mask: u8,
    },
    /// The power went and came back.
    PowerCut {
        /// What was left.
        how: Cut,
        /// What lands whole or not at all.
        sector: Sector,
    },
}

/// A write that is not yet durable.
#[derive(Clone)]
pub(super) struct Pending {
    /// The place among all operations of the disk.
    pub(super) order: u64,
    pub(super) offset: u64,
    pub(super) data: Arc<[u8]>,
}

impl Pending {
    pub(super) fn end(&self) -> u64 {
        self.offset + self.data.len() as u64
    }
}

/// A change of names that is not yet durable.
#[derive(Clone)]
pub(super) struct PendingName {
    pub(super) order: u64,
    pub(super) change: NameChange,
}

#[derive(Clone)]
pub(super) enum NameChange {
    Create(String, FileId),
    Rename { from: String, to: String, file: FileId },
    Remove(String, FileId),
}

impl NameChange {
    pub(super) fn apply(&self, names: &mut BTreeMap<String, FileId>) {
        let mut forget = |name: &String, file: FileId| {
            if names.get(name) == Some(&file) {
                names.remove(name);
            }
        };
        match self {
            Self::Create(name, file) => {
                names.insert(name.clone(), *file);
            }
            Self::Rename { from, to, file } => {
                forget(from, *file);
                names.insert(to.clone(), *file);
            }
            Self::Remove(name, file) => forget(name, *file),
        }
    }
}

#[derive(Clone, Default)]
pub(super) struct Inode {
    pub(super) current: Content,
    pub(super) durable: Content,
    pub(super) pending: Vec<Pending>,
}

#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) files: BTreeMap<FileId, Inode>,
    pub(super) names: BTreeMap<String, FileId>,
    pub(super) durable_names: BTreeMap<String, FileId>,
    pub(super) pending_names: Vec<PendingName>,
    pub(super) next_file: FileId,
    /// Operations so far.
    pub(super) order: u64,
}

impl State {
    /// Carries out one operation. Operations on files that are gone have no effect.
    pub(super) fn apply(&mut self, op: &Op) {
        self.order += 1;
        match op {
            Op::Create { file, name } => {
                self.files.insert(*file, Inode::default());
                self.next_file = self.next_file.max(file + 1);
                self.name(NameChange::Create(name.clone(), *file));
            }
            Op::Write { file, offset, data } => self.write(*file, *offset, data),
            Op::Sync { file } => self.sync(*file),
            Op::SyncFailed { file, seed } => {
                if let Some(inode) = self.files.get_mut(file) {
                    cut::fail_sync(inode, *seed);
                }
            }
            Op::Rename { file, from, to } => {
                let (from, to) = (from.clone(), to.clone());
                self.name(NameChange::Rename { from, to, file: *file });
            }
            Op::Remove { file, name } => self.name(NameChange::Remove(name.clone(), *file)),
            Op::SyncDir => self.sync_dir(),
            Op::Rot { file, offset, mask } => {
                if let Some(inode) = self.files.get_mut(file) {
                    inode.current.flip(*offset, *mask);
                    inode.durable.flip(*offset, *mask);
                }
            }
            Op::PowerCut { how, sector } => *self = cut::cut(self, *how, *sector),
        }
    }

    fn name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending_names.push(PendingName { order: self.order, change });
    }

    fn write(&mut self, file: FileId, offset: u64, data: &Arc<[u8]>) {
        let order = self.order;
        if let Some(inode) = self.files.get_mut(&file) {
            inode.current.write(offset, data);
            inode.pending.push(Pending { order, offset, data: Arc::clone(data) });
        }
    }

    fn sync(&mut self, file: FileId) {
        if let Some(inode) = self.files.get_mut(&file) {
            for write in inode.pending.drain(..) {
                inode.durable.write(write.offset, &write.data);
            }
        }
    }

    fn sync_dir(&mut self) {
        self.pending_names.clear();
        self.durable_names.clone_from(&self.names);
    }

    /// Forgets files that no name, durable or pending, leads to, and that nobody has open.
    pub(super) fn forget_unreachable(&mut self, open: impl Fn(FileId) -> bool) {
        let named: std::collections::BTreeSet<FileId> =
            self.names.values().chain(self.durable_names.values()).copied().collect();
        let pending = !self.pending_names.is_empty();
        self.files.retain(|id, _| pending || named.contains(id) || open(*id));
    }

    /// Octets that named files take.
    pub(super) fn used(&self) -> u64 {
        self.names.values().filter_map(|id| self.files.get(id)).map(|f| f.current.len()).sum()
    }
}
