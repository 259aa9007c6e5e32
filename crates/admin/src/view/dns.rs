//! **dns-server**, **dns-answer**: how each DNS server stands, and what each says to a question.

use super::{VERSION, When, millis};
use crate::resolving::{CacheStanding, DnsAnswer, ServerList, ServerStanding};
use crate::text;
use posthaste_dns::questions::reverse::Naming;
use posthaste_dns::{EdnsSupport, Lookup, Origin, ServerHealth, ServerState};
use posthaste_evidence::{Answer, Observation, Seen, Subject, Transport};
use serde::Serialize;
use std::collections::BTreeMap;

/// All servers.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name")]
pub struct ServersObject {
    pub v: u32,
    pub servers: Vec<ServerObject>,
    pub caches: Vec<CacheObject>,
}

/// One server in one list; see [`ServerStanding`].
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name")]
pub struct ServerObject {
    pub server: String,
    /// The name its certificate must have; asked by TLS.
    pub tls: Option<String>,
    pub trusted: bool,
    /// `primary`, `fallback`, `route`
    pub list: &'static str,
    /// The routes whose list it is.
    pub routes: Vec<String>,
    /// `unused`, `good`, `slow`, `dead`
    pub state: &'static str,
    pub dead_since: Option<When>,
    /// Milliseconds, three places behind the point.
    pub smoothed_ms: Option<f64>,
    pub asked: u64,
    pub answered: u64,
    pub failed: u64,
    /// By outcome.
    pub failures: BTreeMap<&'static str, u64>,
    pub last_failure: Option<FailureView>,
    pub last_success: Option<When>,
    pub next_question: Option<When>,
    /// Replies that came by TCP.
    pub tcp: u64,
    /// Datagrams from its address that were not the reply: late, or forged.
    pub spoofed: u64,
    /// What is wrong with it, in words.
    pub text: Option<String>,
    pub remarks: Vec<String>,
}

/// What one resolver keeps and has counted since it was made; see [`posthaste_dns::Numbers`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name")]
pub struct CacheObject {
    pub routes: Vec<String>,
    pub entries: usize,
    pub octets: usize,
    pub evicted: u64,
    pub asked: u64,
    pub from_cache: u64,
    pub joined: u64,
    pub stale: u64,
    pub put: u64,
    pub positive: u64,
    pub negative: u64,
    pub failed: u64,
    pub from_fallback: u64,
}

/// A server's last failure.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name")]
pub struct FailureView {
    pub at: When,
    pub outcome: &'static str,
}

/// A question asked as the daemon asks.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name; see `resolving::DnsAnswer`")]
pub struct DnsAnswerObject {
    pub v: u32,
    pub asked: String,
    /// Of an address: `confirmed`, `mismatch`, `no-ptr`, `failed`
    pub naming: Option<&'static str>,
    pub questions: Vec<LookupView>,
}

/// One question of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name; see `posthaste_dns::Lookup`")]
pub struct LookupView {
    pub name: String,
    pub r#type: String,
    pub outcome: &'static str,
    /// Every configured server says so: a permanent failure may follow.
    pub agreed: bool,
    pub secure: bool,
    /// `servers`, `cache`, `fallback`, `stale`, `nobody`
    pub from: &'static str,
    /// Seconds it has been kept.
    pub age: Option<u64>,
    /// Seconds it may be kept.
    pub ttl: u32,
    pub records: Vec<String>,
    pub answers: Vec<ServerAnswerView>,
}

/// What one server said.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name; see `evidence::Answer`")]
pub struct ServerAnswerView {
    pub at: When,
    /// `null`: none was asked, the cache or the hosts file answered.
    pub server: Option<String>,
    pub name: String,
    pub transport: Option<&'static str>,
    pub took_ms: u64,
    pub outcome: &'static str,
    pub authoritative: bool,
    pub authentic: bool,
    pub truncated: bool,
    pub stale: bool,
    pub ttl: Option<u32>,
    pub extended: Vec<ExtendedView>,
    pub raw: Option<String>,
    pub effect: &'static str,
}

/// An extended error (RFC 8914).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[expect(missing_docs, reason = "each says what it is by its name")]
pub struct ExtendedView {
    pub code: u16,
    pub name: Option<&'static str>,
    pub text: String,
}

impl ServersObject {
    /// From what the desk says.
    #[must_use]
    pub fn of(servers: &[ServerStanding], caches: &[CacheStanding]) -> Self {
        Self {
            v: VERSION,
            servers: servers.iter().map(ServerObject::of).collect(),
            caches: caches.iter().map(CacheObject::of).collect(),
        }
    }
}

impl CacheObject {
    fn of(standing: &CacheStanding) -> Self {
        let (kept, numbers) = (standing.kept, standing.numbers);
        Self {
            routes: standing.list.routes().to_vec(),
            entries: kept.entries,
            octets: kept.octets,
            evicted: numbers.evicted,
            asked: numbers.asked,
            from_cache: numbers.kept,
            joined: numbers.joined,
            stale: numbers.stale,
            put: numbers.put,
            positive: numbers.positive,
            negative: numbers.negative,
            failed: numbers.failed,
            from_fallback: numbers.fallback,
        }
    }
}

impl ServerObject {
    /// From what the desk says.
    #[must_use]
    pub fn of(standing: &ServerStanding) -> Self {
        let list = match &standing.list {
            ServerList::Primary => "primary",
            ServerList::Fallback => "fallback",
            ServerList::Routes(_) => "route",
        };
        let health = &standing.health;
        let mut failures = BTreeMap::new();
        for (kind, count) in &health.failures {
            *failures.entry(text::answer_outcome(*kind)).or_default() += count;
        }
        let failure =
            |(at, kind)| FailureView { at: When(at), outcome: text::answer_outcome(kind) };
        Self {
            server: health.address.to_string(),
            tls: health.tls.clone(),
            trusted: health.trusted,
            list,
            routes: standing.list.routes().to_vec(),
            state: state(health),
            dead_since: match health.state {
                ServerState::Dead { since, .. } => Some(When(since)),
                _ => None,
            },
            smoothed_ms: health.smoothed.map(|time| time.as_secs_f64() * 1000.0),
            asked: health.asked,
            answered: health.answered,
            failed: health.failed(),
            failures,
            last_failure: health.last_failure.map(failure),
            last_success: health.last_success.map(When),
            next_question: health.next_health.map(When),
            tcp: health.tcp,
            spoofed: health.spoofed,
            text: words(health),
            remarks: remarks(health),
        }
    }
}

const fn state(health: &ServerHealth) -> &'static str {
    match health.state {
        ServerState::Dead { .. } => "dead",
        _ if health.asked == 0 => "unused",
        ServerState::Good => "good",
        ServerState::Slow => "slow",
    }
}

/// A dead server, named plainly.
fn words(health: &ServerHealth) -> Option<String> {
    let ServerState::Dead { since, cause } = health.state else { return None };
    let (server, since) = (health.address, since.rfc3339());
    let cause = text::answer_word(cause);
    let last = match health.last_success {
        Some(at) => format!("its last answer was at {}", at.rfc3339()),
        None => format!("it has answered none of {} questions", health.asked),
    };
    Some(format!("{server} is dead since {since} ({cause}); {last}"))
}

/// What is odd about a server and costs time or safety.
fn remarks(health: &ServerHealth) -> Vec<String> {
    let edns = match health.edns {
        EdnsSupport::Offered => None,
        EdnsSupport::NotUnderstood => Some("does not understand EDNS: it is left out"),
        EdnsSupport::Dropped => Some("answers only without EDNS: something drops it on the way"),
    };
    let case = (!health.keeps_case)
        .then_some("does not repeat a question's case: forged answers are harder to tell");
    edns.into_iter().chain(case).map(str::to_owned).collect()
}

impl DnsAnswerObject {
    /// From what the desk says.
    #[must_use]
    pub fn of(answer: &DnsAnswer) -> Self {
        Self {
            v: VERSION,
            asked: answer.asked.clone(),
            naming: answer.naming.map(|naming| match naming {
                Naming::Confirmed => "confirmed",
                Naming::Mismatch => "mismatch",
                Naming::NoPtr => "no-ptr",
                Naming::Failed(_) => "failed",
            }),
            questions: answer.lookups.iter().map(LookupView::of).collect(),
        }
    }
}

impl LookupView {
    fn of(lookup: &Lookup) -> Self {
        Self {
            name: lookup.name.clone(),
            r#type: lookup.kind.to_string(),
            outcome: text::answer_outcome(lookup.answer.kind),
            agreed: lookup.permanent,
            secure: lookup.secure,
            from: match lookup.origin {
                Origin::Network => "servers",
                Origin::Cache => "cache",
                Origin::Fallback => "fallback",
                Origin::Stale => "stale",
                Origin::Nobody => "nobody",
            },
            age: lookup.age.map(|age| age.as_secs()),
            ttl: lookup.answer.ttl,
            records: lookup.answer.records.iter().map(text::record_text).collect(),
            answers: lookup.observations.iter().map(ServerAnswerView::of).collect(),
        }
    }
}

impl ServerAnswerView {
    fn of(observation: &Observation) -> Self {
        let (server, name) = match &observation.subject {
            Subject::Question { server, name, .. } => (*server, name.clone()),
            _ => (None, String::new()),
        };
        let none = Self {
            at: When(observation.at),
            server: server.map(|server| server.to_string()),
            name,
            transport: None,
            took_ms: millis(observation.took),
            outcome: text::outcome(&observation.seen),
            authoritative: false,
            authentic: false,
            truncated: false,
            stale: false,
            ttl: None,
            extended: Vec::new(),
            raw: text::raw(&observation.seen, observation.at),
            effect: observation.effect.name(),
        };
        match &observation.seen {
            Seen::Answer(answer) => none.with(answer),
            _ => none,
        }
    }

    fn with(self, answer: &Answer) -> Self {
        let extended = |(code, text): &(u16, String)| ExtendedView {
            code: *code,
            name: text::extended_error(*code),
            text: text.clone(),
        };
        Self {
            transport: Some(match answer.transport {
                Transport::Udp => "udp",
                Transport::Tcp => "tcp",
                Transport::Tls => "tls",
                Transport::Cache => "cache",
                Transport::Hosts => "hosts",
            }),
            authoritative: answer.authoritative,
            authentic: answer.authentic,
            truncated: answer.truncated,
            stale: answer.stale,
            ttl: Some(answer.ttl),
            extended: answer.extended.iter().map(extended).collect(),
            ..self
        }
    }
}
