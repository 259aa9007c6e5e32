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
use posthaste_spool_local::{LocalSpool, Stretch};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// The spool, and what is damaged in it.
#[derive(Clone)]
pub(super) struct Stock {
    data: PathBuf,
    spool: Arc<LocalSpool<RealDisk>>,
    /// One restores at a time: a message is not restored twice.
    turn: Arc<tokio::sync::Mutex<()>>,
    damage: Arc<Mutex<Damage>>,
}

/// What is known of damage.
#[derive(Default)]
struct Damage {
    /// Places that the log has told of.
    told: BTreeSet<String>,
    /// How many had been found at the last look.
    found: u64,
    /// Found in this run and not in the quarantine: it could not be written.
    unkept: u64,
    /// Of all places ever found those that nobody has removed from the quarantine, and those that are not in it.
    open: u64,
    /// When the quarantine had last changed.
    changed: Option<SystemTime>,
}

impl Stock {
    pub(super) fn new(data: &Path, spool: Arc<LocalSpool<RealDisk>>) -> Self {
        let (turn, damage) = Default::default();
        Self { data: data.to_owned(), spool, turn, damage }
    }

    /// Keeps what has been found damaged since the last look where it can be looked at, and tells of it. That it
    /// cannot be kept is no reason to stop. Copies octets: takes its time.
    pub(super) fn keep_damage(&self) {
        let quarantine = Quarantine::of(&self.data);
        let mut damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        let health = self.spool.health();
        let changed = quarantine.changed();
        if (health.quarantined, changed) == (damage.found, damage.changed) {
            return;
        }
        if health.quarantined != damage.found {
            let found = self.spool.damaged();
            for (place, _) in &found {
                if damage.told.insert(place.place.clone()) {
                    tell(place);
                }
            }
            damage.unkept = keep(&quarantine, found);
        }
        match quarantine.list(false) {
            Ok(notes) => damage.open = damage.unkept + notes.len() as u64,
            Err(error) => tracing::error!("the quarantine cannot be read: {error:#}"),
        }
        damage.found = health.quarantined;
        damage.changed = quarantine.changed();
    }

    /// Damaged places that a person has to look at, those of earlier runs included.
    pub(super) fn open_damage(&self) -> u64 {
        let found = self.spool.health().quarantined;
        let damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        damage.open + found.saturating_sub(damage.found)
    }
}

/// Answers how many places could not be kept.
fn keep(quarantine: &Quarantine, found: Vec<(Quarantined, Option<Stretch>)>) -> u64 {
    let places = found.len() as u64;
    match quarantine.keep(found) {
        Ok(0) => 0,
        Ok(places) => {
            tracing::error!(
                places,
                "damaged places of the spool are in quarantine: see `posthaste spool quarantine list`"
            );
            0
        }
        Err(error) => {
            tracing::error!("damaged places of the spool cannot be kept: {error:#}");
            places
        }
    }
}

fn tell(damage: &Quarantined) {
    tracing::error!(
        place = damage.place,
        octets = damage.size,
        what = damage.what,
        "a part of the spool cannot be read; it is kept, and the rest goes on"
    );
}

impl Keeper for Stock {
    fn folder(&self) -> PathBuf {
        let folder = self.data.join(FOLDER);
        // Who asks may be at work in another folder.
        std::path::absolute(&folder).unwrap_or(folder)
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
