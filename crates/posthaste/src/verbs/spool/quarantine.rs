//! `spool quarantine list|show|export|restore|remove`.

use super::carry::runtime;
use super::{data, in_use};
use crate::cli::{Global, QuarantineVerb};
use crate::client::{Client, Target};
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::place;
use crate::spool::parcel::front;
use crate::spool::quarantine::{Found, Note, Quarantine, prepare, restore as put_back};
use crate::spool::{self, FOLDER};
use crate::table::Table;
use crate::verbs::text;
use anyhow::{Context as _, Result};
use bytes::Bytes;
use posthaste_admin::keeper::{RestoreFault, Restored, Wanted};
use posthaste_admin::units::print_rough_size;
use posthaste_io_tokio::{DiskOpenError, RealDisk};
use posthaste_mail::QueueId;
use posthaste_spool::Spool as _;
use posthaste_spool_local::LocalSpool;
use serde_json::{Value, json};
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::ExitCode;

pub(super) fn run(global: &Global, verb: QuarantineVerb, out: &Out) -> Result<ExitCode, Failure> {
    match verb {
        QuarantineVerb::List { all, data: given } => {
            list(&Quarantine::of(&data(global, given)?), all, out)?;
        }
        QuarantineVerb::Show { name, data: given } => {
            show(&Quarantine::of(&data(global, given)?), &name, out)?;
        }
        QuarantineVerb::Export { name, to, data: given } => {
            export(&Quarantine::of(&data(global, given)?), &name, &to, out)?;
        }
        QuarantineVerb::Restore { name, id, data: given } => {
            let id = id.map(|id| id.parse().map_err(|e| Failure::usage(format!("`{id}`: {e}"))));
            let wanted = Wanted { name, id: id.transpose()?, by: None };
            return restore(global, &data(global, given)?, wanted, out);
        }
        QuarantineVerb::Remove { name, data: given } => {
            remove(&data(global, given)?, &name, out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(quarantine: &Quarantine, all: bool, out: &Out) -> Result<(), Failure> {
    let notes = quarantine.list(all)?;
    if out.is_json() {
        let notes: Vec<Value> = notes.iter().map(|note| json!(note)).collect();
        out.object(&json!({ "v": 1, "quarantined": notes }));
        return Ok(());
    }
    let mut table =
        Table::new(&["NAME", "FOUND", "OCTETS", "MESSAGES", "RESTORED", "PLACE", "WHAT"]);
    for note in &notes {
        let messages = quarantine.messages(note).map_or(0, |found| found.len());
        table.row(vec![
            note.name.clone(),
            note.found.chars().take("2026-11-21T06:53".len()).collect(),
            note.size.to_string(),
            messages.to_string(),
            note.restored.len().to_string(),
            note.place.clone(),
            if note.removed.is_some() { "removed".to_owned() } else { note.what.clone() },
        ]);
    }
    table.print(out, "nothing is in quarantine");
    Ok(())
}

fn find(quarantine: &Quarantine, name: &str) -> Result<Note, Failure> {
    quarantine.find(name)?.ok_or_else(|| {
        let message = format!("`{name}` is not in the quarantine; see `spool quarantine list`");
        Failure::new(Exit::NotFound, "not-found", message)
    })
}

fn show(quarantine: &Quarantine, name: &str, out: &Out) -> Result<(), Failure> {
    let note = find(quarantine, name)?;
    let found = quarantine.messages(&note)?;
    if out.is_json() {
        let messages: Vec<Value> = found.iter().map(object).collect();
        let mut object = json!(note);
        object["messages"] = json!(messages);
        out.object(&object);
        return Ok(());
    }
    out.line(&format!("place      {} ({} octets)", note.place, note.size));
    out.line(&format!("what       {}", note.what));
    out.line(&format!("found      {}", note.found));
    let mut table = Table::new(&["ID", "STATE", "SIZE", "FROM", "TO", "SUBJECT"]);
    for one in &found {
        let object = object(one);
        let to = object["to"].as_array().map_or(0, Vec::len);
        let more = if to > 1 { format!(" and {} more", to - 1) } else { String::new() };
        table.row(vec![
            one.id.to_string(),
            one.state.name().to_owned(),
            print_rough_size(one.content.len() as u64),
            text(&object["from"]),
            format!("{}{more}", text(&object["to"][0])),
            text(&object["subject"]),
        ]);
    }
    table.print(out, "no message can be read there");
    Ok(())
}

fn object(one: &Found) -> Value {
    let envelope = one.envelope.as_ref();
    let to: Option<Vec<String>> =
        envelope.map(|e| e.recipients.iter().map(|r| r.mailbox.to_string()).collect());
    json!({
        "id": one.id.to_string(), "state": one.state.name(), "size": one.content.len(),
        "from": envelope.map(|e| e.reverse_path.to_string()), "to": to,
        "subject": envelope.and_then(|e| e.summary.subject.clone()),
        "received": envelope.map(|e| e.received.rfc3339()),
    })
}

fn export(quarantine: &Quarantine, name: &str, to: &Path, out: &Out) -> Result<(), Failure> {
    let note = find(quarantine, name)?;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(to);
    made.with_context(|| format!("cannot make the folder {}", to.display()))?;
    let mut files = Vec::new();
    for one in quarantine.messages(&note)? {
        let file = to.join(format!("{}.eml", one.id));
        let front = one.envelope.as_ref().map(front).unwrap_or_default();
        write(&file, &[front.as_bytes(), &one.content])?;
        files.push((file, one.state));
    }
    if out.is_json() {
        let files: Vec<Value> = files
            .iter()
            .map(|(file, state)| json!({ "file": file, "state": state.name() }))
            .collect();
        out.object(&json!({ "v": 1, "files": files }));
    } else if files.is_empty() {
        out.line("no message can be read there");
    } else {
        files
            .iter()
            .for_each(|(file, state)| out.line(&format!("{}: {}", file.display(), state.name())));
    }
    Ok(())
}

fn write(path: &Path, parts: &[&[u8]]) -> Result<()> {
    let done = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        file.sync_all()
    };
    done().with_context(|| format!("cannot write {}", path.display()))
}

/// By the daemon that has the spool, or without one.
fn restore(global: &Global, data: &Path, wanted: Wanted, out: &Out) -> Result<ExitCode, Failure> {
    let restored: Vec<Value> = match RealDisk::open(&data.join(FOLDER)) {
        Ok(disk) => offline(disk, data, wanted)?.iter().map(told).collect(),
        Err(locked @ DiskOpenError::Locked { .. }) => {
            let configured = global.socket.is_some() || place::config_file(global).is_some();
            let socket =
                if configured { place::socket(global)? } else { data.join("control.sock") };
            let client = Client::new(socket)?;
            if !client.is_alive() {
                return Err(in_use(&locked, "no daemon answers: end the process first"));
            }
            let id = wanted.id.map(|id| id.to_string());
            let request = json!({ "name": wanted.name, "id": id }).to_string();
            let mut answer =
                client.post(&Target::new("/v1/spool/restore"), Bytes::from(request))?;
            match answer["restored"].take() {
                Value::Array(restored) => restored,
                _ => Vec::new(),
            }
        }
        Err(error) => return Err(Failure::failed(error.to_string())),
    };
    let all = restored.iter().all(|one| one["new"].is_string());
    if out.is_json() {
        out.object(&json!({ "v": 1, "restored": restored }));
    } else if restored.is_empty() {
        out.line("no message can be read there");
    } else {
        for one in &restored {
            match one["new"].as_str() {
                Some(new) => out.line(&format!("{} is restored as {new}", text(&one["id"]))),
                None => {
                    out.line(&format!("{} is not: {}", text(&one["id"]), text(&one["why_not"])));
                }
            }
        }
    }
    Ok(if all && !restored.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(one: &Restored) -> Value {
    let (id, new) = (one.id.to_string(), one.new.map(|id: QueueId| id.to_string()));
    json!({ "id": id, "new": new, "why_not": one.why_not })
}

fn offline(disk: RealDisk, data: &Path, wanted: Wanted) -> Result<Vec<Restored>, Failure> {
    let (log, _) = spool::open(disk, false).map_err(|e| {
        Failure::failed(format!("cannot open the spool in {}: {e}", data.display()))
    })?;
    let spool = LocalSpool::in_place(log);
    let quarantine = Quarantine::of(data);
    let by = Some(format!("uid {}, without a daemon", rustix::process::getuid().as_raw()));
    let prepared = prepare(&quarantine, &spool, &wanted).map_err(failure)?;
    let runtime = runtime()?;
    let restored = runtime.block_on(put_back(&quarantine, &spool, prepared, by));
    runtime.block_on(spool.close());
    restored.map_err(failure)
}

fn failure(fault: RestoreFault) -> Failure {
    match fault {
        RestoreFault::NotFound(message) => Failure::new(Exit::NotFound, "not-found", message),
        RestoreFault::Failed(message) => Failure::failed(message),
    }
}

/// Of a lost segment the spool itself is told, which no daemon may have then.
fn remove(data: &Path, name: &str, out: &Out) -> Result<(), Failure> {
    let quarantine = Quarantine::of(data);
    let note = find(&quarantine, name)?;
    if note.lost {
        let disk = RealDisk::open(&data.join(FOLDER)).map_err(|error| match error {
            locked @ DiskOpenError::Locked { .. } => {
                in_use(&locked, "stop the daemon: its spool is to forget a lost segment")
            }
            error => Failure::failed(error.to_string()),
        })?;
        let (mut log, _) =
            spool::open(disk, false).map_err(|error| Failure::failed(error.to_string()))?;
        log.forget_lost().map_err(|error| Failure::failed(error.to_string()))?;
        log.close().map_err(|error| Failure::failed(error.to_string()))?;
    }
    if note.removed.is_none() {
        quarantine.remove(&note)?;
    }
    if out.is_json() {
        out.object(&json!({ "v": 1, "removed": name }));
    } else {
        out.line(&format!("{name} is removed; the damaged place in the spool stays as it is"));
    }
    Ok(())
}
