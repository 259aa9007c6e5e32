//! Takes up mail from the pickup folder: each file is renamed to `NAME.eml.ID.taken` with the id its message will have,
//! accepted, and removed only when it is durable. What cannot be sent becomes `NAME.eml.bad`.
//!
//! After a crash the id tells whether a taken file had been accepted: it is then removed, else taken up again. So a file
//! is never lost, and doubled only if its acceptance is known neither to the spool nor to the event log. When the store
//! refuses, files wait. Not here: what a file says (`crate::pickup`), the folder's files (`files`).

mod files;

use super::Daemon;
use crate::pickup::letter;
use anyhow::Result;
use files::{Folder, Taken, Unfit};
use posthaste_admin::track::{self, Question};
use posthaste_mail::{QueueId, ReversePath};
use posthaste_reception::{Submission, SubmitError};
use posthaste_spool::Refused;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often the folder is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// The rest after the store has refused a message.
const REST: Duration = Duration::from_secs(10);
/// After a crash, until what it took from the event log is written again (the log is synced once a second).
const LOG_REWRITTEN: Duration = Duration::from_secs(3);
/// How long the file in hand may take at the end.
const END: Duration = Duration::from_secs(2);
/// Files taken at once; each is then read and accepted by itself.
const BATCH: usize = 32;

/// What waits in the folder, for `status`.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Files that have not been taken up yet.
    pub(super) messages: AtomicU64,
    /// Files that cannot be sent.
    pub(super) bad: AtomicU64,
}

/// The work on the folder; ended before the store is closed.
pub(super) struct PickingUp {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl PickingUp {
    /// Lets the file in hand be finished.
    pub(super) async fn end(self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(END, self.task).await.is_err() {
            tracing::warn!(
                "a file of the pickup folder was still in hand; the next start looks after it"
            );
        }
    }
}

/// Begins to take up mail.
pub(super) fn start(daemon: &Daemon, folder: &Path) -> PickingUp {
    let (stop, told) = watch::channel(false);
    let task = tokio::spawn(run(daemon.clone(), folder.to_owned(), told));
    PickingUp { stop, task }
}

/// Takes up mail until `stop` is told, and then ends between two files.
async fn run(daemon: Daemon, folder: PathBuf, mut stop: watch::Receiver<bool>) {
    let folder = Arc::new(Folder::new(folder));
    let mut first = true;
    while !*stop.borrow() {
        let round = round(&daemon, &folder, &stop, first).await;
        first = false;
        let pause = match round {
            Ok(true) => EVERY,
            Ok(false) => REST,
            Err(error) => {
                tracing::error!("the pickup folder: {error:#}");
                REST
            }
        };
        // Either way the loop looks again.
        let _ = tokio::time::timeout(pause, stop.changed()).await;
    }
}

/// False when the store refuses and files wait.
async fn round(
    daemon: &Daemon,
    folder: &Arc<Folder>,
    stop: &watch::Receiver<bool>,
    first: bool,
) -> Result<bool> {
    let here = blocking(folder, Folder::list).await??;
    if first && !here.taken.is_empty() {
        tokio::time::sleep(LOG_REWRITTEN).await;
    }
    for taken in here.taken {
        resume(daemon, folder, taken).await?;
    }
    let mut waiting = here.waiting;
    daemon.state.pickup.messages.store(waiting.len() as u64, Ordering::Relaxed);
    daemon.state.pickup.bad.store(here.bad, Ordering::Relaxed);
    while !waiting.is_empty() && !*stop.borrow() {
        let rest = waiting.split_off(waiting.len().min(BATCH));
        let names: Vec<(String, QueueId)> =
            waiting.into_iter().map(|name| (name, daemon.reception.mint())).collect();
        let taken = blocking(folder, move |folder| folder.take(names)).await??;
        let mut refused = false;
        for taken in taken {
            refused |= !accept(daemon, folder, taken, refused).await?;
        }
        if refused {
            return Ok(false);
        }
        waiting = rest;
    }
    Ok(true)
}

/// A file that an earlier process, or a store that was late, left between taking and removing.
async fn resume(
    daemon: &Daemon,
    folder: &Arc<Folder>,
    (name, id): (String, QueueId),
) -> Result<()> {
    let accepted = is_accepted(daemon, id).await?;
    tracing::info!(file = name, %id, accepted, "taken before the last end");
    let taken = Taken::of(name, id);
    blocking(folder, move |folder| match accepted {
        true => folder.remove(&taken),
        false => folder.give_back(&taken),
    })
    .await?
}

async fn is_accepted(daemon: &Daemon, id: QueueId) -> Result<bool> {
    if daemon.spool.find(id).await?.is_some() {
        return Ok(true);
    }
    let (events, now) = (daemon.started_with.log.events.clone(), daemon.world.wall());
    let search = move || track::search(&events, &Question::Id(id), 1, now);
    let found = tokio::task::spawn_blocking(search).await??;
    Ok(!found.messages.is_empty())
}

/// False when the store refuses now: the file waits again. `refused`: it has just refused another.
async fn accept(
    daemon: &Daemon,
    folder: &Arc<Folder>,
    taken: Taken,
    refused: bool,
) -> Result<bool> {
    if refused {
        blocking(folder, move |folder| folder.give_back(&taken)).await??;
        return Ok(false);
    }
    let limit = daemon.settings().reception.limits.message_size;
    let file = taken.clone();
    let read = blocking(folder, move |folder| folder.read(&file, limit)).await??;
    let outcome = match read {
        Ok(file) => hand_in(daemon, &taken, &file).await,
        Err(unfit) => Outcome::Bad(unfit.to_string()),
    };
    let (name, id) = (taken.name.clone(), taken.id);
    match outcome {
        Outcome::Accepted => {
            tracing::info!(file = name, %id, "taken up from the pickup folder");
            blocking(folder, move |folder| folder.remove(&taken)).await??;
        }
        Outcome::Bad(why) => {
            daemon.state.pickup.bad.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                file = name,
                why,
                "a file of the pickup folder cannot be sent; it is kept as .bad"
            );
            blocking(folder, move |folder| folder.set_aside(&taken)).await??;
        }
        Outcome::Later(why) => {
            tracing::warn!(file = name, why, "mail waits in the pickup folder");
            blocking(folder, move |folder| folder.give_back(&taken)).await??;
            return Ok(false);
        }
        // The next round asks the spool what became of it.
        Outcome::Unknown => return Ok(false),
    }
    Ok(true)
}

enum Outcome {
    Accepted,
    Bad(String),
    Later(String),
    Unknown,
}

async fn hand_in(daemon: &Daemon, taken: &Taken, file: &files::Content) -> Outcome {
    let settings = daemon.settings();
    let letter = match letter::read(&file.octets, &settings.reception.origin, &ReversePath::Null) {
        Ok(letter) => letter,
        Err(bad) => return Outcome::Bad(bad.to_string()),
    };
    let submission = Submission {
        reverse_path: letter.reverse_path,
        recipients: letter.recipients,
        message: letter.content,
        listener: "pickup".to_owned(),
        user: Some(format!("uid {}", file.owner)),
        id: Some(taken.id),
        written: Some(file.written),
        ret: letter.ret,
        envid: letter.envid,
        replayed: letter.replayed,
    };
    match daemon.reception.submit(submission).await {
        Ok(_) => Outcome::Accepted,
        Err(SubmitError::StoreLate) => Outcome::Unknown,
        Err(
            why @ (SubmitError::Store(Refused::Full | Refused::Unhealthy)
            | SubmitError::Scarce(_)
            | SubmitError::Maintenance
            | SubmitError::Aliases(..)),
        ) => Outcome::Later(why.to_string()),
        Err(
            why @ (SubmitError::NoRecipients
            | SubmitError::TooManyRecipients(_)
            | SubmitError::TooBig(_)
            | SubmitError::Nul
            | SubmitError::LineTooLong
            | SubmitError::Looping
            | SubmitError::UnknownRecipient(_)
            | SubmitError::Store(Refused::TooBig)),
        ) => Outcome::Bad(why.to_string()),
    }
}

/// Makes the folder unless it is there: private within `data`, else open for all to leave mail in.
pub(super) fn make(folder: &Path, data: &Path) -> Result<()> {
    files::make(folder, if folder.starts_with(data) { 0o700 } else { 0o3733 })
}

async fn blocking<T: Send + 'static>(
    folder: &Arc<Folder>,
    work: impl FnOnce(&Folder) -> T + Send + 'static,
) -> Result<T> {
    let folder = Arc::clone(folder);
    Ok(tokio::task::spawn_blocking(move || work(&folder)).await?)
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAFile => {
                write!(f, "it is no regular file of its own: a link, a folder or a pipe")
            }
            Self::TooBig(limit) => write!(f, "it is larger than {limit} octets"),
        }
    }
}
