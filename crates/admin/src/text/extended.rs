//! The names of extended DNS errors (RFC 8914 section 4 and the IANA registry it began).

/// By code, from 0.
const NAMES: [&str; 31] = [
    "Other",
    "Unsupported DNSKEY Algorithm",
    "Unsupported DS Digest Type",
    "Stale Answer",
    "Forged Answer",
    "DNSSEC Indeterminate",
    "DNSSEC Bogus",
    "Signature Expired",
    "Signature Not Yet Valid",
    "DNSKEY Missing",
    "RRSIGs Missing",
    "No Zone Key Bit Set",
    "NSEC Missing",
    "Cached Error",
    "Not Ready",
    "Blocked",
    "Censored",
    "Filtered",
    "Prohibited",
    "Stale NXDomain Answer",
    "Not Authoritative",
    "Not Supported",
    "No Reachable Authority",
    "Network Error",
    "Invalid Data",
    "Signature Expired before Valid",
    "Too Early",
    "Unsupported NSEC3 Iterations Value",
    "Unable to conform to policy",
    "Synthesized",
    "Invalid Query Type",
];

/// The name of a code; `None` where the registry has none that we know.
pub(crate) fn extended_error(code: u16) -> Option<&'static str> {
    NAMES.get(usize::from(code)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_names() {
        for (code, name) in [
            (0, Some("Other")),
            (6, Some("DNSSEC Bogus")),
            (18, Some("Prohibited")),
            (22, Some("No Reachable Authority")),
            (24, Some("Invalid Data")),
            (31, None),
            (49152, None),
        ] {
            assert_eq!(extended_error(code), name);
        }
    }
}
