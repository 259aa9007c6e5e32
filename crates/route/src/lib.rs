//! From an address to an ordered list of next hops (RFC 5321 section 5, RFC 7505), without I/O.
//!
//! Two rooms: [`Table`], the operator's ordered rules, and [`Plan`], a state machine that says which DNS
//! questions to ask and, from the answers, where to connect. Both are pure: the same answers and the same
//! seed give the same hops.
//!
//! Not here: asking DNS (`dns`), connecting (`delivery`), retry and expiry of a route (`queue`).

pub mod addresses;
pub mod domain;
pub mod exchangers;
pub mod facts;
pub mod login;
pub mod pattern;
pub mod plan;
pub mod table;
pub mod tls;
pub mod when;

pub use addresses::{Families, is_private};
pub use facts::Facts;
pub use login::{Login, SecretSource};
pub use pattern::{Pattern, PatternError};
pub use plan::{
    Endpoint, Hop, Missing, Noted, Ourselves, Plan, Planned, Question, Step, Usable, endpoints,
};
pub use table::{Action, EightBit, Order, Protocol, Route, RouteId, SmartHost, Table};
pub use tls::{NameRule, Reference, Requirement, Roots, TlsPolicy, Vouchers, requirement};
pub use when::{Sender, When};
