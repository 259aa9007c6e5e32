//! Connections: ordered octets each way with a bounded buffer, half-close, reset, stall and give up.

use super::{Arrival, Link};
use crate::core::{Core, State};
use crate::host::PeersSee;
use posthaste_io::{Instant, Stream, Vitals};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Octets on their way or waiting to be read, per direction.
pub const BUFFER: usize = 64 * 1024;
/// How long unanswered octets are sent again (Linux: about 15 minutes).
const GIVE_UP: Duration = Duration::from_secs(15 * 60);
/// After a stall ends, sending again begins within this.
const RETRANSMIT: Duration = Duration::from_secs(2);
/// The segment size that vitals tell.
const MSS: u32 = 1460;

#[derive(Default)]
pub(super) struct TcpState {
    pub(super) connections: BTreeMap<u64, Connection>,
    pub(super) next: u64,
    pub(super) listeners: super::dial::Listeners,
}

pub(super) struct Connection {
    pub(super) ends: [End; 2],
}

pub(super) struct End {
    host: usize,
    life: u32,
    local: SocketAddr,
    received: VecDeque<u8>,
    /// The peer's side is closed.
    ended: bool,
    fault: Option<io::ErrorKind>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Octets sent by this end that the peer's agent has not read.
    outstanding: usize,
    acked: u64,
    /// This end has sent its FIN.
    finished: bool,
    /// Nobody holds this end any more.
    closed: bool,
    /// When the last segment sent by this end arrives: later ones arrive later.
    last_arrival: Instant,
    /// Segments sent by this end that found no way.
    stalled: VecDeque<Segment>,
    stall: u64,
}

pub(crate) enum Segment {
    Data(Vec<u8>),
    Fin,
    Reset,
}

impl End {
    pub(super) fn new(host: usize, life: u32, local: SocketAddr) -> Self {
        Self {
            host,
            life,
            local,
            received: VecDeque::new(),
            ended: false,
            fault: None,
            reader: None,
            writer: None,
            outstanding: 0,
            acked: 0,
            finished: false,
            closed: false,
            last_arrival: Instant::default(),
            stalled: VecDeque::new(),
            stall: 0,
        }
    }

    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    fn break_off(&mut self, fault: io::ErrorKind) {
        self.fault.get_or_insert(fault);
        self.stalled.clear();
        self.wake();
    }
}

impl State {
    fn end(&mut self, connection: u64, side: usize) -> Option<&mut End> {
        self.net.tcp.connections.get_mut(&connection).map(|c| &mut c.ends[side])
    }
}

/// One agent's end of a connection.
pub(super) struct SimStream {
    pub(super) core: Arc<Core>,
    pub(super) connection: u64,
    pub(super) side: usize,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
}

impl Stream for SimStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.core.state.lock();
        let state = &mut *state;
        let short = state.net.weather.short_io;
        let short = state.net.per_mille(short);
        let Some(end) = self.held(state) else { return Poll::Pending };
        if end.received.is_empty() {
            return match end.fault {
                Some(fault) => Poll::Ready(Err(fault.into())),
                None if end.ended || buf.is_empty() => Poll::Ready(Ok(0)),
                None => {
                    end.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            };
        }
        let most = buf.len().min(end.received.len());
        let count = some_of(state, most, short);
        let Some(end) = self.held(state) else { return Poll::Pending };
        let (front, back) = end.received.as_slices();
        let first = count.min(front.len());
        buf[..first].copy_from_slice(&front[..first]);
        buf[first..count].copy_from_slice(&back[..count - first]);
        end.received.drain(..count);
        if let Some(peer) = state.end(self.connection, 1 - self.side) {
            peer.outstanding -= count.min(peer.outstanding);
            peer.acked += count as u64;
            peer.writer.take().into_iter().for_each(Waker::wake);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.core.state.lock();
        let state = &mut *state;
        let short = state.net.weather.short_io;
        let short = state.net.per_mille(short);
        let Some(end) = self.held(state) else { return Poll::Pending };
        if let Some(fault) = end.fault {
            return Poll::Ready(Err(fault.into()));
        }
        if end.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let offered: usize = bufs.iter().map(|b| b.len()).sum();
        let room = BUFFER - end.outstanding.min(BUFFER);
        if offered > 0 && room == 0 {
            end.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = some_of(state, offered.min(room), short);
        if count > 0 {
            let octets = gather(bufs, count);
            let Some(end) = self.held(state) else { return Poll::Pending };
            end.outstanding += count;
            send(state, self.connection, self.side, Segment::Data(octets));
        }
        Poll::Ready(Ok(count))
    }

    fn poll_shutdown(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.core.state.lock();
        let Some(end) = self.held(&mut state) else { return Poll::Pending };
        if end.fault.is_none() && !std::mem::replace(&mut end.finished, true) {
            send(&mut state, self.connection, self.side, Segment::Fin);
        }
        Poll::Ready(Ok(()))
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn local(&self) -> SocketAddr {
        self.local
    }

    fn vitals(&self) -> Option<Vitals> {
        let mut state = self.core.state.lock();
        let connection = state.net.tcp.connections.get(&self.connection)?;
        let (one, other) = (connection.ends[0].host, connection.ends[1].host);
        let acked = connection.ends[self.side].acked;
        let rtt = 2 * state.base_latency(one, other);
        Some(Vitals { rtt, retransmits: 0, acked, mss: MSS })
    }
}

impl SimStream {
    /// This end, unless its host has died since: then the agent learns nothing any more.
    fn held<'a>(&self, state: &'a mut State) -> Option<&'a mut End> {
        let end = state.end(self.connection, self.side)?;
        let (host, life) = (end.host, end.life);
        if state.hosts[host].life != life {
            return None;
        }
        state.end(self.connection, self.side)
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        close(&mut self.core.state.lock(), self.connection, self.side);
    }
}

fn gather(bufs: &[IoSlice<'_>], count: usize) -> Vec<u8> {
    let mut octets = Vec::with_capacity(count);
    for buf in bufs {
        let part = buf.len().min(count - octets.len());
        octets.extend_from_slice(&buf[..part]);
    }
    octets
}

/// Fewer than `most` octets when `short`, at least one.
fn some_of(state: &mut State, most: usize, short: bool) -> usize {
    if short && most > 1 { 1 + state.net.rng.index(most) } else { most }
}

/// Nobody holds this end any more: an orderly end, or a reset when octets were left unread.
pub(super) fn close(state: &mut State, connection: u64, side: usize) {
    let Some(end) = state.end(connection, side) else { return };
    end.closed = true;
    let (host, life) = (end.host, end.life);
    if state.hosts[host].life == life {
        say_goodbye(state, connection, side);
    }
    forget_if_over(state, connection);
}

/// Forgets a connection that nobody holds and for which nothing is on its way.
fn forget_if_over(state: &mut State, connection: u64) {
    let now = state.now;
    let over = |end: &End| end.closed && end.stalled.is_empty() && end.last_arrival <= now;
    if let Some(both) = state.net.tcp.connections.get(&connection)
        && both.ends.iter().all(over)
    {
        state.net.tcp.connections.remove(&connection);
    }
}

fn say_goodbye(state: &mut State, connection: u64, side: usize) {
    let Some(end) = state.end(connection, side) else { return };
    if end.fault.is_some() {
        return;
    }
    let unread = !end.received.is_empty();
    end.received.clear();
    if unread {
        end.fault = Some(io::ErrorKind::ConnectionReset);
        send(state, connection, side, Segment::Reset);
    } else if !std::mem::replace(&mut end.finished, true) {
        send(state, connection, side, Segment::Fin);
    }
}

/// Sends a segment after all that the same end has sent before.
fn send(state: &mut State, connection: u64, from: usize, segment: Segment) {
    let Some(both) = state.net.tcp.connections.get(&connection) else { return };
    let (one, other) = (both.ends[0].host, both.ends[1].host);
    let arrival = state.now + state.latency(one, other);
    let Some(end) = state.end(connection, from) else { return };
    end.last_arrival = end.last_arrival.max(arrival);
    let at = end.last_arrival;
    let wait = at - state.now;
    state.arrival_after(wait, Arrival::Segment { connection, from, segment });
}

pub(super) fn deliver(state: &mut State, connection: u64, from: usize, segment: Segment) {
    let Some(both) = state.net.tcp.connections.get(&connection) else { return };
    let (sender, receiver) = (&both.ends[from], &both.ends[1 - from]);
    let link = state.link(sender.host, receiver.local.ip());
    let host = &state.hosts[receiver.host];
    let (up, same_life) = (host.up, host.life == receiver.life);
    let waits = !sender.stalled.is_empty();
    match link {
        Link::Refuse => {
            for end in [from, 1 - from] {
                if let Some(end) = state.end(connection, end) {
                    end.break_off(io::ErrorKind::ConnectionReset);
                }
            }
        }
        Link::Up if !waits && same_life => hand_over(state, connection, 1 - from, segment),
        Link::Up if !waits && up => bounce(state, connection, 1 - from),
        _ => stall(state, connection, from, segment),
    }
    forget_if_over(state, connection);
}

/// The receiving host does not know the connection: it answers with a reset.
fn bounce(state: &mut State, connection: u64, receiver: usize) {
    send(state, connection, receiver, Segment::Reset);
}

fn hand_over(state: &mut State, connection: u64, side: usize, segment: Segment) {
    let Some(end) = state.end(connection, side) else { return };
    match segment {
        Segment::Data(octets) if end.closed || end.fault.is_some() => {
            if !octets.is_empty() {
                bounce(state, connection, side);
            }
        }
        Segment::Data(octets) => {
            end.received.extend(&octets);
            end.reader.take().into_iter().for_each(Waker::wake);
            state.note_bytes(&octets);
        }
        Segment::Fin => {
            end.ended = true;
            end.reader.take().into_iter().for_each(Waker::wake);
        }
        Segment::Reset => end.break_off(io::ErrorKind::ConnectionReset),
    }
}

fn stall(state: &mut State, connection: u64, from: usize, segment: Segment) {
    let Some(end) = state.end(connection, from) else { return };
    let first = end.stalled.is_empty();
    end.stalled.push_back(segment);
    if first {
        end.stall += 1;
        let stall = end.stall;
        state.arrival_after(GIVE_UP, Arrival::GiveUp { connection, from, stall });
    }
}

pub(super) fn give_up(state: &mut State, connection: u64, from: usize, stall: u64) {
    if let Some(end) = state.end(connection, from)
        && end.stall == stall
        && !end.stalled.is_empty()
    {
        end.break_off(io::ErrorKind::TimedOut);
    }
}

/// Sends stalled segments again, in order; those that still find no way stall again.
pub(super) fn carry_on(state: &mut State) {
    let ids: Vec<u64> = state.net.tcp.connections.keys().copied().collect();
    for connection in ids {
        for from in 0..2 {
            let Some(end) = state.end(connection, from) else { continue };
            let segments = std::mem::take(&mut end.stalled);
            if segments.is_empty() {
                continue;
            }
            let most = u64::try_from(RETRANSMIT.as_nanos()).expect("two seconds fit");
            let wait = Duration::from_nanos(state.net.rng.below(most));
            let now = state.now;
            if let Some(end) = state.end(connection, from) {
                end.last_arrival = end.last_arrival.max(now + wait);
            }
            for segment in segments {
                send(state, connection, from, segment);
            }
        }
    }
}

/// A host dies: called before its life is counted up.
pub(super) fn crash(state: &mut State, host: usize, peers: PeersSee) {
    let life = state.hosts[host].life;
    let of_host = |end: &End| end.host == host && end.life == life && !end.closed;
    let ends: Vec<(u64, usize)> = state
        .net
        .tcp
        .connections
        .iter()
        .flat_map(|(id, both)| [(*id, 0, &both.ends[0]), (*id, 1, &both.ends[1])])
        .filter(|(_, _, end)| of_host(end))
        .map(|(id, side, _)| (id, side))
        .collect();
    for (connection, side) in ends {
        match peers {
            PeersSee::Silence => {}
            PeersSee::Reset => send(state, connection, side, Segment::Reset),
            PeersSee::Close => say_goodbye(state, connection, side),
        }
        if let Some(end) = state.end(connection, side) {
            end.closed = true;
        }
    }
}
