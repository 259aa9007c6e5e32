//! What a crash leaves: nothing that a destructor did, all that was synced, a cut event log.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use posthaste_evidence::{Event, EventKind};
use posthaste_io::{Dial, Disk, DiskFile, OpenMode, StreamExt, World, sleep};
use posthaste_io_sim::{Crash, Cut, Host, Run, Sim, SimDisk};
use posthaste_mail::{QueueId, Timestamp};
use std::collections::BTreeSet;
use std::future::pending;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn event(commit: u64) -> Event {
    let message = QueueId::from_u64(commit);
    Event { at: Timestamp::EPOCH, commit, message, kind: EventKind::Done }
}

fn read(disk: &SimDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name, OpenMode::Read).unwrap();
    let mut octets = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(0, &mut octets).unwrap();
    octets
}

/// Tries to repair everything when it is dropped, as no program may rely on.
struct Meddler<F: DiskFile> {
    world: World,
    disk: SimDisk,
    file: F,
    stream: Option<Box<dyn posthaste_io::Stream>>,
    ran: Arc<AtomicBool>,
}

impl<F: DiskFile> Drop for Meddler<F> {
    fn drop(&mut self) {
        let late = self.file.write_at(0, &[IoSlice::new(b"repaired")]);
        assert!(late.is_err() && self.file.sync_data().is_err());
        assert!(self.disk.remove("state").is_err() && self.disk.sync_dir().is_err());
        self.world.journal.append(event(99));
        self.world.spawn.spawn("too late", Box::pin(async { panic!("a dead host runs no task") }));
        if let Some(stream) = &mut self.stream {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(stream.poll_write(&mut cx, &[IoSlice::new(b"farewell")]).is_pending());
        }
        self.ran.store(true, Ordering::Relaxed);
    }
}

#[test]
fn no_destructor_repairs_anything() {
    let sim = Sim::new(5);
    let victim = sim.host("victim", &["192.0.2.1".parse().unwrap()]);
    let peer = sim.host("peer", &["192.0.2.2".parse().unwrap()]);
    let heard = Arc::new(AtomicBool::new(false));
    let (world, hears) = (peer.world(), Arc::clone(&heard));
    peer.spawn("peer", async move {
        let listener = world.net.listen("0.0.0.0:25".parse().unwrap(), 1).await.unwrap();
        let mut stream = listener.accept().await.unwrap();
        let read = stream.read(&mut [0; 9]).await;
        hears.store(read.is_ok_and(|count| count > 0), Ordering::Relaxed);
    });
    let (world, disk, ran) = (victim.world(), victim.disk(), Arc::new(AtomicBool::new(false)));
    let flag = Arc::clone(&ran);
    victim.spawn("meddler", async move {
        let file = disk.open("state", OpenMode::Create).unwrap();
        file.write_at(0, &[IoSlice::new(b"original")]).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir().unwrap();
        sleep(&*world.clock, Duration::from_millis(1)).await;
        let limit = Duration::from_secs(9);
        let dial = Dial { to: "192.0.2.2:25".parse().unwrap(), from: None, limit };
        let stream = world.net.dial(dial).await.ok();
        assert!(stream.is_some());
        let _meddler = Meddler { world, disk, file, stream, ran: flag };
        pending::<()>().await;
    });
    sim.run_for(Duration::from_secs(10));
    victim.crash(Crash::power(0));
    assert!(ran.load(Ordering::Relaxed), "tasks are dropped by the crash");
    sim.run_for(Duration::from_secs(10));
    assert_eq!(read(&victim.disk(), "state"), b"original");
    assert!(victim.journal().events().is_empty() && !heard.load(Ordering::Relaxed));
}

/// Counts up in a file, syncing every third time; crashes at a random time.
fn count_until_crash(seed: u64, power: bool) -> (u64, u64) {
    let sim = Sim::new(seed);
    let host = sim.host("counter", &[]);
    let (world, disk) = (host.world(), host.disk());
    let synced = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let promises = Arc::clone(&synced);
    host.spawn("counter", async move {
        let file = disk.open("count", OpenMode::Create).unwrap();
        file.write_at(0, &[IoSlice::new(&0u64.to_le_bytes())]).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir().unwrap();
        for count in 1.. {
            file.write_at(0, &[IoSlice::new(&u64::to_le_bytes(count))]).unwrap();
            sleep(&*world.clock, Duration::from_millis(10)).await;
            if count % 3 == 0 {
                file.sync_data().unwrap();
                promises.store(count, Ordering::Relaxed);
            }
        }
    });
    sim.run_for(Duration::from_millis(100 + seed * 7));
    host.crash(if power { Crash::power(seed) } else { Crash::kill() });
    assert!(host.is_up() != power);
    let world = host.restart();
    let disk = host.disk();
    let found = sim.block_on(&host, async move {
        sleep(&*world.clock, Duration::from_secs(1)).await;
        u64::from_le_bytes(read(&disk, "count").try_into().unwrap())
    });
    (synced.load(Ordering::Relaxed), found)
}

#[test]
fn synced_writes_survive_a_power_cut_and_all_writes_a_kill() {
    let mut lost = BTreeSet::new();
    for seed in 0..60 {
        let (synced, found) = count_until_crash(seed, true);
        assert!((synced..=synced + 3).contains(&found), "seed {seed}: {synced} {found}");
        assert_eq!(count_until_crash(seed, true), (synced, found), "seed {seed} repeats");
        let (_, written) = count_until_crash(seed, false);
        lost.insert(written - found);
    }
    assert!(lost.len() > 1 && lost.contains(&0), "some cuts lose, some do not: {lost:?}");
}

fn append(host: &Host, commits: std::ops::RangeInclusive<u64>) {
    let world = host.world();
    commits.for_each(|commit| world.journal.append(event(commit)));
}

#[test]
fn the_event_log_is_synced_each_second_and_filled_up_after_a_crash() {
    let sim = Sim::new(11);
    let host = sim.host("a", &[]);
    append(&host, 1..=3);
    assert_eq!(host.world().journal.safe_commit(), 0);
    assert_eq!(sim.run_until(Duration::from_secs(60), || false), Run::Stuck(vec![]));
    assert_eq!((host.world().journal.safe_commit(), sim.now().0), (3, 2_000_000_000));
    append(&host, 4..=9);
    host.crash(Crash { disk: Some(Cut::Lost), ..Crash::power(0) });
    let survived = host.journal().events().len();
    assert!((3..9).contains(&survived), "{survived}");
    let world = host.restart();
    assert_eq!(world.journal.safe_commit(), 3);
    append(&host, 2..=9);
    append(&host, 10..=10);
    sim.run_for(Duration::from_secs(5));
    let commits: Vec<u64> = host.journal().events().iter().map(|e| e.commit).collect();
    assert_eq!(commits, (1..=10).collect::<Vec<_>>());
    assert_eq!(world.journal.safe_commit(), 10);
}

#[test]
fn a_task_may_bring_down_its_own_host() {
    let sim = Sim::new(12);
    let host = sim.host("a", &[]);
    let (suicide, survived) = (host.clone(), Arc::new(AtomicBool::new(false)));
    let flag = Arc::clone(&survived);
    host.spawn("suicide", async move {
        suicide.crash(Crash::kill());
        pending::<()>().await;
        flag.store(true, Ordering::Relaxed);
    });
    host.spawn("victim", pending());
    assert_eq!(sim.run_until(Duration::from_secs(1), || false), Run::Stuck(vec![]));
    assert!(!survived.load(Ordering::Relaxed));
}

#[test]
fn nothing_is_left_of_a_simulation() {
    let held = Arc::new(());
    for seed in 0..3 {
        let sim = Sim::new(seed);
        let host = sim.host("a", &["192.0.2.1".parse().unwrap()]);
        let (world, inside) = (host.world(), Arc::clone(&held));
        host.spawn("server", async move {
            let _inside = inside;
            let listener = world.net.listen("0.0.0.0:25".parse().unwrap(), 1).await.unwrap();
            sleep(&*world.clock, Duration::from_secs(1000)).await;
            drop(listener);
        });
        let (world, inside) = (host.world(), Arc::clone(&held));
        host.spawn("client", async move {
            sleep(&*world.clock, Duration::from_secs(1)).await;
            let limit = Duration::from_secs(9);
            let dial = Dial { to: "192.0.2.1:25".parse().unwrap(), from: None, limit };
            let _stream = world.net.dial(dial).await.unwrap();
            let _inside = inside;
            pending::<()>().await;
        });
        sim.run_for(Duration::from_secs(10));
        if seed == 1 {
            host.crash(Crash::kill());
        }
    }
    assert_eq!(Arc::strong_count(&held), 1);
}
