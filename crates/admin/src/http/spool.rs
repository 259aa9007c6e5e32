//! The spool itself: what is damaged, what is in it, and what is taken out of the quarantine. Over the unix socket only:
//! contents of mail go out here.

use super::Admin;
use super::answer::Refusal;
use super::params::{Pairs, Params, queue_id};
use super::server::Peer;
use crate::keeper::{Keeper, RestoreFault, Wanted};
use crate::view::VERSION;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use posthaste_mail::QueueId;
use posthaste_spool::Record as _;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

type Here = State<Arc<Admin>>;
type Answer<T> = Result<Json<T>, Refusal>;

/// Octets of contents in one answer, about.
const CARGO: usize = 8 << 20;

#[derive(Serialize)]
pub(super) struct SpoolObject {
    v: u32,
    folder: String,
    quarantined: Vec<QuarantinedView>,
}

#[derive(Serialize)]
struct QuarantinedView {
    place: String,
    size: u64,
    what: &'static str,
}

#[derive(Serialize)]
pub(super) struct CargoObject {
    v: u32,
    messages: Vec<CarriedView>,
    /// Ids of messages that cannot be read.
    damaged: Vec<String>,
    /// Entries of the ledger; with the last slice only.
    ledger: Vec<String>,
    next: Option<String>,
}

/// A record of the store and a content, both in base 64 (RFC 4648 section 4).
#[derive(Serialize)]
struct CarriedView {
    record: String,
    content: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RestoreRequest {
    name: String,
    id: Option<String>,
}

#[derive(Serialize)]
pub(super) struct RestoreObject {
    v: u32,
    restored: Vec<RestoredView>,
}

#[derive(Serialize)]
struct RestoredView {
    id: String,
    new: Option<String>,
    why_not: Option<String>,
}

pub(super) async fn look(State(admin): Here) -> Answer<SpoolObject> {
    let keeper = keeper(&admin)?;
    let view = |q: posthaste_spool::store::Quarantined| QuarantinedView {
        place: q.place,
        size: q.size,
        what: q.what,
    };
    let quarantined = keeper.quarantined().into_iter().map(view).collect();
    let folder = keeper.folder().display().to_string();
    Ok(Json(SpoolObject { v: VERSION, folder, quarantined }))
}

pub(super) async fn export(State(admin): Here, pairs: Pairs) -> Answer<CargoObject> {
    let params = Params::new(pairs, &["after"])?;
    let after = params.get("after").map_or(Ok(QueueId::MIN), queue_id)?;
    let keeper = keeper(&admin)?;
    // Contents are held in memory: as few at once as messages handed in.
    let _turn = admin.submits.acquire().await.map_err(|e| Refusal::failed(e.to_string()))?;
    let cargo = keeper.carried(after, CARGO).await?;
    let ledger = if cargo.next.is_none() { keeper.ledger().await? } else { Vec::new() };
    let view = |(carried, content): &(posthaste_spool::Carried, Vec<u8>)| CarriedView {
        record: STANDARD.encode(carried.encode()),
        content: STANDARD.encode(content),
    };
    Ok(Json(CargoObject {
        v: VERSION,
        messages: cargo.messages.iter().map(view).collect(),
        damaged: cargo.damaged.iter().map(ToString::to_string).collect(),
        ledger: ledger.iter().map(|entry| STANDARD.encode(entry.encode())).collect(),
        next: cargo.next.map(|id| id.to_string()),
    }))
}

pub(super) async fn restore(
    State(admin): Here,
    Extension(peer): Extension<Peer>,
    request: Result<Json<RestoreRequest>, JsonRejection>,
) -> Answer<RestoreObject> {
    let Json(request) = request.map_err(|r| Refusal::bad_request(r.body_text()))?;
    let id = request.id.as_deref().map(queue_id).transpose()?;
    let by = peer.uid.map(|uid| format!("uid {uid}"));
    let wanted = Wanted { name: request.name, id, by };
    let restored = keeper(&admin)?.restore(wanted).await.map_err(|fault| match fault {
        RestoreFault::NotFound(message) => Refusal::not_found(message),
        RestoreFault::Failed(message) => Refusal::failed(message),
    })?;
    let view = |one: crate::keeper::Restored| RestoredView {
        id: one.id.to_string(),
        new: one.new.map(|id| id.to_string()),
        why_not: one.why_not,
    };
    Ok(Json(RestoreObject { v: VERSION, restored: restored.into_iter().map(view).collect() }))
}

fn keeper(admin: &Admin) -> Result<&dyn Keeper, Refusal> {
    admin.desk.keeper().ok_or_else(|| Refusal::not_found("this daemon has no spool of its own"))
}
