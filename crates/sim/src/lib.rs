//! Scenarios and invariant checkers: the agents and the real spool in the virtual world
