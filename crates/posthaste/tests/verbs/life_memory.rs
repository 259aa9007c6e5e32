//! Little memory and many sessions at once: nobody ends the daemon, and all mail that it accepted is delivered.
//!
//! Not here: how memory is shared out (`reception`), when it counts as scarce (`daemon::pressure`).

use crate::life::{NextHop, free_port, hand_in, settings, start, until, verb, wait_until_ready};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const MEMORY: u64 = 256 << 20;
const SESSIONS: usize = 300;

/// A control group with little memory, where the machine lets one be made (version 2 or 1; as root).
struct Group(PathBuf);

impl Group {
    fn make() -> Option<Self> {
        let name = format!("posthaste-test-{}", std::process::id());
        [("", "memory.max"), ("memory", "memory.limit_in_bytes")].into_iter().find_map(
            |(below, limit)| {
                let folder = Path::new("/sys/fs/cgroup").join(below).join(&name);
                std::fs::create_dir(&folder).ok()?;
                let group = Self(folder);
                std::fs::write(group.0.join(limit), MEMORY.to_string()).ok()?;
                Some(group)
            },
        )
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It can go once nobody is in it, which the kernel notices a little later.
        let deadline = Instant::now() + Duration::from_secs(5);
        while std::fs::remove_dir(&self.0).is_err() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Octets of the n-th message.
fn size(n: usize) -> usize {
    match n {
        _ if n.is_multiple_of(30) => 4_000_000,
        _ if n.is_multiple_of(8) => 1_000_000,
        _ => 50_000 + n * 100,
    }
}

/// The most memory that the process ever had at once, octets.
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn in_256_mb_300_sessions_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (port, hop) = (free_port(), NextHop::start(true));
    let group = Group::make();
    let told = match &group {
        Some(_) => String::new(),
        None => format!("[pressure]\nmemory_limit = \"{MEMORY}\"\n"),
    };
    settings(folder, port, "", &format!("{told}{}", hop.route()));
    let enter = group.as_ref().map(|g| format!("echo $$ > {}/cgroup.procs; ", g.0.display()));
    let mut daemon = start(folder, &format!("{}exec \"$@\"", enter.unwrap_or_default()), &[]);
    wait_until_ready(folder);
    if let Some(Group(path)) = &group {
        let inside = std::fs::read_to_string(path.join("cgroup.procs")).unwrap();
        assert!(inside.lines().any(|line| line == daemon.0.id().to_string()), "{inside}");
    }
    let (accepted, began) = (AtomicU32::new(0), Instant::now());
    std::thread::scope(|scope| {
        for n in 0..SESSIONS {
            let accepted = &accepted;
            scope.spawn(move || {
                // Who is told to come later does.
                until("it is accepted", || {
                    let said = hand_in(port, size(n));
                    assert!(said.starts_with(['2', '4']), "{n}: {said}");
                    said.starts_with("250")
                });
                accepted.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    let count = u32::try_from(SESSIONS).unwrap();
    assert_eq!(accepted.load(Ordering::SeqCst), count);
    until("all is delivered", || hop.taken.load(Ordering::SeqCst) >= count);
    until("nothing is left", || verb(folder, &["status", "--json"]).json()["messages"] == 0);
    assert_eq!(hop.taken.load(Ordering::SeqCst), count, "nothing twice");
    assert!(daemon.0.try_wait().unwrap().is_none(), "it still runs");
    let peak = peak(daemon.0.id());
    assert!(peak < MEMORY, "{peak} octets");
    println!("cgroup {}: peak {peak} octets, {:?}", group.is_some(), began.elapsed());
    drop(daemon);
}
