//! What a release does not let go: mail that its route holds, or that no route matches. Lifting an operator's hold does
//! not send it, and nobody is to believe so.
//!
//! Not here: the release itself (`act`).

use super::slices;
use crate::cli::Which;
use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::out::Out;
use posthaste_admin::filter::MAX_LENGTH;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Messages that are looked at; with more the counts are a least number.
const MAX_LOOKED_AT: usize = 10_000;
/// Why it stays, in words of the outside interface.
const ROUTE_HELD: &str = "route-held";
const NO_ROUTE: &str = "no-route";

/// Recipients that a release was about and that stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Kept {
    route_held: usize,
    no_route: usize,
    /// There may be more.
    at_least: bool,
}

/// Messages that a release with a filter is about: afterwards they may not fit it any more.
pub(super) struct Chosen(Option<BTreeSet<String>>);

impl Chosen {
    /// Looks before the decision is carried out.
    pub(super) fn before(client: &Client, which: &Which) -> Result<Self, Failure> {
        let Some(filter) = &which.filter else { return Ok(Self(None)) };
        let (messages, _) =
            slices(client, "/v1/messages", "messages", filter, MAX_LOOKED_AT, None)?;
        let ids = messages.iter().filter_map(|message| message["id"].as_str().map(str::to_owned));
        Ok(Self(Some(ids.collect())))
    }

    fn has(&self, message: &Value) -> bool {
        let id = message["id"].as_str().unwrap_or_default();
        self.0.as_ref().is_none_or(|ids| ids.contains(id))
    }
}

impl Kept {
    /// Looks after the decision has been carried out: wait reasons are those that are left.
    pub(super) fn after(
        client: &Client,
        which: &Which,
        chosen: &Chosen,
        decision: &Value,
    ) -> Result<Self, Failure> {
        let mut kept = Self::default();
        if !which.ids.is_empty() {
            for id in &which.ids {
                // What has left the queue meanwhile does not stay.
                if let Ok(message) = client.get(&Target::new(&format!("/v1/messages/{id}"))) {
                    kept.count(&message, None);
                }
            }
            return Ok(kept);
        }
        let (kind, value) = (&decision["target"]["kind"], &decision["target"]["value"]);
        let value = value.as_str().unwrap_or_default();
        let stays = format!("(wait_reason = {ROUTE_HELD} or wait_reason = {NO_ROUTE})");
        let quoted = || value.replace('\\', "\\\\").replace('"', "\\\"");
        let (filter, destination) = match kind.as_str() {
            // The filter of a hold of mail to come.
            Some("filter") if which.filter.is_none() => (format!("{stays} and ({value})"), None),
            Some("destination") => {
                (format!("{stays} and destination = \"{}\"", quoted()), Some(value))
            }
            _ => (stays, None),
        };
        if filter.len() > MAX_LENGTH {
            return Ok(kept);
        }
        let (messages, next) =
            slices(client, "/v1/messages", "messages", &filter, MAX_LOOKED_AT, None)?;
        let concerned = messages.iter().filter(|message| chosen.has(message));
        concerned.for_each(|message| kept.count(message, destination));
        kept.at_least = next.is_some();
        Ok(kept)
    }

    fn count(&mut self, message: &Value, destination: Option<&str>) {
        for recipient in message["recipients"].as_array().into_iter().flatten() {
            let at = recipient["destination"].as_str().unwrap_or_default();
            if destination.is_some_and(|name| !name.eq_ignore_ascii_case(at)) {
                continue;
            }
            match recipient["wait_reason"].as_str() {
                Some(ROUTE_HELD) => self.route_held += 1,
                Some(NO_ROUTE) => self.no_route += 1,
                _ => {}
            }
        }
    }

    pub(super) const fn is_none(&self) -> bool {
        self.route_held + self.no_route == 0
    }

    /// For the answer of the verb.
    pub(super) fn json(&self) -> Value {
        json!({
            "route_held": self.route_held, "no_route": self.no_route, "at_least": self.at_least,
        })
    }

    /// What stays, why, and what would move it.
    pub(super) fn tell(&self, out: &Out) {
        let least = if self.at_least { "at least " } else { "" };
        if self.route_held > 0 {
            out.line(&format!(
                "{least}{} recipients stay: their route says via = \"hold\", which no release lifts. Send them by \
                 another one with `queue redirect ... --to-route NAME`, or change the route and reload",
                self.route_held
            ));
        }
        if self.no_route > 0 {
            out.line(&format!(
                "{least}{} recipients stay: no route matches them. Send them by one with `queue redirect ... \
                 --to-route NAME`, or add a [[route]] and reload",
                self.no_route
            ));
        }
    }
}
