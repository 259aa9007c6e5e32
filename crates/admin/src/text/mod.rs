//! Where evidence becomes words, for people. Nothing ever reads them back.

mod fault;
mod observation;

pub(crate) use fault::fault;
pub(crate) use observation::{outcome, raw, subject};
