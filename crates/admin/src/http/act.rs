//! What changes something: over the unix socket only.

use super::Admin;
use super::answer::Refusal;
use super::params::{Pairs, Params, mailbox, reverse_path};
use super::server::Peer;
use crate::desk::Submission;
use crate::view::VERSION;
use axum::body::{Body, to_bytes};
use axum::extract::{Extension, State};
use axum::{Json, http::StatusCode};
use posthaste_mail::Mailbox;
use serde::Serialize;
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

pub(super) async fn reload(State(admin): Here) -> Answer<ReloadObject> {
    let reloaded = admin.desk.reload().await?;
    let crate::desk::Reloaded { after_restart, due_now } = reloaded;
    Ok(Json(ReloadObject { v: VERSION, after_restart, due_now }))
}

pub(super) async fn stop(State(admin): Here) -> (StatusCode, Json<StopObject>) {
    admin.desk.stop();
    (StatusCode::ACCEPTED, Json(StopObject { v: VERSION, stopping: true }))
}
