//! RFC 5322 headers, trace fields and delivery status notifications, without I/O
