//! Resolver that remembers which server said what
