//! A domain as anybody may write it behind an `@`: it becomes a name in DNS or is refused, and the form asked for is a
//! fixed point.
#![no_main]

use libfuzzer_sys::fuzz_target;
use posthaste_dns::to_dns;

fuzz_target!(|text: &str| {
    if let Ok(asked) = to_dns(text) {
        assert_eq!(to_dns(&asked).as_ref(), Ok(&asked));
    }
});
