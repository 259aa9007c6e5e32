//! Errors as the outside interface has them, with the HTTP status that fits.

use crate::desk::{DeskFault, ReloadFault, SubmitFault};
use crate::filter::FilterError;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// Why a request was not granted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    body: ErrorBody,
}

/// `{"error":{"code","message","at"}}`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorObject,
}

/// One error of the outside interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ErrorObject {
    /// A fixed word.
    pub code: String,
    /// What is wrong and what to do.
    pub message: String,
    /// Where in what was given.
    pub at: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let error = ErrorObject { code: code.to_owned(), message: message.into(), at: None };
        Self { status, body: ErrorBody { error } }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", message)
    }

    pub(super) fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no-such-path", "there is no such path; see /v1/status")
    }

    pub(super) fn wrong_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", "not with this method")
    }

    pub(super) fn socket_only() -> Self {
        let message = "over TCP this interface only reads; act over the unix socket";
        Self::new(StatusCode::FORBIDDEN, "socket-only", message)
    }

    pub(super) fn foreign(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "foreign", message)
    }

    pub(super) fn too_late() -> Self {
        let message = "the request took too long; ask for less at once";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", message)
    }

    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

impl From<FilterError> for Refusal {
    fn from(error: FilterError) -> Self {
        let mut refusal = Self::new(StatusCode::BAD_REQUEST, "bad-filter", error.what);
        refusal.body.error.at = Some(format!("column {}", error.column));
        refusal
    }
}

impl From<DeskFault> for Refusal {
    fn from(fault: DeskFault) -> Self {
        Self::failed(fault.to_string())
    }
}

impl From<SubmitFault> for Refusal {
    fn from(fault: SubmitFault) -> Self {
        let (status, code) = match fault {
            SubmitFault::Later(_) => (StatusCode::SERVICE_UNAVAILABLE, "not-now"),
            SubmitFault::Never(_) => (StatusCode::UNPROCESSABLE_ENTITY, "refused"),
        };
        Self::new(status, code, fault.to_string())
    }
}

impl From<ReloadFault> for Refusal {
    fn from(fault: ReloadFault) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-config", fault.to_string())
    }
}
