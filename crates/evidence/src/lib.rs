//! What was seen while delivering: observations, attempts, outcomes, faults, wait reasons, events.
//!
//! Floor 0: data only. Text is rendering and is made elsewhere; no decision ever reads a rendered text.
//! Not here: the rules that judge evidence (`diagnosis`), and how it is stored (`spool`).

pub mod act;
pub mod attempt;
pub mod dns;
pub mod event;
pub mod fault;
pub mod login;
pub mod notice;
pub mod observation;
pub mod question;
pub mod session;
pub mod tape;
pub mod tls;
pub mod wait;

pub use act::{Act, Order};
pub use attempt::{Attempt, Connection, ConnectionId, Outcome, RecipientResult};
pub use dns::{
    Answer, AnswerKind, Edns, NameServer, Record, RecordData, RecordType, Records, Transport,
};
pub use event::{Event, EventIdentity, EventKind};
pub use fault::{ConnectFault, Doubt, Fault, FaultClass};
pub use login::{LoginFault, SecretFault};
pub use notice::{Handover, NoticeKind, Withheld};
pub use observation::{Effect, Observation, Seen, Stage, Subject};
pub use question::{DnsQuestion, KeepDns, Purpose};
pub use session::{Ended, Keep, Refusal, Session, Side, Tls};
pub use tape::{Tape, Who};
pub use tls::{
    Certificate, Shown, TlsDemand, TlsFacts, TlsFault, TlsLevel, TlsOrigin, TlsReceived,
    TlsVersion, Untrusted,
};
pub use wait::WaitReason;
