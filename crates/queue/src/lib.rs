//! Life-cycle of a recipient, retry schedule and scheduler, without I/O
