//! What every driver does with what waits: commit it, tell the watcher, then those who wait.

use crate::inbox::{Inbox, Job, Reply};
use crate::log::{Answer, Group, Log, Request};
use parking_lot::Mutex;
use posthaste_io::Disk;
use posthaste_spool::{Lsn, NewMail, Settlement, Watcher};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Octets that garbage collection may copy for each octet committed, under load.
const COLLECT_FOR_EACH: u64 = 2;
/// Work that is due is done in steps of this many octets.
const STEP: u64 = 1 << 20;

/// Who is told of commits.
pub(crate) type Watching = Mutex<Option<Arc<dyn Watcher>>>;

/// The log, and the way in and out of it.
pub(crate) struct Pump<D: Disk> {
    log: Log<D>,
    inbox: Arc<Inbox>,
    watching: Arc<Watching>,
    /// Octets of background work that commits have made due.
    due: u64,
    told_failure: bool,
}

/// What a commit made true.
#[derive(Default)]
struct News {
    accepted: Vec<Arc<NewMail>>,
    settled: Vec<Arc<Settlement>>,
}

impl<D: Disk> Pump<D> {
    pub(crate) const fn new(log: Log<D>, inbox: Arc<Inbox>, watching: Arc<Watching>) -> Self {
        Self { log, inbox, watching, due: 0, told_failure: false }
    }

    /// Does all that waits.
    pub(crate) fn work(&mut self) {
        let mut group = Group::default();
        let (mut replies, mut rooms, mut closers) = (Vec::new(), Vec::new(), Vec::new());
        for job in self.inbox.take() {
            match job {
                Job::Commit { request, reply, _room } => {
                    self.due += COLLECT_FOR_EACH * octets(&request);
                    group.requests.push(request);
                    replies.push(reply);
                    rooms.push(_room);
                }
                Job::Close(closer) => closers.push(closer),
            }
        }
        if !group.requests.is_empty() {
            let committed = self.log.commit(&mut group);
            self.tell(&group);
            if committed.is_err() {
                self.tell_failure();
            }
        }
        for (reply, answer) in replies.into_iter().zip(&group.answers) {
            reply.send(*answer);
        }
        if !closers.is_empty() && self.log.close().is_err() {
            self.tell_failure();
        }
        for closer in closers {
            let _ = closer.send(());
        }
    }

    /// Does some of the work that nobody waits for; `idle` says that nobody waits for anything. True when
    /// there is more to do.
    pub(crate) fn tidy(&mut self, idle: bool) -> bool {
        if !idle && self.due < STEP && !self.log.is_short() {
            return true;
        }
        self.due = self.due.saturating_sub(STEP);
        match self.log.gc_step(STEP) {
            Ok(more) => more,
            Err(_) => {
                self.tell_failure();
                false
            }
        }
    }

    /// Room is wanted, and garbage collection may make it.
    pub(crate) fn is_short(&self) -> bool {
        self.log.is_short()
    }

    fn watcher(&self) -> Option<Arc<dyn Watcher>> {
        self.watching.lock().clone()
    }

    /// Commits in order, each with its messages before its settlements.
    fn tell(&self, group: &Group) {
        let Some(watcher) = self.watcher() else { return };
        let mut commits: BTreeMap<Lsn, News> = BTreeMap::new();
        for (request, answer) in group.requests.iter().zip(&group.answers) {
            match (request, answer) {
                (Request::Accept(mail), Answer::Accepted(Ok(accepted))) => {
                    commits.entry(accepted.commit).or_default().accepted.push(Arc::clone(mail));
                }
                (Request::Settle(settlement), Answer::Settled(Ok(commit))) => {
                    let news = commits.entry(*commit).or_default();
                    let notices = settlement.notices.iter();
                    news.accepted.extend(notices.map(|notice| Arc::new(notice.mail.clone())));
                    news.settled.push(Arc::clone(settlement));
                }
                _ => {}
            }
        }
        for (commit, news) in commits {
            if !news.accepted.is_empty() {
                watcher.accepted(commit, news.accepted);
            }
            for settlement in &news.settled {
                watcher.settled(commit, settlement);
            }
        }
    }

    fn tell_failure(&mut self) {
        let first = !std::mem::replace(&mut self.told_failure, true);
        if let Some(watcher) = self.watcher().filter(|_| first) {
            watcher.failed();
        }
    }
}

impl Reply {
    fn send(self, answer: Answer) {
        // Whoever does not wait any more does not mind.
        match (self, answer) {
            (Self::Accepted(waiting), Answer::Accepted(answer)) => {
                let _ = waiting.send(answer);
            }
            (Self::Settled(waiting), Answer::Settled(answer)) => {
                let _ = waiting.send(answer);
            }
            _ => {}
        }
    }
}

fn octets(request: &Request) -> u64 {
    match request {
        Request::Accept(mail) => mail.envelope.facts.size,
        Request::Settle(_) | Request::Started(_) => 256,
    }
}
