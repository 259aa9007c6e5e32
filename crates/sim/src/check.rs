//! The checkers: do the promises of the design hold, seen from outside?
//!
//! They read what clients were told ([`Ledger`](crate::Ledger)), what peers took, the event log and the store;
//! never the agents' own memory, except for promise 7, which is about it.

use crate::client::{Handed, subject};
use crate::system::MailSystem;
use posthaste_evidence::{EventKind, Outcome};
use std::collections::BTreeMap;

/// What a check found: broken promises, in words with the message's number. Empty is good.
pub type Verdict = Vec<String>;

/// What became of one recipient of one message.
#[derive(Default, Debug)]
struct Fate {
    /// Copies that a peer took, acknowledged or not.
    copies: usize,
    /// Failure notices that name it.
    notices: usize,
    /// It is live in the store.
    live: bool,
}

/// Promises 1, 2 and 3 at the end of a story, when everything works again and time has passed.
/// `crashes`: power cuts and kills of the relay, each of which may leave one copy in doubt unsaid.
#[must_use]
pub fn ends(system: &MailSystem, crashes: usize) -> Verdict {
    let arrivals = all_arrivals(system);
    let live = system.live();
    let doubts = doubts(system);
    let mut broken = Vec::new();
    for handed in system.ledger.all() {
        for to in &handed.to {
            let mut fate = fate(&handed, to, &arrivals);
            fate.live = live.iter().any(|l| {
                l.envelope.summary.subject.as_deref() == Some(&subject(handed.number))
                    && l.envelope
                        .recipients
                        .iter()
                        .zip(&l.states)
                        .any(|(r, s)| s.life.is_live() && r.mailbox.as_str() == to)
            });
            let doubts = doubts.get(to).copied().unwrap_or(0);
            broken.extend(judge(&handed, to, &fate, doubts + crashes));
        }
    }
    broken
}

fn judge(handed: &Handed, to: &str, fate: &Fate, doubts: usize) -> Option<String> {
    let name = || format!("message {} to {to}: {fate:?}", handed.number);
    let ends = usize::from(fate.copies > 0) + usize::from(fate.notices > 0);
    if handed.acknowledged && ends == 0 && !fate.live {
        return Some(format!("promise 1: acknowledged and gone: {}", name()));
    }
    if handed.acknowledged && fate.live {
        return Some(format!("promise 2: no end after all this time: {}", name()));
    }
    if ends == 2 && doubts == 0 {
        return Some(format!("promise 2: delivered and bounced: {}", name()));
    }
    if fate.notices > 1 + doubts {
        return Some(format!("promise 2: more than one notice: {}", name()));
    }
    if fate.copies > 1 + doubts {
        return Some(format!("promise 3: copies without doubt: {}", name()));
    }
    None
}

/// Promise 7 at any moment: every live recipient is in flight, due at a time, or has a wait reason.
#[must_use]
pub fn nothing_is_stuck(system: &MailSystem) -> Verdict {
    if !system.is_ready() {
        return Vec::new();
    }
    let Some(running) = system.running() else { return Vec::new() };
    let mut broken = Vec::new();
    for live in system.live() {
        for (number, state) in (0u32..).zip(&live.states) {
            let id = live.envelope.id;
            let waiting = running.dispatch.waiting(id, number);
            if state.life.is_live() && waiting.is_none() && !has_left(&running, id, number) {
                broken.push(format!("promise 7: {id} recipient {number} is silently stuck"));
            }
        }
    }
    broken
}

/// Its settlement may be on the way to the disk: the scheduler is done with it, the store not yet.
fn has_left(running: &crate::system::Running, id: posthaste_mail::QueueId, number: u32) -> bool {
    running.dispatch.is_settling(id) || running.dispatch.waiting(id, number).is_some()
}

/// What a peer took, as far as the checkers need it.
struct Seen {
    notice: bool,
    /// Numbers of messages in subjects: its own, and in a notice that of the original.
    numbers: Vec<String>,
    to: Vec<String>,
    /// A notice's final recipients.
    about: Vec<String>,
}

fn all_arrivals(system: &MailSystem) -> Vec<Seen> {
    let arrivals = system.hosts().flat_map(|(_, (_, host))| host.arrivals());
    let seen = |arrival: posthaste_peers::mail::Arrival| {
        let notice = arrival.from.contains("<>");
        // Only notices are read beyond their header.
        let end = if notice { arrival.content.len() } else { arrival.content.len().min(HEADER) };
        let text = String::from_utf8_lossy(&arrival.content[..end]);
        let after = |prefix| {
            let lines = text.lines().filter_map(move |line| line.strip_prefix(prefix));
            lines.map(|rest| rest.trim().to_owned()).collect::<Vec<_>>()
        };
        let about = after("Final-Recipient: rfc822;");
        Seen { notice, numbers: after("Subject: "), to: arrival.recipients(), about }
    };
    arrivals.map(seen).collect()
}

/// Octets in which the header of a test's message ends for certain.
const HEADER: usize = 2048;

fn fate(handed: &Handed, to: &str, arrivals: &[Seen]) -> Fate {
    let wanted = subject(handed.number);
    let mut fate = Fate::default();
    for arrival in arrivals.iter().filter(|a| a.numbers.contains(&wanted)) {
        fate.copies += usize::from(!arrival.notice && arrival.to.iter().any(|r| r == to));
        fate.notices += usize::from(arrival.notice && arrival.about.iter().any(|r| r == to));
    }
    fate
}

/// Outcomes in doubt that the event log tells, by forward-path.
fn doubts(system: &MailSystem) -> BTreeMap<String, usize> {
    let mut doubts = BTreeMap::new();
    for event in system.relay.journal().events() {
        if let EventKind::Tried { to, outcome: Outcome::Indeterminate, .. } = event.kind {
            *doubts.entry(to).or_default() += 1;
        }
    }
    doubts
}
