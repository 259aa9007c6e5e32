//! Stories: one situation each, from beginning to end.

use crate::world::{End, START, World, host};
use posthaste_evidence::WaitReason;
use posthaste_mail::{QueueId, Timestamp};
use posthaste_queue::{
    DestinationId, DestinationState, DestinationStatus, Drain, Life, Limits, NO_ROUTE,
    RecipientState, RouteSettings, Schedule, Settings, Waiting,
};
use std::collections::BTreeMap;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// How many things happened in each second from `start` on.
fn per_second(times: impl Iterator<Item = Timestamp>, start: Timestamp) -> Vec<u32> {
    let mut counts = Vec::new();
    for at in times.filter(|at| *at >= start) {
        let second = usize::try_from(at.since(start).as_secs()).expect("small");
        if counts.len() <= second {
            counts.resize(second + 1, 0);
        }
        counts[second] += 1;
    }
    counts
}

pub(crate) fn because(world: &World, id: QueueId) -> (WaitReason, Option<Timestamp>) {
    match world.scheduler.wait_reason(world.now, id, 0) {
        Some(Waiting::Because { reason, until }) => (reason, until),
        other => panic!("{other:?}"),
    }
}

#[test]
fn fresh_mail_is_delivered_over_few_connections() {
    let mut world = World::running();
    world.check_every = 1;
    let site = world.site("example.org", &[host(1)]);
    for _ in 0..100 {
        world.mail(site, 3);
    }
    world.run_for(30 * SECOND);
    assert!(world.live.is_empty() && world.scheduler.is_empty());
    assert!(world.ends.values().all(|end| *end == End::Delivered));
    assert_eq!(world.ends.len(), 300);
    assert!(world.dials.len() <= 15, "{}", world.dials.len());
    assert_eq!(world.scheduler.connections(), 0);
}

#[test]
fn one_message_is_one_connection_and_a_kept_connection_takes_the_next() {
    let mut world = World::running();
    let site = world.site("example.org", &[host(1)]);
    for _ in 0..50 {
        world.mail(site, 1);
        world.run_for(SECOND);
    }
    assert_eq!(world.deliveries.len(), 50);
    assert_eq!(world.dials.len(), 1, "the connection was kept and woken");
}

#[test]
fn a_connection_serves_its_number_of_messages_and_its_time() {
    let mut world = World::running();
    let limits = Limits { messages_per_connection: 10, destination_max: 1, ..Limits::default() };
    world.scheduler.set_settings(world.now, Settings { limits, ..Settings::default() });
    let site = world.site("example.org", &[host(1)]);
    for _ in 0..100 {
        world.mail(site, 1);
    }
    world.run_for(60 * SECOND);
    assert_eq!((world.deliveries.len(), world.dials.len()), (100, 10));

    let mut world = World::running();
    let limits =
        Limits { connection_time: 10 * SECOND, messages_per_connection: 1000, ..Limits::default() };
    world.scheduler.set_settings(world.now, Settings { limits, ..Settings::default() });
    let site = world.site("example.org", &[host(1)]);
    for _ in 0..100 {
        world.mail(site, 1);
        world.run_for(SECOND);
    }
    assert_eq!(world.deliveries.len(), 100);
    assert!((9..=11).contains(&world.dials.len()), "{}", world.dials.len());
}

#[test]
fn a_message_with_many_recipients_goes_out_in_transactions_of_the_limit() {
    let mut world = World::running();
    world.check_every = 1;
    let (here, there) = (world.site("a.example", &[host(1)]), world.site("b.example", &[host(2)]));
    let all: Vec<DestinationId> = (0..260).map(|n| if n % 2 == 0 { here } else { there }).collect();
    world.mail_to(&all);
    // a server that takes only ten of each transaction: the rest follows at once
    world.sites.get_mut(&there).expect("known").takes = Some(10);
    world.run_for(30 * SECOND);
    assert!(world.live.is_empty(), "{}", world.live.len());
    assert_eq!(world.deliveries.len(), 260);
}

#[test]
fn a_dead_destination_costs_one_trial_per_step_however_much_waits() {
    for backlog in [1, 100_000] {
        let mut world = World::running();
        let site = world.site("dead.example", &[]);
        world.sites.get_mut(&site).expect("known").dns_down = true;
        let messages: Vec<QueueId> = (0..backlog).map(|_| world.mail(site, 1)).collect();
        world.run_for(10 * HOUR);
        // 4 x 1, 6 x 5, 10, 30 and then 60 minutes fill ten hours; the first connections begin at once
        let first = world.dials.iter().filter(|(at, ..)| *at == START).count();
        let trials = world.dials.iter().filter(|(.., trial)| *trial).count();
        assert!(first <= 5 && first + trials == world.dials.len());
        assert!((18..=22).contains(&trials), "{trials} trials for {backlog}");
        assert_eq!(world.ledger_writes as usize, 1 + trials, "one entry per failure");
        assert!(world.live.values().all(|(_, s)| s.attempts == 0), "no message was touched");
        let state = world.ledger["dead.example"];
        let down = (WaitReason::DestinationDown, Some(state.next_trial));
        assert!(messages.iter().all(|id| because(&world, *id) == down));
        assert_eq!(
            (state.since, state.failures as usize),
            (world.dials[0].0.plus(world.pace.connect), 1 + trials)
        );
    }
}

#[test]
fn a_backlog_is_released_at_a_bounded_growing_rate() {
    let mut world = World::new(Settings {
        drain: Drain { first_rate: 10, top_rate: 200 },
        ..Settings::default()
    });
    world.scheduler.start(world.now);
    world.pace.transaction = Duration::from_millis(5);
    let site = world.site("back.example", &[host(1)]);
    world.sites.get_mut(&site).expect("known").dns_down = true;
    for _ in 0..3_000 {
        world.mail(site, 1);
    }
    world.run_for(2 * HOUR);
    world.sites.get_mut(&site).expect("known").dns_down = false;
    world.run_for(2 * HOUR);
    assert_eq!(world.deliveries.len(), 3_000);
    assert!(world.ledger.is_empty());
    let first = world.deliveries[0].0;
    let rates = per_second(world.deliveries.iter().map(|d| d.0), first);
    for (second, rate) in rates.iter().enumerate() {
        let allowed = (10u32 << second.min(10)).min(200);
        assert!(*rate <= allowed + 2, "{rate} in second {second}: {rates:?}");
    }
    assert!(rates[5] >= 150, "it grows: {rates:?}");
    assert!(rates.len() < 30, "{rates:?}");
}

#[test]
fn while_it_drains_the_reason_says_so() {
    let mut world = World::running();
    world.pace.transaction = Duration::from_millis(5);
    let site = world.site("back.example", &[host(1)]);
    world.sites.get_mut(&site).expect("known").dns_down = true;
    let messages: Vec<QueueId> = (0..500).map(|_| world.mail(site, 1)).collect();
    world.run_for(30 * SECOND);
    world.sites.get_mut(&site).expect("known").dns_down = false;
    while world.deliveries.len() < 10 {
        world.run_for(Duration::from_millis(100));
    }
    assert_eq!(because(&world, messages[400]).0, WaitReason::Draining);
    world.run_for(60 * SECOND);
    assert!(world.live.is_empty());
    // caught up: fresh mail is not held back
    for _ in 0..100 {
        world.mail(site, 1);
    }
    world.run_for(2 * SECOND);
    assert!(world.live.is_empty());
}

#[test]
fn a_dead_next_hop_shared_by_many_destinations_costs_one_trial_per_step() {
    let mut world = World::running();
    world.down_hosts.insert(host(9));
    let sites: Vec<DestinationId> =
        (0..300).map(|n| world.site(&format!("d{n}.example"), &[host(9)])).collect();
    let messages: Vec<QueueId> =
        sites.iter().flat_map(|s| [*s; 5]).map(|site| world.mail(site, 1)).collect();
    world.run_for(6 * HOUR);
    world.check();
    // until the first failure is known the host lets its limit through; then steps
    let first = world.host_dials.iter().filter(|(at, _)| at.since(START) < MINUTE / 2).count();
    let trials = world.host_dials.len() - first;
    assert!(first <= 20, "{first}");
    assert!((13..=18).contains(&trials), "{trials} trials of the host");
    assert_eq!(world.host_ledger.len(), 1);
    assert!(world.ledger.is_empty(), "destinations are not down themselves");
    assert_eq!(world.ledger_writes as usize, 1 + trials);
    assert!(messages.iter().all(|id| because(&world, *id).0 == WaitReason::NextHopDown));

    world.down_hosts.clear();
    world.run_for(90 * MINUTE);
    assert!(world.live.is_empty(), "{} left", world.live.len());
    assert!(world.host_ledger.is_empty());
    let back = world.deliveries[0].0;
    let rates = per_second(world.deliveries.iter().map(|d| d.0), back);
    assert!(rates[0] <= 60 && rates.iter().all(|r| *r <= 400), "{rates:?}");
    let looks = world.dials.iter().map(|d| d.0).filter(|at| *at < back.minus(SECOND));
    let looks = per_second(looks, START.plus(MINUTE));
    assert!(looks.iter().all(|n| *n <= 30), "not all at once: {:?}", looks.iter().max());
}

#[test]
fn a_dead_host_is_passed_over_while_another_works() {
    let mut world = World::running();
    world.down_hosts.insert(host(1));
    let site = world.site("two.example", &[host(1), host(2)]);
    for _ in 0..200 {
        world.mail(site, 1);
        world.run_for(10 * SECOND);
    }
    world.run_for(MINUTE);
    assert_eq!(world.deliveries.len(), 200);
    assert!(world.ledger.is_empty());
    let dead = world.host_dials.iter().filter(|(_, h)| *h == host(1)).count();
    // 2000 seconds: 4 x 1 and about 6 x 5 minutes, and the first
    assert!((2..=12).contains(&dead), "{dead}");
}

#[test]
fn a_refused_extra_connection_is_no_outage() {
    let mut world = World::running();
    world.pace.transaction = 5 * SECOND;
    let site = world.site("narrow.example", &[host(1)]);
    world.mail(site, 1);
    world.run_for(SECOND);
    world.down_hosts.insert(host(1));
    for _ in 0..20 {
        world.mail(site, 1);
    }
    world.run_for(3 * MINUTE);
    assert!(world.live.is_empty(), "the standing connection did it all");
    assert!(world.ledger.is_empty() && world.host_ledger.is_empty());
    assert!(world.host_dials.len() < 30, "{}", world.host_dials.len());
}

#[test]
fn permanent_answers_end_every_message_and_leave_no_outage() {
    let mut world = World::running();
    world.check_every = 1;
    let site = world.site("typo.example", &[]);
    world.sites.get_mut(&site).expect("known").dns_down = true;
    for _ in 0..50 {
        world.mail(site, 2);
    }
    world.run_for(10 * MINUTE);
    assert_eq!(world.ledger.len(), 1);
    let name = world.sites.get_mut(&site).expect("known");
    (name.dns_down, name.no_such_domain) = (false, true);
    world.run_for(10 * MINUTE);
    assert!(world.live.is_empty() && world.ledger.is_empty());
    assert!(world.ends.values().all(|end| *end == End::Failed));
}

#[test]
fn temporary_failures_follow_the_schedule_and_expire() {
    let mut world = World::running();
    let site = world.site("grey.example", &[host(1)]);
    world.sites.get_mut(&site).expect("known").deferred = 100;
    let id = world.mail(site, 1);
    let mut tries = Vec::new();
    while let Some((_, state)) = world.live.get(&(id, 0)).copied() {
        if tries.last().is_none_or(|(n, _)| *n != state.attempts) {
            tries.push((state.attempts, world.now));
        }
        world.run_for(5 * SECOND);
    }
    let minutes: Vec<u64> =
        tries[1..].windows(2).map(|w| w[1].1.since(w[0].1).as_secs() / 60).collect();
    let nominal = [5, 5, 5, 5, 5, 5, 10, 30, 60, 60, 60];
    for (n, (got, want)) in minutes.iter().zip(nominal).enumerate() {
        let (low, high) = (want * 80 / 100 - 1, want * 120 / 100 + 1);
        assert!((low..=high).contains(got), "retry {n} after {got} min: {minutes:?}");
    }
    assert_eq!(world.ends[&(id, 0)], End::Expired);
    let end = world.now.since(START);
    assert!(end >= 5 * DAY && end < 5 * DAY + MINUTE, "{end:?}");
    let last = tries.last().expect("many").1;
    assert!(world.now.since(last) < 20 * MINUTE, "a last try is made before the end");
}

#[test]
fn everything_expires_in_every_state() {
    let mut world = World::running();
    world.check_every = 1;
    let dead = world.site("dead.example", &[]);
    world.sites.get_mut(&dead).expect("known").dns_down = true;
    let (waits, held) = (world.mail(dead, 1), world.mail(dead, 1));
    let parked = QueueId::from_u64(QueueId::first_at(START).as_u64() + 1_000);
    let poison = RecipientState { life: Life::Poison, crashes: 2, ..RecipientState::default() };
    world.insert(parked, START, &[(0, dead, poison)]);
    let changed = world.scheduler.hold(world.now, held, None);
    world.book(&changed);
    world.check_every = 0;
    assert_eq!(because(&world, parked), (WaitReason::Poison, None));
    world.run_for(5 * DAY - MINUTE);
    assert_eq!(world.ends.len(), 0);
    world.run_for(2 * MINUTE);
    world.check();
    assert_eq!(world.ends[&(waits, 0)], End::Expired);
    assert_eq!(world.ends[&(held, 0)], End::Expired);
    assert_eq!(world.ends[&(parked, 0)], End::Expired);
    assert!(world.live.is_empty());
    // what was down and has no mail is forgotten, and the ledger told
    world.run_for(HOUR);
    world.scheduler.destination(world.now, "other.example", "default");
    world.drive();
    assert!(world.ledger.is_empty());
}

#[test]
fn routes_have_their_own_schedules_and_lifetimes() {
    let mut settings = Settings::default();
    let own = RouteSettings { schedule: Some(Schedule::exchange()), ..Default::default() };
    settings.routes.insert("exchange".into(), own);
    let short = RouteSettings { expire_after: Some(HOUR), ..Default::default() };
    settings.routes.insert("short".into(), short);
    let mut world = World::new(settings);
    world.scheduler.start(world.now);
    let sites: Vec<DestinationId> = ["default", "exchange", "short"]
        .iter()
        .map(|route| {
            let id = world.scheduler.destination(world.now, "same.example", route);
            let site = crate::world::Site { dns_down: true, ..Default::default() };
            world.sites.insert(id, site);
            id
        })
        .collect();
    let id = world.mail_to(&sites);
    for (time, left) in [(HOUR, 2), (2 * DAY, 1), (5 * DAY, 0)] {
        world.run_until(START.plus(time).plus(SECOND));
        assert_eq!(world.live.len(), left, "after {time:?}");
    }
    assert!((0..3).all(|n| world.ends[&(id, n)] == End::Expired));
}

#[test]
fn a_shorter_lifetime_holds_from_the_reload_on() {
    let mut world = World::running();
    let site = world.site("dead.example", &[]);
    world.sites.get_mut(&site).expect("known").dns_down = true;
    world.mail(site, 1);
    world.run_for(DAY);
    let schedule = Schedule { expire_after: DAY / 2, ..Schedule::default() };
    world.scheduler.set_settings(world.now, Settings { schedule, ..Settings::default() });
    world.run_for(SECOND);
    assert_eq!(world.ends.len(), 1);
}

#[test]
fn a_giant_does_not_starve_the_small() {
    let mut world = World::new(Settings {
        limits: Limits { connections: 4, ..Limits::default() },
        ..Settings::default()
    });
    world.scheduler.start(world.now);
    let giant = world.site("giant.example", &[host(1), host(2), host(3)]);
    for _ in 0..5_000 {
        world.mail(giant, 1);
    }
    world.run_for(5 * SECOND);
    let small: Vec<DestinationId> =
        (0..20).map(|n| world.site(&format!("small{n}.example"), &[host(100 + n)])).collect();
    for site in &small {
        world.mail(*site, 1);
    }
    world.check();
    world.run_for(2 * MINUTE);
    let served: BTreeMap<DestinationId, usize> =
        world.deliveries.iter().fold(BTreeMap::new(), |mut map, (_, d)| {
            *map.entry(*d).or_default() += 1;
            map
        });
    assert!(small.iter().all(|s| served.get(s) == Some(&1)), "{served:?}");
}

#[test]
fn old_retries_and_fresh_mail_do_not_starve_each_other() {
    let mut world = World::running();
    let limits = Limits { destination_max: 1, ..Limits::default() };
    world.scheduler.set_settings(world.now, Settings { limits, ..Settings::default() });
    let site = world.site("busy.example", &[host(1)]);
    world.sites.get_mut(&site).expect("known").deferred = 100;
    let old = world.mail(site, 1);
    world.run_for(10 * SECOND);
    world.sites.get_mut(&site).expect("known").deferred = 0;
    // more fresh mail than one connection takes, for half an hour
    for _ in 0..1_800 {
        for _ in 0..25 {
            world.mail(site, 1);
        }
        world.run_for(SECOND);
    }
    assert_eq!(world.ends.get(&(old, 0)), Some(&End::Delivered));
    let fresh = world.scheduler.messages(world.now, QueueId::MIN, 1);
    assert!(world.now.since(fresh[0].received) < 12 * MINUTE, "first in, first out");
}

#[test]
fn a_restart_is_no_stampede_and_forgets_no_outage() {
    let mut world = World::new(Settings::default());
    world.pace.transaction = Duration::from_millis(1);
    let long_ago = START.minus(HOUR);
    let due = RecipientState { due: long_ago, attempts: 1, failures: 1, ..Default::default() };
    for n in 0..2_000u64 {
        let site = world.site(&format!("d{}.example", n % 500), &[host((n % 50) as u16)]);
        let id = QueueId::from_u64(QueueId::first_at(long_ago).as_u64() + n);
        world.insert(id, long_ago, &[(0, site, due)]);
    }
    let down =
        DestinationState { since: long_ago, failures: 7, next_trial: START.plus(3 * MINUTE) };
    let dead = world.scheduler.restore_down(world.now, "d0.example", "default", down);
    world.ledger.insert("d0.example".into(), down);
    world.scheduler.restore_host(world.now, host(1), down);
    world.host_ledger.insert(host(1), down);
    assert_eq!(world.scheduler.next_wakeup(world.now), None);
    assert_eq!(world.scheduler.next(world.now), None);
    world.drive();
    world.check();

    world.scheduler.start(world.now);
    world.run_for(2 * MINUTE);
    let rates = per_second(world.dials.iter().map(|d| d.0), START);
    for (second, rate) in rates.iter().enumerate() {
        assert!(*rate <= (10 << second.min(7)).min(1000) + 1, "{rates:?}");
    }
    assert!(world.dials.iter().all(|(_, d, _)| *d != dead), "it waits for its step");
    assert!(world.host_dials.iter().all(|(_, h)| *h != host(1)));
    world.run_for(30 * MINUTE);
    assert!(world.live.is_empty(), "{} left", world.live.len());
    assert!(world.ledger.is_empty() && world.host_ledger.is_empty());
}

#[test]
fn a_stop_begins_nothing_new() {
    let mut world = World::running();
    let site = world.site("example.org", &[host(1)]);
    let ids: Vec<QueueId> = (0..100).map(|_| world.mail(site, 1)).collect();
    world.run_for(Duration::from_millis(30));
    world.scheduler.stop();
    let flying = world.in_flight.len();
    world.run_for(MINUTE);
    assert_eq!(world.deliveries.len(), flying);
    assert_eq!(world.scheduler.connections(), 0);
    assert_eq!(because(&world, ids[99]).0, WaitReason::NotRunning);
}

#[test]
fn a_busy_next_hop_serves_all_its_destinations_in_turn() {
    let mut world = World::running();
    let sites: Vec<DestinationId> =
        (0..200).map(|n| world.site(&format!("d{n}.example"), &[host(5)])).collect();
    for site in sites.iter().flat_map(|s| [*s; 10]) {
        world.mail(site, 1);
    }
    world.run_for(SECOND);
    world.check();
    world.run_for(5 * MINUTE);
    world.check();
    assert!(world.live.is_empty(), "{} left", world.live.len());
}

#[test]
fn listings_come_in_slices() {
    let mut world = World::new(Settings::default());
    for name in ["c.example", "a.example", "b.example"] {
        let site = world.site(name, &[host(1)]);
        world.mail(site, 2);
    }
    let first = world.scheduler.destinations(world.now, None, 2);
    let names: Vec<&str> = first.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["a.example", "b.example"]);
    let after = Some(("b.example", "default"));
    let rest = world.scheduler.destinations(world.now, after, 2);
    assert_eq!(rest.len(), 1);
    assert_eq!((rest[0].recipients, rest[0].messages, rest[0].oldest), (2, 1, Some(START)));
    assert_eq!(rest[0].status, DestinationStatus::Ready);
    let messages = world.scheduler.messages(world.now, QueueId::MIN, 2);
    assert_eq!(messages.len(), 2);
    assert_eq!(world.scheduler.messages(world.now, messages[1].id, 2).len(), 1);
    assert_eq!(messages[0].recipients[1].number, 1);
}

#[test]
fn mail_without_a_route_waits_for_one_and_expires_without() {
    let mut world = World::running();
    let lost = world.scheduler.destination(world.now, "nowhere.example", NO_ROUTE);
    let (finds, never) = (world.mail(lost, 2), world.mail(lost, 1));
    world.run_for(HOUR);
    world.check();
    assert_eq!(because(&world, finds), (WaitReason::NoRoute, None));
    let found = world.site("nowhere.example", &[host(1)]);
    assert_eq!(world.scheduler.reroute(world.now, finds, &[(0, found), (7, found)]), Ok(1));
    world.live.get_mut(&(finds, 0)).expect("it waits").0 = found;
    world.run_for(10 * SECOND);
    world.check();
    assert_eq!(world.ends.get(&(finds, 0)), Some(&End::Delivered));
    world.run_for(5 * DAY);
    assert_eq!(world.ends.get(&(finds, 1)), Some(&End::Expired));
    assert_eq!(world.ends.get(&(never, 0)), Some(&End::Expired));
}

#[test]
fn idle_connections_give_way_when_all_are_in_use() {
    let mut world = World::running();
    world.pace.keep = HOUR;
    let limits = Limits { connections: 3, ..Limits::default() };
    world.scheduler.set_settings(world.now, Settings { limits, ..Settings::default() });
    for n in 0..12 {
        let site = world.site(&format!("d{n}.example"), &[host(n)]);
        world.mail(site, 1);
        world.run_for(SECOND);
    }
    assert_eq!(world.deliveries.len(), 12);
    assert_eq!(world.scheduler.connections(), 3);
}

#[test]
fn a_destination_that_waits_for_its_own_host_keeps_its_idle_connections() {
    let mut world = World::running();
    world.pace.keep = HOUR;
    let limits = Limits { host: 2, ..Limits::default() };
    world.scheduler.set_settings(world.now, Settings { limits, ..Settings::default() });
    let site = world.site("busy.example", &[host(1)]);
    for _ in 0..30 {
        for _ in 0..3 {
            world.mail(site, 1);
        }
        world.run_for(10 * SECOND);
    }
    assert_eq!(world.deliveries.len(), 90);
    assert!(world.host_dials.len() <= 4, "{} connections for one host", world.host_dials.len());
}
