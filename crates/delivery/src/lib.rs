//! One attempt: route, connect, transfer, and an observation of every step
