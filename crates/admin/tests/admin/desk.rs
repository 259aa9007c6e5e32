//! A desk that answers from lists and notes what it was asked to do.

use crate::sample::{NOW, ago, destination, history, message, route_answer};
use posthaste_admin::Desk;
use posthaste_admin::desk::{
    Conditions, DeskFault, Destination, Maintenance, MaintenanceFault, MaintenanceWish, Message,
    Numbers, Readiness, ReloadFault, Reloaded, RouteAnswer, RouteQuestion, Submission, SubmitFault,
};
use posthaste_io::Task;
use posthaste_mail::{QueueId, Timestamp};
use posthaste_queue::scheduler::{DestinationStatus, DestinationView, Scheduler};
use posthaste_queue::{DestinationState, Settings};
use posthaste_spool::{Health, History};
use std::sync::Mutex;

/// What a test may look at afterwards.
#[derive(Default)]
pub(crate) struct FakeDesk {
    pub(crate) messages: u64,
    pub(crate) not_ready: bool,
    pub(crate) full: bool,
    pub(crate) bad_config: bool,
    pub(crate) retried: Mutex<Vec<QueueId>>,
    pub(crate) submitted: Mutex<Vec<Submission>>,
    pub(crate) stopped: Mutex<bool>,
    /// Why no mail is accepted.
    pub(crate) refusing: Option<&'static str>,
    pub(crate) maintenance: Mutex<Option<Maintenance>>,
}

impl FakeDesk {
    /// A desk with messages numbered from 1.
    pub(crate) fn with_messages(messages: u64) -> Self {
        Self { messages, ..Self::default() }
    }
}

/// A destination as the scheduler would show it.
pub(crate) fn destination_view(name: &str, down: Option<DestinationState>) -> DestinationView {
    let id = Scheduler::new(Settings::default()).destination(NOW, name, "default");
    DestinationView {
        id,
        name: name.into(),
        route: "default".into(),
        status: DestinationStatus::Retry,
        messages: 2,
        recipients: 3,
        held: 0,
        oldest: Some(ago(90)),
        next_attempt: down.map(|down| down.next_trial),
        connections: 0,
        down,
    }
}

impl Desk for FakeDesk {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn readiness(&self) -> Readiness {
        let (recovered, refusing) = (!self.not_ready, self.refusing);
        Readiness { listening: true, recovered, stopping: false, refusing }
    }

    fn numbers(&self) -> Task<'_, Numbers> {
        let store = Health { accepting: true, messages: self.messages, ..Health::default() };
        let numbers = Numbers {
            started: ago(60),
            hostname: "mail.example".into(),
            messages: self.messages,
            store,
            conditions: Conditions {
                maintenance: self.maintenance.lock().unwrap().clone(),
                ..Conditions::default()
            },
            ..Numbers::default()
        };
        Box::pin(async { numbers })
    }

    fn destinations(
        &self,
        after: Option<(String, String)>,
        limit: usize,
    ) -> Task<'_, Vec<Destination>> {
        let all = ["a.example", "b.example", "c.test"].map(destination);
        let later = move |d: &Destination| {
            after.as_ref().is_none_or(|(name, _)| d.view.name.as_str() > name.as_str())
        };
        Box::pin(async move { all.into_iter().filter(later).take(limit).collect() })
    }

    fn messages(&self, after: QueueId, limit: usize) -> Task<'_, Result<Vec<Message>, DeskFault>> {
        let ids = (1..=self.messages).filter(move |id| *id > after.as_u64());
        Box::pin(async move { Ok(ids.take(limit).map(message).collect()) })
    }

    fn message(&self, id: QueueId) -> Task<'_, Result<Option<(Message, History)>, DeskFault>> {
        let here = (1..=self.messages).contains(&id.as_u64());
        let number = id.as_u64();
        Box::pin(async move { Ok(here.then(|| (message(number), history(number)))) })
    }

    fn retry(&self, ids: Vec<QueueId>) -> Task<'_, Result<u64, DeskFault>> {
        let count = ids.len() as u64;
        self.retried.lock().unwrap().extend(ids);
        Box::pin(async move { Ok(count) })
    }

    fn submit(&self, submission: Submission) -> Task<'_, Result<QueueId, SubmitFault>> {
        if self.full {
            let fault = SubmitFault::Later("the disk is full up to the reserve".into());
            return Box::pin(async { Err(fault) });
        }
        self.submitted.lock().unwrap().push(submission);
        Box::pin(async { Ok(QueueId::from_u64(42)) })
    }

    fn route(&self, _question: RouteQuestion) -> Task<'_, RouteAnswer> {
        Box::pin(async { route_answer() })
    }

    fn message_size(&self) -> usize {
        100_000
    }

    fn reload(&self) -> Task<'_, Result<Reloaded, ReloadFault>> {
        let answer = match self.bad_config {
            true => Err(ReloadFault("p.toml:1:1: unknown setting `x`".into())),
            false => Ok(Reloaded { after_restart: vec!["data".into()], due_now: 3 }),
        };
        Box::pin(async { answer })
    }

    fn set_maintenance(
        &self,
        wanted: Option<MaintenanceWish>,
    ) -> Task<'_, Result<Option<Maintenance>, MaintenanceFault>> {
        let now =
            wanted.map(|wish| Maintenance { since: NOW, reason: wish.reason, hold: wish.hold });
        *self.maintenance.lock().unwrap() = now.clone();
        Box::pin(async { Ok(now) })
    }

    fn stop(&self) {
        *self.stopped.lock().unwrap() = true;
    }
}
