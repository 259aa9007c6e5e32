//! Where evidence becomes words, for people. No decision ever reads them back.

mod fault;
mod logged;
mod observation;

pub(crate) use fault::fault;
pub(crate) use logged::logged_fault;
pub(crate) use observation::{outcome, raw, subject};
