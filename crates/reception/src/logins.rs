//! Who tries passwords is slowed, and at last not listened to; how much each user does. Bounded state; the longest silent
//! are forgotten.
//!
//! Not here: who the users are (`users`), the refusals (`policy`).

use crate::places::client_of;
use crate::users::UserRates;
use parking_lot::Mutex;
use posthaste_io::Instant;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Addresses and names remembered in each of two generations: about 4 MB when both are full.
const MAX_REMEMBERED: usize = 10_000;
/// Octets of a name by which it is remembered.
const MAX_NAME: usize = 64;
/// How long a failure counts at least, and at most twice as long.
const REMEMBERED_FOR: Duration = Duration::from_secs(15 * 60);
/// How long the reply to a first failure takes; each further one doubles it.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST_DELAY: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// Users whose doings are remembered; those who owe nothing are forgotten first.
const MAX_USERS: usize = 100_000;

/// Failed logins of late.
#[derive(Default)]
pub(crate) struct Failures(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: BTreeMap<Who, Record>,
    old: BTreeMap<Who, Record>,
    /// When the young were begun.
    since: Option<Instant>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Client(IpAddr),
    /// A name, whether there is such a user or not.
    Name(Box<str>),
}

#[derive(Clone, Copy, Default)]
struct Record {
    count: u32,
    /// Logins that are being checked, each of which may fail.
    under_way: u32,
    /// See [`passes`].
    due: Option<Instant>,
}

/// By when all that was done would have been done at the even rate; a window's worth may come at once (GCRA, ITU-T I.371
/// annex A). `limit` is not 0. Answers that time when one more is allowed.
fn passes(due: Option<Instant>, limit: u32, window: Duration, now: Instant) -> Option<Instant> {
    let next = due.map_or(now, |due| due.max(now)) + window / limit;
    (next - now <= window).then_some(next)
}

/// Whether a login may be checked.
pub(crate) enum Attempt {
    Now(Trying),
    /// Enough are being checked that, should they all fail, this one may not.
    Later,
    /// The client has failed so often that nothing of it is checked now.
    Never,
}

/// A login that is being checked, until dropped.
pub(crate) struct Trying {
    failures: Arc<Failures>,
    client: IpAddr,
}

impl Failures {
    /// `limit`: failures of a client a minute; 0: any number.
    pub(crate) fn attempt(all: &Arc<Self>, client: IpAddr, limit: u32, now: Instant) -> Attempt {
        let client = client_of(client);
        let mut generations = all.0.lock();
        generations.turn(now);
        let record = generations.record(Who::Client(client));
        if limit > 0 {
            let Some(one_more) = passes(record.due, limit, MINUTE, now) else {
                return Attempt::Never;
            };
            let all = one_more + (MINUTE / limit).saturating_mul(record.under_way);
            if all - now > MINUTE {
                return Attempt::Later;
            }
        }
        record.under_way = record.under_way.saturating_add(1);
        drop(generations);
        Attempt::Now(Trying { failures: Arc::clone(all), client })
    }

    /// Notes that it failed; answers how long its reply takes.
    pub(crate) fn note(&self, trying: Trying, name: &str, limit: u32, now: Instant) -> Duration {
        let name = &name[..name.floor_char_boundary(MAX_NAME)];
        let mut all = self.0.lock();
        all.turn(now);
        let client = all.record(Who::Client(trying.client));
        client.count = client.count.saturating_add(1);
        if limit > 0 {
            client.due = passes(client.due, limit, MINUTE, now).or(client.due);
        }
        let of_client = client.count;
        let name = all.record(Who::Name(name.to_ascii_lowercase().into()));
        name.count = name.count.saturating_add(1);
        let delay = delay(of_client.max(name.count));
        drop(all);
        drop(trying);
        delay
    }
}

impl Drop for Trying {
    fn drop(&mut self) {
        let mut all = self.failures.0.lock();
        let record = all.record(Who::Client(self.client));
        record.under_way = record.under_way.saturating_sub(1);
    }
}

impl Failures {
    /// How often the client has failed of late.
    pub(crate) fn count(&self, client: IpAddr, now: Instant) -> u32 {
        let mut all = self.0.lock();
        all.turn(now);
        let who = Who::Client(client_of(client));
        all.young.get(&who).or_else(|| all.old.get(&who)).map_or(0, |record| record.count)
    }

    /// Nothing was checked, because too much waits: it counts for the client's minute as a failure. Answers how long its
    /// reply takes.
    pub(crate) fn overrun(&self, client: IpAddr, limit: u32, now: Instant) -> Duration {
        let mut all = self.0.lock();
        all.turn(now);
        let record = all.record(Who::Client(client_of(client)));
        if limit > 0 {
            record.due = passes(record.due, limit, MINUTE, now).or(record.due);
        }
        delay(record.count.max(1))
    }
}

fn delay(count: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(count.saturating_sub(1));
    FIRST_DELAY.saturating_mul(doubled).min(LONGEST_DELAY)
}

impl Generations {
    fn turn(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        if now - since >= REMEMBERED_FOR {
            self.old = std::mem::take(&mut self.young);
            self.since = Some(now);
        }
    }

    fn record(&mut self, who: Who) -> &mut Record {
        if self.young.len() >= MAX_REMEMBERED && !self.young.contains_key(&who) {
            self.old = std::mem::take(&mut self.young);
        }
        let remembered = self.old.remove(&who).unwrap_or_default();
        self.young.entry(who).or_insert(remembered)
    }
}

/// What users do: their sessions, messages and recipients.
#[derive(Default)]
pub(crate) struct Doings(Mutex<BTreeMap<String, Doing>>);

#[derive(Clone, Copy, Default)]
struct Doing {
    sessions: usize,
    messages: Option<Instant>,
    recipients: Option<Instant>,
    /// Recipients of a day.
    daily: Option<Instant>,
}

/// A session of a user; its place is free again when dropped.
pub(crate) struct Seat {
    doings: Arc<Doings>,
    name: String,
}

impl Doings {
    /// `None` when the user has as many sessions as may be.
    pub(crate) fn seat(self: &Arc<Self>, name: &str, most: usize) -> Option<Seat> {
        let mut all = self.0.lock();
        let doing = all.entry(name.to_owned()).or_default();
        if doing.sessions >= most {
            return None;
        }
        doing.sessions += 1;
        Some(Seat { doings: Arc::clone(self), name: name.to_owned() })
    }

    /// True when the user may send one more message; then it is counted.
    pub(crate) fn message(&self, name: &str, rates: &UserRates, now: Instant) -> bool {
        self.with(name, now, |doing| {
            take(&mut [(&mut doing.messages, rates.messages_per_minute, MINUTE)], now)
        })
    }

    /// True when the user may send to one more recipient; then it is counted.
    pub(crate) fn recipient(&self, name: &str, rates: &UserRates, now: Instant) -> bool {
        self.with(name, now, |doing| {
            let minute = (&mut doing.recipients, rates.recipients_per_minute, MINUTE);
            take(&mut [minute, (&mut doing.daily, rates.recipients_per_day, DAY)], now)
        })
    }

    fn with(&self, name: &str, now: Instant, take: impl FnOnce(&mut Doing) -> bool) -> bool {
        let mut all = self.0.lock();
        if all.len() >= MAX_USERS {
            let owes = |due: Option<Instant>| due.is_some_and(|due| due > now);
            all.retain(|_, d| {
                d.sessions > 0 || owes(d.messages) || owes(d.recipients) || owes(d.daily)
            });
        }
        take(all.entry(name.to_owned()).or_default())
    }
}

/// All limits allow it, or nothing is counted.
fn take(limits: &mut [(&mut Option<Instant>, u32, Duration)], now: Instant) -> bool {
    let mut next = [None; 2];
    for ((due, limit, window), next) in limits.iter().zip(&mut next) {
        if *limit == 0 {
            continue;
        }
        let Some(passed) = passes(**due, *limit, *window, now) else { return false };
        *next = Some(passed);
    }
    for ((due, ..), next) in limits.iter_mut().zip(next) {
        **due = next.or(**due);
    }
    true
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(doing) = self.doings.0.lock().get_mut(&self.name) {
            doing.sessions = doing.sessions.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    fn fail(failures: &Arc<Failures>, client: &str, name: &str, limit: u32, when: u64) -> Duration {
        match Failures::attempt(failures, ip(client), limit, at(when)) {
            Attempt::Now(trying) => failures.note(trying, name, limit, at(when)),
            Attempt::Later | Attempt::Never => panic!("{client} may not"),
        }
    }

    #[test]
    fn who_fails_again_waits_longer_whoever_he_says_he_is_and_wherever_he_comes_from() {
        let failures = Arc::new(Failures::default());
        let fails = |client, name, when| fail(&failures, client, name, 0, when).as_secs();
        let waits: Vec<u64> = (0..6).map(|_| fails("192.0.2.1", "ann", 0)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
        assert_eq!(fails("192.0.2.1", "bob", 1), 10, "the address is known");
        assert_eq!(fails("192.0.2.2", "ANN", 1), 10, "the name is known");
        assert_eq!(fails("192.0.2.3", "carl", 1), 1);
        assert_eq!(fails("2001:db8::1", "x", 1), 1);
        assert_eq!(fails("2001:db8::2", "y", 1), 2, "one /64");
        let twice = 2 * REMEMBERED_FOR.as_secs();
        assert_eq!(fails("192.0.2.9", "z", 1 + twice), 1);
        assert_eq!(fails("192.0.2.1", "ann", 2 * (1 + twice)), 1, "forgotten in the end");
    }

    #[test]
    fn who_fails_often_in_a_minute_is_not_listened_to() {
        let failures = Arc::new(Failures::default());
        let attempt = |client, when| Failures::attempt(&failures, ip(client), 3, at(when));
        let blocked = |client, when| matches!(attempt(client, when), Attempt::Never);
        for n in 0..3 {
            assert!(!blocked("192.0.2.1", 0), "{n}");
            fail(&failures, "192.0.2.1", "ann", 3, 0);
        }
        assert!(blocked("192.0.2.1", 0) && blocked("192.0.2.1", 19));
        assert!(!blocked("192.0.2.2", 0) && !blocked("192.0.2.1", 20));
        let free = Failures::attempt(&failures, ip("192.0.2.1"), 0, at(0));
        assert!(matches!(free, Attempt::Now(_)), "no limit");
    }

    #[test]
    fn no_more_are_checked_at_once_than_may_fail() {
        let failures = Arc::new(Failures::default());
        let attempt = || Failures::attempt(&failures, ip("192.0.2.1"), 3, at(0));
        let mut under_way = Vec::new();
        while let Attempt::Now(trying) = attempt() {
            under_way.push(trying);
        }
        assert!(under_way.len() == 3 && matches!(attempt(), Attempt::Later));
        under_way.pop();
        under_way.push(match attempt() {
            Attempt::Now(trying) => trying,
            _ => panic!("one was right, another may be checked"),
        });
        for trying in under_way {
            assert!(!matches!(attempt(), Attempt::Now(_)));
            failures.note(trying, "ann", 3, at(0));
        }
        assert!(matches!(attempt(), Attempt::Never));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let failures = Arc::new(Failures::default());
        for n in 0..30_000_u32 {
            let client = IpAddr::from((n << 4).to_be_bytes()).to_string();
            fail(&failures, &client, &format!("{n}{}", "x".repeat(500)), 3, 0);
        }
        let all = failures.0.lock();
        assert!(all.young.len() <= MAX_REMEMBERED + 1 && all.old.len() <= MAX_REMEMBERED + 1);
    }

    #[test]
    fn a_user_has_limits_for_a_minute_and_a_day_wherever_the_sessions_are() {
        let doings = Arc::new(Doings::default());
        let rates =
            UserRates { messages_per_minute: 2, recipients_per_minute: 3, recipients_per_day: 4 };
        let messages = |when| doings.message("ann", &rates, at(when));
        assert!(messages(0) && messages(0) && !messages(0) && messages(30));
        assert!(doings.message("bob", &rates, at(0)));
        let recipients = |when| doings.recipient("ann", &rates, at(when));
        assert!(recipients(0) && recipients(0) && recipients(0) && !recipients(0));
        assert!(recipients(20), "the fourth of the day");
        assert!(!recipients(60), "no fifth, though the minute would allow it");
        assert!(recipients(86_400 / 4), "one comes back in a quarter of a day");
        let free = UserRates { messages_per_minute: 0, ..rates };
        assert!((0..100).all(|_| doings.message("ann", &free, at(0))));
    }

    #[test]
    fn a_user_has_so_many_sessions_and_no_more() {
        let doings = Arc::new(Doings::default());
        let first = doings.seat("ann", 2).expect("free");
        let _second = doings.seat("ann", 2).expect("free");
        assert!(doings.seat("ann", 2).is_none() && doings.seat("bob", 2).is_some());
        drop(first);
        assert!(doings.seat("ann", 2).is_some());
    }
}
