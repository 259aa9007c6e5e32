//! RFC 5322 headers, trace fields and delivery status notifications, without I/O.
//!
//! Floor 1, pure. Rooms: [`header`] reads a header section, [`encoded`] its encoded words (RFC 2047), [`trace`]
//! composes `Received:` and counts loops, [`complete`] makes a local submission whole, [`addresses`] reads address lists and
//! [`recipients`] whom a header names, [`dsn`] composes notices and reads
//! those of any mail server, out of the parts that [`mime`] finds, [`date`] reads dates, [`dkim`] signs.
//! Not here: the one pass over the content (`smtp`), who is owed which notice when (`queue`), time and chance:
//! `now`, ids and boundaries are arguments.

pub mod addresses;
pub mod complete;
pub mod date;
pub mod dkim;
pub mod dsn;
pub mod encoded;
pub mod header;
pub mod mime;
pub mod recipients;
pub mod replay;
pub mod trace;

pub use complete::{Completion, complete, complete_header};
pub use header::{Field, fields, section, summary};
pub use recipients::recipients;
pub use trace::{Protocol, Trace, With};
