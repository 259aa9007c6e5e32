//! The spool as operators handle it, with or without a daemon: messages carried out of it and into another one, and
//! what is damaged, kept in a folder of its own.
//!
//! Rooms: `parcel`, a message as files or as a line; `import`, into a spool that nobody has; `quarantine`, damaged
//! places and what is read of them. Not here: the store (`spool-local`), what is printed (`verbs`).

pub(crate) mod import;
pub(crate) mod parcel;
pub(crate) mod quarantine;
#[cfg(test)]
mod tests;

use posthaste_admin::keeper::Cargo;
use posthaste_io_tokio::RealDisk;
use posthaste_mail::{QueueId, Timestamp};
use posthaste_spool::{Carried, Content, LedgerEntry, ReadFault, Spool};
use posthaste_spool_local::{Log, OpenError, Report, Settings};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The folder of the spool within that of all data.
pub(crate) const FOLDER: &str = "spool";
/// Messages asked of the store at once.
const PAGE: usize = 100;
/// Octets of a large body read at once.
const STRIDE: usize = 1 << 20;

/// The folder of the spool, of a folder that is one or that of all data.
pub(crate) fn folder_of(data: &Path) -> PathBuf {
    let below = data.join(FOLDER);
    if !below.is_dir() && data.join("lock").exists() { data.to_owned() } else { below }
}

/// Opens a spool, to write to it or to look only.
pub(crate) fn open(disk: RealDisk, read_only: bool) -> Result<(Log<RealDisk>, Report), OpenError> {
    let salt = posthaste_io_tokio::unpredictable();
    Log::open(disk, Settings { salt, read_only, ..Settings::default() })
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Messages of a store with everything that belongs to them, after an id, about `octets` of contents.
///
/// # Errors
/// [`ReadFault::Disk`]; what is damaged is in the answer.
pub(crate) async fn cargo(
    spool: &dyn Spool,
    mut after: QueueId,
    octets: usize,
) -> Result<Cargo, ReadFault> {
    let mut cargo = Cargo::default();
    let mut loaded = 0;
    loop {
        let page = spool.live(after, PAGE).await?;
        for live in page.items {
            let id = live.envelope.id;
            match content(spool, id, live.envelope.facts.crc).await {
                Ok(Some(content)) => {
                    let history = match spool.history(id).await {
                        Err(ReadFault::Disk(error)) => return Err(ReadFault::Disk(error)),
                        history => history.unwrap_or_default(),
                    };
                    loaded += content.len();
                    cargo.messages.push((Carried { live, history }, content));
                }
                // It has left meanwhile.
                Ok(None) => {}
                Err(ReadFault::Damaged(id)) => cargo.damaged.push(id),
                Err(disk) => return Err(disk),
            }
            if loaded >= octets {
                cargo.next = Some(id);
                return Ok(cargo);
            }
        }
        match page.next {
            Some(next) => after = next,
            None => return Ok(cargo),
        }
    }
}

async fn content(spool: &dyn Spool, id: QueueId, crc: u32) -> Result<Option<Vec<u8>>, ReadFault> {
    let Some(stored) = spool.fetch(id).await? else { return Ok(None) };
    let content = match stored.content {
        Content::Inline(body) => body.to_vec(),
        Content::Spilled(body) => {
            let mut whole = Vec::new();
            while (whole.len() as u64) < body.size {
                whole.extend_from_slice(&spool.range(&body, whole.len() as u64, STRIDE).await?);
            }
            whole
        }
    };
    if crc32c::crc32c(&content) == crc { Ok(Some(content)) } else { Err(ReadFault::Damaged(id)) }
}

/// The ledger as entries that can be written.
pub(crate) async fn ledger(spool: &dyn Spool) -> Result<Vec<LedgerEntry>, ReadFault> {
    let entry = |(key, value)| LedgerEntry { key, value: Some(value) };
    Ok(spool.ledger().await?.into_iter().map(entry).collect())
}
