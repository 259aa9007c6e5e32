//! Where evidence becomes words, for people. No decision ever reads them back.

mod extended;
mod fault;
mod finding;
mod logged;
mod login;
mod observation;
mod tls;

pub(crate) use extended::extended_error;
pub use fault::{answer_word, fault};
pub(crate) use finding::{about, acts, advice, problem};
pub(crate) use logged::logged_fault;
pub(crate) use observation::{answer_outcome, outcome, raw, record_text, subject};
pub(crate) use tls::{facts as tls_facts, pin};
