//! What a store must do: the trait, the record format and one conformance suite
