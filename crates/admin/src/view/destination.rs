//! **destination**.

use super::message::LastErrorView;
use super::{VERSION, When};
use crate::desk::Destination;
use crate::filter::{Field, Record, Scalar};
use posthaste_mail::Timestamp;
use posthaste_queue::AGE_CLASSES;
use posthaste_queue::scheduler::DestinationView;
use serde::Serialize;
use std::collections::BTreeMap;

/// Mail for one next-hop domain over one route.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the outside interface")]
pub struct DestinationObject {
    pub v: u32,
    pub name: String,
    pub route: String,
    pub status: &'static str,
    pub messages: u32,
    pub recipients: u32,
    pub held: u32,
    pub oldest: Option<When>,
    pub next_attempt: Option<When>,
    pub connections: u32,
    /// Since when it is down.
    pub down_since: Option<When>,
    pub last_error: Option<LastErrorView>,
    pub verdict: Option<()>,
    /// Messages by age: the key is the upper end of the class in minutes, or `older`.
    pub ages: BTreeMap<AgeClass, u32>,
    /// Messages of which some recipient has failed before.
    pub deferred: u32,
    /// Messages a second, averaged over the last minute.
    pub rate_in: f64,
    pub rate_out: f64,
    /// `rate_out - rate_in`: below 0 the backlog grows.
    pub velocity: f64,
    /// Trials in a row that failed while it is down, and when the first and the last of them were.
    pub retry_count: u32,
    pub first_retry: Option<When>,
    pub last_retry: Option<When>,
}

/// A class of ages by its upper end in minutes; in order of age.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum AgeClass {
    /// Younger than this many minutes, and not in a class before.
    Below(u32),
    /// Older than all classes.
    Older,
}

impl Serialize for AgeClass {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Below(minutes) => serializer.collect_str(minutes),
            Self::Older => serializer.serialize_str("older"),
        }
    }
}

impl AgeClass {
    fn all() -> impl Iterator<Item = Self> {
        AGE_CLASSES.into_iter().map(Self::Below).chain([Self::Older])
    }
}

impl DestinationObject {
    /// From what the desk says.
    #[must_use]
    pub fn of(destination: &Destination) -> Self {
        let last_error = destination.last_error.as_ref().map(LastErrorView::of);
        let last_retry =
            last_error.as_ref().map(|e| e.at).filter(|_| destination.view.down.is_some());
        Self { last_error, last_retry, ..Self::of_view(&destination.view) }
    }

    fn of_view(view: &DestinationView) -> Self {
        let rate = |count: f64| (count / 60.0 * 1000.0).round() / 1000.0;
        let (came, left) = (f64::from(view.last_minute.0), f64::from(view.last_minute.1));
        Self {
            v: VERSION,
            name: view.name.clone(),
            route: view.route.clone(),
            status: view.status.name(),
            messages: view.messages,
            recipients: view.recipients,
            held: view.held,
            oldest: view.oldest.map(When),
            next_attempt: view.next_attempt.map(When),
            connections: view.connections,
            down_since: view.down.map(|down| When(down.since)),
            last_error: None,
            verdict: None,
            ages: AgeClass::all().zip(view.ages).collect(),
            deferred: view.deferred,
            rate_in: rate(came),
            rate_out: rate(left),
            velocity: rate(left - came),
            retry_count: view.down.map_or(0, |down| down.failures),
            first_retry: view.down.map(|down| When(down.since)),
            last_retry: None,
        }
    }
}

impl Record for DestinationObject {
    fn values(&self, field: Field, now: Timestamp) -> Vec<Scalar<'_>> {
        match field {
            Field::Destination | Field::Domain => vec![Scalar::Text((&*self.name).into())],
            Field::Route => vec![Scalar::Text((&*self.route).into())],
            Field::Status => vec![Scalar::Text(self.status.into())],
            Field::Messages => vec![Scalar::Number(self.messages.into())],
            Field::Recipients => vec![Scalar::Number(self.recipients.into())],
            Field::Connections => vec![Scalar::Number(self.connections.into())],
            Field::Held => vec![Scalar::Bool(self.held > 0)],
            Field::Age => self.oldest.iter().map(|at| Scalar::Duration(now.since(at.0))).collect(),
            Field::LastError => {
                self.last_error.iter().map(|e| Scalar::Text(e.line().into())).collect()
            }
            // Cause and owner come with the verdict; the rest is not a destination's.
            _ => Vec::new(),
        }
    }
}
