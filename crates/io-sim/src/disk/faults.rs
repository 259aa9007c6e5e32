//! Faults by script, counts, and the hash of operations.

use super::cut::Cut;
use super::state::Op;
use std::io;

/// A fault of the disk; each acts once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DiskFault {
    /// After `after` more data syncs (of this file, or of any) one fails with EIO. What was pending then is
    /// partly lost for good, though a read still shows it.
    SyncFails {
        /// The file's name when it was opened; `None` for any.
        name: Option<String>,
        /// Successful ones before it.
        after: u64,
    },
    /// After `after` more folder syncs one fails with EIO.
    SyncDirFails {
        /// Successful ones before it.
        after: u64,
    },
    /// After `after` more writes one fails with EIO, half written.
    WriteFails {
        /// The file's name when it was opened; `None` for any.
        name: Option<String>,
        /// Successful ones before it.
        after: u64,
    },
    /// The next read of this file that covers `offset` fails with EIO.
    ReadFails {
        /// The file's name when it was opened.
        name: String,
        /// The bad octet.
        offset: u64,
    },
    /// The next read of this file that covers `offset` gives that octet with these bits turned over.
    ReadCorrupt {
        /// The file's name when it was opened.
        name: String,
        /// The bad octet.
        offset: u64,
        /// Which bits.
        mask: u8,
    },
}

/// The handle is from before a power cut or the end of its process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the machine of this disk handle is gone")]
pub struct PowerLost;

/// Calls and octets so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Calls of `write_at`.
    pub writes: u64,
    /// Octets given to `write_at`.
    pub written: u64,
    /// Calls of `read_at`.
    pub reads: u64,
    /// Calls of `sync_data`.
    pub syncs: u64,
    /// Calls of `sync_dir`.
    pub dir_syncs: u64,
}

type Lies = Box<dyn Fn(&str) -> bool + Send>;

#[derive(Default)]
pub(super) struct Faults {
    script: Vec<DiskFault>,
    sync_lies: Option<Lies>,
    sync_dir_lies: bool,
}

impl Faults {
    pub(super) fn add(&mut self, fault: DiskFault) {
        self.script.push(fault);
    }

    pub(super) fn lie_about_sync(&mut self, lies: Lies) {
        self.sync_lies = Some(lies);
    }

    pub(super) fn lie_about_sync_dir(&mut self) {
        self.sync_dir_lies = true;
    }

    pub(super) fn lies_about_sync(&self, name: &str) -> bool {
        self.sync_lies.as_ref().is_some_and(|lies| lies(name))
    }

    pub(super) fn lies_about_sync_dir(&self) -> bool {
        self.sync_dir_lies
    }

    /// True when this sync fails.
    pub(super) fn sync(&mut self, file: &str) -> bool {
        self.count_down(|fault| match fault {
            DiskFault::SyncFails { name, after } if concerns(name, file) => Some(after),
            _ => None,
        })
    }

    /// True when this write fails.
    pub(super) fn write(&mut self, file: &str) -> bool {
        self.count_down(|fault| match fault {
            DiskFault::WriteFails { name, after } if concerns(name, file) => Some(after),
            _ => None,
        })
    }

    pub(super) fn sync_dir(&mut self) -> io::Result<()> {
        let fails = self.count_down(|fault| match fault {
            DiskFault::SyncDirFails { after } => Some(after),
            _ => None,
        });
        if fails { Err(io_failed()) } else { Ok(()) }
    }

    pub(super) fn read(&mut self, file: &str, from: u64, octets: &mut [u8]) -> io::Result<()> {
        let covers = |offset: u64| (from..from + octets.len() as u64).contains(&offset);
        let hit = self.script.iter().position(|fault| match fault {
            DiskFault::ReadFails { name, offset } | DiskFault::ReadCorrupt { name, offset, .. } => {
                name == file && covers(*offset)
            }
            _ => false,
        });
        match hit.map(|index| self.script.remove(index)) {
            Some(DiskFault::ReadCorrupt { offset, mask, .. }) => {
                let index = usize::try_from(offset - from).expect("covered by the buffer");
                octets[index] ^= mask;
                Ok(())
            }
            Some(_) => Err(io_failed()),
            None => Ok(()),
        }
    }

    /// Counts down the first fault that `counter` knows; true when its time has come.
    fn count_down(&mut self, counter: impl Fn(&mut DiskFault) -> Option<&mut u64>) -> bool {
        for index in 0..self.script.len() {
            let Some(after) = counter(&mut self.script[index]) else { continue };
            if *after == 0 {
                self.script.remove(index);
                return true;
            }
            *after -= 1;
            return false;
        }
        false
    }
}

fn concerns(name: &Option<String>, file: &str) -> bool {
    name.as_ref().is_none_or(|name| name == file)
}

/// EIO, as the kernel reports a broken disk.
pub(super) fn io_failed() -> io::Error {
    const EIO: i32 = 5;
    io::Error::from_raw_os_error(EIO)
}

/// The digest with one more operation in it.
pub(super) fn digest(so_far: u64, op: &Op) -> u64 {
    let mut hash = crate::hash::Hash::from(so_far);
    match op {
        Op::Create { file, name } => hash.word(1).word(*file).bytes(name.as_bytes()),
        Op::Write { file, offset, data } => hash.word(2).word(*file).word(*offset).bytes(data),
        Op::Sync { file } => hash.word(3).word(*file),
        Op::SyncFailed { file, seed } => hash.word(4).word(*file).word(*seed),
        Op::Rename { file, from, to } => {
            hash.word(5).word(*file).bytes(from.as_bytes()).bytes(to.as_bytes())
        }
        Op::Remove { file, name } => hash.word(6).word(*file).bytes(name.as_bytes()),
        Op::SyncDir => hash.word(7),
        Op::Rot { file, offset, mask } => {
            hash.word(8).word(*file).word(*offset).word(u64::from(*mask))
        }
        Op::PowerCut { how, .. } => hash.word(9).word(match how {
            Cut::Lost => 0,
            Cut::Landed => 1,
            Cut::Seeded(seed) => *seed,
        }),
    };
    hash.value()
}
