//! How many notices strangers are sent: a sender whom we do not know may be a forged one, who never wrote to us.
//!
//! Pure: no clock, and bounded tables. In memory only: a restart begins anew. Not here: who is a stranger
//! (`message::dsn::rules`).

use super::debts::{Debts, key, next};
use posthaste_evidence::NoticeKind;
use posthaste_mail::Timestamp;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// What the limit of one sender is about.
const HOUR: Duration = Duration::from_secs(3600);
/// What the limit for all is about.
const MINUTE: Duration = Duration::from_secs(60);
/// Mail of one client network may use up one part in so many of what there is for all.
const NETWORKS: u32 = 4;
/// What is one network, as for sessions (`reception`): bits of an IPv4 and of an IPv6 address.
const NETWORK_BITS: (u32, u32) = (24, 48);

/// How many notices strangers are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StrangerLimits {
    /// Notices of success, and others, an hour to one reverse-path; so many may come at once. 0: none.
    pub per_sender_hour: u32,
    /// Notices of success, and others, a minute to all strangers; so many may come at once. 0: none. A quarter of
    /// it, or one, for mail from one network.
    pub per_minute: u32,
}

impl Default for StrangerLimits {
    fn default() -> Self {
        Self { per_sender_hour: 20, per_minute: 100 }
    }
}

/// Whom notices were sent lately. What was asked for is counted apart: a flood of NOTIFY=SUCCESS leaves what there is
/// for failures untouched.
#[derive(Default)]
pub(crate) struct Strangers {
    successes: Counted,
    others: Counted,
}

/// Notices to one reverse-path, because of a message that a client handed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) kind: NoticeKind,
    pub(crate) to: &'a str,
    pub(crate) client: Option<IpAddr>,
}

#[derive(Default)]
struct Counted {
    senders: Debts,
    networks: Debts,
    all: Timestamp,
}

impl Strangers {
    /// Counts one notice; false when it must not go.
    pub(crate) fn take(
        &mut self,
        now: Timestamp,
        one: Wanted<'_>,
        limits: &StrangerLimits,
    ) -> bool {
        let counted = match one.kind {
            NoticeKind::Delivered | NoticeKind::Relayed => &mut self.successes,
            NoticeKind::Failed | NoticeKind::Delayed | NoticeKind::AllClear => &mut self.others,
        };
        counted.take(now, one, limits).is_some()
    }
}

impl Counted {
    /// `None` when it must not go: then nothing is counted.
    fn take(&mut self, now: Timestamp, one: Wanted<'_>, limits: &StrangerLimits) -> Option<()> {
        let sender = key(mailbox(one.to));
        let network = key(one.client.map(network_of));
        let share = limits.per_minute.div_ceil(NETWORKS);
        let own = next(now, self.senders.until(sender), limits.per_sender_hour, HOUR)?;
        let shared = next(now, self.networks.until(network), share, MINUTE)?;
        self.all = next(now, self.all, limits.per_minute, MINUTE)?;
        self.senders.owes(sender, own);
        self.networks.owes(network, shared);
        Some(())
    }
}

/// Without case and detail (RFC 5233): whoever forges `victim+1`, `victim+2` and so on writes to one mailbox.
fn mailbox(reverse_path: &str) -> String {
    let mut key = reverse_path.to_ascii_lowercase();
    if let Some(at) = key.rfind('@')
        && let Some(plus) = key[..at].find('+').filter(|plus| *plus > 0)
    {
        key.replace_range(plus..at, "");
    }
    key
}

fn network_of(ip: IpAddr) -> IpAddr {
    let (v4_bits, v6_bits) = NETWORK_BITS;
    match ip.to_canonical() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << (32 - v4_bits))).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << (128 - v6_bits))).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: StrangerLimits = StrangerLimits { per_sender_hour: 3, per_minute: 5 };
    const NOON: Timestamp = Timestamp::from_secs(43_200);

    fn after(seconds: u64) -> Timestamp {
        NOON.plus(Duration::from_secs(seconds))
    }

    /// A failure, because of mail from a network of its own for each address.
    fn failed(to: &str) -> Wanted<'_> {
        let network = Ipv4Addr::from_bits((key(to.to_ascii_lowercase()) as u32) | 1);
        Wanted { kind: NoticeKind::Failed, to, client: Some(network.into()) }
    }

    fn from<'a>(client: &str, kind: NoticeKind, to: &'a str) -> Wanted<'a> {
        Wanted { kind, to, client: Some(client.parse().expect("an address")) }
    }

    #[test]
    fn each_has_its_share_and_all_together_theirs() {
        let mut strangers = Strangers::default();
        let limits = StrangerLimits { per_minute: 5, ..LIMITS };
        for (seconds, to, expected) in [
            (0, "a@x.example", true),
            (0, "A@X.example", true),
            (60, "a@x.example", true),
            (60, "a@x.example", false),
            (60, "b@x.example", true),
            (60, "c@x.example", true),
            (60, "d@x.example", true),
            (60, "e@x.example", true),
            (61, "f@x.example", false),
            (73, "f@x.example", true),
            (1201, "a@x.example", true),
            (1201, "a@x.example", false),
        ] {
            assert_eq!(
                strangers.take(after(seconds), failed(to), &limits),
                expected,
                "{seconds} {to}"
            );
        }
    }

    #[test]
    fn details_of_an_address_are_one_mailbox() {
        for (address, expected) in [
            ("Victim@x.example", "victim@x.example"),
            ("victim+1@x.example", "victim@x.example"),
            ("victim+a+b@x.example", "victim@x.example"),
            ("+1@x.example", "+1@x.example"),
            ("a@x+y.example", "a@x+y.example"),
        ] {
            assert_eq!(mailbox(address), expected);
        }
        let mut strangers = Strangers::default();
        let limits = StrangerLimits { per_minute: 1000, ..LIMITS };
        let told = (0..50).filter(|n| {
            let to = format!("victim+{n}@x.example");
            strangers.take(NOON, failed(&to), &limits)
        });
        assert_eq!(told.count(), LIMITS.per_sender_hour as usize);
    }

    #[test]
    fn none_means_none() {
        let none = StrangerLimits { per_sender_hour: 0, ..LIMITS };
        assert!(!Strangers::default().take(NOON, failed("a@x.example"), &none));
        let none = StrangerLimits { per_minute: 0, ..LIMITS };
        assert!(!Strangers::default().take(NOON, failed("a@x.example"), &none));
    }

    #[test]
    fn so_many_may_come_at_once_whatever_the_number() {
        for limit in [1, 2, 3, 7, 60, 999, 3601] {
            let limits = StrangerLimits { per_sender_hour: limit, per_minute: u32::MAX };
            let mut strangers = Strangers::default();
            let took =
                (0..limit + 5).filter(|_| strangers.take(NOON, failed("a@x.example"), &limits));
            assert_eq!(took.count(), limit as usize);
        }
    }

    #[test]
    fn a_clock_set_back_bars_nobody_for_long() {
        let limits = StrangerLimits { per_sender_hour: 1, per_minute: u32::MAX };
        let mut strangers = Strangers::default();
        assert!(strangers.take(NOON, failed("99@x.example"), &limits));
        let before = NOON.minus(Duration::from_secs(40_000));
        assert!(strangers.take(before, failed("99@x.example"), &limits));
        assert!(!strangers.take(before, failed("99@x.example"), &limits));
        assert!(strangers.take(before.plus(HOUR), failed("99@x.example"), &limits));
    }

    /// One client, one recipient that exists, NOTIFY=SUCCESS and a forged sender each time.
    #[test]
    fn a_flood_of_success_by_one_client_takes_nothing_from_the_failures_of_others() {
        let (mut strangers, limits) = (Strangers::default(), StrangerLimits::default());
        let mut sent = 0;
        for tenth in 0..1200u64 {
            let now = NOON.plus(Duration::from_millis(100 * tenth));
            let victim = format!("v{tenth}@victim.example");
            let flood = from("192.0.2.7", NoticeKind::Relayed, &victim);
            sent += u32::from(strangers.take(now, flood, &limits));
            if tenth % 80 == 79 {
                let honest = format!("h{tenth}@honest.example");
                assert!(strangers.take(now, failed(&honest), &limits), "{honest}");
                let asked = Wanted { kind: NoticeKind::Delivered, ..failed(&honest) };
                assert!(strangers.take(now, asked, &limits), "{honest} asked for success");
            }
        }
        assert!(
            (50..=76).contains(&sent),
            "a quarter of 100 a minute, for two, and a burst: {sent}"
        );
    }

    #[test]
    fn a_network_has_a_quarter_whatever_its_addresses() {
        for (clients, told) in [
            (["192.0.2.1", "192.0.2.77", "::ffff:192.0.2.200"], 25),
            (["2001:db8:1:1::1", "2001:db8:1:2::1", "2001:db8:1:ffff::1"], 25),
            (["192.0.2.1", "192.0.3.1", "2001:db8:1::1"], 75),
        ] {
            let (mut strangers, limits) = (Strangers::default(), StrangerLimits::default());
            let took = (0..300).filter(|number| {
                let to = format!("v{number}@victim.example");
                strangers.take(NOON, from(clients[number % 3], NoticeKind::Failed, &to), &limits)
            });
            assert_eq!(took.count(), told, "{clients:?}");
        }
    }
}
