//! **destination**.

use super::message::LastErrorView;
use super::{VERSION, When};
use crate::desk::Destination;
use crate::filter::{Field, Record, Scalar};
use posthaste_mail::Timestamp;
use posthaste_queue::scheduler::DestinationView;
use serde::Serialize;

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
}

impl DestinationObject {
    /// From what the desk says.
    #[must_use]
    pub fn of(destination: &Destination) -> Self {
        let last_error = destination.last_error.as_ref().map(LastErrorView::of);
        Self { last_error, ..Self::of_view(&destination.view) }
    }

    pub(super) fn of_view(view: &DestinationView) -> Self {
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
