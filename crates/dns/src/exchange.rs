//! One question to one server: UDP, TCP after truncation, EDNS given up when it is not understood
//! (RFC 1035 section 4.2, RFC 6891 section 6.2.2, RFC 7766).
//!
//! Not here: which server, and what if it fails (`resolver`).

use crate::meaning::Meaning;
use crate::wire;
use hickory_proto::rr::Name;
use posthaste_evidence::{AnswerKind, RecordType, Transport};
use posthaste_io::{Datagram, Dial, Instant, Stream, StreamExt, Unanswered, World, within};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Replies to other questions that are read on one TCP connection before it is given up.
const MAX_STRANGERS: usize = 8;

/// A question to one server.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Who is asked.
    pub server: SocketAddr,
    /// The name, in the resolver's form.
    pub name: String,
    /// The type.
    pub kind: RecordType,
    /// When waiting ends.
    pub until: Instant,
}

impl Exchange {
    /// Asks, and tells what the server's reply amounts to. Never takes longer than `until`.
    pub async fn ask(&self, world: &World) -> Meaning {
        let Ok(name) = crate::name::parse(&self.name) else {
            return Meaning::failure(AnswerKind::NxDomain, Transport::Cache);
        };
        let (reply, transport) = match self.reply(world, &name, true).await {
            Ok(reply) if dislikes_edns(&reply.0) => match self.reply(world, &name, false).await {
                Ok(plain) => plain,
                Err(failure) => return failure,
            },
            Ok(reply) => reply,
            Err(failure) => return failure,
        };
        let mut meaning = match wire::read(&reply) {
            Ok(reply) => Meaning::of(&reply, &self.name, self.kind, transport),
            Err(wire::Unreadable) => Meaning::failure(AnswerKind::Malformed, transport),
        };
        meaning.answer.truncated = transport == Transport::Tcp;
        meaning
    }

    /// The octets of the reply, and how they came.
    async fn reply(
        &self,
        world: &World,
        name: &Name,
        edns: bool,
    ) -> Result<(Vec<u8>, Transport), Meaning> {
        let id = (world.random.next() & 0xffff) as u16;
        let question = wire::question(id, name, self.kind, edns);
        let reply = self.by_udp(world, &question).await?;
        if !wire::is_truncated(&reply) {
            return Ok((reply, Transport::Udp));
        }
        let limit = self.until - world.now();
        let by_tcp = within(&*world.clock, limit, self.by_tcp(world, &question)).await;
        let failed = |kind| {
            let mut failure = Meaning::failure(kind, Transport::Tcp);
            failure.answer.truncated = true;
            failure
        };
        match by_tcp {
            Some(Ok(reply)) => Ok((reply, Transport::Tcp)),
            Some(Err(error)) => Err(failed(of_io(&error))),
            None => Err(failed(AnswerKind::Timeout)),
        }
    }

    async fn by_udp(&self, world: &World, question: &[u8]) -> Result<Vec<u8>, Meaning> {
        let asked = question.to_vec();
        let datagram = Datagram {
            to: self.server,
            payload: question.to_vec(),
            limit: self.until - world.now(),
            accept: Arc::new(move |reply| wire::is_reply_to(&asked, reply)),
        };
        world.net.datagram(datagram).await.map_err(|unanswered| {
            let kind = match unanswered {
                Unanswered::TimedOut => AnswerKind::Timeout,
                Unanswered::Unreachable(_) => AnswerKind::Unreachable,
            };
            Meaning::failure(kind, Transport::Udp)
        })
    }

    async fn by_tcp(&self, world: &World, question: &[u8]) -> io::Result<Vec<u8>> {
        let dial = Dial { to: self.server, from: None, limit: self.until - world.now() };
        let dialled = world.net.dial(dial).await;
        let mut stream = dialled.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        stream.write_all(&framed(question)).await?;
        for _ in 0..MAX_STRANGERS {
            let reply = read_framed(&mut *stream).await?;
            if wire::is_reply_to(question, &reply) {
                return Ok(reply);
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }
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

fn of_io(error: &io::Error) -> AnswerKind {
    match error.kind() {
        io::ErrorKind::TimedOut => AnswerKind::Timeout,
        io::ErrorKind::InvalidData => AnswerKind::Malformed,
        _ => AnswerKind::Unreachable,
    }
}
