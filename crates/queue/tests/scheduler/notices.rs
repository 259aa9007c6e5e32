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
