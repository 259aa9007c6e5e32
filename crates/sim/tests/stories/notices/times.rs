//! When senders are told, and how long is left: to the minute, whatever clocks are set or months end meanwhile somewhere.

use super::{HOST, by_subject};
use crate::words::*;
use posthaste_evidence::{Act, EventKind, NoticeKind};
use posthaste_io_sim::Link;
use posthaste_mail::Timestamp;
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_queue::{RouteSettings, Schedule};
use posthaste_route::{Pattern, Route, Table};
use posthaste_sim::notices::{Read, read_all};
use posthaste_sim::{MailSystem, Plan};
use posthaste_spool::decision::Which;
use std::time::Duration;

/// Moments at which clocks are set or a month ends somewhere: seconds since 1970, and the same in UTC.
const MOMENTS: [(&str, i64, &str); 14] = [
    ("Berlin goes to summer time", 1_806_195_600, "Sun, 28 Mar 2027 01:00:00 +0000"),
    ("Berlin goes back", 1_824_944_400, "Sun, 31 Oct 2027 01:00:00 +0000"),
    ("New York goes to summer time", 1_805_007_600, "Sun, 14 Mar 2027 07:00:00 +0000"),
    ("New York goes back", 1_825_567_200, "Sun, 7 Nov 2027 06:00:00 +0000"),
    ("Sydney goes back", 1_806_768_000, "Sat, 3 Apr 2027 16:00:00 +0000"),
    ("Sydney goes to summer time", 1_822_492_800, "Sat, 2 Oct 2027 16:00:00 +0000"),
    ("Lord Howe goes back half an hour", 1_806_764_400, "Sat, 3 Apr 2027 15:00:00 +0000"),
    ("February ends in UTC", 1_803_859_200, "Mon, 1 Mar 2027 00:00:00 +0000"),
    ("February ends in Tokyo", 1_803_826_800, "Sun, 28 Feb 2027 15:00:00 +0000"),
    ("a leap day ends", 1_835_481_600, "Wed, 1 Mar 2028 00:00:00 +0000"),
    ("a leap day begins in Los Angeles", 1_835_424_000, "Tue, 29 Feb 2028 08:00:00 +0000"),
    ("the year ends in UTC", 1_830_297_600, "Sat, 1 Jan 2028 00:00:00 +0000"),
    ("the year ends on Kiritimati", 1_830_247_200, "Fri, 31 Dec 2027 10:00:00 +0000"),
    ("April ends in Kolkata", 1_809_109_800, "Fri, 30 Apr 2027 18:30:00 +0000"),
];

/// How long before such a moment mail arrives, seconds: the notice, or the end, is then before, at or after it. Two of
/// them for each moment.
const BEFORE: [u64; 5] = [0, 7_200, 14_400, 14_430, 30 * 3600 - 60];

/// How long mail lives in most of these stories: a day, six hours.
const LIFETIME: Duration = Duration::from_secs(30 * 3600);

const WARNED: Duration = Duration::from_secs(4 * 3600);

fn busy() -> Script {
    Script::default().always(Step::Rcpt, Action::Reply("450 4.2.1 mailbox busy".into()))
}

/// Sets the relay's clock.
fn set_clock(system: &MailSystem, to: Timestamp) {
    let now = system.relay.world().wall();
    system.relay.step_wall_clock(to.as_micros() - now.as_micros());
}

/// When what is said of messages happened: the arrival, the notices by kind, expiry.
struct Course {
    arrived: Timestamp,
    notices: Vec<(Timestamp, NoticeKind)>,
    expired: Option<Timestamp>,
}

fn course(system: &MailSystem) -> Course {
    let mut course = Course { arrived: Timestamp::EPOCH, notices: Vec::new(), expired: None };
    for event in system.relay.journal().events() {
        match event.kind {
            EventKind::Received { subject: Some(subject), .. } if subject == "m-7-" => {
                course.arrived = event.at;
            }
            EventKind::Notice { kind, .. } => course.notices.push((event.at, kind)),
            EventKind::Expired { .. } => course.expired = Some(event.at),
            _ => {}
        }
    }
    course
}

/// The words for a span, made apart from the product's: to the nearest minute, leading zeros left out.
fn spoken(span: Duration) -> String {
    let minutes = (span.as_secs() + 30) / 60;
    let of = |count: u64, unit: &str| {
        if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
    };
    let (days, hours) = (minutes / 1440, minutes / 60 % 24);
    let minutes = of(minutes % 60, "minute");
    match (days, hours) {
        (0, 0) => minutes,
        (0, _) => format!("{} and {minutes}", of(hours, "hour")),
        _ => format!("{}, {} and {minutes}", of(days, "day"), of(hours, "hour")),
    }
}

/// The text with its lines put together.
fn flowing(notice: &Read) -> String {
    notice.text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn of_action(system: &MailSystem, action: &str) -> Vec<Read> {
    let all = read_all(system).into_iter();
    all.filter(|notice| notice.about.iter().all(|word| word.action == action)).collect()
}

#[test]
fn spans_are_spoken_as_people_do() {
    for (seconds, words) in [
        (44 * 3600, "1 day, 20 hours and 0 minutes"),
        (25 * 3600 + 60, "1 day, 1 hour and 1 minute"),
        (48 * 3600, "2 days, 0 hours and 0 minutes"),
        (3 * 3600 + 29, "3 hours and 0 minutes"),
        (90, "2 minutes"),
        (30, "1 minute"),
    ] {
        assert_eq!(spoken(Duration::from_secs(seconds)), words);
    }
}

#[test]
fn notice_remaining_time_and_expiry_are_right_around_every_change_of_clocks_and_month() {
    for (place, (name, moment, in_utc)) in MOMENTS.into_iter().enumerate() {
        assert_eq!(Timestamp::from_secs(moment).rfc5322(), in_utc);
        for before in [BEFORE[place % BEFORE.len()], BEFORE[(place + 2) % BEFORE.len()]] {
            let arrival = Timestamp::from_secs(moment).minus(Duration::from_secs(before));
            // The default once, the short life where all the other moments are looked at.
            let life = if place == 0 && before == 0 { 5 * DAY } else { LIFETIME };
            let told = waits_in_vain(arrival, life);
            right_to_the_minute(&told, life, &format!("{before} s before {name}"));
        }
    }
}

/// One message that arrives then, and lives so long.
fn waits_in_vain(arrival: Timestamp, life: Duration) -> MailSystem {
    let mut plan = Plan::domain("d.test", 1);
    plan.queue.schedule.expire_after = life;
    let system = up(plan);
    peer(&system, HOST).set(busy());
    set_clock(&system, arrival);
    send(&system, 7, &["r@d.test"]);
    system.pass(life + MINUTE);
    system
}

fn right_to_the_minute(system: &MailSystem, life: Duration, story: &str) {
    let Course { arrived, notices, expired } = course(system);
    let expires = arrived.plus(life);
    let (warned, kind) = notices[0];
    assert_eq!(kind, NoticeKind::Delayed, "{story}");
    let late = warned.since(arrived.plus(WARNED));
    assert!(warned >= arrived.plus(WARNED) && late < 2 * SECOND, "{story}: {late:?}");
    let expired = expired.expect("its time was over");
    let late = expired.since(expires);
    assert!(expired >= expires && late < SECOND, "{story}: expired {late:?} late");
    assert_eq!(
        notices.iter().map(|(_, kind)| *kind).collect::<Vec<_>>()[1..],
        [NoticeKind::Failed]
    );

    let notice = of_action(system, "delayed").remove(0);
    assert!(by_subject(&notice, 7));
    let words = format!("for the next {}", spoken(expires.since(warned)));
    let known = [
        "for the next 4 days, 20 hours and 0 minutes",
        "for the next 1 day, 2 hours and 0 minutes",
    ];
    assert!(known.contains(&words.as_str()), "{story}: {words}");
    assert!(flowing(&notice).contains(&words), "{story}: {}", notice.text);
    assert!(notice.html.contains(&words), "{story}: {}", notice.html);
    assert_eq!(notice.about[0].until, expires.rfc5322(), "{story}");
    let date = format!("\r\nDate: {}\r\n", warned.rfc5322());
    assert!(notice.whole.contains(&date), "{story}: {}", notice.whole);
}

#[test]
fn the_profile_of_exchange_tells_the_figure_of_the_founding_story() {
    for how in ["refused", "silent", "lost", "busy"] {
        let mut plan = Plan::domain("d.test", 1);
        plan.queue.schedule = Schedule::exchange();
        let system = up(plan);
        match how {
            "busy" => peer(&system, HOST).set(busy()),
            "lost" => {
                peer(&system, HOST).set(Script::default().always(Step::Greeting, Action::Close));
            }
            "silent" => system.sim.partition(&system.relay, &system.host(HOST).0, Link::Drop),
            _ => system.sim.partition(&system.relay, &system.host(HOST).0, Link::Refuse),
        }
        send(&system, 7, &["r@d.test"]);
        system.pass(5 * HOUR);
        let notice = of_action(&system, "delayed").remove(0);
        let said = flowing(&notice);
        let mut figures: Vec<String> =
            (53..=56).map(|minutes| format!("1 day, 19 hours and {minutes} minutes")).collect();
        if how == "busy" {
            // A refused recipient is tried without the four glitch retries, and so right after four hours.
            figures = vec!["1 day, 20 hours and 0 minutes".into()];
        }
        let fits = figures.iter().any(|span| said.contains(&format!("for the next {span}")));
        assert!(fits, "{how}: {}", notice.text);
        // Most attempts are forgotten by then, the first of an episode never.
        assert!(said.contains("History (UTC): - 2026-11-21 00:0"), "{how}: {}", notice.text);
        until_quiet(&system, 3 * DAY);
        let Course { arrived, expired, .. } = course(&system);
        let expired = expired.expect("its time was over");
        assert!(expired.since(arrived.plus(2 * DAY)) < SECOND, "{how}");
        let failed = of_action(&system, "failed").remove(0);
        assert_eq!(failed.about[0].action, "failed");
        // What really stood in the way, and not that time was over (RFC 3463 section 3.5).
        let expected = match how {
            "busy" => "4.2.1",
            "lost" => "4.4.2",
            _ => "4.4.1",
        };
        assert_eq!(failed.about[0].status, expected, "{how}: {}", failed.whole);
    }
}

#[test]
fn all_who_wait_are_in_one_notice_and_nobody_is_told_twice() {
    let mut plan = Plan::domain("d.test", 1);
    plan.domains.push(("e.test".into(), 1));
    plan.domains.push(("good.test".into(), 1));
    let system = up(plan);
    peer(&system, HOST).set(busy());
    system.sim.partition(&system.relay, &system.host("mx0.e.test").0, Link::Drop);
    send(&system, 7, &["a@d.test", "b@d.test", "c@e.test", "g@good.test"]);
    system.pass(4 * DAY);
    let told = of_action(&system, "delayed");
    assert_eq!(told.len(), 1, "{told:#?}");
    let mut about: Vec<_> = told[0].about.iter().map(|word| word.recipient.clone()).collect();
    about.sort_unstable();
    assert_eq!(about, ["a@d.test", "b@d.test", "c@e.test"]);
}

#[test]
fn it_is_told_again_each_day_where_that_is_wished_and_never_at_the_end() {
    let mut plan = Plan::domain("d.test", 1);
    plan.queue.schedule.delay.repeat = Some(DAY);
    let system = up(plan);
    peer(&system, HOST).set(busy());
    send(&system, 7, &["r@d.test"]);
    until_quiet(&system, 6 * DAY);
    let Course { arrived, notices, .. } = course(&system);
    let hours: Vec<u64> =
        notices.iter().map(|(at, _)| at.since(arrived).as_secs() / 3600).collect();
    assert_eq!(hours, [4, 28, 52, 76, 100, 120]);
    let left: Vec<_> = of_action(&system, "delayed").iter().map(flowing).collect();
    for (text, days) in left.iter().zip(["4 days", "3 days", "2 days", "1 day", "20 hours"]) {
        assert!(text.contains(&format!("for the next {days}")), "{text}");
    }
}

#[test]
fn a_route_has_its_own_time_and_zero_is_never() {
    for (after, hours) in [(Some(HOUR), Some(1)), (Some(Duration::ZERO), None), (None, Some(4))] {
        let mut plan = Plan::domain("d.test", 1);
        let own = Route::by_mx("own", vec!["d.test".parse().expect("valid")]);
        plan.routes = Table::new(vec![own, Route::by_mx("rest", vec![Pattern::Any])]);
        let settings = RouteSettings { delay_after: after, ..Default::default() };
        plan.queue.routes.insert("own".into(), settings);
        let system = up(plan);
        peer(&system, HOST).set(busy());
        send(&system, 7, &["r@d.test"]);
        system.pass(DAY);
        let Course { arrived, notices, .. } = course(&system);
        let told: Vec<u64> =
            notices.iter().map(|(at, _)| at.since(arrived).as_secs() / 3600).collect();
        assert_eq!(told, hours.into_iter().collect::<Vec<_>>(), "{after:?}");
    }
}

#[test]
fn an_attempt_in_flight_ends_before_anything_is_told() {
    for good in [true, false] {
        let system = up(Plan::domain("d.test", 1));
        // The attempt that is under way when four hours are over, and lasts five minutes.
        system.sim.partition(&system.relay, &system.host(HOST).0, Link::Refuse);
        send(&system, 7, &["r@d.test"]);
        system.pass(4 * HOUR - 2 * MINUTE);
        system.sim.partition(&system.relay, &system.host(HOST).0, Link::Up);
        let slow = Script::default().always(Step::Mail, Action::Delay(4 * MINUTE));
        let refusal = Action::Reply("450 4.2.1 mailbox busy".into());
        let script = if good { slow } else { slow.always(Step::Rcpt, refusal) };
        peer(&system, HOST).set(script);
        order(&system, Act::Retry, Which::Destination("d.test".into()));
        system.pass(HOUR);
        let Course { arrived, notices, .. } = course(&system);
        if good {
            assert!(notices.is_empty(), "it was delivered: {notices:?}");
        } else {
            let after = notices[0].0.since(arrived.plus(WARNED));
            assert!(after > MINUTE && after < 3 * MINUTE, "{after:?}");
        }
    }
}

#[test]
fn who_is_held_or_parked_waits_too_and_the_notice_says_so() {
    let system = up(Plan::domain("d.test", 1));
    peer(&system, HOST).set(busy());
    send(&system, 7, &["r@d.test"]);
    system.pass(MINUTE);
    order(&system, Act::Hold, Which::Destination("d.test".into()));
    system.pass(5 * HOUR);
    let told = of_action(&system, "delayed");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].about[0].recipient, "r@d.test");
}

#[test]
fn a_failure_waits_for_its_probes_a_minute_at_most_and_says_why() {
    let system = up(Plan::domain("d.test", 1));
    let no = Action::Reply("550 5.1.1 no such user".into());
    peer(&system, HOST).set(Script::default().always(Step::Rcpt, no));
    system.probing.set(true);
    send(&system, 7, &["r@d.test"]);
    system.pass(30 * SECOND);
    let live = system.live();
    assert_eq!(live.len(), 1, "not told yet");
    let waiting = system.dispatch().waiting(live[0].envelope.id, 0);
    let said = format!("{waiting:?}");
    assert!(said.contains("NoticePendingProbe"), "{said}");
    let took = until_quiet(&system, 2 * MINUTE);
    assert!(took > 28 * SECOND && took < 33 * SECOND, "{took:?}");
    assert_eq!(the_notice(&system).status, ["5.1.1"]);

    // Probes that end early tell early.
    let system = up(Plan::domain("d.test", 1));
    let no = Action::Reply("550 5.1.1 no such user".into());
    peer(&system, HOST).set(Script::default().always(Step::Rcpt, no));
    system.probing.set(true);
    send(&system, 7, &["r@d.test"]);
    system.pass(5 * SECOND);
    let id = system.live()[0].envelope.id;
    let dispatch = system.dispatch();
    dispatch.probes_ended(id);
    assert!(until_quiet(&system, MINUTE) < AT_ONCE);
    assert_eq!(the_notice(&system).about, ["r@d.test"]);
}
