//! Life-cycle of a recipient, retry schedule and scheduler, without I/O.
//!
//! Everything that decides takes `now` as an argument. Not here: what is on disk (`spool`), and doing anything
//! about a decision (`dispatch`).

mod ages;
pub mod belief;
pub mod delivered;
mod destination;
mod drain;
mod feedback;
mod host;
pub mod life;
mod message;
mod ranks;
pub mod schedule;
pub mod scheduler;
pub mod settings;

pub use ages::{AGE_CLASSES, Ages, Rates};
pub use belief::Claim;
pub use delivered::Delivered;
pub use life::{DestinationState, Life, RecipientState, Transition, TransitionKind};
pub use schedule::{DelayRule, Schedule, Step};
pub use scheduler::{
    Changed, ConnectTicket, DestinationId, DestinationStatus, DestinationView, Down, Forgotten,
    HostUse, InsertError, Item, MessageView, NO_ROUTE, Next, Pulled, RecipientView, Recovered,
    Scheduler, TicketId, Tried, Waiting, Work,
};
pub use settings::{Drain, Limits, RouteSettings, Settings};
