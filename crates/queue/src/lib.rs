//! Life-cycle of a recipient, retry schedule and scheduler, without I/O.
//!
//! Everything that decides takes `now` as an argument. Not here: what is on disk (`spool`), and doing anything
//! about a decision (`dispatch`).

pub mod life;

pub use life::{DestinationState, Life, RecipientState};
