//! `queue export` and `queue import`: messages out to files and in again, envelope in front.

use super::slices;
use crate::cli::{ExportArgs, ImportArgs};
use crate::client::{Client, Target};
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::verbs::counted;
use bytes::Bytes;
use posthaste_mail::QueueId;
use serde_json::{Value, json};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Messages that one command exports.
const MAX_EXPORTED: usize = 10_000_000;

pub(super) fn export(client: &Client, args: &ExportArgs, out: &Out) -> Result<ExitCode, Failure> {
    let ids = chosen(client, args)?;
    if let (None, [id]) = (&args.to_folder, ids.as_slice()) {
        return match args.to.as_deref() {
            None => one(client, id, &mut io::stdout().lock()),
            Some(path) if path == Path::new("-") => one(client, id, &mut io::stdout().lock()),
            Some(path) => one(client, id, &mut create(path)?),
        };
    }
    let Some(folder) = &args.to_folder else {
        return Err(Failure::usage("several messages go to a folder: give --to-folder"));
    };
    // Mail is nobody else's business.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| failed(folder, &error))?;
    let (mut files, mut missing) = (Vec::new(), Vec::new());
    for id in ids {
        let path = folder.join(format!("{id}.eml"));
        let part = folder.join(format!("{id}.part"));
        match whole(client, &id, &part, &path) {
            Ok(()) => files.push(path.display().to_string()),
            // It has been delivered meanwhile.
            Err(failure) if failure.exit == Exit::NotFound => missing.push(id),
            Err(failure) => return Err(failure),
        }
    }
    if out.is_json() {
        out.object(&json!({ "v": 1, "files": files, "missing": missing }));
    } else {
        let many = counted(&json!(files.len()), "message");
        let are = if files.len() == 1 { "is" } else { "are" };
        out.line(&format!("{many} {are} in {}", folder.display()));
        if !missing.is_empty() {
            out.remark(&format!("not in the queue: {}", missing.join(" ")));
        }
    }
    let named = !args.ids.is_empty() && !missing.is_empty();
    Ok(if named { Exit::NotFound.into() } else { ExitCode::SUCCESS })
}

fn chosen(client: &Client, args: &ExportArgs) -> Result<Vec<String>, Failure> {
    if let Some(filter) = &args.filter {
        let (list, _) = slices(client, "/v1/messages", "messages", filter, MAX_EXPORTED, None)?;
        return Ok(list.iter().filter_map(|m| m["id"].as_str().map(str::to_owned)).collect());
    }
    let read = |id: &String| match id.parse::<QueueId>() {
        Ok(id) => Ok(id.to_string()),
        Err(error) => Err(Failure::usage(format!("`{id}`: {error}"))),
    };
    args.ids.iter().map(read).collect()
}

fn one(client: &Client, id: &str, sink: &mut dyn Write) -> Result<ExitCode, Failure> {
    client.download(&content_of(id), sink)?;
    Ok(ExitCode::SUCCESS)
}

/// Under its name only once it is whole.
fn whole(client: &Client, id: &str, part: &Path, path: &Path) -> Result<(), Failure> {
    let mut file = create(part)?;
    let downloaded = client.download(&content_of(id), &mut file);
    let written = downloaded.and_then(|()| {
        file.sync_all().and_then(|()| fs::rename(part, path)).map_err(|e| failed(path, &e))
    });
    if written.is_err() {
        let _ = fs::remove_file(part);
    }
    written
}

fn content_of(id: &str) -> Target {
    Target::new(&format!("/v1/messages/{id}/content"))
}

/// Mail is nobody else's business.
fn create(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}

pub(super) fn import(client: &Client, args: &ImportArgs, out: &Out) -> Result<(), Failure> {
    let mut files = args.files.clone();
    if let Some(folder) = &args.folder {
        files.extend(in_folder(folder)?);
    }
    let mut taken: Vec<Value> = Vec::new();
    for path in &files {
        let content = fs::read(path).map_err(|error| failed(path, &error))?;
        let target = Target::new("/v1/import");
        let target = if args.dry_run { target.with("dry_run", "true") } else { target };
        let mut answer = client.post(&target, Bytes::from(content)).map_err(|mut failure| {
            let at = path.display().to_string();
            failure.errors.iter_mut().for_each(|error| error.at = Some(at.clone()));
            if !taken.is_empty() {
                let many = counted(&json!(taken.len()), "file");
                out.remark(&format!("taken before it: {many}"));
            }
            failure
        })?;
        answer["file"] = json!(path.display().to_string());
        if !out.is_json() {
            let id = answer["id"].as_str().unwrap_or("good");
            out.line(&format!("{id}  {}", path.display()));
        }
        taken.push(answer);
    }
    if out.is_json() {
        out.object(&json!({ "v": 1, "dry_run": args.dry_run, "messages": taken }));
    }
    Ok(())
}

/// The `.eml` files of a folder, in order of name.
fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).map_err(|error| failed(folder, &error))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| failed(folder, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "eml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
