//! Notices: what the sender of a message would be told.

use super::Admin;
use super::answer::Refusal;
use super::look::not_in_queue;
use super::params::{Pairs, Params, queue_id};
use crate::desk::PreviewFault;
use crate::view::NoticeObject;
use axum::Json;
use axum::extract::State;
use posthaste_evidence::NoticeKind;
use std::sync::Arc;

pub(super) async fn preview(
    State(admin): State<Arc<Admin>>,
    pairs: Pairs,
) -> Result<Json<NoticeObject>, Refusal> {
    let params = Params::new(pairs, &["id", "kind", "language"])?;
    let id = queue_id(params.required("id")?)?;
    let kind = params.get("kind").map_or(Ok(NoticeKind::Delayed), kind)?;
    match admin.desk.preview(id, kind, params.get("language")).await? {
        Some(composed) => Ok(Json(NoticeObject::of(Some(id), kind, &composed))),
        None => Err(not_in_queue(id)),
    }
}

fn kind(text: &str) -> Result<NoticeKind, Refusal> {
    let named = NoticeKind::ALL.iter().find(|(_, name)| *name == text);
    named.map(|(kind, _)| *kind).ok_or_else(|| {
        let all = NoticeKind::ALL.map(|(_, name)| name).join(", ");
        Refusal::bad_request(format!("`{text}` is not a kind of notice; there are: {all}"))
    })
}

impl From<PreviewFault> for Refusal {
    fn from(fault: PreviewFault) -> Self {
        match fault {
            PreviewFault::Desk(fault) => fault.into(),
            PreviewFault::NoNotice(_) | PreviewFault::NoSuchLanguage { .. } => {
                Self::bad_request(fault.to_string())
            }
        }
    }
}
