//! What the reception has done since the start, in numbers; for status, metrics and tests.

use posthaste_spool::Refused;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Running numbers.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: Counter,)* }

        /// The numbers at one moment.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct Counts { $($(#[$doc])* pub $name: u64,)* }

        impl Counters {
            pub(crate) fn read(&self) -> Counts {
                Counts { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Sessions begun.
    sessions,
    /// Sessions refused: too many in all.
    refused_sessions,
    /// Sessions refused: too many of one client or network.
    refused_client_sessions,
    /// Sessions under TLS.
    secured,
    /// TLS handshakes that failed.
    handshakes_failed,
    /// Sessions with something in clear behind STARTTLS, which was dropped.
    injected,
    /// Strangers' sessions that made room for others.
    made_room,
    /// Sessions refused by policy: 554 instead of a greeting.
    refused_networks,
    /// Refusals that waited, because many had come before.
    tarpitted,
    /// Connections of proxies without a sound header.
    refused_proxies,
    /// Messages accepted, by SMTP and by hand.
    messages,
    /// Recipients of accepted messages.
    recipients,
    /// Octets of accepted messages.
    octets,
    /// Messages signed with DKIM.
    signed,
    /// Messages that a key is there for and that could not be signed: no header section that would hold.
    unsigned,
    /// Messages whose body went to a file of its own.
    spilled,
    /// Recipients refused: the client may not relay.
    refused_relay,
    /// Recipients refused: unknown in a domain of ours.
    refused_unknown,
    /// Recipients put off: they could not be verified, or their aliases are at fault.
    deferred_recipients,
    /// Commands refused by the protocol.
    refused_commands,
    /// Messages refused for what they contain or for their size.
    refused_content,
    /// Messages refused: they go round in circles.
    refused_loops,
    /// Messages refused: no room on the disk.
    refused_full,
    /// Messages refused: the store does not accept, or not in time.
    refused_store,
    /// Sessions ended because the client was too slow.
    timeouts,
    /// Connections lost within a message; nothing of it was kept.
    lost_messages,
    /// Errors of accepting connections, such as no more descriptors.
    accept_errors,
    /// Connections, messages and recipients refused: too many in a minute.
    refused_rates,
    /// Logins.
    logins,
    /// Logins that failed: a wrong password, or nobody of the name.
    failed_logins,
    /// Logins that were not tried: too many failures, too many at once, or too many sessions of the user.
    refused_logins,
    /// Messages refused: the user may not send with this reverse-path, or author.
    refused_senders,
    /// Messages refused because a resource is scarce.
    refused_pressure,
    /// Messages slowed because a resource is getting scarce.
    slowed,
    /// Connections and messages refused for maintenance.
    refused_maintenance,
}

impl Counters {
    /// Counts a refusal by the store.
    pub(crate) fn refused(&self, why: Refused) {
        match why {
            Refused::Full => self.refused_full.one(),
            Refused::Unhealthy => self.refused_store.one(),
            Refused::TooBig => self.refused_content.one(),
        }
    }
}

/// One number.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
