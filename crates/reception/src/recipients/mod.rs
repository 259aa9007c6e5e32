//! Who is a recipient of ours: own domains, their lists, aliases, and asking the next hop.
//!
//! Whoever is refused here is refused at RCPT, so that no bounce is owed to a sender who may be forged. Rooms:
//! `directory` decides about one address, `list` and `aliases` are the operator's files, `text` their lines, `envelope` gathers whom a message has,
//! [`verify`] asks next hops and remembers what they said. Not here: relaying (`policy`), reading files (whoever wires).

pub mod aliases;
pub mod directory;
pub(crate) mod envelope;
pub mod list;
pub mod text;
pub mod verify;

pub use aliases::{Aliases, MAX_ALIASES_FILE};
pub use directory::{By, Directory, Doubt, Judged, Recipients, Setup, Troubled};
pub use list::{List, MAX_LIST_FILE};
pub use text::{LineFault, Wrong};
pub use verify::{Answer, Verifier, VerifySettings};
