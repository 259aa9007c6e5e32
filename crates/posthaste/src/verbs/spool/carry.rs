//! `spool export`, `spool import`: all mail of a spool, carried to another one.

use super::{FOUND, data, in_use, look};
use crate::cli::Global;
use crate::client::{Client, Target};
use crate::daemon::machine::make_private;
use crate::failure::Failure;
use crate::out::Out;
use crate::place;
use crate::spool::import::{Imported, import as take_in};
use crate::spool::parcel::{Arrived, Sink};
use crate::spool::{self, FOLDER};
use anyhow::{Context as _, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use posthaste_admin::keeper::Cargo;
use posthaste_io_tokio::{DiskOpenError, RealDisk};
use posthaste_mail::QueueId;
use posthaste_spool::{Carried, LedgerEntry, Record as _};
use posthaste_spool_local::LocalSpool;
use serde_json::{Value, json};
use std::io::{self, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Octets of contents read at once.
const CARGO: usize = 16 << 20;
const STREAM: &str = "-";

/// Where messages come from.
enum Source {
    /// A spool that nobody has.
    Spool(Box<LocalSpool<RealDisk>>, tokio::runtime::Runtime),
    /// A daemon.
    Daemon(Client),
}

#[derive(Default)]
struct Told {
    messages: u64,
    damaged: Vec<String>,
}

pub(super) fn export(
    global: &Global,
    to: &Path,
    given: Option<PathBuf>,
    out: &Out,
) -> Result<ExitCode, Failure> {
    let source = source(global, given)?;
    let mut stdout = BufWriter::new(io::stdout().lock());
    let stream = to.as_os_str() == STREAM;
    let sink = if stream { Sink::lines(&mut stdout as &mut dyn Write) } else { Sink::folder(to)? };
    let told = carry(&source, sink)?;
    drop(stdout);
    let damaged = told.damaged.len();
    if !stream && out.is_json() {
        out.object(&json!({ "v": 1, "messages": told.messages, "damaged": told.damaged }));
    } else if !stream {
        out.line(&format!("{} messages are in {}", told.messages, to.display()));
    }
    if matches!(source, Source::Daemon(_)) {
        out.remark(
            "the daemon goes on delivering: to move the mail elsewhere stop it and export again",
        );
    }
    if damaged > 0 {
        let list = told.damaged.join(" ");
        out.remark(&format!("{damaged} could not be read: {list}; see `posthaste spool check`"));
    }
    Ok(if damaged == 0 { ExitCode::SUCCESS } else { FOUND.into() })
}

fn source(global: &Global, given: Option<PathBuf>) -> Result<Source, Failure> {
    let asked = given.is_none() && global.socket.is_some();
    if asked {
        return Ok(Source::Daemon(Client::new(place::socket(global)?)?));
    }
    let data = data(global, given)?;
    match look(&data)? {
        Ok(disk) => {
            let folder = disk.path().display().to_string();
            let (log, _) = spool::open(disk, true)
                .map_err(|e| Failure::failed(format!("cannot open the spool in {folder}: {e}")))?;
            let runtime = runtime()?;
            Ok(Source::Spool(Box::new(LocalSpool::in_place(log)), runtime))
        }
        Err(locked) => {
            let configured = place::config_file(global).is_some();
            let socket =
                if configured { place::socket(global)? } else { data.join("control.sock") };
            let client = Client::new(socket.clone())?;
            if !client.is_alive() {
                let and =
                    format!("no daemon answers at {}: end the process first", socket.display());
                return Err(in_use(&locked, &and));
            }
            Ok(Source::Daemon(client))
        }
    }
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))
}

fn carry(source: &Source, mut sink: Sink<'_>) -> Result<Told, Failure> {
    let mut told = Told::default();
    let mut after = QueueId::MIN;
    loop {
        let (cargo, ledger) = source.next(after)?;
        for (carried, content) in &cargo.messages {
            sink.put(carried, content)?;
            told.messages += 1;
        }
        told.damaged.extend(cargo.damaged.iter().map(ToString::to_string));
        match cargo.next {
            Some(next) => after = next,
            None => {
                sink.finish(told.messages, &ledger, spool::now())?;
                return Ok(told);
            }
        }
    }
}

impl Source {
    /// Some messages; with the last ones the ledger.
    fn next(&self, after: QueueId) -> Result<(Cargo, Vec<LedgerEntry>), Failure> {
        match self {
            Self::Spool(spool, runtime) => runtime.block_on(async {
                let failed = |error: posthaste_spool::ReadFault| Failure::failed(error.to_string());
                let cargo = spool::cargo(&**spool, after, CARGO).await.map_err(failed)?;
                Ok((cargo, spool::ledger(&**spool).await.map_err(failed)?))
            }),
            Self::Daemon(client) => {
                let target = Target::new("/v1/spool/export").with("after", &after.to_string());
                Ok(answered(&client.get(&target)?)?)
            }
        }
    }
}

fn answered(answer: &Value) -> Result<(Cargo, Vec<LedgerEntry>)> {
    let octets = |value: &Value| -> Result<Vec<u8>> {
        let text = value.as_str().context("the daemon's answer is not what was asked for")?;
        Ok(STANDARD.decode(text)?)
    };
    let id = |value: &Value| value.as_str().and_then(|id| id.parse::<QueueId>().ok());
    let list = |name: &str| answer[name].as_array().into_iter().flatten();
    let mut cargo = Cargo { next: id(&answer["next"]), ..Cargo::default() };
    for message in list("messages") {
        let carried = Carried::decode(&octets(&message["record"])?)?;
        cargo.messages.push((carried, octets(&message["content"])?));
    }
    cargo.damaged.extend(list("damaged").filter_map(id));
    let entries = list("ledger").map(|entry| Ok(LedgerEntry::decode(&octets(entry)?)?));
    Ok((cargo, entries.collect::<Result<_>>()?))
}

pub(super) fn import(
    global: &Global,
    from: &Path,
    given: Option<PathBuf>,
    out: &Out,
) -> Result<ExitCode, Failure> {
    let data = data(global, given)?;
    let arrived = if from.as_os_str() == STREAM {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).context("cannot read standard input")?;
        Arrived::lines(&text)?
    } else {
        Arrived::folder(from)?
    };
    make_private(&data)?;
    let disk = RealDisk::open(&data.join(FOLDER)).map_err(|error| match error {
        locked @ DiskOpenError::Locked { .. } => in_use(&locked, "stop the daemon first"),
        error => Failure::failed(error.to_string()),
    })?;
    let (mut log, _) = spool::open(disk, false).map_err(|e| {
        Failure::failed(format!("cannot open the spool in {}: {e}", data.display()))
    })?;
    let imported = take_in(&mut log, &arrived, spool::now());
    let closed = log.close().map_err(|error| anyhow!("the spool cannot be closed: {error}"));
    let imported = imported?;
    closed?;
    tell(&imported, &data, out);
    Ok(if imported.bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(imported: &Imported, data: &Path, out: &Out) {
    let Imported { messages, here, renamed, bad } = imported;
    if out.is_json() {
        let renamed: Vec<Value> = renamed
            .iter()
            .map(|(old, new)| json!({ "id": old.to_string(), "new": new.to_string() }))
            .collect();
        let bad: Vec<Value> =
            bad.iter().map(|(name, why)| json!({ "name": name, "why": why })).collect();
        out.object(&json!({
            "v": 1, "messages": messages, "here": here, "renamed": renamed, "bad": bad,
        }));
        return;
    }
    out.line(&format!("{messages} messages are durable in {}", data.display()));
    if *here > 0 {
        out.line(&format!("{here} were here already and are passed over"));
    }
    for (old, new) in renamed {
        out.line(&format!(
            "{old} is {new} here: that id was used here before; if the export came out of this very spool, it may have \
             been delivered since"
        ));
    }
    for (name, why) in bad {
        out.remark(&format!("{name} was not taken: {why}"));
    }
}
