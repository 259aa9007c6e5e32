//! The configuration file: every section, every setting, its default and its limits.
//!
//! Not here: the walk through the TOML (`read`), lowering into the agents' settings (`lower`).
//! Defaults after `queue`, `dns` and `delivery`, which say where they come from.

use super::complain::Complaints;
use super::kinds::{AdminAddress, Domain, Network, Servers};
use super::read::{Book, Preset, Section, Shown};
use super::routes::{self, RouteRule};
use super::setting::{Ratio, Setting, Size, Word, Wrong, read_word, show_word};
use posthaste_queue::schedule::{MAX_JITTER, Schedule};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where a relay listens without configuration.
const DEFAULT_LISTEN: &str = "127.0.0.1:2525";
const DEFAULT_ADMIN: &str = "127.0.0.1:2580";
const DEFAULT_DATA: &str = "./posthaste-data";
/// The largest configuration file that is read, octets.
pub(crate) const MAX_FILE: u64 = 4 << 20;
const MAX_LISTENERS: usize = 64;
const MAX_STEPS: usize = 32;
/// One TCP connect; an address that takes longer does not answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// One attempt in all; every attempt is bounded, an hour at most.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(3600);

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// What the reading may depend on besides the text.
pub(crate) struct Surroundings {
    /// `clock_scale` is allowed: a test.
    pub(crate) allow_clock_scale: bool,
    /// The machine's name, for `hostname`.
    pub(crate) machine_name: String,
    /// What relative paths are relative to: the folder of the file.
    pub(crate) folder: PathBuf,
}

/// All settings, typed and checked.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Config {
    /// What we call ourselves in greetings, EHLO, `Received:` and notices.
    pub(crate) hostname: Domain,
    /// The folder of spool, control socket and event log.
    pub(crate) data: PathBuf,
    /// Where mail comes in.
    pub(crate) listeners: Vec<Listener>,
    /// Who may send to anywhere.
    pub(crate) relay_networks: Vec<Network>,
    /// Domains that strangers may send to.
    pub(crate) domains: Vec<Domain>,
    /// Limits of receiving.
    pub(crate) limits: Limits,
    /// Where mail goes, in order; never empty, the last one matches all.
    pub(crate) routes: Vec<RouteRule>,
    /// DNS.
    pub(crate) resolver: Resolver,
    /// When deferred mail is tried again, and for how long.
    pub(crate) retry: Schedule,
    /// Limits of sending.
    pub(crate) delivery: Delivery,
    /// The interface for operators.
    pub(crate) admin: Admin,
    /// Logs.
    pub(crate) log: Log,
    /// Retry, notice and expiry clocks run this much faster; 1 outside tests.
    pub(crate) clock_scale: f64,
}

/// Defaults that belong together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Profile {
    Default,
    Exchange,
}

/// A place where mail comes in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) kind: ListenerKind,
    pub(crate) bare_newline: BareNewline,
}

/// Whom a listener is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ListenerKind {
    /// Our own clients and machines: relays for `relay_networks`.
    Relay,
    /// Strangers: takes mail for `domains`, and relays for `relay_networks`.
    Mx,
}

/// What to do with a bare CR or LF in a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BareNewline {
    Reject,
    Normalize,
}

/// Limits of receiving.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    pub(crate) message_size: Size,
    pub(crate) recipients: u32,
    pub(crate) sessions: u32,
    pub(crate) sessions_per_client: u32,
    pub(crate) commands: u32,
    pub(crate) errors: u32,
    pub(crate) hops: u32,
    pub(crate) loops: u32,
    pub(crate) receive_memory: Size,
}

/// DNS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Resolver {
    pub(crate) servers: Servers,
    pub(crate) try_limit: Duration,
    pub(crate) total_limit: Duration,
    pub(crate) cache_entries: u32,
}

/// Limits of sending.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Delivery {
    pub(crate) connections: u32,
    pub(crate) per_host: u16,
    pub(crate) destination_start: u16,
    pub(crate) destination_max: u16,
    pub(crate) messages_per_connection: u32,
    pub(crate) connection_time: Duration,
    pub(crate) connect_limit: Duration,
    pub(crate) attempt_limit: Duration,
    pub(crate) drain_first_rate: u32,
    pub(crate) drain_top_rate: u32,
}

/// The interface for operators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Admin {
    pub(crate) address: AdminAddress,
    pub(crate) socket: PathBuf,
}

/// Logs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Log {
    pub(crate) events: PathBuf,
    pub(crate) level: Level,
    pub(crate) format: LogFormat,
}

/// The least grave line that is logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// For whom lines are logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    Auto,
    Human,
    Json,
}

/// Reads a whole file. Answers the settings and where each came from, or everything that is wrong with it.
pub(crate) fn read(
    name: &str,
    text: &str,
    around: &Surroundings,
) -> Result<(Config, Vec<Shown>), Complaints> {
    let book = Book::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        book.complain(error.span().as_ref(), error.message());
    }
    if !errors.is_empty() {
        // What the parser made up to go on would only be complained about again.
        return Err(book.finish(name).expect_err("it has the parser's complaints"));
    }
    let top = Section::top(&book, table.get_ref());
    let config = everything(&top, around);
    top.finish();
    let shown = book.finish(name)?;
    Ok((config, shown))
}

fn everything(top: &Section<'_, '_>, around: &Surroundings) -> Config {
    let machine = Domain(around.machine_name.clone());
    let hostname = top.take("hostname", Preset::because(machine, "the machine's name"));
    let data: PathBuf = top.take("data", PathBuf::from(DEFAULT_DATA));
    let data = around.folder.join(data);
    let (base, why) = match top.take("profile", Profile::Default) {
        Profile::Default => (Schedule::default(), "default"),
        Profile::Exchange => (Schedule::exchange(), "profile exchange"),
    };
    let relay_networks = top.take("relay_networks", loopback());
    let domains = top.take("domains", Vec::new());
    let expire_after =
        top.take_in("expire_after", Preset::because(base.expire_after, why), MINUTE..=30 * DAY);
    let clock_scale = clock_scale(top, around);
    let retry = Schedule { expire_after, ..schedule(top.section("retry"), base, why) };
    Config {
        hostname,
        listeners: listeners(top),
        limits: limits(top.section("limits")),
        routes: routes::read(top, &retry),
        resolver: resolver(top.section("resolver")),
        delivery: delivery(top.section("delivery")),
        admin: admin(top.section("admin"), &data, around),
        log: log(top.section("log"), &data, around),
        data,
        relay_networks,
        domains,
        retry,
        clock_scale,
    }
}

fn loopback() -> Vec<Network> {
    let v4 = Network { first: std::net::Ipv4Addr::new(127, 0, 0, 0).into(), prefix: 8 };
    let v6 = Network { first: std::net::Ipv6Addr::LOCALHOST.into(), prefix: 128 };
    vec![v4, v6]
}

fn clock_scale(top: &Section<'_, '_>, around: &Surroundings) -> f64 {
    let scale = top.take_in("clock_scale", Ratio(1.0), Ratio(1.0)..=Ratio(1_000_000.0)).0;
    if scale > 1.0 && !around.allow_clock_scale {
        top.complain(
            "clock_scale",
            "`clock_scale` is for tests; give --allow-clock-scale to use it",
        );
    }
    scale
}

fn listeners(top: &Section<'_, '_>) -> Vec<Listener> {
    let mut sections = top.list("listener");
    if sections.is_empty() {
        sections.push(top.absent("listener", 1));
    }
    if sections.len() > MAX_LISTENERS {
        top.complain("listener", format!("there are more than {MAX_LISTENERS} listeners"));
    }
    let mut seen: Vec<Listener> = Vec::new();
    for (i, section) in sections.into_iter().enumerate() {
        let listener = listener(&section, i);
        if seen.iter().any(|l| l.address == listener.address && l.address.port() != 0) {
            section.complain(
                "address",
                format!("two listeners have the address {}", listener.address),
            );
        }
        if seen.iter().any(|l| l.name == listener.name) {
            section.complain("name", format!("two listeners have the name \"{}\"", listener.name));
        }
        seen.push(listener);
        section.finish();
    }
    seen
}

fn listener(section: &Section<'_, '_>, index: usize) -> Listener {
    let kind = section.take("kind", ListenerKind::Relay);
    let name = match (kind, index) {
        (ListenerKind::Relay, 0) => "relay".to_owned(),
        (ListenerKind::Mx, 0) => "mx".to_owned(),
        (ListenerKind::Relay, n) => format!("relay-{}", n + 1),
        (ListenerKind::Mx, n) => format!("mx-{}", n + 1),
    };
    let bare = match kind {
        ListenerKind::Relay => Preset::because(BareNewline::Normalize, "default of a relay"),
        ListenerKind::Mx => Preset::because(BareNewline::Reject, "default for strangers"),
    };
    if index > 0 && !section.has("address") {
        section.complain(
            "address",
            "`listener.address` is missing; write address = \"127.0.0.1:2525\"",
        );
    }
    Listener {
        name: section.take("name", name),
        address: section.take("address", socket_address(DEFAULT_LISTEN)),
        kind,
        bare_newline: section.take("bare_newline", bare),
    }
}

fn limits(section: Section<'_, '_>) -> Limits {
    let limits = Limits {
        message_size: section.take_in(
            "message_size",
            Size(36_000_000),
            Size(1000)..=Size(10_000_000_000),
        ),
        recipients: section.take_in("recipients", 1000, 100..=100_000),
        sessions: section.take_in("sessions", 5000, 1..=1_000_000),
        sessions_per_client: section.take_in("sessions_per_client", 50, 1..=1_000_000),
        commands: section.take_in("commands", 100_000, 100..=100_000_000),
        errors: section.take_in("errors", 20, 1..=10_000),
        hops: section.take_in("hops", 100, 10..=1000),
        loops: section.take_in("loops", 8, 1..=100),
        receive_memory: section.take_in(
            "receive_memory",
            Size(64 << 20),
            Size(1 << 20)..=Size(1 << 40),
        ),
    };
    section.finish();
    limits
}

fn resolver(section: Section<'_, '_>) -> Resolver {
    let dns = posthaste_dns::Settings::default();
    let entries = u32::try_from(dns.cache_entries).unwrap_or(u32::MAX);
    let resolver = Resolver {
        servers: section.take("servers", Servers::System),
        try_limit: section.take_in("try_limit", dns.try_limit, SECOND / 10..=MINUTE),
        total_limit: section.take_in("total_limit", dns.total_limit, SECOND..=5 * MINUTE),
        cache_entries: section.take_in("cache_entries", entries, 0..=10_000_000),
    };
    section.finish();
    resolver
}

/// The retry schedule of a `retry` section; what it does not say is as in `base`.
pub(crate) fn schedule(section: Section<'_, '_>, base: Schedule, why: &'static str) -> Schedule {
    let glitch = section.take("glitch", base.glitch);
    let transient = section.take("transient", base.transient);
    let later: Vec<Duration> = section.take("later", Preset::because(base.later, why));
    let jitter = section.take_in(
        "jitter",
        Ratio(f64::from(base.jitter) / 100.0),
        Ratio(0.0)..=Ratio(f64::from(MAX_JITTER) / 100.0),
    );
    for (key, step) in [("glitch", glitch), ("transient", transient)] {
        if step.every < SECOND {
            section.complain(key, format!("`retry.{key}`: retries must be 1s or more apart"));
        }
    }
    if later.iter().any(|d| *d < SECOND) {
        section.complain("later", "`retry.later`: retries must be 1s or more apart");
    }
    if later.len() > MAX_STEPS {
        section.complain("later", format!("`retry.later` has more than {MAX_STEPS} steps"));
    }
    section.finish();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 90")]
    let jitter = (jitter.0 * 100.0).round() as u8;
    Schedule { glitch, transient, later, jitter, expire_after: base.expire_after }
}

fn delivery(section: Section<'_, '_>) -> Delivery {
    let queue = posthaste_queue::settings::Limits::default();
    let drain = posthaste_queue::settings::Drain::default();
    let delivery = Delivery {
        connections: section.take_in("connections", queue.connections, 1..=100_000),
        per_host: section.take_in("per_host", queue.host, 1..=10_000),
        destination_start: section.take_in("destination_start", queue.destination_start, 1..=1000),
        destination_max: section.take_in("destination_max", queue.destination_max, 1..=1000),
        messages_per_connection: section.take_in(
            "messages_per_connection",
            queue.messages_per_connection,
            1..=1_000_000,
        ),
        connection_time: section.take_in(
            "connection_time",
            queue.connection_time,
            SECOND..=60 * MINUTE,
        ),
        connect_limit: section.take_in("connect_limit", CONNECT_LIMIT, SECOND..=5 * MINUTE),
        attempt_limit: section.take_in("attempt_limit", ATTEMPT_LIMIT, MINUTE..=60 * MINUTE),
        drain_first_rate: section.take_in("drain_first_rate", drain.first_rate, 1..=1_000_000),
        drain_top_rate: section.take_in("drain_top_rate", drain.top_rate, 1..=1_000_000),
    };
    if delivery.destination_start > delivery.destination_max {
        section.complain(
            "destination_start",
            "`delivery.destination_start` must not be over `delivery.destination_max`",
        );
    }
    if delivery.drain_first_rate > delivery.drain_top_rate {
        section.complain(
            "drain_first_rate",
            "`delivery.drain_first_rate` must not be over `delivery.drain_top_rate`",
        );
    }
    section.finish();
    delivery
}

fn admin(section: Section<'_, '_>, data: &Path, around: &Surroundings) -> Admin {
    let admin = Admin {
        address: section.take("address", AdminAddress::At(socket_address(DEFAULT_ADMIN))),
        socket: path(&section, "socket", data.join("control.sock"), around),
    };
    section.finish();
    admin
}

fn log(section: Section<'_, '_>, data: &Path, around: &Surroundings) -> Log {
    let log = Log {
        events: path(&section, "events", data.join("events"), around),
        level: section.take("level", Level::Info),
        format: section.take("format", LogFormat::Auto),
    };
    section.finish();
    log
}

/// A path of the file is relative to the file's folder; the default, which lies in `data`, is so already.
fn path(
    section: &Section<'_, '_>,
    key: &'static str,
    default: PathBuf,
    around: &Surroundings,
) -> PathBuf {
    let path: PathBuf = section.take(key, Preset::because(default, "in `data`"));
    if section.has(key) { around.folder.join(path) } else { path }
}

fn socket_address(text: &str) -> SocketAddr {
    text.parse().expect("our own constants are addresses")
}

impl Word for Profile {
    const WORDS: &'static [(&'static str, Self)] =
        &[("default", Self::Default), ("exchange", Self::Exchange)];
}

impl Word for ListenerKind {
    const WORDS: &'static [(&'static str, Self)] = &[("relay", Self::Relay), ("mx", Self::Mx)];
}

impl Word for BareNewline {
    const WORDS: &'static [(&'static str, Self)] =
        &[("reject", Self::Reject), ("normalize", Self::Normalize)];
}

impl Word for Level {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

impl Word for LogFormat {
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("human", Self::Human), ("json", Self::Json)];
}

/// A word reads and shows itself by its table.
macro_rules! words_are_settings {
    ($($word:ty),+) => {$(
        impl Setting for $word {
            fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
                read_word(value)
            }

            fn show(&self) -> String {
                show_word(*self)
            }
        }
    )+};
}

words_are_settings!(Profile, ListenerKind, BareNewline, Level, LogFormat);
words_are_settings!(posthaste_route::EightBit, posthaste_route::Families);
