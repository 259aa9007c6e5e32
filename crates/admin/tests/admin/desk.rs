//! A desk that answers from lists and notes what it was asked to do.

use crate::sample::{NOW, ago, destination, history, message, notice, route_answer};
use bytes::Bytes;
use posthaste_admin::Desk;
use posthaste_admin::desk::{
    Conditions, DeskFault, Destination, Maintenance, MaintenanceFault, MaintenanceWish, Message,
    Numbers, PreviewFault, Readiness, ReloadFault, Reloaded, Replayed, RouteAnswer, RouteQuestion,
    Submission, SubmitFault,
};
use posthaste_evidence::{NoticeKind, Order};
use posthaste_io::Task;
use posthaste_mail::Body;
use posthaste_mail::{QueueId, Timestamp};
use posthaste_message::dsn::Composed;
use posthaste_queue::scheduler::{DestinationStatus, DestinationView, Scheduler};
use posthaste_queue::{DestinationState, Settings};
use posthaste_spool::decision::{Command, DecisionView, HoldView, OrderFault, Which};
use posthaste_spool::{
    Content, Decision, Health, History, Hold, SpilledBody, Stage, Stored, Target,
};
use std::sync::Mutex;
use std::time::Duration;

/// What a test may look at afterwards.
#[derive(Default)]
pub(crate) struct FakeDesk {
    pub(crate) messages: u64,
    pub(crate) not_ready: bool,
    pub(crate) full: bool,
    pub(crate) bad_config: bool,
    pub(crate) ordered: Mutex<Vec<Command>>,
    pub(crate) decided: Mutex<Option<DecisionView>>,
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
        ages: [0, 2, 0, 0, 0, 0, 0, 0, 0, 0],
        deferred: 1,
        last_minute: (3, 1),
    }
}

impl Desk for FakeDesk {
    fn preview(
        &self,
        id: QueueId,
        kind: NoticeKind,
        language: Option<&str>,
    ) -> Task<'_, Result<Option<Composed>, PreviewFault>> {
        let here = (1..=self.messages).contains(&id.as_u64());
        let answer = match (kind, language) {
            (NoticeKind::Relayed, _) => Err(PreviewFault::NoNotice("nobody asked".into())),
            (_, Some(asked)) if asked != "de" => {
                let there = vec!["de".into()];
                Err(PreviewFault::NoSuchLanguage { asked: asked.into(), there })
            }
            _ => Ok(here.then(|| notice(kind, language))),
        };
        Box::pin(async { answer })
    }

    fn now(&self) -> Timestamp {
        NOW
    }

    fn listeners(&self) -> Vec<String> {
        ["relay", "local"].map(str::to_owned).to_vec()
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

    fn order(
        &self,
        command: Command,
    ) -> Task<'_, Result<(DecisionView, Vec<QueueId>), OrderFault>> {
        self.ordered.lock().unwrap().push(command.clone());
        let here = |id: &QueueId| (1..=self.messages).contains(&id.as_u64());
        let (target, missing) = match command.which {
            Which::Messages(ids) => {
                let missing: Vec<QueueId> = ids.iter().copied().filter(|id| !here(id)).collect();
                if missing.len() == ids.len() {
                    let fault = OrderFault::NotHere("not in the queue".into());
                    return Box::pin(async { Err(fault) });
                }
                (Target::Messages(ids), missing)
            }
            Which::Filter(filter) => (Target::Filter(filter), Vec::new()),
            Which::Destination(name) => (Target::Destination(name), Vec::new()),
            Which::All | Which::Hold(_) => (Target::All, Vec::new()),
        };
        let decision = Decision {
            act: command.act,
            target,
            to: command.to,
            text: command.text,
            order: Order { by: command.by, reason: command.reason, decision: Some(7) },
            at: NOW,
            last: QueueId::from_u64(9),
            cursor: QueueId::from_u64(9),
            messages: 1,
            recipients: 2,
            in_flight: Vec::new(),
            stage: Stage::Done,
            fault: None,
            since: NOW,
        };
        let view = DecisionView { number: 7, decision };
        *self.decided.lock().unwrap() = Some(view.clone());
        Box::pin(async move { Ok((view, missing)) })
    }

    fn finished(&self, number: u64, _: Duration) -> Task<'_, Option<DecisionView>> {
        let decided = self.decided.lock().unwrap().clone().filter(|view| view.number == number);
        Box::pin(async move { decided })
    }

    fn decisions(&self) -> Vec<DecisionView> {
        self.decided.lock().unwrap().iter().cloned().collect()
    }

    fn cancel(&self, _: u64) -> Task<'_, Option<DecisionView>> {
        Box::pin(async { None })
    }

    fn holds(&self) -> Vec<HoldView> {
        let target = Target::Filter("domain = b.example".into());
        let order = Order { by: "uid 0".into(), reason: None, decision: Some(3) };
        let hold = Hold { target, order, at: NOW, caught: 4 };
        vec![HoldView { number: 3, hold, fault: None }]
    }

    fn content(&self, id: QueueId) -> Task<'_, Result<Option<Stored>, DeskFault>> {
        let (envelope, large) = (message(id.as_u64()).envelope, id.as_u64() == 2);
        let spilled = SpilledBody::new(id, 3 << 19);
        let small = Body::from(b"Subject: x\r\n\r\nhello\r\n".to_vec());
        let content = if large { Content::Spilled(spilled) } else { Content::Inline(small) };
        Box::pin(async move { Ok(Some(Stored { envelope, content })) })
    }

    fn content_part(
        &self,
        body: &SpilledBody,
        offset: u64,
        length: usize,
    ) -> Task<'_, Result<Bytes, DeskFault>> {
        let left = usize::try_from(body.size - offset).unwrap();
        Box::pin(async move { Ok(Bytes::from(vec![b'x'; length.min(left)])) })
    }

    fn import(
        &self,
        submission: Submission,
        replayed: Replayed,
    ) -> Task<'_, Result<QueueId, SubmitFault>> {
        let to = replayed.recipients.iter().map(|r| r.mailbox.clone()).collect();
        self.submitted.lock().unwrap().push(Submission { to, ..submission });
        Box::pin(async { Ok(QueueId::from_u64(43)) })
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
