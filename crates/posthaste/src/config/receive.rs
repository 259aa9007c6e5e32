//! `[[listener]]` and `[limits]`: where mail comes in, and how much of it.

use super::care;
use super::file::Surroundings;
use super::read::{Preset, Section};
use super::setting::{Size, Word};
use super::tls;

use posthaste_reception::{Limits, Listener, ListenerKind, ListenerTls, Network, Rates, UserRates};
use posthaste_smtp::server::BareNewline;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Where a relay listens without configuration.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2525);
const MAX_LISTENERS: usize = 64;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// What a stranger may do in a minute.
const STRANGERS: [&str; 3] =
    ["connections_per_minute", "messages_per_minute", "recipients_per_minute"];
/// What a client in a relay network may do in a minute.
const RELAY_CLIENTS: [&str; 3] =
    ["relay_connections_per_minute", "relay_messages_per_minute", "relay_recipients_per_minute"];

/// The listeners in order; without any, one for this machine.
pub(super) fn listeners(top: &Section<'_, '_>, around: &Surroundings) -> Vec<Listener> {
    let mut sections = top.list("listener");
    if sections.is_empty() {
        sections.push(top.absent("listener", 1));
    }
    if sections.len() > MAX_LISTENERS {
        top.complain("listener", format!("there are more than {MAX_LISTENERS} listeners"));
    }
    let mut seen: Vec<Listener> = Vec::new();
    for (index, section) in sections.into_iter().enumerate() {
        let listener = tls::listener(&section, around, listener(&section, index));
        care::logins(&section, &listener);
        care::without_auth(&section, &listener);
        care::proxies(&section);
        if seen.iter().any(|l| l.address == listener.address && l.address.port() != 0) {
            let what = format!("two listeners have the address {}", listener.address);
            section.complain("address", what);
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
    let word = match kind {
        ListenerKind::Relay => "relay",
        ListenerKind::Inbound => "mx",
        ListenerKind::Submission => "submission",
    };
    let name = if index == 0 { word.to_owned() } else { format!("{word}-{}", index + 1) };
    if index > 0 && !section.has("address") {
        let what = "`listener.address` is missing; write address = \"127.0.0.1:2525\"";
        section.complain("address", what);
    }
    let why = "normalize for relay networks and users, reject for strangers";
    let users_only = kind == ListenerKind::Submission;
    let auth: bool = section.take("auth", Preset::because(users_only, "its kind"));
    if users_only && !auth {
        let what = "users log in at a listener of the kind \"submission\"; for one without AUTH write kind = \"relay\"";
        section.complain("auth", what);
    }
    let check_from = section.take("check_from", true);
    let without_auth: Vec<Network> = section.take("without_auth", Vec::new());
    if !users_only && !without_auth.is_empty() {
        let what =
            "`listener.without_auth` is for the kind \"submission\"; elsewhere nobody needs AUTH";
        section.complain("without_auth", what);
    }
    Listener {
        name: section.take("name", Preset::because(name, "its kind")),
        address: section.take("address", DEFAULT_LISTEN),
        kind,
        bare_newline: section.take_optional("bare_newline", why),
        auth,
        check_from,
        without_auth,
        proxy_from: section.take("proxy_from", Vec::new()),
        ..Listener::new("", DEFAULT_LISTEN)
    }
}

/// The limits of receiving.
pub(super) fn limits(section: Section<'_, '_>) -> Limits {
    let base = Limits::default();
    let count = |key, preset: usize| {
        let preset = u64::try_from(preset).unwrap_or(u64::MAX);
        usize::try_from(section.take_in(key, preset, 1..=1_000_000)).unwrap_or(usize::MAX)
    };
    let size =
        |key, preset: u64, most: u64| section.take_in(key, Size(preset), Size(1000)..=Size(most)).0;
    let time = |key, preset: Duration| section.take_in(key, preset, SECOND..=24 * HOUR);
    let limits = Limits {
        message_size: size("message_size", base.message_size, 10_000_000_000),
        recipients: section.take_in("recipients", base.recipients, 100..=100_000),
        sessions: count("sessions", base.sessions),
        sessions_per_client: count("sessions_per_client", base.sessions_per_client),
        sessions_per_relay_client: count(
            "sessions_per_relay_client",
            base.sessions_per_relay_client,
        ),
        sessions_per_network: count("sessions_per_network", base.sessions_per_network),
        rates: rates(&section, STRANGERS, base.rates),
        relay_rates: rates(&section, RELAY_CLIENTS, base.relay_rates),
        user_rates: user_rates(&section, base.user_rates),
        sessions_per_user: count("sessions_per_user", base.sessions_per_user),
        failed_logins: section.take_in("failed_logins", base.failed_logins, 1..=1000),
        failed_logins_per_minute: section.take_in(
            "failed_logins_per_minute",
            base.failed_logins_per_minute,
            0..=100_000,
        ),
        commands: section.take_in("commands", base.commands, 100..=100_000_000),
        errors: section.take_in("errors", base.errors, 1..=10_000),
        tarpit_after: section.take_in("tarpit_after", base.tarpit_after, 0..=10_000),
        tarpit_delay: section.take_in(
            "tarpit_delay",
            base.tarpit_delay,
            Duration::from_millis(10)..=30 * SECOND,
        ),
        command_timeout: time("command_timeout", base.command_timeout),
        data_timeout: time("data_timeout", base.data_timeout),
        handshake_timeout: section.take_in(
            "handshake_timeout",
            base.handshake_timeout,
            SECOND..=HOUR / 12,
        ),
        message_timeout: time("message_timeout", base.message_timeout),
        min_rate: section.take_in("min_rate", base.min_rate, 0..=1_000_000),
        session_time: section.take_in("session_time", base.session_time, 60 * SECOND..=240 * HOUR),
        slow_delay: base.slow_delay,
        store_timeout: section.take_in("store_timeout", base.store_timeout, SECOND..=HOUR / 6),
        receive_budget: memory(&section, base.receive_budget),
        hops: section.take_in("hops", base.hops, 10..=1000),
        own_hops: section.take_in("own_hops", base.own_hops, 1..=100),
    };
    section.finish();
    limits
}

fn rates(section: &Section<'_, '_>, keys: [&'static str; 3], base: Rates) -> Rates {
    let [connections, messages, recipients] = keys;
    let rate = |key, preset: u32| section.take_in(key, preset, 0..=100_000_000);
    Rates {
        connections: rate(connections, base.connections),
        messages: rate(messages, base.messages),
        recipients: rate(recipients, base.recipients),
    }
}

fn user_rates(section: &Section<'_, '_>, base: UserRates) -> UserRates {
    let rate = |key, preset: u32| section.take_in(key, preset, 0..=100_000_000);
    UserRates {
        messages_per_minute: rate("user_messages_per_minute", base.messages_per_minute),
        recipients_per_minute: rate("user_recipients_per_minute", base.recipients_per_minute),
        recipients_per_day: rate("user_recipients_per_day", base.recipients_per_day),
    }
}

fn memory(section: &Section<'_, '_>, preset: usize) -> usize {
    let preset = Size(u64::try_from(preset).unwrap_or(u64::MAX));
    let memory = section.take_in("receive_memory", preset, Size(1 << 20)..=Size(1 << 40));
    usize::try_from(memory.0).unwrap_or(usize::MAX)
}

impl Word for ListenerKind {
    const WORDS: &'static [(&'static str, Self)] =
        &[("relay", Self::Relay), ("mx", Self::Inbound), ("submission", Self::Submission)];
}

impl Word for ListenerTls {
    const WORDS: &'static [(&'static str, Self)] =
        &[("off", Self::Off), ("starttls", Self::StartTls), ("implicit", Self::Implicit)];
}

impl Word for BareNewline {
    const WORDS: &'static [(&'static str, Self)] =
        &[("reject", Self::Reject), ("normalize", Self::Normalize)];
}
