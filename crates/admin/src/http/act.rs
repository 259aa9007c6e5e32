//! What changes something: over the unix socket only.

use super::answer::Refusal;
use super::look::not_in_queue;
use super::params::{Pairs, Params, mailbox, queue_id, reverse_path};
use super::server::Peer;
use super::{Admin, MAX_SCAN, SLICE};
use crate::desk::{Message, Submission};
use crate::filter::{self, Filter, MESSAGE};
use crate::view::{MessageObject, VERSION};
use axum::body::{Body, to_bytes};
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, State};
use axum::{Json, http::StatusCode};
use posthaste_mail::{Mailbox, QueueId};
use posthaste_queue::Life;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

type Here = State<Arc<Admin>>;
type Answer<T> = Result<Json<T>, Refusal>;

/// Recipients of one message handed in.
const MAX_RECIPIENTS: usize = 1000;

#[derive(Serialize)]
pub(super) struct SubmitObject {
    v: u32,
    id: String,
}

/// Which messages: exactly one of `id`, `where` and `all`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryRequest {
    id: Option<String>,
    r#where: Option<String>,
    #[serde(default)]
    all: bool,
    after: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Serialize, Default)]
pub(super) struct RetryObject {
    v: u32,
    /// Messages that fit.
    messages: u64,
    /// Recipients now due; with `dry_run` those that would be.
    recipients: u64,
    /// Go on after this one; `null` at the end.
    next: Option<String>,
}

#[derive(Serialize)]
pub(super) struct ReloadObject {
    v: u32,
    /// Settings that changed in the file but hold only after a restart.
    after_restart: Vec<String>,
    /// Recipients that waited on settings that have changed, and are due now.
    due_now: u64,
}

#[derive(Serialize)]
pub(super) struct StopObject {
    v: u32,
    stopping: bool,
}

pub(super) async fn submit(
    State(admin): Here,
    Extension(peer): Extension<Peer>,
    pairs: Pairs,
    body: Body,
) -> Answer<SubmitObject> {
    let params = Params::new(pairs, &["from", "to"])?;
    let from = reverse_path(params.get("from"))?;
    let to: Vec<Mailbox> = params.all("to").map(mailbox).collect::<Result<_, _>>()?;
    if to.is_empty() || to.len() > MAX_RECIPIENTS {
        return Err(Refusal::bad_request(format!("`to` is given 1 to {MAX_RECIPIENTS} times")));
    }
    // Held in memory until it is durable: only a few at once, the others wait here with their bodies unread.
    let _turn = admin.submits.acquire().await.map_err(|e| Refusal::failed(e.to_string()))?;
    let limit = admin.desk.message_size();
    let content = to_bytes(body, limit).await.map_err(|_| {
        let message = format!("the message is larger than {limit} octets, or did not come whole");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message)
    })?;
    let user = peer.uid.map(|uid| format!("uid {uid}"));
    let id = admin.desk.submit(Submission { from, to, content, user }).await?;
    Ok(Json(SubmitObject { v: VERSION, id: id.to_string() }))
}

pub(super) async fn retry(
    State(admin): Here,
    request: Result<Json<RetryRequest>, JsonRejection>,
) -> Answer<RetryObject> {
    let Json(request) = request.map_err(|r| Refusal::bad_request(r.body_text()))?;
    let given = [request.id.is_some(), request.r#where.is_some(), request.all];
    if given.into_iter().filter(|given| *given).count() != 1 {
        return Err(Refusal::bad_request("give one of `id`, `where` and `all`"));
    }
    if let Some(id) = &request.id {
        return retry_one(&admin, queue_id(id)?, request.dry_run).await;
    }
    let filter = request.r#where.as_deref().map(|text| filter::parse(text, MESSAGE)).transpose()?;
    let after = request.after.as_deref().map_or(Ok(QueueId::MIN), queue_id)?;
    retry_slice(&admin, filter.as_ref(), after, request.dry_run).await
}

pub(super) async fn reload(State(admin): Here) -> Answer<ReloadObject> {
    let reloaded = admin.desk.reload().await?;
    let crate::desk::Reloaded { after_restart, due_now } = reloaded;
    Ok(Json(ReloadObject { v: VERSION, after_restart, due_now }))
}

pub(super) async fn stop(State(admin): Here) -> (StatusCode, Json<StopObject>) {
    admin.desk.stop();
    (StatusCode::ACCEPTED, Json(StopObject { v: VERSION, stopping: true }))
}

async fn retry_one(admin: &Admin, id: QueueId, dry_run: bool) -> Answer<RetryObject> {
    let Some((message, _)) = admin.desk.message(id).await? else {
        return Err(not_in_queue(id));
    };
    let recipients = match dry_run {
        true => waiting(&message),
        false => admin.desk.retry(vec![id]).await?,
    };
    Ok(Json(RetryObject { v: VERSION, messages: 1, recipients, next: None }))
}

async fn retry_slice(
    admin: &Admin,
    filter: Option<&Filter>,
    mut after: QueueId,
    dry_run: bool,
) -> Answer<RetryObject> {
    let now = admin.desk.now();
    let mut answer = RetryObject { v: VERSION, ..RetryObject::default() };
    let mut scanned = 0;
    while scanned < MAX_SCAN {
        let slice = admin.desk.messages(after, SLICE).await?;
        let Some(last) = slice.last() else { return Ok(Json(answer)) };
        after = last.envelope.id;
        scanned += slice.len();
        let fits = |message: &&Message| {
            waiting(message) > 0
                && filter.is_none_or(|filter| filter.fits(&MessageObject::of(message), now))
        };
        let chosen: Vec<&Message> = slice.iter().filter(fits).collect();
        answer.messages += chosen.len() as u64;
        answer.recipients += match dry_run {
            true => chosen.iter().map(|message| waiting(message)).sum(),
            false => admin.desk.retry(chosen.iter().map(|m| m.envelope.id).collect()).await?,
        };
    }
    answer.next = Some(after.to_string());
    Ok(Json(answer))
}

/// Recipients that a retry would make due.
fn waiting(message: &Message) -> u64 {
    let queued = |life| matches!(life, Life::Queued);
    message.recipients.iter().filter(|standing| queued(standing.state.life)).count() as u64
}
