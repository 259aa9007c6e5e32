//! The sessions under way: how many there are, of whom, and how they are told that the service shuts down.

use crate::network::masked;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use posthaste_io::TaskHandle;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// Bits of an IPv6 address that make a client: whoever has one address there has them all.
const CLIENT_PREFIX: u8 = 64;
/// Bits of an address that make a network: what one provider gives to one customer, or fewer.
const NETWORK_V4: u8 = 24;
const NETWORK_V6: u8 = 48;

/// All sessions.
#[derive(Default)]
pub(crate) struct Places {
    taken: Mutex<Taken>,
    draining: AtomicBool,
    /// Maintenance: sessions end between transactions, and none begins.
    paused: AtomicBool,
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
    doors: Vec<Arc<AtomicWaker>>,
}

struct Entry {
    waker: Arc<AtomicWaker>,
    task: Option<Box<dyn TaskHandle>>,
}

/// One session's place; free again when dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    number: u64,
    guest: Guest,
    waker: Arc<AtomicWaker>,
}

/// Whose sessions are counted together.
#[derive(Clone, Copy)]
enum Guest {
    Remote { client: IpAddr, network: IpAddr },
    User(Option<u32>),
}

/// Why a session is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Closing {
    /// The service shuts down.
    Stopping,
    /// Maintenance.
    Maintenance,
}

/// No place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoPlace {
    /// All are taken.
    Full,
    /// The client has too many.
    Client,
    /// The client's network has too many.
    Network,
    /// The user of a program on this machine has too many.
    User,
}

impl Places {
    /// For a client of the network.
    pub(crate) fn take(
        self: &Arc<Self>,
        peer: SocketAddr,
        all: usize,
        per_client: usize,
        per_network: usize,
    ) -> Result<Place, NoPlace> {
        let (client, network) = (client_of(peer.ip()), network_of(peer.ip()));
        let mut taken = self.taken.lock();
        if taken.sessions.len() - taken.programs >= all {
            return Err(NoPlace::Full);
        }
        let has = |counts: &BTreeMap<IpAddr, usize>, key| counts.get(key).copied().unwrap_or(0);
        if has(&taken.clients, &client) >= per_client {
            return Err(NoPlace::Client);
        }
        if has(&taken.networks, &network) >= per_network {
            return Err(NoPlace::Network);
        }
        *taken.clients.entry(client).or_default() += 1;
        *taken.networks.entry(network).or_default() += 1;
        let (number, waker) = taken.enter();
        let guest = Guest::Remote { client, network };
        Ok(Place { places: Arc::clone(self), number, guest, waker })
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
        let (number, waker) = taken.enter();
        Ok(Place { places: Arc::clone(self), number, guest: Guest::User(user), waker })
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

    /// A waker for a loop that accepts connections: woken by [`Places::drain`].
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
        taken.sessions.values().for_each(|entry| entry.waker.wake());
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// Begins or ends maintenance, and tells the sessions.
    pub(crate) fn pause(&self, on: bool) {
        self.paused.store(on, Ordering::Release);
        self.taken.lock().sessions.values().for_each(|entry| entry.waker.wake());
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
    fn enter(&mut self) -> (u64, Arc<AtomicWaker>) {
        self.next += 1;
        let waker = Arc::new(AtomicWaker::new());
        self.sessions.insert(self.next, Entry { waker: Arc::clone(&waker), task: None });
        (self.next, waker)
    }
}

impl Place {
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// Why the session is to end now: when the service shuts down, or, between transactions, for maintenance.
    /// Otherwise the task is woken when it is.
    pub(crate) fn poll_closing(&self, in_transaction: bool, cx: &Context<'_>) -> Option<Closing> {
        self.waker.register(cx.waker());
        self.closing(in_transaction)
    }

    /// The same without waiting for it.
    pub(crate) fn closing(&self, in_transaction: bool) -> Option<Closing> {
        if self.places.is_draining() {
            return Some(Closing::Stopping);
        }
        (!in_transaction && self.places.is_paused()).then_some(Closing::Maintenance)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        let entry = taken.sessions.remove(&self.number);
        match self.guest {
            Guest::Remote { client, network } => {
                one_less(&mut taken.clients, &client);
                one_less(&mut taken.networks, &network);
            }
            Guest::User(user) => {
                one_less(&mut taken.users, &user);
                taken.programs -= 1;
            }
        }
        drop(taken);
        drop(entry);
        self.places.last_left.wake();
    }
}

fn one_less<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// The network whose sessions are counted together.
fn network_of(ip: IpAddr) -> IpAddr {
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
mod tests {
    use super::*;

    fn from(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().expect("an address"), 4000)
    }

    #[test]
    fn places_are_limited_in_all_and_per_client() {
        let places = Arc::new(Places::default());
        let take = |ip: &str| places.take(from(ip), 4, 2, 3);
        let first = take("192.0.2.1").expect("free");
        let _second = take("::ffff:192.0.2.1").expect("free");
        assert_eq!(take("192.0.2.1").err(), Some(NoPlace::Client));
        let _third = take("2001:db8::1").expect("free");
        let _fourth = take("2001:db8::ffff").expect("free");
        assert_eq!(take("2001:db8::2").err(), Some(NoPlace::Full));
        drop(first);
        assert_eq!(take("2001:db8::3").err(), Some(NoPlace::Client));
        assert!(take("192.0.2.1").is_ok());
    }

    #[test]
    fn a_network_has_its_limit_whoever_is_in_it() {
        let places = Arc::new(Places::default());
        let take = |ip: &str| places.take(from(ip), 100, 100, 2);
        for (first, second, third, other) in [
            ("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.3.1"),
            ("2001:db8:1:1::1", "2001:db8:1:2::1", "2001:db8:1:3::1", "2001:db8:2::1"),
        ] {
            let first = take(first).expect("free");
            let _second = take(second).expect("free");
            assert_eq!(take(third).err(), Some(NoPlace::Network));
            assert!(take(other).is_ok());
            drop(first);
            assert!(take(third).is_ok());
        }
    }

    #[test]
    fn programs_on_this_machine_and_clients_do_not_shut_each_other_out() {
        let places = Arc::new(Places::default());
        let program = |user| places.take_local(Some(user), 4, 2);
        let _first = program(33).expect("free");
        let second = program(33).expect("free");
        assert_eq!(program(33).err(), Some(NoPlace::User));
        let _others = [program(34).expect("free"), program(35).expect("free")];
        assert_eq!(program(36).err(), Some(NoPlace::Full));
        let client = || places.take(from("192.0.2.1"), 2, 9, 9);
        let _clients = [client().expect("free"), client().expect("free")];
        assert_eq!(client().err(), Some(NoPlace::Full));
        assert_eq!(places.count(), 6);
        drop(second);
        let again = program(33).expect("free");
        assert_eq!(client().err(), Some(NoPlace::Full));
        drop((again, places.take_local(None, 9, 9)));
        assert_eq!(places.taken.lock().users.len(), 3);
    }

    #[test]
    fn a_client_that_left_is_forgotten() {
        let places = Arc::new(Places::default());
        drop(places.take(from("192.0.2.1"), 1, 1, 1));
        assert!(places.take(from("192.0.2.2"), 1, 0, 1).is_err());
        let taken = places.taken.lock();
        assert!(taken.clients.is_empty() && taken.networks.is_empty() && taken.sessions.is_empty());
    }
}
