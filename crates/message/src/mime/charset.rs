//! Octets of a charset as text.
//!
//! Not here: charsets beyond UTF-8 and the Latin ones; of others the ASCII characters are read.

use crate::encoded::Charset;

/// The text of octets in the charset of this name (the parameter of `Content-Type:`). Where none is given, or it is not
/// known: UTF-8 if they are that, else ASCII with U+FFFD for the rest.
#[must_use]
pub fn read(name: Option<&str>, octets: &[u8]) -> String {
    match name.and_then(|name| Charset::named(name.trim().as_bytes())) {
        // Not a few say ASCII, or UTF-8, and send something else.
        Some(Charset::Utf8) | None => from_utf8(octets),
        Some(charset) => charset.read(octets).into_owned(),
    }
}

/// The text of octets that say nothing of their charset: UTF-8 if they are that, else as the Western Windows has it, which is
/// what most servers that do so send.
#[must_use]
pub fn from_unknown(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => Charset::Windows1252.read(octets).into_owned(),
    }
}

fn from_utf8(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}
