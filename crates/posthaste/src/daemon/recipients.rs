//! Our own domains while the daemon runs: their files are looked at every few seconds, and next hops are asked.
//!
//! A file that is wrong changes nothing. Not here: reading the files (`crate::recipients`), decisions about a recipient
//! and what is remembered of next hops (`reception`).

use super::Daemon;
use crate::config::{Config, Own};
use crate::recipients::{Books, Faults, Opened, Stamps, open};
use posthaste_admin::desk::Acceptance;
use posthaste_delivery::Probed;
use posthaste_dispatch::Dispatch;
use posthaste_io::Task;
use posthaste_mail::Mailbox;
use posthaste_reception::recipients::{Answer, By};
use posthaste_reception::{Examined, Verifier};
use std::sync::PoisonError;
use std::time::Duration;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(3);

/// What is in force.
pub(crate) struct Held {
    own: Own,
    books: Books,
}

/// What the settings and files come to.
pub(super) struct Fresh {
    held: Held,
    opened: Opened,
}

impl Held {
    /// Of a start, whose files have been read.
    pub(super) fn new(config: &Config, books: Books) -> Self {
        Self { own: config.own.clone(), books }
    }
}

impl Fresh {
    fn read(own: Own, before: &Books) -> Result<Self, Faults> {
        let opened = open(&own, before)?;
        Ok(Self { held: Held { own, books: opened.books.clone() }, opened })
    }
}

impl Daemon {
    /// Reads what these settings name; what has not changed is taken from what is held.
    pub(super) async fn read_recipients(&self, config: &Config) -> Result<Fresh, Faults> {
        let (own, before) = (config.own.clone(), self.held().books.clone());
        let read = tokio::task::spawn_blocking(move || Fresh::read(own, &before)).await;
        read.unwrap_or_else(|gone| std::panic::resume_unwind(gone.into_panic()))
    }

    /// Puts it in force.
    pub(super) fn take_recipients(&self, fresh: Fresh) {
        tell(&fresh.opened);
        self.reception.set_directory(fresh.opened.directory);
        let old = std::mem::replace(&mut *self.held(), fresh.held);
        if old.own.domains != self.held().own.domains {
            self.reception.forget_verified();
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says what was read.
pub(super) fn tell(opened: &Opened) {
    for (place, what) in &opened.doubts {
        tracing::warn!(place, "{what}");
    }
    let (recipients, aliases) = opened.counts;
    if recipients + aliases > 0 {
        tracing::info!(recipients, aliases, "recipients and aliases are read");
    }
}

/// Runs as long as the daemon. A file that has changed is read when it looked the same twice: it may still be written to.
pub(super) async fn watch(daemon: Daemon) {
    let mut tried = daemon.held().books.stamps();
    let mut last = tried.clone();
    loop {
        tokio::time::sleep(EVERY).await;
        let own = daemon.held().own.clone();
        let Ok(now) = tokio::task::spawn_blocking(move || Stamps::look(&own)).await else { return };
        let same = now == tried || now == daemon.held().books.stamps();
        if !same && now == last {
            reread(&daemon).await;
            tried = now.clone();
        }
        last = now;
    }
}

async fn reread(daemon: &Daemon) {
    // One reload at a time.
    let doors = daemon.doors.lock().await;
    let (own, before) = {
        let held = daemon.held();
        (held.own.clone(), held.books.clone())
    };
    match tokio::task::spawn_blocking(move || Fresh::read(own, &before)).await {
        Ok(Ok(fresh)) => daemon.take_recipients(fresh),
        Ok(Err(faults)) => tracing::error!("the old recipients and aliases hold: {faults}"),
        Err(gone) => tracing::error!("the old recipients and aliases hold: {gone}"),
    }
    drop(doors);
}

/// What was found out about a recipient, for the operators' interface.
pub(super) fn acceptance(examined: Examined) -> Acceptance {
    let by = |by| Acceptance { by, ..Acceptance::default() };
    match examined {
        Examined::Elsewhere => by("elsewhere"),
        Examined::Known(By::Any) => by("any"),
        Examined::Known(By::List) => by("list"),
        Examined::Known(By::Postmaster) => by("postmaster"),
        Examined::Alias(found) => {
            Acceptance { becomes: found.iter().map(ToString::to_string).collect(), ..by("alias") }
        }
        Examined::Verified { takes_everybody } => Acceptance { takes_everybody, ..by("verify") },
        Examined::Refused(reply) => Acceptance { reply: Some(reply.to_string()), ..by("refused") },
    }
}

/// Asks next hops as deliveries reach them.
pub(super) struct NextHops(pub(super) Dispatch);

impl Verifier for NextHops {
    fn next_hop(&self, mailbox: &Mailbox) -> String {
        self.0.probed_at(mailbox)
    }

    fn ask(&self, mailbox: Mailbox) -> Task<'static, Answer> {
        let dispatch = self.0.clone();
        Box::pin(async move {
            match dispatch.probe(&mailbox).await {
                Probed::Taken => Answer::Exists,
                Probed::Refused(reply) => Answer::Unknown(reply),
                Probed::Undecided(fault) => Answer::Unreachable(fault),
            }
        })
    }

    fn takes_everybody(&self, domain: &str) {
        tracing::warn!(
            domain,
            "its next hop takes a recipient that cannot exist: recipients = \"verify\" refuses nobody there, and what \
             it bounces later goes to senders who are often forged; give a list"
        );
    }
}
