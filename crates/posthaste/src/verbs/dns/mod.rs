//! `dns servers|ask|flush`: how each DNS server stands, a question asked as the daemon asks it, forgetting.

mod ask;
mod servers;

use crate::cli::DnsVerb;
use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::out::Out;
use bytes::Bytes;
use std::process::ExitCode;

pub(super) fn run(client: &Client, verb: DnsVerb, out: &Out) -> Result<ExitCode, Failure> {
    match verb {
        DnsVerb::Servers { check } => return servers::run(client, check, out),
        DnsVerb::Ask(asked) => ask::run(client, &asked, out)?,
        DnsVerb::Flush { name } => flush(client, name.as_deref(), out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn flush(client: &Client, name: Option<&str>, out: &Out) -> Result<(), Failure> {
    let flushed =
        client.post(&Target::new("/v1/dns/flush").with_some("name", name), Bytes::new())?;
    if out.is_json() {
        out.object(&flushed);
        return Ok(());
    }
    let forgotten = super::counted(&flushed["forgotten"], "answer");
    match name {
        Some(name) => out.line(&format!("forgotten: {forgotten} of {name} and names below it")),
        None => out.line(&format!("forgotten: {forgotten}")),
    }
    Ok(())
}
