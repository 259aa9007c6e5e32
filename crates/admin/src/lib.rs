//! HTTP interface on the unix socket
