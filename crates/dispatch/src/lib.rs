//! Schedule, deliver, settle; recovery at start
