//! The routes. Everything answers JSON; objects are those of the outside interface ([`crate::view`]).
//!
//! | request | on | answers |
//! |---|---|---|
//! | `GET /v1/ping` | both | `{v, ready, listening, recovered, stopping, accepting, refusing}`; 503 until ready and accepting |
//! | `GET /v1/status` | both | **status** |
//! | `GET /v1/queue?filter&after&limit` | both | `{v, destinations: [destination], next}` |
//! | `GET /v1/messages?filter&after&limit` | both | `{v, messages: [message], next}` |
//! | `GET /v1/messages/{id}` | both | **message** with `attempts` |
//! | `GET /v1/route?address&from&listener&user&size` | both | **route** |
//! | `GET /v1/track?id` or `?filter&limit` | both | `{v, messages, complete, searched_to}` |
//! | `GET /v1/sessions?id&message&client&refused&age&lines&limit` | both | `{v, sessions: [session], complete, searched_to}` |
//! | `POST /v1/messages?from&to&to...` | socket | submits the body; `{v, id}` |
//! | `POST /v1/acts` `{"act", one of "ids", "where", "destination", "all", "hold"; "to_address", "to_route", "text", "reason", "notice"}` | socket | **decision** |
//! | the same with `"dry_run":true`, `"after"` | socket | `{v, dry_run, messages, recipients, missing, next}` |
//! | `GET /v1/decisions`, `GET /v1/decisions/{number}?wait` | both | `{v, decisions: [decision]}`, **decision** |
//! | `POST /v1/decisions/{number}/cancel` | socket | **decision** |
//! | `GET /v1/holds` | both | `{v, holds: [hold]}` |
//! | `GET /v1/messages/{id}/content` | socket | the message as a file, envelope in front ([`posthaste_message::replay`]) |
//! | `POST /v1/import?dry_run` | socket | takes such a file; `{v, id, from, to}` |
//! | `GET /v1/notices/preview?id&kind&language` | socket | **notice**: what the sender would be told now |
//! | `GET /v1/dns/servers` | both | `{v, servers: [dns-server], caches}` |
//! | `GET /v1/dns/ask?name&type&route&server&fresh` | socket | **dns-answer** |
//! | `GET /v1/check/domain?name` | socket | **check** |
//! | `POST /v1/dns/flush?name` | socket | `{v, name, forgotten}` |
//! | `POST /v1/reload` | socket | `{v, after_restart, due_now}` |
//! | `GET /v1/maintenance` | both | `{v, maintenance, messages, in_flight, sessions}`; `maintenance` is `null` when it is off |
//! | `POST /v1/maintenance` `{"on", "reason", "hold"}` | socket | the same |
//! | `POST /v1/stop` | socket | `{v, stopping}` |
//! | `GET /v1/spool` | socket | `{v, folder, quarantined: [{place, size, what}]}` |
//! | `GET /v1/spool/export?after` | socket | `{v, messages: [{record, content}], damaged, ledger, next}` |
//! | `POST /v1/spool/restore` `{"name", "id"?}` | socket | `{v, restored: [{id, new, why_not}]}` |
//!
//! Listings are slices: ask again with `after` = `next` until `next` is `null`; a slice may be empty before the end.
//! An error is `{"error":{"code","message","at"}}` with a matching status. TCP has no passwords yet, hence loopback only,
//! reading only, and only under the name it was reached by ([`guard`]).

mod act;
mod answer;
mod dns;
mod guard;
mod look;
mod maintenance;
mod notice;
mod orders;
mod params;
mod server;
mod sessions;
mod spool;

pub use answer::{ErrorBody, ErrorObject};
pub use server::{
    BindError, MAX_CONNECTIONS, bind_socket, bind_tcp, bind_unix, serve_tcp, serve_unix,
};

use crate::Desk;
use answer::Refusal;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Entries of a slice, unless asked otherwise.
pub const DEFAULT_LIMIT: usize = 100;
/// The most entries of a slice.
pub const MAX_LIMIT: usize = 1000;
/// The most objects that one request looks at to fill its slice.
pub const MAX_SCAN: usize = 20_000;
/// Objects asked of the desk at once.
const SLICE: usize = 200;
/// The largest body of a request that is no message, octets.
const MAX_REQUEST: usize = 64 * 1024;
/// Messages handed in at once; each is held in memory while it is.
const MAX_SUBMITS: usize = 4;
/// Checks of domains at once: each asks other people's servers some hundred questions.
const MAX_CHECKS: usize = 2;
/// Searches of the event log at once.
const MAX_SEARCHES: usize = 2;
/// Operators' DNS questions at once.
const MAX_QUESTIONS: usize = 8;
/// The longest a request takes, its body included.
const MAX_TIME: Duration = Duration::from_secs(120);

/// What the interface may be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The folder of the event log.
    pub events: PathBuf,
}

/// The interface: one for the socket and TCP.
pub struct Admin {
    desk: Arc<dyn Desk>,
    settings: Settings,
    submits: Semaphore,
    searches: Semaphore,
    questions: Semaphore,
    checks: Semaphore,
}

impl Admin {
    /// The interface to a desk.
    #[must_use]
    pub fn new(desk: Arc<dyn Desk>, settings: Settings) -> Arc<Self> {
        let (submits, searches) = (Semaphore::new(MAX_SUBMITS), Semaphore::new(MAX_SEARCHES));
        let questions = Semaphore::new(MAX_QUESTIONS);
        let checks = Semaphore::new(MAX_CHECKS);
        Arc::new(Self { desk, settings, submits, searches, questions, checks })
    }

    /// What anybody on this machine may ask.
    fn looks(self: &Arc<Self>) -> Router<Arc<Self>> {
        Router::new()
            .route("/v1/ping", get(look::ping))
            .route("/v1/status", get(look::status))
            .route("/v1/queue", get(look::queue))
            .route("/v1/messages", get(look::messages))
            .route("/v1/messages/{id}", get(look::message))
            .route("/v1/route", get(look::route))
            .route("/v1/dns/servers", get(dns::servers))
            .route("/v1/track", get(look::track))
            .route("/v1/maintenance", get(maintenance::look))
            .route("/v1/decisions", get(orders::decisions))
            .route("/v1/decisions/{number}", get(orders::decision))
            .route("/v1/holds", get(orders::holds))
            .route("/v1/sessions", get(sessions::sessions))
    }

    /// All routes: for the socket, which only its owner can open.
    fn all_routes(self: &Arc<Self>) -> Router {
        let acts = Router::new()
            .route("/v1/messages", post(act::submit))
            .route("/v1/acts", post(orders::act))
            .route("/v1/decisions/{number}/cancel", post(orders::cancel))
            .route("/v1/messages/{id}/content", get(orders::export))
            .route("/v1/import", post(orders::import).layer(DefaultBodyLimit::disable()))
            .route("/v1/reload", post(act::reload))
            .route("/v1/dns/ask", get(dns::ask))
            .route("/v1/dns/flush", post(dns::flush))
            .route("/v1/check/domain", get(dns::check))
            .route("/v1/notices/preview", get(notice::preview))
            .route("/v1/maintenance", post(maintenance::act))
            .route("/v1/stop", post(act::stop))
            .route("/v1/spool", get(spool::look))
            .route("/v1/spool/export", get(spool::export))
            .route("/v1/spool/restore", post(spool::restore));
        let routes = self.looks().merge(acts);
        finish(routes, self, Refusal::wrong_method)
    }

    /// Only what reads: for TCP.
    fn read_only_routes(self: &Arc<Self>) -> Router {
        finish(self.looks(), self, Refusal::socket_only)
    }
}

fn finish(routes: Router<Arc<Admin>>, admin: &Arc<Admin>, other_method: fn() -> Refusal) -> Router {
    routes
        .fallback(|| async { Refusal::no_such_path() })
        .method_not_allowed_fallback(move || async move { other_method() })
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .with_state(Arc::clone(admin))
}
