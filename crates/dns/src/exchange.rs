//! One question to one server: UDP, TCP after truncation, EDNS given up when it is not understood, the case of the
//! question as chance has it (RFC 1035 section 4.2, RFC 6891 section 6.2.2, RFC 7766, RFC 5452, 0x20).
//!
//! Not here: which server, what is remembered of it, and what if it fails (`servers`, `resolver`).

use crate::meaning::Meaning;
use crate::stream::Streams;
use crate::wire::{self, Fit, Flags, Reply};
use futures_util::future::{Either, select};
use hickory_proto::rr::Name;
use parking_lot::Mutex;
use posthaste_evidence::{AnswerKind, ConnectFault, Edns, NameServer, RecordType, Transport};
use posthaste_io::{Datagram, Dial, Instant, Stream, StreamExt, Unanswered, World, sleep, within};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Replies to other questions that are read on one stream before it is given up.
const MAX_STRANGERS: usize = 8;
/// How long a better reply is waited for when one came whose question is in another case, or is missing: who forges
/// cannot know the case, and the server's own reply may be on its way. It is what a server that does not keep case
/// costs, once a day.
pub const GRACE: Duration = Duration::from_millis(200);

/// A question to one server.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Who is asked, and how it is reached.
    pub server: NameServer,
    /// The name, in the resolver's form.
    pub name: String,
    /// The type.
    pub kind: RecordType,
    /// When waiting ends.
    pub until: Instant,
    /// How it is asked.
    pub manner: Manner,
}

/// How a server is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Manner {
    /// RD, AD, CD and DO.
    pub flags: Flags,
    /// Whether EDNS is offered. When it is, and the server does not understand it, the question is asked again without.
    pub edns: Edns,
    /// This server does not keep the case of a question: it is asked in lower case.
    pub folds_case: bool,
    /// UDP is not used.
    pub tcp_only: bool,
}

/// What came of a question to one server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heard {
    /// What the reply amounts to, or the failure.
    pub meaning: Meaning,
    /// The reply with all its sections, when there was one that could be read.
    pub reply: Option<Reply>,
    /// Datagrams from its address that were not the reply: late, or forged.
    pub strangers: u64,
    /// It answered in another case than it was asked in, and properly when asked in lower case.
    pub folds_case: bool,
}

impl Exchange {
    /// A question asked as mail asks recursive servers.
    #[must_use]
    pub fn new(
        server: impl Into<NameServer>,
        name: impl Into<String>,
        kind: RecordType,
        until: Instant,
    ) -> Self {
        let (server, name) = (server.into(), name.into());
        Self { server, name, kind, until, manner: Manner::default() }
    }

    /// The same, asked with other flags.
    #[must_use]
    pub const fn with_flags(mut self, flags: Flags) -> Self {
        self.manner.flags = flags;
        self
    }

    /// Asks, and tells what the server's reply amounts to. Never takes longer than `until`.
    pub async fn ask(&self, world: &World) -> Meaning {
        self.hear(world).await.meaning
    }

    /// Asks, and tells all that is known then. Never takes longer than `until`. A server that is to be asked by TLS is
    /// not reached so.
    pub async fn hear(&self, world: &World) -> Heard {
        self.heard(world, None).await
    }

    /// The same, where connections by TLS are kept.
    pub async fn hear_over(&self, world: &World, streams: &Streams) -> Heard {
        self.heard(world, Some(streams)).await
    }

    async fn heard(&self, world: &World, streams: Option<&Streams>) -> Heard {
        let Ok(name) = crate::name::parse(&self.name) else {
            return Heard::of(Meaning::failure(AnswerKind::NxDomain, Transport::Cache));
        };
        let mut asking =
            Asking { exchange: self, world, streams, name, manner: self.manner, strangers: 0 };
        let mut came = asking.reply().await;
        let offered = asking.manner.edns == Edns::Offered;
        if offered && came.as_ref().is_ok_and(|came| dislikes_edns(&came.octets)) {
            asking.manner.edns = Edns::LeftOut;
            came = asking.reply().await;
        }
        let mut heard = match came {
            Ok(came) => self.read(&came),
            Err(failure) => Heard::of(failure),
        };
        heard.meaning.answer.edns = asking.manner.edns;
        heard.strangers = asking.strangers;
        heard.folds_case = asking.manner.folds_case && heard.meaning.legible;
        heard
    }

    fn read(&self, came: &Came) -> Heard {
        let mut heard = match wire::read(&came.octets) {
            Ok(reply) => {
                let meaning = Meaning::of(&reply, &self.name, self.kind, came.transport);
                Heard { reply: Some(reply), ..Heard::of(meaning) }
            }
            Err(wire::Unreadable) => {
                Heard::of(Meaning::failure(AnswerKind::Malformed, came.transport))
            }
        };
        heard.meaning.answer.truncated = came.truncated;
        heard
    }
}

impl Heard {
    const fn of(meaning: Meaning) -> Self {
        Self { meaning, reply: None, strangers: 0, folds_case: false }
    }
}

/// A reply, and how it came.
struct Came {
    octets: Vec<u8>,
    transport: Transport,
    /// A cut one came first, by UDP.
    truncated: bool,
}

/// A question under way.
struct Asking<'a> {
    exchange: &'a Exchange,
    world: &'a World,
    streams: Option<&'a Streams>,
    name: Name,
    manner: Manner,
    strangers: u64,
}

impl Asking<'_> {
    /// The one place where a server's transport is chosen.
    async fn reply(&mut self) -> Result<Came, Meaning> {
        if self.exchange.server.tls.is_some() {
            // Never in clear what is to be secret: without TLS there is no way to this server.
            return self.by_tls().await;
        }
        if self.manner.tcp_only {
            let question = self.question();
            return self.by_tcp(&question, false).await;
        }
        let (question, octets) = self.by_udp().await?;
        if wire::is_truncated(&octets) {
            return self.by_tcp(&question, true).await;
        }
        Ok(Came { octets, transport: Transport::Udp, truncated: false })
    }

    fn question(&self) -> Vec<u8> {
        let id = (self.world.random.next() & 0xffff) as u16;
        let edns = self.manner.edns == Edns::Offered;
        let kind = self.exchange.kind;
        let mut question = wire::question(id, &self.name, kind, edns, self.manner.flags);
        if !self.manner.folds_case {
            wire::mix_case(&mut question, || self.world.random.next());
        }
        question
    }

    async fn by_tls(&self) -> Result<Came, Meaning> {
        let failed = |kind| Meaning::failure(kind, Transport::Tls);
        let streams = self.streams.ok_or_else(|| failed(AnswerKind::Unreachable))?;
        let (server, until) = (&self.exchange.server, self.exchange.until);
        match streams.ask(self.world, server, &self.question(), until).await {
            Ok(octets) => Ok(Came { octets, transport: Transport::Tls, truncated: false }),
            Err(trouble) => {
                let mut failure = failed(trouble.kind());
                failure.answer.tls = trouble.tls();
                Err(failure)
            }
        }
    }

    /// The question that was answered, and its reply.
    async fn by_udp(&mut self) -> Result<(Vec<u8>, Vec<u8>), Meaning> {
        let question = self.question();
        let waited = self.datagram(&question).await;
        match waited {
            Waited::For(reply) => return Ok((question, reply)),
            Waited::Failed(failure) => return Err(failure),
            Waited::ForOtherCase => {}
        }
        // Nothing better came: the server does not keep case, or somebody guesses ids. The second question has
        // another id and port, so that a guess is not enough.
        self.manner.folds_case = true;
        let question = self.question();
        match self.datagram(&question).await {
            Waited::For(reply) => Ok((question, reply)),
            Waited::Failed(failure) => Err(failure),
            Waited::ForOtherCase => Err(Meaning::failure(AnswerKind::Malformed, Transport::Udp)),
        }
    }

    /// One datagram, and the wait for its reply. What does not fit never ends the wait.
    async fn datagram(&mut self, question: &[u8]) -> Waited {
        let post = Arc::new(Post::default());
        let (accepting, asked) = (Arc::clone(&post), question.to_vec());
        let datagram = Datagram {
            to: self.exchange.server.address,
            payload: question.to_vec(),
            limit: self.exchange.until - self.world.now(),
            accept: Arc::new(move |reply| accepting.accept(&asked, reply)),
        };
        let better = pin!(self.world.net.datagram(datagram));
        let grace = pin!(async {
            post.second_best.notified().await;
            sleep(&*self.world.clock, GRACE).await;
        });
        let waited = match select(better, grace).await {
            Either::Left((answered, _)) => Some(answered),
            Either::Right(((), _)) => None,
        };
        let mut letters = post.letters.lock();
        self.strangers += letters.strangers;
        match (waited, letters.bare.take(), letters.other_case) {
            (Some(Ok(reply)), _, other_case) => {
                // What came in another case was not from this server.
                self.strangers += u64::from(other_case);
                Waited::For(reply)
            }
            (_, Some(bare), _) => Waited::For(bare),
            (_, None, true) => Waited::ForOtherCase,
            (Some(Err(unanswered)), None, false) => {
                Waited::Failed(Meaning::failure(of_unanswered(unanswered), Transport::Udp))
            }
            (None, None, false) => {
                Waited::Failed(Meaning::failure(AnswerKind::Timeout, Transport::Udp))
            }
        }
    }

    async fn by_tcp(&self, question: &[u8], truncated: bool) -> Result<Came, Meaning> {
        let limit = self.exchange.until - self.world.now();
        let talk = self.talk_by_tcp(question, limit);
        let failed = |kind| {
            let mut failure = Meaning::failure(kind, Transport::Tcp);
            failure.answer.truncated = truncated;
            failure
        };
        match within(&*self.world.clock, limit, talk).await {
            Some(Ok(octets)) => Ok(Came { octets, transport: Transport::Tcp, truncated }),
            Some(Err(kind)) => Err(failed(kind)),
            None => Err(failed(AnswerKind::Timeout)),
        }
    }

    async fn talk_by_tcp(&self, question: &[u8], limit: Duration) -> Result<Vec<u8>, AnswerKind> {
        let dial = Dial { to: self.exchange.server.address, from: None, limit };
        let mut stream = self.world.net.dial(dial).await.map_err(|error| match error.0 {
            ConnectFault::TimedOut => AnswerKind::Timeout,
            _ => AnswerKind::Unreachable,
        })?;
        converse(&mut *stream, question).await.map_err(|error| of_io(&error))
    }
}

/// What waiting for a datagram came to.
enum Waited {
    For(Vec<u8>),
    /// A reply in another case than the question's, and nothing better.
    ForOtherCase,
    Failed(Meaning),
}

/// What arrives while a reply is waited for.
#[derive(Default)]
struct Post {
    letters: Mutex<Letters>,
    /// Something came that will do when nothing better comes.
    second_best: Notify,
}

#[derive(Default)]
struct Letters {
    strangers: u64,
    other_case: bool,
    bare: Option<Vec<u8>>,
}

impl Post {
    fn accept(&self, question: &[u8], reply: &[u8]) -> bool {
        let mut letters = self.letters.lock();
        match wire::fit(question, reply) {
            Fit::Exact => return true,
            Fit::Stranger => letters.strangers += 1,
            Fit::OtherCase => {
                letters.other_case = true;
                self.second_best.notify_one();
            }
            Fit::Bare => {
                letters.bare = Some(reply.to_vec());
                self.second_best.notify_one();
            }
        }
        false
    }
}

/// Asks on a stream, and reads until the reply to this question comes.
///
/// # Errors
/// As the stream says; `InvalidData` after [`MAX_STRANGERS`] replies to other questions.
pub async fn converse(stream: &mut dyn Stream, question: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(&framed(question)).await?;
    for _ in 0..MAX_STRANGERS {
        let reply = read_framed(stream).await?;
        if wire::is_reply_to(question, &reply) {
            return Ok(reply);
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// A message with the length that goes before it on TCP (RFC 1035 section 4.2.2).
#[must_use]
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    let body = &message[..usize::from(length)];
    [&length.to_be_bytes()[..], body].concat()
}

/// Reads one message with its length; at most 65,535 octets.
///
/// # Errors
/// As the stream says; `UnexpectedEof` when it ends inside.
pub async fn read_framed(stream: &mut dyn Stream) -> io::Result<Vec<u8>> {
    let mut length = [0u8; 2];
    read_exact(stream, &mut length).await?;
    let mut message = vec![0u8; usize::from(u16::from_be_bytes(length))];
    read_exact(stream, &mut message).await?;
    Ok(message)
}

async fn read_exact(stream: &mut dyn Stream, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
    Ok(())
}

fn dislikes_edns(reply: &[u8]) -> bool {
    let simple = reply.get(3).map(|flags| u16::from(flags & 0x0f));
    let rcode = wire::read(reply).ok().map(|r| r.rcode).or(simple);
    matches!(rcode, Some(wire::FORMERR | wire::NOTIMP | wire::BADVERS))
}

const fn of_unanswered(unanswered: Unanswered) -> AnswerKind {
    match unanswered {
        Unanswered::TimedOut => AnswerKind::Timeout,
        Unanswered::Unreachable(_) => AnswerKind::Unreachable,
    }
}

fn of_io(error: &io::Error) -> AnswerKind {
    match error.kind() {
        io::ErrorKind::TimedOut => AnswerKind::Timeout,
        io::ErrorKind::InvalidData => AnswerKind::Malformed,
        _ => AnswerKind::Unreachable,
    }
}
