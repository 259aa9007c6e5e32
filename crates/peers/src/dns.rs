//! A scripted DNS server: answers from small zones over UDP and TCP, and misbehaves as its script says.
//!
//! As a recursive server ([`DnsServer::new`]) it answers for every name: what its zone does not have does not
//! exist. As an authoritative one ([`DnsServer::authoritative`]) it answers for its zones, refers to the servers of
//! delegated ones, and refuses everything else: several of them make a tree from the root down. Several with
//! different zones or behaviours make servers disagree.
//!
//! Not a server for real zones: no transfers, no DNSSEC, wildcards for whole labels only.

mod answer;
mod authority;
mod behaviour;
mod octets;
mod zone;

pub use behaviour::Behaviour;
pub use octets::Question;
pub use zone::{DEFAULT_TTL, Zone, ZoneError};

use answer::Knowledge;
use posthaste_evidence::RecordType;
use posthaste_io::net::AcceptDatagram;
use posthaste_io::{Datagram, Instant, Listener, Stream, StreamExt, Task, World, sleep};
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
    /// DNSSEC records were wanted (DO).
    pub dnssec: bool,
    /// Validation was unwanted (CD).
    pub unchecked: bool,
    /// Recursion was desired (RD).
    pub recursion: bool,
}

/// A DNS server. Clones share everything; it survives a crash of the simulated machine it runs on.
#[derive(Clone, Default)]
pub struct DnsServer {
    state: Arc<Mutex<State>>,
}

struct State {
    known: Knowledge,
    rules: Vec<Rule>,
    asked: Vec<Asked>,
    /// The second that is running, and the questions that came in it.
    second: (u64, u32),
}

impl Default for State {
    fn default() -> Self {
        let known = Knowledge::Recursive(Zone::default());
        Self { known, rules: Vec::new(), asked: Vec::new(), second: (0, 0) }
    }
}

/// The last rule that fits decides.
struct Rule {
    name: Option<String>,
    kind: Option<RecordType>,
    behaviour: Behaviour,
    /// How many more questions it is for; `None`: all.
    times: Option<u32>,
}

impl DnsServer {
    /// A server that answers from this zone.
    #[must_use]
    pub fn new(zone: Zone) -> Self {
        let server = Self::default();
        server.set_zone(zone);
        server
    }

    /// A server that has these zones, each of them with an apex ([`Zone::parse_at`]), and does not recurse.
    #[must_use]
    pub fn authoritative(zones: Vec<Zone>) -> Self {
        let server = Self::default();
        server.set_zones(zones);
        server
    }

    /// Becomes, from now on, a recursive server with this zone.
    pub fn set_zone(&self, zone: Zone) {
        self.lock().known = Knowledge::Recursive(zone);
    }

    /// Becomes, from now on, the authoritative server of these zones.
    pub fn set_zones(&self, zones: Vec<Zone>) {
        self.lock().known = Knowledge::Authoritative(zones);
    }

    /// Changes the behaviour from now on for a name (`*`: every name) and a type (`None`: every type). Rules
    /// set later go before earlier ones.
    pub fn behave(&self, name: &str, kind: Option<RecordType>, behaviour: Behaviour) {
        self.add_rule(name, kind, behaviour, None);
    }

    /// The same for so many questions; after them earlier rules apply again.
    pub fn behave_times(
        &self,
        name: &str,
        kind: Option<RecordType>,
        behaviour: Behaviour,
        times: u32,
    ) {
        self.add_rule(name, kind, behaviour, Some(times));
    }

    fn add_rule(
        &self,
        name: &str,
        kind: Option<RecordType>,
        behaviour: Behaviour,
        times: Option<u32>,
    ) {
        let name = (name != "*").then(|| zone::lower(name));
        self.lock().rules.push(Rule { name, kind, behaviour, times });
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
        self.start_udp(world, at).await?;
        let tcp = self.clone().serve_tcp(world.clone(), listener);
        world.spawn.spawn("scripted dns by tcp", Box::pin(tcp));
        Ok(at)
    }

    /// Binds and serves UDP alone, at a given port: connections are refused.
    ///
    /// # Errors
    /// When it cannot be bound.
    pub async fn start_udp(&self, world: &World, at: SocketAddr) -> io::Result<()> {
        let net = Arc::clone(&world.net);
        let (server, own) = (self.clone(), world.clone());
        let answers = Arc::new(move |query: &[u8], from| server.by_udp(&own, query, from));
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
        Ok(())
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
            let (answers, _) = self.replies(&query, true, world.now());
            if answers.is_empty() {
                return;
            }
            for (wait, reply) in answers {
                sleep(&*world.clock, wait).await;
                if reply.is_empty() {
                    return;
                }
                let length = u16::try_from(reply.len()).unwrap_or(u16::MAX).to_be_bytes();
                let framed = [&length[..], &reply].concat();
                if stream.write_all(&framed).await.is_err() {
                    return;
                }
            }
        }
    }

    fn by_udp(&self, world: &World, query: &[u8], from: SocketAddr) -> Vec<(Duration, Vec<u8>)> {
        let (replies, elsewhere) = self.replies(query, false, world.now());
        if !elsewhere {
            return replies;
        }
        for (_, payload) in replies {
            let net = Arc::clone(&world.net);
            let accept: AcceptDatagram = Arc::new(|_| false);
            let stray = Datagram { to: from, payload, limit: Duration::from_millis(1), accept };
            let sent = async move {
                // From a port of its own; nobody is expected to answer.
                let _ = net.datagram(stray).await;
            };
            world.spawn.spawn("scripted dns from elsewhere", Box::pin(sent));
        }
        Vec::new()
    }

    /// What is said to a query, and whether it comes from another port.
    fn replies(&self, query: &[u8], tcp: bool, now: Instant) -> (Vec<(Duration, Vec<u8>)>, bool) {
        let Some(question) = Question::read(query) else { return (Vec::new(), false) };
        let mut state = self.lock();
        state.remember(&question, tcp);
        let behaviour = state.behaviour(&question, now);
        let elsewhere = behaviour == Behaviour::OtherSource;
        (answer::replies(&state.known, &question, &behaviour, tcp), elsewhere && !tcp)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remember(&mut self, question: &Question, tcp: bool) {
        if self.asked.len() == MAX_ASKED {
            return;
        }
        let Question { name, kind, edns, dnssec, unchecked, recursion, .. } = question;
        self.asked.push(Asked {
            name: name.clone(),
            kind: *kind,
            tcp,
            edns: edns.is_some(),
            dnssec: *dnssec,
            unchecked: *unchecked,
            recursion: *recursion,
        });
    }

    fn behaviour(&mut self, question: &Question, now: Instant) -> Behaviour {
        let second = now.0 / 1_000_000_000;
        let before = if self.second.0 == second { self.second.1 } else { 0 };
        self.second = (second, before.saturating_add(1));
        let fits = |rule: &&mut Rule| {
            rule.name.as_ref().is_none_or(|name| *name == question.name)
                && rule.kind.is_none_or(|kind| Some(kind) == question.kind)
                && rule.times != Some(0)
        };
        let Some(rule) = self.rules.iter_mut().rev().find(fits) else { return Behaviour::Answer };
        rule.times = rule.times.map(|times| times - 1);
        match rule.behaviour {
            Behaviour::RefuseAbove(limit) if before >= limit => Behaviour::Rcode(answer::REFUSED),
            _ => rule.behaviour.clone(),
        }
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

    fn said(server: &DnsServer, query: &[u8]) -> Vec<(Duration, Vec<u8>)> {
        server.replies(query, false, Instant(0)).0
    }

    fn server() -> DnsServer {
        DnsServer::new(
            Zone::parse("example.org MX 10 mx.example.org\nmx.example.org A 192.0.2.1").unwrap(),
        )
    }

    #[test]
    fn answers_come_from_the_zone_and_questions_are_remembered() {
        let server = server();
        let replies = said(&server, &question("Example.ORG", 15, true));
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
            said(&server, &question("mx.example.org", kind, false)).first().map(|r| r.1[3] & 15)
        };
        server.behave("*", None, Behaviour::Rcode(5));
        assert_eq!((rcode(1), rcode(28)), (Some(5), Some(5)));
        server.behave("mx.example.org", Some(RecordType::Aaaa), Behaviour::Drop);
        assert_eq!((rcode(1), rcode(28)), (Some(5), None));
        server.recover();
        assert_eq!((rcode(1), rcode(28)), (Some(0), Some(0)));
    }

    #[test]
    fn a_rule_may_be_for_a_few_questions_or_above_a_rate() {
        let server = server();
        let rcode = |at| {
            let replies = server.replies(&question("example.org", 15, true), false, Instant(at)).0;
            replies.first().map(|r| r.1[3] & 15)
        };
        server.behave_times("example.org", None, Behaviour::Rcode(2), 2);
        assert_eq!([0; 3].map(rcode), [Some(2), Some(2), Some(0)]);
        server.behave("*", None, Behaviour::RefuseAbove(2));
        const SECOND: u64 = 1_000_000_000;
        let busy = [SECOND, SECOND + 1, SECOND + 2, 2 * SECOND];
        assert_eq!(busy.map(rcode), [Some(0), Some(0), Some(5), Some(0)]);
    }

    #[test]
    fn every_oddity_is_what_it_says() {
        let server = server();
        let query = question("Example.ORG", 15, true);
        let by = |behaviour, tcp| {
            server.recover();
            server.behave("*", None, behaviour);
            server.replies(&query, tcp, Instant(0)).0.pop().map(|(_, octets)| octets)
        };
        let honest = by(Behaviour::Answer, false).unwrap();
        assert_eq!(by(Behaviour::DropEdns, false), None);
        assert_eq!(by(Behaviour::OtherSource, false).as_ref(), Some(&honest), "from elsewhere");
        let wrong = by(Behaviour::WrongId, false).unwrap();
        assert_eq!((wrong[1], &wrong[2..]), (0xce, &honest[2..]));
        let lower = by(Behaviour::LowerCase, false).unwrap();
        assert_eq!(lower[12..25], *b"\x07example\x03org\0");
        assert_eq!(by(Behaviour::Cut(30), false).unwrap(), honest[..30]);
        let cut = by(Behaviour::Flood(3000), false).unwrap();
        assert!(cut[2] & 2 != 0 && cut.len() < 64, "TC");
        let whole = by(Behaviour::Flood(3000), true).unwrap();
        assert_eq!((whole[6..8].to_vec(), whole.len()), (vec![11, 184], 12 + 17 + 3000 * 21));
        let over = by(Behaviour::Flood(10_000), true).unwrap();
        assert_eq!(over[6..8], [39, 16]);
        assert!(over.len() > 65_500 && over.len() <= 65_535);
        assert_eq!(by(Behaviour::TruncateThenSilence, true), Some(Vec::new()));
        let authentic = by(Behaviour::Authentic, false).unwrap();
        assert_eq!(authentic[3] & 0x20, 0x20);
        let other = by(Behaviour::NoDataOf("b.test".into()), false).unwrap();
        assert_eq!(other[29..37], *b"\x01b\x04test\0");
        assert_eq!(other[6..10], [0, 0, 0, 1], "no answer, an SOA");
    }

    #[test]
    fn what_does_not_exist_can_be_sold() {
        let server = server();
        server.behave("*", None, Behaviour::RewriteMissing([11, 9, 9, 9].into()));
        let counts = |name, kind| {
            let reply = said(&server, &question(name, kind, false)).remove(0).1;
            (reply[3] & 15, reply[7], reply.ends_with(&[11, 9, 9, 9]))
        };
        assert_eq!(counts("typo.test", 1), (0, 1, true));
        assert_eq!(counts("typo.test", 15), (0, 0, false));
        assert_eq!(counts("mx.example.org", 1), (0, 1, false), "what exists is left alone");
        assert_eq!(counts("mx.example.org", 28), (0, 0, false));
    }

    #[test]
    fn what_is_no_question_is_not_answered() {
        let server = server();
        let whole = question("example.org", 15, true);
        for cut in 0..whole.len() - 11 {
            assert!(said(&server, &whole[..cut]).is_empty(), "{cut}");
        }
        let mut reply = whole.clone();
        reply[2] |= 0x80;
        assert!(said(&server, &reply).is_empty(), "a reply is no question");
    }
}
