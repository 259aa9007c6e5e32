//! When it is believed, for a bounce, that a domain or its hosts do not exist (RFC 1034 section 4.3.1, RFC 2308).
//!
//! A bounce cannot be taken back, and the servers that we ask are often wrong: they keep an old negative answer, have an
//! inner view of the zone, or were told to rewrite what they hear. So who says it counts:
//!
//! 1. A server of the closest enclosing delegated zone, asked by walking from the root. Its word is believed at once,
//!    for and against: when it knows the name, the configured servers are mistaken and the mail waits.
//! 2. When no such server can be asked: every configured server, twice, at least [`Patience::second_proof`] and the
//!    negative TTL apart, so that the second answer cannot be the first one kept somewhere. The first time is
//!    remembered in the ledger.
//!
//! A configured server's word counts only if it *tells names apart*. Two controls are asked of it together with the
//! name itself: a label of 16 random letters beside a name that is said not to exist, and names that are known to exist
//! (some that mail was delivered to, the top levels above them and above the name itself; the root when mail was
//! delivered nowhere). It is enough that it knows one of them, with records of the type or without: domains go.
//!
//! - A server that says NXDOMAIN of all known names says it of everything: a resolver cut off from its forwarder, a
//!   filter, an inner root.
//! - A server that says NXDOMAIN of the name, and not of the random label beside it, contradicts itself: a wildcard
//!   that covers one covers the other (RFC 4592 section 3.3.1). It rewrites what does not exist, only not for every type.
//! - Where the claim is that a name has no records (NODATA), the random label tells nothing: it does not exist, and may
//!   be rewritten or not; only the known names count then.
//!
//! Even what is believed is waited for where a mistake of the domain's owner is likelier than its end:
//! [`Patience::vanished`] after mail was delivered to it in the last 30 days (a registration forgotten, a zone lost), and
//! [`Patience::targets`] when its MX records name only hosts that do not exist (a move under way). A domain that exists
//! without MX and address records ("no mail host") is treated like one that does not exist, but a walk that finds its
//! zone says nothing about its records: that takes the two proofs of the configured servers.
//!
//! Clocks are set. A claim or a proof that lies ahead of the clock, further than it can when time only passes, is
//! dropped and begun anew. Within one run of the daemon a wait must also have passed by the monotonic clock
//! ([`Elapsed`]); that clock does not outlive the run, so for a claim from before a start the wall clock alone counts,
//! and mail that waits is not delayed by the start.
//!
//! Pure. Not here: asking (`delivery`), remembering over restarts (`dispatch`, `spool`).

use posthaste_evidence::Doubt;
use posthaste_mail::Timestamp;
use std::net::SocketAddr;
use std::time::Duration;

/// How long is waited before what DNS says is believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// The second proof comes at least so long after the first one.
    pub second_proof: Duration,
    /// A negative TTL counts at most this much.
    pub longest_negative_ttl: Duration,
    /// A domain that mail was delivered to is waited for so long.
    pub vanished: Duration,
    /// MX hosts without any address are waited for so long.
    pub targets: Duration,
    /// A domain is asked about at most this often, however much mail waits for it.
    pub asked_every: Duration,
}

impl Default for Patience {
    /// 10 minutes, 3 hours (RFC 2308 section 5: one to three work well), a day, an hour; once a minute.
    fn default() -> Self {
        Self {
            second_proof: Duration::from_secs(600),
            longest_negative_ttl: Duration::from_secs(3 * 3600),
            vanished: Duration::from_secs(86_400),
            targets: Duration::from_secs(3600),
            asked_every: Duration::from_secs(60),
        }
    }
}

/// A claim that nobody has repeated is forgotten after this long.
pub const CLAIM_KEPT: Duration = Duration::from_secs(7 * 86_400);

/// What DNS says is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finding {
    /// The domain itself (NXDOMAIN).
    Domain,
    /// The domain exists, and has neither MX nor address records.
    Records,
    /// Every host that its MX records name.
    Targets,
}

/// Whose word there is, now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Word {
    /// A server of the closest enclosing zone says that it is missing.
    Missing,
    /// A server of the closest enclosing zone says that it exists.
    Exists,
    /// No such server could be asked; every configured one says that it is missing, and tells names apart.
    Everybody {
        /// The configured servers.
        by: Vec<SocketAddr>,
        /// How long the answers may be kept.
        negative_ttl: Duration,
    },
    /// A configured server says the same of every name.
    Indiscriminate,
    /// The configured servers did not all answer, or do not agree.
    Undecided,
}

/// What is remembered of a domain that is said to be missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// What is missing.
    pub finding: Finding,
    /// When it was first said by somebody whose word counts.
    pub since: Timestamp,
    /// When it was last said, give or take a day.
    pub last: Timestamp,
    /// The first time that all configured servers said so.
    pub proof: Option<Proof>,
}

/// All configured servers said so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    /// From when on a second proof counts.
    pub again: Timestamp,
    /// Who said so.
    pub by: Vec<SocketAddr>,
}

/// What has passed by the monotonic clock; `None` for what was first said before this run of the daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Elapsed {
    /// Since [`Claim::since`].
    pub claim: Option<Duration>,
    /// Since [`Claim::proof`].
    pub proof: Option<Duration>,
}

/// What follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// It is missing: the mail fails.
    Believe,
    /// The mail waits.
    Wait {
        /// Why.
        doubt: Doubt,
        /// Trying again before this time proves nothing; in the past when any time will do.
        not_before: Timestamp,
    },
}

/// What follows from a word, and what is to be remembered instead of `before`. `delivered`: mail was delivered to
/// the domain in the last 30 days. `elapsed`: since `before`.
#[must_use]
pub fn decide(
    now: Timestamp,
    patience: &Patience,
    finding: Finding,
    word: &Word,
    delivered: bool,
    before: Option<&Claim>,
    elapsed: Elapsed,
) -> (Decision, Option<Claim>) {
    let counts = |c: &&Claim| c.finding == finding && !c.is_over(now) && !patience.is_ahead(now, c);
    let before = before.filter(counts);
    let elapsed = if before.is_some() { elapsed } else { Elapsed::default() };
    match word {
        Word::Exists => (wait(Doubt::Contradicted, now), None),
        Word::Indiscriminate => (wait(Doubt::Indiscriminate, now), None),
        Word::Undecided => (wait(Doubt::Unconfirmed, now), before.cloned()),
        Word::Missing => {
            let claim = Claim::repeated(now, finding, before);
            (claim.graced(now, patience, delivered, elapsed.claim), Some(claim))
        }
        Word::Everybody { by, negative_ttl } => {
            let mut claim = Claim::repeated(now, finding, before);
            let counts = |p: &Proof| {
                by.iter().all(|s| p.by.contains(s)) && p.again <= now.plus(patience.longest())
            };
            let earlier = claim.proof.take().filter(counts);
            let passed = earlier.as_ref().and(elapsed.proof);
            let proof = earlier.unwrap_or_else(|| patience.first(now, by.clone(), *negative_ttl));
            let left = passed.map_or(Duration::ZERO, |p| patience.second_proof.saturating_sub(p));
            let again = proof.again.max(now.plus(left));
            let decision = if now >= again {
                claim.graced(now, patience, delivered, elapsed.claim)
            } else {
                wait(Doubt::Unconfirmed, again)
            };
            (decision, Some(Claim { proof: Some(proof), ..claim }))
        }
    }
}

impl Claim {
    /// Nobody has said so for a long time.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.last) >= CLAIM_KEPT
    }

    /// It is said once more. The time is noted once a day: each change is a write to the ledger.
    fn repeated(now: Timestamp, finding: Finding, before: Option<&Self>) -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        match before {
            Some(before) if now.since(before.last) >= DAY => Self { last: now, ..before.clone() },
            Some(before) => before.clone(),
            None => Self { finding, since: now, last: now, proof: None },
        }
    }

    /// What follows once it is believed.
    fn graced(
        &self,
        now: Timestamp,
        patience: &Patience,
        delivered: bool,
        elapsed: Option<Duration>,
    ) -> Decision {
        let (grace, doubt) = match self.finding {
            Finding::Targets => (patience.targets, Doubt::HostsMissing),
            Finding::Domain | Finding::Records if delivered => (patience.vanished, Doubt::Vanished),
            Finding::Domain | Finding::Records => return Decision::Believe,
        };
        let passed = now >= self.since.plus(grace) && elapsed.is_none_or(|e| e >= grace);
        if passed { Decision::Believe } else { wait(doubt, now) }
    }
}

impl Patience {
    /// The longest from one proof to the next.
    fn longest(&self) -> Duration {
        self.longest_negative_ttl.max(self.second_proof)
    }

    /// It was first said in the future, give or take a clock that is set right: the clock was set back.
    fn is_ahead(&self, now: Timestamp, claim: &Claim) -> bool {
        claim.since > now.plus(self.second_proof)
    }

    fn first(&self, now: Timestamp, by: Vec<SocketAddr>, negative_ttl: Duration) -> Proof {
        let apart = negative_ttl.min(self.longest_negative_ttl).max(self.second_proof);
        Proof { again: now.plus(apart), by }
    }
}

const fn wait(doubt: Doubt, not_before: Timestamp) -> Decision {
    Decision::Wait { doubt, not_before }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + seconds)
    }

    fn server(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 53))
    }

    fn everybody(servers: &[u8], ttl: u64) -> Word {
        let by = servers.iter().map(|n| server(*n)).collect();
        Word::Everybody { by, negative_ttl: Duration::from_secs(ttl) }
    }

    /// What follows at each time of a story.
    fn told(finding: Finding, delivered: bool, story: &[(i64, Word)]) -> Vec<String> {
        let mut claim = None;
        let mut told = Vec::new();
        for (time, word) in story {
            let (decision, after) = decide(
                at(*time),
                &Patience::default(),
                finding,
                word,
                delivered,
                claim.as_ref(),
                Elapsed::default(),
            );
            claim = after;
            told.push(match decision {
                Decision::Believe => "believe".to_owned(),
                Decision::Wait { doubt, not_before } if not_before > at(*time) => {
                    format!("{} +{}", doubt.name(), not_before.since(at(*time)).as_secs())
                }
                Decision::Wait { doubt, .. } => doubt.name().to_owned(),
            });
        }
        told
    }

    const UNCONFIRMED: &str = "domain_unconfirmed";
    const VANISHED: &str = "domain_vanished";
    const HOSTS: &str = "mx_hosts_missing";

    #[test]
    fn a_server_of_the_zone_decides_at_once() {
        use Finding::{Domain, Records, Targets};
        for (finding, delivered, story, expected) in [
            (Domain, false, vec![(0, Word::Missing)], vec!["believe"]),
            (Records, false, vec![(0, Word::Missing)], vec!["believe"]),
            (
                Domain,
                false,
                vec![(0, Word::Exists), (9 * DAY, Word::Exists)],
                vec!["dns_contradicted"; 2],
            ),
            (
                Domain,
                true,
                vec![(0, Word::Missing), (DAY - 1, Word::Missing), (DAY, Word::Missing)],
                vec![VANISHED, VANISHED, "believe"],
            ),
            (
                Targets,
                true,
                vec![(0, Word::Missing), (HOUR - 1, Word::Missing), (HOUR, Word::Missing)],
                vec![HOSTS, HOSTS, "believe"],
            ),
            // What was said before a server of the zone knew it counts no more.
            (
                Domain,
                true,
                vec![(0, Word::Missing), (HOUR, Word::Exists), (DAY + 1, Word::Missing)],
                vec![VANISHED, "dns_contradicted", VANISHED],
            ),
        ] {
            assert_eq!(told(finding, delivered, &story), expected, "{finding:?} {story:?}");
        }
    }

    #[test]
    fn without_one_all_servers_must_say_so_twice_far_enough_apart() {
        let (both, one) = (|ttl| everybody(&[1, 2], ttl), |ttl| everybody(&[1], ttl));
        for (story, expected) in [
            (
                vec![(0, both(60)), (599, both(60)), (600, both(60))],
                vec!["domain_unconfirmed +600", "domain_unconfirmed +1", "believe"],
            ),
            (
                vec![(0, both(3600)), (600, both(60)), (3600, both(3600))],
                vec!["domain_unconfirmed +3600", "domain_unconfirmed +3000", "believe"],
            ),
            (vec![(0, both(u64::MAX / 2))], vec!["domain_unconfirmed +10800"]),
            (
                vec![(0, both(60)), (300, Word::Undecided), (600, both(60))],
                vec!["domain_unconfirmed +600", UNCONFIRMED, "believe"],
            ),
            // A server that did not speak the first time.
            (
                vec![(0, one(60)), (600, both(60)), (1200, both(60))],
                vec!["domain_unconfirmed +600", "domain_unconfirmed +600", "believe"],
            ),
            // One that was taken out of the settings is not missed.
            (vec![(0, both(60)), (600, one(60))], vec!["domain_unconfirmed +600", "believe"]),
            // Who lies now may have lied before.
            (
                vec![(0, both(60)), (300, Word::Indiscriminate), (600, both(60))],
                vec!["domain_unconfirmed +600", "dns_indiscriminate", "domain_unconfirmed +600"],
            ),
            (vec![(0, Word::Undecided), (9 * DAY, Word::Undecided)], vec![UNCONFIRMED; 2]),
            // Remembered for a week, so that a second message to a mistyped domain need not wait again.
            (vec![(0, both(60)), (6 * DAY, both(60))], vec!["domain_unconfirmed +600", "believe"]),
            (
                vec![(0, both(60)), (8 * DAY, both(60))],
                vec!["domain_unconfirmed +600", "domain_unconfirmed +600"],
            ),
        ] {
            assert_eq!(told(Finding::Domain, false, &story), expected, "{story:?}");
            assert_eq!(told(Finding::Records, false, &story), expected, "{story:?}");
        }
        let hour = [(0, both(60)), (600, both(60)), (HOUR, both(60))];
        assert_eq!(
            told(Finding::Targets, false, &hour),
            ["domain_unconfirmed +600", HOSTS, "believe"]
        );
        let day = [(0, both(60)), (600, both(60)), (DAY, both(60))];
        assert_eq!(
            told(Finding::Domain, true, &day),
            ["domain_unconfirmed +600", VANISHED, "believe"]
        );
    }

    #[test]
    fn a_claim_is_about_one_finding_and_written_once_a_day() {
        let (_, first) = decide(
            at(0),
            &Patience::default(),
            Finding::Domain,
            &Word::Missing,
            true,
            None,
            Elapsed::default(),
        );
        let first = first.expect("remembered");
        let (other, _) = decide(
            at(2 * DAY),
            &Patience::default(),
            Finding::Records,
            &Word::Missing,
            true,
            Some(&first),
            Elapsed::default(),
        );
        assert_eq!(other, wait(Doubt::Vanished, at(2 * DAY)), "another claim begins anew");
        for (time, same) in [(MINUTE, true), (DAY - 1, true), (DAY, false)] {
            let said = decide(
                at(time),
                &Patience::default(),
                Finding::Domain,
                &Word::Missing,
                true,
                Some(&first),
                Elapsed::default(),
            )
            .1;
            assert_eq!(said.as_ref() == Some(&first), same, "{time}");
            assert_eq!(said.expect("remembered").since, first.since);
        }
    }

    #[test]
    fn a_clock_that_is_set_neither_hastens_nor_freezes_a_decision() {
        let word = everybody(&[1], 60);
        let secs = Duration::from_secs;
        // When it was first said, when again; what passed by the monotonic clock; what follows.
        for (delivered, then, elapsed, expected) in [
            // Set back by 20 days, by an hour; a little behind.
            (false, -20 * DAY, Some(secs(1)), "domain_unconfirmed +600"),
            (false, -20 * DAY, None, "domain_unconfirmed +600"),
            (false, -HOUR, Some(secs(600)), "domain_unconfirmed +600"),
            (false, -2, Some(secs(1)), "domain_unconfirmed +602"),
            // Set forward by 15 minutes, by a week but an hour.
            (false, 15 * MINUTE, Some(secs(1)), "domain_unconfirmed +599"),
            (false, 15 * MINUTE, Some(secs(600)), "believe"),
            (false, 15 * MINUTE, None, "believe"),
            (true, 7 * DAY - HOUR, Some(secs(3600)), VANISHED),
            (true, 7 * DAY - HOUR, None, "believe"),
        ] {
            let patience = Patience::default();
            let decided = |time, before: Option<&Claim>, elapsed| {
                decide(at(time), &patience, Finding::Domain, &word, delivered, before, elapsed)
            };
            let (_, claim) = decided(0, None, Elapsed::default());
            let elapsed = Elapsed { claim: elapsed, proof: elapsed };
            let (decision, _) = decided(then, claim.as_ref(), elapsed);
            let told = match decision {
                Decision::Believe => "believe".to_owned(),
                Decision::Wait { doubt, not_before } if not_before > at(then) => {
                    format!("{} +{}", doubt.name(), not_before.since(at(then)).as_secs())
                }
                Decision::Wait { doubt, .. } => doubt.name().to_owned(),
            };
            assert_eq!(told, expected, "{then} {elapsed:?}");
        }
        // A proof alone lies ahead: the claim is older than the step back.
        let claim = Claim {
            finding: Finding::Domain,
            since: at(-6 * DAY),
            last: at(0),
            proof: Some(Proof { again: at(5 * DAY), by: vec![server(1)] }),
        };
        let patience = Patience::default();
        let elapsed = Elapsed::default();
        let said = decide(at(0), &patience, Finding::Domain, &word, false, Some(&claim), elapsed);
        assert_eq!(said.0, wait(Doubt::Unconfirmed, at(600)));
    }
}
