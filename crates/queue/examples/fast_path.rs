//! What one message costs the scheduler from its acceptance to its delivery, while others wait, and what it costs when
//! the senders of all that wait are told at once: `cargo run --release -p posthaste-queue --example fast_path`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a measurement, not the product"
)]

use posthaste_evidence::{FaultClass, Outcome};
use posthaste_mail::{QueueId, Timestamp};
use posthaste_queue::{Item, Next, Pulled, RecipientState, Scheduler, Settings, Tried};
use std::time::{Duration, Instant};

const ROUNDS: u32 = 5;
const MESSAGES: u64 = 200_000;
const DAY: Duration = Duration::from_secs(86_400);

fn main() {
    for waiting in [0, 100_000] {
        let took = (0..ROUNDS).map(|_| run(waiting)).min().unwrap();
        let each = took.as_nanos() / u128::from(MESSAGES);
        println!("{each} ns a message, with {waiting} others waiting");
    }
    let (took, count) = (0..ROUNDS).map(|_| warn_all(100_000)).min().unwrap();
    println!(
        "{} ns a message whose sender is told, of {count}",
        took.as_nanos() / u128::from(count)
    );
}

fn warn_all(waiting: u64) -> (Duration, u64) {
    let now = Timestamp::from_secs(1_800_000_000);
    let mut scheduler = Scheduler::new(Settings::default());
    scheduler.start(now);
    let later = RecipientState { due: now.plus(DAY), failures: 3, ..RecipientState::default() };
    for n in 0..waiting {
        let to = scheduler.destination(now, &format!("d{}.example", n % 1000), "default");
        let id = QueueId::from_u64(QueueId::first_at(now).as_u64() + n);
        let recipients = [(0, to, later)];
        let item = Item { id, received: now, size: 1000, notice: false, recipients: &recipients };
        scheduler.insert(now, &item).unwrap();
    }
    let now = now.plus(DAY / 6);
    let (started, mut told) = (Instant::now(), 0);
    while let Some(id) = scheduler.next_warning(now) {
        told += scheduler.warn(now, id, &|_| true).len() as u64;
        std::hint::black_box(scheduler.next_wakeup(now));
    }
    (started.elapsed(), told)
}

fn run(waiting: u64) -> Duration {
    let mut now = Timestamp::from_secs(1_800_000_000);
    let mut scheduler = Scheduler::new(Settings::default());
    scheduler.start(now);
    let mut next_id = QueueId::first_at(now).as_u64();
    let later = RecipientState {
        due: now.plus(Duration::from_secs(3600)),
        failures: 3,
        ..RecipientState::default()
    };
    let mut insert = |scheduler: &mut Scheduler, now, name: &str, state| {
        next_id += 1;
        let id = QueueId::from_u64(next_id);
        let recipients = [(0, scheduler.destination(now, name, "default"), state)];
        let item = Item { id, received: now, size: 1000, notice: false, recipients: &recipients };
        scheduler.insert(now, &item).unwrap();
    };
    for n in 0..waiting {
        insert(&mut scheduler, now, &format!("d{}.example", n % 1000), later);
    }
    insert(&mut scheduler, now, "fast.example", RecipientState::default());
    let Some(Next::Connect(mut ticket)) = scheduler.next(now) else { panic!("mail is due") };
    let started = Instant::now();
    for n in 0..MESSAGES {
        now = now.plus(Duration::from_micros(50));
        let work = match scheduler.pull(now, &ticket, 100) {
            Pulled::Work(work) => work,
            _ => {
                scheduler.connection_ended(now, &ticket);
                let Some(Next::Connect(next)) = scheduler.next(now) else { panic!("mail is due") };
                ticket = next;
                continue;
            }
        };
        let (outcome, class) = (Outcome::Delivered, FaultClass::Message);
        let tried = [Tried { recipient: 0, outcome, class, tell_at: None }];
        insert(&mut scheduler, now, "fast.example", RecipientState::default());
        scheduler.settle(now, &ticket, work.message, &tried);
        if n % 10 == 0 {
            std::hint::black_box(scheduler.next_wakeup(now));
        }
    }
    started.elapsed()
}
