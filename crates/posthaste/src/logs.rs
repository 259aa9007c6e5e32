//! The operational log on standard error: for people on a terminal, JSON otherwise.
//!
//! Not here: the event log of messages (`io-tokio`), which is a record and no log.

use crate::config::{Level, LogFormat, LogSettings};
use std::io::{self, IsTerminal};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;

/// Begins to log. Called once; a second call changes nothing.
pub(crate) fn start(settings: &LogSettings) {
    let terminal = io::stderr().is_terminal();
    let json = match settings.format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Human => false,
    };
    let lines = fmt().with_max_level(level(settings.level)).with_writer(io::stderr);
    let started = if json {
        lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .finish()
            .try_init()
    } else {
        lines.with_target(false).with_ansi(terminal).compact().finish().try_init()
    };
    // Only a second start can fail, in tests.
    drop(started);
}

const fn level(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}
