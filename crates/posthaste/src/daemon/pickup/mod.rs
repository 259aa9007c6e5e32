//! Takes up mail from the pickup folder: each file is moved into a private folder under the id its message will have,
//! accepted, and removed only when it is durable. What cannot be sent becomes `NAME.eml.bad`., and `NAME.eml.bad.why` says
//! why. Whoever left it has gone away: of recipients that are unknown its sender learns by a failure notice, and the
//! others get it. Of a message without a sender (a notice) those alone become the `.bad` file.
//!
//! After a crash the id tells whether a taken file had been accepted: it is then removed, else given back. So a file is
//! never lost, and doubled only if its acceptance is known neither to the spool nor to the event log. When the store
//! refuses, files wait. Whatever is wrong with one file, the others go on. Not here: what a file says
//! (`crate::pickup`), the folder's files (`files`).

mod files;

use super::Daemon;
use crate::pickup::{Part, letter};
use anyhow::Result;
use files::{Folder, Taken, Unfit};
use posthaste_admin::track::{self, Question};
use posthaste_mail::{QueueId, Recipient, ReversePath};
use posthaste_reception::{Submission, SubmitError, Unknown};
use posthaste_spool::Refused;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How often the folder is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// The rest of a message that the store has refused, and of all when it refuses many.
const REST: Duration = Duration::from_secs(10);
/// After a crash, until what it took from the event log is written again (the log is synced once a second).
const LOG_REWRITTEN: Duration = Duration::from_secs(3);
/// How long the file in hand may take at the end.
const END: Duration = Duration::from_secs(2);
/// Files taken at once; each is then read and accepted by itself.
const BATCH: usize = 32;
/// Refusals in one round that show that the store takes none, and not that something is wrong with some messages.
const MAX_REFUSED: usize = 8;

/// What waits in the folder, for `status`.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Files that have not been taken up yet.
    pub(super) messages: AtomicU64,
    /// Files that cannot be sent.
    pub(super) bad: AtomicU64,
    /// Files that cannot be taken up, read or moved: they stay where they are, and somebody must look after them.
    pub(super) stuck: AtomicU64,
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

/// What one round leaves for the next.
#[derive(Default)]
struct Turn {
    /// What an earlier process left has been waited for.
    begun: bool,
    /// The last name that was looked at, when not all were.
    after: Option<String>,
    /// Messages that were refused, and how long they rest.
    resting: BTreeSet<String>,
    rest_until: Option<Instant>,
}

/// What became of a taken file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    /// It is accepted or set aside.
    Gone,
    /// It waits.
    Refused,
    /// The store is late; whether it has it is asked after a rest.
    Unknown,
}

/// Takes up mail until `stop` is told, and then ends between two files.
async fn run(daemon: Daemon, folder: PathBuf, mut stop: watch::Receiver<bool>) {
    let folder = Arc::new(Folder::new(folder));
    let mut turn = Turn::default();
    while !*stop.borrow() {
        let pause = match round(&daemon, &folder, &stop, &mut turn).await {
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
    turn: &mut Turn,
) -> Result<bool> {
    let after = turn.after.take();
    let mut here = blocking(folder, move |folder| folder.list(after.as_deref())).await??;
    let state = &daemon.state.pickup;
    state.messages.store(here.messages, Ordering::Relaxed);
    state.bad.store(here.bad, Ordering::Relaxed);
    if !std::mem::replace(&mut turn.begun, true) && !here.taken.is_empty() {
        tokio::time::sleep(LOG_REWRITTEN).await;
    }
    let unsettled = resume_all(daemon, folder, here.taken).await;
    let mut stuck = here.strange + unsettled;
    let all = here.waiting.len() as u64 == here.messages;
    turn.wake();
    here.waiting.retain(|name| !turn.resting.contains(name));
    let (mut waiting, mut refused) = (here.waiting.into_iter(), 0);
    while refused < MAX_REFUSED && !*stop.borrow() {
        let names: Vec<(String, QueueId)> =
            waiting.by_ref().take(BATCH).map(|name| (name, daemon.reception.mint())).collect();
        if names.is_empty() {
            break;
        }
        turn.after = names.last().map(|(name, _)| name.clone());
        let took = blocking(folder, move |folder| folder.take(names)).await??;
        stuck += took.left + accept_all(daemon, folder, took.taken, turn, &mut refused).await;
    }
    if all && refused < MAX_REFUSED {
        turn.after = None;
    }
    state.stuck.store(stuck, Ordering::Relaxed);
    Ok(refused < MAX_REFUSED && unsettled == 0)
}

impl Turn {
    /// Those that have rested long enough are tried again.
    fn wake(&mut self) {
        if self.rest_until.is_some_and(|until| until <= Instant::now()) {
            self.resting.clear();
            self.rest_until = None;
        }
    }

    fn rest(&mut self, name: String) {
        self.resting.insert(name);
        self.rest_until.get_or_insert_with(|| Instant::now() + REST);
    }
}

/// How many could not be settled.
async fn resume_all(daemon: &Daemon, folder: &Arc<Folder>, all: Vec<Taken>) -> u64 {
    let mut left = 0;
    for taken in all {
        let name = taken.name.clone();
        if let Err(error) = resume(daemon, folder, taken).await {
            folder.tell(&name, &format!("{error:#}"));
            left += 1;
        }
    }
    left
}

/// A file that an earlier process, or a store that was late, left between taking and removing.
async fn resume(daemon: &Daemon, folder: &Arc<Folder>, taken: Taken) -> Result<()> {
    let accepted = is_accepted(daemon, taken.id).await?;
    tracing::info!(file = taken.name, id = %taken.id, accepted, "taken before the last end");
    blocking(folder, move |folder| match accepted {
        true => folder.remove(&taken),
        false => folder.give_back(&taken),
    })
    .await?
}

/// Accepts each by itself, and gives the rest back when too many are refused. How many are stuck.
async fn accept_all(
    daemon: &Daemon,
    folder: &Arc<Folder>,
    all: Vec<Taken>,
    turn: &mut Turn,
    refused: &mut usize,
) -> u64 {
    let mut stuck = 0;
    for taken in all {
        let name = taken.name.clone();
        let done = if *refused < MAX_REFUSED {
            // The next round begins behind it, so that it does not stand before the others.
            turn.after = Some(name.clone());
            accept(daemon, folder, taken, *refused == 0).await
        } else {
            blocking(folder, move |folder| folder.give_back(&taken))
                .await
                .flatten()
                .map(|()| Done::Gone)
        };
        match done {
            Ok(Done::Gone) => {}
            Ok(Done::Refused) => {
                *refused += 1;
                turn.rest(name);
            }
            Ok(Done::Unknown) => *refused = MAX_REFUSED,
            Err(error) => {
                folder.tell(&name, &format!("{error:#}"));
                stuck += 1;
            }
        }
    }
    stuck
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

/// Hands a taken file in. `tell`: a refusal is logged.
///
/// # Errors
/// It cannot be read, removed or moved: it waits in the folder, or the next round looks after it.
async fn accept(daemon: &Daemon, folder: &Arc<Folder>, taken: Taken, tell: bool) -> Result<Done> {
    let limit = daemon.settings().reception.limits.message_size;
    let file = taken.clone();
    let read = match blocking(folder, move |folder| folder.read(&file, limit)).await? {
        Ok(read) => read,
        Err(error) => {
            blocking(folder, move |folder| folder.give_back(&taken)).await??;
            return Err(error);
        }
    };
    let outcome = match read {
        Ok(file) => hand_in(daemon, &taken, &file).await,
        Err(unfit) => Outcome::Bad(unfit.to_string()),
    };
    let (name, id) = (taken.name.clone(), taken.id);
    match outcome {
        Outcome::Accepted(None) => {
            tracing::info!(file = name, %id, "taken up from the pickup folder");
            blocking(folder, move |folder| folder.remove(&taken)).await??;
        }
        Outcome::Accepted(Some(Untold { rest, why })) => {
            daemon.state.pickup.bad.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                file = name,
                %id,
                why,
                "taken up from the pickup folder but for some recipients, who are kept as .bad"
            );
            blocking(folder, move |folder| folder.keep_rest(&taken, &rest, &why)).await??;
        }
        Outcome::Bad(why) => {
            daemon.state.pickup.bad.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                file = name,
                why,
                "a file of the pickup folder cannot be sent; it is kept as .bad"
            );
            blocking(folder, move |folder| folder.set_aside(&taken, &why)).await??;
        }
        Outcome::Later(why) => {
            if tell {
                tracing::warn!(file = name, why, "mail waits in the pickup folder");
            }
            blocking(folder, move |folder| folder.give_back(&taken)).await??;
            return Ok(Done::Refused);
        }
        // The next round asks the spool what became of it.
        Outcome::Unknown => return Ok(Done::Unknown),
    }
    Ok(Done::Gone)
}

/// Recipients that fail and of whom nobody is told, since the message has no sender.
struct Untold {
    /// The message for them alone, as a file of the folder.
    rest: Vec<u8>,
    why: String,
}

enum Outcome {
    Accepted(Option<Untold>),
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
    let no_sender = letter.reverse_path.mailbox().is_none();
    let content = if no_sender { letter.content.clone() } else { Vec::new() };
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
        unknown: Unknown::Bounce,
    };
    match daemon.reception.submit(submission).await {
        Ok(done) if no_sender && !done.refused.is_empty() => {
            Outcome::Accepted(Some(untold(&done.refused, &content)))
        }
        Ok(_) => Outcome::Accepted(None),
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

fn untold(refused: &[Recipient], content: &[u8]) -> Untold {
    let part = Part {
        reverse_path: &ReversePath::Null,
        recipients: refused.iter().collect(),
        ret: None,
        envid: None,
        content,
    };
    let all: Vec<&str> = refused.iter().map(|r| r.mailbox.as_str()).collect();
    let why = format!("{}: recipient unknown; the others have it", all.join(", "));
    Untold { rest: part.octets(), why }
}

/// Makes the folder unless it is there: private within `data`, else open for all to leave mail in.
pub(super) fn make(folder: &Path, data: &Path) -> Result<()> {
    files::make(folder, mode(folder, data))
}

/// In `data` it is ours alone; elsewhere all may leave mail in it, and nobody sees that of others.
pub(super) fn mode(folder: &Path, data: &Path) -> u32 {
    if folder.starts_with(data) { 0o700 } else { 0o3733 }
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
