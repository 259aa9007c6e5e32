//! The HTTP interface of a running Posthaste: on the unix socket for the operator's verbs, read-only on TCP.
//!
//! Rooms: [`Desk`], what is asked of the daemon; [`conditions`], what holds it back; [`keeper`], what is asked of its spool; [`resolving`], what is asked about DNS; [`filter`], the one grammar; [`view`], the JSON objects of the outside
//! interface; `text`, where evidence becomes words; `http`, the routes; `track`, the search in the event log.
//! Not here: anything that changes mail (behind [`Desk`]), the command line (`posthaste`).

pub mod conditions;
pub mod desk;
pub mod filter;
pub mod http;
pub mod keeper;
pub mod resolving;
mod text;
pub mod track;
pub mod units;
pub mod view;

pub use desk::Desk;
pub use http::{Admin, Settings};
pub use text::answer_word;
pub use text::fault as told;
