//! A reply as an authoritative server on the way down may send it, from the root to the last zone: reading it never
//! panics, keeps within its limits, leads downwards only, and takes addresses only for names that the asked zone holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use posthaste_dns::walk::limits::{MAX_ADDRESSES, MAX_SERVERS};
use posthaste_dns::walk::stepped;

const NAME: &str = "www.shop.example.org";
/// Each holds the name.
const ZONES: [&str; 4] = ["", "org", "example.org", "shop.example.org"];

fuzz_target!(|octets: &[u8]| {
    let Some((&choice, reply)) = octets.split_first() else { return };
    let zone = ZONES[usize::from(choice) % ZONES.len()];
    let Some(Some(below)) = stepped(reply, zone, NAME) else { return };
    assert!(below.zone != zone, "it leads on");
    assert!(is_within(&below.zone, zone) && is_within(NAME, &below.zone), "it leads downwards");
    assert!(!below.servers.is_empty() && below.servers.len() <= MAX_SERVERS);
    for (name, glue) in &below.servers {
        assert!(glue.len() <= 2 * MAX_ADDRESSES);
        assert!(glue.is_empty() || is_within(name, zone), "glue is for what the zone holds");
    }
});

/// Label by label, unlike what is tested: none of the zones has an escaped dot.
fn is_within(name: &str, zone: &str) -> bool {
    let labels = |name: &str| -> Vec<String> {
        let mut labels = vec![String::new()];
        let mut escaped = false;
        for c in name.chars() {
            if c == '.' && !escaped {
                labels.push(String::new());
            } else {
                labels.last_mut().expect("it begins with one").push(c);
            }
            escaped = c == '\\' && !escaped;
        }
        labels
    };
    zone.is_empty() || labels(name).ends_with(&labels(zone))
}
