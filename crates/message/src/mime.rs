//! MIME as far as mail that is read needs it (RFC 2045, RFC 2046).

pub mod charset;
