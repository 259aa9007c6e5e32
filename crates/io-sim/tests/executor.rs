//! Tasks, timers, clocks and the detection of hangs.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use posthaste_io::{Instant, sleep, within};
use posthaste_io_sim::{Limits, Run, Sim, WALL_START};
use std::collections::BTreeSet;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn timers_fire_in_order_at_their_time() {
    let sim = Sim::new(3);
    let host = sim.host("a", &[]);
    let fired: Arc<Mutex<Vec<(u64, u64)>>> = Arc::default();
    for wait in [30, 10, 20, 10, 40] {
        let (world, fired) = (host.world(), Arc::clone(&fired));
        host.spawn("sleeper", async move {
            sleep(&*world.clock, seconds(wait)).await;
            fired.lock().unwrap().push((wait, world.now().0 / 1_000_000_000));
        });
    }
    assert_eq!(sim.run_until(seconds(35), || false), Run::TimeUp);
    assert_eq!(*fired.lock().unwrap(), [(10, 10), (10, 10), (20, 20), (30, 30)]);
    assert_eq!(sim.now(), Instant::default() + seconds(35));
    assert_eq!(sim.run_until(seconds(100), || false), Run::Stuck(vec![]));
    assert_eq!(sim.now(), Instant::default() + seconds(40));
}

#[test]
fn a_timer_can_be_moved_both_ways() {
    let sim = Sim::new(1);
    let host = sim.host("a", &[]);
    let world = host.world();
    sim.block_on(&host, async move {
        let mut timer = world.clock.timer();
        timer.as_mut().set(world.now() + seconds(100));
        assert!(within(&*world.clock, seconds(1), timer.as_mut()).await.is_none());
        timer.as_mut().set(world.now() + seconds(5));
        timer.as_mut().await;
        assert_eq!(world.now(), Instant::default() + seconds(6));
        timer.as_mut().set(world.now() + seconds(5));
        assert!(within(&*world.clock, seconds(1), timer.as_mut()).await.is_none());
        timer.as_mut().set(world.now() + seconds(10));
        timer.as_mut().await;
        assert_eq!(world.now(), Instant::default() + seconds(17));
        timer.as_mut().set(Instant::default());
        timer.await;
        assert_eq!(world.now(), Instant::default() + seconds(17));
        let never = world.clock.timer();
        assert!(within(&*world.clock, seconds(1), never).await.is_none());
    });
}

#[test]
fn the_seed_picks_the_next_ready_task() {
    let order = |seed| {
        let sim = Sim::new(seed);
        let host = sim.host("a", &[]);
        let order: Arc<Mutex<Vec<u32>>> = Arc::default();
        for number in 0..4 {
            let order = Arc::clone(&order);
            host.spawn("task", async move { order.lock().unwrap().push(number) });
        }
        sim.run_for(seconds(1));
        let order = order.lock().unwrap();
        order.clone()
    };
    let orders: BTreeSet<_> = (0..300).map(order).collect();
    assert_eq!(orders.len(), 24, "every order of four comes");
}

#[test]
fn wall_clocks_step_and_monotonic_time_does_not() {
    let sim = Sim::new(1);
    let (one, other) = (sim.host("one", &[]), sim.host("other", &[]));
    sim.run_until(seconds(10), || false);
    let world = one.world();
    sim.block_on(&one, async move { sleep(&*world.clock, seconds(10)).await });
    one.step_wall_clock(-3_600_000_000);
    assert_eq!(one.world().wall(), WALL_START.plus(seconds(10)).minus(seconds(3600)));
    assert_eq!(other.world().wall(), WALL_START.plus(seconds(10)));
    assert_eq!(one.world().now(), Instant::default() + seconds(10));
}

#[test]
fn randomness_is_the_hosts_own_and_repeats() {
    let draw = |seed, draws_elsewhere: usize| {
        let sim = Sim::new(seed);
        let (one, other) = (sim.host("one", &[]), sim.host("other", &[]));
        (0..draws_elsewhere).for_each(|_| {
            other.world().random.next();
        });
        one.world().random.next()
    };
    assert_eq!(draw(1, 0), draw(1, 5));
    assert_ne!(draw(1, 0), draw(2, 0));
}

#[test]
fn an_aborted_task_ends_and_its_destructors_run() {
    let sim = Sim::new(1);
    let host = sim.host("a", &[]);
    let held = Arc::new(());
    let inside = Arc::clone(&held);
    let task = host.world().spawn.spawn(
        "waits",
        Box::pin(async move {
            let _inside = inside;
            pending::<()>().await;
        }),
    );
    let waiting = vec![("a".to_owned(), "waits")];
    assert_eq!(sim.run_until(seconds(1), || false), Run::Stuck(waiting));
    assert!(!task.is_finished());
    task.abort();
    assert_eq!(sim.run_until(seconds(1), || false), Run::Stuck(vec![]));
    assert!(task.is_finished());
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn tasks_may_wake_each_other_without_time_passing() {
    let sim = Sim::new(1);
    let host = sim.host("a", &[]);
    let (rounds, world) = (Arc::new(AtomicUsize::new(0)), host.world());
    let counted = Arc::clone(&rounds);
    sim.block_on(&host, async move {
        for _ in 0..100 {
            let counted = Arc::clone(&counted);
            let task = Box::pin(async move {
                counted.fetch_add(1, Ordering::Relaxed);
            });
            world.spawn.spawn("child", task);
        }
    });
    assert_eq!(sim.run_until(seconds(1), || rounds.load(Ordering::Relaxed) == 100), Run::Met);
    assert_eq!(sim.now(), Instant::default());
}

fn message_of(panic: Box<dyn std::any::Any + Send>) -> String {
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn hangs_are_found_and_name_the_seed() {
    let hang = |limits, busy: bool| {
        let sim = Sim::with(4711, limits);
        let host = sim.host("a", &[]);
        let world = host.world();
        let run = AssertUnwindSafe(|| {
            sim.block_on(&host, async move {
                loop {
                    if busy {
                        std::future::poll_fn(|cx| {
                            cx.waker().wake_by_ref();
                            std::task::Poll::<()>::Pending
                        })
                        .await;
                    }
                    sleep(&*world.clock, seconds(60)).await;
                }
            })
        });
        let panic: Result<(), _> = catch_unwind(run);
        message_of(panic.unwrap_err())
    };
    let steps = Limits { steps: 1000, ..Limits::default() };
    let days = Limits { time: seconds(3600), ..Limits::default() };
    for said in [hang(steps, true), hang(days, false)] {
        assert!(said.contains("hangs") && said.contains("seed 4711"), "{said}");
    }
}

#[test]
fn a_deadlock_names_the_seed_and_who_waits() {
    let sim = Sim::new(4712);
    let host = sim.host("a", &[]);
    host.spawn("consumer", pending());
    let run = AssertUnwindSafe(|| sim.block_on(&host, pending::<()>()));
    let said = message_of(catch_unwind(run).unwrap_err());
    assert!(said.contains("seed 4712") && said.contains("consumer"), "{said}");
}
