//! The spool of the running daemon as the operators' interface sees it: `admin::keeper::Keeper`.

use crate::spool::quarantine::{self, Quarantine};
use crate::spool::{self, FOLDER};
use posthaste_admin::desk::DeskFault;
use posthaste_admin::keeper::{Cargo, Keeper, RestoreFault, Restored, Wanted};
use posthaste_io::Task;
use posthaste_io_tokio::RealDisk;
use posthaste_mail::QueueId;
use posthaste_spool::store::Quarantined;
use posthaste_spool::{LedgerEntry, ReadFault, Spool};
use posthaste_spool_local::LocalSpool;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The spool, and what is damaged in it.
#[derive(Clone)]
pub(super) struct Stock {
    data: PathBuf,
    spool: Arc<LocalSpool<RealDisk>>,
    /// One restores at a time: a message is not restored twice.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Stock {
    pub(super) fn new(data: &Path, spool: Arc<LocalSpool<RealDisk>>) -> Self {
        Self { data: data.to_owned(), spool, turn: Arc::default() }
    }

    /// Keeps what is damaged where it can be looked at. That it cannot be kept is no reason to stop.
    pub(super) fn keep_damage(&self) {
        match Quarantine::of(&self.data).keep(self.spool.damaged()) {
            Ok(0) => {}
            Ok(places) => tracing::error!(
                places,
                "damaged places of the spool are in quarantine: see `posthaste spool quarantine list`"
            ),
            Err(error) => tracing::error!("damaged places of the spool cannot be kept: {error:#}"),
        }
    }
}

impl Keeper for Stock {
    fn folder(&self) -> PathBuf {
        self.data.join(FOLDER)
    }

    fn quarantined(&self) -> Vec<Quarantined> {
        self.spool.quarantined()
    }

    fn carried(&self, after: QueueId, octets: usize) -> Task<'_, Result<Cargo, DeskFault>> {
        Box::pin(async move { spool::cargo(&*self.spool, after, octets).await.map_err(fault) })
    }

    fn ledger(&self) -> Task<'_, Result<Vec<LedgerEntry>, DeskFault>> {
        Box::pin(async move { spool::ledger(&*self.spool).await.map_err(fault) })
    }

    fn restore(&self, wanted: Wanted) -> Task<'_, Result<Vec<Restored>, RestoreFault>> {
        Box::pin(async move {
            let _turn = self.turn.lock().await;
            let quarantine = Quarantine::of(&self.data);
            let by = wanted.by.clone();
            let prepared = {
                let (quarantine, spool) = (quarantine.clone(), Arc::clone(&self.spool));
                let read = move || quarantine::prepare(&quarantine, &spool, &wanted);
                let read = tokio::task::spawn_blocking(read).await;
                read.map_err(|error| RestoreFault::Failed(error.to_string()))??
            };
            let restored =
                quarantine::restore(&quarantine, &self.spool, prepared, by.clone()).await?;
            for one in &restored {
                let (id, new) = (one.id.to_string(), one.new.map(|id| id.to_string()));
                let by = by.as_deref().unwrap_or("nobody known");
                tracing::info!(id, new, by, why_not = one.why_not, "out of the quarantine");
            }
            Ok(restored)
        })
    }
}

fn fault(read: ReadFault) -> DeskFault {
    DeskFault(read.to_string())
}
