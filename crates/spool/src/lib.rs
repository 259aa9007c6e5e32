//! What a store must do: the trait, the data it keeps, the record format and one conformance suite.
//!
//! Not here: an on-disk layout (`spool-local`), and any decision about mail (`queue`, `dispatch`).

pub mod model;
pub mod store;

pub use model::{
    Change, Content, History, LedgerEntry, LedgerKey, LedgerValue, Live, Lsn, NewMail, Notice,
    Page, Settlement, SpilledBody, Started, Stored, Tenure,
};
pub use store::{Accepted, Health, ReadFault, Refused, SettleFault, Spill, Spool, Watcher};
