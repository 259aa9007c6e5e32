//! **decision** and **hold**.

use super::{VERSION, When};
use posthaste_mail::QueueId;
use posthaste_spool::decision::{DecisionView, HoldView};
use posthaste_spool::{NewPlace, Target};
use serde::Serialize;

/// An act on the queue, and how far it has come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the outside interface")]
pub struct DecisionObject {
    pub v: u32,
    pub decision: u64,
    pub act: &'static str,
    pub target: TargetView,
    pub to_address: Option<String>,
    pub to_route: Option<String>,
    pub by: String,
    pub reason: Option<String>,
    pub at: When,
    /// `going`, `done`, `cancelled` or `stopped`.
    pub stage: &'static str,
    /// Why it does not go on.
    pub fault: Option<String>,
    /// Messages acted on so far.
    pub messages: u64,
    /// Recipients acted on so far.
    pub recipients: u64,
    /// Recipients that are acted on when their attempt has ended.
    pub in_flight: u64,
    /// The whole queue has been searched: only those in flight are waited for.
    pub searched: bool,
    /// Named messages that are not in the queue.
    pub missing: Vec<String>,
}

/// Whom a decision or a hold is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the outside interface")]
pub struct TargetView {
    /// `messages`, `filter`, `destination` or `all`.
    pub kind: &'static str,
    pub value: String,
}

/// A hold of mail that is still to come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the outside interface")]
pub struct HoldObject {
    pub hold: u64,
    pub target: TargetView,
    pub by: String,
    pub reason: Option<String>,
    pub at: When,
    /// Recipients held at their arrival; `null` for a destination, which is held as a whole.
    pub caught: Option<u64>,
    /// Why it does not work.
    pub fault: Option<String>,
}

impl DecisionObject {
    /// As the dispatcher has it.
    #[must_use]
    pub fn of(view: &DecisionView, missing: &[QueueId]) -> Self {
        let DecisionView { number, decision } = view;
        let (to_address, to_route) = match &decision.to {
            Some(NewPlace::Address(address)) => (Some(address.clone()), None),
            Some(NewPlace::Route(route)) => (None, Some(route.clone())),
            None => (None, None),
        };
        Self {
            v: VERSION,
            decision: *number,
            act: decision.act.name(),
            target: TargetView::of(&decision.target),
            to_address,
            to_route,
            by: decision.order.by.clone(),
            reason: decision.order.reason.clone(),
            at: When(decision.at),
            stage: decision.stage.name(),
            fault: decision.fault.clone(),
            messages: decision.messages,
            recipients: decision.recipients,
            in_flight: decision.in_flight.len() as u64,
            searched: decision.cursor >= decision.last,
            missing: missing.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TargetView {
    fn of(target: &Target) -> Self {
        let (kind, value) = match target {
            Target::Messages(_) => ("messages", target.to_string()),
            Target::Filter(filter) => ("filter", filter.clone()),
            Target::Destination(name) => ("destination", name.clone()),
            Target::All => ("all", String::new()),
        };
        Self { kind, value }
    }
}

impl HoldObject {
    /// As the dispatcher has it.
    #[must_use]
    pub fn of(view: &HoldView) -> Self {
        let hold = &view.hold;
        let whole = matches!(hold.target, Target::Destination(_));
        Self {
            hold: view.number,
            target: TargetView::of(&hold.target),
            by: hold.order.by.clone(),
            reason: hold.order.reason.clone(),
            at: When(hold.at),
            caught: (!whole).then_some(hold.caught),
            fault: view.fault.clone(),
        }
    }
}
