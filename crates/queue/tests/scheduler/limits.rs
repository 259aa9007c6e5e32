//! What destinations of one route share: connections, messages a minute, a hold.

use crate::stories::because;
use crate::world::{World, host};
use posthaste_evidence::{FaultClass, Outcome, WaitReason};
use posthaste_queue::{
    DestinationId, DestinationStatus, Next, Pulled, RouteSettings, Settings, Tried,
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn settings(route: RouteSettings) -> Settings {
    let mut settings = Settings::default();
    settings.routes.insert("default".into(), route);
    settings
}

fn world(route: RouteSettings) -> World {
    let mut world = World::new(settings(route));
    world.scheduler.start(world.now);
    world
}

fn sites(world: &mut World, count: u16) -> Vec<DestinationId> {
    (0..count).map(|n| world.site(&format!("d{n}.example"), &[host(n)])).collect()
}

#[test]
fn messages_a_minute_are_spread_evenly_over_all_destinations() {
    let mut world = world(RouteSettings { messages_per_minute: Some(60), ..Default::default() });
    let sites = sites(&mut world, 5);
    let mut last = None;
    for site in &sites {
        for _ in 0..8 {
            last = Some(world.mail(*site, 1));
        }
    }
    world.run_for(SECOND);
    let (reason, until) = because(&world, last.expect("sent"));
    assert_eq!(reason, WaitReason::RouteRate);
    assert!(until.expect("a time").since(world.now) <= SECOND);
    for second in [10, 20, 30] {
        world.run_until(crate::world::START.plus(SECOND * second));
        world.check();
        let done = world.ends.len();
        let expected = usize::try_from(second).expect("small");
        assert!((expected - 1..=expected + 2).contains(&done), "{done} after {second} s");
    }
    let without = Settings::default();
    world.scheduler.set_settings(world.now, without);
    world.run_for(5 * SECOND);
    assert!(world.live.is_empty(), "without the limit nothing waits");
}

#[test]
fn a_route_opens_no_more_connections_than_it_is_allowed_and_nobody_starves() {
    let mut world = world(RouteSettings { connections: Some(2), ..Default::default() });
    world.pace.transaction = SECOND;
    let sites = sites(&mut world, 6);
    let mut waiting = Vec::new();
    for site in &sites {
        waiting.push(world.mail(*site, 1));
        world.mail(*site, 1);
    }
    for _ in 0..100 {
        world.run_for(SECOND / 10);
        assert!(world.scheduler.connections() <= 2, "{}", world.scheduler.connections());
    }
    world.run_for(MINUTE);
    world.check();
    assert!(world.live.is_empty(), "{:?}", world.live);
}

#[test]
fn who_waits_for_a_connection_of_the_route_says_so() {
    let mut world = world(RouteSettings { connections: Some(1), ..Default::default() });
    world.pace.transaction = 10 * SECOND;
    let sites = sites(&mut world, 2);
    world.mail(sites[0], 1);
    let second = world.mail(sites[1], 1);
    world.run_for(SECOND);
    assert_eq!(because(&world, second), (WaitReason::RouteBusy, None));
    world.run_for(MINUTE);
    assert!(world.live.is_empty());
}

#[test]
fn a_route_that_holds_tries_nothing_until_it_no_longer_does() {
    let mut world = world(RouteSettings { hold: true, ..Default::default() });
    let site = world.site("d.example", &[host(1)]);
    let id = world.mail(site, 2);
    world.run_for(MINUTE * 60);
    world.check();
    assert_eq!(because(&world, id), (WaitReason::RouteHeld, None));
    let view = world.scheduler.destination_view(world.now, site).expect("it has mail");
    assert_eq!((view.status, view.next_attempt), (DestinationStatus::Held, None));
    assert!(world.live.values().all(|live| live.1 == Default::default()), "no message is touched");
    world.scheduler.set_settings(world.now, Settings::default());
    world.run_for(MINUTE);
    assert!(world.live.is_empty());
}

#[test]
fn mail_without_a_route_is_unreachable_and_listed() {
    let mut world = World::running();
    let site = world.scheduler.destination(world.now, "d.example", "");
    world.mail(site, 1);
    world.run_for(MINUTE);
    let view = world.scheduler.destination_view(world.now, site).expect("it has mail");
    assert_eq!(view.status, DestinationStatus::Unreachable);
    assert_eq!(world.scheduler.unreachable(10), ["d.example"]);
}

#[test]
fn what_no_host_is_asked_about_takes_no_turn_of_the_rate() {
    let mut world = world(RouteSettings { messages_per_minute: Some(1), ..Default::default() });
    let site = world.site("d.example", &[host(1)]);
    for _ in 0..4 {
        world.mail(site, 1);
    }
    let Some(Next::Connect(ticket)) = world.scheduler.next(world.now) else {
        panic!("mail is due")
    };
    // Two are too large for the route, the third one is sent, the fourth one waits its minute.
    for needed in [false, false, true] {
        let mut pulled = world.scheduler.pull(world.now, &ticket, 50);
        if pulled == Pulled::Later(world.now) {
            // In turn with other destinations of the route, of which there are none.
            assert_eq!(world.scheduler.next(world.now), Some(Next::Wake(ticket.id)));
            pulled = world.scheduler.pull(world.now, &ticket, 50);
        }
        let Pulled::Work(work) = pulled else { panic!("it has a turn: {pulled:?}") };
        if !needed {
            world.scheduler.turn_not_needed(&ticket);
        }
        let (outcome, class) = (Outcome::Failed, FaultClass::Message);
        let ended: Vec<Tried> = work
            .recipients
            .iter()
            .map(|&(recipient, _)| Tried { recipient, outcome, class, tell_at: None })
            .collect();
        assert_eq!(world.scheduler.settle(world.now, &ticket, work.message, &ended).len(), 1);
    }
    let until = world.now.plus(MINUTE);
    assert_eq!(world.scheduler.pull(world.now, &ticket, 50), Pulled::Later(until));
}
