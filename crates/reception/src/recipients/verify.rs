//! Asks a domain's next hop whether it knows a recipient, and remembers what it said.
//!
//! One question at a time for an address, a bounded number in all and per next hop; a session waits a bounded while
//! and then says 450. A next hop that does not answer is left alone for a moment, so that it is not dialled for every
//! RCPT. Not here: the asking itself, which is the [`Verifier`]'s (wired over `delivery`).

mod memory;

use memory::{Held, Memory, Place};
use parking_lot::{Mutex, RwLock};
use posthaste_evidence::{Fault, FaultClass};
use posthaste_io::{Task, World, within};
use posthaste_mail::{Mailbox, Reply};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// The longest that one question may take, waiting for its turn included.
const QUESTION_LIMIT: Duration = Duration::from_secs(60);
/// Questions under way or waiting for their turn; beyond it, sessions are told to come back at once.
const MAX_QUESTIONS: usize = 2000;
/// What a memory nearing its end waits before it is refreshed again, when that has failed.
const REFRESH_AGAIN: Duration = Duration::from_secs(600);
/// Octets kept of a refusal's text.
const KEPT_TEXT: usize = 200;

/// What a next hop said of a recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It takes mail for it.
    Exists,
    /// It refuses it for good, with these words.
    Unknown(Reply),
    /// It could not be asked, or did not decide.
    Unreachable(Fault),
}

/// Who asks next hops.
pub trait Verifier: Send + Sync {
    /// What is asked for this mailbox: all whose next hop has the same name share its fate when it does not answer.
    fn next_hop(&self, mailbox: &Mailbox) -> String;
    /// Asks. Sends no mail.
    fn ask(&self, mailbox: Mailbox) -> Task<'static, Answer>;
    /// The next hop of this domain takes a recipient that cannot exist: verifying says nothing there. Told once.
    fn takes_everybody(&self, domain: &str);
}

/// Limits of verifying.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VerifySettings {
    /// How long an answer that a recipient exists holds; asked again in the background in its last quarter.
    pub known_for: Duration,
    /// How long a refusal holds.
    pub unknown_for: Duration,
    /// How long a next hop that did not answer is left alone.
    pub unreachable_for: Duration,
    /// How long a session waits for an answer before it says 450.
    pub wait: Duration,
    /// Answers remembered; beyond it those that end first are forgotten.
    pub entries: usize,
    /// Questions at the same time, in all.
    pub questions: usize,
    /// Questions at the same time to one next hop.
    pub per_next_hop: usize,
}

impl Default for VerifySettings {
    fn default() -> Self {
        Self {
            known_for: Duration::from_secs(86_400),
            unknown_for: Duration::from_secs(3600),
            unreachable_for: Duration::from_secs(10),
            wait: Duration::from_secs(20),
            entries: 50_000,
            questions: 50,
            per_next_hop: 10,
        }
    }
}

/// Asks and remembers. Clones share everything.
#[derive(Clone)]
pub(crate) struct Verification(Arc<Inner>);

struct Inner {
    world: World,
    verifier: RwLock<Option<Arc<dyn Verifier>>>,
    limits: RwLock<Limits>,
    memory: Mutex<Memory>,
}

/// The settings in force, and the turns that they allow.
#[derive(Clone)]
struct Limits {
    settings: VerifySettings,
    turns: Arc<Semaphore>,
}

/// One question, from a task of its own: a session that gives up waiting does not lose the answer.
struct Question {
    key: Arc<str>,
    mailbox: Mailbox,
    next_hop: String,
    verifier: Arc<dyn Verifier>,
    limits: Limits,
    /// Of the memory that asked.
    generation: u64,
    tell: watch::Sender<Option<Answer>>,
}

impl Verification {
    pub(crate) fn new(world: World, settings: VerifySettings) -> Self {
        Self(Arc::new(Inner {
            world,
            verifier: RwLock::new(None),
            limits: RwLock::new(Limits::new(settings)),
            memory: Mutex::default(),
        }))
    }

    pub(crate) fn set_verifier(&self, verifier: Arc<dyn Verifier>) {
        *self.0.verifier.write() = Some(verifier);
    }

    /// Takes new settings; what is remembered holds as long as it was meant to.
    pub(crate) fn set_settings(&self, settings: VerifySettings) {
        let mut limits = self.0.limits.write();
        if limits.settings != settings {
            *limits = Limits::new(settings);
        }
    }

    /// Forgets everything: next hops may be others now.
    pub(crate) fn forget(&self) {
        self.0.memory.lock().forget();
    }

    /// Domains whose next hop takes everybody.
    pub(crate) fn take_everybody(&self) -> Vec<String> {
        self.0.memory.lock().take_everybody()
    }

    /// What is remembered, without waiting; a memory that nears its end is refreshed in the background.
    pub(crate) fn remembered(&self, mailbox: &Mailbox) -> Option<Answer> {
        let now = self.0.world.now();
        let key = key(mailbox);
        let held = self.0.memory.lock().get(&key, now)?;
        if let Held { answer: Answer::Exists, refresh: true } = held {
            // What it comes to is for those who ask later.
            drop(self.begin(&key, mailbox));
        }
        Some(held.answer)
    }

    /// What the next hop says: remembered, or asked and waited for.
    pub(crate) async fn ask(&self, mailbox: &Mailbox) -> Answer {
        if let Some(answer) = self.remembered(mailbox) {
            return answer;
        }
        let wait = self.0.limits.read().settings.wait;
        let mut told = match self.begin(&key(mailbox), mailbox) {
            Ok(told) => told,
            Err(answer) => return answer,
        };
        let answer = async {
            let told = told.wait_for(Option::is_some).await;
            told.ok().and_then(|answer| answer.clone())
        };
        let answer = within(&*self.0.world.clock, wait, answer).await.flatten();
        answer.unwrap_or(Answer::Unreachable(Fault::AttemptTooLong))
    }

    /// Begins a question, or joins the one under way; `Err` when it is not worth beginning.
    fn begin(
        &self,
        key: &str,
        mailbox: &Mailbox,
    ) -> Result<watch::Receiver<Option<Answer>>, Answer> {
        let inner = &self.0;
        let Some(verifier) = inner.verifier.read().clone() else {
            return Err(Answer::Unreachable(Fault::NoRoute));
        };
        let next_hop = verifier.next_hop(mailbox);
        let limits = inner.limits.read().clone();
        let mut memory = inner.memory.lock();
        if let Some(told) = memory.asked(key) {
            return Ok(told);
        }
        if let Some(fault) = memory.resting(&next_hop, inner.world.now()) {
            return Err(Answer::Unreachable(fault));
        }
        if memory.questions() >= MAX_QUESTIONS {
            return Err(Answer::Unreachable(Fault::AttemptTooLong));
        }
        let (tell, told) = watch::channel(None);
        let key: Arc<str> = key.into();
        memory.ask(Arc::clone(&key), told.clone());
        let generation = memory.generation();
        drop(memory);
        let mailbox = mailbox.clone();
        let question = Question { key, mailbox, next_hop, verifier, limits, generation, tell };
        let task = Arc::clone(inner);
        let _runs_by_itself =
            inner.world.spawn.spawn("verify", Box::pin(async move { task.run(question).await }));
        Ok(told)
    }
}

impl Inner {
    async fn run(self: Arc<Self>, question: Question) {
        let place = self.place(&question);
        let clock = &*self.world.clock;
        let answer = within(clock, QUESTION_LIMIT, self.answer(&question, &place)).await;
        let answer = shortened(answer.unwrap_or(Answer::Unreachable(Fault::AttemptTooLong)));
        let control = self.note(&question, &answer);
        question.tell.send_replace(Some(answer));
        if control {
            let asked = self.control(&question, &place);
            let answer = within(clock, QUESTION_LIMIT, asked).await;
            let everybody = matches!(answer, Some(Answer::Exists));
            let refuses = matches!(answer, Some(Answer::Unknown(_)));
            let domain = domain_of(&question.mailbox);
            let memory = &self.memory;
            let decided = everybody || refuses;
            if memory.lock().controlled(&domain, question.generation, decided, everybody) {
                question.verifier.takes_everybody(&domain);
            }
        }
    }

    fn place(&self, question: &Question) -> Place {
        let mut memory = self.memory.lock();
        memory.place(&question.next_hop, question.limits.settings.per_next_hop)
    }

    /// Waits for its turn, which those who waited with it may have made needless.
    async fn answer(&self, question: &Question, place: &Place) -> Answer {
        let turns = (place.turns.acquire().await, question.limits.turns.acquire().await);
        let resting = self.memory.lock().resting(&question.next_hop, self.world.now());
        let answer = match resting {
            Some(fault) => Answer::Unreachable(fault),
            None => question.verifier.ask(question.mailbox.clone()).await,
        };
        drop(turns);
        answer
    }

    /// Asks for a recipient that cannot exist: a next hop that takes it would take any.
    async fn control(&self, question: &Question, place: &Place) -> Answer {
        let nobody = format!("{:016x}@{}", self.world.random.next(), question.mailbox.domain());
        let Ok(nobody) = Mailbox::parse(&nobody, true) else {
            return Answer::Unreachable(Fault::AttemptTooLong);
        };
        let turns = (place.turns.acquire().await, question.limits.turns.acquire().await);
        let answer = question.verifier.ask(nobody).await;
        drop(turns);
        answer
    }

    /// Remembers; true when the domain has not been put to the control yet.
    fn note(&self, question: &Question, answer: &Answer) -> bool {
        let settings = &question.limits.settings;
        let now = self.world.now();
        let mut memory = self.memory.lock();
        if memory.generation() != question.generation {
            return false;
        }
        memory.answered(&question.key);
        let held_for = match answer {
            Answer::Exists => settings.known_for,
            Answer::Unknown(_) => settings.unknown_for,
            Answer::Unreachable(fault) => {
                if fault.class() == FaultClass::Destination {
                    memory.rest(&question.next_hop, now + settings.unreachable_for, fault.clone());
                }
                settings.unreachable_for
            }
        };
        let refresh = match answer {
            Answer::Exists => now + held_for * 3 / 4,
            _ => now + held_for,
        };
        let known = matches!(answer, Answer::Unreachable(_))
            && memory.postpone(&question.key, now, now + REFRESH_AGAIN);
        if !known {
            let key = Arc::clone(&question.key);
            memory.remember(key, answer.clone(), now + held_for, refresh, settings.entries);
        }
        matches!(answer, Answer::Exists) && memory.begin_control(&domain_of(&question.mailbox))
    }
}

impl Limits {
    fn new(settings: VerifySettings) -> Self {
        Self { settings, turns: Arc::new(Semaphore::new(settings.questions.max(1))) }
    }
}

/// By what an address is remembered: as our own addresses are compared.
fn key(mailbox: &Mailbox) -> String {
    format!("{}@{}", super::text::fold(mailbox.local_part()), domain_of(mailbox))
}

/// A mailbox's domain as it is compared.
pub(crate) fn domain_of(mailbox: &Mailbox) -> String {
    let domain = posthaste_route::domain::to_dns(mailbox.domain());
    domain.unwrap_or_else(|| mailbox.domain_key())
}

fn shortened(answer: Answer) -> Answer {
    let Answer::Unknown(reply) = answer else { return answer };
    let mut text = reply.text();
    if text.len() > KEPT_TEXT {
        text.truncate(text.floor_char_boundary(KEPT_TEXT - 3));
        text.push_str("...");
    }
    Answer::Unknown(Reply::new(reply.code, reply.enhanced, text))
}
