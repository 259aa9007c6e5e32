//! The running daemon as the operators' interface sees it: `admin::Desk` over dispatcher, store and reception.
//!
//! Not here: how anything is shown (`posthaste_admin`), decisions about mail (`dispatch`).

use super::{Daemon, reload};
use crate::config::OWN_DOORS;
use bytes::Bytes;
use posthaste_admin::desk::{
    Desk, DeskFault, Destination, LastError, Maintenance, MaintenanceFault, MaintenanceWish,
    Message, Numbers, PreviewFault, Readiness, ReloadFault, Reloaded, Replayed, RouteAnswer,
    RouteQuestion, Standing, Submission, SubmitFault,
};
use posthaste_admin::keeper::Keeper;
use posthaste_admin::resolving::Resolving;
use posthaste_dispatch::{Dispatch, LastTried};
use posthaste_evidence::{Attempt, Connection, Fault, NoticeKind, Outcome, RecipientResult};
use posthaste_io::Task;
use posthaste_mail::{QueueId, Recipient, Timestamp};
use posthaste_message::dsn::Composed;
use posthaste_queue::{DestinationStatus, DestinationView};
use posthaste_reception::{SubmitError, Unknown};
use posthaste_spool::decision::{Command, DecisionView, HoldView, OrderFault};
use posthaste_spool::{Health, History, Live, Refused, SpilledBody, Stored};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Destinations read at once when counting.
const SLICE: usize = 500;

impl Desk for Daemon {
    fn now(&self) -> Timestamp {
        self.world.wall()
    }

    fn readiness(&self) -> Readiness {
        Readiness {
            listening: self.state.listening.load(Ordering::SeqCst),
            recovered: self.state.recovered.load(Ordering::SeqCst),
            stopping: self.state.stopping.load(Ordering::SeqCst),
            refusing: self.refusing(),
        }
    }

    fn numbers(&self) -> Task<'_, Numbers> {
        Box::pin(async move { self.count().await })
    }

    fn destinations(
        &self,
        after: Option<(String, String)>,
        limit: usize,
    ) -> Task<'_, Vec<Destination>> {
        let after = after.as_ref().map(|(name, route)| (name.as_str(), route.as_str()));
        let views = self.dispatch.destinations(after, limit);
        let all = views.into_iter().map(|view| self.with_last_error(view)).collect();
        Box::pin(std::future::ready(all))
    }

    fn messages(&self, after: QueueId, limit: usize) -> Task<'_, Result<Vec<Message>, DeskFault>> {
        Box::pin(async move {
            let page = self.spool.live(after, limit).await.map_err(fault)?;
            let mut messages = Vec::with_capacity(page.items.len());
            for live in page.items {
                let history = self.spool.history(live.envelope.id).await.unwrap_or_default();
                messages.push(describe(&self.dispatch, live, &history));
            }
            Ok(messages)
        })
    }

    fn message(&self, id: QueueId) -> Task<'_, Result<Option<(Message, History)>, DeskFault>> {
        Box::pin(async move {
            let Some(live) = self.spool.find(id).await.map_err(fault)? else { return Ok(None) };
            let mut history = self.spool.history(id).await.map_err(fault)?;
            self.add_outages(&live, &mut history);
            let message = describe(&self.dispatch, live, &history);
            Ok(Some((message, history)))
        })
    }

    fn order(
        &self,
        command: Command,
    ) -> Task<'_, Result<(DecisionView, Vec<QueueId>), OrderFault>> {
        Box::pin(async move { self.dispatch.order(command).await })
    }

    fn finished(&self, number: u64, limit: Duration) -> Task<'_, Option<DecisionView>> {
        Box::pin(async move { self.dispatch.finished(number, limit).await })
    }

    fn decisions(&self) -> Vec<DecisionView> {
        self.dispatch.decisions()
    }

    fn cancel(&self, number: u64) -> Task<'_, Option<DecisionView>> {
        Box::pin(async move { self.dispatch.cancel(number).await })
    }

    fn holds(&self) -> Vec<HoldView> {
        self.dispatch.holds()
    }

    fn content(&self, id: QueueId) -> Task<'_, Result<Option<Stored>, DeskFault>> {
        Box::pin(async move { self.spool.fetch(id).await.map_err(fault) })
    }

    fn content_part(
        &self,
        body: &SpilledBody,
        offset: u64,
        length: usize,
    ) -> Task<'_, Result<Bytes, DeskFault>> {
        let body = body.clone();
        Box::pin(async move { self.spool.range(&body, offset, length).await.map_err(fault) })
    }

    fn import(
        &self,
        submission: Submission,
        replayed: Replayed,
    ) -> Task<'_, Result<QueueId, SubmitFault>> {
        Box::pin(async move {
            let submission = posthaste_reception::Submission {
                reverse_path: submission.from,
                recipients: replayed.recipients,
                message: submission.content.to_vec(),
                listener: "import".into(),
                user: submission.user,
                id: None,
                written: None,
                ret: replayed.ret,
                envid: replayed.envid,
                replayed: true,
                unknown: Unknown::Refuse,
            };
            self.reception.submit(submission).await.map(|done| done.id).map_err(submit_fault)
        })
    }

    fn submit(&self, submission: Submission) -> Task<'_, Result<QueueId, SubmitFault>> {
        Box::pin(async move {
            let recipient = |mailbox| Recipient { mailbox, orcpt: None, notify: None };
            let submission = posthaste_reception::Submission {
                reverse_path: submission.from,
                recipients: submission.to.into_iter().map(recipient).collect(),
                message: submission.content.to_vec(),
                listener: "local".into(),
                user: submission.user,
                id: None,
                written: None,
                ret: None,
                envid: None,
                replayed: false,
                unknown: Unknown::Refuse,
            };
            self.reception.submit(submission).await.map(|done| done.id).map_err(submit_fault)
        })
    }

    fn route(&self, question: RouteQuestion) -> Task<'_, RouteAnswer> {
        Box::pin(async move { self.explain(&question).await })
    }

    fn preview(
        &self,
        id: QueueId,
        kind: NoticeKind,
        language: Option<&str>,
    ) -> Task<'_, Result<Option<Composed>, PreviewFault>> {
        let language = language.map(str::to_owned);
        Box::pin(async move { self.preview_notice(id, kind, language.as_deref()).await })
    }

    fn listeners(&self) -> Vec<String> {
        let settings = self.settings();
        let names = settings.reception.listeners.iter().map(|listener| listener.name.as_str());
        names.chain(OWN_DOORS).map(str::to_owned).collect()
    }

    fn message_size(&self) -> usize {
        usize::try_from(self.settings().reception.limits.message_size).unwrap_or(usize::MAX)
    }

    fn reload(&self) -> Task<'_, Result<Reloaded, ReloadFault>> {
        Box::pin(async move { reload::reload(self).await })
    }

    fn keeper(&self) -> Option<&dyn Keeper> {
        Some(&self.stock)
    }

    fn dns(&self) -> Option<&dyn Resolving> {
        Some(self)
    }

    fn set_maintenance(
        &self,
        wanted: Option<MaintenanceWish>,
    ) -> Task<'_, Result<Option<Maintenance>, MaintenanceFault>> {
        Box::pin(async move { self.maintain(wanted).await })
    }

    fn stop(&self) {
        self.state.stopping.store(true, Ordering::SeqCst);
        self.state.stop.notify_one();
    }
}

impl Daemon {
    async fn count(&self) -> Numbers {
        let counted = self.dispatch.counters();
        let mut numbers = Numbers {
            started: self.state.started,
            hostname: self.hostname(),
            connections: self.dispatch.load().1 as u64,
            sessions: self.reception.open_sessions() as u64,
            in_flight: counted.in_flight,
            accepted: counted.accepted,
            delivered: counted.delivered,
            deferred: counted.deferred + counted.indeterminate,
            failed: counted.failed + counted.expired,
            notices: counted.notices_of,
            withheld: counted.withheld,
            came_last_minute: self.dispatch.last_minute().0.into(),
            left_last_minute: self.dispatch.last_minute().1.into(),
            events_dropped: self.world.journal.dropped(),
            sessions_dropped: self.world.journal.dropped_sessions(),
            dns_dropped: self.world.journal.dropped_dns(),
            store: Health { quarantined: self.stock.open_damage(), ..self.spool.health() },
            pickup_waiting: self.state.pickup.messages.load(Ordering::Relaxed),
            pickup_bad: self.state.pickup.bad.load(Ordering::Relaxed),
            pickup_stuck: self.state.pickup.stuck.load(Ordering::Relaxed),
            smarthosts_closed: self.dispatch.not_let_in().len() as u64,
            pickup: Some(self.started_with.submission.pickup.display().to_string()),
            messages: self.dispatch.load().0 as u64,
            conditions: self.conditions(),
            minute: self.life.minute().traffic(&counted),
            rights: Some(self.rights.clone()),
            ..Numbers::default()
        };
        let mut after: Option<(String, String)> = None;
        let mut worst: Option<DestinationView> = None;
        loop {
            let key = after.as_ref().map(|(name, route)| (name.as_str(), route.as_str()));
            let slice = self.dispatch.destinations(key, SLICE);
            for view in &slice {
                add(&mut numbers, view);
                if is_worse(view, worst.as_ref()) {
                    worst = Some(view.clone());
                }
            }
            match slice.last() {
                Some(last) if slice.len() == SLICE => {
                    after = Some((last.name.clone(), last.route.clone()));
                }
                _ => break,
            }
            tokio::task::yield_now().await;
        }
        numbers.worst = self.worst(worst);
        (numbers.decisions_stopped, numbers.holds_broken) = super::alarm::stuck(&self.dispatch);
        numbers.resolvers = Resolving::servers(self);
        numbers.oldest = self.oldest().await;
        numbers
    }

    /// The destination where most recipients wait, with what was last wrong there.
    fn worst(&self, view: Option<DestinationView>) -> Option<Destination> {
        view.map(|view| self.with_last_error(view))
    }

    /// The acceptance of the oldest live message, whether it waits, is held or is in flight: ids are in order of time.
    async fn oldest(&self) -> Option<Timestamp> {
        let page = self.spool.live(QueueId::MIN, 1).await.ok()?;
        page.items.first().map(|live| live.envelope.received)
    }

    /// A destination that is down has its attempts in common: they belong to the story of each of its messages.
    fn add_outages(&self, live: &Live, history: &mut History) {
        let mut concerned: BTreeMap<(String, String), Vec<u32>> = BTreeMap::new();
        for (number, state) in (0u32..).zip(&live.states) {
            if state.life.is_live() {
                let destination = self.dispatch.destination_of(&live.envelope, number);
                concerned.entry(destination).or_default().push(number);
            }
        }
        for ((name, route), numbers) in concerned {
            for connection in self.dispatch.failures(&name, &route) {
                if connection.at >= live.envelope.received {
                    history.attempts.push(shared_attempt(live.envelope.id, &connection, &numbers));
                    history.connections.push(connection);
                }
            }
        }
        history.attempts.sort_by_key(|attempt| attempt.at);
    }
}

/// A live message as the operators' interface has it.
pub(super) fn describe(dispatch: &Dispatch, live: Live, history: &History) -> Message {
    let envelope = Arc::new(live.envelope);
    let soft_fail = dispatch.defers_failures();
    let standing = |(number, state): (u32, &posthaste_queue::RecipientState)| {
        let destination = dispatch.destination_of(&envelope, number);
        let last = dispatch.last_tried(&envelope, number, history);
        let shared = match state.life.is_live() {
            true => dispatch.trials(&envelope, number),
            false => 0,
        };
        Standing {
            state: *state,
            shared_attempts: shared,
            waiting: dispatch.waiting(envelope.id, number),
            expires: dispatch.expires(&envelope, &destination.1),
            next_notice: dispatch.next_notice(&envelope, number, state),
            destination: state.life.is_live().then_some(destination),
            last_error: last.and_then(last_error).map(|error| LastError {
                soft_fail: soft_fail && error.fault.is_permanent(),
                ..error
            }),
        }
    };
    let recipients = (0u32..).zip(&live.states).map(standing).collect();
    Message { envelope, recipients }
}

/// A destination's attempt as one of its messages saw it.
fn shared_attempt(message: QueueId, connection: &Connection, numbers: &[u32]) -> Attempt {
    let last = posthaste_dispatch::fault_of(connection);
    let result = |&recipient: &u32| RecipientResult {
        recipient,
        outcome: Outcome::Deferred,
        reply: match &last {
            Some(Fault::Reply { reply, .. }) => Some(reply.clone()),
            _ => None,
        },
        fault: last.clone(),
    };
    Attempt {
        message,
        at: connection.at,
        took: connection.took,
        connection: Some(connection.id),
        results: numbers.iter().map(result).collect(),
        observations: Vec::new(),
    }
}

fn add(numbers: &mut Numbers, view: &DestinationView) {
    numbers.recipients += u64::from(view.recipients);
    numbers.held += u64::from(view.held);
    numbers.destinations += u64::from(view.recipients > 0);
    let spread = &mut numbers.spread;
    match view.status {
        DestinationStatus::Active => spread.active += 1,
        DestinationStatus::Ready => spread.ready += 1,
        DestinationStatus::Retry => spread.retry += 1,
        DestinationStatus::Held => spread.held += 1,
        DestinationStatus::Unreachable => spread.no_route += 1,
        DestinationStatus::Idle => {}
    }
    if view.route.is_empty() {
        spread.unreachable += u64::from(view.recipients);
    }
    let down = view.down.is_some() && view.status != DestinationStatus::Idle;
    numbers.destinations_down += u64::from(down);
}

/// More recipients wait there after a failure.
fn is_worse(view: &DestinationView, than: Option<&DestinationView>) -> bool {
    let waits = view.status == DestinationStatus::Retry || view.down.is_some();
    waits && view.recipients > than.map_or(0, |other| other.recipients)
}

pub(super) fn last_error(last: LastTried) -> Option<LastError> {
    let fault = last.result.fault?;
    Some(LastError { at: last.at, fault, host: last.host, peer: last.peer, soft_fail: false })
}

pub(super) fn fault(read: posthaste_spool::ReadFault) -> DeskFault {
    DeskFault(read.to_string())
}

fn submit_fault(error: SubmitError) -> SubmitFault {
    let text = error.to_string();
    match error {
        SubmitError::Store(Refused::Full | Refused::Unhealthy)
        | SubmitError::StoreLate
        | SubmitError::Scarce(_)
        | SubmitError::Maintenance => SubmitFault::Later(text),
        _ => SubmitFault::Never(text),
    }
}
