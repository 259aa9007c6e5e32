//! Contents in files of their own: synced, renamed, the folder synced, and only then named by a commit.

use crate::files::{body_name, create_anew, unfinished_body_name};
use crate::log::{Failed, Log, failed, is_full};
use crate::shared::Shared;
use bytes::Bytes;
use posthaste_io::{Disk, DiskFile, OpenMode};
use posthaste_mail::QueueId;
use posthaste_spool::SpilledBody;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// A file being written; dropped before [`BodyFile::finish`], it leaves nothing behind.
pub(crate) struct BodyFile<D: Disk> {
    shared: Arc<Shared<D>>,
    id: QueueId,
    file: Option<D::File>,
    written: u64,
}

impl<D: Disk> BodyFile<D> {
    pub(crate) fn create(shared: Arc<Shared<D>>, id: QueueId) -> io::Result<Self> {
        let file = create_anew(&*shared.disk.lock(), &unfinished_body_name(id))?;
        Ok(Self { shared, id, file: Some(file), written: 0 })
    }

    pub(crate) fn write(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let slices: Vec<_> = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
        file.write_at(self.written, &slices)?;
        self.written += chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        Ok(())
    }

    pub(crate) fn finish(mut self) -> io::Result<SpilledBody> {
        let file = self.file.take().ok_or(io::ErrorKind::NotFound)?;
        let (id, size) = (self.id, self.written);
        let unfinished = unfinished_body_name(id);
        let synced = file.sync_data();
        let disk = self.shared.disk.lock();
        let named = synced.and_then(|()| disk.rename(&unfinished, &body_name(id)));
        if named.is_err() {
            let _ = disk.remove(&unfinished);
        }
        named?;
        disk.sync_dir()?;
        Ok(SpilledBody::new(id, size))
    }
}

impl<D: Disk> Drop for BodyFile<D> {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = self.shared.disk.lock().remove(&unfinished_body_name(self.id));
        }
    }
}

impl<D: Disk> Log<D> {
    /// `false` when the disk has no room for it.
    pub(crate) fn write_body(&self, id: QueueId, chunks: &[Bytes]) -> Result<bool, Failed> {
        let write = || {
            let mut body = BodyFile::create(Arc::clone(&self.shared), id)?;
            body.write(chunks)?;
            body.finish()
        };
        match write() {
            Err(error) if is_full(&error) => Ok(false),
            done => done.map(|_| true).map_err(|e| failed(&e)),
        }
    }

    pub(crate) fn body_is_there(&self, body: &SpilledBody) -> bool {
        let file = self.shared.disk.lock().open(&body_name(body.id), OpenMode::Read);
        file.and_then(|file| file.len()).is_ok_and(|length| length == body.in_file())
    }

    /// See [`Shared::remove_body`].
    pub(crate) fn unlink_body(&self, id: QueueId) {
        self.shared.remove_body(id);
    }
}

impl<D: Disk> Shared<D> {
    /// Removes a content that no durable record names. One that stays is found at the next start.
    pub(crate) fn remove_body(&self, id: QueueId) {
        let _ = self.disk.lock().remove(&body_name(id));
    }
}
