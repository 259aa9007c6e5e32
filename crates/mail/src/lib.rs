//! Words of mail: addresses, envelopes, replies, enhanced status codes, queue ids, time and secrets.
//!
//! Floor 0. Not here: wire parsing of commands (`smtp`), message content (`message`), anything that acts.
//! No I/O, no traits, no clock.

pub mod address;
pub mod content;
pub mod envelope;
pub mod id;
pub mod mechanism;
pub mod reply;
pub mod secret;
pub mod status;
pub mod text;
pub mod time;

pub use address::{Host, Mailbox, ReversePath};
pub use content::{Body, BodyType, ContentFacts};
pub use envelope::{Envelope, Recipient, Source, SourceKind, Summary};
pub use id::{ConnectionId, QueueId};
pub use mechanism::Mechanism;
pub use reply::Reply;
pub use secret::{MAX_SECRET, Secret};
pub use status::EnhancedStatus;
pub use time::Timestamp;
