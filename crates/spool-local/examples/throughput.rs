//! How fast the store accepts, and how long it takes to open: run with a folder on the disk in question.
//!
//! `cargo run --release -p posthaste-spool-local --example throughput -- FOLDER [ACCEPTS] [OCTETS] [SESSIONS]`

#![allow(clippy::print_stdout, reason = "it prints figures")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures real time")]

use posthaste_io_tokio::RealDisk;
use posthaste_mail::{QueueId, Timestamp};
use posthaste_queue::RecipientState;
use posthaste_queue::life::Life;
use posthaste_spool::conformance::block_on;
use posthaste_spool::{Change, NewMail, Settlement, Spool, testing};
use posthaste_spool_local::{LocalSpool, Log, Settings};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

type Local = LocalSpool<RealDisk>;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().expect("a folder is given"));
    let mut number = |default| arguments.next().map_or(default, |n| n.parse().expect("a number"));
    let (accepts, octets, sessions) = (number(200_000), number(10_240), number(50));
    if accepts == 0 {
        return measure_open(&folder);
    }
    flow("accepts", &folder, accepts, octets, sessions, false);
    measure_open(&folder);
    settle(&folder, sessions);
    flow("accepts, each settled", &folder, accepts, octets, sessions, true);
}

fn open(folder: &Path) -> Local {
    let disk = RealDisk::open(folder).expect("the folder can be used");
    let settings = Settings { salt: 1, ..Settings::default() };
    let (log, _) = Log::open(disk, settings).expect("the store can be opened");
    LocalSpool::on_thread(log).expect("a thread")
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Timestamp::from_micros(i64::try_from(since.as_micros()).expect("before the year 292277"))
}

/// CPU time so far, seconds: of the whole process, and of the log's thread (in it: in the kernel).
#[derive(Clone, Copy)]
struct Cpu {
    all: f64,
    log: f64,
    log_kernel: f64,
}

impl Cpu {
    fn now() -> Self {
        let [user, kernel] = ticks("/proc/self/stat");
        let mut cpu = Self { all: user + kernel, log: 0.0, log_kernel: 0.0 };
        for task in std::fs::read_dir("/proc/self/task").expect("proc is mounted").flatten() {
            let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            if name.trim() == "spool-log" {
                let [user, kernel] = ticks(&task.path().join("stat").to_string_lossy());
                (cpu.log, cpu.log_kernel) = (user + kernel, kernel);
            }
        }
        cpu
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            all: self.all - earlier.all,
            log: self.log - earlier.log,
            log_kernel: self.log_kernel - earlier.log_kernel,
        }
    }
}

fn ticks(path: &str) -> [f64; 2] {
    let stat = std::fs::read_to_string(path).expect("proc is mounted");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
    [11, 12].map(|at| fields[at].parse::<f64>().expect("ticks") / 100.0)
}

/// Many at once on one thread: each session accepts one message after the other, and settles it when told to.
fn flow(what: &str, folder: &Path, accepts: usize, octets: usize, sessions: usize, settles: bool) {
    let spool = Arc::new(open(folder));
    let sample = Arc::new(testing::mail(QueueId::MIN.next(), 1, octets));
    let (clock, used) = (Instant::now(), Cpu::now());
    let left = Arc::new(AtomicUsize::new(accepts));
    let mut slowest = Duration::ZERO;
    std::thread::scope(|scope| {
        let (spool, sample, left) = (&spool, &sample, &left);
        let run = move || {
            let one = || async move {
                let mut slowest = Duration::ZERO;
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                    .is_ok()
                {
                    let clock = Instant::now();
                    let id = spool.mint(now());
                    let commit = spool.accept(numbered(sample, id)).await.expect("accepted").commit;
                    slowest = slowest.max(clock.elapsed());
                    if settles {
                        spool.settle(delivered(id, spool.take())).await.expect("settled");
                        spool.events_safe(commit.0.saturating_sub(100));
                    }
                }
                slowest
            };
            block_on(futures_util::future::join_all((0..sessions).map(|_| one())))
        };
        let handle = scope.spawn(run);
        slowest = handle.join().expect("no panic").into_iter().max().unwrap_or_default();
    });
    report(what, accepts, clock.elapsed(), Cpu::now().since(used), slowest, &spool);
    block_on(spool.close());
}

fn numbered(sample: &NewMail, id: QueueId) -> NewMail {
    let mut mail = sample.clone();
    mail.envelope.id = id;
    mail
}

fn report(what: &str, count: usize, took: Duration, cpu: Cpu, slowest: Duration, spool: &Local) {
    let seconds = took.as_secs_f64();
    let commits = spool.health().commits.max(1);
    let each = |seconds: f64| seconds / count as f64 * 1e6;
    println!(
        "{count} {what} in {seconds:.2} s: {:.0}/s, us CPU each {:.1} (log {:.1}, in the kernel {:.1}), \
         {:.1} in a commit, slowest {slowest:?}",
        count as f64 / seconds,
        each(cpu.all),
        each(cpu.log),
        each(cpu.log_kernel),
        count as f64 / commits as f64,
    );
}

/// Resident memory of this process, octets.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("proc is mounted");
    let pages: usize = pages.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("pages");
    pages * 4096
}

fn measure_open(folder: &Path) {
    let before = resident();
    let clock = Instant::now();
    let disk = RealDisk::open(folder).expect("the folder can be used");
    let (log, report) = Log::open(disk, Settings::default()).expect("the store can be opened");
    println!(
        "open: {} messages in {} segments ({} read group by group) in {:?}, {} octets of memory each",
        report.messages,
        report.segments,
        report.scanned,
        clock.elapsed(),
        resident().saturating_sub(before) as u64 / report.messages.max(1),
    );
    drop(log);
}

/// Delivers everything.
fn settle(folder: &Path, sessions: usize) {
    let spool = open(folder);
    let mut ids = Vec::new();
    let mut after = Some(QueueId::MIN);
    while let Some(from) = after {
        let page = block_on(spool.live(from, 10_000)).expect("readable");
        ids.extend(page.items.iter().map(|live| live.envelope.id));
        after = page.next;
    }
    let (clock, used) = (Instant::now(), Cpu::now());
    let tenure = spool.take();
    for some in ids.chunks(sessions) {
        let waiting: Vec<_> = some.iter().map(|id| spool.settle(delivered(*id, tenure))).collect();
        for answer in waiting {
            block_on(answer).expect("settled");
        }
    }
    report(
        "settlements",
        ids.len(),
        clock.elapsed(),
        Cpu::now().since(used),
        Duration::ZERO,
        &spool,
    );
    println!("left: {:?}", spool.health());
    block_on(spool.close());
}

fn delivered(message: QueueId, tenure: posthaste_spool::Tenure) -> Settlement {
    let state = RecipientState { life: Life::Delivered, attempts: 1, ..RecipientState::default() };
    Settlement {
        tenure,
        at: testing::NOON,
        connections: vec![],
        attempts: vec![testing::delivered(message, 0, 1)],
        changes: vec![Change { message, recipient: 0, state }],
        withheld: Vec::new(),
        notices: vec![],
        ledger: vec![],
        acts: Vec::new(),
    }
}
