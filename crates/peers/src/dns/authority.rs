//! What an authoritative server says (RFC 1034 section 4.3.2): the answer, a referral with glue, or REFUSED outside
//! of its zones.

use super::answer::{MAX_CHAIN, NXDOMAIN, REFUSED};
use super::octets::{Question, Record, Reply};
use super::zone::{Found, Zone, is_within};
use posthaste_evidence::{RecordData, RecordType};

/// The answer from the closest of these zones, all of which have an apex.
pub(super) fn from_zones(zones: &[Zone], question: &Question) -> Reply {
    let mut reply = Reply::default();
    let mut name = question.name.clone();
    for _ in 0..MAX_CHAIN {
        let Some(zone) = closest(zones, &name) else {
            // An alias that leads out of our zones is for others to follow.
            if reply.answers.is_empty() {
                reply.rcode = REFUSED;
            }
            return reply;
        };
        if let Some(cut) = zone.cut(&name) {
            refer(&mut reply, zone, cut);
            return reply;
        }
        reply.authoritative = true;
        match zone.find(&name, question.kind) {
            Found::Records(records) => {
                reply
                    .answers
                    .extend(records.into_iter().map(|(ttl, d)| (name.clone(), *ttl, d.clone())));
                return reply;
            }
            Found::Alias(ttl, target) => {
                reply.answers.push((name, ttl, RecordData::Cname(target.to_owned())));
                name = target.to_owned();
            }
            missing => {
                // A zone without records of its own at its apex has that name nevertheless.
                let is_apex = zone.apex() == Some(&name);
                let gone = matches!(missing, Found::NxDomain) && !is_apex;
                if is_apex && question.kind == Some(RecordType::Soa) {
                    reply.answers.push(zone.soa());
                    return reply;
                }
                reply.rcode = if gone { NXDOMAIN } else { 0 };
                reply.authority.push(zone.soa());
                return reply;
            }
        }
    }
    reply
}

pub(super) fn closest<'a>(zones: &'a [Zone], name: &str) -> Option<&'a Zone> {
    let holds = |zone: &&Zone| zone.apex().is_some_and(|apex| is_within(name, apex));
    zones.iter().filter(holds).max_by_key(|zone| zone.apex().map_or(0, str::len))
}

/// The servers of the child zone, and the addresses of those that the zone has any of.
fn refer(reply: &mut Reply, zone: &Zone, cut: &str) {
    for (ttl, server) in zone.of_kind(cut, RecordType::Ns) {
        reply.authority.push((cut.to_owned(), *ttl, server.clone()));
        let RecordData::Ns(host) = server else { continue };
        for kind in [RecordType::A, RecordType::Aaaa] {
            let glue =
                |(ttl, data): &(u32, RecordData)| -> Record { (host.clone(), *ttl, data.clone()) };
            reply.additional.extend(zone.of_kind(host, kind).map(glue));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "
. NS a.root
a.root A 192.0.2.1
test NS ns.test
test NS out.example
ns.test A 192.0.2.2
ns.test AAAA 2001:db8::2
";
    const TEST: &str = "
test SOA ns.test 7 60
test NS ns.test
ns.test A 192.0.2.2
child.test NS ns.child.test
ns.child.test A 192.0.2.3
www.child.test A 192.0.2.66
alias.test CNAME other.test
other.test CNAME far.example
empty.deep.test TXT x
";

    fn ask(zones: &[(&str, &str)], name: &str, kind: RecordType) -> Reply {
        let zones: Vec<Zone> =
            zones.iter().map(|(apex, text)| Zone::parse_at(apex, text).unwrap()).collect();
        let question = Question {
            id: 1,
            name: name.into(),
            kind: Some(kind),
            edns: None,
            dnssec: false,
            unchecked: false,
            recursion: false,
            section: Vec::new(),
        };
        from_zones(&zones, &question)
    }

    /// RCODE, AA, and how many records each section has.
    fn shape(reply: &Reply) -> (u8, bool, [usize; 3]) {
        let sections = [&reply.answers, &reply.authority, &reply.additional].map(Vec::len);
        (reply.rcode, reply.authoritative, sections)
    }

    #[test]
    fn a_server_answers_for_its_zones_and_refers_to_their_children() {
        use RecordType::{A, Cname, Mx, Ns, Soa};
        let (root, test) = ((".", ROOT), ("test", TEST));
        for (zones, name, kind, expected, why) in [
            (&[root][..], "d.test", Mx, (0, false, [0, 2, 2]), "two servers, glue of one"),
            (
                &[root],
                "test",
                Ns,
                (0, false, [0, 2, 2]),
                "the child's own word is not the parent's",
            ),
            (&[root], "nowhere", Mx, (3, true, [0, 1, 0]), "no such top-level domain"),
            (&[root], "", Ns, (0, true, [1, 0, 0]), "the root itself"),
            (&[test], "test", Soa, (0, true, [1, 0, 0]), "its apex"),
            (&[root, test], "test", Ns, (0, true, [1, 0, 0]), "the closest zone answers"),
            (
                &[test],
                "www.child.test",
                A,
                (0, false, [0, 1, 1]),
                "what is below a cut is not ours",
            ),
            (&[test], "child.test", Mx, (0, false, [0, 1, 1]), "nor the cut"),
            (&[test], "gone.test", A, (3, true, [0, 1, 0]), "missing"),
            (&[test], "ns.test", Mx, (0, true, [0, 1, 0]), "nothing of this type"),
            (&[test], "deep.test", A, (0, true, [0, 1, 0]), "empty, with names below"),
            (&[test], "alias.test", A, (0, true, [2, 0, 0]), "as far as we know"),
            (&[test], "alias.test", Cname, (0, true, [1, 0, 0]), "the alias itself"),
            (&[test], "far.example", A, (5, false, [0, 0, 0]), "not our zone"),
            (&[test], "nottest", A, (5, false, [0, 0, 0]), "not our zone, though it ends alike"),
        ] {
            assert_eq!(shape(&ask(zones, name, kind)), expected, "{name} {kind}: {why}");
        }
    }

    #[test]
    fn negative_answers_carry_the_zones_own_soa() {
        let reply = ask(&[("test", TEST)], "gone.test", RecordType::A);
        let soa = RecordData::Soa { primary: "ns.test".into(), serial: 7, minimum: 60 };
        assert_eq!(reply.authority, [("test".to_owned(), 60, soa)]);
    }

    #[test]
    fn a_stray_name_is_named() {
        assert_eq!(Zone::parse_at("test", TEST).unwrap().apex(), Some("test"));
        let stray = Zone::parse_at("test", "a.test A 192.0.2.1\nb.example A 192.0.2.1");
        assert_eq!(stray.unwrap_err().line, 2);
    }
}
