//! `[[route]]`: which recipients, and how to send to them. The first one that matches sends; what none matches
//! goes by MX.

use super::kinds::Via;
use super::read::{Preset, Section};
use super::send::schedule;
use super::setting::Word;
use posthaste_queue::schedule::Schedule;
use posthaste_route::{EightBit, Families, Pattern};
use std::net::IpAddr;
use std::time::Duration;

/// The port of SMTP between hosts (RFC 5321 section 4.5.4.2).
const SMTP_PORT: u16 = 25;
const MAX_ROUTES: usize = 10_000;
const MINUTE: Duration = Duration::from_secs(60);
const MAX_EXPIRY: Duration = Duration::from_secs(30 * 86_400);

/// One rule.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct RouteRule {
    pub(crate) name: String,
    pub(crate) to: Vec<Pattern>,
    pub(crate) via: Via,
    pub(crate) port: u16,
    pub(crate) source: Vec<IpAddr>,
    pub(crate) families: Families,
    pub(crate) eight_bit: EightBit,
    pub(crate) allow_private: bool,
    pub(crate) expire_after: Option<Duration>,
    pub(crate) retry: Option<Schedule>,
}

/// All rules in order, and the last one that matches all.
pub(crate) fn read(top: &Section<'_, '_>, common: &Schedule) -> Vec<RouteRule> {
    let sections = top.list("route");
    if sections.len() > MAX_ROUTES {
        top.complain("route", format!("there are more than {MAX_ROUTES} routes"));
    }
    let last = sections.len() + 1;
    let mut rules: Vec<RouteRule> = Vec::new();
    for section in sections {
        let rule = rule(&section, common);
        check(&section, &rules, &rule);
        rules.push(rule);
        section.finish();
    }
    if !rules.iter().any(|rule| rule.to.contains(&Pattern::Any)) {
        let section = top.absent("route", last);
        rules.push(RouteRule { to: vec![Pattern::Any], ..self::rule(&section, common) });
    }
    rules
}

fn rule(section: &Section<'_, '_>, common: &Schedule) -> RouteRule {
    let why = Preset::because(vec![Pattern::Any], "what no other route matches");
    let to: Vec<Pattern> = section.take("to", why);
    let name = match to.first() {
        None | Some(Pattern::Any) => "default".to_owned(),
        Some(pattern) => pattern.to_string(),
    };
    let via = section.take("via", Via::Mx);
    let private = match via {
        Via::Mx => Preset::from(false),
        Via::Hosts(_) => Preset::because(true, "default of fixed next hops"),
    };
    let retry = section
        .has("retry")
        .then(|| schedule(section.section("retry"), common.clone(), "as in [retry]"));
    if retry.is_none() {
        // Asked for, so that it is known; there is nothing to show.
        let _known = section.section("retry");
    }
    let expire_after = section.take_optional("expire_after", "as for all mail");
    if expire_after.is_some_and(|d| !(MINUTE..=MAX_EXPIRY).contains(&d)) {
        section.complain("expire_after", "`route.expire_after` must be from \"1 min\" to \"30d\"");
    }
    RouteRule {
        name: section.take("name", Preset::because(name, "its first pattern")),
        to,
        via,
        port: section.take_in("port", SMTP_PORT, 1..=u16::MAX),
        source: section.take("source", Preset::because(Vec::new(), "the system chooses")),
        families: section.take("families", Families::default()),
        eight_bit: section.take("eight_bit", EightBit::default()),
        allow_private: section.take("allow_private", private),
        expire_after,
        retry,
    }
}

fn check(section: &Section<'_, '_>, before: &[RouteRule], rule: &RouteRule) {
    if !section.has("to") {
        section.complain("to", "`route.to` is missing; write to = [\"example.org\"]");
        return;
    }
    if rule.to.is_empty() {
        section.complain("to", "`route.to` is empty; this route matches nothing");
    }
    for pattern in &rule.to {
        let earlier = |r: &&RouteRule| r.to.contains(pattern) || r.to.contains(&Pattern::Any);
        if let Some(first) = before.iter().find(earlier) {
            let what = format!(
                "`{pattern}` never comes here: the route \"{}\" above matches it first",
                first.name
            );
            section.complain("to", what);
        }
    }
    if before.iter().any(|r| r.name == rule.name) {
        section.complain("name", format!("two routes have the name \"{}\"", rule.name));
    }
    for family in [true, false] {
        if rule.source.iter().filter(|ip| ip.is_ipv4() == family).count() > 1 {
            section.complain("source", "`route.source` has two addresses of one family");
        }
    }
}

impl Word for EightBit {
    const WORDS: &'static [(&'static str, Self)] =
        &[("send-as-is", Self::SendAsIs), ("fail", Self::Fail)];
}

impl Word for Families {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("prefer-v6", Self::PreferV6),
        ("prefer-v4", Self::PreferV4),
        ("only-v4", Self::OnlyV4),
        ("only-v6", Self::OnlyV6),
    ];
}
