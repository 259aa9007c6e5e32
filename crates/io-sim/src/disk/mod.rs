//! A disk in memory that tells what is durable from what is not, loses power, fills up, fails and rots.
//!
//! [`SimDisk`] needs no executor: it is synchronous, a cheap handle (`Clone`), and `Send`. Two ways to cut the
//! power: [`SimDisk::power_cut`] in the middle of a simulation, and [`Recording::cut`] afterwards, at any
//! operation of a recorded run. Nothing is durable before its sync, names included: a file's sync does not
//! make its name durable. Not here: latency, folders in folders, links.

mod content;
mod cut;
mod faults;
mod record;
mod state;

pub use cut::{Cut, Sector};
pub use faults::{DiskFault, PowerLost, Stats};
pub use record::Recording;
pub use state::{FileId, Op};

use faults::Faults;
use parking_lot::Mutex;
use posthaste_io::{Disk, DiskFile, OpenMode};
use state::State;
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// What a disk is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Octets it holds.
    pub capacity: u64,
    /// What is written whole or not at all.
    pub sector: Sector,
}

impl Default for Limits {
    /// 1 GiB, sectors of 512 octets.
    fn default() -> Self {
        Self { capacity: 1 << 30, sector: Sector::Octets512 }
    }
}

/// A handle on a simulated disk. Clones see the same disk; after a cut the old handles, and the files
/// opened through them, answer every call with [`PowerLost`] and change nothing.
#[derive(Clone)]
pub struct SimDisk {
    inner: Arc<Mutex<Inner>>,
    era: u64,
}

/// An open file of a [`SimDisk`].
pub struct SimFile {
    disk: SimDisk,
    file: FileId,
    name: String,
    writable: bool,
}

struct Inner {
    state: State,
    limits: Limits,
    /// Raised by every cut; handles of an older era are dead.
    era: u64,
    open: BTreeMap<FileId, usize>,
    faults: Faults,
    stats: Stats,
    digest: u64,
    recording: Option<Recording>,
}

impl SimDisk {
    /// An empty disk of 1 GiB with sectors of 512 octets.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Limits::default())
    }

    /// An empty disk.
    #[must_use]
    pub fn with(limits: Limits) -> Self {
        Self::from_state(State::default(), limits)
    }

    fn from_state(state: State, limits: Limits) -> Self {
        let inner = Inner {
            state,
            limits,
            era: 0,
            open: BTreeMap::new(),
            faults: Faults::default(),
            stats: Stats::default(),
            digest: 0,
            recording: None,
        };
        Self { inner: Arc::new(Mutex::new(inner)), era: 0 }
    }

    /// Cuts the power: this handle, its clones and their files are dead; the answer is the disk as the next
    /// start finds it. Faults and recording go on.
    #[must_use]
    pub fn power_cut(&self, how: Cut) -> Self {
        let mut inner = self.inner.lock();
        let sector = inner.limits.sector;
        inner.perform(Op::PowerCut { how, sector });
        inner.next_era(self)
    }

    /// Ends the process but not the machine: handles are dead, all that was written is still there, and what
    /// was not synced can still be lost by a later power cut.
    #[must_use]
    pub fn process_end(&self) -> Self {
        self.inner.lock().next_era(self)
    }

    /// Changes the capacity, octets; less than is used means: full.
    pub fn set_capacity(&self, octets: u64) {
        self.inner.lock().limits.capacity = octets;
    }

    /// Adds a fault; each acts once, the first that matches first.
    pub fn inject(&self, fault: DiskFault) {
        self.inner.lock().faults.add(fault);
    }

    /// From now on the data syncs of files whose name `lies` takes are answered and not done: to show that a
    /// test would notice a missing sync.
    pub fn lie_about_sync(&self, lies: impl Fn(&str) -> bool + Send + 'static) {
        self.inner.lock().faults.lie_about_sync(Box::new(lies));
    }

    /// From now on syncs of the folder are answered and not done.
    pub fn lie_about_sync_dir(&self) {
        self.inner.lock().faults.lie_about_sync_dir();
    }

    /// Turns bits of a stored octet over, now and for good. Nothing happens where there is no such octet.
    pub fn rot(&self, name: &str, offset: u64, mask: u8) {
        let mut inner = self.inner.lock();
        if let Some(&file) = inner.state.names.get(name) {
            inner.perform(Op::Rot { file, offset, mask });
        }
    }

    /// Starts to record, from the disk as it is now; an earlier recording is forgotten.
    pub fn start_recording(&self) {
        let mut inner = self.inner.lock();
        inner.recording = Some(Recording::new(inner.state.clone(), inner.limits));
    }

    /// Ends the recording and gives it; empty when none was started.
    #[must_use]
    pub fn stop_recording(&self) -> Recording {
        let mut inner = self.inner.lock();
        let (state, limits) = (inner.state.clone(), inner.limits);
        inner.recording.take().unwrap_or_else(|| Recording::new(state, limits))
    }

    /// How many operations the recording has now: what is promised at this moment must survive every cut at
    /// this position or later.
    #[must_use]
    pub fn position(&self) -> usize {
        self.inner.lock().recording.as_ref().map_or(0, Recording::len)
    }

    /// Counts of calls and octets so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.lock().stats
    }

    /// A hash over all operations so far: equal runs give equal digests.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.inner.lock().digest
    }

    fn alive(&self) -> io::Result<parking_lot::MutexGuard<'_, Inner>> {
        let inner = self.inner.lock();
        if inner.era == self.era { Ok(inner) } else { Err(io::Error::other(PowerLost)) }
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<SimFile> {
        let mut inner = self.alive()?;
        let known = inner.state.names.get(name).copied();
        let file = match (mode, known) {
            (OpenMode::Create, Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (OpenMode::Create, None) => {
                let file = inner.state.next_file;
                inner.perform(Op::Create { file, name: name.to_owned() });
                file
            }
            (_, Some(file)) => file,
            (_, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        *inner.open.entry(file).or_default() += 1;
        drop(inner);
        let writable = mode != OpenMode::Read;
        Ok(SimFile { disk: self.clone(), file, name: name.to_owned(), writable })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.alive()?;
        let file = inner.named(from)?;
        inner.perform(Op::Rename { file, from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.alive()?;
        let file = inner.named(name)?;
        inner.perform(Op::Remove { file, name: name.to_owned() });
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let inner = self.alive()?;
        let length = |id| inner.state.files.get(id).map_or(0, |f| f.current.len());
        Ok(inner.state.names.iter().map(|(name, id)| (name.clone(), length(id))).collect())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut inner = self.alive()?;
        inner.stats.dir_syncs += 1;
        inner.faults.sync_dir()?;
        if !inner.faults.lies_about_sync_dir() {
            inner.perform(Op::SyncDir);
            let inner = &mut *inner;
            inner.state.forget_unreachable(|id| inner.open.contains_key(&id));
        }
        Ok(())
    }

    fn free_space(&self) -> io::Result<u64> {
        let inner = self.alive()?;
        Ok(inner.limits.capacity.saturating_sub(inner.state.used()))
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bufs: &[IoSlice<'_>]) -> io::Result<()> {
        let mut inner = self.disk.alive()?;
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut data = gather(bufs);
        inner.stats.writes += 1;
        inner.stats.written += data.len() as u64;
        let failed = inner.faults.write(&self.name);
        let fits = inner.fits(self.file, offset, data.len());
        let full = fits < data.len();
        if failed {
            // Half of a failed write is there: what was written is unknown to the caller.
            data.truncate(data.len() / 2);
        }
        data.truncate(fits);
        if !data.is_empty() {
            inner.perform(Op::Write { file: self.file, offset, data: data.into() });
        }
        match (failed, full) {
            (true, _) => Err(faults::io_failed()),
            (false, true) => Err(io::ErrorKind::StorageFull.into()),
            (false, false) => Ok(()),
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.disk.alive()?;
        inner.stats.reads += 1;
        let inode = inner.state.files.get(&self.file).ok_or(io::ErrorKind::NotFound)?;
        let read = inode.current.read(offset, buf);
        inner.faults.read(&self.name, offset, &mut buf[..read])?;
        Ok(read)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.disk.alive()?;
        inner.stats.syncs += 1;
        if inner.faults.sync(&self.name) {
            let seed = inner.digest;
            inner.perform(Op::SyncFailed { file: self.file, seed });
            return Err(faults::io_failed());
        }
        if !inner.faults.lies_about_sync(&self.name) {
            inner.perform(Op::Sync { file: self.file });
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let inner = self.disk.alive()?;
        Ok(inner.state.files.get(&self.file).map_or(0, |f| f.current.len()))
    }
}

fn gather(bufs: &[IoSlice<'_>]) -> Vec<u8> {
    let mut data = Vec::with_capacity(bufs.iter().map(|b| b.len()).sum());
    bufs.iter().for_each(|b| data.extend_from_slice(b));
    data
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let Ok(mut inner) = self.disk.alive() else { return };
        if let Some(count) = inner.open.get_mut(&self.file) {
            *count -= 1;
            if *count == 0 {
                inner.open.remove(&self.file);
            }
        }
    }
}

impl Inner {
    fn perform(&mut self, op: Op) {
        self.digest = faults::digest(self.digest, &op);
        self.state.apply(&op);
        if let Some(recording) = &mut self.recording {
            recording.push(op, &self.state);
        }
    }

    fn named(&self, name: &str) -> io::Result<FileId> {
        self.state.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// How many of `len` octets at `offset` the disk has room for.
    fn fits(&self, file: FileId, offset: u64, len: usize) -> usize {
        let has = self.state.files.get(&file).map_or(0, |f| f.current.len());
        let end = offset + len as u64;
        let free = self.limits.capacity.saturating_sub(self.state.used());
        let over = end.saturating_sub(has.max(offset)).saturating_sub(free);
        len.saturating_sub(usize::try_from(over).unwrap_or(usize::MAX))
    }

    fn next_era(&mut self, disk: &SimDisk) -> SimDisk {
        self.era += 1;
        self.open.clear();
        SimDisk { inner: Arc::clone(&disk.inner), era: self.era }
    }
}

#[cfg(test)]
mod tests;
