//! What was seen while delivering: observations, attempts, outcomes, faults, wait reasons
