//! The line for checks of passwords, which are slow on purpose: a fair share for each address and network, and who has
//! logged in before goes first.
//!
//! Not here: the check itself (`users`), how often somebody may fail (`logins`).

use crate::places::{client_of, network_of, one_less};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;

/// Checks that wait. When it is full, who comes takes the place of the last of a worse rank, or is refused.
const MAX_WAITING: usize = 64;
/// Checks of one address, and of one network, that wait or are under way.
const PER_CLIENT: usize = 4;
const PER_NETWORK: usize = 8;
/// Addresses from which somebody has logged in may have so many times that.
const KNOWN_SHARE: usize = 4;
/// Addresses remembered in each of two generations: about 1 MB when both are full.
const MAX_KNOWN: usize = 10_000;

const WAITS: u8 = 0;
const GRANTED: u8 = 1;
const DISPLACED: u8 = 2;

/// Who goes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Rank {
    /// Somebody has logged in from there.
    Known,
    /// Nobody has, and nobody has failed to.
    New,
    /// Somebody has failed to of late.
    Failing,
}

#[derive(Default)]
pub(crate) struct Line {
    state: Mutex<State>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct State {
    next: u64,
    at_once: usize,
    under_way: usize,
    waiting: BTreeMap<(Rank, u64), Arc<Ticket>>,
    clients: BTreeMap<IpAddr, usize>,
    networks: BTreeMap<IpAddr, usize>,
}

#[derive(Default)]
struct Known {
    young: BTreeSet<IpAddr>,
    old: BTreeSet<IpAddr>,
}

#[derive(Default)]
struct Ticket {
    state: AtomicU8,
    waker: AtomicWaker,
}

/// A place in the line, and then the check itself; free again when dropped.
pub(crate) struct Turn {
    line: Arc<Line>,
    key: (Rank, u64),
    client: IpAddr,
    network: IpAddr,
    ticket: Arc<Ticket>,
}

impl Line {
    /// Somebody has logged in from there.
    pub(crate) fn knows(&self, client: IpAddr) {
        let client = client_of(client);
        let mut known = self.known.lock();
        if known.young.len() >= MAX_KNOWN && !known.young.contains(&client) {
            known.old = std::mem::take(&mut known.young);
        }
        known.young.insert(client);
    }

    pub(crate) fn is_known(&self, client: IpAddr) -> bool {
        let (client, known) = (client_of(client), self.known.lock());
        known.young.contains(&client) || known.old.contains(&client)
    }

    /// `at_once`: how many are checked at the same time. `None`: the client has its share, or too many wait.
    pub(crate) fn join(
        self: &Arc<Self>,
        client: IpAddr,
        rank: Rank,
        at_once: usize,
    ) -> Option<Turn> {
        let (client, network) = (client_of(client), network_of(client));
        let share = if rank == Rank::Known { KNOWN_SHARE } else { 1 };
        let mut state = self.state.lock();
        let has = |counts: &BTreeMap<IpAddr, usize>, key| counts.get(key).copied().unwrap_or(0);
        if has(&state.clients, &client) >= PER_CLIENT * share
            || has(&state.networks, &network) >= PER_NETWORK * share
        {
            return None;
        }
        state.at_once = at_once;
        state.next += 1;
        let (key, ticket) = ((rank, state.next), Arc::<Ticket>::default());
        if state.waiting.len() >= MAX_WAITING {
            let last = state.waiting.last_entry().filter(|last| last.key().0 > rank)?;
            last.remove().tell(DISPLACED);
        }
        state.waiting.insert(key, Arc::clone(&ticket));
        *state.clients.entry(client).or_default() += 1;
        *state.networks.entry(network).or_default() += 1;
        state.go_on();
        drop(state);
        Some(Turn { line: Arc::clone(self), key, client, network, ticket })
    }
}

impl State {
    fn go_on(&mut self) {
        while self.under_way < self.at_once
            && let Some((_, first)) = self.waiting.pop_first()
        {
            self.under_way += 1;
            first.tell(GRANTED);
        }
    }
}

impl Ticket {
    fn tell(&self, what: u8) {
        self.state.store(what, Ordering::Release);
        self.waker.wake();
    }
}

impl Turn {
    /// Waits for it; false when somebody else got the place in the line.
    pub(crate) async fn comes(&self) -> bool {
        poll_fn(|cx| {
            self.ticket.waker.register(cx.waker());
            match self.ticket.state.load(Ordering::Acquire) {
                WAITS => Poll::Pending,
                told => Poll::Ready(told == GRANTED),
            }
        })
        .await
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.line.state.lock();
        match self.ticket.state.load(Ordering::Acquire) {
            GRANTED => state.under_way -= 1,
            DISPLACED => {}
            _ => drop(state.waiting.remove(&self.key)),
        }
        one_less(&mut state.clients, &self.client);
        one_less(&mut state.networks, &self.network);
        state.go_on();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: usize) -> IpAddr {
        IpAddr::from([10, u8::try_from(n / 250).unwrap(), u8::try_from(n % 250).unwrap(), 1])
    }

    #[test]
    fn the_known_go_first_and_nobody_has_more_than_a_share() {
        use Rank::{Failing, Known, New};
        let line = Arc::<Line>::default();
        let state = |turn: &Turn| turn.ticket.state.load(Ordering::Acquire);
        let mut attackers: Vec<_> =
            (0..66).map(|n| line.join(ip(n), Failing, 2).expect("room")).collect();
        assert!(line.join(ip(70), Failing, 2).is_none(), "the line is full");
        let new = line.join(ip(71), New, 2).expect("the last makes room");
        let known = line.join(ip(72), Known, 2).expect("the last makes room");
        let told: Vec<_> = attackers.iter().map(state).collect();
        assert_eq!((told[0], told[1], told[2]), (GRANTED, GRANTED, WAITS));
        assert_eq!((told[63], told[64], told[65]), (WAITS, DISPLACED, DISPLACED));
        attackers.remove(0);
        assert_eq!((state(&known), state(&new)), (GRANTED, WAITS));
        drop(known);
        assert_eq!(state(&new), GRANTED);
        for (rank, most) in [(New, 4), (Known, 16)] {
            let turns: Vec<_> = (0..20).filter_map(|_| line.join(ip(90), rank, 2)).collect();
            assert_eq!(turns.len(), most);
        }
        let of_network = |host| IpAddr::from([192, 0, 2, host]);
        let turns: Vec<_> =
            (0..20).filter_map(|host| line.join(of_network(host), New, 2)).collect();
        assert_eq!(turns.len(), 8);
        drop((turns, new, attackers));
        let state = line.state.lock();
        assert!(state.waiting.is_empty() && state.clients.is_empty() && state.networks.is_empty());
        assert_eq!(state.under_way, 0);
    }

    #[test]
    fn addresses_are_remembered_and_not_for_ever() {
        let line = Line::default();
        for n in 0..10_001 {
            line.knows(ip(n));
        }
        assert!(line.is_known(ip(1)) && line.is_known(ip(10_000)) && !line.is_known(ip(20_001)));
        for n in 10_001..20_001 {
            line.knows(ip(n));
        }
        assert!(!line.is_known(ip(1)) && line.is_known(ip(20_000)));
    }
}
