//! Domains as they are found, broken ones above all, and what must come of each. The numbers are those of the
//! fault catalogue.

use super::Dns;

/// A story, its DNS, and the hops in the order to try.
pub(super) const HOPS: &[(&str, Dns, &str)] = &[
    (
        "one exchanger, both families in turn",
        Dns(&[
            ("d.test", "MX", "10 mx.d.test"),
            ("mx.d.test", "A", "192.0.2.1 192.0.2.2"),
            ("mx.d.test", "AAAA", "2001:db8::1"),
        ]),
        "mx.d.test[2001:db8::1 192.0.2.1 192.0.2.2]",
    ),
    (
        "lower preference first",
        Dns(&[
            ("d.test", "MX", "20 b.test 10 a.test"),
            ("a.test", "A", "192.0.2.1"),
            ("a.test", "AAAA", "nodata"),
            ("b.test", "A", "192.0.2.2"),
        ]),
        "a.test[192.0.2.1] b.test[192.0.2.2]",
    ),
    (
        "B1: AAAA fails, A works",
        Dns(&[
            ("d.test", "MX", "10 mx.d.test"),
            ("mx.d.test", "A", "192.0.2.1"),
            ("mx.d.test", "AAAA", "servfail"),
        ]),
        "mx.d.test[192.0.2.1]",
    ),
    (
        "B2: AAAA says that the name does not exist, A works",
        Dns(&[("d.test", "MX", "10 mx.d.test"), ("mx.d.test", "A", "192.0.2.1")]),
        "mx.d.test[192.0.2.1]",
    ),
    (
        "A fails, AAAA works",
        Dns(&[
            ("d.test", "MX", "10 mx.d.test"),
            ("mx.d.test", "A", "timeout"),
            ("mx.d.test", "AAAA", "2001:db8::1"),
        ]),
        "mx.d.test[2001:db8::1]",
    ),
    (
        "B13: one of two exchangers dangles",
        Dns(&[("d.test", "MX", "10 dead.test 20 mx.d.test"), ("mx.d.test", "A", "192.0.2.1")]),
        "mx.d.test[192.0.2.1]",
    ),
    (
        "B15: an address where a name should be, and a proper one",
        Dns(&[("d.test", "MX", "10 192.0.2.5. 20 mx.d.test"), ("mx.d.test", "A", "192.0.2.1")]),
        "mx.d.test[192.0.2.1]",
    ),
    (
        "B16: private addresses are passed over",
        Dns(&[
            ("d.test", "MX", "10 in.test 20 mx.d.test"),
            ("in.test", "A", "10.0.0.5"),
            ("in.test", "AAAA", "::1 ::ffff:127.0.0.1"),
            ("mx.d.test", "A", "192.168.0.1 192.0.2.1"),
        ]),
        "mx.d.test[192.0.2.1]",
    ),
    (
        "B19: no MX, the domain itself is the host",
        Dns(&[("d.test", "MX", "nodata?"), ("d.test", "A", "192.0.2.9")]),
        "d.test[192.0.2.9]",
    ),
    (
        "the root among other exchangers is ignored",
        Dns(&[("d.test", "MX", "0 . 10 mx.d.test"), ("mx.d.test", "A", "192.0.2.1")]),
        "mx.d.test[192.0.2.1]",
    ),
    (
        "we are the backup: only better hosts are left",
        Dns(&[
            ("d.test", "MX", "10 a.test 20 us.example 20 b.test 30 c.test"),
            ("a.test", "A", "192.0.2.1"),
            ("b.test", "A", "192.0.2.2"),
        ]),
        "a.test[192.0.2.1]",
    ),
    (
        "we are the backup by address, under another name",
        Dns(&[
            ("d.test", "MX", "10 a.test 20 alias.test 30 c.test"),
            ("a.test", "A", "192.0.2.1"),
            ("alias.test", "A", "198.51.100.25"),
            ("c.test", "A", "192.0.2.3"),
        ]),
        "a.test[192.0.2.1]",
    ),
    (
        "the same address under two names is tried once",
        Dns(&[
            ("d.test", "MX", "10 a.test 20 b.test"),
            ("a.test", "A", "192.0.2.1"),
            ("b.test", "A", "192.0.2.1 192.0.2.2"),
        ]),
        "a.test[192.0.2.1] b.test[192.0.2.2]",
    ),
];

/// A story, its DNS, and the fault as [`super::told`] tells it.
pub(super) const FAULTS: &[(&str, Dns, &str)] = &[
    ("B4: no such domain", Dns(&[]), "NoSuchDomain d.test"),
    (
        "no such domain, confirmed only when all are asked",
        Dns(&[("d.test", "MX", "nxdomain1")]),
        "NoSuchDomain d.test",
    ),
    (
        "no such domain, says one server",
        Dns(&[("d.test", "MX", "nxdomain?")]),
        "DnsFailed d.test MX NxDomain",
    ),
    (
        "NXDOMAIN for MX is no NODATA: the A record does not count",
        Dns(&[("d.test", "A", "192.0.2.1")]),
        "NoSuchDomain d.test",
    ),
    ("MX fails", Dns(&[("d.test", "MX", "servfail")]), "DnsFailed d.test MX ServFail"),
    (
        "B20: MX bogus, A fine: no implicit MX on a failure",
        Dns(&[("d.test", "MX", "bogus"), ("d.test", "A", "192.0.2.1")]),
        "DnsFailed d.test MX Bogus",
    ),
    ("B18: null MX", Dns(&[("d.test", "MX", "0 .")]), "NullMx d.test"),
    (
        "B12: the only exchanger has no address",
        Dns(&[("d.test", "MX", "10 mx9.d.test")]),
        "NoHosts d.test",
    ),
    (
        "B12, but not every server says so",
        Dns(&[("d.test", "MX", "10 mx9.d.test"), ("mx9.d.test", "AAAA", "nodata?")]),
        "DnsFailed mx9.d.test AAAA NoData",
    ),
    (
        "B12, confirmed when all are asked",
        Dns(&[
            ("d.test", "MX", "10 mx9.d.test"),
            ("mx9.d.test", "A", "nxdomain1"),
            ("mx9.d.test", "AAAA", "nodata1"),
        ]),
        "NoHosts d.test",
    ),
    (
        "one exchanger dangles, the other one's A fails",
        Dns(&[("d.test", "MX", "10 dead.test 20 mx.d.test"), ("mx.d.test", "A", "refused")]),
        "DnsFailed mx.d.test A Refused",
    ),
    (
        "A is missing, AAAA fails: it may exist",
        Dns(&[("d.test", "MX", "10 mx.d.test"), ("mx.d.test", "AAAA", "timeout")]),
        "DnsFailed mx.d.test AAAA Timeout",
    ),
    (
        "B15: an address in text is the only exchanger",
        Dns(&[("d.test", "MX", "10 192.0.2.5.")]),
        "NoHosts d.test",
    ),
    (
        "B16: only private addresses",
        Dns(&[
            ("d.test", "MX", "10 mx.d.test"),
            ("mx.d.test", "A", "10.0.0.5 127.0.0.1"),
            ("mx.d.test", "AAAA", "fe80::1"),
        ]),
        "OnlyPrivateAddresses d.test",
    ),
    (
        "private, but another exchanger's DNS fails",
        Dns(&[
            ("d.test", "MX", "10 a.test 20 b.test"),
            ("a.test", "A", "10.0.0.5"),
            ("b.test", "A", "servfail"),
        ]),
        "DnsFailed b.test A ServFail",
    ),
    (
        "B17: we are the best exchanger, by name",
        Dns(&[("d.test", "MX", "10 us.example 20 b.test"), ("b.test", "A", "192.0.2.1")]),
        "LoopsBack d.test",
    ),
    (
        "B17: we are the best exchanger, by address",
        Dns(&[
            ("d.test", "MX", "10 a.test 10 b.test"),
            ("a.test", "A", "198.51.100.25"),
            ("b.test", "A", "192.0.2.1"),
        ]),
        "LoopsBack d.test",
    ),
    (
        "B17: the domain itself is one of our addresses, mapped into IPv6",
        Dns(&[("d.test", "MX", "nodata"), ("d.test", "AAAA", "::ffff:198.51.100.25")]),
        "LoopsBack d.test",
    ),
    (
        "B28: no MX, no A, no AAAA",
        Dns(&[("d.test", "MX", "nodata"), ("d.test", "A", "nodata"), ("d.test", "AAAA", "nodata")]),
        "NoHosts d.test",
    ),
    (
        "B28, but one server may know an MX",
        Dns(&[
            ("d.test", "MX", "nodata?"),
            ("d.test", "A", "nodata"),
            ("d.test", "AAAA", "nodata"),
        ]),
        "DnsFailed d.test MX NoData",
    ),
];
