//! What an operator may do to the queue: on some messages, on those that fit a filter, at a destination, or all.
//!
//! Each command is a decision: numbered, kept in the ledger, told in the event log, carried out in slices and taken up
//! again after a crash (`runner`). Holds also concern mail that is still to come (`holds`). Not here: what an act makes
//! of a recipient (`queue`), and what a filter means: who owns the grammar lends it as a [`Sieve`].

mod book;
mod command;
mod holds;
mod landed;
mod redirect;
mod runner;
mod slice;

pub(crate) use landed::Landed;
pub(crate) use runner::run;

use crate::Dispatch;
use book::Book;
use holds::Rule;
use landed::Ordered;
use posthaste_mail::QueueId;
use posthaste_spool::{History, Live};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, watch};

/// Who knows the grammar of filters.
pub trait Sieve: Send + Sync {
    /// Reads a filter.
    ///
    /// # Errors
    /// What is wrong and where, in words for the operator.
    fn read(&self, filter: &str) -> Result<Arc<dyn Mesh>, String>;
}

/// A filter that can be held against messages.
pub trait Mesh: Send + Sync {
    /// The filter in one way of writing: equal filters have equal texts.
    fn text(&self) -> String;

    /// It looks at attempts, which are read from the store for it.
    fn needs_history(&self) -> bool;

    /// The numbers of the live recipients that fit.
    fn fitting(&self, dispatch: &Dispatch, live: &Live, history: &History) -> Vec<u32>;
}

/// Knows no filter: until one is lent with [`Dispatch::set_sieve`].
struct NoSieve;

impl Sieve for NoSieve {
    fn read(&self, _filter: &str) -> Result<Arc<dyn Mesh>, String> {
        Err("filters cannot be read here".to_owned())
    }
}

/// The operator's side of the dispatcher.
pub(crate) struct Operator {
    sieve: Mutex<Arc<dyn Sieve>>,
    /// Acts that wait for the end of an attempt.
    ordered: Mutex<BTreeMap<(QueueId, u32), Ordered>>,
    /// True while there are such acts: spares every settlement the lock.
    has_ordered: AtomicBool,
    rules: Mutex<Arc<Vec<Rule>>>,
    /// True while there are such rules: spares every accepted message the lock.
    has_rules: AtomicBool,
    /// What rules held at its arrival, not yet given to the store.
    caught: Mutex<Vec<holds::Caught>>,
    book: Mutex<Book>,
    /// Something is to be done.
    work: Notify,
    /// Counts slices, for those who wait for the end of a decision.
    slices: AtomicU64,
    progress: watch::Sender<u64>,
}

impl Default for Operator {
    fn default() -> Self {
        Self {
            sieve: Mutex::new(Arc::new(NoSieve)),
            ordered: Mutex::default(),
            has_ordered: AtomicBool::new(false),
            rules: Mutex::default(),
            has_rules: AtomicBool::new(false),
            caught: Mutex::default(),
            book: Mutex::default(),
            work: Notify::new(),
            slices: AtomicU64::new(0),
            progress: watch::Sender::new(0),
        }
    }
}

impl Operator {
    fn moved_on(&self) {
        let count = self.slices.fetch_add(1, Ordering::Relaxed) + 1;
        self.progress.send_replace(count);
    }
}
