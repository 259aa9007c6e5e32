//! DKIM signing (RFC 6376, RFC 8463, RFC 8301): a body hash fed in any pieces, canonical header fields, keys, signature
//! fields, and the record that is published for a key.
//!
//! Rooms: [`canon`] canonical forms, [`body`] the hash of a body, [`choice`] which fields are signed, [`field`] the
//! signature field, [`key`] private keys, [`record`] key records of DNS, [`keyring`] whose key signs what, [`signing`] one
//! message on its way in, [`verify`] the check of what was signed here. Not here: where keys lie, when a message is ours to
//! sign, DNS; and the checking of other people's mail.

pub mod body;
pub mod canon;
pub mod choice;
pub mod field;
pub mod key;
pub mod keyring;
pub mod record;
pub mod signing;
#[cfg(test)]
mod vectors;
pub mod verify;

pub use body::BodyHash;
pub use canon::{Canon, Canons};
pub use key::{Algorithm, Key, KeyError};
pub use keyring::{Keyring, Signer};
pub use record::{Record, RecordError};
pub use signing::{Signed, Signing, Unsigned};
