//! The operator's verbs: one file for each.

mod check;
mod config;
mod dkim;
mod dns;
mod maintenance;
mod monitor;
mod notice;
mod ping;
mod queue;
mod reload;
mod route;
mod send;
mod serve;
mod spool;
mod status;
mod stop;
mod track;
mod user;

#[cfg(test)]
pub(crate) use dkim::pem as dkim_pem;

use crate::cli::{Cli, Global, Verb};
use crate::client::Client;
use crate::failure::Failure;
use crate::out::Out;
use crate::place;
use jiff::Timestamp;
use serde_json::Value;
use std::process::ExitCode;
use std::time::SystemTime;

/// Does what the command line says. Answers the exit status.
pub(crate) fn run(cli: Cli, out: &Out) -> Result<ExitCode, Failure> {
    let global = &cli.global;
    match cli.verb {
        Verb::Serve => return serve::run(global),
        Verb::Ping { wait } => ping::run(global, wait, out),
        Verb::Status(args) if args.monitor => return Ok(monitor::run(global, &args, out)),
        Verb::Status(_) => status::run(&daemon(global)?, out),
        Verb::Maintenance(verb) => maintenance::run(&daemon(global)?, verb, out),
        Verb::Reload => reload::run(&daemon(global)?, out),
        Verb::Stop { wait } => stop::run(&daemon(global)?, wait, out),
        Verb::Spool(verb) => return spool::run(global, verb, out),
        Verb::Config(verb) => config::run(global, verb, out),
        Verb::Send(args) => send::run(&daemon(global)?, &args, out),
        // Read before, unless something stands in front of it.
        Verb::Sendmail { .. } => {
            return Err(Failure::usage(
                "`sendmail` stands first, and takes -C FILE for the settings",
            ));
        }
        Verb::Queue(args) => return queue::run(global, args, out),
        Verb::Route(asked) => route::run(&daemon(global)?, &asked, out),
        Verb::Notice(verb) => notice::run(global, verb, out),
        Verb::User(verb) => user::run(global, verb, out),
        Verb::Check(verb) => return check::run(global, verb, out),
        Verb::Dkim(verb) => return dkim::run(global, verb, out),
        Verb::Dns(verb) => return dns::run(&daemon(global)?, verb, out),
        Verb::Track(args) => track::run(&daemon(global)?, &args, out),
    }
    .map(|()| ExitCode::SUCCESS)
}

fn daemon(global: &Global) -> Result<Client, Failure> {
    Client::new(place::socket(global)?)
}

/// The wall clock, for ages in tables.
fn now() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A field as text: strings as they are, a dash for what is absent.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// A number and what is counted: `1 message`, `2 messages`.
fn counted(count: &Value, what: &str) -> String {
    let plural = if count.as_u64() == Some(1) { "" } else { "s" };
    format!("{} {what}{plural}", text(count))
}

/// An error object on one line: code, enhanced status and text, as a server's reply is read.
fn last_error(error: &Value) -> String {
    let words = error["text"].as_str().unwrap_or_default();
    let soft =
        if error["soft_fail"] == true { " (soft_fail: waits instead of failing)" } else { "" };
    match error["code"].as_u64() {
        Some(code) => format!("{code} {} {words}{soft}", text(&error["enhanced"])),
        None => format!("{words}{soft}"),
    }
}
