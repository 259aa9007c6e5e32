//! How a verb fails: what, where, what to do, and the exit status of the outside interface.

use crate::config::ConfigError;
use serde::Serialize;
use std::process::ExitCode;

/// Exit status (the outside interface, *Exit status*).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// 1
    Failed,
    /// 2: wrong usage or configuration.
    Usage,
    /// 3
    NoDaemon,
    /// 4
    NotFound,
}

/// Why a verb did not do what was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Never empty; the first one decides the code.
    pub(crate) errors: Vec<ErrorLine>,
}

/// One error of the outside interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct ErrorLine {
    /// A fixed word.
    pub(crate) code: String,
    pub(crate) message: String,
    /// Where: `file:line:column`, or `column N` of what was given.
    pub(crate) at: Option<String>,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NoDaemon => 3,
            Exit::NotFound => 4,
        })
    }
}

impl Failure {
    pub(crate) fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        let error = ErrorLine { code: code.to_owned(), message: message.into(), at: None };
        Self { exit, errors: vec![error] }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, "failed", message)
    }

    /// Says one more thing about each error.
    pub(crate) fn add(mut self, more: &str) -> Self {
        for error in &mut self.errors {
            error.message = format!("{} ({more})", error.message);
        }
        self
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let complaints = match error {
            ConfigError::Wrong(complaints) => complaints,
            ConfigError::Unreadable { .. } => {
                return Self::new(Exit::Usage, "bad-config", error.to_string());
            }
        };
        let file = &complaints.file;
        let errors = complaints.list.iter().map(|complaint| ErrorLine {
            code: "bad-config".to_owned(),
            message: complaint.what.clone(),
            at: Some(match complaint.line {
                0 => file.clone(),
                line => format!("{file}:{line}:{}", complaint.column),
            }),
        });
        Self { exit: Exit::Usage, errors: errors.collect() }
    }
}

/// What goes wrong at the edge: files and standard streams.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(format!("{error:#}"))
    }
}
