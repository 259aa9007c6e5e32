//! `GET /v1/sessions`: what was said in SMTP sessions, in and out.
//!
//! Every part that is given must hold: `id`, `message` (an id), `client` (an address or a network), `refused` (true), `age`
//! (not older). `lines=false` leaves the dialogues out.

use super::Admin;
use super::answer::Refusal;
use super::params::{Pairs, Params, queue_id};
use crate::track::sessions::{Asked, Sessions, search};
use crate::units::parse_duration;
use axum::Json;
use axum::extract::State;
use posthaste_mail::ConnectionId;
use posthaste_reception::Network;
use std::sync::Arc;

const KNOWN: &[&str] = &["id", "message", "client", "refused", "age", "lines", "limit"];

pub(super) async fn sessions(
    State(admin): State<Arc<Admin>>,
    pairs: Pairs,
) -> Result<Json<Sessions>, Refusal> {
    let params = Params::new(pairs, KNOWN)?;
    let limit = params.limit()?;
    let asked = asked(&params, &admin)?;
    let _turn = admin.searches.acquire().await.map_err(|e| Refusal::failed(e.to_string()))?;
    let folder = admin.settings.events.clone();
    let work = move || search(&folder, &asked, limit);
    let searched = tokio::task::spawn_blocking(work).await;
    match searched.map_err(|error| Refusal::failed(error.to_string()))? {
        Ok(found) => Ok(Json(found)),
        Err(error) => Err(Refusal::failed(format!("the session log cannot be read: {error}"))),
    }
}

fn asked(params: &Params, admin: &Admin) -> Result<Asked, Refusal> {
    let wrong = |name: &str, error: String| Refusal::bad_request(format!("`{name}`: {error}"));
    let id = params.get("id").map(str::parse::<ConnectionId>).transpose();
    let client = params.get("client").map(str::parse::<Network>).transpose();
    let age = params.get("age").map(parse_duration).transpose();
    let age = age.map_err(|error| wrong("age", error.to_string()))?;
    Ok(Asked {
        id: id.map_err(|error| wrong("id", error.to_string()))?,
        message: params.get("message").map(queue_id).transpose()?,
        client: client.map_err(|error| wrong("client", error.to_string()))?,
        refused: flag(params, "refused", false)?,
        since: age.map(|age| admin.desk.now().minus(age)),
        lines: flag(params, "lines", true)?,
    })
}

fn flag(params: &Params, name: &str, preset: bool) -> Result<bool, Refusal> {
    match params.get(name) {
        None => Ok(preset),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => Err(Refusal::bad_request(format!("`{name}` is true or false"))),
    }
}
