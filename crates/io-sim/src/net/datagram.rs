//! Datagrams: questions, answers, loss, duplicates and the ICMP errors a connected socket hears.

use super::{Arrival, Link, unspecified};
use crate::core::{Core, State};
use crate::host::Door;
use posthaste_evidence::ConnectFault;
use posthaste_io::net::{AnswerDatagram, MAX_DATAGRAM};
use posthaste_io::{Datagram, Unanswered};
use std::collections::{BTreeMap, VecDeque};
use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

#[derive(Default)]
pub(crate) struct DatagramState {
    servers: BTreeMap<(usize, SocketAddr), AnswerDatagram>,
    asks: BTreeMap<u64, Ask>,
    next: u64,
}

struct Ask {
    inbox: VecDeque<Answer>,
    waker: Option<Waker>,
}

/// What a waiting socket hears.
pub(crate) type Answer = Result<Vec<u8>, ConnectFault>;

/// A question on its way.
pub(crate) struct Question {
    ask: u64,
    host: usize,
    from: SocketAddr,
    to: SocketAddr,
    payload: Vec<u8>,
}

impl DatagramState {
    /// A host dies; its questions go with the tasks that asked.
    pub(super) fn forget(&mut self, host: usize) -> Vec<AnswerDatagram> {
        let gone = self.servers.extract_if(.., |(of, _), _| *of == host);
        gone.map(|(_, server)| server).collect()
    }

    pub(super) fn take_servers(&mut self) -> Vec<AnswerDatagram> {
        std::mem::take(&mut self.servers).into_values().collect()
    }

    fn server(&self, host: usize, at: SocketAddr) -> Option<AnswerDatagram> {
        let any = SocketAddr::new(unspecified(at.ip()), at.port());
        let exact = self.servers.get(&(host, at));
        exact.or_else(|| self.servers.get(&(host, any))).cloned()
    }
}

/// Removes a waiting question, however the waiting ends.
struct Asking<'a> {
    core: &'a Arc<Core>,
    id: u64,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.core.state.lock().net.datagrams.asks.remove(&self.id);
    }
}

pub(super) async fn ask(door: &Door, datagram: Datagram) -> Result<Vec<u8>, Unanswered> {
    let asking = send(door, &datagram).map_err(Unanswered::Unreachable)?;
    let answered = async {
        loop {
            match next_answer(&asking).await {
                Ok(payload) if (datagram.accept)(&payload) => return Ok(payload),
                Ok(_) => {}
                Err(fault) => return Err(Unanswered::Unreachable(fault)),
            }
        }
    };
    let limited = posthaste_io::within(door, datagram.limit, answered).await;
    limited.unwrap_or(Err(Unanswered::TimedOut))
}

async fn next_answer(asking: &Asking<'_>) -> Answer {
    poll_fn(|cx| {
        let mut state = asking.core.state.lock();
        let Some(ask) = state.net.datagrams.asks.get_mut(&asking.id) else { return Poll::Pending };
        match ask.inbox.pop_front() {
            Some(answer) => Poll::Ready(answer),
            None => {
                ask.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    })
    .await
}

fn send<'a>(door: &'a Door, datagram: &Datagram) -> Result<Asking<'a>, ConnectFault> {
    let mut state = door.core.state.lock();
    let (host, to) = (door.host, datagram.to);
    let source = state.source_for(host, to.ip()).ok_or(ConnectFault::NetworkUnreachable)?;
    if state.link(host, to.ip()) == Link::NoRoute {
        return Err(ConnectFault::NetworkUnreachable);
    }
    let from = SocketAddr::new(source, state.next_port(host));
    let asks = &mut state.net.datagrams;
    let ask = asks.next;
    asks.next += 1;
    asks.asks.insert(ask, Ask { inbox: VecDeque::new(), waker: None });
    let target = state.owner(to.ip(), host).unwrap_or(usize::MAX);
    for copy in state.copies() {
        let wait = state.latency(host, target) + copy;
        let payload = datagram.payload.clone();
        let question = Question { ask, host, from, to, payload };
        state.arrival_after(wait, Arrival::Question(question));
    }
    Ok(Asking { core: &door.core, id: ask })
}

impl State {
    /// One copy of a datagram, or none when it is lost, or two; each with an additional wait.
    fn copies(&mut self) -> Vec<Duration> {
        let (loss, twice) = (self.net.weather.datagram_loss, self.net.weather.datagram_twice);
        if self.net.per_mille(loss) {
            return Vec::new();
        }
        let mut copies = vec![Duration::ZERO];
        if self.net.per_mille(twice) {
            copies.push(Duration::from_micros(self.net.rng.below(50_000)));
        }
        copies
    }

    fn answer_later(&mut self, question: &Question, owner: usize, wait: Duration, answer: &Answer) {
        for copy in self.copies() {
            let wait = wait + copy + self.latency(owner, question.host);
            let (ask, answer) = (question.ask, answer.clone());
            self.arrival_after(wait, Arrival::Answer { ask, answer });
        }
    }
}

/// A question arrives: the server answers, or the network does, or nobody.
pub(super) fn question(core: &Arc<Core>, question: Question) {
    let (owner, server) = {
        let mut state = core.state.lock();
        state.note_bytes(&question.payload);
        let owner = state.owner(question.to.ip(), question.host);
        let refused = match (state.link(question.host, question.to.ip()), owner) {
            (Link::Drop, _) | (Link::Up, None) => return,
            (Link::Refuse, _) => Some(ConnectFault::Refused),
            (Link::Unreachable, _) => Some(ConnectFault::HostUnreachable),
            (Link::NoRoute, _) => Some(ConnectFault::NetworkUnreachable),
            (Link::Up, Some(owner)) if !state.hosts[owner].up => return,
            (Link::Up, Some(_)) => None,
        };
        let owner = owner.unwrap_or(question.host);
        let server = state.net.datagrams.server(owner, question.to);
        let fault = refused.or(server.is_none().then_some(ConnectFault::Refused));
        if let Some(fault) = fault {
            state.answer_later(&question, owner, Duration::ZERO, &Err(fault));
            return;
        }
        (owner, server)
    };
    // Without the lock: the server's code may use its world.
    let answers = server.map_or_else(Vec::new, |server| server(&question.payload, question.from));
    let mut state = core.state.lock();
    if state.link(owner, question.from.ip()) != Link::Up {
        return;
    }
    for (wait, mut payload) in answers {
        payload.truncate(MAX_DATAGRAM);
        state.answer_later(&question, owner, wait, &Ok(payload));
    }
}

pub(super) fn answer(state: &mut State, ask: u64, answer: Answer) {
    if let Ok(payload) = &answer {
        state.note_bytes(payload);
    }
    if let Some(ask) = state.net.datagrams.asks.get_mut(&ask) {
        ask.inbox.push_back(answer);
        ask.waker.take().into_iter().for_each(Waker::wake);
    }
}

/// Removes a server when its task ends.
struct Serving<'a> {
    door: &'a Door,
    at: SocketAddr,
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        let removed = {
            let mut state = self.door.core.state.lock();
            let alive = state.hosts[self.door.host].life == self.door.life;
            let key = (self.door.host, self.at);
            alive.then(|| state.net.datagrams.servers.remove(&key))
        };
        // The server's code goes here, without the lock.
        drop(removed);
    }
}

pub(super) async fn serve(door: &Door, at: SocketAddr, answer: AnswerDatagram) -> io::Error {
    {
        let mut state = door.core.state.lock();
        if !at.ip().is_unspecified() && !state.has_address(door.host, at.ip()) {
            return io::ErrorKind::AddrNotAvailable.into();
        }
        if state.net.datagrams.servers.contains_key(&(door.host, at)) {
            return io::ErrorKind::AddrInUse.into();
        }
        state.net.datagrams.servers.insert((door.host, at), answer);
    }
    let _serving = Serving { door, at };
    pending().await
}
