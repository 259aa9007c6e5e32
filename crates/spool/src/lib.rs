//! What a store must do: the trait, the data it keeps, the record format and one conformance suite.
//!
//! Not here: an on-disk layout (`spool-local`), and any decision about mail (`queue`, `dispatch`).

pub mod conformance;
pub mod decision;
pub mod events;
pub mod memory;
pub mod model;
pub mod record;
pub mod store;
pub mod testing;
pub mod thin;

pub use decision::{Decision, Hold, NewPlace, Stage, Target};
pub use memory::MemorySpool;
pub use model::{
    Acted, Change, Content, History, INLINE_LIMIT, KEPT_ATTEMPTS, LedgerEntry, LedgerKey,
    LedgerValue, Live, Lsn, NewMail, Notice, Page, Settlement, SpilledBody, Started, Stored,
    Tenure,
};
pub use record::{Carried, Damaged, Record, Settled};
pub use store::{Accepted, Health, ReadFault, Refused, SettleFault, Spill, Spool, Watcher};
