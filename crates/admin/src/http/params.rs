//! The parameters of a request: known names only, each read once, with errors that name them.

use super::answer::Refusal;
use super::{DEFAULT_LIMIT, MAX_LIMIT};
use crate::filter::{self, Field, Filter};
use crate::units::parse_size;
use axum::extract::Query;
use posthaste_mail::{Mailbox, QueueId, ReversePath};

/// `?name=value&name=value`
pub(super) type Pairs = Query<Vec<(String, String)>>;

pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Refuses names that mean nothing here.
    pub(super) fn new(pairs: Pairs, known: &[&str]) -> Result<Self, Refusal> {
        let Query(pairs) = pairs;
        match pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(Refusal::bad_request(format!(
                "unknown parameter `{name}`; known here: {}",
                known.join(", ")
            ))),
            None => Ok(Self(pairs)),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::bad_request(format!("`{name}` is missing")))
    }

    pub(super) fn filter(&self, fields: &[Field]) -> Result<Option<Filter>, Refusal> {
        let text = self.get("filter").filter(|text| !text.trim().is_empty());
        Ok(text.map(|text| filter::parse(text, fields)).transpose()?)
    }

    /// A number of octets, with or without a unit.
    pub(super) fn size(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let read = |text: &str| match text.parse() {
            Ok(octets) => Ok(octets),
            Err(_) => parse_size(text).map_err(|e| Refusal::bad_request(format!("`{name}`: {e}"))),
        };
        self.get(name).map(read).transpose()
    }

    pub(super) fn limit(&self) -> Result<usize, Refusal> {
        let Some(text) = self.get("limit") else { return Ok(DEFAULT_LIMIT) };
        match text.parse() {
            Ok(limit @ 1..=MAX_LIMIT) => Ok(limit),
            _ => Err(Refusal::bad_request(format!("`limit` is a number from 1 to {MAX_LIMIT}"))),
        }
    }
}

pub(super) fn queue_id(text: &str) -> Result<QueueId, Refusal> {
    text.parse().map_err(|error| Refusal::bad_request(format!("`{text}`: {error}")))
}

pub(super) fn mailbox(text: &str) -> Result<Mailbox, Refusal> {
    Mailbox::parse(text, true).map_err(|error| Refusal::bad_request(format!("`{text}`: {error}")))
}

/// A reverse-path; empty or `<>` for the null one.
pub(super) fn reverse_path(text: Option<&str>) -> Result<ReversePath, Refusal> {
    match text {
        None | Some("" | "<>") => Ok(ReversePath::Null),
        Some(text) => mailbox(text).map(ReversePath::Mailbox),
    }
}
