//! RFC 5321 and its extensions without I/O: bytes in, events and bytes out
