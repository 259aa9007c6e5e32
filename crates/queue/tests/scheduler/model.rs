//! Random worlds: mail, outages, acts, reloads and crashes in any order. The book-keeper holds the promises after
//! every step; in the end everything heals, and everything must have come to exactly one end.

use crate::world::{Random, World, host};
use posthaste_mail::QueueId;
use posthaste_queue::{DelayRule, DestinationId, Drain, Life, Limits, Schedule, Settings};
use std::time::Duration;

const SEEDS: u64 = 100;
const ACTIONS: u32 = 150;
const CHECK_EVERY: u64 = 9;
const SITES: u64 = 8;
const HOSTS: u64 = 5;

fn settings(random: &mut Random) -> Settings {
    let limits = Limits {
        destination_start: 1 + random.below(5) as u16,
        destination_min: 1,
        destination_max: 5 + random.below(10) as u16,
        host: 1 + random.below(6) as u16,
        connections: 1 + random.below(12) as u32,
        messages_per_connection: 1 + random.below(20) as u32,
        connection_time: Duration::from_secs(1 + random.below(60)),
        forget_after: Duration::from_secs(1 + random.below(2000)),
    };
    let drain = Drain { first_rate: 1 + random.below(10) as u32, top_rate: 50 };
    let minutes = |minutes| Duration::from_secs(60 * minutes);
    let delay = DelayRule {
        after: minutes(random.below(4) * (1 + random.below(30))),
        at_failure: random.percent(40),
        repeat: random.percent(50).then(|| minutes(random.below(60))),
    };
    let schedule = Schedule { delay, ..Schedule::default() };
    Settings { schedule, limits, drain, seed: random.next(), ..Settings::default() }
}

/// Sites are named anew each time: the scheduler may have forgotten them.
fn site(world: &mut World, n: u64) -> DestinationId {
    let hosts = [host((n % HOSTS) as u16), host((n * 3 % HOSTS) as u16)];
    let name = format!("d{n}.example");
    world.site(&name, &hosts)
}

fn some_message(world: &mut World) -> Option<QueueId> {
    let count = world.live.len() as u64;
    let nth = if count == 0 { return None } else { world.random.below(count) };
    world.live.keys().nth(nth as usize).map(|k| k.0)
}

fn mail(world: &mut World) {
    for _ in 0..=world.random.below(6) {
        let recipients = 1 + world.random.below(5);
        let sites: Vec<DestinationId> = (0..recipients)
            .map(|_| {
                let n = world.random.below(SITES);
                site(world, n)
            })
            .collect();
        let id = world.mail_to(&sites);
        if world.random.percent(20) {
            world.unwanted.insert(id);
        }
    }
}

fn weather(world: &mut World) {
    let n = world.random.below(HOSTS) as u16;
    if world.random.percent(50) {
        world.down_hosts.insert(host(n));
    } else {
        world.down_hosts.remove(&host(n));
    }
    let n = world.random.below(SITES);
    let id = site(world, n);
    let rolls: [u64; 6] = std::array::from_fn(|_| world.random.below(100));
    let site = world.sites.get_mut(&id).expect("named just now");
    site.dns_down = rolls[0] < 20;
    site.no_such_domain = rolls[1] < 5;
    site.deferred = if rolls[2] < 40 { rolls[3] } else { 0 };
    site.failed = if rolls[4] < 10 { 10 } else { 0 };
    site.indeterminate = if rolls[4] > 90 { 20 } else { 0 };
    site.takes = (rolls[5] < 20).then_some(1);
    if site.deferred + site.failed + site.indeterminate > 100 {
        site.deferred = 50;
    }
}

fn act(world: &mut World) {
    let Some(id) = some_message(world) else { return };
    let recipient = world.random.percent(50).then_some(world.random.below(5) as u32);
    let now = world.now;
    let changed = match world.random.below(9) {
        0 => world.scheduler.hold(now, id, recipient),
        1 => world.scheduler.release(now, id, recipient),
        2 => world.scheduler.remove(now, id, recipient),
        3 => world.scheduler.retry_message(now, id, recipient),
        4 => world.scheduler.bounce(now, id, recipient),
        5 => {
            let name = format!("d{}.example", world.random.below(SITES));
            let held = world.random.percent(50);
            world.hold_destination(&name, held);
            Vec::new()
        }
        6 => {
            world.scheduler.tell(now, id);
            Vec::new()
        }
        7 => {
            let seconds = world.random.below(90);
            world.probes = world.random.percent(60).then(|| Duration::from_secs(seconds));
            Vec::new()
        }
        _ => {
            let n = world.random.below(SITES);
            let destination = site(world, n);
            world.scheduler.retry_destination(now, destination, 3)
        }
    };
    world.book(&changed);
}

fn one_action(world: &mut World) {
    match world.random.below(100) {
        0..40 => mail(world),
        40..60 => weather(world),
        60..80 => act(world),
        80..82 => {
            let settings = settings(&mut world.random);
            world.scheduler.set_settings(world.now, settings);
            // connections over a lowered limit are not cut: let them end before the limits are checked
            world.check_every = 0;
            world.run_for(Duration::from_secs(120));
            world.check_every = CHECK_EVERY;
        }
        82..84 => {
            for _ in 0..2 {
                let settings = settings(&mut world.random);
                world.crash(settings);
                let pause = world.random.below(400);
                world.run_for(Duration::from_secs(pause));
            }
        }
        84..86 => {
            world.scheduler.stop();
            world.run_for(Duration::from_secs(5));
            world.scheduler.start(world.now);
        }
        _ => {}
    }
    let pause = match world.random.below(10) {
        0..6 => world.random.below(500),
        6..9 => world.random.below(60_000),
        _ => world.random.below(3_600_000),
    };
    world.run_for(Duration::from_millis(pause));
}

fn heal(world: &mut World) {
    world.down_hosts.clear();
    world.pace.transaction = Duration::from_millis(50);
    for site in world.sites.values_mut() {
        *site = crate::world::Site { hosts: site.hosts.clone(), ..Default::default() };
    }
    for n in 0..SITES {
        world.hold_destination(&format!("d{n}.example"), false);
    }
    let ids: Vec<QueueId> = world.live.keys().map(|k| k.0).collect();
    for id in ids {
        let changed = world.scheduler.release(world.now, id, None);
        world.book(&changed);
    }
}

#[test]
fn the_promises_hold_in_random_worlds() {
    let (mut ends, mut poisoned, mut warned, mut ending) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let mut random = Random(seed);
        let mut world = World::new(settings(&mut random));
        world.pace.transaction = Duration::from_millis(1 << random.below(17));
        world.random = random;
        world.check_every = CHECK_EVERY;
        world.scheduler.start(world.now);
        for _ in 0..ACTIONS {
            one_action(&mut world);
            poisoned += world.live.values().filter(|(_, s)| s.life == Life::Poison).count();
            ending += world.live.values().filter(|(_, s)| s.life.is_ending()).count();
        }
        world.check();
        heal(&mut world);
        // longer than the longest retry step, and far from expiry
        world.check_every = 0;
        world.run_for(Duration::from_secs(3 * 3600));
        world.check();
        assert!(world.live.is_empty(), "seed {seed}: {:?}", world.live.first_key_value());
        assert_eq!(world.scheduler.connections(), 0, "seed {seed}");
        ends += world.ends.len();
        warned += world.warnings.len();
    }
    println!("{ends} ends, {poisoned} parked, {warned} delays, {ending} ending");
    assert!(ends > 10_000 && poisoned > 0, "{ends} {poisoned}: the worlds are eventful");
    assert!(warned > 1_000 && ending > 100, "{warned} {ending}: senders are told");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed| {
        let mut random = Random(seed);
        let mut world = World::new(settings(&mut random));
        world.random = random;
        world.scheduler.start(world.now);
        for _ in 0..ACTIONS {
            one_action(&mut world);
        }
        (world.dials, world.deliveries, world.ends)
    };
    assert!(run(11) == run(11));
    assert!(run(11) != run(12));
}
