//! How much one client may do in a minute. State for a bounded number of clients; the longest silent are forgotten.
//!
//! Not here: which limits hold for whom (`settings`), the refusals (`policy`).

use crate::places::client_of;
use parking_lot::Mutex;
use posthaste_io::Instant;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Clients remembered in each of two generations: about 5 MB when both are full.
const MAX_CLIENTS: usize = 25_000;
/// What limits are about. After so long a silent client owes nothing and may be forgotten.
const WINDOW: Duration = Duration::from_secs(60);

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Deed {
    Connection,
    Message,
    Recipient,
}

/// Limits a minute; 0: none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rates {
    /// Connections; over it `421 4.7.0`.
    pub connections: u32,
    /// Messages, counted at MAIL; over it `451 4.7.0`.
    pub messages: u32,
    /// Recipients; over it `451 4.7.0`.
    pub recipients: u32,
}

/// What clients did lately.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: BTreeMap<IpAddr, Account>,
    old: BTreeMap<IpAddr, Account>,
    /// When the young were begun.
    since: Option<Instant>,
}

/// For each deed the time by which all that was done would have been done at the even rate: a whole minute's worth
/// may come at once (GCRA, ITU-T I.371 annex A).
#[derive(Clone, Copy, Default)]
struct Account([Option<Instant>; 3]);

impl Rates {
    const fn of(&self, deed: Deed) -> u32 {
        match deed {
            Deed::Connection => self.connections,
            Deed::Message => self.messages,
            Deed::Recipient => self.recipients,
        }
    }
}

impl Ledger {
    /// True when the client may do it now; then it is counted.
    pub(crate) fn allows(&self, rates: &Rates, deed: Deed, ip: IpAddr, now: Instant) -> bool {
        let limit = rates.of(deed);
        if limit == 0 {
            return true;
        }
        let mut clients = self.0.lock();
        clients.turn(now);
        let account = clients.account(client_of(ip));
        let due = &mut account.0[deed as usize];
        let next = due.map_or(now, |due| due.max(now)) + WINDOW / limit;
        let allowed = next - now <= WINDOW;
        if allowed {
            *due = Some(next);
        }
        allowed
    }
}

impl Generations {
    /// The young become the old when they are many or have been for a window: who is in neither owes nothing,
    /// or was the longest silent of too many.
    fn turn(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        if self.young.len() >= MAX_CLIENTS || now - since >= WINDOW {
            self.old = std::mem::take(&mut self.young);
            self.since = Some(now);
        }
    }

    fn account(&mut self, client: IpAddr) -> &mut Account {
        let remembered = self.old.remove(&client);
        let account = self.young.entry(client).or_default();
        if let Some(remembered) = remembered {
            *account = remembered;
        }
        account
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_minutes_worth_may_come_at_once_and_then_evenly() {
        let ledger = Ledger::default();
        let rates = Rates { connections: 3, messages: 60, recipients: 0 };
        let start = Instant::default();
        let at = |seconds| start + Duration::from_secs(seconds);
        let connects =
            |client: &str, when| ledger.allows(&rates, Deed::Connection, ip(client), when);
        for _ in 0..3 {
            assert!(connects("192.0.2.1", at(0)));
        }
        assert!(!connects("192.0.2.1", at(0)));
        assert!(!connects("::ffff:192.0.2.1", at(19)), "the same client");
        assert!(connects("192.0.2.2", at(19)), "another one");
        assert!(connects("192.0.2.1", at(20)));
        assert!(!connects("192.0.2.1", at(21)));
        assert!(ledger.allows(&rates, Deed::Message, ip("192.0.2.1"), at(21)), "counted apart");
        for _ in 0..10_000 {
            assert!(ledger.allows(&rates, Deed::Recipient, ip("192.0.2.1"), at(21)), "no limit");
        }
        for _ in 0..3 {
            assert!(connects("192.0.2.1", at(81)), "a minute later all is forgiven");
        }
        assert!(connects("2001:db8::1", at(81)) && connects("2001:db8::2", at(81)));
        assert!(connects("2001:db8::3", at(81)) && !connects("2001:db8::4", at(81)), "one /64");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_busy_are_not_forgotten() {
        let ledger = Ledger::default();
        let rates = Rates { connections: 1, ..Rates::default() };
        let now = Instant::default();
        assert!(ledger.allows(&rates, Deed::Connection, ip("192.0.2.1"), now));
        for n in 0..100_000_u32 {
            ledger.allows(&rates, Deed::Connection, IpAddr::from((n << 4).to_be_bytes()), now);
            if n % 1000 == 0 {
                assert!(!ledger.allows(&rates, Deed::Connection, ip("192.0.2.1"), now), "{n}");
            }
        }
        let clients = ledger.0.lock();
        assert!(clients.young.len() <= MAX_CLIENTS && clients.old.len() <= MAX_CLIENTS);
    }
}
