//! `[[route]]`: which mail, and what is done with it. The first one that matches decides; what none matches goes by
//! MX, or is held where `unmatched` says so.
//!
//! Not here: which rule matches (`posthaste_route`), how one value is read (`kinds`).

use super::care;
use super::file::Surroundings;
use super::kinds::{Domain, FailureStatus, OrOff, Via};
use super::notice;
use super::read::{Preset, Section};
use super::resolver::Server;
use super::route_tls::{self, RouteTls};
use super::send::schedule;
use super::setting::{Setting as _, Size, Word};
use super::smarthost_auth;
use posthaste_mail::EnhancedStatus;
use posthaste_queue::schedule::Schedule;
use posthaste_reception::Listener;
use posthaste_route::table::{LMTP_PORT, SMTP_PORT};
use posthaste_route::{EightBit, Families, Login, Order, Pattern, Protocol, When};
use std::net::IpAddr;
use std::time::Duration;

const MAX_ROUTES: usize = 10_000;
/// DNS servers of one route.
const MAX_RESOLVERS: usize = 16;
/// Octets of the text of a failure: it must fit into a line of a notice.
const MAX_TEXT: usize = 512;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const MAX_EXPIRY: Duration = Duration::from_secs(30 * 86_400);
/// Doors that have no `[[listener]]`: the verb `send`, the pickup folder, our own notices.
pub(crate) const OWN_DOORS: [&str; 3] = ["local", "pickup", "notice"];
/// Why a failure is what it is, unless the file says otherwise: delivery not authorized.
const NOT_AUTHORIZED: EnhancedStatus = EnhancedStatus::new(5, 7, 1);
/// One rule.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct RouteRule {
    pub(crate) name: String,
    pub(crate) to: Vec<Pattern>,
    pub(crate) when: When,
    pub(crate) via: Via,
    pub(crate) order: Order,
    pub(crate) protocol: Protocol,
    /// The words of a failure; empty otherwise.
    pub(crate) text: String,
    pub(crate) status: FailureStatus,
    pub(crate) port: u16,
    pub(crate) source: Vec<IpAddr>,
    pub(crate) ehlo: Option<Domain>,
    pub(crate) families: Families,
    pub(crate) resolvers: Vec<Server>,
    pub(crate) connections: Option<u32>,
    pub(crate) messages_per_minute: Option<u32>,
    pub(crate) message_size: Option<Size>,
    pub(crate) eight_bit: EightBit,
    pub(crate) allow_private: bool,
    pub(crate) expire_after: Option<Duration>,
    /// When senders are told that mail is late; zero: never.
    pub(crate) delay_after: Option<Duration>,
    pub(crate) retry: Option<Schedule>,
    pub(crate) tls: RouteTls,
    pub(crate) auth: Option<Login>,
}

/// What holds for all mail, and that a route may have otherwise.
pub(super) struct Common<'c> {
    pub(super) schedule: &'c Schedule,
    /// The file says when senders are told of delays, so that a route where they cannot be is probably a mistake.
    pub(super) delay_is_set: bool,
}

/// What becomes of mail that no route matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unmatched {
    /// It goes by MX.
    Mx,
    /// It waits for a route, and the operator is told.
    Hold,
}

/// All rules in order, and the one for the rest.
pub(crate) fn read(
    top: &Section<'_, '_>,
    common: &Common<'_>,
    listeners: &[Listener],
    around: &Surroundings,
) -> Vec<RouteRule> {
    let unmatched = top.take("unmatched", Unmatched::Mx);
    let sections = top.list("route");
    if sections.len() > MAX_ROUTES {
        top.complain("route", format!("there are more than {MAX_ROUTES} routes"));
    }
    let last = sections.len() + 1;
    let mut rules: Vec<RouteRule> = Vec::new();
    for section in sections {
        let rule = rule(&section, common, around);
        check_match(&section, &rules, &rule, listeners);
        check_action(&section, &rule);
        check_delay(&section, &rule, common);
        care::next_hops(&section, &rule);
        route_tls::check(&section, &rule);
        care::sources(&section, &rule);
        care::resolvers(&section);
        rules.push(rule);
        section.finish();
    }
    let catches_all = |rule: &RouteRule| rule.to.contains(&Pattern::Any) && rule.when.is_nothing();
    if unmatched == Unmatched::Mx && !rules.iter().any(catches_all) {
        rules.push(rule(&top.absent("route", last), common, around));
    }
    rules
}

fn rule(section: &Section<'_, '_>, common: &Common<'_>, around: &Surroundings) -> RouteRule {
    let conditional = ["from", "listener", "user", "size"].iter().any(|key| section.has(key));
    let why = if conditional { "everybody" } else { "what no other route matches" };
    let to: Vec<Pattern> = section.take("to", Preset::because(vec![Pattern::Any], why));
    let when = when(section);
    let name = usual_name(&to, &when);
    let via = section.take("via", Via::Mx);
    let private = match via {
        Via::Hosts(_) => Preset::because(true, "default of fixed next hops"),
        _ => Preset::from(false),
    };
    let (text, status) = failure(section, &via);
    let auth = smarthost_auth::read(section, around);
    let tls = route_tls::read(section, &via, auth.as_ref());
    let protocol = section.take("protocol", Protocol::default());
    let port = match protocol {
        Protocol::Smtp => Preset::from(SMTP_PORT),
        Protocol::Lmtp => Preset::because(LMTP_PORT, "the default of LMTP"),
    };
    RouteRule {
        name: section.take("name", Preset::because(name, "what it matches first")),
        to,
        when,
        via,
        order: section.take("order", Order::default()),
        protocol,
        text,
        status,
        port: section.take_in("port", port, 1..=u16::MAX),
        source: section.take("source", Preset::because(Vec::new(), "the system chooses")),
        ehlo: section.take_optional("ehlo", "`hostname`"),
        families: section.take("families", Families::default()),
        resolvers: section.take("resolvers", Preset::because(Vec::new(), "as in [resolver]")),
        connections: limit(section, "connections", 100_000),
        messages_per_minute: limit(section, "messages_per_minute", 1_000_000),
        message_size: section.take_optional("message_size", "no limit of its own"),
        eight_bit: section.take("eight_bit", EightBit::default()),
        allow_private: section.take("allow_private", private),
        expire_after: expiry(section),
        delay_after: delay(section),
        retry: retry(section, common.schedule),
        tls,
        auth,
    }
}

fn when(section: &Section<'_, '_>) -> When {
    let (over, up_to) = sizes(section);
    When {
        from: section.take("from", Preset::because(Vec::new(), "every sender")),
        listener: section.take("listener", Preset::because(Vec::new(), "every listener")),
        user: section.take("user", Preset::because(Vec::new(), "whoever handed it in")),
        over,
        up_to,
    }
}

fn sizes(section: &Section<'_, '_>) -> (Option<u64>, Option<u64>) {
    // Asked for in any case, so that it is known.
    let size = section.section("size");
    if !section.has("size") {
        return (None, None);
    }
    let over = size.take_optional::<Size>("over", "any").map(|size| size.0);
    let up_to = size.take_optional::<Size>("up_to", "any").map(|size| size.0);
    if over.zip(up_to).is_some_and(|(over, most)| over >= most) {
        let what = "`route.size.up_to` is not more than `route.size.over`: no mail fits";
        size.complain("up_to", what);
    }
    size.finish();
    (over, up_to)
}

/// By what it matches first.
fn usual_name(to: &[Pattern], when: &When) -> String {
    let sender = when.from.first().map(|sender| format!("from {sender}"));
    let listener = || when.listener.first().map(|name| format!("listener {name}"));
    let user = || when.user.first().map(|name| format!("user {name}"));
    let size = || (when.over.is_some() || when.up_to.is_some()).then(|| "size".to_owned());
    match to.first() {
        None | Some(Pattern::Any) => {
            sender.or_else(listener).or_else(user).or_else(size).unwrap_or_else(|| "default".into())
        }
        Some(pattern) => pattern.to_string(),
    }
}

/// Words and status of `via = "fail"`.
fn failure(section: &Section<'_, '_>, via: &Via) -> (String, FailureStatus) {
    let text: Option<String> = section.take_optional("text", "for via = \"fail\"");
    let status = section.take_optional("status", "5.7.1, for via = \"fail\"");
    for key in ["text", "status"] {
        if section.has(key) && *via != Via::Fail {
            section.complain(key, format!("`route.{key}` is for via = \"fail\""));
        }
    }
    match &text {
        None if *via == Via::Fail => {
            section.complain("text", "`route.text` is missing: what the sender is told");
        }
        Some(text) if text.len() > MAX_TEXT || text.contains(char::is_control) => {
            let what = format!("`route.text` must be one line of at most {MAX_TEXT} octets");
            section.complain("text", what);
        }
        _ => {}
    }
    (text.unwrap_or_default(), status.unwrap_or(FailureStatus(NOT_AUTHORIZED)))
}

fn limit(section: &Section<'_, '_>, key: &'static str, most: u32) -> Option<u32> {
    let limit: Option<u32> = section.take_optional(key, "no limit of its own");
    if limit.is_some_and(|limit| !(1..=most).contains(&limit)) {
        section.complain(key, format!("`route.{key}` must be from 1 to {most}"));
    }
    limit
}

fn expiry(section: &Section<'_, '_>) -> Option<Duration> {
    let expire_after = section.take_optional("expire_after", "as for all mail");
    if expire_after.is_some_and(|d| !(MINUTE..=MAX_EXPIRY).contains(&d)) {
        section.complain("expire_after", "`route.expire_after` must be from \"1 min\" to \"30d\"");
    }
    expire_after
}

fn delay(section: &Section<'_, '_>) -> Option<Duration> {
    let after: Option<OrOff> = section.take_optional("delay_after", "as in [notice]");
    let after = after.map(|after| after.0);
    notice::check_time(section, "delay_after", after.unwrap_or_default(), SECOND);
    after
}

fn retry(section: &Section<'_, '_>, common: &Schedule) -> Option<Schedule> {
    // Asked for in any case, so that it is known.
    let own = section.section("retry");
    section.has("retry").then(|| schedule(own, common.clone(), "as in [retry]"))
}

fn check_match(
    section: &Section<'_, '_>,
    before: &[RouteRule],
    rule: &RouteRule,
    listeners: &[Listener],
) {
    if !section.has("to") && rule.when.is_nothing() {
        let what = "`route.to` is missing; write to = [\"example.org\"], or another condition: from, \
                    listener, user, size";
        section.complain("to", what);
        return;
    }
    if rule.to.is_empty() {
        section.complain("to", "`route.to` is empty; this route matches nothing");
    }
    for name in &rule.when.listener {
        let known = listeners.iter().any(|l| l.name == *name) || OWN_DOORS.contains(&name.as_str());
        if !known {
            let names: Vec<&str> =
                listeners.iter().map(|l| l.name.as_str()).chain(OWN_DOORS).collect();
            let what =
                format!("no listener has the name \"{name}\"; there are: {}", names.join(", "));
            section.complain("listener", what);
        }
    }
    check_reached(section, before, rule);
    if before.iter().any(|r| r.name == rule.name) {
        let what = format!("two routes have the name \"{}\"; give this one a `name`", rule.name);
        section.complain("name", what);
    }
}

/// Complains where one earlier route takes all that a pattern of this one could match.
fn check_reached(section: &Section<'_, '_>, before: &[RouteRule], rule: &RouteRule) {
    for pattern in &rule.to {
        let wider = |r: &&RouteRule| {
            r.to.iter().any(|earlier| earlier.covers(pattern)) && r.when.covers(&rule.when)
        };
        if let Some(first) = before.iter().find(wider) {
            let what = format!(
                "`{pattern}` never comes here: the route \"{}\" above matches it first",
                first.name
            );
            section.complain("to", what);
        }
    }
}

fn check_action(section: &Section<'_, '_>, rule: &RouteRule) {
    for key in meaningless(rule) {
        let what = match rule.via {
            Via::Mx => "is for fixed next hops, not for MX",
            _ => "means nothing: this route sends nothing",
        };
        section.complain(key, format!("`route.{key}` {what}"));
    }
    if let (Protocol::Lmtp, Via::Hosts(hosts)) = (rule.protocol, &rule.via)
        && hosts.iter().any(|hop| hop.with_port(rule.port).port == SMTP_PORT)
    {
        let key = if section.has("port") { "port" } else { "via" };
        let what = "LMTP is never spoken at port 25, which is for SMTP (RFC 2033 section 5); say which \
                    port, 24 by custom";
        section.complain(key, what);
    }
    if rule.message_size.is_some_and(|size| size.0 == 0) {
        section.complain("message_size", "`route.message_size` must be 1 or more");
    }
    if rule.resolvers.len() > MAX_RESOLVERS {
        let what = format!("`route.resolvers` has more than {MAX_RESOLVERS} servers");
        section.complain("resolvers", what);
    }
}

/// Warns where the route's mail is given up before its first delay notice would be sent.
fn check_delay(section: &Section<'_, '_>, rule: &RouteRule, common: &Common<'_>) {
    let expiry = rule.expire_after.unwrap_or(common.schedule.expire_after);
    let after = rule.delay_after.unwrap_or(common.schedule.delay.after);
    if !notice::comes_too_late(after, expiry) {
        return;
    }
    let is_missed = common.delay_is_set || notice::is_missed(expiry);
    let (after, expiry) = (after.show(), expiry.show());
    if rule.delay_after.is_some() {
        let what = format!(
            "`route.delay_after`: mail of this route is given up after {expiry} already (`expire_after`), so no delay notice \
             ever comes; write a shorter time, or \"off\""
        );
        section.warn("delay_after", what);
    } else if rule.expire_after.is_some() && is_missed {
        let what = format!(
            "`route.expire_after`: mail of this route is given up before {after}, when `notice.delay_after` would tell its \
             senders that it is late; give the route a shorter `delay_after`, or \"off\""
        );
        section.warn("expire_after", what);
    }
}

/// Settings that are not at their defaults and of no effect on what the rule does.
fn meaningless(rule: &RouteRule) -> Vec<&'static str> {
    let of_hosts = [
        ("order", rule.order != Order::default()),
        ("protocol", rule.protocol != Protocol::default()),
        ("auth", rule.auth.is_some()),
    ];
    let of_sending = [
        ("port", rule.port != SMTP_PORT && rule.protocol == Protocol::Smtp),
        ("source", !rule.source.is_empty()),
        ("ehlo", rule.ehlo.is_some()),
        ("families", rule.families != Families::default()),
        ("resolvers", !rule.resolvers.is_empty()),
        ("connections", rule.connections.is_some()),
        ("messages_per_minute", rule.messages_per_minute.is_some()),
        ("message_size", rule.message_size.is_some()),
        ("eight_bit", rule.eight_bit != EightBit::default()),
        ("allow_private", rule.allow_private),
        ("retry", rule.retry.is_some()),
        ("tls", rule.tls.is_set()),
        // Held mail expires like any other, and is as late.
        ("expire_after", rule.expire_after.is_some() && rule.via != Via::Hold),
        ("delay_after", rule.delay_after.is_some() && rule.via != Via::Hold),
    ];
    let of_hosts = of_hosts.into_iter().filter(|_| !matches!(rule.via, Via::Hosts(_)));
    let sends = matches!(rule.via, Via::Mx | Via::Hosts(_));
    let of_sending = of_sending.into_iter().filter(|_| !sends);
    of_hosts.chain(of_sending).filter(|(_, set)| *set).map(|(key, _)| key).collect()
}

impl Word for Unmatched {
    const WORDS: &'static [(&'static str, Self)] = &[("mx", Self::Mx), ("hold", Self::Hold)];
}

impl Word for Order {
    const WORDS: &'static [(&'static str, Self)] =
        &[("in-order", Self::AsListed), ("shared", Self::Shared)];
}

impl Word for Protocol {
    const WORDS: &'static [(&'static str, Self)] = &[("smtp", Self::Smtp), ("lmtp", Self::Lmtp)];
}

impl Word for EightBit {
    const WORDS: &'static [(&'static str, Self)] =
        &[("send-as-is", Self::SendAsIs), ("fail", Self::Fail)];
}

impl Word for Families {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("prefer-v6", Self::PreferV6),
        ("prefer-v4", Self::PreferV4),
        ("v4", Self::OnlyV4),
        ("v6", Self::OnlyV6),
    ];
    const RENAMED: &'static [(&'static str, &'static str)] =
        &[("only-v4", "v4"), ("only-v6", "v6")];
}
