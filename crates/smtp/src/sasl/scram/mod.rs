//! SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding: what both sides compute and say.
//!
//! Rooms: `keys` computes, `first` and `last` are the four messages, `stored` is what a server keeps of a password
//! (RFC 5803). Not here: nonces (random octets are the caller's, see [`nonce`]), who the users are, the AUTH command.
//!
//! Names and passwords are used as they are written: `SASLprep` (RFC 4013) changes nothing in what is ASCII.

mod first;
mod keys;
mod last;
mod stored;

pub use first::{ClientFirst, ServerFirst};
pub use keys::{Key, SaltedPassword};
pub use last::{ClientFinal, ServerFinal};
pub use stored::Stored;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Octets of a key, a proof and a signature: those of SHA-256.
pub const KEY: usize = 32;

/// The fewest iterations that are accepted (RFC 7677 section 4).
pub const MIN_ITERATIONS: u32 = 4096;

/// The most: a hostile server must not keep us computing. About half a second of one core.
pub const MAX_ITERATIONS: u32 = 600_000;

/// The longest message that is read, octets: a line of AUTH (RFC 4954 section 4) has at most 12,288, in base64.
pub const MAX_MESSAGE: usize = 4096;

/// The longest salt that is read, octets.
pub const MAX_SALT: usize = 1024;

/// Random octets of a nonce of ours.
pub const NONCE: usize = 18;

/// Why an exchange ends. Whoever reads a message of the other side gets this; it never has a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ScramFault {
    /// The message does not follow RFC 5802 section 7.
    #[error("the message is not of the form that RFC 5802 gives it")]
    Malformed,
    /// A mandatory extension (`m=`) that nobody here knows.
    #[error("the message asks for an extension that is not known here")]
    Extension,
    /// The nonce is not the one of this exchange.
    #[error("the nonce is not that of this exchange")]
    Nonce,
    /// Too few iterations, or so many that they would keep us busy.
    #[error("{0} iterations: at least {MIN_ITERATIONS} and at most {MAX_ITERATIONS} are accepted")]
    Iterations(u32),
    /// Channel binding is asked for, or was changed on the way.
    #[error("the channel binding is not the one of this exchange")]
    ChannelBinding,
    /// The server's signature is wrong: it does not know our password's keys, so it is not our server.
    #[error("the server cannot prove that it knows the user")]
    ServerUnproven,
    /// The server says why it ends the exchange (`e=`).
    #[error("the server ends the exchange with an error")]
    ServerError,
}

/// A nonce of random octets, in letters that need no escaping.
#[must_use]
pub fn nonce(random: &[u8; NONCE]) -> String {
    STANDARD.encode(random)
}

/// What proof and signature are computed over (RFC 5802 section 3).
#[must_use]
pub fn auth_message(first: &ClientFirst, server: &ServerFirst, last: &ClientFinal) -> String {
    [first.bare(), server.text(), last.without_proof()].join(",")
}

/// The attributes of a message, in order: `letter=value`, separated by commas.
fn attributes(message: &str) -> impl Iterator<Item = Result<(u8, &str), ScramFault>> {
    message.split(',').map(|attribute| match attribute.as_bytes() {
        [name, b'=', ..] if name.is_ascii_alphabetic() => Ok((*name, &attribute[2..])),
        _ => Err(ScramFault::Malformed),
    })
}

/// The next attribute, which must be this one and must not be empty.
fn expect<'a>(
    attributes: &mut impl Iterator<Item = Result<(u8, &'a str), ScramFault>>,
    wanted: u8,
) -> Result<&'a str, ScramFault> {
    match attributes.next().ok_or(ScramFault::Malformed)?? {
        (b'm', _) if wanted != b'm' => Err(ScramFault::Extension),
        (name, value) if name == wanted && !value.is_empty() => Ok(value),
        _ => Err(ScramFault::Malformed),
    }
}

/// What may follow: extensions, which are ignored unless they are mandatory.
fn only_extensions<'a>(
    attributes: impl Iterator<Item = Result<(u8, &'a str), ScramFault>>,
) -> Result<(), ScramFault> {
    for attribute in attributes {
        if attribute?.0 == b'm' {
            return Err(ScramFault::Extension);
        }
    }
    Ok(())
}

fn text(message: &[u8]) -> Result<&str, ScramFault> {
    let text = std::str::from_utf8(message).map_err(|_| ScramFault::Malformed)?;
    let sound = message.len() <= MAX_MESSAGE && !text.contains('\0');
    sound.then_some(text).ok_or(ScramFault::Malformed)
}

/// RFC 5802 section 7: printable ASCII without the comma.
fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b',')
}

fn decoded(value: &str) -> Result<Vec<u8>, ScramFault> {
    STANDARD.decode(value).map_err(|_| ScramFault::Malformed)
}

fn decoded_key(value: &str) -> Result<[u8; KEY], ScramFault> {
    decoded(value)?.try_into().map_err(|_| ScramFault::Malformed)
}

#[cfg(test)]
mod tests;
