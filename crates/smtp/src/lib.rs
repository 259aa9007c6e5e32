//! RFC 5321 and its extensions without I/O: bytes in, events and bytes out.
//!
//! Floor 1, pure. Rooms: [`server`] is what a receiver speaks, [`client`] what delivery speaks, [`content`] the one
//! pass over a message, [`data`] how content is written after `354`, [`reply`] how replies are read, [`sasl`] the
//! mechanisms of AUTH, [`xtext`] the encodings of RFC 3461 and RFC 6533. Not here: policy, sockets, time; whoever drives a session owns those.

pub mod client;
pub mod content;
pub mod data;
pub mod reply;
pub mod sasl;
pub mod server;
pub mod xtext;
