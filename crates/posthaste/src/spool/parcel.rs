//! A message on its way from one spool to another. The form is documented in `docs/spool-files.md`.
//!
//! In a folder it is two files: `ID.eml`, the content with `X-Sender:` and `X-Receiver:` in front, and `ID.json`, which
//! says everything of it, in words for people and as the store's own record, from which it is read again. A folder that
//! is complete has `spool.json`, written last. As a stream it is a line of JSON for each message, with the content in
//! base 64, and a last line that says that it is complete.

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use posthaste_mail::{Envelope, Recipient, Timestamp};
use posthaste_queue::{Life, RecipientState};
use posthaste_spool::{Carried, LedgerEntry, Record as _};
use serde_json::{Value, json};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The file that makes a folder complete.
const LAST: &str = "spool.json";
const VERSION: u64 = 1;

/// Where messages are carried to.
pub(crate) enum Sink<'a> {
    /// A folder of files.
    Folder(PathBuf),
    /// A line each.
    Lines(&'a mut dyn Write),
}

impl<'a> Sink<'a> {
    /// A folder that is new or empty, readable by nobody else.
    pub(crate) fn folder(path: &Path) -> Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("cannot make the folder {}", path.display()))?;
        let mut entries = fs::read_dir(path).with_context(|| path.display().to_string())?;
        ensure!(
            entries.next().is_none(),
            "{} is not empty: name a new folder, so that one export is not taken for another",
            path.display()
        );
        Ok(Self::Folder(path.to_owned()))
    }

    pub(crate) const fn lines(to: &'a mut dyn Write) -> Self {
        Self::Lines(to)
    }

    pub(crate) fn put(&mut self, carried: &Carried, content: &[u8]) -> Result<()> {
        let id = carried.live.envelope.id;
        let front = front(&carried.live.envelope);
        let mut object = describe(carried);
        match self {
            Self::Folder(folder) => {
                object["file"] = json!(format!("{id}.eml"));
                object["skip"] = json!(front.len());
                create(&folder.join(format!("{id}.eml")), &[front.as_bytes(), content])?;
                let text = format!("{object:#}\n");
                create(&folder.join(format!("{id}.json")), &[text.as_bytes()])
            }
            Self::Lines(to) => {
                object["content"] = json!(STANDARD.encode(content));
                writeln!(to, "{object}").context("cannot write")
            }
        }
    }

    /// Says that it is complete, durably where it is a folder.
    pub(crate) fn finish(
        self,
        messages: u64,
        ledger: &[LedgerEntry],
        now: Timestamp,
    ) -> Result<()> {
        let entries: Vec<String> =
            ledger.iter().map(|entry| STANDARD.encode(entry.encode())).collect();
        let end = json!({
            "v": VERSION, "complete": true, "exported": now.rfc3339(), "messages": messages, "ledger": entries,
        });
        match self {
            Self::Folder(folder) => {
                sync(&folder)?;
                create(&folder.join(LAST), &[format!("{end:#}\n").as_bytes()])?;
                sync(&folder)
            }
            Self::Lines(to) => {
                writeln!(to, "{end}").and_then(|()| to.flush()).context("cannot write")
            }
        }
    }
}

/// One sync of the file system does for thousands of small files.
fn sync(folder: &Path) -> Result<()> {
    let handle = File::open(folder)?;
    rustix::fs::syncfs(&handle).context("cannot make the export durable")
}

fn create(path: &Path, parts: &[&[u8]]) -> Result<()> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        parts.iter().try_for_each(|part| file.write_all(part))
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// The envelope in the form that replay folders and `queue import` read: a field for each path.
pub(crate) fn front(envelope: &Envelope) -> String {
    let all: Vec<u32> = (0u32..).zip(&envelope.recipients).map(|(number, _)| number).collect();
    posthaste_message::replay::compose(envelope, &all)
}

/// What people and other programs read, and the record.
fn describe(carried: &Carried) -> Value {
    let envelope = &carried.live.envelope;
    let both = envelope.recipients.iter().zip(&carried.live.states);
    let recipients: Vec<Value> = both.map(|(to, state)| recipient(to, state)).collect();
    json!({
        "v": VERSION,
        "id": envelope.id.to_string(),
        "received": envelope.received.rfc3339(),
        "reverse_path": envelope.reverse_path.to_string(),
        "recipients": recipients,
        "size": envelope.facts.size,
        "crc32c": format!("{:08x}", envelope.facts.crc),
        "header_from": envelope.summary.header_from,
        "subject": envelope.summary.subject,
        "message_id": envelope.summary.message_id,
        "attempts": carried.history.attempts.len(),
        "record": STANDARD.encode(carried.encode()),
    })
}

fn recipient(to: &Recipient, state: &RecipientState) -> Value {
    let status = match state.life {
        Life::Queued | Life::Refused => "queued",
        Life::Held | Life::Poison => "held",
        Life::Delivered => "delivered",
        Life::Failed | Life::Failing => "failed",
        Life::Expired | Life::Expiring => "expired",
        Life::Removed => "removed",
    };
    let due = (state.due != Timestamp::EPOCH).then(|| state.due.rfc3339());
    json!({
        "address": to.mailbox.to_string(), "orcpt": to.orcpt, "status": status,
        "attempts": state.attempts, "failures": state.failures, "next_attempt": due,
    })
}

/// A message that was carried here.
pub(crate) struct Parcel {
    pub(crate) carried: Carried,
    pub(crate) content: Vec<u8>,
}

/// Everything that was carried here, messages still unread.
pub(crate) struct Arrived {
    /// In order of id.
    pub(crate) parcels: Vec<Unread>,
    pub(crate) ledger: Vec<LedgerEntry>,
}

/// A message that was carried here and not read yet.
pub(crate) enum Unread {
    /// The file that describes it.
    File(PathBuf),
    /// Its line.
    Line(String),
}

impl Arrived {
    /// A folder that an export made, complete.
    pub(crate) fn folder(path: &Path) -> Result<Self> {
        let last = path.join(LAST);
        let text = fs::read_to_string(&last).with_context(|| {
            format!("{} is no complete export: there is no {LAST} in it", path.display())
        })?;
        let end = parse(&text).with_context(|| last.display().to_string())?;
        let mut parcels = Vec::new();
        for entry in fs::read_dir(path)? {
            let file = entry?.path();
            let json = file.extension().is_some_and(|extension| extension == "json");
            if json && file != last {
                parcels.push(file);
            }
        }
        parcels.sort();
        let arrived = Self {
            parcels: parcels.into_iter().map(Unread::File).collect(),
            ledger: ledger(&end)?,
        };
        arrived.verified(&end)
    }

    /// The lines of an export, the last of which says that it is complete.
    pub(crate) fn lines(text: &str) -> Result<Self> {
        let mut lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let end = lines.pop().context("nothing arrived")?;
        let end = parse(end).context("the last line")?;
        ensure!(
            end["complete"] == true,
            "the last line does not say that the export is complete: it was cut off"
        );
        let parcels = lines.into_iter().map(|line| Unread::Line(line.to_owned())).collect();
        Self { parcels, ledger: ledger(&end)? }.verified(&end)
    }

    fn verified(self, end: &Value) -> Result<Self> {
        let (said, found) = (end["messages"].as_u64().unwrap_or(0), self.parcels.len() as u64);
        ensure!(said == found, "the export has {found} messages and says that it has {said}");
        Ok(self)
    }
}

impl Unread {
    /// What it is called in an error.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Line(line) => {
                let object: Value = serde_json::from_str(line).unwrap_or_default();
                format!("the line of {}", object["id"].as_str().unwrap_or("no message"))
            }
        }
    }

    /// Envelope, states and attempts, without the content.
    pub(crate) fn carried(&self) -> Result<Carried> {
        carried(&self.object()?)
    }

    /// All of it; the content is what was exported, or it is an error.
    pub(crate) fn read(&self) -> Result<Parcel> {
        let object = self.object()?;
        let carried = carried(&object)?;
        let content = match self {
            Self::Line(_) => STANDARD.decode(text(&object, "content")?).context("its content")?,
            Self::File(path) => {
                let file = path.with_file_name(plain_name(text(&object, "file")?)?);
                let mut octets = fs::read(&file).with_context(|| file.display().to_string())?;
                let skip = object["skip"].as_u64().and_then(|skip| usize::try_from(skip).ok());
                let skip = skip.filter(|skip| *skip <= octets.len()).context("`skip` is wrong")?;
                octets.drain(..skip);
                octets
            }
        };
        let facts = &carried.live.envelope.facts;
        ensure!(
            content.len() as u64 == facts.size && crc32c::crc32c(&content) == facts.crc,
            "its content is not what was exported: it was changed or cut"
        );
        Ok(Parcel { carried, content })
    }

    fn object(&self) -> Result<Value> {
        match self {
            Self::Line(line) => parse(line),
            Self::File(path) => parse(&fs::read_to_string(path)?),
        }
    }
}

fn parse(text: &str) -> Result<Value> {
    let object: Value = serde_json::from_str(text).context("it is not JSON")?;
    match object["v"].as_u64() {
        Some(VERSION) => Ok(object),
        Some(newer) => bail!("its form is version {newer}; this program reads {VERSION}"),
        None => bail!("it says no version of its form"),
    }
}

fn carried(object: &Value) -> Result<Carried> {
    let octets = STANDARD.decode(text(object, "record")?).context("its record")?;
    Ok(Carried::decode(&octets)?)
}

fn ledger(end: &Value) -> Result<Vec<LedgerEntry>> {
    let entries = end["ledger"].as_array().into_iter().flatten();
    let decode = |entry: &Value| {
        let octets = STANDARD.decode(entry.as_str().unwrap_or_default()).context("its ledger")?;
        Ok(LedgerEntry::decode(&octets)?)
    };
    entries.map(decode).collect()
}

fn text<'v>(object: &'v Value, name: &str) -> Result<&'v str> {
    object[name].as_str().with_context(|| format!("`{name}` is missing"))
}

/// A name that leads nowhere else.
fn plain_name(name: &str) -> Result<&str> {
    ensure!(!name.contains('/') && !name.starts_with('.'), "`{name}` is no file of the export");
    Ok(name)
}
