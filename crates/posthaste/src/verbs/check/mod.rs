//! `check domain`: active checks, step by step.

mod alone;
mod domain;

use crate::cli::{CheckVerb, Global};
use crate::failure::Failure;
use crate::out::Out;
use std::process::ExitCode;

pub(super) fn run(global: &Global, verb: CheckVerb, out: &Out) -> Result<ExitCode, Failure> {
    match verb {
        CheckVerb::Domain { name, route } => domain::run(global, &name, route.as_deref(), out),
    }
}
