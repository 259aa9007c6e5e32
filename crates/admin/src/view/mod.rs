//! The JSON objects of the outside interface, made from the daemon's own types and kept apart from them: objects may
//! gain fields, never lose or change them.
//!
//! Fields that are always there are `null` where unknown; times are RFC 3339 in UTC, sizes octets, durations seconds
//! unless the name says otherwise. Not here: what is asked of the daemon (`desk`), HTTP.

mod attempt;
mod check;
mod decision;
mod destination;
mod dns;
mod message;
mod notice;
mod route;
mod selected;
mod status;

pub use attempt::{AttemptView, CertificateView, ObservationView, ReplyView, ResultView, TlsView};
pub use check::{
    CheckObject, DelegatedView, ExchangerView, FindingView, NameServerView, ResolverView, ZoneView,
};
pub use decision::{DecisionObject, HoldObject, TargetView};
pub use destination::DestinationObject;
pub use dns::{
    CacheObject, DnsAnswerObject, ExtendedView, FailureView, LookupView, ServerAnswerView,
    ServerObject, ServersObject,
};
pub use message::{LastErrorView, MessageObject, RecipientObject, SourceView};
pub use notice::NoticeObject;
pub use route::{AuthView, DemandView, HopView, RouteObject};
pub use selected::Selected;
pub use status::{
    ExpiringView, MaintenanceView, ResourceView, SpreadView, StatusObject, StoreView,
    StrangersView, TrafficView,
};

use posthaste_mail::Timestamp;
use serde::{Serialize, Serializer};
use std::time::Duration;

/// The version of every object.
pub const VERSION: u32 = 1;

/// A time, serialized as RFC 3339 in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct When(pub Timestamp);

impl Serialize for When {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.rfc3339())
    }
}

/// Whole milliseconds of a duration.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
