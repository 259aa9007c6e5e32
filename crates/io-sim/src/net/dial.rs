//! How connections come about: listeners, dialling, and its faults.

use super::tcp::{Connection, End, SimStream};
use super::{Link, unspecified};
use crate::core::{Core, State};
use crate::host::Door;
use posthaste_evidence::ConnectFault;
use posthaste_io::{Dial, DialError, Listener, Stream, Task, sleep};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// The first wait before an unanswered SYN is sent again; doubled each time (Linux).
const SYN_RETRY: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Listeners {
    /// By host and address; the address may be unspecified.
    bound: BTreeMap<(usize, SocketAddr), Bound>,
    next: u64,
}

struct Bound {
    id: u64,
    backlog: usize,
    waiting: VecDeque<SimStream>,
    acceptors: Vec<Waker>,
}

impl Listeners {
    /// Removes the listeners of a dying host and gives the connections that nobody had accepted.
    pub(super) fn forget(&mut self, host: usize) -> Vec<SimStream> {
        let gone = self.bound.extract_if(.., |(of, _), _| *of == host);
        gone.flat_map(|(_, bound)| bound.waiting).collect()
    }

    fn at(&mut self, host: usize, at: SocketAddr) -> Option<&mut Bound> {
        let any = SocketAddr::new(unspecified(at.ip()), at.port());
        let key = if self.bound.contains_key(&(host, at)) { at } else { any };
        self.bound.get_mut(&(host, key))
    }
}

/// What became of one SYN.
enum Syn {
    Accepted { connection: u64, local: SocketAddr },
    Refused,
    Silence,
    Fault(ConnectFault),
}

pub(super) async fn dial(door: &Door, dial: Dial) -> Result<Box<dyn Stream>, DialError> {
    match posthaste_io::within(door, dial.limit, connect(door, dial)).await {
        Some(Ok(stream)) => Ok(Box::new(stream)),
        Some(Err(fault)) => Err(DialError(fault)),
        None => Err(DialError(ConnectFault::TimedOut)),
    }
}

async fn connect(door: &Door, dial: Dial) -> Result<SimStream, ConnectFault> {
    let local = door.core.state.lock().source(door.host, &dial)?;
    let mut retry = SYN_RETRY;
    loop {
        let latency = way(door, &dial);
        sleep(door, latency).await;
        let syn = door.core.state.lock().syn(door, local, dial.to, &door.core);
        // Held from here on, so that a dial that is given up closes what came about.
        let came = match syn {
            Syn::Accepted { connection, local } => {
                let core = Arc::clone(&door.core);
                Ok(SimStream { core, connection, side: 0, local, peer: dial.to })
            }
            Syn::Refused => Err(ConnectFault::Refused),
            Syn::Fault(fault) => Err(fault),
            Syn::Silence => {
                sleep(door, retry).await;
                retry *= 2;
                continue;
            }
        };
        sleep(door, latency).await;
        return came;
    }
}

fn way(door: &Door, dial: &Dial) -> Duration {
    let mut state = door.core.state.lock();
    let to = state.owner(dial.to.ip(), door.host).unwrap_or(usize::MAX);
    state.latency(door.host, to)
}

impl State {
    fn source(&mut self, host: usize, dial: &Dial) -> Result<SocketAddr, ConnectFault> {
        let ip = match dial.from {
            Some(from) if from.is_ipv4() == dial.to.is_ipv4() && self.has_address(host, from) => {
                from
            }
            Some(_) => return Err(ConnectFault::SourceUnavailable),
            None => {
                let source = self.source_for(host, dial.to.ip());
                source.ok_or(ConnectFault::NetworkUnreachable)?
            }
        };
        if self.link(host, dial.to.ip()) == Link::NoRoute {
            return Err(ConnectFault::NetworkUnreachable);
        }
        Ok(SocketAddr::new(ip, self.next_port(host)))
    }

    fn syn(&mut self, door: &Door, local: SocketAddr, to: SocketAddr, core: &Arc<Core>) -> Syn {
        match self.link(door.host, to.ip()) {
            Link::Up => {}
            Link::Drop => return Syn::Silence,
            Link::Refuse => return Syn::Refused,
            Link::Unreachable => return Syn::Fault(ConnectFault::HostUnreachable),
            Link::NoRoute => return Syn::Fault(ConnectFault::NetworkUnreachable),
        }
        let Some(owner) = self.owner(to.ip(), door.host) else { return Syn::Silence };
        if !self.hosts[owner].up || self.link(owner, local.ip()) != Link::Up {
            return Syn::Silence;
        }
        let life = self.hosts[owner].life;
        let connection = self.net.tcp.next;
        let Some(bound) = self.net.tcp.listeners.at(owner, to) else { return Syn::Refused };
        if bound.waiting.len() >= bound.backlog {
            return Syn::Silence;
        }
        let core = Arc::clone(core);
        bound.waiting.push_back(SimStream { core, connection, side: 1, local: to, peer: local });
        bound.acceptors.drain(..).for_each(Waker::wake);
        self.net.tcp.next += 1;
        let ends = [End::new(door.host, door.life, local), End::new(owner, life, to)];
        self.net.tcp.connections.insert(connection, Connection { ends });
        self.note(connection);
        Syn::Accepted { connection, local }
    }
}

struct SimListener {
    core: Arc<Core>,
    host: usize,
    id: u64,
    at: SocketAddr,
}

pub(super) fn listen(door: &Door, at: SocketAddr, backlog: u32) -> io::Result<Box<dyn Listener>> {
    let mut state = door.core.state.lock();
    if state.hosts[door.host].life != door.life {
        return Err(io::ErrorKind::NetworkDown.into());
    }
    if !at.ip().is_unspecified() && !state.has_address(door.host, at.ip()) {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    }
    let port = if at.port() == 0 { state.next_port(door.host) } else { at.port() };
    let at = SocketAddr::new(at.ip(), port);
    let listeners = &mut state.net.tcp.listeners;
    if listeners.bound.contains_key(&(door.host, at)) {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    let id = listeners.next;
    listeners.next += 1;
    let backlog = usize::try_from(backlog).unwrap_or(usize::MAX).max(1);
    let bound = Bound { id, backlog, waiting: VecDeque::new(), acceptors: Vec::new() };
    listeners.bound.insert((door.host, at), bound);
    Ok(Box::new(SimListener { core: Arc::clone(&door.core), host: door.host, id, at }))
}

impl SimListener {
    fn with<T>(&self, act: impl FnOnce(&mut Bound) -> T) -> Option<T> {
        let mut state = self.core.state.lock();
        let bound = state.net.tcp.listeners.bound.get_mut(&(self.host, self.at))?;
        (bound.id == self.id).then(|| act(bound))
    }
}

impl Listener for SimListener {
    fn accept(&self) -> Task<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(poll_fn(|cx| {
            let next = self.with(|bound| {
                let next = bound.waiting.pop_front();
                let known = bound.acceptors.iter().any(|waker| waker.will_wake(cx.waker()));
                if next.is_none() && !known {
                    bound.acceptors.push(cx.waker().clone());
                }
                next
            });
            match next.flatten() {
                Some(stream) => Poll::Ready(Ok(Box::new(stream) as Box<dyn Stream>)),
                None => Poll::Pending,
            }
        }))
    }

    fn local(&self) -> SocketAddr {
        self.at
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let bound = {
            let mut state = self.core.state.lock();
            let bound = &mut state.net.tcp.listeners.bound;
            let ours = bound.get(&(self.host, self.at)).is_some_and(|b| b.id == self.id);
            ours.then(|| bound.remove(&(self.host, self.at))).flatten()
        };
        // The streams nobody accepted close here, without the lock.
        drop(bound);
    }
}
