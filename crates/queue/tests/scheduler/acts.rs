//! Acts of the operator, in every state of a recipient.

use crate::stories::because;
use crate::world::{End, World, host};
use posthaste_evidence::WaitReason;
use posthaste_mail::QueueId;
use posthaste_queue::{DestinationStatus, TransitionKind};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn hold_and_remove_in_flight_act_when_the_attempt_ends() {
    for (deferred, held_end, removed_end) in
        [(0, Some(End::Delivered), Some(End::Delivered)), (100, None, Some(End::Removed))]
    {
        let mut world = World::running();
        world.pace.transaction = 10 * SECOND;
        let site = world.site("slow.example", &[host(1)]);
        world.sites.get_mut(&site).expect("known").deferred = deferred;
        let (held, removed, kept) = (world.mail(site, 1), world.mail(site, 1), world.mail(site, 1));
        world.run_for(5 * SECOND);
        assert_eq!(world.in_flight.len(), 3);
        assert!(world.scheduler.hold(world.now, held, None).is_empty());
        assert!(world.scheduler.remove(world.now, removed, None).is_empty());
        assert!(world.scheduler.hold(world.now, kept, None).is_empty());
        assert!(world.scheduler.release(world.now, kept, None).is_empty(), "taken back");
        world.run_for(10 * SECOND);
        world.check();
        assert_eq!(world.ends.get(&(held, 0)).copied(), held_end);
        assert_eq!(world.ends.get(&(removed, 0)).copied(), removed_end);
        if deferred == 100 {
            assert_eq!(because(&world, held).0, WaitReason::Held);
            assert_eq!(because(&world, kept).0, WaitReason::Retry);
            assert_eq!(world.live[&(held, 0)].1.attempts, 1);
        }
    }
}

#[test]
fn a_bounce_ends_it_at_once_or_when_the_attempt_has_ended() {
    for (deferred, flying) in [(0, End::Delivered), (100, End::Failed)] {
        let mut world = World::running();
        world.pace.transaction = 10 * SECOND;
        let site = world.site("slow.example", &[host(1)]);
        world.sites.get_mut(&site).expect("known").deferred = deferred;
        let (in_flight, removed) = (world.mail(site, 1), world.mail(site, 1));
        world.run_for(5 * SECOND);
        let waiting = world.mail(site, 2);
        let changed = world.scheduler.hold(world.now, waiting, Some(1));
        world.book(&changed);
        let changed = world.scheduler.bounce(world.now, waiting, None);
        assert!(changed.iter().all(|c| c.transition.kind == TransitionKind::Bounced));
        world.book(&changed);
        assert_eq!(world.ends.get(&(waiting, 0)), Some(&End::Failed));
        assert_eq!(world.ends.get(&(waiting, 1)), Some(&End::Failed), "held or not");
        assert!(world.scheduler.bounce(world.now, in_flight, None).is_empty());
        assert!(world.scheduler.remove(world.now, removed, None).is_empty());
        assert!(world.scheduler.bounce(world.now, removed, None).is_empty());
        world.run_for(10 * SECOND);
        world.check();
        assert_eq!(world.ends.get(&(in_flight, 0)), Some(&flying));
        let gone = if deferred == 0 { End::Delivered } else { End::Removed };
        assert_eq!(world.ends.get(&(removed, 0)), Some(&gone), "a removal stays one");
    }
}

#[test]
fn a_held_destination_waits_whole_later_mail_too_and_touches_no_message() {
    let mut world = World::running();
    let site = world.site("slow.example", &[host(1)]);
    let other = world.site("other.example", &[host(1)]);
    world.pace.transaction = 10 * SECOND;
    let flying = world.mail(site, 1);
    world.run_for(SECOND);
    world.hold_destination("slow.example", true);
    let later = world.mail(site, 1);
    let elsewhere = world.mail(other, 1);
    assert_eq!(because(&world, later), (WaitReason::DestinationHeld, None));
    world.run_for(HOUR);
    world.check();
    assert_eq!(world.ends.get(&(flying, 0)), Some(&End::Delivered), "its attempt ended");
    assert_eq!(world.ends.get(&(elsewhere, 0)), Some(&End::Delivered));
    assert_eq!(world.live[&(later, 0)].1, Default::default(), "no message is touched");
    let view = world.scheduler.destination_view(world.now, site).expect("it has mail");
    assert_eq!((view.status, view.next_attempt), (DestinationStatus::Held, None));
    let changed = world.scheduler.retry_message(world.now, later, None);
    world.book(&changed);
    world.run_for(HOUR);
    assert_eq!(world.scheduler.held_destinations().collect::<Vec<_>>(), ["slow.example"]);
    world.hold_destination("slow.example", false);
    world.run_for(MINUTE);
    assert!(world.live.is_empty());
}

#[test]
fn a_held_destination_leaves_the_trial_of_a_shared_host_to_others() {
    let mut world = World::running();
    let held = world.site("held.example", &[host(1)]);
    let other = world.site("other.example", &[host(1)]);
    world.down_hosts.insert(host(1));
    world.mail(held, 1);
    world.run_for(SECOND);
    world.mail(other, 1);
    world.run_for(MINUTE);
    world.hold_destination("held.example", true);
    world.down_hosts.clear();
    world.run_for(DAY);
    world.check();
    assert_eq!(world.live.len(), 1, "only what is held waits: {:?}", world.live);
    world.hold_destination("held.example", false);
    world.run_for(HOUR);
    assert!(world.live.is_empty());
}

#[test]
fn an_act_on_work_that_is_put_back_is_not_lost() {
    let mut world = World::running();
    world.pace.connect = MINUTE;
    let site = world.site("dead.example", &[]);
    world.sites.get_mut(&site).expect("known").dns_down = true;
    let messages: Vec<QueueId> = (0..5).map(|_| world.mail(site, 1)).collect();
    world.run_for(SECOND);
    for id in &messages {
        let changed = world.scheduler.remove(world.now, *id, None);
        world.book(&changed);
    }
    world.run_for(2 * MINUTE);
    world.check();
    assert_eq!(world.ends.len(), 5);
    assert!(world.scheduler.is_empty());
}

#[test]
fn hold_release_retry_and_remove_while_waiting() {
    let mut world = World::running();
    let site = world.site("grey.example", &[host(1)]);
    world.sites.get_mut(&site).expect("known").deferred = 100;
    let ids: Vec<QueueId> = (0..4).map(|_| world.mail(site, 2)).collect();
    world.run_for(30 * SECOND);
    world.sites.get_mut(&site).expect("known").deferred = 0;
    let changed = world.scheduler.hold(world.now, ids[0], Some(1));
    world.book(&changed);
    let changed = world.scheduler.retry_message(world.now, ids[1], None);
    assert_eq!(changed.len(), 2);
    world.book(&changed);
    let changed = world.scheduler.remove(world.now, ids[2], None);
    world.book(&changed);
    world.run_for(10 * SECOND);
    world.check();
    assert_eq!(world.ends.get(&(ids[1], 0)), Some(&End::Delivered));
    assert_eq!(world.ends.get(&(ids[2], 1)), Some(&End::Removed));
    world.run_for(DAY);
    assert_eq!(world.live.keys().collect::<Vec<_>>(), [&(ids[0], 1)]);
    let view = world.scheduler.destination_view(world.now, site).expect("it has mail");
    assert_eq!((view.status, view.held, view.next_attempt), (DestinationStatus::Held, 1, None));
    let changed = world.scheduler.release(world.now, ids[0], None);
    world.book(&changed);
    world.run_for(10 * SECOND);
    assert!(world.live.is_empty());
}

#[test]
fn retrying_a_destination_is_a_trial_now_and_touches_only_what_waits_for_a_time() {
    let mut world = World::running();
    let site = world.site("dead.example", &[host(1)]);
    world.down_hosts.insert(host(1));
    for _ in 0..50 {
        world.mail(site, 1);
    }
    world.run_for(20 * HOUR);
    world.down_hosts.clear();
    let dials = world.dials.len();
    assert!(world.scheduler.retry_destination(world.now, site, 10).is_empty());
    world.run_for(10 * SECOND);
    assert!(world.dials.len() > dials);
    assert!(world.live.is_empty() && world.host_ledger.is_empty());

    world.sites.get_mut(&site).expect("known").deferred = 100;
    for _ in 0..25 {
        world.mail(site, 1);
    }
    world.run_for(10 * SECOND);
    world.sites.get_mut(&site).expect("known").deferred = 0;
    let mut slices = Vec::new();
    loop {
        let changed = world.scheduler.retry_destination(world.now, site, 10);
        if changed.is_empty() {
            break;
        }
        world.book(&changed);
        slices.push(changed.len());
    }
    assert_eq!(slices, [10, 10, 5]);
    world.run_for(10 * SECOND);
    assert!(world.live.is_empty());
}
