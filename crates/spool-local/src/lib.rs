//! The store of one machine: a segment log with group commit
