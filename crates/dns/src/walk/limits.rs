//! How far a walk goes: each limit has a name, and a walk says which of them ended it.

use std::time::Duration;

/// The most name servers of one zone that are looked at (the root has 13).
pub const MAX_SERVERS: usize = 13;
/// The most addresses of one name server that are used, of each family.
pub const MAX_ADDRESSES: usize = 2;
/// The most zones from the root down to a name.
pub const MAX_DEPTH: usize = 16;
/// The most walks inside each other, for the addresses of name servers whose referral has no glue.
pub const MAX_NESTED: usize = 4;
/// The most names of such servers that are looked up for one zone, unless all its servers are to be seen.
pub const MAX_GLUELESS: usize = 4;
/// The longest wait for one server's answer to one question by one way.
pub const TRY: Duration = Duration::from_secs(2);
/// The longest wait for an answer of a recursive server, which asks others first.
pub const TRY_RESOLVER: Duration = Duration::from_secs(5);
/// The most addresses of a zone's servers that a check looks at.
pub const MAX_CHECKED: usize = 16;
/// The most mail exchangers that a check looks at, the best ones.
pub const MAX_EXCHANGERS: usize = 10;
/// The most recursive servers of ours that a check asks.
pub const MAX_RESOLVERS: usize = 4;
/// After this long without an answer the next server is asked as well.
pub const STAGGER: Duration = Duration::from_millis(400);
/// Questions put to one address at the same time.
pub const AT_ONCE: usize = 2;

/// What one walk may cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Questions, those to find name servers' addresses included.
    pub questions: usize,
    /// Of them to one authoritative server: whoever writes a zone must not make us flood somebody else.
    pub per_server: usize,
    /// Name servers whose addresses are looked up because no glue came along (the attack is called NXNS).
    pub hosts: usize,
    /// Time in all.
    pub time: Duration,
}

impl Limits {
    /// Of the walk before a bounce.
    pub const EXISTENCE: Self =
        Self { questions: 60, per_server: 12, hosts: 8, time: Duration::from_secs(20) };
    /// Of a check that an operator asks for.
    pub const CHECK: Self =
        Self { questions: 400, per_server: 60, hosts: 40, time: Duration::from_secs(20) };
}

/// What cut a walk short.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Limit {
    /// [`Limits::questions`].
    Questions,
    /// [`Limits::time`].
    Time,
    /// [`MAX_DEPTH`].
    Depth,
    /// [`MAX_NESTED`], or name servers whose addresses can only be had from themselves.
    Loop,
    /// [`MAX_SERVERS`].
    Servers,
    /// [`Limits::per_server`].
    PerServer,
    /// [`Limits::hosts`].
    Hosts,
}

impl Limit {
    /// The name in the outside interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Questions => "questions",
            Self::Time => "time",
            Self::Depth => "depth",
            Self::Loop => "loop",
            Self::Servers => "servers",
            Self::PerServer => "per-server",
            Self::Hosts => "hosts",
        }
    }
}
