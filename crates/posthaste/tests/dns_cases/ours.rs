//! Group A: what is broken at our own resolvers. Each row has its own servers and its own daemon, before one tree; then the
//! fault is taken away, and the next mail leaves at once.
//!
//! Not here: recipients' domains (`theirs`).

use std::collections::VecDeque;
use std::sync::Mutex;
use std::thread::scope;

use crate::row::Row;
use crate::sink::Sink;

mod answers;
mod lab;
mod silent;

pub(crate) use lab::Lab;

/// Rows made at the same time: each has a daemon and servers of its own, and mostly waits.
const AT_ONCE: usize = 4;

/// Makes the rows of group A.
pub(crate) fn rows() -> Vec<Row> {
    let sink = Sink::start(&[]);
    let lab = Lab::new(&sink);
    let all: [fn(&Lab) -> Row; 15] = [
        silent::all_dead,
        silent::one_dead,
        silent::service_down,
        silent::forwarder_dead,
        silent::egress_blocked,
        silent::aaaa_dropped,
        silent::tcp_blocked,
        answers::refused,
        answers::stale_cache,
        answers::negative_cache,
        answers::split_horizon,
        answers::rewriting,
        answers::clock_skew,
        answers::search_list,
        answers::rate_limited,
    ];
    let (todo, done) = (Mutex::new(VecDeque::from(all)), Mutex::new(Vec::new()));
    let next = || todo.lock().expect("no row panics while it holds it").pop_front();
    scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(|| {
                while let Some(make) = next() {
                    let row = make(&lab);
                    done.lock().expect("no row panics while it holds it").push(row);
                }
            });
        }
    });
    let mut rows = done.into_inner().expect("no row panics while it holds it");
    rows.sort_by_key(|row| row.case[1..].parse::<u32>().expect("a letter and a number"));
    rows
}
