//! One server's state: what each exchange with it teaches, when it counts as dead, and when it is back.
//!
//! Silence to a question may be the name's: a recursive server that finds the name's own servers silent answers later
//! than anybody waits. So it is asked a question that hangs on no name before silence counts as its death.

use super::health::{EdnsSupport, ServerHealth, ServerState};
use super::{Lesson, Turns};
use crate::cache::Key;
use crate::exchange::Manner;
use posthaste_evidence::{AnswerKind, Edns, NameServer, RecordType, Transport};
use posthaste_io::Instant;
use posthaste_mail::Timestamp;
use std::time::Duration;

/// The first rest of a dead server before a health question; it doubles with each further one.
pub const FIRST_REST: Duration = Duration::from_secs(5);
/// The longest rest.
pub const LONGEST_REST: Duration = Duration::from_secs(60);
/// The longest while no server lives: mail waits for nothing else, and goes within a minute of their return.
pub const LONGEST_REST_OF_ALL: Duration = Duration::from_secs(15);
/// So long a silent server is waited for when it is asked what hangs on no name, and needs no connection for it.
pub const CHECK_LIMIT: Duration = Duration::from_secs(1);
/// Rests are longer or shorter by up to this share, one in so many: a farm of senders does not ask all at once.
pub const JITTER: u32 = 10;
/// Weight of the newest answer in the smoothed time, one in so many (RFC 6298 section 2).
const SMOOTHING: u32 = 8;
/// What a failed question costs an asker who has another server: when that one is asked as well.
const COST_OF_FAILURE: Duration = Duration::from_millis(300);
/// Of a thousand: a server fails for good when more of its SERVFAILs than these were answered by another server.
/// Three in a row are enough; one bad name among many is not.
const MOST_CONTRADICTED: u32 = 300;
/// A server that refuses so many questions in a row fails for good, also when no other one answers them.
const MOST_STRIKES: u32 = 3;
/// For so long a server that does not understand EDNS is asked without.
pub const PLAIN_FOR: Duration = Duration::from_secs(3_600);
/// For so long a server that was silent with EDNS, and answered without, is asked both ways when it is slow.
pub const DROPPED_FOR: Duration = Duration::from_secs(600);
/// For so long a server that does not keep case is asked in lower case.
pub const FOLDED_FOR: Duration = Duration::from_secs(86_400);

const THOUSAND: u32 = 1_000;

/// One server.
#[derive(Debug)]
pub(super) struct State {
    pub(super) server: NameServer,
    pub(super) health: ServerHealth,
    pub(super) dead: Option<Dead>,
    /// It was silent, and is being asked whether it is there at all.
    pub(super) doubt: Option<Doubt>,
    /// Another server was asked because this one was slow, and it has not answered since.
    pub(super) suspect: bool,
    pub(super) last_asked: Option<Instant>,
    /// Its time, smoothed, as it counts for its place: no question counts for more than a failed one does.
    counted: Option<Duration>,
    /// Of a thousand questions, smoothed: those it did not deal with.
    trouble: u32,
    /// Of a thousand, smoothed: SERVFAILs where another server had an answer.
    contradicted: u32,
    /// Refusals and the like in a row.
    strikes: u32,
    /// Anything came from it.
    last_reply: Option<Instant>,
    plain_until: Option<Instant>,
    dropped_until: Option<Instant>,
    folded_until: Option<Instant>,
    deaths: u64,
}

/// Silence that may be a name's.
#[derive(Debug)]
pub(super) struct Doubt {
    question: Key,
    /// When that was asked.
    began: Instant,
}

/// A server that is dead.
#[derive(Debug)]
pub(super) struct Dead {
    /// Which of its deaths this is.
    pub(super) death: u64,
    cause: AnswerKind,
    since: Timestamp,
    /// The last question it failed.
    question: Key,
    /// Until the next health question.
    rest: Duration,
    /// Health questions asked.
    rounds: u32,
}

impl State {
    pub(super) fn new(server: NameServer, fallback: bool) -> Self {
        Self {
            health: ServerHealth::unknown(&server, fallback),
            server,
            dead: None,
            doubt: None,
            suspect: false,
            last_asked: None,
            counted: None,
            trouble: 0,
            contradicted: 0,
            strikes: 0,
            last_reply: None,
            plain_until: None,
            dropped_until: None,
            folded_until: None,
            deaths: 0,
        }
    }

    /// What a question to it is expected to cost; `None` when nothing is known.
    pub(super) fn cost(&self) -> Option<Duration> {
        let failing = COST_OF_FAILURE * self.trouble / THOUSAND;
        self.counted.map(|time| time + failing)
    }

    /// As operators see it. `slow`: it stands after others that live.
    pub(super) fn seen(&self, slow: bool, now: Instant) -> ServerHealth {
        let is = |until: Option<Instant>| until.is_some_and(|until| until > now);
        let state = match &self.dead {
            Some(dead) => ServerState::Dead { since: dead.since, cause: dead.cause },
            None if slow => ServerState::Slow,
            None => ServerState::Good,
        };
        let edns = match (is(self.plain_until), is(self.dropped_until)) {
            (true, _) => EdnsSupport::NotUnderstood,
            (false, true) => EdnsSupport::Dropped,
            (false, false) => EdnsSupport::Offered,
        };
        let next_health = self.health.next_health.filter(|_| self.dead.is_some());
        let keeps_case = !is(self.folded_until);
        ServerHealth { state, edns, next_health, keeps_case, ..self.health.clone() }
    }

    pub(super) fn drops_edns(&self, now: Instant) -> bool {
        self.dropped_until.is_some_and(|until| until > now)
    }

    /// How it is asked now.
    pub(super) fn asking(&mut self, tcp_only: bool, now: Instant) -> Manner {
        self.health.asked += 1;
        self.last_asked = Some(now);
        let is = |until: Option<Instant>| until.is_some_and(|until| until > now);
        let edns = if is(self.plain_until) { Edns::LeftOut } else { Edns::Offered };
        Manner { edns, folds_case: is(self.folded_until), tcp_only, ..Manner::default() }
    }

    /// How it is asked now for its own sake.
    pub(super) fn asking_health(&mut self, tcp_only: bool, now: Instant) -> Manner {
        let mut manner = self.asking(tcp_only, now);
        if manner.edns == Edns::Offered && self.drops_edns(now) {
            manner.edns = Edns::LeftOutToSee;
        }
        manner
    }

    /// What an exchange with it came to.
    pub(super) fn learn(&mut self, lesson: &Lesson<'_>, now: (Instant, Timestamp)) -> Turns {
        let meaning = &lesson.heard.meaning;
        let (kind, truncated) = (meaning.answer.kind, meaning.answer.truncated);
        self.health.spoofed += lesson.heard.strangers;
        self.health.tcp += u64::from(meaning.answer.transport == Transport::Tcp);
        if lesson.manner.edns == Edns::LeftOutToSee && !meaning.legible {
            return Turns::default();
        }
        self.note_abilities(lesson, now.0);
        if truncated || !matches!(kind, AnswerKind::Timeout | AnswerKind::Unreachable) {
            self.last_reply = Some(now.0);
            self.suspect = false;
        }
        if kind.is_conclusive() {
            self.succeed(now.0 - lesson.began, now.1);
            return Turns { revived: self.dead.take().is_some(), ..Turns::default() };
        }
        self.health.count(kind);
        self.health.last_failure = Some((now.1, kind));
        if !meaning.speaks_against_server() {
            return self.dealt_with(lesson, now.1);
        }
        self.trouble = smooth(self.trouble, THOUSAND);
        self.strikes += 1;
        let fatal = match kind {
            _ if truncated => false,
            AnswerKind::Unreachable => true,
            AnswerKind::Timeout => return self.silent(lesson, now.1),
            _ => lesson.contradicted || self.strikes >= MOST_STRIKES,
        };
        if fatal { self.die(kind, lesson.question, now.1) } else { Turns::default() }
    }

    /// The question that shows whether its silence was its own has ended.
    pub(super) fn checked(&mut self, lesson: &Lesson<'_>, now: (Instant, Timestamp)) -> Turns {
        let Some(doubt) = self.doubt.take() else { return Turns::default() };
        let answer = &lesson.heard.meaning.answer;
        match answer.kind {
            AnswerKind::Timeout if !answer.truncated => {
                self.health.spoofed += lesson.heard.strangers;
                self.health.count(answer.kind);
                self.health.last_failure = Some((now.1, answer.kind));
                match self.was_heard_since(doubt.began) {
                    true => Turns::default(),
                    false => self.die(answer.kind, &doubt.question, now.1),
                }
            }
            kind if kind.is_conclusive() || kind == AnswerKind::Unreachable => {
                self.learn(&Lesson { question: &doubt.question, ..*lesson }, now)
            }
            // Who refuses this question is there all the same.
            _ => {
                self.health.spoofed += lesson.heard.strangers;
                self.health.answered += 1;
                self.last_reply = Some(now.0);
                self.suspect = false;
                Turns::default()
            }
        }
    }

    /// Another server answered conclusively what this one failed with `kind`.
    pub(super) fn contradict(&mut self, kind: AnswerKind, question: &Key, at: Timestamp) -> Turns {
        let fatal = match kind {
            AnswerKind::ServFail | AnswerKind::OtherRcode(_) => {
                self.contradicted = smooth(self.contradicted, THOUSAND);
                self.contradicted > MOST_CONTRADICTED
            }
            AnswerKind::Refused
            | AnswerKind::NotImp
            | AnswerKind::FormErr
            | AnswerKind::Lame
            | AnswerKind::Malformed => true,
            // Validation is right to fail where others do not look; silence is judged by itself.
            _ => false,
        };
        if fatal { self.die(kind, question, at) } else { Turns::default() }
    }

    /// When it is asked next whether it is back, of this death; `None` when it is.
    pub(super) fn rest(
        &mut self,
        death: u64,
        longest: Duration,
        jitter: u64,
        at: Timestamp,
    ) -> Option<Duration> {
        let dead = self.dead.as_mut().filter(|dead| dead.death == death)?;
        let wait = jittered(dead.rest.min(longest), jitter);
        dead.rest = (dead.rest * 2).min(LONGEST_REST);
        self.health.next_health = Some(at.plus(wait));
        Some(wait)
    }

    /// While it rests, the last server that lived has died: when it is asked next. Never later than it was to be.
    pub(super) fn hurry(&mut self, death: u64, jitter: u64, at: Timestamp) -> Option<Duration> {
        self.dead.as_ref().filter(|dead| dead.death == death)?;
        let soon = jittered(LONGEST_REST_OF_ALL, jitter);
        let wait = self.health.next_health.map_or(soon, |due| due.since(at).min(soon));
        self.health.next_health = Some(at.plus(wait));
        Some(wait)
    }

    /// The question that shows whether it is back. In turn the one that it failed, and one that does not hang on a
    /// name: that name's own servers may be the silent ones. After silence the latter comes first.
    pub(super) fn health_question(&mut self, death: u64) -> Option<Key> {
        let dead = self.dead.as_mut().filter(|dead| dead.death == death)?;
        dead.rounds += 1;
        let about_names = matches!(
            dead.cause,
            AnswerKind::ServFail | AnswerKind::OtherRcode(_) | AnswerKind::Lame
        );
        let silent = matches!(dead.cause, AnswerKind::Timeout | AnswerKind::Unreachable);
        let root = dead.rounds.is_multiple_of(2) != silent && !about_names;
        Some(if root { neutral() } else { dead.question.clone() })
    }

    fn note_abilities(&mut self, lesson: &Lesson<'_>, now: Instant) {
        let meaning = &lesson.heard.meaning;
        let dislikes = matches!(meaning.answer.kind, AnswerKind::FormErr | AnswerKind::NotImp);
        match (lesson.manner.edns, meaning.answer.edns) {
            (Edns::LeftOutToSee, _) => self.dropped_until = Some(now + DROPPED_FOR),
            (Edns::Offered, Edns::LeftOut) if meaning.legible && !dislikes => {
                self.plain_until = Some(now + PLAIN_FOR);
            }
            (Edns::Offered, Edns::Offered) if meaning.legible => self.dropped_until = None,
            _ => {}
        }
        if lesson.heard.folds_case && !lesson.manner.folds_case {
            self.folded_until = Some(now + FOLDED_FOR);
        }
    }

    fn succeed(&mut self, took: Duration, at: Timestamp) {
        self.health.answered += 1;
        self.health.last_success = Some(at);
        // What it was before it died says little of what it is now.
        let back = self.dead.is_some();
        let newest = |old: Option<Duration>, took: Duration| match old {
            Some(old) if !back => (old * (SMOOTHING - 1) + took) / SMOOTHING,
            _ => took,
        };
        self.health.smoothed = Some(newest(self.health.smoothed, took));
        self.counted = Some(newest(self.counted, took.min(COST_OF_FAILURE)));
        self.strikes = 0;
        self.trouble = if back { 0 } else { smooth(self.trouble, 0) };
        self.contradicted = if back { 0 } else { smooth(self.contradicted, 0) };
    }

    /// A failure of the name, as it says: it is there.
    fn dealt_with(&mut self, lesson: &Lesson<'_>, at: Timestamp) -> Turns {
        self.health.answered += 1;
        let names = |cause| matches!(cause, AnswerKind::ServFail | AnswerKind::OtherRcode(_));
        let kind = lesson.heard.meaning.answer.kind;
        if lesson.contradicted && names(kind) {
            return self.contradict(kind, lesson.question, at);
        }
        let revived = self.dead.take_if(|dead| !names(dead.cause)).is_some();
        Turns { revived, ..Turns::default() }
    }

    /// Silence to one question is not the server's when it said anything meanwhile, or answers what hangs on no name.
    fn silent(&mut self, lesson: &Lesson<'_>, at: Timestamp) -> Turns {
        if self.dead.is_some() {
            return self.die(AnswerKind::Timeout, lesson.question, at);
        }
        let doubted = self.doubt.is_none() && !self.was_heard_since(lesson.began);
        if doubted {
            self.doubt = Some(Doubt { question: lesson.question.clone(), began: lesson.began });
        }
        Turns { doubted, ..Turns::default() }
    }

    fn was_heard_since(&self, began: Instant) -> bool {
        self.last_reply.is_some_and(|at| at > began)
    }

    fn die(&mut self, cause: AnswerKind, question: &Key, since: Timestamp) -> Turns {
        if let Some(dead) = &mut self.dead {
            // The root's name is nobody's but the health question's.
            if !question.0.is_empty() {
                dead.question.clone_from(question);
            }
            return Turns::default();
        }
        self.deaths += 1;
        let (death, question) = (self.deaths, question.clone());
        self.dead = Some(Dead { death, cause, since, question, rest: FIRST_REST, rounds: 0 });
        Turns { died: Some(death), ..Turns::default() }
    }
}

/// The question that hangs on no name: every recursive server knows the servers of the root.
pub(super) const fn neutral() -> Key {
    (String::new(), RecordType::Ns)
}

fn jittered(rest: Duration, jitter: u64) -> Duration {
    let span = rest / JITTER;
    rest - span + 2 * span * u32::try_from(jitter % 1_001).unwrap_or(0) / 1_000
}

const fn smooth(smoothed: u32, newest: u32) -> u32 {
    (smoothed * (SMOOTHING - 1) + newest) / SMOOTHING
}
