//! Our certificates while the daemon runs: their files are looked at every few seconds, the self-made one is renewed.
//!
//! A file that is wrong changes nothing; sessions that stand keep what they have. Not here: reading the files
//! (`crate::certificates`).

use super::Daemon;
use crate::certificates::{Certificates, look, open_or_make};
use crate::config::Config;
use crate::recipients::Faults;
use posthaste_admin::desk::ExpiringCertificate;
use posthaste_mail::Timestamp;
use posthaste_reception::Reception;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(3);
/// How many looks later what is about to expire is told again, and the self-made one is looked at: a day.
const LOOKS: u32 = 86_400 / 3;

/// What is in force.
pub(crate) struct Held {
    config: Arc<Config>,
    certificates: Certificates,
}

/// What the settings and files come to.
pub(super) async fn read(config: &Config) -> Result<Held, Faults> {
    let config = config.clone();
    let read = tokio::task::spawn_blocking(move || Held::start(&config)).await;
    read.unwrap_or_else(|gone| std::panic::resume_unwind(gone.into_panic()))
}

impl Held {
    /// Reads what the settings name, or what was made at an earlier start; makes it at the first.
    pub(super) fn start(config: &Config) -> Result<Self, Faults> {
        let certificates = open_or_make(config, now())?;
        Ok(Self { config: Arc::new(config.clone()), certificates })
    }

    /// Gives them to the sessions from now on, and says so.
    pub(super) fn tell(&self, reception: &Reception) {
        reception.set_identities(Arc::clone(&self.certificates.identities));
        for (path, own) in &self.certificates.shown {
            let (file, names) = (path.display(), own.names.join(" "));
            let until = own.not_after.rfc3339();
            match self.certificates.configured {
                true => tracing::info!(%file, names, until, "certificate"),
                false => tracing::info!(%file, names, until, "self-made certificate"),
            }
        }
        self.tell_doubts();
    }

    fn tell_doubts(&self) {
        for (place, what) in self.certificates.doubts(&self.config, now()) {
            tracing::warn!(place, "{what}");
        }
    }
}

impl Daemon {
    /// Puts them in force, unless they are what holds already.
    pub(super) fn take_certificates(&self, fresh: Held) {
        let mut held = self.certified();
        if held.certificates.identities == fresh.certificates.identities {
            // The same set, so that clients may resume their sessions.
            let identities = Arc::clone(&held.certificates.identities);
            *held =
                Held { certificates: Certificates { identities, ..fresh.certificates }, ..fresh };
            return;
        }
        fresh.tell(&self.reception);
        *held = fresh;
    }

    /// Those of the operator that have expired or soon will, for status.
    pub(super) fn expiring_certificates(&self) -> Vec<ExpiringCertificate> {
        let held = self.certified();
        let expiring = held.certificates.expiring(now()).into_iter();
        let view = expiring.map(|(path, own)| ExpiringCertificate {
            file: path.display().to_string(),
            names: own.names.clone(),
            not_after: own.not_after,
        });
        view.collect()
    }

    fn certified(&self) -> MutexGuard<'_, Held> {
        self.certified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs as long as the daemon. A file that has changed is read when it looked the same twice: it may still be written to.
pub(super) async fn watch(daemon: Daemon) {
    let mut tried = daemon.certified().certificates.stamps.clone();
    let mut last = tried.clone();
    let mut looks = 0;
    loop {
        tokio::time::sleep(EVERY).await;
        let config = Arc::clone(&daemon.certified().config);
        let Ok(now) = tokio::task::spawn_blocking(move || look(&config)).await else { return };
        let same = now == tried || now == daemon.certified().certificates.stamps;
        looks += 1;
        let daily = looks == LOOKS;
        if daily {
            looks = 0;
            daemon.certified().tell_doubts();
        }
        if daily || (!same && now == last) {
            reread(&daemon).await;
            tried = now.clone();
        }
        last = now;
    }
}

async fn reread(daemon: &Daemon) {
    // One reload at a time.
    let doors = daemon.doors.lock().await;
    let config = Arc::clone(&daemon.certified().config);
    match read(&config).await {
        Ok(fresh) => daemon.take_certificates(fresh),
        Err(faults) => tracing::error!("the old certificates hold: {faults}"),
    }
    drop(doors);
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::EPOCH.plus(since)
}
