//! Damaged places of the spool, kept in a folder beside it: the octets as they are, a note of where they were and what
//! was wrong, and what can be read of them.
//!
//! Notes stay: what was restored is not restored again, and what was removed is not listed again at the next start. The
//! damaged place itself stays in the spool, untouched. Not here: reading messages out of octets (`spool-local`).

use super::FOLDER;
use anyhow::{Context as _, Result};
use posthaste_admin::keeper::{RestoreFault, Restored, Wanted};
use posthaste_io_tokio::{Folder, RealDisk};
use posthaste_mail::{Envelope, QueueId};
use posthaste_queue::RecipientState;
use posthaste_spool::store::Quarantined;
use posthaste_spool::{Content, NewMail, Spool};
use posthaste_spool_local::{Fate, LOST, Left, LocalSpool, Stretch};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The folder of damaged places within that of all data.
const QUARANTINE: &str = "quarantine";
const BODY: &str = "body-";

/// The quarantine of a folder of data.
#[derive(Clone, Debug)]
pub(crate) struct Quarantine {
    folder: PathBuf,
    spool: PathBuf,
}

/// What is noted of a damaged place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Note {
    v: u32,
    pub(crate) name: String,
    /// File and offset in the spool.
    pub(crate) place: String,
    pub(crate) size: u64,
    pub(crate) what: String,
    pub(crate) found: String,
    /// A segment that was here and is gone.
    pub(crate) lost: bool,
    /// What the octets are read with.
    stretch: Option<Seed>,
    pub(crate) restored: Vec<Done>,
    pub(crate) removed: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Seed {
    sequence: u32,
    seed: u32,
    offset: u32,
}

/// A message that was restored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    id: String,
    new: String,
    at: String,
    by: Option<String>,
}

/// A message in a damaged place, as far as it can be read.
pub(crate) struct Found {
    pub(crate) id: QueueId,
    pub(crate) envelope: Option<Envelope>,
    states: Vec<RecipientState>,
    pub(crate) content: Vec<u8>,
    pub(crate) state: State,
}

/// How much of a message there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// All of it: it can be restored.
    Whole,
    /// Its content is not what was written.
    Damaged,
    /// Only its content.
    NoEnvelope,
    /// Only its envelope.
    NoContent,
}

impl State {
    /// For people and JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Damaged => "damaged content",
            Self::NoEnvelope => "no envelope",
            Self::NoContent => "no content",
        }
    }
}

impl Quarantine {
    pub(crate) fn of(data: &Path) -> Self {
        Self { folder: data.join(QUARANTINE), spool: data.join(FOLDER) }
    }

    /// Keeps what is damaged and not kept yet; answers how many places were new.
    pub(crate) fn keep(&self, damaged: Vec<(Quarantined, Option<Stretch>)>) -> Result<u64> {
        let mut kept = 0;
        for (damage, stretch) in damaged {
            let name = name_of(&damage.place, stretch.as_ref());
            if self.note_path(&name).exists() {
                continue;
            }
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
            made.with_context(|| format!("cannot make {}", self.folder.display()))?;
            if let Some(stretch) = &stretch {
                write(&self.octets_path(&name), &stretch.octets)?;
            }
            self.write_note(&Note {
                v: 1,
                place: damage.place,
                size: damage.size,
                what: damage.what.to_owned(),
                found: super::now().rfc3339(),
                lost: damage.what == LOST,
                stretch: stretch.map(|s| Seed {
                    sequence: s.sequence,
                    seed: s.seed,
                    offset: s.offset,
                }),
                restored: Vec::new(),
                removed: None,
                name,
            })?;
            kept += 1;
        }
        Ok(kept)
    }

    /// When a note was last written; `None` while there is none.
    pub(crate) fn changed(&self) -> Option<SystemTime> {
        fs::metadata(&self.folder).and_then(|folder| folder.modified()).ok()
    }

    /// Every place that was not removed, or all of them, by name.
    pub(crate) fn list(&self, removed_too: bool) -> Result<Vec<Note>> {
        let mut notes = Vec::new();
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(notes),
            entries => entries.with_context(|| format!("cannot read {}", self.folder.display()))?,
        };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                notes.push(read_note(&path)?);
            }
        }
        notes.retain(|note| removed_too || note.removed.is_none());
        notes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(notes)
    }

    /// One place; `None` when there is none of that name.
    pub(crate) fn find(&self, name: &str) -> Result<Option<Note>> {
        Ok(self.list(true)?.into_iter().find(|note| note.name == name))
    }

    /// What can be read of the messages there.
    pub(crate) fn messages(&self, note: &Note) -> Result<Vec<Found>> {
        if let Some(id) = note.place.strip_prefix(BODY).and_then(|id| id.parse().ok()) {
            let content = self.body(id);
            let state = State::NoEnvelope;
            let found = content.map(|content| Found {
                id,
                envelope: None,
                states: Vec::new(),
                content,
                state,
            });
            return Ok(found.into_iter().collect());
        }
        let (Some(seed), None) = (note.stretch, &note.removed) else { return Ok(Vec::new()) };
        let path = self.octets_path(&note.name);
        let octets = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let Seed { sequence, seed, offset } = seed;
        let stretch = Stretch { sequence, seed, offset, octets: octets.into() };
        Ok(stretch.salvage().into_iter().map(|one| self.found(one)).collect())
    }

    fn found(&self, one: posthaste_spool_local::Salvaged) -> Found {
        let (content, whole) = match one.content {
            Left::Whole(octets) => (octets.to_vec(), true),
            Left::Damaged(octets) => (octets.to_vec(), false),
            Left::InFile { head, .. } => {
                let file = self.body(one.id);
                (file.map(|file| [&head[..], &file].concat()).unwrap_or_default(), true)
            }
            Left::Nothing => (Vec::new(), false),
        };
        let facts = one.envelope.as_ref().map(|envelope| &envelope.facts);
        let as_accepted = facts.is_none_or(|facts| crc32c::crc32c(&content) == facts.crc);
        let empty = content.is_empty() && facts.is_none_or(|facts| facts.size > 0);
        let state = match (&one.envelope, whole && as_accepted) {
            _ if empty => State::NoContent,
            (None, _) => State::NoEnvelope,
            (Some(_), true) => State::Whole,
            (Some(_), false) => State::Damaged,
        };
        Found { id: one.id, envelope: one.envelope, states: one.states, content, state }
    }

    fn body(&self, id: QueueId) -> Option<Vec<u8>> {
        fs::read(self.spool.join(format!("{BODY}{id}"))).ok()
    }

    /// The octets go, the note stays.
    pub(crate) fn remove(&self, note: &Note) -> Result<()> {
        let removed = Some(super::now().rfc3339());
        self.write_note(&Note { removed, ..note.clone() })?;
        if note.stretch.is_some() {
            let path = self.octets_path(&note.name);
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    fn note_path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    fn octets_path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.octets"))
    }

    fn write_note(&self, note: &Note) -> Result<()> {
        let text = serde_json::to_string_pretty(note).context("a note is JSON")?;
        write(&self.note_path(&note.name), text.as_bytes())
    }
}

/// What is to be restored, read.
pub(crate) struct Prepared {
    note: Note,
    found: Vec<Found>,
    fates: BTreeMap<QueueId, Fate>,
}

/// Reads what can be restored, and what has become of it. Takes its time.
pub(crate) fn prepare(
    quarantine: &Quarantine,
    spool: &LocalSpool<RealDisk>,
    wanted: &Wanted,
) -> Result<Prepared, RestoreFault> {
    let failed = |error: anyhow::Error| RestoreFault::Failed(format!("{error:#}"));
    let missing = || {
        let name = &wanted.name;
        RestoreFault::NotFound(format!(
            "`{name}` is not in the quarantine; see `spool quarantine list`"
        ))
    };
    let note = quarantine.find(&wanted.name).map_err(failed)?.ok_or_else(missing)?;
    let mut found = quarantine.messages(&note).map_err(failed)?;
    found.retain(|one| wanted.id.is_none_or(|id| id == one.id));
    if let (Some(id), true) = (wanted.id, found.is_empty()) {
        let name = &wanted.name;
        return Err(RestoreFault::NotFound(format!("nothing of {id} can be read in `{name}`")));
    }
    let ids: BTreeSet<QueueId> = found.iter().map(|one| one.id).collect();
    let fates = spool.fates(&ids);
    Ok(Prepared { note, found, fates })
}

/// Accepts what can be read of a place as new mail; what has been restored, has left or is here is not.
pub(crate) async fn restore(
    quarantine: &Quarantine,
    spool: &LocalSpool<RealDisk>,
    prepared: Prepared,
    by: Option<String>,
) -> Result<Vec<Restored>, RestoreFault> {
    let Prepared { mut note, found, fates } = prepared;
    let mut restored = Vec::new();
    for one in found {
        let id = one.id;
        let done = match why_not(&one, &note, &fates) {
            Some(why) => Restored { id, new: None, why_not: Some(why) },
            None => {
                let new = accept(spool, one).await?;
                let at = super::now().rfc3339();
                let by = by.clone();
                note.restored.push(Done { id: id.to_string(), new: new.to_string(), at, by });
                let noted = quarantine.write_note(&note);
                noted.map_err(|error| RestoreFault::Failed(format!("{error:#}")))?;
                Restored { id, new: Some(new), why_not: None }
            }
        };
        restored.push(done);
    }
    Ok(restored)
}

fn why_not(one: &Found, note: &Note, fates: &BTreeMap<QueueId, Fate>) -> Option<String> {
    if let Some(done) = note.restored.iter().find(|done| done.id == one.id.to_string()) {
        return Some(format!("it was restored as {} at {}", done.new, done.at));
    }
    let ended = !one.states.is_empty() && one.states.iter().all(|state| !state.life.is_live());
    match (fates.get(&one.id), one.state) {
        (Some(Fate::Live), _) => Some("it is in the queue".into()),
        (Some(Fate::Left), _) => Some("it has left since".into()),
        _ if ended => Some("all its recipients have ended".into()),
        (_, State::Whole) => None,
        (_, state) => {
            Some(format!("{}: `spool quarantine export` gives what there is", state.name()))
        }
    }
}

async fn accept(spool: &LocalSpool<RealDisk>, one: Found) -> Result<QueueId, RestoreFault> {
    let now = super::now();
    let new = spool.mint(now);
    let envelope = one.envelope.expect("only whole messages are restored");
    let as_many = one.states.len() == envelope.recipients.len();
    let states = if as_many {
        one.states
    } else {
        vec![RecipientState::default(); envelope.recipients.len()]
    };
    // As new mail: its time begins again.
    let envelope = Envelope { id: new, received: now, ..envelope };
    let mail = NewMail { envelope, content: Content::Inline(one.content.into()), states };
    let accepted = spool.accept(mail).await;
    accepted.map_err(|refused| RestoreFault::Failed(format!("not accepted: {refused}")))?;
    Ok(new)
}

fn name_of(place: &str, stretch: Option<&Stretch>) -> String {
    let plain: String = place
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' })
        .collect();
    match stretch {
        // Segment files are used again and again; sequence numbers are not.
        Some(stretch) => format!("{plain}-{}", stretch.sequence),
        None => plain,
    }
}

fn read_note(path: &Path) -> Result<Note> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no note", path.display()))
}

/// Under another name first: a reader never sees half of it, nor a crash.
fn write(path: &Path, octets: &[u8]) -> Result<()> {
    let done = || -> io::Result<()> {
        let (folder, name) = Folder::of_file(path)?;
        let unfinished = Path::new(&name).with_extension("unfinished");
        let mut file = folder.fresh(unfinished.as_os_str())?;
        file.write_all(octets)?;
        file.sync_all()?;
        folder.rename(unfinished.as_os_str(), &name)?;
        folder.handle().sync_all()
    };
    done().with_context(|| format!("cannot write {}", path.display()))
}
