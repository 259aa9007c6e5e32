//! Joins the lines of the log to messages. Lines come newest first, so that a message is whole with its `received` line.

use super::{Question, Tracked};
use crate::filter::{Field, Record, Scalar};
use crate::text;
use crate::view::{VERSION, When};
use posthaste_mail::{QueueId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Lines of one message that are kept; of a message with more, the newest.
const MAX_LINES: usize = 20_000;

/// What became of a message.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of a message in the outside interface")]
pub struct TrackedMessage {
    pub v: u32,
    pub id: String,
    pub received: Option<When>,
    pub size: Option<u64>,
    pub reverse_path: Option<String>,
    pub message_id: Option<String>,
    pub subject: Option<String>,
    pub source_ip: Option<String>,
    pub source_user: Option<String>,
    pub listener: Option<String>,
    /// It has left the queue.
    pub done: bool,
    pub recipients: Vec<TrackedRecipient>,
    /// The lines of the event log, oldest first.
    pub events: Vec<Value>,
}

/// What became of one recipient.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the fields are those of a recipient in the outside interface")]
pub struct TrackedRecipient {
    pub address: String,
    /// `queued`, or `held` by an operator, until it has reached its end.
    pub status: String,
    pub at: Option<String>,
    pub host: Option<String>,
    pub ip: Option<String>,
    pub attempts: u64,
    /// The last reply, or the last fault in words.
    pub last_error: Option<String>,
}

/// One line, as far as it tells where it belongs.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    event: &'a str,
    #[serde(borrow, default)]
    id: Option<&'a str>,
    #[serde(borrow)]
    at: &'a str,
}

pub(super) struct Gather<'q> {
    question: &'q Question,
    limit: usize,
    now: Timestamp,
    max_open: usize,
    /// Lines of messages that are not whole yet, newest first.
    open: BTreeMap<QueueId, Vec<String>>,
    found: Vec<TrackedMessage>,
    oldest: Option<String>,
    /// Something had to be left out.
    cut: bool,
}

impl<'q> Gather<'q> {
    pub(super) fn new(
        question: &'q Question,
        limit: usize,
        now: Timestamp,
        max_open: usize,
    ) -> Self {
        let (open, found) = (BTreeMap::new(), Vec::new());
        Self { question, limit, now, max_open, open, found, oldest: None, cut: false }
    }

    /// Takes the next older line. What is no line of the log is passed over: a crash may have torn it.
    pub(super) fn line(&mut self, line: &[u8]) {
        let Ok(text) = std::str::from_utf8(line) else { return };
        let Ok(head) = serde_json::from_str::<Head<'_>>(text) else { return };
        self.oldest = Some(head.at.to_owned());
        let Some(id) = head.id.and_then(|id| id.parse::<QueueId>().ok()) else { return };
        if matches!(self.question, Question::Id(wanted) if *wanted != id) {
            return;
        }
        if self.open.len() >= self.max_open && !self.open.contains_key(&id) {
            self.cut = true;
            return;
        }
        let lines = self.open.entry(id).or_default();
        if lines.len() < MAX_LINES {
            lines.push(text.to_owned());
        }
        if head.event == "received" {
            let lines = self.open.remove(&id).unwrap_or_default();
            self.whole(id, &lines);
        }
    }

    /// Everything that was asked for has been found.
    pub(super) fn is_done(&self) -> bool {
        let wanted = if matches!(self.question, Question::Id(_)) { 1 } else { self.limit };
        self.found.len() >= wanted
    }

    /// What was found. `ended`: no older line was left out.
    pub(super) fn finish(mut self, ended: bool) -> Tracked {
        // Of these the acceptance is not in the log any more.
        for (id, lines) in std::mem::take(&mut self.open).into_iter().rev() {
            if !self.is_done() {
                self.whole(id, &lines);
            }
        }
        let complete = ended && !self.cut;
        let searched_to = self.oldest.as_deref().and_then(time).map(When);
        Tracked { v: VERSION, messages: self.found, complete, searched_to }
    }

    fn whole(&mut self, id: QueueId, newest_first: &[String]) {
        let events = newest_first.iter().rev().filter_map(|line| serde_json::from_str(line).ok());
        let message = TrackedMessage::of(id, events.collect());
        let fits = match self.question {
            Question::Id(_) | Question::Fits(None) => true,
            Question::Fits(Some(filter)) => filter.fits(&message, self.now),
        };
        if fits {
            self.found.push(message);
        }
    }
}

/// All lines of certain messages, newest first.
pub(super) struct Batch {
    lines: BTreeMap<QueueId, Vec<String>>,
    names: BTreeSet<String>,
    /// Messages whose acceptance has not been read.
    open: BTreeSet<QueueId>,
}

impl Batch {
    pub(super) fn new(ids: &[QueueId]) -> Self {
        let lines: BTreeMap<_, _> = ids.iter().map(|id| (*id, Vec::new())).collect();
        let names = ids.iter().map(ToString::to_string).collect();
        Self { open: ids.iter().copied().collect(), lines, names }
    }

    /// Whether lines of a message of this name are gathered.
    pub(super) fn wants(&self, id: &str) -> bool {
        self.names.contains(id)
    }

    /// Every acceptance was read: nothing older is missing.
    pub(super) fn is_whole(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes the next older line.
    pub(super) fn line(&mut self, line: &[u8]) {
        let Ok(text) = std::str::from_utf8(line) else { return };
        let Ok(head) = serde_json::from_str::<Head<'_>>(text) else { return };
        let Some(Ok(id)) = head.id.map(str::parse::<QueueId>) else { return };
        let Some(lines) = self.lines.get_mut(&id) else { return };
        if lines.len() < MAX_LINES {
            lines.push(text.to_owned());
        }
        if head.event == "received" {
            self.open.remove(&id);
        }
    }

    /// What became of those that have lines, newest first.
    pub(super) fn finish(self) -> Vec<TrackedMessage> {
        let told = self.lines.into_iter().rev().filter(|(_, lines)| !lines.is_empty());
        told.map(|(id, lines)| {
            let events = lines.iter().rev().filter_map(|line| serde_json::from_str(line).ok());
            TrackedMessage::of(id, events.collect())
        })
        .collect()
    }
}

/// The message of a line, where our writer puts it; `None`: the line must be read to know.
pub(super) fn quick_id(line: &[u8]) -> Option<&str> {
    const BEFORE: &[u8] = b",\"id\":\"";
    const LENGTH: usize = 13;
    let head = &line[..line.len().min(120)];
    let start = memchr::memmem::find(head, BEFORE)? + BEFORE.len();
    std::str::from_utf8(line.get(start..start + LENGTH)?).ok()
}

impl TrackedMessage {
    fn of(id: QueueId, events: Vec<Value>) -> Self {
        let mut message = Self {
            v: VERSION,
            id: id.to_string(),
            received: None,
            size: None,
            reverse_path: None,
            message_id: None,
            subject: None,
            source_ip: None,
            source_user: None,
            listener: None,
            done: false,
            recipients: Vec::new(),
            events: Vec::new(),
        };
        for event in &events {
            message.apply(event);
        }
        message.events = events;
        message
    }

    fn apply(&mut self, event: &Value) {
        match event["event"].as_str().unwrap_or_default() {
            "received" => self.received_line(event),
            "done" => self.done = true,
            "operator" => self.acted_on(event),
            status @ ("delivered" | "discarded" | "deferred" | "failed" | "indeterminate"
            | "expired") => {
                self.tried(status, event);
            }
            _ => {}
        }
    }

    fn received_line(&mut self, event: &Value) {
        self.received = event["at"].as_str().and_then(time).map(When);
        self.size = event["size"].as_u64();
        self.reverse_path = owned(&event["from"]);
        self.message_id = owned(&event["message_id"]);
        self.subject = owned(&event["subject"]);
        self.source_ip = owned(&event["client"]);
        self.source_user = owned(&event["user"]);
        self.listener = owned(&event["listener"]);
        for address in event["to"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            self.recipient(address);
        }
    }

    fn tried(&mut self, status: &str, event: &Value) {
        let Some(address) = event["to"].as_str() else { return };
        let recipient = self.recipient(address);
        recipient.status = match status {
            "deferred" | "indeterminate" => "queued",
            ended => ended,
        }
        .to_owned();
        recipient.at = owned(&event["at"]);
        recipient.last_error = said(event).filter(|_| status != "delivered");
        if !matches!(status, "expired" | "discarded") {
            recipient.attempts += 1;
            recipient.host = owned(&event["host"]);
            recipient.ip = event["address"].as_str().map(without_port);
        }
    }

    /// An act concerns those that are still in the queue.
    fn acted_on(&mut self, event: &Value) {
        let status = match event["act"].as_str().unwrap_or_default() {
            "hold" => "held",
            "release" => "queued",
            "remove" | "redirect" => "removed",
            "bounce" => "failed",
            _ => return,
        };
        let said = matches!(status, "removed" | "failed").then(|| ordered(event));
        let address = event["to"].as_str();
        let concerned = |r: &&mut TrackedRecipient| {
            let is_here = matches!(r.status.as_str(), "queued" | "held");
            is_here && address.is_none_or(|address| r.address == address)
        };
        for recipient in self.recipients.iter_mut().filter(concerned) {
            status.clone_into(&mut recipient.status);
            if said.is_some() {
                recipient.last_error.clone_from(&said);
                recipient.at = owned(&event["at"]);
            }
        }
    }

    fn recipient(&mut self, address: &str) -> &mut TrackedRecipient {
        let at = self.recipients.iter().position(|r| r.address == address);
        let at = at.unwrap_or_else(|| {
            let (address, status) = (address.to_owned(), "queued".to_owned());
            self.recipients.push(TrackedRecipient { address, status, ..Default::default() });
            self.recipients.len() - 1
        });
        &mut self.recipients[at]
    }
}

impl Record for TrackedMessage {
    fn values(&self, field: Field, now: Timestamp) -> Vec<Scalar<'_>> {
        let one = |text: &'_ Option<String>| -> Vec<Scalar<'static>> {
            text.iter().map(|t| Scalar::Text(t.clone().into())).collect()
        };
        match field {
            Field::Id => vec![Scalar::Text((&*self.id).into())],
            Field::From => one(&self.reverse_path),
            Field::MessageId => one(&self.message_id),
            Field::Subject => one(&self.subject),
            Field::SourceIp => one(&self.source_ip),
            Field::SourceUser => one(&self.source_user),
            Field::Listener => one(&self.listener),
            Field::Size => self.size.map(Scalar::Size).into_iter().collect(),
            Field::Received => self.received.map(|at| Scalar::Time(at.0)).into_iter().collect(),
            Field::Age => {
                let age = |at: When| -> Duration { now.since(at.0) };
                self.received.map(|at| Scalar::Duration(age(at))).into_iter().collect()
            }
            _ => self.recipients.iter().filter_map(|r| r.value(field)).collect(),
        }
    }
}

impl TrackedRecipient {
    fn value(&self, field: Field) -> Option<Scalar<'_>> {
        match field {
            Field::To => Some(Scalar::Text((&*self.address).into())),
            Field::Domain => self.address.rsplit_once('@').map(|(_, d)| Scalar::Text(d.into())),
            Field::Status => Some(Scalar::Text((&*self.status).into())),
            Field::Destination => self.host.as_deref().map(|host| Scalar::Text(host.into())),
            Field::Attempts => Some(Scalar::Number(self.attempts)),
            Field::LastError => self.last_error.as_deref().map(|text| Scalar::Text(text.into())),
            // The rest is not in [`TRACKED`](crate::filter::TRACKED), or the message's.
            _ => None,
        }
    }
}

/// What a line of the event log says of a try: the reply as the server said it, else the fault in words.
#[must_use]
pub fn said(event: &Value) -> Option<String> {
    let reply = &event["reply"];
    if let Some(code) = reply["code"].as_u64() {
        let parts = [reply["enhanced"].as_str(), reply["text"].as_str()];
        let texts = parts.into_iter().flatten().filter(|text| !text.is_empty());
        return Some(texts.fold(code.to_string(), |all, text| format!("{all} {text}")));
    }
    text::logged_fault(&event["fault"])
}

/// By whom an operator's act ended it, and why.
fn ordered(event: &Value) -> String {
    let act = match event["act"].as_str().unwrap_or_default() {
        "bounce" => "bounced",
        "redirect" => "redirected",
        _ => "removed",
    };
    let by = event["by"].as_str().unwrap_or("an operator");
    let reason = event["reason"].as_str().map(|reason| format!(": {reason}"));
    format!("{act} by {by}{}", reason.unwrap_or_default())
}

fn owned(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn without_port(address: &str) -> String {
    let ip = address.parse::<std::net::SocketAddr>().map(|address| address.ip().to_string());
    ip.unwrap_or_else(|_| address.to_owned())
}

pub(super) fn time(text: &str) -> Option<Timestamp> {
    let stamp: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_micros(stamp.as_microsecond()))
}
