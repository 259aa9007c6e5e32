//! `send [FILE] --from --to`: hands in a message and prints its id.

use super::text;
use crate::cli::SendArgs;
use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::out::Out;
use anyhow::Context;
use bytes::Bytes;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The most that is read; the daemon's own limit is below it, octets.
const MAX_MESSAGE: u64 = 10_000_000_000;

pub(super) fn run(client: &Client, args: &SendArgs, out: &Out) -> Result<(), Failure> {
    let message = read(args.file.as_deref())?;
    let from = if args.from == "<>" { "" } else { &args.from };
    let target = Target::new("/v1/messages").with("from", from);
    let target = args.to.iter().fold(target, |target, to| target.with("to", to));
    let answer = client.post(&target, message)?;
    if out.is_json() {
        out.object(&answer);
    } else {
        out.line(&text(&answer["id"]));
    }
    Ok(())
}

fn read(file: Option<&Path>) -> anyhow::Result<Bytes> {
    let mut message = Vec::new();
    match file.filter(|file| *file != Path::new("-")) {
        Some(file) => {
            let name = || format!("cannot read {}", file.display());
            let open = File::open(file).with_context(name)?;
            open.take(MAX_MESSAGE).read_to_end(&mut message).with_context(name)?;
        }
        None => {
            let stdin = io::stdin().lock();
            stdin.take(MAX_MESSAGE).read_to_end(&mut message).context("cannot read the message")?;
        }
    }
    Ok(Bytes::from(message))
}
