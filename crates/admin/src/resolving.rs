//! What the operators' interface asks of the daemon about DNS: one trait of plain data.
//!
//! Not here: how anything is shown (`view`), asking (`posthaste_dns`).

use posthaste_dns::questions::reverse::Naming;
use posthaste_dns::walk::DomainReport;
use posthaste_dns::{Kept, Lookup, Numbers, ServerHealth};
use posthaste_evidence::RecordType;
use posthaste_io::Task;

/// DNS as the daemon asks it.
pub trait Resolving: Send + Sync {
    /// Every server of every list, in the order configured.
    fn servers(&self) -> Vec<ServerStanding>;

    /// What each resolver keeps and has counted, the common one first.
    fn caches(&self) -> Vec<CacheStanding>;

    /// Asks as mail would. An error is the asker's.
    fn ask(&self, question: DnsQuestion) -> Task<'_, Result<DnsAnswer, DnsFault>>;

    /// Looks at a domain from the root down: its servers, its mail exchangers, and our resolvers, those that mail to
    /// the domain asks or those of a route. Takes 20 s at most.
    fn check(&self, name: &str, route: Option<&str>) -> Task<'_, Result<Checked, DnsFault>>;

    /// Forgets all that is kept, or what is kept of a name and all names below it; answers how many answers it was.
    ///
    /// # Errors
    /// DNS cannot hold such a name.
    fn flush(&self, name: Option<&str>) -> Result<usize, DnsFault>;
}

/// A domain that was looked at.
#[derive(Clone, PartialEq, Debug)]
pub struct Checked {
    /// Which of our servers were asked: `[resolver]` or `route NAME`.
    pub asked: String,
    /// What was seen.
    pub report: DomainReport,
}

/// How one server stands in one list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerStanding {
    /// In which list.
    pub list: ServerList,
    /// What is known of it.
    pub health: ServerHealth,
}

/// What one resolver keeps and has counted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CacheStanding {
    /// Whose: the common one's ([`ServerList::Primary`]) or that of a route's servers.
    pub list: ServerList,
    /// What is kept.
    pub kept: Kept,
    /// What was asked of it.
    pub numbers: Numbers,
}

/// In which list a server stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ServerList {
    /// `[resolver] servers`
    Primary,
    /// `[resolver] fallback`
    Fallback,
    /// `resolvers` of the routes with these names.
    Routes(Vec<String>),
}

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DnsQuestion {
    /// A name, or an address for its PTR.
    pub name: String,
    /// `None`: what mail asks, MX and the addresses of its targets.
    pub kind: Option<RecordType>,
    /// By the servers of this route.
    pub route: Option<String>,
    /// Of this server alone, written as in the settings.
    pub server: Option<String>,
    /// What is kept of the name is forgotten first.
    pub fresh: bool,
}

/// What came of it.
#[derive(Clone, PartialEq, Debug)]
pub struct DnsAnswer {
    /// Who was asked: `[resolver]`, `route NAME` or the server.
    pub asked: String,
    /// Each question with its answers, in the order asked.
    pub lookups: Vec<Lookup>,
    /// What the names of an address come to; `None`: no address was asked about.
    pub naming: Option<Naming>,
}

/// The question cannot be asked; whoever asks must correct it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DnsFault {
    /// No name.
    #[error("DNS cannot hold the name `{0}`")]
    BadName(String),
    /// No server.
    #[error("`server`: {0}")]
    BadServer(String),
    /// No route has the name.
    #[error("no route has the name `{asked}`; there are: {}", there.join(", "))]
    NoSuchRoute {
        /// The one asked for.
        asked: String,
        /// Those there are.
        there: Vec<String>,
    },
}

impl ServerList {
    /// The routes whose list it is; none of the settings' own.
    #[must_use]
    pub fn routes(&self) -> &[String] {
        match self {
            Self::Routes(names) => names,
            Self::Primary | Self::Fallback => &[],
        }
    }
}
