//! Maintenance: begun and ended over the unix socket, looked at over both.

use super::Admin;
use super::answer::Refusal;
use crate::desk::{Maintenance, MaintenanceWish};
use crate::view::{MaintenanceView, VERSION};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The longest reason, characters.
const MAX_REASON: usize = 200;

type Here = State<Arc<Admin>>;
type Answer = Result<Json<MaintenanceObject>, Refusal>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    on: bool,
    reason: Option<String>,
    #[serde(default)]
    hold: bool,
}

#[derive(Serialize)]
pub(super) struct MaintenanceObject {
    v: u32,
    maintenance: Option<MaintenanceView>,
    /// What is still to be delivered.
    messages: u64,
    in_flight: u64,
    sessions: u64,
}

pub(super) async fn look(State(admin): Here) -> Json<MaintenanceObject> {
    let numbers = admin.desk.numbers().await;
    let maintenance = numbers.conditions.maintenance.clone();
    Json(object(maintenance.as_ref(), &numbers))
}

pub(super) async fn act(
    State(admin): Here,
    request: Result<Json<Request>, JsonRejection>,
) -> Answer {
    let Json(request) = request.map_err(|error| Refusal::bad_request(error.body_text()))?;
    if request.reason.as_ref().is_some_and(|reason| reason.chars().count() > MAX_REASON) {
        let what = format!("the reason is longer than {MAX_REASON} characters");
        return Err(Refusal::bad_request(what));
    }
    let wish = MaintenanceWish { reason: request.reason, hold: request.hold };
    let now = admin.desk.set_maintenance(request.on.then_some(wish)).await;
    let now = now.map_err(|fault| Refusal::failed(fault.to_string()))?;
    let numbers = admin.desk.numbers().await;
    Ok(Json(object(now.as_ref(), &numbers)))
}

fn object(now: Option<&Maintenance>, numbers: &crate::desk::Numbers) -> MaintenanceObject {
    MaintenanceObject {
        v: VERSION,
        maintenance: now.map(MaintenanceView::of),
        messages: numbers.messages,
        in_flight: numbers.in_flight,
        sessions: numbers.sessions,
    }
}
