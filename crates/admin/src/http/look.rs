//! What only reads.

use super::answer::Refusal;
use super::params::{Pairs, Params, mailbox, queue_id, reverse_path};
use super::{Admin, MAX_SCAN, SLICE};
use crate::desk::RouteQuestion;
use crate::filter::{DESTINATION, MESSAGE, TRACKED};
use crate::track::{self, Question, Tracked};
use crate::view::{DestinationObject, MessageObject, RouteObject, StatusObject, VERSION};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use posthaste_mail::QueueId;
use serde::Serialize;
use std::sync::Arc;

type Here = State<Arc<Admin>>;
type Answer<T> = Result<Json<T>, Refusal>;

#[derive(Serialize)]
pub(super) struct PingObject {
    v: u32,
    ready: bool,
    listening: bool,
    recovered: bool,
    stopping: bool,
    accepting: bool,
    refusing: Option<&'static str>,
}

#[derive(Serialize)]
pub(super) struct QueueSlice {
    v: u32,
    destinations: Vec<DestinationObject>,
    next: Option<String>,
}

#[derive(Serialize)]
pub(super) struct MessageSlice {
    v: u32,
    messages: Vec<MessageObject>,
    next: Option<String>,
}

pub(super) async fn ping(State(admin): Here) -> (StatusCode, Json<PingObject>) {
    let readiness = admin.desk.readiness();
    let ready = readiness.is_ready();
    let accepting = readiness.refusing.is_none() && !readiness.stopping;
    let status = if ready && accepting { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let object = PingObject {
        v: VERSION,
        ready,
        listening: readiness.listening,
        recovered: readiness.recovered,
        stopping: readiness.stopping,
        accepting,
        refusing: readiness.refusing,
    };
    (status, Json(object))
}

pub(super) async fn status(State(admin): Here) -> Json<StatusObject> {
    let numbers = admin.desk.numbers().await;
    Json(StatusObject::of(admin.desk.now(), admin.desk.readiness(), &numbers))
}

pub(super) async fn queue(State(admin): Here, pairs: Pairs) -> Answer<QueueSlice> {
    let params = Params::new(pairs, &["filter", "after", "limit"])?;
    let filter = params.filter(DESTINATION)?;
    let limit = params.limit()?;
    let mut after = params.get("after").map(destination_cursor).transpose()?;
    let now = admin.desk.now();
    let mut found = Vec::new();
    let mut scanned = 0;
    loop {
        let slice = admin.desk.destinations(after.clone(), SLICE).await;
        let Some(last) = slice.last() else {
            return Ok(Json(QueueSlice { v: VERSION, destinations: found, next: None }));
        };
        after = Some((last.view.name.clone(), last.view.route.clone()));
        scanned += slice.len();
        for destination in &slice {
            let object = DestinationObject::of(destination);
            if filter.as_ref().is_none_or(|filter| filter.fits(&object, now)) {
                found.push(object);
            }
            if found.len() >= limit {
                after = Some((destination.view.name.clone(), destination.view.route.clone()));
                break;
            }
        }
        if found.len() >= limit || scanned >= MAX_SCAN {
            let next = after.map(|(name, route)| format!("{name} {route}"));
            return Ok(Json(QueueSlice { v: VERSION, destinations: found, next }));
        }
        tokio::task::yield_now().await;
    }
}

pub(super) async fn messages(State(admin): Here, pairs: Pairs) -> Answer<MessageSlice> {
    let params = Params::new(pairs, &["filter", "after", "limit"])?;
    let filter = params.filter(MESSAGE)?;
    let limit = params.limit()?;
    let mut after = params.get("after").map_or(Ok(QueueId::MIN), queue_id)?;
    let now = admin.desk.now();
    let mut found = Vec::new();
    let mut scanned = 0;
    loop {
        let slice = admin.desk.messages(after, SLICE).await?;
        let Some(last) = slice.last() else {
            return Ok(Json(MessageSlice { v: VERSION, messages: found, next: None }));
        };
        after = last.envelope.id;
        scanned += slice.len();
        for message in &slice {
            let object = MessageObject::of(message);
            if filter.as_ref().is_none_or(|filter| filter.fits(&object, now)) {
                found.push(object);
            }
            if found.len() >= limit {
                after = message.envelope.id;
                break;
            }
        }
        if found.len() >= limit || scanned >= MAX_SCAN {
            let next = Some(after.to_string());
            return Ok(Json(MessageSlice { v: VERSION, messages: found, next }));
        }
        tokio::task::yield_now().await;
    }
}

pub(super) async fn message(State(admin): Here, Path(id): Path<String>) -> Answer<MessageObject> {
    let id = queue_id(&id)?;
    match admin.desk.message(id).await? {
        Some((message, history)) => Ok(Json(MessageObject::with_attempts(&message, &history))),
        None => Err(not_in_queue(id)),
    }
}

pub(super) async fn route(State(admin): Here, pairs: Pairs) -> Answer<RouteObject> {
    let params = Params::new(pairs, &["address", "from", "listener", "user", "size"])?;
    let address = params.required("address")?;
    let question = RouteQuestion {
        to: mailbox(address)?,
        from: reverse_path(params.get("from"))?,
        listener: params.get("listener").map(str::to_owned),
        user: params.get("user").map(str::to_owned),
        size: params.size("size")?.unwrap_or(0),
    };
    if let Some(name) = &question.listener {
        let names = admin.desk.listeners();
        if !names.contains(name) {
            return Err(Refusal::bad_request(format!(
                "no listener has the name `{name}`; there are: {}",
                names.join(", ")
            )));
        }
    }
    let answer = admin.desk.route(question).await;
    Ok(Json(RouteObject::of(address, &answer)))
}

pub(super) async fn track(State(admin): Here, pairs: Pairs) -> Answer<Tracked> {
    let params = Params::new(pairs, &["id", "filter", "limit"])?;
    let limit = params.limit()?;
    let question = match params.get("id") {
        Some(id) => Question::Id(queue_id(id)?),
        None => Question::Fits(params.filter(TRACKED)?),
    };
    let _turn = admin.searches.acquire().await.map_err(|e| Refusal::failed(e.to_string()))?;
    let (folder, now) = (admin.settings.events.clone(), admin.desk.now());
    let work = move || track::search(&folder, &question, limit, now);
    let searched = tokio::task::spawn_blocking(work).await;
    match searched.map_err(|error| Refusal::failed(error.to_string()))? {
        Ok(tracked) => Ok(Json(tracked)),
        Err(error) => Err(Refusal::failed(format!("the event log cannot be read: {error}"))),
    }
}

pub(super) fn not_in_queue(id: QueueId) -> Refusal {
    Refusal::not_found(format!("{id} is not in the queue; `track {id}` tells what became of it"))
}

/// Destination names hold no blank; routes may.
fn destination_cursor(text: &str) -> Result<(String, String), Refusal> {
    let pair = text.split_once(' ');
    let pair = pair.ok_or_else(|| Refusal::bad_request("`after` is a `next` of an answer"))?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}
