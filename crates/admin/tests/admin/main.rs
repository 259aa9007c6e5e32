//! The operators' interface as its clients meet it: golden JSON, HTTP over a real unix socket, the event log searched.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

mod client;
mod desk;
mod http;
mod indexed;
mod objects;
mod sample;
mod track;
