//! Posthaste: one binary, the daemon and the operator's verbs.
//!
//! Called as `sendmail` it is that (`sendmail`, `pickup`). `cli` reads the command line, `verbs` has one file for each verb, `client` asks a running daemon, `config` is the
//! configuration file, `daemon` wires the agents and runs them.

mod certificates;
mod cli;
mod client;
mod config;
mod daemon;
mod failure;
mod logs;
mod out;
mod pickup;
mod place;
mod recipients;
mod regular;
mod sendmail;
mod spool;
mod table;
mod token_broker;
mod users;
mod verbs;

use std::process::ExitCode;

/// Large bodies move between threads; the system's allocator is slow at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(code) = token_broker::run() {
        return code;
    }
    if let Some(code) = sendmail::run() {
        return code;
    }
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let out = out::Out::new(cli.json);
    match verbs::run(cli, &out) {
        Ok(code) => code,
        Err(failure) => {
            out.failure(&failure);
            failure.exit.into()
        }
    }
}
