//! A scripted DNS server: answers from a small zone over UDP and TCP, and misbehaves as its script says.
//!
//! It answers for every name as a recursive server would: what its zone does not have does not exist.
//! Several of them with different zones or behaviours make the servers of a resolver disagree.
//!
//! Not a server for real zones: no transfers, no DNSSEC, wildcards for whole labels only.

mod answer;
mod octets;
mod zone;

pub use octets::Question;
pub use zone::{DEFAULT_TTL, Zone, ZoneError};

use posthaste_evidence::RecordType;
use posthaste_io::{Listener, Stream, StreamExt, Task, World, sleep};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

/// Questions remembered for a test to look at; later ones are counted no more.
pub const MAX_ASKED: usize = 100_000;
/// Questions answered on one TCP connection.
const MAX_PER_CONNECTION: usize = 1_000;
const BACKLOG: u32 = 128;

/// What the server does with a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Behaviour {
    /// Answers from the zone.
    Answer,
    /// Says nothing.
    Drop,
    /// Answers from the zone after this long.
    Delay(Duration),
    /// Answers with this response code and nothing else: 2 SERVFAIL, 3 NXDOMAIN, 4 NOTIMP, 5 REFUSED.
    Rcode(u8),
    /// Says that the name has no records of this type.
    NoData,
    /// By UDP: cut, ask by TCP. By TCP: the whole answer.
    Truncate,
    /// By UDP: cut. By TCP: the connection is closed.
    TruncateForEver,
    /// By UDP: first a forged answer with another id, one to another question, then the right one.
    ForgedFirst,
    /// Points to other servers instead of answering.
    Lame,
    /// This response code with an extended error (RFC 8914).
    Extended {
        /// Response code.
        rcode: u8,
        /// INFO-CODE.
        code: u16,
        /// EXTRA-TEXT.
        text: String,
    },
    /// The right id and question, then what is no DNS.
    Malformed,
    /// FORMERR to every question with EDNS (RFC 6891 section 7), a proper answer without.
    NoEdns,
    /// An alias is answered without what it leads to, as a server that does not have that zone does.
    AliasOnly,
}

/// A question that came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// Lower case, no final dot.
    pub name: String,
    /// `None` for types we have no word for.
    pub kind: Option<RecordType>,
    /// By TCP.
    pub tcp: bool,
    /// With EDNS.
    pub edns: bool,
}

/// A DNS server. Clones share everything; it survives a crash of the simulated machine it runs on.
#[derive(Clone, Default)]
pub struct DnsServer {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    zone: Zone,
    rules: Vec<Rule>,
    asked: Vec<Asked>,
}

/// The last rule that fits decides.
struct Rule {
    name: Option<String>,
    kind: Option<RecordType>,
    behaviour: Behaviour,
}

impl DnsServer {
    /// A server that answers from this zone.
    #[must_use]
    pub fn new(zone: Zone) -> Self {
        let server = Self::default();
        server.lock().zone = zone;
        server
    }

    /// Changes the zone from now on.
    pub fn set_zone(&self, zone: Zone) {
        self.lock().zone = zone;
    }

    /// Changes the behaviour from now on for a name (`*`: every name) and a type (`None`: every type). Rules
    /// set later go before earlier ones.
    pub fn behave(&self, name: &str, kind: Option<RecordType>, behaviour: Behaviour) {
        let name = (name != "*").then(|| zone::lower(name));
        self.lock().rules.push(Rule { name, kind, behaviour });
    }

    /// Behaves well again.
    pub fn recover(&self) {
        self.lock().rules.clear();
    }

    /// Every question that came, at most [`MAX_ASKED`].
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    /// How many questions for this name and type came.
    #[must_use]
    pub fn count(&self, name: &str, kind: RecordType) -> usize {
        let fits = |a: &&Asked| a.name == name && a.kind == Some(kind);
        self.lock().asked.iter().filter(fits).count()
    }

    /// Binds and serves UDP and TCP in tasks of its own; both are bound when this returns. Answers the address,
    /// with the port that port 0 became.
    ///
    /// # Errors
    /// When either cannot be bound.
    pub async fn start(&self, world: &World, at: SocketAddr) -> io::Result<SocketAddr> {
        let listener = world.net.listen(at, BACKLOG).await?;
        let at = listener.local();
        let server = self.clone();
        let net = Arc::clone(&world.net);
        let answers = Arc::new(move |query: &[u8], _| server.by_udp(query));
        let mut udp: Task<'static, io::Error> =
            Box::pin(async move { net.serve_datagrams(at, answers).await });
        // The first poll binds; only then may a client ask.
        let failed = poll_fn(|cx| match udp.as_mut().poll(cx) {
            Poll::Ready(error) => Poll::Ready(Some(error)),
            Poll::Pending => Poll::Ready(None),
        });
        if let Some(error) = failed.await {
            return Err(error);
        }
        let udp = async move {
            let _ = udp.await;
        };
        world.spawn.spawn("scripted dns by udp", Box::pin(udp));
        let tcp = self.clone().serve_tcp(world.clone(), listener);
        world.spawn.spawn("scripted dns by tcp", Box::pin(tcp));
        Ok(at)
    }

    async fn serve_tcp(self, world: World, listener: Box<dyn Listener>) {
        while let Ok(stream) = listener.accept().await {
            let task = self.clone().talk(world.clone(), stream);
            world.spawn.spawn("scripted dns connection", Box::pin(task));
        }
    }

    /// One TCP connection: questions one after the other.
    async fn talk(self, world: World, mut stream: Box<dyn Stream>) {
        for _ in 0..MAX_PER_CONNECTION {
            let Ok(query) = read_message(&mut *stream).await else { return };
            let answers = self.replies(&query, true);
            if answers.is_empty() {
                return;
            }
            for (wait, reply) in answers {
                sleep(&*world.clock, wait).await;
                let length = u16::try_from(reply.len()).unwrap_or(u16::MAX).to_be_bytes();
                let framed = [&length[..], &reply].concat();
                if stream.write_all(&framed).await.is_err() {
                    return;
                }
            }
        }
    }

    fn by_udp(&self, query: &[u8]) -> Vec<(Duration, Vec<u8>)> {
        self.replies(query, false)
    }

    fn replies(&self, query: &[u8], tcp: bool) -> Vec<(Duration, Vec<u8>)> {
        let Some(question) = Question::read(query) else { return Vec::new() };
        let mut state = self.lock();
        if state.asked.len() < MAX_ASKED {
            let Question { name, kind, edns, .. } = &question;
            let asked = Asked { name: name.clone(), kind: *kind, tcp, edns: edns.is_some() };
            state.asked.push(asked);
        }
        let behaviour = state.behaviour(&question);
        answer::replies(&state.zone, &question, &behaviour, tcp)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn behaviour(&self, question: &Question) -> Behaviour {
        let fits = |rule: &&Rule| {
            rule.name.as_ref().is_none_or(|name| *name == question.name)
                && rule.kind.is_none_or(|kind| Some(kind) == question.kind)
        };
        let rule = self.rules.iter().rev().find(fits);
        rule.map_or(Behaviour::Answer, |rule| rule.behaviour.clone())
    }
}

async fn read_message(stream: &mut dyn Stream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    read_all(stream, &mut length).await?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    read_all(stream, &mut message).await?;
    Ok(message)
}

async fn read_all(stream: &mut dyn Stream, mut rest: &mut [u8]) -> io::Result<()> {
    while !rest.is_empty() {
        match stream.read(rest).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => rest = &mut rest[read..],
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, kind: u16, edns: bool) -> Vec<u8> {
        let mut query = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
        for label in name.split('.') {
            query.push(u8::try_from(label.len()).unwrap());
            query.extend(label.bytes());
        }
        query.push(0);
        query.extend(kind.to_be_bytes());
        query.extend([0, 1]);
        if edns {
            query.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
        }
        query
    }

    fn server() -> DnsServer {
        DnsServer::new(
            Zone::parse("example.org MX 10 mx.example.org\nmx.example.org A 192.0.2.1").unwrap(),
        )
    }

    #[test]
    fn answers_come_from_the_zone_and_questions_are_remembered() {
        let server = server();
        let replies = server.by_udp(&question("Example.ORG", 15, true));
        assert_eq!(replies.len(), 1);
        let reply = &replies[0].1;
        assert_eq!(reply[..4], [0xab, 0xcd, 0x85, 0x80], "AA, RD, RA and NOERROR");
        assert_eq!(reply[4..12], [0, 1, 0, 1, 0, 0, 0, 1], "one answer, and OPT");
        assert_eq!(reply[12..25], *b"\x07Example\x03ORG\0", "the question's own case");
        assert_eq!(server.count("example.org", RecordType::Mx), 1);
        assert!(server.asked()[0].edns && !server.asked()[0].tcp);
    }

    #[test]
    fn the_last_rule_that_fits_decides() {
        let server = server();
        let rcode = |kind| {
            server.by_udp(&question("mx.example.org", kind, false)).first().map(|r| r.1[3] & 15)
        };
        server.behave("*", None, Behaviour::Rcode(5));
        assert_eq!((rcode(1), rcode(28)), (Some(5), Some(5)));
        server.behave("mx.example.org", Some(RecordType::Aaaa), Behaviour::Drop);
        assert_eq!((rcode(1), rcode(28)), (Some(5), None));
        server.recover();
        assert_eq!((rcode(1), rcode(28)), (Some(0), Some(0)));
    }

    #[test]
    fn what_is_no_question_is_not_answered() {
        let server = server();
        let whole = question("example.org", 15, true);
        for cut in 0..whole.len() - 11 {
            assert!(server.by_udp(&whole[..cut]).is_empty(), "{cut}");
        }
        let mut reply = whole.clone();
        reply[2] |= 0x80;
        assert!(server.by_udp(&reply).is_empty(), "a reply is no question");
    }
}
