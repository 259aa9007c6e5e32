//! From an address to an ordered list of next hops (RFC 5321 section 5), without I/O
