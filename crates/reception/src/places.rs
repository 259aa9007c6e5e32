//! The sessions under way: how many there are, of whom, who makes room when all places are taken, and how sessions are
//! told that they are to end.
//!
//! Not here: how long a client may take (`session`), what it is told (`policy`).

mod standing;

use crate::network::masked;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use posthaste_io::{Instant, TaskHandle};
pub(crate) use standing::Progress;
use standing::Standing;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// Bits of an IPv6 address that make a client: whoever has one address there has them all.
const CLIENT_PREFIX: u8 = 64;
/// Bits of an address that make a network: what one provider gives to one customer, or fewer.
const NETWORK_V4: u8 = 24;
const NETWORK_V6: u8 = 48;
/// Strangers leave this part of all places to relay networks and users.
const RESERVE_PART: usize = 10;
/// Sessions that were told to make room and are not gone yet may be this part of all places, or [`FEW`]. They hold
/// descriptors and memory, but no place: who comes then waits for a moment, see [`NoPlace::Soon`].
const LEAVING_PART: usize = 4;
const FEW: usize = 16;
/// Sessions looked at for one that makes room. What was out of date is put right on the way, so that the next look is
/// short.
const MAX_LOOKS: usize = 32 * 1024;
/// A client that has sent content, or whose message was accepted, within this time is at work, and makes room for nobody.
const AT_WORK: Duration = Duration::from_millis(500);
/// From this share of the strangers' places on, in percent, they get less time.
const STRESS_PERCENT: usize = 75;

/// All sessions.
#[derive(Default)]
pub(crate) struct Places {
    taken: Mutex<Taken>,
    /// Strangers' sessions that were not told to make room.
    strangers: AtomicUsize,
    draining: AtomicBool,
    /// Maintenance: sessions end between transactions, and none begins.
    paused: AtomicBool,
    /// A door waits for a place that is free soon.
    held_up: AtomicBool,
    /// Who waits in [`Places::empty`].
    last_left: AtomicWaker,
}

#[derive(Default)]
struct Taken {
    next: u64,
    sessions: BTreeMap<u64, Entry>,
    /// Those of programs on this machine, by user; they are counted apart.
    users: BTreeMap<Option<u32>, usize>,
    programs: usize,
    clients: BTreeMap<IpAddr, usize>,
    networks: BTreeMap<IpAddr, usize>,
    /// Strangers' sessions by how far they had come when they were last looked at: the first makes room first.
    order: BTreeSet<(Progress, Instant, u64)>,
    /// Told to make room, and not gone yet.
    leaving: usize,
    doors: Vec<Arc<AtomicWaker>>,
}

struct Entry {
    standing: Arc<Standing>,
    /// Its place in the order, as long as it has one.
    ordered: Option<(Progress, Instant)>,
    task: Option<Box<dyn TaskHandle>>,
}

/// One session's place; free again when dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    number: u64,
    guest: Guest,
    standing: Arc<Standing>,
    /// It is counted as a stranger's.
    stranger: bool,
}

/// How many places there are for clients of the network.
#[derive(Clone, Copy)]
pub(crate) struct Seats {
    /// In all.
    pub(crate) all: usize,
    pub(crate) per_client: usize,
    pub(crate) per_network: usize,
    /// For a stranger: others may have the reserve, and never make room.
    pub(crate) stranger: bool,
}

/// Whose sessions are counted together.
#[derive(Clone, Copy)]
enum Guest {
    Remote {
        client: IpAddr,
        network: IpAddr,
    },
    User(Option<u32>),
    /// Behind a proxy that has not said who it is yet.
    Unknown,
}

/// Why a session is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Closing {
    /// The service shuts down.
    Stopping,
    /// Maintenance.
    Maintenance,
    /// All places are taken, and it has come less far than others.
    MakingRoom,
}

/// What a session is in the middle of: it decides what ends it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Amid {
    Nothing,
    Transaction,
    Content,
}

/// No place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoPlace {
    /// All are taken, by clients at work.
    Full,
    /// All are taken, but some are on their way out or have not even begun: in a moment one of them can make room.
    Soon,
    /// The client has too many.
    Client,
    /// The client's network has too many.
    Network,
    /// The user of a program on this machine has too many.
    User,
}

impl Seats {
    /// For strangers.
    const fn strangers(&self) -> usize {
        strangers_of(self.all)
    }
}

const fn strangers_of(all: usize) -> usize {
    all - all / RESERVE_PART
}

impl Places {
    /// For a client of the network. When all places are taken, a stranger who has come less far makes room; answers
    /// whether one did.
    pub(crate) fn take(
        self: &Arc<Self>,
        peer: SocketAddr,
        seats: Seats,
        now: Instant,
    ) -> Result<(Place, bool), NoPlace> {
        let mut taken = self.taken.lock();
        let guest = taken.count(peer.ip(), seats)?;
        match self.enter(&mut taken, seats, now) {
            Ok((number, standing, made)) => {
                let stranger = seats.stranger;
                Ok((Place { places: Arc::clone(self), number, guest, standing, stranger }, made))
            }
            Err(full) => {
                taken.uncount(guest);
                Err(full)
            }
        }
    }

    /// For a client whose address a proxy has yet to tell: see [`Place::identify`].
    pub(crate) fn take_unknown(
        self: &Arc<Self>,
        all: usize,
        now: Instant,
    ) -> Result<(Place, bool), NoPlace> {
        let mut taken = self.taken.lock();
        let seats = Seats { all, per_client: 0, per_network: 0, stranger: true };
        let (number, standing, made) = self.enter(&mut taken, seats, now)?;
        let (places, guest) = (Arc::clone(self), Guest::Unknown);
        Ok((Place { places, number, guest, standing, stranger: true }, made))
    }

    fn enter(
        &self,
        taken: &mut Taken,
        seats: Seats,
        now: Instant,
    ) -> Result<(u64, Arc<Standing>, bool), NoPlace> {
        let held = taken.sessions.len() - taken.programs - taken.leaving;
        let strangers = self.strangers.load(Ordering::Relaxed);
        let full = held >= seats.all || (seats.stranger && strangers >= seats.strangers());
        if full {
            if taken.leaving >= (seats.all / LEAVING_PART).max(FEW) {
                return Err(NoPlace::Soon);
            }
            if !taken.make_room(now) {
                return Err(if taken.has_newcomers() { NoPlace::Soon } else { NoPlace::Full });
            }
            self.strangers.fetch_sub(1, Ordering::Relaxed);
        }
        let (number, standing) = taken.enter(now, seats.stranger);
        self.strangers.fetch_add(usize::from(seats.stranger), Ordering::Relaxed);
        Ok((number, standing, full))
    }

    /// A door waits for [`NoPlace::Soon`] to change: all are woken as soon as it may have. A wake may get lost between
    /// threads; where many come and go the next is not far.
    pub(crate) fn hold_up(&self) {
        self.held_up.store(true, Ordering::SeqCst);
    }

    fn go_on(&self) {
        if self.held_up.load(Ordering::Relaxed) && self.held_up.swap(false, Ordering::SeqCst) {
            self.taken.lock().doors.iter().for_each(|waker| waker.wake());
        }
    }

    /// True when so many of the strangers' places are taken that they get less time.
    pub(crate) fn is_stressed(&self, all: usize) -> bool {
        let strangers = self.strangers.load(Ordering::Relaxed);
        strangers * 100 >= strangers_of(all).saturating_mul(STRESS_PERCENT) && strangers > 0
    }

    /// For a program of this user on this machine, within a share that clients of the network have no part in, nor it
    /// in theirs.
    pub(crate) fn take_local(
        self: &Arc<Self>,
        user: Option<u32>,
        share: usize,
        per_user: usize,
    ) -> Result<Place, NoPlace> {
        let mut taken = self.taken.lock();
        if taken.programs >= share {
            return Err(NoPlace::Full);
        }
        if taken.users.get(&user).copied().unwrap_or(0) >= per_user {
            return Err(NoPlace::User);
        }
        *taken.users.entry(user).or_default() += 1;
        taken.programs += 1;
        let (number, standing) = taken.enter(Instant::default(), false);
        let (places, guest) = (Arc::clone(self), Guest::User(user));
        Ok(Place { places, number, guest, standing, stranger: false })
    }

    /// Remembers the task of a place, unless it has ended already.
    pub(crate) fn occupy(&self, number: u64, task: Box<dyn TaskHandle>) {
        if let Some(entry) = self.taken.lock().sessions.get_mut(&number) {
            entry.task = Some(task);
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.taken.lock().sessions.len()
    }

    /// A waker for a loop that accepts connections: woken by [`Places::drain`], and as told at
    /// [`Places::hold_up`].
    pub(crate) fn door(&self) -> Arc<AtomicWaker> {
        let waker = Arc::new(AtomicWaker::new());
        let mut taken = self.taken.lock();
        taken.doors.retain(|door| Arc::strong_count(door) > 1);
        taken.doors.push(Arc::clone(&waker));
        waker
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Tells doors and sessions to come to an end.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        let taken = self.taken.lock();
        taken.doors.iter().for_each(|waker| waker.wake());
        taken.sessions.values().for_each(|entry| entry.standing.waker.wake());
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// Begins or ends maintenance, and tells the sessions.
    pub(crate) fn pause(&self, on: bool) {
        self.paused.store(on, Ordering::Release);
        self.taken.lock().sessions.values().for_each(|entry| entry.standing.waker.wake());
    }

    /// Waits until no session is left. For one caller at a time.
    pub(crate) async fn empty(&self) {
        poll_fn(|cx| {
            self.last_left.register(cx.waker());
            if self.taken.lock().sessions.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Ends all sessions at their next wait; answers how many there were.
    pub(crate) fn abort(&self) -> usize {
        let taken = self.taken.lock();
        taken.sessions.values().filter_map(|entry| entry.task.as_ref()).for_each(|t| t.abort());
        taken.sessions.len()
    }
}

impl Taken {
    fn enter(&mut self, now: Instant, stranger: bool) -> (u64, Arc<Standing>) {
        self.next += 1;
        let standing = Arc::new(Standing::new(now));
        let ordered = stranger.then(|| standing.get());
        if let Some((progress, since)) = ordered {
            self.order.insert((progress, since, self.next));
        }
        let entry = Entry { standing: Arc::clone(&standing), ordered, task: None };
        self.sessions.insert(self.next, entry);
        (self.next, standing)
    }

    /// One more session of this client.
    fn count(&mut self, ip: IpAddr, seats: Seats) -> Result<Guest, NoPlace> {
        let (client, network) = (client_of(ip), network_of(ip));
        let has = |counts: &BTreeMap<IpAddr, usize>, key| counts.get(key).copied().unwrap_or(0);
        if has(&self.clients, &client) >= seats.per_client {
            return Err(NoPlace::Client);
        }
        if has(&self.networks, &network) >= seats.per_network {
            return Err(NoPlace::Network);
        }
        *self.clients.entry(client).or_default() += 1;
        *self.networks.entry(network).or_default() += 1;
        Ok(Guest::Remote { client, network })
    }

    fn uncount(&mut self, guest: Guest) {
        match guest {
            Guest::Remote { client, network } => {
                one_less(&mut self.clients, &client);
                one_less(&mut self.networks, &network);
            }
            Guest::User(user) => {
                one_less(&mut self.users, &user);
                self.programs -= 1;
            }
            Guest::Unknown => {}
        }
    }

    /// Tells the stranger who has come least far to go. False when none can be spared.
    fn make_room(&mut self, now: Instant) -> bool {
        let Some(number) = self.least_far(now) else { return false };
        let Some(entry) = self.sessions.get_mut(&number) else { return false };
        let ordered = entry.ordered.take();
        entry.standing.make_room();
        self.leaving += 1;
        self.forget_order(ordered, number);
        true
    }

    /// True when there are sessions that have not come to wait for their client yet. To be asked when nobody could be
    /// told to go: of those who have said nothing only such are left then.
    fn has_newcomers(&self) -> bool {
        self.order.first().is_some_and(|first| first.0 <= Progress::Nothing)
    }

    /// Whoever has used up its patience; else whoever is not at work, however far it has come: one of many who stand
    /// still is less of a loss than somebody new who is turned away. At last whoever has sent no content.
    fn least_far(&mut self, now: Instant) -> Option<u64> {
        let not_at_work = |progress: Progress| progress.patience().min(AT_WORK);
        let no_content = |progress| match progress {
            Progress::Errors | Progress::Nothing | Progress::Commands => Duration::ZERO,
            Progress::Content | Progress::Mail => AT_WORK,
        };
        let mut looks = MAX_LOOKS;
        [Progress::patience, not_at_work, no_content]
            .into_iter()
            .find_map(|patience| self.stood_still(now, patience, &mut looks))
    }

    /// Sessions only ever come further, but for a first error, which moves them at once: what the order says of one is at
    /// most out of date, and the first that is where the order has it comes before all others.
    fn stood_still(
        &mut self,
        now: Instant,
        patience: fn(Progress) -> Duration,
        looks: &mut usize,
    ) -> Option<u64> {
        for progress in Progress::ALL {
            let mut from = (progress, Instant::default(), 0);
            while let Some(&key) = self.order.range(from..).next().filter(|key| key.0 == progress) {
                *looks = looks.checked_sub(1)?;
                let (_, since, number) = key;
                let entry = self.sessions.get_mut(&number)?;
                let (progress_now, since_now) = entry.standing.get();
                if (progress_now, since_now) != (progress, since) {
                    entry.ordered = Some((progress_now, since_now));
                    self.order.remove(&key);
                    self.order.insert((progress_now, since_now, number));
                    continue;
                }
                if now - since < patience(progress) {
                    break;
                }
                if entry.standing.is_waiting() {
                    return Some(number);
                }
                from = (progress, since, number + 1);
            }
        }
        None
    }

    /// Puts one where it belongs now.
    fn reorder(&mut self, number: u64) {
        let Some(entry) = self.sessions.get_mut(&number) else { return };
        let Some(before) = entry.ordered else { return };
        let (progress, since) = entry.standing.get();
        entry.ordered = Some((progress, since));
        self.order.remove(&(before.0, before.1, number));
        self.order.insert((progress, since, number));
    }

    fn forget_order(&mut self, ordered: Option<(Progress, Instant)>, number: u64) {
        if let Some((progress, since)) = ordered {
            self.order.remove(&(progress, since, number));
        }
    }
}

impl Place {
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// The client behind the proxy is this one.
    pub(crate) fn identify(&mut self, ip: IpAddr, seats: Seats) -> Result<(), NoPlace> {
        let guest = self.places.taken.lock().count(ip, seats)?;
        self.guest = guest;
        if !seats.stranger {
            self.trust();
        }
        Ok(())
    }

    /// No stranger any more: it has the reserve, and never makes room.
    pub(crate) fn trust(&mut self) {
        if !std::mem::take(&mut self.stranger) {
            return;
        }
        let mut taken = self.places.taken.lock();
        let ordered = taken.sessions.get_mut(&self.number).and_then(|entry| entry.ordered.take());
        if ordered.is_some() {
            taken.forget_order(ordered, self.number);
            self.places.strangers.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The client has come so far.
    pub(crate) fn comes(&self, progress: Progress, now: Instant) {
        self.standing.comes(progress, now);
    }

    /// The client has made an error, or failed to log in.
    pub(crate) fn errs(&self, now: Instant) {
        if self.standing.has_errors() {
            return;
        }
        let mut taken = self.places.taken.lock();
        if self.standing.errs(now) {
            taken.reorder(self.number);
        }
    }

    /// The session waits for the client, or lets time pass on purpose, or does so no more. Only then can it make room.
    pub(crate) fn waits(&self, waiting: bool) {
        self.standing.waits(waiting);
        if waiting {
            self.places.go_on();
        }
    }

    /// Why the session is to end now. Otherwise the task is woken when it is.
    pub(crate) fn poll_closing(&self, amid: Amid, cx: &Context<'_>) -> Option<Closing> {
        self.standing.waker.register(cx.waker());
        self.closing(amid)
    }

    /// The same without waiting for it.
    pub(crate) fn closing(&self, amid: Amid) -> Option<Closing> {
        if self.standing.makes_room() {
            return Some(Closing::MakingRoom);
        }
        match amid {
            Amid::Content => None,
            _ if self.places.is_draining() => Some(Closing::Stopping),
            Amid::Nothing if self.places.is_paused() => Some(Closing::Maintenance),
            Amid::Nothing | Amid::Transaction => None,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        let entry = taken.sessions.remove(&self.number);
        let ordered = entry.as_ref().and_then(|entry| entry.ordered);
        if self.standing.makes_room() {
            taken.leaving -= 1;
        } else if ordered.is_some() {
            self.places.strangers.fetch_sub(1, Ordering::Relaxed);
        }
        taken.forget_order(ordered, self.number);
        taken.uncount(self.guest);
        drop(taken);
        drop(entry);
        self.places.go_on();
        self.places.last_left.wake();
    }
}

pub(crate) fn one_less<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// The network whose sessions are counted together.
pub(crate) fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        v4 @ IpAddr::V4(_) => masked(v4, NETWORK_V4),
        v6 @ IpAddr::V6(_) => masked(v6, NETWORK_V6),
    }
}

pub(crate) fn client_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        v6 @ IpAddr::V6(_) => masked(v6, CLIENT_PREFIX),
    }
}

#[cfg(test)]
mod tests;
