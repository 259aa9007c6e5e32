//! The configuration file: every section, every setting, its default and its limits.
//!
//! Sections with many settings have rooms of their own: `domains`, `notice`, `process`, `receive`, `resolver`, `routes`, `send`, `submission`. Defaults
//! are the agents' own.
//! Not here: the walk through the TOML (`read`), lowering into the agents' settings (`lower`).

use super::care;
use super::complain::{Complaint, Complaints};
use super::dkim::DkimKey;
use super::domains::{self, Own};
use super::kinds::{AdminAddress, Domain};
use super::notice::{self, NoticeRules};
use super::pressure::{self, Pressure};
use super::process::{self, Process, Sandbox};
use super::read::{Book, Preset, Section, Shown};
use super::receive;
use super::resolver::{self, Resolver};
use super::routes::{self, Common, RouteRule};
use super::send::{self, Delivery};
use super::setting::{Ratio, Setting, Word, Wrong, read_word, show_word};
use super::submission::{self, Submission};
use super::tls::{self, CertificateFiles};
use posthaste_queue::Schedule;
use posthaste_reception::{Limits, Listener, Network};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2580);
/// The system takes 107 octets (unix(7)); it is bound under a longer name first.
const MAX_SOCKET_PATH: usize = 92;
const DEFAULT_DATA: &str = "posthaste-data";
/// The largest configuration file that is read, octets.
pub(crate) const MAX_FILE: u64 = 4 << 20;

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
    /// Who we are under TLS.
    pub(crate) certificates: Vec<CertificateFiles>,
    /// Who vouches for the certificates of clients, of all listeners.
    pub(crate) client_roots: Vec<PathBuf>,
    /// Who may send to anywhere.
    pub(crate) relay_networks: Vec<Network>,
    /// Who gets no service.
    pub(crate) refuse_networks: Vec<Network>,
    /// Our own domains, their recipients, aliases.
    pub(crate) own: Own,
    /// The file of those who may log in.
    pub(crate) users: PathBuf,
    /// Limits of receiving.
    pub(crate) limits: Limits,
    /// Where mail goes, in order; what none matches is held.
    pub(crate) routes: Vec<RouteRule>,
    /// DNS.
    pub(crate) resolver: Resolver,
    /// Keys that sign mail.
    pub(crate) dkim: Vec<DkimKey>,
    /// When deferred mail is tried again, and for how long.
    pub(crate) retry: Schedule,
    /// What senders are told.
    pub(crate) notices: NoticeRules,
    /// Limits of sending.
    pub(crate) delivery: Delivery,
    /// The interface for operators.
    pub(crate) admin: Admin,
    /// Programs on this machine.
    pub(crate) submission: Submission,
    /// Logs.
    pub(crate) log: Log,
    /// What the process may do.
    pub(crate) process: Process,
    /// Retry, notice and expiry clocks run this much faster; 1 outside tests.
    pub(crate) clock_scale: f64,
    /// Nothing fails for good, for the first days of a server.
    pub(crate) soft_fail: bool,
    /// From which shortage on mail is slowed and refused.
    pub(crate) pressure: Pressure,
}

/// Defaults that belong together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Profile {
    Default,
    Exchange,
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
    /// Which sessions are recorded.
    pub(crate) sessions: posthaste_evidence::Keep,
    /// When files of both logs are sealed, and how much is kept.
    pub(crate) files: posthaste_io_tokio::journal::Settings,
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

/// A file that can be used.
#[derive(Debug)]
pub(crate) struct Good {
    /// The settings.
    pub(crate) config: Config,
    /// Where each came from.
    pub(crate) shown: Vec<Shown>,
    /// What is allowed and probably a mistake.
    pub(crate) warnings: Vec<Complaint>,
}

/// Reads a whole file. Answers the settings and where each came from, or everything that is wrong with it.
pub(crate) fn read(name: &str, text: &str, around: &Surroundings) -> Result<Good, Complaints> {
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
    let (shown, warnings) = book.finish(name)?;
    Ok(Good { config, shown, warnings })
}

/// What can be made of a file that is wrong in parts, defaults elsewhere: where a daemon that runs with an earlier state
/// of it is found.
pub(crate) fn despite_errors(text: &str, around: &Surroundings) -> Config {
    let book = Book::new(text);
    let (table, _) = DeTable::parse_recoverable(text);
    everything(&Section::top(&book, table.get_ref()), around)
}

fn everything(top: &Section<'_, '_>, around: &Surroundings) -> Config {
    let machine = Domain(around.machine_name.clone());
    let hostname = top.take("hostname", Preset::because(machine, "the machine's name"));
    let hostname = domains::hostname(top, hostname);
    let data: PathBuf = top.take("data", PathBuf::from(DEFAULT_DATA));
    let data = around.folder.join(data);
    is_no_file(top, "data", &data);
    let (base, why) = match top.take("profile", Profile::Default) {
        Profile::Default => (Schedule::default(), "default"),
        Profile::Exchange => (Schedule::exchange(), "profile exchange"),
    };
    let relay_networks = top.take("relay_networks", Network::LOOPBACK.to_vec());
    let refuse_networks = top.take("refuse_networks", Vec::new());
    care::refused(top, &relay_networks);
    let own = domains::read(top, around, &hostname);
    let expire_after =
        top.take_in("expire_after", Preset::because(base.expire_after, why), MINUTE..=30 * DAY);
    let clock_scale = clock_scale(top, around);
    let retry = Schedule { expire_after, ..send::schedule(top.section("retry"), base, why) };
    let listeners = receive::listeners(top, around);
    let submission = submission::read(top.section("submission"), &hostname, &data, around);
    let section = top.section("notice");
    let notices = notice::read(top, &section, &retry, why, &hostname, around);
    let retry = Schedule { delay: notices.delay, ..retry };
    let delay_is_set = section.has("delay_after");
    section.finish();
    let common = Common { schedule: &retry, delay_is_set };
    let routes = routes::read(top, &common, &listeners, around);
    care::relays(top, &listeners);
    care::own_domains(top, &routes);
    let resolver = resolver::read(top.section("resolver"), &routes);
    Config {
        users: path(top, "users", data.join("users"), around),
        limits: receive::limits(top.section("limits")),
        routes,
        listeners,
        certificates: tls::certificates(top, around),
        client_roots: tls::client_roots(top, around),
        resolver,
        delivery: send::delivery(top.section("delivery")),
        admin: admin(top.section("admin"), &data, around),
        dkim: super::dkim::read(top, around),
        own: Own { origin: submission.origin.0.clone(), ..own },
        submission,
        log: log(top.section("log"), &data, around),
        process: process::read(top.section("process")),
        hostname,
        data,
        relay_networks,
        refuse_networks,
        retry,
        notices,
        clock_scale,
        soft_fail: top.take("soft_fail", false),
        pressure: pressure::pressure(top.section("pressure")),
    }
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

fn admin(section: Section<'_, '_>, data: &Path, around: &Surroundings) -> Admin {
    let admin = Admin {
        address: section.take("address", AdminAddress::At(DEFAULT_ADMIN)),
        socket: path(&section, "socket", data.join("control.sock"), around),
    };
    if admin.socket.as_os_str().len() > MAX_SOCKET_PATH {
        let path = admin.socket.display();
        let what = format!(
            "the path of the control socket, {path}, is longer than the {MAX_SOCKET_PATH} octets that the system \
             allows; set `admin.socket` to a shorter one"
        );
        section.complain("socket", what);
    }
    section.finish();
    admin
}

fn log(section: Section<'_, '_>, data: &Path, around: &Surroundings) -> Log {
    let events = path(&section, "events", data.join("events"), around);
    is_no_file(&section, "events", &events);
    let log = Log {
        events,
        level: section.take("level", Level::Info),
        format: section.take("format", LogFormat::Auto),
        sessions: section.take("sessions", posthaste_evidence::Keep::All),
        files: super::logs::files(&section),
    };
    section.finish();
    log
}

/// Complains when a file is where a folder will be.
fn is_no_file(section: &Section<'_, '_>, key: &str, folder: &Path) {
    if folder.exists() && !folder.is_dir() {
        let folder = folder.display();
        section.complain(key, format!("{folder} is a file; name a folder, or one yet to be made"));
    }
}

/// A path of the file is relative to the file's folder; the default, which lies in `data`, is so already.
pub(super) fn path(
    section: &Section<'_, '_>,
    key: &'static str,
    default: PathBuf,
    around: &Surroundings,
) -> PathBuf {
    let path: PathBuf = section.take(key, Preset::because(default, "in `data`"));
    if section.has(key) { around.folder.join(path) } else { path }
}

impl Word for Profile {
    const WORDS: &'static [(&'static str, Self)] =
        &[("default", Self::Default), ("exchange", Self::Exchange)];
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

words_are_settings!(Profile, Level, LogFormat, Sandbox);
words_are_settings!(posthaste_reception::ListenerKind, posthaste_smtp::server::BareNewline);
words_are_settings!(posthaste_reception::ListenerTls, tls::ClientCertificates);
words_are_settings!(posthaste_evidence::Keep);
words_are_settings!(posthaste_evidence::KeepDns);
words_are_settings!(posthaste_route::EightBit, posthaste_route::Families);
words_are_settings!(
    posthaste_mail::Mechanism,
    posthaste_route::Order,
    posthaste_route::Protocol,
    routes::Unmatched
);
words_are_settings!(super::route_tls::Level);
