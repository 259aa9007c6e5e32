//! NOTIFY x outcome x sender, through the whole system: who is told what, by a rule written down here apart from the
//! product's own (RFC 3461 sections 4.1 and 5.2, RFC 5321 section 6.1).

use super::{OWN, by_subject, put_in};
use crate::words::*;
use posthaste_evidence::{Act, EventKind};
use posthaste_mail::SourceKind;
use posthaste_peers::mail::{Action, Rule, Script, Step};
use posthaste_reception::recipients::Recipients;
use posthaste_route::{Action as Way, Pattern, Protocol, Route, SmartHost, Table};
use posthaste_sim::client::subject;
use posthaste_sim::notices::Read;
use posthaste_sim::{Letter, MailSystem, Plan, check, notices};
use posthaste_spool::decision::Which;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

/// What NOTIFY says; empty where it is absent.
const WISHES: [&str; 9] = [
    "",
    "NEVER",
    "SUCCESS",
    "FAILURE",
    "DELAY",
    "SUCCESS,FAILURE",
    "SUCCESS,DELAY",
    "FAILURE,DELAY",
    "SUCCESS,FAILURE,DELAY",
];

/// Who hands the message in, and from which reverse-path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    Relay,
    Submission,
    Local,
    /// From outside, with a reverse-path in a domain of ours.
    OwnDomain,
    Stranger,
    NullPath,
}

const EVERYBODY: [Who; 6] =
    [Who::Relay, Who::Submission, Who::Local, Who::OwnDomain, Who::Stranger, Who::NullPath];

/// What becomes of the message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// A mail store takes it (LMTP) that sends no notices.
    Stored,
    /// A host takes it that offers DSN, and the duty.
    PassedOn,
    /// A host takes it that does not offer DSN.
    Relayed,
    Refused,
    /// It waits until its time is over.
    Expired,
    /// It waits for six hours; then a host takes it that does not offer DSN.
    LateRelayed,
    /// The same with a host that offers DSN.
    LatePassedOn,
    Bounced,
    Removed,
}

const ENDS: [(End, &str); 9] = [
    (End::Stored, "stored.test"),
    (End::PassedOn, "dsn.test"),
    (End::Relayed, "plain.test"),
    (End::Refused, "no.test"),
    (End::Expired, "never.test"),
    (End::LateRelayed, "late.test"),
    (End::LatePassedOn, "latedsn.test"),
    (End::Bounced, "bounced.test"),
    (End::Removed, "removed.test"),
];

/// The rule, in names of notices' kinds; [`says`] is what Action says of each.
fn owed(wish: &str, who: Who, end: End, all_clear: bool) -> Vec<&'static str> {
    if who == Who::NullPath || wish == "NEVER" {
        return Vec::new();
    }
    let lists = |what: &str| wish.split(',').any(|word| word == what);
    let ours = who != Who::Stranger;
    let failure = wish.is_empty() || lists("FAILURE");
    let delay = ours && (wish.is_empty() || lists("DELAY"));
    let success = lists("SUCCESS");
    let when = |asked: bool, what| if asked { vec![what] } else { Vec::new() };
    match end {
        End::Stored => when(success, "delivered"),
        End::Relayed => when(success, "relayed"),
        End::Refused | End::Bounced => when(failure, "failed"),
        End::Expired => [when(delay, "delayed"), when(failure, "failed")].concat(),
        End::LateRelayed if success => [when(delay, "delayed"), vec!["relayed"]].concat(),
        // Who asked for success is told that, by whom it was passed on to.
        End::LateRelayed | End::LatePassedOn => {
            [when(delay, "delayed"), when(delay && all_clear && !success, CLEAR)].concat()
        }
        End::PassedOn | End::Removed => Vec::new(),
    }
}

const CLEAR: &str = "all-clear";

/// Kind and Action. Of an all-clear: a host has taken it, and what became of it there is not known (RFC 3464 section
/// 2.3.3).
fn says(kind: &str) -> String {
    format!("{kind}: {}", if kind == CLEAR { "relayed" } else { kind })
}

/// The same of a notice that came.
fn said(notice: &Read) -> Vec<String> {
    let kind = notice.whole.lines().find_map(|line| line.strip_prefix("X-Posthaste-Notice: "));
    let kind = kind.expect("it says what it is");
    notice.about.iter().map(|word| format!("{kind}: {}", word.action)).collect()
}

struct Row {
    number: u32,
    wish: &'static str,
    who: Who,
    end: End,
    domain: &'static str,
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (end, domain) in ENDS {
        for who in EVERYBODY {
            for wish in WISHES {
                let number = u32::try_from(rows.len()).expect("few") + 1000;
                rows.push(Row { number, wish, who, end, domain });
            }
        }
    }
    rows
}

fn plan(all_clear: bool) -> Plan {
    let mut plan = Plan::default().host("store", &["11.9.0.1"]);
    plan.domains = ENDS[1..].iter().map(|(_, domain)| ((*domain).to_owned(), 1)).collect();
    plan.domains.push((OWN.into(), 1));
    let hosts = vec![SmartHost { host: "11.9.0.1".into(), port: 25 }];
    let mut store = Route::by_hosts("store", vec!["stored.test".parse().expect("valid")], hosts);
    if let Way::SmartHosts { protocol, .. } = &mut store.action {
        *protocol = Protocol::Lmtp;
    }
    plan.routes = Table::new(vec![store, Route::by_mx("rest", vec![Pattern::Any])]);
    let own = ENDS.iter().map(|(_, domain)| *domain).chain([OWN]);
    plan.own.domains = own.map(|domain| (domain.to_owned(), Recipients::Any)).collect();
    plan.queue.schedule.expire_after = 10 * HOUR;
    plan.dispatch.own_domains = Arc::new(BTreeSet::from([OWN.to_owned()]));
    plan.dispatch.all_clear = all_clear;
    plan.dispatch.strangers.per_sender_hour = 1_000_000;
    plan.dispatch.strangers.per_minute = 1_000_000;
    plan
}

fn busy() -> Rule {
    let action = Action::Reply("450 4.2.1 mailbox busy".into());
    Rule { at: Step::Rcpt, containing: String::new(), times: None, action }
}

const WITHOUT_DSN: [&str; 4] = ["PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"];

fn prepare(system: &MailSystem) {
    let set = |domain: &str, script| peer(system, &format!("mx0.{domain}")).set(script);
    peer(system, "store").set(Script::lmtp().offering(&WITHOUT_DSN));
    set("plain.test", Script::default().offering(&WITHOUT_DSN));
    let no = Action::Reply("550 5.1.1 no such user".into());
    set("no.test", Script::default().always(Step::Rcpt, no));
    for domain in ["never.test", "late.test", "latedsn.test", "bounced.test", "removed.test"] {
        set(domain, Script::default().rule(busy()));
    }
}

fn hand_over(system: &MailSystem, row: &Row) {
    let from = match row.who {
        Who::NullPath => "",
        Who::OwnDomain => "writer@own.test",
        _ => "writer@sender.test",
    };
    let rcpt = if row.wish.is_empty() { String::new() } else { format!("NOTIFY={}", row.wish) };
    let to = [format!("r{}@{}", row.number, row.domain)];
    let letter = Letter::new(row.number, from, &to, 100).with("", &rcpt);
    match row.who {
        Who::Relay | Who::NullPath => system.hand_in(letter),
        Who::OwnDomain | Who::Stranger => system.hand_in_as_stranger(letter),
        Who::Submission => put_in(system, SourceKind::Submission, &letter),
        Who::Local => put_in(system, SourceKind::Local, &letter),
    }
}

/// Hands all of them in, lets it all end, and answers what was told, by number of the message.
fn live_through(system: &MailSystem, rows: &[Row]) -> BTreeMap<u32, Vec<String>> {
    prepare(system);
    for some in rows.chunks(40) {
        some.iter().for_each(|row| hand_over(system, row));
        system.pass(10 * SECOND);
    }
    let over_smtp = rows.iter().filter(|row| !matches!(row.who, Who::Submission | Who::Local));
    let handed = system.ledger.all();
    assert_eq!(handed.len(), over_smtp.count());
    assert!(handed.iter().all(|h| h.acknowledged), "{handed:#?}");
    system.pass(HOUR);
    order(system, Act::Bounce, Which::Destination("bounced.test".into()));
    order(system, Act::Remove, Which::Destination("removed.test".into()));
    system.pass(5 * HOUR);
    peer(system, "mx0.late.test").set(Script::default().offering(&WITHOUT_DSN));
    peer(system, "mx0.latedsn.test").set(Script::default());
    until_quiet(system, DAY);
    let read = notices::read_all(system);
    let told = |row: &Row| {
        let about = read.iter().filter(|notice| by_subject(notice, row.number));
        (row.number, about.flat_map(said).collect())
    };
    rows.iter().map(told).collect()
}

#[test]
fn who_is_told_what_for_every_notify_every_outcome_and_every_sender() {
    for all_clear in [true, false] {
        let system = up(plan(all_clear));
        let mut rows = rows();
        if !all_clear {
            rows.retain(|row| matches!(row.end, End::LateRelayed | End::LatePassedOn));
        }
        let told = live_through(&system, &rows);
        let mut wrong = String::new();
        for Row { number, wish, who, end, .. } in &rows {
            let owed = owed(wish, *who, *end, all_clear);
            let expected: Vec<_> = owed.into_iter().map(says).collect();
            if told[number] != expected {
                let told = &told[number];
                let _ = writeln!(
                    wrong,
                    "{number} {wish:?} {who:?} {end:?}: {told:?}, owed {expected:?}"
                );
            }
        }
        assert!(wrong.is_empty(), "\n{wrong}");
        assert_eq!(notices::honest(&system), check::Verdict::new());
        reasons(&system, &rows);
        passed_on(&system, &rows);
    }
}

/// Who ended badly and was not told has a reason in the event log, and nobody else has.
fn reasons(system: &MailSystem, rows: &[Row]) {
    let mut numbers = BTreeMap::new();
    let mut why = BTreeMap::new();
    for event in system.relay.journal().events() {
        match event.kind {
            EventKind::Received { subject: Some(subject), .. } => {
                numbers.insert(event.message, subject);
            }
            EventKind::NoNotice { why: reason } => {
                let reason = reason.expect("it says why").name();
                why.insert(numbers[&event.message].clone(), reason);
            }
            _ => {}
        }
    }
    for Row { number, wish, who, end, .. } in rows {
        let badly = matches!(end, End::Refused | End::Expired | End::Bounced);
        let told = owed(wish, *who, *end, false).contains(&"failed");
        let expected = match who {
            _ if !badly || told => None,
            Who::NullPath => Some("null-reverse-path"),
            _ => Some("not-asked"),
        };
        assert_eq!(why.get(&subject(*number)).copied(), expected, "{wish:?} {who:?} {end:?}");
    }
}

/// What the sender asked goes on to a host that offers DSN, word for word (RFC 3461 section 5.2.1), and not to others.
fn passed_on(system: &MailSystem, rows: &[Row]) {
    for row in rows.iter().filter(|row| matches!(row.end, End::PassedOn | End::Relayed)) {
        let arrivals = peer(system, &format!("mx0.{}", row.domain)).arrivals();
        let name = format!("TO:<r{}@", row.number);
        let rcpt = arrivals.iter().flat_map(|a| &a.to).find(|to| to.starts_with(&name));
        let rcpt = rcpt.expect("it arrived");
        let asked =
            rcpt.split_once("NOTIFY=").map(|(_, rest)| rest.split(' ').next().unwrap_or(""));
        let expected = match row.end {
            End::PassedOn => Some(row.wish).filter(|wish| !wish.is_empty()),
            _ => None,
        };
        assert_eq!(asked, expected, "{:?} {rcpt}", row.who);
    }
}
