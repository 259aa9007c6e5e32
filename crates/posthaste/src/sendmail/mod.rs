//! Called as `sendmail` (also `mailq` and `newaliases`): what cron, PHP, mailx and scripts use to hand in mail.
//!
//! A message goes to the daemon over the submission socket; when the daemon is not there or cannot take it now, it goes
//! durably to the pickup folder. Exit status 0 means one of the two has happened; otherwise it is one of sysexits.h.
//! Rooms: `options` the command line, `message` what is handed in, `hand_in` the dialogue with the daemon, `bridge` `-bs`,
//! `mailq` `-bp`, `user` who calls. Not here: `posthaste send`, which is for operators.

mod bridge;
mod hand_in;
mod mailq;
mod message;
mod options;
mod user;

use crate::config::{self, Config, ConfigError};
use crate::out::clean;
use crate::pickup::leave;
use options::{Mode, Options};
use std::env;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Statuses of sysexits.h.
pub(crate) mod exit {
    /// The command line was used wrongly.
    pub(crate) const USAGE: u8 = 64;
    /// The message is wrong.
    pub(crate) const DATA: u8 = 65;
    /// A recipient's address is wrong.
    pub(crate) const NO_USER: u8 = 67;
    /// What is needed is not there.
    pub(crate) const UNAVAILABLE: u8 = 69;
    /// Nothing was taken; try again later.
    pub(crate) const TEMPORARY: u8 = 75;
    /// The caller may not do so.
    pub(crate) const NO_PERMISSION: u8 = 77;
    /// The settings are wrong.
    pub(crate) const CONFIG: u8 = 78;
}

/// Where the settings are when nothing names them: these programs are called without an environment.
const PACKAGED_CONFIG: &str = "/etc/posthaste/posthaste.toml";
/// `posthaste sendmail ...` does the same under any name.
const VERB: &str = "sendmail";

/// Why it did not do what was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Trouble {
    /// The exit status.
    pub(crate) code: u8,
    /// For whoever called.
    pub(crate) text: String,
}

impl Trouble {
    pub(crate) fn new(code: u8, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

/// Does what `sendmail` does when this is called so; `None` when it is not.
pub(crate) fn run() -> Option<ExitCode> {
    let arguments: Vec<String> = env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    let (mode, rest) = called_as(&arguments)?;
    let done = options::parse(rest, mode).and_then(|options| act(&options));
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            // Whoever does not read it gets the status all the same.
            let _ = writeln!(io::stderr().lock(), "sendmail: {}", clean(&trouble.text));
            ExitCode::from(trouble.code)
        }
    })
}

/// What the program's name says, and the arguments after it. BSD's mailx calls it `send-mail`.
fn called_as(arguments: &[String]) -> Option<(Mode, &[String])> {
    let (name, rest) = arguments.split_first()?;
    let name = Path::new(name).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match name {
        _ if name.ends_with("sendmail") || name == "send-mail" => Some((Mode::Deliver, rest)),
        "mailq" => Some((Mode::Queue, rest)),
        "newaliases" => Some((Mode::Aliases, rest)),
        _ => rest
            .split_first()
            .filter(|(verb, _)| *verb == VERB)
            .map(|(_, rest)| (Mode::Deliver, rest)),
    }
}

fn act(options: &Options) -> Result<(), Trouble> {
    let config = settings(options)?;
    match options.mode {
        Mode::Deliver => deliver(options, &config),
        Mode::Smtp => bridge::run(&config.submission.socket),
        Mode::Queue => mailq::list(&config),
        Mode::Flush => mailq::flush(&config),
        Mode::Aliases => {
            // Called by packages when they are installed: no failure.
            let text =
                "aliases need no database here: `posthaste reload` takes up what has changed";
            let _ = writeln!(io::stdout().lock(), "{text}");
            Ok(())
        }
        Mode::Nothing => Ok(()),
    }
}

/// `-C`, the environment, the packaged path, else the defaults.
fn settings(options: &Options) -> Result<Config, Trouble> {
    let packaged = || Some(PathBuf::from(PACKAGED_CONFIG)).filter(|file| file.exists());
    let file = options.config.clone().or_else(crate::place::variable_config).or_else(packaged);
    config::for_programs(file.as_deref()).map_err(|error| match error {
        // The administrator is at it: the caller keeps the message and tries again.
        ConfigError::Wrong(_) => Trouble::new(exit::TEMPORARY, error.to_string()),
        ConfigError::Unreadable { .. } => Trouble::new(exit::CONFIG, error.to_string()),
    })
}

fn deliver(options: &Options, config: &Config) -> Result<(), Trouble> {
    let message = message::take(options, config)?;
    let mut refusals = Vec::new();
    for part in message.parts(config.limits.recipients) {
        let left = hand_in::hand_in(&config.submission.socket, &config.hostname.0, &part);
        refusals.extend(left.refused);
        if !left.waiting.is_empty() {
            let part = part.only(&left.waiting);
            leave::leave(&config.submission.pickup, &part).map_err(|error| {
                let text = format!("{}; not sent: {error}", left.why);
                Trouble::new(exit::TEMPORARY, text)
            })?;
        }
    }
    let Some(first) = refusals.first() else { return Ok(()) };
    let texts: Vec<&str> = refusals.iter().map(|trouble| trouble.text.as_str()).collect();
    Err(Trouble::new(first.code, texts.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_what_is_wanted() {
        let called = |line: &str| {
            let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
            called_as(&arguments).map(|(mode, rest)| (mode, rest.join(" ")))
        };
        let deliver = |rest: &str| Some((Mode::Deliver, rest.to_owned()));
        assert_eq!(called("/usr/sbin/sendmail -t"), deliver("-t"));
        assert_eq!(called("send-mail -i a@b"), deliver("-i a@b"));
        assert_eq!(called("posthaste sendmail -t"), deliver("-t"));
        assert_eq!(called("/usr/bin/mailq"), Some((Mode::Queue, String::new())));
        assert_eq!(called("newaliases"), Some((Mode::Aliases, String::new())));
        assert_eq!(called("posthaste send --to sendmail"), None);
    }
}
