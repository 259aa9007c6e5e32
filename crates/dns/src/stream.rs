//! Kept streams: one TLS connection to each server, opened on demand, for many questions at once whose answers come in
//! any order (RFC 7858, RFC 7766 sections 6 and 7).
//!
//! A task of its own holds each connection. A question whose connection ended before its answer is put once more, on
//! another one, when the connection had stood before; never in clear. Not here: which server is asked (`resolver`),
//! EDNS padding (RFC 7830): what mail asks for is seen by whom it is delivered to anyway.

use crate::exchange::framed;
use crate::wire;
use parking_lot::Mutex;
use posthaste_evidence::{AnswerKind, ConnectFault, NameServer, TlsFault};
use posthaste_io::{Demand, Dial, Instant, Secure, Stream, StreamExt, Timer, Trust, World, within};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A connection without questions is closed after this long (RFC 7766 section 6.2.3).
pub const IDLE_LIMIT: Duration = Duration::from_secs(10);
/// Questions under way on one connection; more wait their turn.
pub const MAX_IN_FLIGHT: usize = 128;
/// Connections kept in all.
pub const MAX_LINES: usize = 64;
/// Replies to no question of ours that are read in a row before a connection is given up.
const MAX_STRANGERS: usize = 64;
/// What is read at once, octets.
const READ: usize = 16 * 1024;
/// The largest message with its length, octets.
const MAX_FRAME: usize = 2 + 65_535;
/// The application protocol (RFC 7858 section 3.2 asks for none; registered for those that demultiplex).
const ALPN: &str = "dot";

/// The connections that are kept.
#[derive(Debug, Default)]
pub struct Streams {
    trust: Trust,
    lines: Mutex<BTreeMap<Place, Line>>,
}

/// A server by address and the name of its certificate.
type Place = (SocketAddr, String);

/// The way to the task that holds a connection.
#[derive(Clone, Debug)]
struct Line {
    asks: mpsc::Sender<Ask>,
}

/// A question for a connection.
struct Ask {
    question: Vec<u8>,
    until: Instant,
    answer: oneshot::Sender<Result<Vec<u8>, Trouble>>,
}

/// No answer, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// None in time.
    TimedOut,
    /// No connection.
    Connect(ConnectFault),
    /// The connection could not be secured.
    Tls(TlsFault),
    /// The connection ended.
    Ended,
    /// What came is no DNS.
    Malformed,
}

impl Trouble {
    /// What it amounts to.
    #[must_use]
    pub const fn kind(&self) -> AnswerKind {
        match self {
            Self::TimedOut
            | Self::Connect(ConnectFault::TimedOut)
            | Self::Tls(TlsFault::TimedOut) => AnswerKind::Timeout,
            Self::Connect(_) | Self::Tls(_) | Self::Ended => AnswerKind::Unreachable,
            Self::Malformed => AnswerKind::Malformed,
        }
    }

    /// The fault of TLS, when it is one.
    #[must_use]
    pub fn tls(self) -> Option<TlsFault> {
        match self {
            Self::Tls(fault) => Some(fault),
            _ => None,
        }
    }
}

impl Streams {
    /// No connection yet; certificates are believed on this word.
    #[must_use]
    pub fn new(trust: Trust) -> Self {
        Self { trust, lines: Mutex::default() }
    }

    /// How many connections stand or are being opened.
    #[must_use]
    pub fn open(&self) -> usize {
        self.lines.lock().values().filter(|line| !line.asks.is_closed()).count()
    }

    /// Asks a server with a name for its certificate, and gives the octets of the reply. Never takes longer than
    /// `until`.
    ///
    /// # Errors
    /// [`Trouble`]
    pub async fn ask(
        &self,
        world: &World,
        server: &NameServer,
        question: &[u8],
        until: Instant,
    ) -> Result<Vec<u8>, Trouble> {
        let place = (server.address, server.tls.clone().unwrap_or_default());
        let limit = until - world.now();
        let asked = within(&*world.clock, limit, self.put(world, &place, question, until)).await;
        if asked.is_none() {
            // It may have died silently: the next question gets another one.
            self.lines.lock().remove(&place);
        }
        asked.unwrap_or(Err(Trouble::TimedOut))
    }

    async fn put(
        &self,
        world: &World,
        place: &Place,
        question: &[u8],
        until: Instant,
    ) -> Result<Vec<u8>, Trouble> {
        let (line, stood) = self.line(world, place);
        match put_on(&line, question, until).await {
            Err(Trouble::Ended) if stood => {
                // Servers close what was idle: a question that crossed the end is put once more (RFC 7766 section 6.2.1).
                let (line, _) = self.line(world, place);
                put_on(&line, question, until).await
            }
            answered => answered,
        }
    }

    /// The connection to a server, a new one if need be; and whether it was there before.
    fn line(&self, world: &World, place: &Place) -> (Line, bool) {
        let mut lines = self.lines.lock();
        if let Some(line) = lines.get(place).filter(|line| !line.asks.is_closed()) {
            return (line.clone(), true);
        }
        lines.retain(|_, line| !line.asks.is_closed());
        if lines.len() >= MAX_LINES {
            lines.pop_first();
        }
        let (asks, inbox) = mpsc::channel(MAX_IN_FLIGHT);
        let line = Line { asks };
        lines.insert(place.clone(), line.clone());
        let how = Secure {
            names: Vec::new(),
            name: place.1.clone(),
            trust: self.trust.clone(),
            demand: Demand::Verified,
            alpn: vec![ALPN],
            limit: Duration::ZERO,
        };
        let task = hold(world.clone(), place.0, how, inbox);
        world.spawn.spawn("dns-stream", Box::pin(task));
        (line, false)
    }
}

async fn put_on(line: &Line, question: &[u8], until: Instant) -> Result<Vec<u8>, Trouble> {
    let (answer, answered) = oneshot::channel();
    let ask = Ask { question: question.to_vec(), until, answer };
    line.asks.send(ask).await.map_err(|_| Trouble::Ended)?;
    answered.await.unwrap_or(Err(Trouble::Ended))
}

/// Opens a connection for the first question, and holds it until it ends or is idle. All who wait then are told why.
async fn hold(world: World, to: SocketAddr, how: Secure, mut inbox: mpsc::Receiver<Ask>) {
    let Some(first) = inbox.recv().await else { return };
    let opened = open(&world, to, how, first.until).await;
    let (trouble, mut waiting) = match opened {
        Err(trouble) => (trouble, vec![Waiting::from(first)]),
        Ok(stream) => {
            let mut talk = Talk::new(stream, &world);
            talk.put(first);
            let trouble = poll_fn(|cx| talk.poll(cx, &mut inbox)).await;
            let _ = within(&*world.clock, SHUTDOWN_LIMIT, talk.stream.shutdown()).await;
            (trouble, talk.waiting)
        }
    };
    inbox.close();
    while let Ok(late) = inbox.try_recv() {
        waiting.push(Waiting::from(late));
    }
    for one in waiting {
        // Who has gone away need not know.
        let _ = one.answer.send(Err(trouble.clone()));
    }
}

/// How long an orderly end of TLS may take.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(1);

async fn open(
    world: &World,
    to: SocketAddr,
    how: Secure,
    until: Instant,
) -> Result<Box<dyn Stream>, Trouble> {
    let dial = Dial { to, from: None, limit: until - world.now() };
    let stream = world.net.dial(dial).await.map_err(|error| Trouble::Connect(error.0))?;
    let how = Secure { limit: until - world.now(), ..how };
    let secured = world.net.secure(stream, how).await.map_err(Trouble::Tls)?;
    Ok(secured.stream)
}

/// One who waits for an answer.
struct Waiting {
    question: Vec<u8>,
    answer: oneshot::Sender<Result<Vec<u8>, Trouble>>,
}

impl From<Ask> for Waiting {
    fn from(ask: Ask) -> Self {
        Self { question: ask.question, answer: ask.answer }
    }
}

/// An open connection, and what is under way on it.
struct Talk<'a> {
    world: &'a World,
    stream: Box<dyn Stream>,
    waiting: Vec<Waiting>,
    out: Vec<u8>,
    written: usize,
    /// What was read and is no whole message yet; at most [`MAX_FRAME`] and one read.
    heard: Vec<u8>,
    strangers: usize,
    idle: Pin<Box<dyn Timer>>,
    buf: Vec<u8>,
}

impl<'a> Talk<'a> {
    fn new(stream: Box<dyn Stream>, world: &'a World) -> Self {
        let mut talk = Self {
            world,
            stream,
            waiting: Vec::new(),
            out: Vec::new(),
            written: 0,
            heard: Vec::new(),
            strangers: 0,
            idle: world.clock.timer(),
            buf: vec![0; READ],
        };
        talk.rest();
        talk
    }

    fn rest(&mut self) {
        self.idle.as_mut().set(self.world.now() + IDLE_LIMIT);
    }

    fn put(&mut self, ask: Ask) {
        if ask.answer.is_closed() {
            return;
        }
        self.out.extend_from_slice(&framed(&ask.question));
        self.waiting.push(Waiting::from(ask));
        self.rest();
    }

    /// Ready with the reason when the connection is to end.
    fn poll(&mut self, cx: &mut Context<'_>, inbox: &mut mpsc::Receiver<Ask>) -> Poll<Trouble> {
        loop {
            let asked = self.poll_asks(cx, inbox);
            if let Poll::Ready(Err(trouble)) = self.poll_write(cx) {
                return Poll::Ready(trouble);
            }
            match self.poll_read(cx) {
                Poll::Ready(Err(trouble)) => return Poll::Ready(trouble),
                Poll::Ready(Ok(())) => {}
                // Answers make room for questions that wait.
                Poll::Pending if asked => {}
                Poll::Pending => break,
            }
        }
        while self.idle.as_mut().poll(cx).is_ready() {
            self.waiting.retain(|one| !one.answer.is_closed());
            if self.waiting.is_empty() {
                return Poll::Ready(Trouble::Ended);
            }
            self.rest();
        }
        Poll::Pending
    }

    /// Takes questions while there is room; true when there may be more. When nobody can ask any more, the idle limit
    /// ends the connection.
    fn poll_asks(&mut self, cx: &mut Context<'_>, inbox: &mut mpsc::Receiver<Ask>) -> bool {
        if self.waiting.len() >= MAX_IN_FLIGHT {
            self.waiting.retain(|one| !one.answer.is_closed());
        }
        let mut took = false;
        while self.waiting.len() < MAX_IN_FLIGHT {
            match inbox.poll_recv(cx) {
                Poll::Ready(Some(ask)) => {
                    self.put(ask);
                    took = true;
                }
                Poll::Ready(None) | Poll::Pending => return took,
            }
        }
        false
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        while self.written < self.out.len() {
            let rest = IoSlice::new(&self.out[self.written..]);
            match self.stream.poll_write(cx, &[rest]) {
                Poll::Ready(Ok(count @ 1..)) => self.written += count,
                Poll::Ready(_) => return Poll::Ready(Err(Trouble::Ended)),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.out.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        match self.stream.poll_read(cx, &mut self.buf) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(count @ 1..)) => {
                self.heard.extend_from_slice(&self.buf[..count]);
                Poll::Ready(self.read_messages())
            }
            Poll::Ready(_) => Poll::Ready(Err(Trouble::Ended)),
        }
    }

    /// Gives whole messages to those who wait for them.
    fn read_messages(&mut self) -> Result<(), Trouble> {
        let heard = std::mem::take(&mut self.heard);
        let mut rest = &heard[..];
        while let Some((message, after)) = message(rest) {
            self.deliver(message)?;
            rest = after;
        }
        debug_assert!(rest.len() < MAX_FRAME, "a whole message would have been read");
        self.heard = rest.to_vec();
        Ok(())
    }

    fn deliver(&mut self, reply: &[u8]) -> Result<(), Trouble> {
        let fits = |one: &Waiting| wire::is_reply_to(&one.question, reply);
        let Some(place) = self.waiting.iter().position(fits) else {
            self.strangers += 1;
            let too_many = self.strangers > MAX_STRANGERS || reply.len() < wire::HEADER;
            return if too_many { Err(Trouble::Malformed) } else { Ok(()) };
        };
        self.strangers = 0;
        // Who has gone away needs no answer.
        let _ = self.waiting.swap_remove(place).answer.send(Ok(reply.to_vec()));
        self.rest();
        Ok(())
    }
}

/// The first whole message, and what comes after it.
fn message(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}
