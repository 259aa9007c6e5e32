//! The configured servers: who is asked first, who rests after failing, and what is known of each.
//!
//! One failure sends a server to the end of the line; it is tried again beside a healthy one once its rest
//! is over, so that a dead server costs one slow question and no more. Finer scoring has its place here.

use crate::meaning::Meaning;
use crate::settings::Settings;
use parking_lot::Mutex;
use posthaste_evidence::AnswerKind;
use posthaste_io::Instant;
use posthaste_mail::Timestamp;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::watch;

/// The most servers used.
pub const MAX_SERVERS: usize = 16;
/// The first rest after a failure; it doubles with each further one.
const FIRST_REST: Duration = Duration::from_secs(5);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(60);
/// Weight of the newest answer in the smoothed time: one in so many (RFC 6298 section 2).
const SMOOTHING: u32 = 8;

/// What is known of one server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServerHealth {
    /// Who.
    pub address: SocketAddr,
    /// Questions put to it.
    pub asked: u64,
    /// Those it dealt with, whatever the answer.
    pub answered: u64,
    /// Those it did not answer, refused, or answered unintelligibly.
    pub failures: u64,
    /// Its smoothed answering time; `None` before the first answer.
    pub smoothed: Option<Duration>,
    /// It failed last time, or was slower than another just now: it is asked last.
    pub resting: bool,
    /// Its last failure.
    pub last_failure: Option<(Timestamp, AnswerKind)>,
}

/// The servers' order and health.
#[derive(Debug)]
pub struct Servers {
    states: Mutex<Vec<State>>,
    /// Ticks when one answers after all were dead.
    recoveries: watch::Sender<u64>,
}

/// Who is to be asked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Order {
    /// Places of the servers, the best first; every server is in it.
    pub line: Vec<usize>,
    /// Those whose rest is over: asked beside the first one, to see whether they are back.
    pub probes: Vec<usize>,
}

#[derive(Debug)]
struct State {
    health: ServerHealth,
    /// While it rests: until when, and how long this rest is.
    rest: Option<(Instant, Duration)>,
    /// Another server was asked because this one was slow, and it has not answered since.
    suspect: bool,
}

impl Servers {
    /// The servers of the settings, the first [`MAX_SERVERS`].
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let states = settings.servers.iter().take(MAX_SERVERS).map(|server| State {
            health: ServerHealth {
                address: server.address,
                asked: 0,
                answered: 0,
                failures: 0,
                smoothed: None,
                resting: false,
                last_failure: None,
            },
            rest: None,
            suspect: false,
        });
        Self { states: Mutex::new(states.collect()), recoveries: watch::Sender::new(0) }
    }

    /// What is known of each, in the order configured.
    #[must_use]
    pub fn health(&self) -> Vec<ServerHealth> {
        let states = self.states.lock();
        let health = |s: &State| ServerHealth { resting: s.is_last(), ..s.health };
        states.iter().map(health).collect()
    }

    /// Ticks when one answers after all were dead.
    #[must_use]
    pub fn recoveries(&self) -> watch::Receiver<u64> {
        self.recoveries.subscribe()
    }

    /// Who is to be asked now. A probe is given out once for each rest.
    #[must_use]
    pub fn order(&self, now: Instant) -> Order {
        let mut states = self.states.lock();
        let mut line: Vec<usize> = (0..states.len()).collect();
        line.sort_by_key(|&place| (states[place].is_last(), place));
        let mut probes = Vec::new();
        for (place, state) in states.iter_mut().enumerate() {
            let due = state.rest.filter(|(until, _)| *until <= now);
            if let Some((_, rest)) = due.filter(|_| line.first() != Some(&place)) {
                state.rest = Some((now + rest, rest));
                probes.push(place);
            }
        }
        Order { line, probes }
    }

    /// The address of a server, which is asked now.
    #[must_use]
    pub fn asking(&self, place: usize) -> Option<SocketAddr> {
        let mut states = self.states.lock();
        let state = states.get_mut(place)?;
        state.health.asked += 1;
        Some(state.health.address)
    }

    /// Another server is asked because this one is slow.
    pub fn passed_by(&self, place: usize) {
        if let Some(state) = self.states.lock().get_mut(place) {
            state.suspect = true;
        }
    }

    /// What a server's exchange came to, after how long.
    pub fn learn(&self, place: usize, said: &Meaning, took: Duration, now: (Instant, Timestamp)) {
        let mut states = self.states.lock();
        let all_dead = states.iter().all(|s| s.rest.is_some());
        let Some(state) = states.get_mut(place) else { return };
        state.suspect = false;
        if !said.speaks_against_server() {
            state.health.answered += 1;
            state.rest = None;
            let smoothed = state.health.smoothed.unwrap_or(took);
            state.health.smoothed = Some((smoothed * (SMOOTHING - 1) + took) / SMOOTHING);
            if all_dead {
                self.recoveries.send_modify(|ticks| *ticks += 1);
            }
            return;
        }
        state.health.failures += 1;
        state.health.last_failure = Some((now.1, said.answer.kind));
        let rest = state.rest.map_or(FIRST_REST, |(_, rest)| (rest * 2).min(LONGEST_REST));
        state.rest = Some((now.0 + rest, rest));
    }
}

impl State {
    const fn is_last(&self) -> bool {
        self.suspect || self.rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_evidence::{NameServer, Transport};

    const fn said(kind: AnswerKind) -> Meaning {
        Meaning::failure(kind, Transport::Udp)
    }

    const fn at(secs: u64) -> (Instant, Timestamp) {
        (Instant(secs * 1_000_000_000), Timestamp::EPOCH)
    }

    fn named(text: &str) -> NameServer {
        text.parse::<SocketAddr>().unwrap().into()
    }

    fn two() -> Servers {
        let servers = ["192.0.2.1:53", "192.0.2.2:53"].map(named).to_vec();
        Servers::new(&Settings { servers, ..Settings::default() })
    }

    #[test]
    fn a_failed_server_is_asked_last_and_tried_again_beside_a_good_one() {
        let servers = two();
        assert_eq!(servers.order(at(0).0).line, [0, 1]);
        servers.learn(0, &said(AnswerKind::Timeout), Duration::from_secs(3), at(3));
        assert_eq!(servers.order(at(4).0), Order { line: vec![1, 0], probes: vec![] });
        assert_eq!(servers.order(at(8).0), Order { line: vec![1, 0], probes: vec![0] });
        assert_eq!(servers.order(at(8).0).probes, [0; 0], "one probe for each rest");
        servers.learn(0, &said(AnswerKind::Timeout), Duration::from_secs(3), at(11));
        assert_eq!(servers.order(at(20).0).probes, [0; 0], "the rest has doubled");
        assert_eq!(servers.order(at(21).0).probes, [0]);
        servers.learn(0, &said(AnswerKind::Answer), Duration::from_millis(4), at(21));
        assert_eq!(servers.order(at(22).0).line, [0, 1]);
        let health = servers.health()[0];
        assert_eq!((health.answered, health.failures, health.resting), (1, 2, false));
        assert_eq!(health.smoothed, Some(Duration::from_millis(4)));
    }

    #[test]
    fn a_slow_server_is_suspected_until_it_answers() {
        let servers = two();
        servers.passed_by(0);
        assert_eq!(servers.order(at(0).0).line, [1, 0]);
        servers.learn(0, &said(AnswerKind::ServFail), Duration::from_millis(400), at(1));
        assert_eq!(servers.order(at(1).0).line, [0, 1]);
    }

    #[test]
    fn a_lone_server_is_always_asked() {
        let servers = ["192.0.2.1:53"].map(named).to_vec();
        let lone = Servers::new(&Settings { servers, ..Settings::default() });
        lone.learn(0, &said(AnswerKind::Refused), Duration::ZERO, at(0));
        assert_eq!(lone.order(at(9).0), Order { line: vec![0], probes: vec![] });
    }
}
