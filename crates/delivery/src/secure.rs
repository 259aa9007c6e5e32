//! How a host is greeted and secured so that it meets its requirement.
//!
//! Not here: what the requirement is (`posthaste_route::tls`), the handshake (`io`).

use posthaste_evidence::{Fault, TlsFault};
use posthaste_io::{Demand, Reference, Secure, Trust};
use posthaste_route::tls;
use posthaste_route::{Requirement, Roots, Vouchers};
use std::sync::Arc;
use std::time::Duration;

/// How the octets go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Means {
    /// In clear from the first to the last.
    Clear,
    /// STARTTLS after the first EHLO, where it is offered.
    StartTls,
    /// TLS from the first octet on.
    Implicit,
}

/// Why a host was not greeted to the end.
#[derive(Debug)]
pub(crate) struct Failed {
    /// What decided.
    pub(crate) fault: Fault,
    /// TLS is what failed: in clear it may go well.
    pub(crate) tls: Option<TlsFault>,
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self { fault, tls: None }
    }
}

impl From<TlsFault> for Failed {
    fn from(tls: TlsFault) -> Self {
        Self { fault: Fault::Tls(tls.brief()), tls: Some(tls) }
    }
}

impl Failed {
    /// What failed right after the handshake is laid to TLS: with version 1.3 a server that rejects what it got says so
    /// only then (RFC 8446 section 4.4.2.4).
    /// A close is told as such; whoever is silent or talks nonsense may mean the mail.
    pub(crate) fn after_handshake(fault: Fault) -> Self {
        let tls = match fault {
            Fault::Lost { .. } => return TlsFault::Lost { reset: false }.into(),
            Fault::TimedOut { .. } => TlsFault::TimedOut,
            Fault::Gibberish { .. } => TlsFault::Broken,
            _ => return fault.into(),
        };
        Self { fault, tls: Some(tls) }
    }
}

impl Means {
    /// Those that the requirement asks for.
    pub(crate) fn of(requirement: &Requirement) -> Self {
        match requirement.wants_tls() {
            true if requirement.implicit => Self::Implicit,
            true => Self::StartTls,
            false => Self::Clear,
        }
    }
}

/// The handshake that the requirement asks for. Where nothing has to be believed, what would have been is seen all the
/// same.
pub(crate) fn handshake(requirement: &Requirement, limit: Duration) -> Secure {
    let (trust, names) = match &requirement.vouchers {
        Vouchers::Authorities { roots: Roots::System, names } => (Trust::System, names.as_slice()),
        Vouchers::Authorities { roots: Roots::Given(pem), names } => {
            (Trust::Given(Arc::clone(pem)), names.as_slice())
        }
        Vouchers::Keys(keys) => (Trust::Pinned(Arc::clone(keys)), [].as_slice()),
    };
    let name = |reference: &tls::Reference| match reference {
        tls::Reference::Exactly(name) => Reference::Exactly(name.clone()),
        tls::Reference::Below(name) => Reference::Below(name.clone()),
    };
    let demand = if requirement.must_verify() { Demand::Verified } else { Demand::Encrypted };
    Secure {
        name: requirement.server_name.clone(),
        names: names.iter().map(name).collect(),
        trust,
        demand,
        alpn: Vec::new(),
        limit,
    }
}
