//! How waiting for DNS ends: mail for names that stay missing is returned when the patience with them is over.
//!
//! Hours pass in seconds by `clock_scale`. Not here: domains that vanish after mail was delivered to them (crate `sim`,
//! `belief`).

use std::time::Duration;

use crate::internet::{Domain, Internet};
use crate::mta::{Fate, Mta};
use crate::servers::Server;
use crate::sink::Sink;

/// An hour in 3.6 seconds, the questions, and some more.
const PATIENCE: Duration = Duration::from_secs(25);

#[test]
fn what_stays_missing_is_returned_in_the_end() {
    let _busy = crate::in_company();
    let sink = Sink::start(&[]);
    let mail = sink.address().ip();
    let cases = [
        ("b12.test", "@ IN MX 10 gone\n", "an hour, no MX target exists"),
        ("b15.test", "@ IN MX 10 192.0.2.5.\n", "an hour, the MX is an address"),
        ("b28.test", "www IN TXT x\n", "ten minutes, no records"),
    ];
    let net = Internet::start(mail, |places| {
        let domain = |(name, records, _): &(&str, &str, &str)| Domain {
            name: (*name).to_owned(),
            delegated_to: vec![places.knot],
            on_knot: Some((*records).to_owned()),
            ..Domain::default()
        };
        cases.iter().map(domain).collect()
    });
    let resolvers = [Server::unbound(net.root(), ""), Server::unbound(net.root(), "")];
    let at = resolvers.each_ref().map(Server::address);
    let mta = Mta::start(&at, net.root(), "clock_scale = 1000\n");
    let sent: Vec<_> = cases.iter().map(|(domain, ..)| mta.send(domain).0).collect();
    let first: Vec<_> = sent.iter().map(|id| mta.outcome(id, PATIENCE)).collect();
    for ((domain, _, why), (id, first)) in cases.iter().zip(sent.iter().zip(first)) {
        assert_eq!(first.map(|o| o.fate), Some(Fate::Waits), "{domain}");
        let end = mta.end(id, PATIENCE).unwrap_or_else(|| panic!("{domain} waits for ever"));
        println!("{domain}: returned with {} ({why}; clock times 1000)", end.status);
        assert_eq!((end.fate, &*end.status), (Fate::Failed, "5.4.4"), "{domain}: {end:?}");
    }
    assert_eq!(sink.count(), 0, "notices go to the sender, who is not here");
}
