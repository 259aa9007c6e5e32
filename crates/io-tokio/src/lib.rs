//! The real world: tokio sockets, timers and the real disk
