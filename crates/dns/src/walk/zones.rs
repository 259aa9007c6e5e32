//! What a walk learns: zones with those who serve them, and hosts with their addresses.

use super::reading::Named;
use std::net::IpAddr;

/// A zone on the way, and who serves it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Zone {
    /// Its apex; the root is the empty string.
    pub(super) name: String,
    /// The zone above; `None` for the root.
    pub(super) parent: Option<String>,
    /// As the zone above names them. Empty for the root, whose servers are configured.
    pub(super) servers: Vec<Named>,
    /// The observation of the referral, or of the servers' own word when they serve the zone above, too.
    pub(super) referred: Option<usize>,
    /// The zone above said so: `false` when its servers serve this zone, too, and answered at once.
    pub(super) by_parent: bool,
}

/// A host, looked up by a walk.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Host {
    /// Its addresses, IPv4 first.
    pub(super) addresses: Vec<IpAddr>,
    /// The name is an alias.
    pub(super) alias: bool,
    /// The observation of the answer to A.
    pub(super) a: Option<usize>,
    /// The observation of the answer to AAAA.
    pub(super) aaaa: Option<usize>,
}
