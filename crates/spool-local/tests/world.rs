//! The log as a task of a simulated world.

mod support;

use posthaste_io_sim::{Cut, Sim, SimDisk};
use posthaste_mail::QueueId;
use posthaste_spool::{Spool, testing};
use posthaste_spool_local::{LocalSpool, Log, Timing};
use std::sync::Arc;
use std::time::Duration;
use support::settings;

fn run(seed: u64) -> (u64, u64) {
    let sim = Sim::new(seed);
    let host = sim.host("mail", &["192.0.2.1".parse().expect("an address")]);
    let world = host.world();
    let disk = SimDisk::new();
    let (log, _) = Log::open(disk.clone(), settings()).expect("opens");
    let (spool, task) = LocalSpool::on_world(log, &world, Timing::default());
    let spool = Arc::new(spool);
    drop(world.spawn.spawn("log", task));
    let (store, clock) = (Arc::clone(&spool), world.clone());
    let commits = sim.block_on(&host, async move {
        let begun = clock.now();
        let mails: Vec<_> =
            (0..100).map(|_| testing::mail(store.mint(clock.wall()), 1, 3000)).collect();
        let waiting: Vec<_> = mails.iter().map(|mail| store.accept(mail.clone())).collect();
        for answer in waiting {
            answer.await.expect("accepted");
        }
        assert!(clock.now() - begun >= Timing::default().commit, "a sync takes time");
        // A settlement alone waits for company, but not for long.
        let begun = clock.now();
        store.settle(support::settlement(&*store)).await.expect("settled");
        let waited = clock.now() - begun;
        assert!(waited <= Duration::from_millis(7), "{waited:?}");
        let commits = store.health().commits;
        store.close().await;
        commits
    });
    drop(spool);
    let (spool, report) = support::open(disk.process_end(), settings());
    assert_eq!(report.messages, 100);
    assert!(report.scanned <= 1);
    assert!(spool.mint(testing::NOON) > QueueId::MIN);
    (commits, disk.digest())
}

#[test]
fn the_same_seed_writes_the_same_octets() {
    let (commits, digest) = run(1);
    assert!(commits <= 10, "100 messages in small segments share commits: {commits}");
    assert_eq!(run(1), (commits, digest));
}

#[test]
fn a_transaction_is_written_down_though_nothing_else_happens() {
    let sim = Sim::new(3);
    let host = sim.host("mail", &["192.0.2.1".parse().expect("an address")]);
    let world = host.world();
    let disk = SimDisk::new();
    let (log, _) = Log::open(disk.clone(), settings()).expect("opens");
    let (spool, task) = LocalSpool::on_world(log, &world, Timing::default());
    let spool = Arc::new(spool);
    drop(world.spawn.spawn("log", task));
    let store = Arc::clone(&spool);
    let message = sim.block_on(&host, async move {
        let mail = testing::mail(store.mint(world.wall()), 1, 3000);
        let id = mail.envelope.id;
        store.accept(mail).await.expect("accepted");
        posthaste_io::sleep(&*world.clock, Duration::from_millis(50)).await;
        store.started(support::started(id));
        posthaste_io::sleep(&*world.clock, Duration::from_millis(20)).await;
        id
    });
    spool.halt();
    drop(spool);
    let (spool, _) = support::open(disk.power_cut(Cut::Lost), settings());
    assert_eq!(support::in_hand(&spool, message), [0]);
}
