//! Sessions found in the session log: by their id, by a message, by the client, those in which something was refused.

use super::keys::{Key, Keyed, Of, ip_of};
use super::log::{self, CLOCK_STEP, LogFile};
use super::{allowance, time};
use crate::view::{VERSION, When};
use posthaste_io_tokio::journal::files::SESSIONS;
use posthaste_mail::{ConnectionId, QueueId, Timestamp};
use posthaste_reception::Network;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::io;
use std::net::IpAddr;
use std::path::Path;

/// Which sessions; every part that is given must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Asked {
    /// The one of this name. One attempt to reach a destination may have several: a connection for each host that was tried.
    pub id: Option<ConnectionId>,
    /// Those that carried a message.
    pub message: Option<QueueId>,
    /// Those with a peer in a network.
    pub client: Option<Network>,
    /// Those in which something was refused.
    pub refused: bool,
    /// Those that began since.
    pub since: Option<Timestamp>,
    /// With the dialogue.
    pub lines: bool,
}

/// What was found, newest first.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Sessions {
    /// Always 1.
    pub v: u32,
    /// Each as the outside interface has it.
    pub sessions: Vec<Value>,
    /// The whole log was searched, or everything asked for was found.
    pub complete: bool,
    /// How far back the search went.
    pub searched_to: Option<When>,
}

/// Searches the session log in a folder. Blocks, for at most [`super::MAX_TIME`].
///
/// # Errors
/// The operating system's, when the log cannot be read; that there is none yet is no error.
pub fn search(folder: &Path, asked: &Asked, limit: usize) -> io::Result<Sessions> {
    let files = log::open(folder, SESSIONS)?;
    let mut allowance = allowance();
    let keys = asked.keys();
    let hashes: Vec<u64> = keys.iter().map(Key::hash).collect();
    let (mut sessions, mut oldest, mut own) = (Vec::new(), None, Vec::new());
    for file in &files {
        if asked.is_before(file) {
            break;
        }
        for part in file.parts(with_all(file, &keys)) {
            let mut here = Vec::new();
            let whole = file.read(part, &mut allowance, &mut |line| {
                if !has_all(line, &hashes, &mut own) {
                    return;
                }
                if let Some(session) = asked.fit(line) {
                    here.push(session);
                    // Of a part in which all fit only the newest are wanted.
                    if here.len() >= 2 * limit.max(1) {
                        here.drain(..limit);
                    }
                }
            })?;
            sessions.extend(here.into_iter().rev().take(limit - sessions.len()));
            if sessions.len() >= limit || !whole {
                return Ok(asked.answer(sessions, whole, oldest));
            }
        }
        oldest = file.oldest().or(oldest);
    }
    Ok(asked.answer(sessions, true, oldest))
}

impl Asked {
    /// What the line of a session has that fits: all of these. Without any, everything is read.
    fn keys(&self) -> Vec<Key> {
        let id = self.id.map(|id| Key::new(Of::Session, &id.to_string()));
        let message = self.message.map(|id| Key::new(Of::Id, &id.to_string()));
        let client = self.client.as_ref().and_then(|network| Key::of_network(&network.to_string()));
        let refused = self.refused.then(|| Key::new(Of::Refused, ""));
        [id, message, client, refused].into_iter().flatten().collect()
    }

    fn is_before(&self, file: &LogFile) -> bool {
        let newest = file.newest().map(|newest| newest.plus(CLOCK_STEP));
        newest.zip(self.since).is_some_and(|(newest, since)| newest < since)
    }

    /// The session of a line, if it is one of those asked for.
    fn fit(&self, line: &[u8]) -> Option<Value> {
        let mut session: Value = serde_json::from_slice(line).ok()?;
        let text = |name: &str| session[name].as_str().unwrap_or_default();
        let id: ConnectionId = text("session").parse().ok()?;
        let ip: Option<IpAddr> = ip_of(text("peer")).parse().ok();
        let carried = |id: &QueueId| {
            let wanted = id.to_string();
            session["ids"].as_array().is_some_and(|all| all.iter().any(|id| *id == *wanted))
        };
        let began = time(text("at"));
        let fits = self.id.is_none_or(|wanted| wanted == id)
            && self.message.as_ref().is_none_or(carried)
            && self.client.as_ref().is_none_or(|net| ip.is_some_and(|ip| net.contains(ip)))
            && (!self.refused || session["refused"].as_u64().is_some_and(|count| count > 0))
            && self.since.is_none_or(|since| began.is_some_and(|began| began >= since));
        fits.then(|| {
            shown(session.as_object_mut().map(std::mem::take).unwrap_or_default(), self.lines)
        })
    }

    fn answer(&self, sessions: Vec<Value>, complete: bool, oldest: Option<Timestamp>) -> Sessions {
        let last = sessions.last().and_then(|session| time(session["at"].as_str()?));
        let searched_to = oldest.or(last).map(When);
        Sessions { v: VERSION, sessions, complete, searched_to }
    }
}

/// The blocks in which a line may have all of the keys; `None`: any.
fn with_all(file: &LogFile, keys: &[Key]) -> Option<Vec<u64>> {
    let each = keys.iter().filter_map(|key| file.blocks(std::slice::from_ref(key)));
    each.reduce(|mut both, other| {
        both.retain(|block| other.binary_search(block).is_ok());
        both
    })
}

/// Whether a line has all of the keys. It spares the reading of a whole session.
fn has_all(line: &[u8], hashes: &[u64], own: &mut Vec<u64>) -> bool {
    if hashes.is_empty() {
        return true;
    }
    let Some(keyed) = Keyed::read(line) else { return false };
    own.clear();
    keyed.hashes(own);
    hashes.iter().all(|hash| own.contains(hash))
}

/// A line of the log as the outside interface has it: absent fields are null, the dialogue is objects.
fn shown(mut logged: Map<String, Value>, with_lines: bool) -> Value {
    let lines = logged.remove("lines");
    let line = |line: &Value| {
        let who = if line[1] == "<" { "they" } else { "we" };
        json!({ "after_ms": line[0], "who": who, "text": line[2] })
    };
    let lines: Option<Vec<Value>> = lines
        .as_ref()
        .filter(|_| with_lines)
        .and_then(Value::as_array)
        .map(|all| all.iter().map(line).collect());
    let mut take = |name: &str| logged.remove(name).unwrap_or(Value::Null);
    let list = |value: Value| if value.is_null() { json!([]) } else { value };
    json!({
        "v": VERSION,
        "id": take("session"),
        "at": take("at"),
        "took_ms": take("took_ms"),
        "direction": take("direction"),
        "peer": take("peer"),
        "local": take("local"),
        "listener": take("listener"),
        "destination": take("destination"),
        "route": take("route"),
        "host": take("host"),
        "helo": take("helo"),
        "tls": take("tls"),
        "tls_failed": take("tls_failed"),
        "ended": take("ended"),
        "refused": take("refused"),
        "refusals": list(take("refusals")),
        "messages": take("messages"),
        "message_ids": list(take("ids")),
        "lines": lines,
    })
}
