//! Senders are told: when their mail is delayed, and at last of its end.

use crate::world::{START, Site, World, host};
use posthaste_evidence::WaitReason;
use posthaste_mail::{QueueId, Timestamp};
use posthaste_queue::*;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn with(delay: DelayRule) -> World {
    let schedule = Schedule { delay, jitter: 0, ..Schedule::default() };
    let mut world = World::new(Settings { schedule, ..Settings::default() });
    world.scheduler.start(world.now);
    world
}

fn down(world: &mut World, name: &str) -> DestinationId {
    let id = world.site(name, &[]);
    world.sites.insert(id, Site { dns_down: true, ..Site::default() });
    id
}

fn at(time: Duration) -> Timestamp {
    START.plus(time)
}

#[test]
fn a_sender_is_told_once_and_to_the_second() {
    let mut world = with(DelayRule::default());
    let (dead, dying) = (down(&mut world, "dead.example"), down(&mut world, "dying.example"));
    let id = world.mail_to(&[dead, dying, dead]);
    let view = world.scheduler.message(world.now, id).expect("queued");
    assert!(view.recipients.iter().all(|r| r.notice_at == Some(at(4 * HOUR))));
    world.run_for(4 * DAY);
    assert_eq!(world.warnings, [(at(4 * HOUR), id, vec![0, 1, 2])]);
    assert!(world.live.values().all(|(_, state)| state.warned == 1));
    world.crash(world.scheduler.settings().clone());
    world.run_for(2 * DAY);
    assert_eq!((world.warnings.len(), world.live.len()), (1, 0));
}

#[test]
fn a_sender_who_does_not_want_to_know_is_asked_once() {
    let mut world = with(DelayRule { repeat: Some(DAY), ..DelayRule::default() });
    let dead = down(&mut world, "dead.example");
    let id = world.mail(dead, 2);
    world.unwanted.insert(id);
    world.run_for(3 * DAY);
    assert!(world.live.values().all(|(_, state)| state.warned == 0));
    world.unwanted.clear();
    world.run_for(2 * DAY - MINUTE);
    assert_eq!(
        world.warnings,
        [(at(4 * HOUR + 3 * DAY), id, vec![0, 1]), (at(4 * HOUR + 4 * DAY), id, vec![0, 1])]
    );
}

#[test]
fn what_is_in_flight_decides_first() {
    let mut world = with(DelayRule::default());
    world.pace.transaction = 10 * MINUTE;
    world.run_until(at(4 * HOUR - 2 * MINUTE));
    let (slow, dead) = (world.site("slow.example", &[host(1)]), down(&mut world, "dead.example"));
    let received = START;
    let id = QueueId::from_u64(QueueId::first_at(START).as_u64() + 77);
    let state = RecipientState::default();
    world.insert(id, received, &[(0, slow, state), (1, dead, state)]);
    // The notice waits for the attempt that was under way, which delivers.
    world.run_for(HOUR);
    let [(told, about, whom)] = &world.warnings[..] else { panic!("{:?}", world.warnings) };
    assert_eq!((about, &whom[..]), (&id, &[1][..]));
    let end = at(4 * HOUR + 8 * MINUTE);
    assert!(*told >= end && *told < end.plus(SECOND), "{told}");
}

#[test]
fn at_failure_waits_for_a_failure_and_writes_nothing_else() {
    let mut world = with(DelayRule { at_failure: true, ..DelayRule::default() });
    let dead = down(&mut world, "dead.example");
    for _ in 0..100 {
        world.mail(dead, 1);
    }
    world.run_for(6 * HOUR);
    let trials: Vec<_> = world.dials.iter().filter(|(at, ..)| *at >= self::at(4 * HOUR)).collect();
    assert_eq!(world.warnings.len(), 100);
    let told = trials[0].0.plus(world.pace.connect);
    assert!(world.warnings.iter().all(|(at, ..)| *at == told), "with the first trial");
}

#[test]
fn probes_put_off_the_end() {
    let mut world = with(DelayRule::default());
    world.probes = Some(MINUTE);
    let site = world.site("no.example", &[host(1)]);
    world.sites.insert(site, Site { no_such_domain: true, ..Site::default() });
    let id = world.mail(site, 2);
    world.run_for(30 * SECOND);
    assert!(world.live.values().all(|(_, state)| state.life == Life::Failing));
    let Some(Waiting::Because { reason, until: Some(until) }) =
        world.scheduler.wait_reason(world.now, id, 0)
    else {
        panic!()
    };
    assert_eq!(reason, WaitReason::NoticePendingProbe);
    world.check();
    world.crash(world.scheduler.settings().clone());
    world.run_until(until.minus(SECOND));
    assert_eq!(world.live.len(), 2);
    world.run_until(until);
    assert_eq!((world.live.len(), world.ends.len()), (0, 2));
    assert!(world.scheduler.is_empty());
}

#[test]
fn probes_that_end_early_are_told_at_once() {
    let mut world = with(DelayRule::default());
    world.probes = Some(MINUTE);
    let dead = down(&mut world, "dead.example");
    let id = world.mail(dead, 1);
    world.run_until(at(5 * DAY));
    assert_eq!(world.live[&(id, 0)].1.life, Life::Expiring);
    world.scheduler.tell(world.now, id);
    world.run_for(SECOND);
    assert_eq!(world.ends.get(&(id, 0)), Some(&crate::world::End::Expired));
}

/// Recipients of one message on routes with these delays, hours; 0 for none.
fn on_routes(delays: &[u32]) -> (World, QueueId) {
    let mut settings = Settings::default();
    settings.schedule.jitter = 0;
    for hours in delays {
        let own = RouteSettings { delay_after: Some(*hours * HOUR), ..Default::default() };
        settings.routes.insert(format!("after-{hours}"), own);
    }
    let mut world = World::new(settings);
    world.scheduler.start(world.now);
    let sites: Vec<DestinationId> = delays
        .iter()
        .map(|hours| {
            let id =
                world.scheduler.destination(world.now, "dead.example", &format!("after-{hours}"));
            world.sites.insert(id, Site { dns_down: true, ..Site::default() });
            id
        })
        .collect();
    let id = world.mail_to(&sites);
    (world, id)
}

#[test]
fn one_notice_names_all_that_wait_but_those_of_routes_without() {
    let (mut world, id) = on_routes(&[6, 2, 0, 3]);
    world.run_for(4 * DAY);
    assert_eq!(world.warnings, [(at(2 * HOUR), id, vec![0, 1, 3])]);
}

#[test]
fn a_reload_moves_the_time_but_never_tells_twice() {
    for (hours, expected) in [(8, vec![8]), (1, vec![3]), (0, vec![])] {
        let mut world = with(DelayRule::default());
        let dead = down(&mut world, "dead.example");
        let id = world.mail(dead, 1);
        world.run_for(3 * HOUR);
        let reload = |world: &mut World, hours: u32| {
            let mut settings = world.scheduler.settings().clone();
            settings.schedule.delay.after = hours * HOUR;
            world.scheduler.set_settings(world.now, settings);
        };
        reload(&mut world, hours);
        world.run_for(20 * HOUR);
        // Told already: no other time tells it again.
        reload(&mut world, if hours == 0 { 0 } else { 2 });
        world.run_for(20 * HOUR);
        let expected: Vec<_> =
            expected.iter().map(|hours| (at(*hours * HOUR), id, vec![0])).collect();
        assert_eq!(world.warnings, expected, "after {hours} h");
    }
}

#[test]
fn nights_in_which_nothing_ran_are_told_once() {
    let mut world = with(DelayRule { repeat: Some(DAY), ..DelayRule::default() });
    let dead = down(&mut world, "dead.example");
    let id = world.mail(dead, 1);
    world.run_for(5 * HOUR);
    world.scheduler.stop();
    world.run_for(3 * DAY);
    world.scheduler.start(world.now);
    let back = world.now;
    world.run_until(at(5 * DAY - SECOND));
    let times: Vec<Timestamp> = world.warnings.iter().map(|warning| warning.0).collect();
    assert_eq!(times, [at(4 * HOUR), back, at(4 * HOUR + 4 * DAY)], "{id}");
    // The third and the fourth were one.
    assert_eq!(world.live[&(id, 0)].1.warned, 5);
}

#[test]
fn a_lifetime_that_ends_before_knows_no_delay() {
    for (lifetime, told) in [(4 * HOUR, 0), (4 * HOUR + SECOND, 1)] {
        let mut world = with(DelayRule::default());
        let mut settings = world.scheduler.settings().clone();
        settings.schedule.expire_after = lifetime;
        world.scheduler.set_settings(world.now, settings);
        let dead = down(&mut world, "dead.example");
        let id = world.mail(dead, 1);
        let view = world.scheduler.message(world.now, id).expect("queued");
        assert_eq!(view.recipients[0].notice_at.is_some(), told == 1);
        world.run_for(DAY);
        assert_eq!((world.warnings.len(), world.ends.len()), (told, 1));
    }
}

#[test]
fn a_start_after_the_end_of_its_time_tells_the_end_only() {
    let mut world = World::new(Settings::default());
    let dead = world.site("dead.example", &[]);
    let ids = [5 * DAY, 5 * DAY - SECOND].map(|age| {
        let received = START.minus(age);
        let id = QueueId::from_u64(QueueId::first_at(received).as_u64() + 1);
        world.insert(id, received, &[(0, dead, RecipientState::default())]);
        id
    });
    world.scheduler.start(world.now);
    world.drive();
    assert_eq!(world.warnings, [(START, ids[1], vec![0])]);
    assert!(world.ends.contains_key(&(ids[0], 0)));
}

#[test]
fn our_own_notices_know_no_delay_and_live_a_day() {
    let mut world = with(DelayRule::default());
    let dead = down(&mut world, "dead.example");
    let state = RecipientState::default();
    let id = QueueId::from_u64(QueueId::first_at(START).as_u64() + 1000);
    let recipients = [(0, dead, state)];
    let item = Item { id, received: START, size: 7, notice: true, recipients: &recipients };
    world.scheduler.insert(world.now, &item).expect("new");
    world.received.insert(id, START);
    world.live.insert((id, 0), (dead, state));
    let other = world.mail(dead, 1);
    let view = world.scheduler.message(world.now, id).expect("queued").recipients[0];
    assert_eq!((view.notice_at, view.expires), (None, at(DAY)));
    world.run_for(DAY - SECOND);
    assert_eq!((world.warnings.len(), world.ends.len()), (1, 0));
    world.run_for(SECOND);
    assert_eq!(world.ends.keys().collect::<Vec<_>>(), [&(id, 0)]);
    assert!(world.live.contains_key(&(other, 0)));
}

#[test]
fn held_mail_is_delayed_too_and_a_hold_never_hides_a_failure() {
    for at_failure in [false, true] {
        let mut world = with(DelayRule { at_failure, ..DelayRule::default() });
        let site = world.site("held.example", &[host(1)]);
        let id = world.mail(site, 1);
        let changed = world.scheduler.hold(world.now, id, None);
        world.book(&changed);
        let parked = RecipientState { life: Life::Poison, crashes: 2, ..Default::default() };
        let poison = QueueId::from_u64(id.as_u64() + 1000);
        world.insert(poison, START, &[(0, site, parked)]);
        world.run_for(DAY);
        // No attempt can fail: it is told all the same, later.
        let told = at(if at_failure { 6 * HOUR } else { 4 * HOUR });
        assert_eq!(world.warnings, [(told, id, vec![0]), (told, poison, vec![0])]);
        assert_eq!(world.live[&(id, 0)].1.life, Life::Held);
    }
}

#[test]
fn at_failure_one_recipient_s_own_deferral_is_enough() {
    let mut world = with(DelayRule { at_failure: true, ..DelayRule::default() });
    let full = world.site("full.example", &[host(1)]);
    world.sites.get_mut(&full).expect("known").deferred = 100;
    let id = world.mail(full, 2);
    world.run_for(4 * HOUR);
    assert!(world.warnings.is_empty());
    world.run_for(70 * MINUTE);
    let [(told, about, whom)] = &world.warnings[..] else { panic!("{:?}", world.warnings) };
    assert_eq!((about, &whom[..]), (&id, &[0, 1][..]));
    let view = world.scheduler.message(world.now, id).expect("queued");
    assert_eq!(view.recipients[0].state.due, told.plus(HOUR), "when its attempt ended");
}

#[test]
fn the_exchange_schedule_tells_what_the_founding_story_tells() {
    let mut world = World::new(Settings { schedule: Schedule::exchange(), ..Settings::default() });
    world.pace.connect = 20 * SECOND;
    world.scheduler.start(world.now);
    let dead = down(&mut world, "dead.example");
    let id = world.mail(dead, 1);
    world.run_for(DAY);
    let [(told, about, _)] = &world.warnings[..] else { panic!("{:?}", world.warnings) };
    let left = START.plus(2 * DAY).since(*told);
    let minutes = left.as_secs() / 60 - (24 + 19) * 60;
    assert!(*about == id && (53..=56).contains(&minutes), "{minutes} minutes");
}

#[test]
fn a_recipient_that_goes_elsewhere_keeps_what_it_was_told() {
    let (mut world, id) = on_routes(&[2, 9]);
    world.run_for(3 * HOUR);
    let of = |world: &mut World, hours: u32| {
        world.scheduler.destination(world.now, "dead.example", &format!("after-{hours}"))
    };
    let (two, nine) = (of(&mut world, 2), of(&mut world, 9));
    world.scheduler.reroute(world.now, id, &[(0, nine), (1, two)]).expect("known");
    for (key, to) in [((id, 0), nine), ((id, 1), two)] {
        world.live.get_mut(&key).expect("live").0 = to;
    }
    // Fresh mail goes from the late route to the early one, and is due there.
    let fresh = world.mail_to(&[nine]);
    world.run_for(3 * HOUR);
    world.scheduler.reroute(world.now, fresh, &[(0, two)]).expect("known");
    world.live.get_mut(&(fresh, 0)).expect("live").0 = two;
    let moved = world.now;
    world.run_for(DAY);
    assert_eq!(world.warnings, [(at(2 * HOUR), id, vec![0, 1]), (moved, fresh, vec![0])]);
}

#[test]
fn the_operator_ends_what_waits_for_probes() {
    let mut world = with(DelayRule::default());
    world.probes = Some(HOUR);
    let site = world.site("no.example", &[host(1)]);
    world.sites.insert(site, Site { no_such_domain: true, ..Site::default() });
    let id = world.mail(site, 3);
    world.run_for(MINUTE);
    let now = world.now;
    for act in [Scheduler::hold, Scheduler::release, Scheduler::retry_message] {
        assert!(act(&mut world.scheduler, now, id, None).is_empty(), "its end is decided");
    }
    let removed = world.scheduler.remove(now, id, Some(0));
    assert_eq!(removed[0].transition.kind, TransitionKind::Removed);
    let bounced = world.scheduler.bounce(now, id, Some(1));
    assert_eq!(bounced[0].transition.kind, TransitionKind::Bounced);
    world.book(&removed);
    world.book(&bounced);
    world.run_for(2 * HOUR);
    use crate::world::End;
    let ends: Vec<End> = world.ends.values().copied().collect();
    assert_eq!(ends, [End::Removed, End::Failed, End::Failed]);
    assert!(world.warnings.is_empty());
}
