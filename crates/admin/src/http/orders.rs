//! Acts on the queue: commands, what they would concern, the decisions and holds they become, and whole messages out
//! and in. Over the unix socket only, but for what reads.

use super::answer::Refusal;
use super::look::not_in_queue;
use super::params::{Pairs, Params, queue_id};
use super::server::Peer;
use super::{Admin, MAX_SCAN, SLICE};
use crate::desk::{Message, Submission};
use crate::filter::{self, Filter, MESSAGE};
use crate::view::{DecisionObject, HoldObject, MessageObject, Selected, VERSION};
use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use posthaste_evidence::Act;
use posthaste_mail::QueueId;
use posthaste_message::replay;
use posthaste_queue::Life;
use posthaste_spool::decision::{Command, MAX_NAMED, OrderFault, Which};
use posthaste_spool::{Content, NewPlace, SpilledBody};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

type Here = State<Arc<Admin>>;
type Answer<T> = Result<Json<T>, Refusal>;

/// How long a command is waited for before it is answered how far it has come.
const WAIT: u64 = 2;
/// The longest that anybody may wait for a decision in one request, seconds.
const MAX_WAIT: u64 = 30;
/// Octets of a large content sent at once.
const PART: usize = 256 * 1024;

/// A command: an act, exactly one of `ids`, `where`, `destination`, `all` and `hold`, and what the act needs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActRequest {
    act: String,
    #[serde(default)]
    ids: Vec<String>,
    r#where: Option<String>,
    destination: Option<String>,
    #[serde(default)]
    all: bool,
    hold: Option<u64>,
    to_address: Option<String>,
    to_route: Option<String>,
    text: Option<String>,
    reason: Option<String>,
    /// Of a removal: with failure notices.
    notice: Option<bool>,
    #[serde(default)]
    dry_run: bool,
    after: Option<String>,
    /// The answer waits so long for the end of a decision, seconds; default 2.
    wait: Option<u64>,
}

#[derive(Serialize, Default)]
pub(super) struct CountObject {
    v: u32,
    dry_run: bool,
    /// Messages that are concerned.
    messages: u64,
    /// Their recipients that are.
    recipients: u64,
    /// Named messages that are not in the queue.
    missing: Vec<String>,
    /// Go on after this one; `null` at the end.
    next: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Decisions {
    v: u32,
    decisions: Vec<DecisionObject>,
}

#[derive(Serialize)]
pub(super) struct Holds {
    v: u32,
    holds: Vec<HoldObject>,
}

#[derive(Serialize)]
pub(super) struct ImportObject {
    v: u32,
    /// `null` when it was only checked.
    id: Option<String>,
    from: String,
    to: Vec<String>,
}

pub(super) async fn act(
    State(admin): Here,
    Extension(peer): Extension<Peer>,
    request: Result<Json<ActRequest>, JsonRejection>,
) -> Result<Response, Refusal> {
    let Json(request) = request.map_err(|r| Refusal::bad_request(r.body_text()))?;
    let command = command(&request, peer)?;
    if request.dry_run {
        let after = request.after.as_deref().map_or(Ok(QueueId::MIN), queue_id)?;
        return Ok(Json(count(&admin, &command, after).await?).into_response());
    }
    if let Which::Filter(text) = &command.which {
        // For the column in the error.
        filter::parse(text, MESSAGE)?;
    }
    let wait = request.wait.unwrap_or(WAIT);
    if wait > MAX_WAIT {
        return Err(Refusal::bad_request(too_long()));
    }
    let (view, missing) = admin.desk.order(command).await?;
    let wait = Duration::from_secs(wait);
    let view = admin.desk.finished(view.number, wait).await.unwrap_or(view);
    Ok(Json(DecisionObject::of(&view, &missing)).into_response())
}

pub(super) async fn decisions(State(admin): Here) -> Json<Decisions> {
    let all = admin.desk.decisions();
    let decisions = all.iter().map(|view| DecisionObject::of(view, &[])).collect();
    Json(Decisions { v: VERSION, decisions })
}

pub(super) async fn decision(
    State(admin): Here,
    Path(number): Path<u64>,
    pairs: Pairs,
) -> Answer<DecisionObject> {
    let params = Params::new(pairs, &["wait"])?;
    let wait = match params.get("wait").map(str::parse::<u64>) {
        None => 0,
        Some(Ok(seconds)) if seconds <= MAX_WAIT => seconds,
        Some(_) => return Err(Refusal::bad_request(too_long())),
    };
    match admin.desk.finished(number, Duration::from_secs(wait)).await {
        Some(view) => Ok(Json(DecisionObject::of(&view, &[]))),
        None => Err(Refusal::not_found(format!("there is no decision {number}"))),
    }
}

fn too_long() -> String {
    format!("`wait` is a number of seconds up to {MAX_WAIT}")
}

pub(super) async fn cancel(State(admin): Here, Path(number): Path<u64>) -> Answer<DecisionObject> {
    match admin.desk.cancel(number).await {
        Some(view) => Ok(Json(DecisionObject::of(&view, &[]))),
        None => {
            let message = format!("there is no decision {number} under way");
            Err(Refusal::not_found(message))
        }
    }
}

pub(super) async fn holds(State(admin): Here) -> Json<Holds> {
    let holds = admin.desk.holds().iter().map(HoldObject::of).collect();
    Json(Holds { v: VERSION, holds })
}

/// A message as a file: its envelope in header fields, then its content as it would be sent.
pub(super) async fn export(
    State(admin): Here,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let id = queue_id(&id)?;
    let Some((message, _)) = admin.desk.message(id).await? else { return Err(not_in_queue(id)) };
    let Some(stored) = admin.desk.content(id).await? else { return Err(not_in_queue(id)) };
    let live = |n: &u32| {
        let standing = message.recipients.get(*n as usize);
        standing.is_some_and(|standing| standing.state.life.is_live())
    };
    let count = u32::try_from(message.recipients.len()).unwrap_or(u32::MAX);
    let recipients: Vec<u32> = (0..count).filter(live).collect();
    let head = Bytes::from(replay::compose(&message.envelope, &recipients));
    let length = head.len() as u64
        + match &stored.content {
            Content::Inline(body) => body.len() as u64,
            Content::Spilled(spilled) => spilled.size,
        };
    let body = match stored.content {
        Content::Inline(body) => {
            let parts: Vec<Result<Bytes, std::io::Error>> =
                std::iter::once(head).chain(body.chunks().iter().cloned()).map(Ok).collect();
            Body::from_stream(futures_util::stream::iter(parts))
        }
        Content::Spilled(spilled) => Body::from_stream(parts(admin, head, spilled)),
    };
    let fields = [
        (header::CONTENT_TYPE, "message/rfc822".to_owned()),
        // Who gets less knows that something broke.
        (header::CONTENT_LENGTH, length.to_string()),
    ];
    Ok((fields, body).into_response())
}

/// A large content, read from the store as fast as it is taken.
fn parts(
    admin: Arc<Admin>,
    head: Bytes,
    body: SpilledBody,
) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> {
    futures_util::stream::unfold(Some((Some(head), 0u64)), move |state| {
        let (admin, body) = (Arc::clone(&admin), body.clone());
        async move {
            match state? {
                (Some(head), at) => Some((Ok(head), Some((None, at)))),
                (None, at) if at >= body.size => None,
                (None, at) => match admin.desk.content_part(&body, at, PART).await {
                    Ok(part) if !part.is_empty() => {
                        let next = at + part.len() as u64;
                        Some((Ok(part), Some((None, next))))
                    }
                    Ok(_) => Some((Err(std::io::Error::other("the content ends early")), None)),
                    Err(fault) => Some((Err(std::io::Error::other(fault.to_string())), None)),
                },
            }
        }
    })
}

/// Takes a file that `export` has made (or an Exchange server's replay folder holds), durably.
pub(super) async fn import(
    State(admin): Here,
    Extension(peer): Extension<Peer>,
    pairs: Pairs,
    body: Body,
) -> Answer<ImportObject> {
    let params = Params::new(pairs, &["dry_run"])?;
    let _turn = admin.submits.acquire().await.map_err(|e| Refusal::failed(e.to_string()))?;
    let limit = admin.desk.message_size();
    let content = to_bytes(body, limit.saturating_add(replay::MAX_HEAD)).await;
    let content = content.map_err(|_| {
        Refusal::bad_request(format!("the file is larger than {limit} octets, or came in part"))
    })?;
    let found = replay::parse(&content);
    let found = found.map_err(|error| {
        let status = axum::http::StatusCode::UNPROCESSABLE_ENTITY;
        Refusal::new(status, "bad-file", error.to_string())
    })?;
    let from = found.reverse_path.to_string();
    let to = found.recipients.iter().map(|r| r.mailbox.to_string()).collect();
    let id = match params.get("dry_run") {
        Some("true") => None,
        _ => {
            let user = peer.uid.map(|uid| format!("uid {uid}"));
            let submission = Submission {
                from: found.reverse_path,
                to: Vec::new(),
                content: content.slice(found.content..),
                user,
            };
            let extras = crate::desk::Replayed {
                recipients: found.recipients,
                ret: found.ret,
                envid: found.envid,
            };
            Some(admin.desk.import(submission, extras).await?.to_string())
        }
    };
    Ok(Json(ImportObject { v: VERSION, id, from, to }))
}

fn command(request: &ActRequest, peer: Peer) -> Result<Command, Refusal> {
    let act = Act::named(&request.act).ok_or_else(|| {
        let all: Vec<&str> = Act::ALL.iter().map(|(_, name)| *name).collect();
        Refusal::bad_request(format!("`{}` is no act; those are {}", request.act, all.join(", ")))
    })?;
    let act = match (act, request.notice) {
        (Act::Remove, Some(true)) => Act::Bounce,
        (Act::Bounce, Some(false)) => Act::Remove,
        (Act::Remove | Act::Bounce, _) | (_, None) => act,
        (_, Some(_)) => return Err(Refusal::bad_request("`notice` goes with remove or bounce")),
    };
    let to = match (&request.to_address, &request.to_route) {
        (Some(_), Some(_)) => {
            return Err(Refusal::bad_request("give one of `to_address` and `to_route`"));
        }
        (Some(address), None) => Some(NewPlace::Address(address.clone())),
        (None, Some(route)) => Some(NewPlace::Route(route.clone())),
        (None, None) => None,
    };
    Ok(Command {
        act,
        which: which(request)?,
        to,
        text: request.text.clone(),
        by: peer.uid.map_or_else(|| "unknown".to_owned(), |uid| format!("uid {uid}")),
        reason: request.reason.clone(),
    })
}

fn which(request: &ActRequest) -> Result<Which, Refusal> {
    let ids = request.ids.iter().map(|id| queue_id(id)).collect::<Result<Vec<_>, _>>()?;
    let given = [
        (!ids.is_empty()).then_some(Which::Messages(ids)),
        request.r#where.clone().map(Which::Filter),
        request.destination.clone().map(Which::Destination),
        request.all.then_some(Which::All),
        request.hold.map(Which::Hold),
    ];
    let mut given: Vec<Which> = given.into_iter().flatten().collect();
    match (given.pop(), given.pop()) {
        (Some(Which::Messages(ids)), None) if ids.len() > MAX_NAMED => {
            Err(Refusal::bad_request(format!("at most {MAX_NAMED} `ids` at once")))
        }
        (Some(which), None) => Ok(which),
        _ => {
            Err(Refusal::bad_request("give one of `ids`, `where`, `destination`, `all` and `hold`"))
        }
    }
}

/// What a command would concern now, a part of the queue at a time.
async fn count(admin: &Admin, command: &Command, after: QueueId) -> Result<CountObject, Refusal> {
    let mut counted = CountObject { v: VERSION, dry_run: true, ..CountObject::default() };
    let which = match &command.which {
        Which::Hold(number) => {
            let holds = admin.desk.holds();
            let hold = holds.into_iter().find(|view| view.number == *number);
            let missing = || Refusal::not_found(format!("there is no hold {number}"));
            match hold.ok_or_else(missing)?.hold.target {
                posthaste_spool::Target::Filter(filter) => Which::Filter(filter),
                posthaste_spool::Target::Destination(name) => Which::Destination(name),
                _ => Which::All,
            }
        }
        other => other.clone(),
    };
    if let Which::Messages(ids) = &which {
        for id in ids {
            match admin.desk.message(*id).await? {
                Some((message, _)) => counted.add(command.act, &message, |_| true),
                None => counted.missing.push(id.to_string()),
            }
        }
        if counted.missing.len() == ids.len() {
            return Err(not_in_queue(ids[0]));
        }
        return Ok(counted);
    }
    count_slices(admin, command.act, &which, after, counted).await
}

async fn count_slices(
    admin: &Admin,
    act: Act,
    which: &Which,
    mut after: QueueId,
    mut counted: CountObject,
) -> Result<CountObject, Refusal> {
    let filter: Option<Filter> = match which {
        Which::Filter(text) => Some(filter::parse(text, MESSAGE)?),
        _ => None,
    };
    let (now, mut scanned) = (admin.desk.now(), 0);
    while scanned < MAX_SCAN {
        let slice = admin.desk.messages(after, SLICE).await?;
        let Some(last) = slice.last() else { return Ok(counted) };
        after = last.envelope.id;
        scanned += slice.len();
        for message in &slice {
            let object = MessageObject::of(message);
            counted.add(act, message, |recipient| match (which, &filter) {
                (Which::Destination(name), _) => {
                    let at = object.recipients[recipient].destination.as_deref();
                    at.is_some_and(|at| at.eq_ignore_ascii_case(name))
                }
                (_, Some(filter)) => filter.fits(&Selected { message: &object, recipient }, now),
                _ => true,
            });
        }
    }
    counted.next = Some(after.to_string());
    Ok(counted)
}

impl CountObject {
    fn add(&mut self, act: Act, message: &Message, chosen: impl Fn(usize) -> bool) {
        let concerned = |life: Life| match act {
            Act::Retry | Act::Hold => life == Life::Queued,
            Act::Release => matches!(life, Life::Held | Life::Poison),
            _ => life.is_live(),
        };
        let standing = message.recipients.iter().enumerate();
        let count = standing.filter(|(n, s)| concerned(s.state.life) && chosen(*n)).count();
        self.messages += u64::from(count > 0);
        self.recipients += count as u64;
    }
}

impl From<OrderFault> for Refusal {
    fn from(fault: OrderFault) -> Self {
        use axum::http::StatusCode;
        let text = fault.to_string();
        match fault {
            OrderFault::Wrong(_) => Self::bad_request(text),
            OrderFault::NotHere(_) => Self::not_found(text),
            OrderFault::NotNow => Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-now", text),
            OrderFault::Store => Self::failed(text),
        }
    }
}
