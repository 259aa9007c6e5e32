//! Why a live recipient is not being tried right now: a closed list.

/// The reason a live recipient waits. Every live recipient is in flight, due at a time, or has one of these.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum WaitReason {
    /// Its last attempt was deferred; the next one is due at a time.
    Retry,
    /// Its destination is down; one trial is due at a time, with the oldest message.
    DestinationDown,
    /// The next hop that its destination shares with others is down.
    NextHopDown,
    /// The destination has as many connections as its concurrency allows.
    DestinationBusy,
    /// The next-hop host has as many connections as it is allowed.
    NextHopBusy,
    /// All outgoing connections are in use.
    ConnectionsInUse,
    /// The destination answers again; its backlog is released at a growing rate.
    Draining,
    /// The operator holds it.
    Held,
    /// The operator holds its destination.
    DestinationHeld,
    /// It was in hand during two crashes; the operator must look at it.
    Poison,
    /// No route matches.
    NoRoute,
    /// The route it matches holds its mail.
    RouteHeld,
    /// The route has as many connections as it is allowed.
    RouteBusy,
    /// The route's messages of this minute are used up; its turn is at a time.
    RouteRate,
    /// The start is not complete, or the program is stopping.
    NotRunning,
    /// It cannot be delivered, and its sender is told as soon as the probes into its failure have ended, or at a time.
    NoticePendingProbe,
    /// In line: it is tried as soon as a connection is free.
    InLine,
}

impl WaitReason {
    /// Every reason with its name in the outside interface and one sentence for the operator.
    pub const ALL: [(Self, &'static str, &'static str); 17] = [
        (Self::Retry, "retry", "the last attempt was deferred; the next one is due at a time"),
        (
            Self::DestinationDown,
            "destination-down",
            "the destination is down; one trial with the oldest message is due at a time",
        ),
        (Self::NextHopDown, "next-hop-down", "the next hop shared with other destinations is down"),
        (
            Self::DestinationBusy,
            "destination-busy",
            "the destination has all the connections its concurrency allows",
        ),
        (
            Self::NextHopBusy,
            "next-hop-busy",
            "the next-hop host has all the connections it is allowed",
        ),
        (Self::ConnectionsInUse, "connections-in-use", "all outgoing connections are in use"),
        (
            Self::Draining,
            "draining",
            "the destination answers again; its backlog is released at a growing rate",
        ),
        (Self::Held, "held", "the operator holds it"),
        (
            Self::DestinationHeld,
            "destination-held",
            "the operator holds its destination; `queue holds` lists what is held",
        ),
        (
            Self::Poison,
            "poison",
            "it was in hand during two crashes; look at it, then release or remove it",
        ),
        (Self::NoRoute, "no-route", "no route matches"),
        (
            Self::RouteHeld,
            "route-held",
            "the route it matches says via = \"hold\"; it goes when the routes change",
        ),
        (Self::RouteBusy, "route-busy", "the route has all the connections it is allowed"),
        (
            Self::RouteRate,
            "route-rate",
            "the route sends so many messages a minute; its turn comes at a time",
        ),
        (Self::NotRunning, "not-running", "the start is not complete, or the program is stopping"),
        (
            Self::NoticePendingProbe,
            "notice-pending-probe",
            "it cannot be delivered; its sender is told when the probes into the cause have ended, 60 s later at most",
        ),
        (Self::InLine, "in-line", "it is tried as soon as a connection is free"),
    ];

    /// The name in the outside interface.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(r, ..)| *r == self).map_or("in-line", |(_, name, _)| name)
    }
}
