//! The checkers: do the promises of the design hold, seen from outside?
//!
//! They read what clients were told ([`Ledger`](crate::Ledger)), what peers took, the event log and the store;
//! never the agents' own memory, except for promise 7, which is about it.

use crate::client::{Handed, subject};
use crate::notices;
use crate::system::MailSystem;
use posthaste_evidence::{EventKind, Outcome};
use posthaste_mail::QueueId;
use posthaste_peers::mail::Arrival;
use posthaste_spool::Live;
use std::collections::{BTreeMap, BTreeSet};

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
    /// The event log says that it failed or that its time was over.
    ended_badly: bool,
}

/// Promises 1, 2 and 3 at the end of a story, when everything works again and time has passed. In doubt is what
/// the event log says is, and what was in hand at a crash: that may be unsaid.
#[must_use]
pub fn ends(system: &MailSystem) -> Verdict {
    let arrivals = all_arrivals(system);
    let live = system.live();
    let doubts = doubts(system);
    let bad_ends = bad_ends(system);
    let mut broken = notices::honest(system);
    for handed in system.ledger.all() {
        for to in &handed.to {
            let mut fate = fate(&handed, to, &arrivals);
            fate.live = live.iter().any(|l| is_live(l, &handed, to));
            fate.ended_badly = bad_ends.contains(&(subject(handed.number), to.clone()));
            let doubts = doubts.get(to).copied().unwrap_or(0) + system.in_hand_at_crashes(to);
            broken.extend(judge(&handed, to, &fate, doubts));
        }
    }
    broken
}

fn is_live(live: &Live, handed: &Handed, to: &str) -> bool {
    let mut recipients = live.envelope.recipients.iter().zip(&live.states);
    live.envelope.summary.subject.as_deref() == Some(&subject(handed.number))
        && recipients.any(|(r, s)| s.life.is_live() && r.mailbox.as_str() == to)
}

fn judge(handed: &Handed, to: &str, fate: &Fate, doubts: usize) -> Option<String> {
    let name = || format!("message {} to {to}: {fate:?}", handed.number);
    let ends = usize::from(fate.copies > 0) + usize::from(fate.notices > 0);
    if !handed.asks && fate.notices > 0 {
        return Some(format!("promise 2: a notice that nobody asked for: {}", name()));
    }
    // Who is not told has only the event log as a witness.
    let ends = ends + usize::from(!handed.asks && fate.ended_badly);
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
    stuck(&system.live(), |id, number| {
        // Its settlement may be on the way to the disk: the scheduler is done with it, the store not yet.
        running.dispatch.waiting(id, number).is_some() || running.dispatch.is_settling(id)
    })
}

fn stuck(live: &[Live], explained: impl Fn(QueueId, u32) -> bool) -> Verdict {
    let mut broken = Vec::new();
    for live in live {
        let id = live.envelope.id;
        for (number, state) in (0u32..).zip(&live.states) {
            if state.life.is_live() && !explained(id, number) {
                broken.push(format!("promise 7: {id} recipient {number} is silently stuck"));
            }
        }
    }
    broken
}

/// What a peer took, as far as the checkers need it.
struct Seen {
    notice: bool,
    /// Numbers of messages in subjects: its own, and in a notice that of the original.
    numbers: Vec<String>,
    to: Vec<String>,
    /// The recipients that a notice says have failed.
    about: Vec<String>,
}

fn all_arrivals(system: &MailSystem) -> Vec<Seen> {
    let arrivals = system.hosts().flat_map(|(_, (_, host))| host.arrivals());
    arrivals.map(|arrival| Seen::of(&arrival)).collect()
}

impl Seen {
    fn of(arrival: &Arrival) -> Self {
        let read = notices::read(arrival);
        let notice = read.is_some();
        // Only notices are read beyond their header.
        let end = if notice { arrival.content.len() } else { arrival.content.len().min(HEADER) };
        let text = String::from_utf8_lossy(&arrival.content[..end]);
        let after = |prefix| {
            let lines = text.lines().filter_map(move |line| line.strip_prefix(prefix));
            lines.map(|rest| rest.trim().to_owned()).collect::<Vec<_>>()
        };
        let failed =
            read.into_iter().flat_map(|notice| notice.about).filter(|word| word.action == "failed");
        let about = failed.map(|word| word.recipient).collect();
        Self { notice, numbers: after("Subject: "), to: arrival.recipients(), about }
    }
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

/// Subject and forward-path of those that the event log says ended badly.
fn bad_ends(system: &MailSystem) -> BTreeSet<(String, String)> {
    let events = system.relay.journal().events();
    let mut subjects = BTreeMap::new();
    let mut ends = BTreeSet::new();
    for event in events {
        match event.kind {
            EventKind::Received { subject: Some(subject), .. } => {
                subjects.insert(event.message, subject);
            }
            EventKind::Tried { to, outcome: Outcome::Failed, .. } | EventKind::Expired { to } => {
                let subject = subjects.get(&event.message).cloned();
                ends.insert((subject.unwrap_or_default(), to));
            }
            _ => {}
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_mail::Timestamp;
    use posthaste_queue::{Life, RecipientState};

    const TO: &str = "r@d.test";

    fn handed(acknowledged: bool) -> Handed {
        let (from, to) = ("writer@sender.test".into(), vec![TO.to_owned()]);
        Handed { number: 7, from, to, asks: true, acknowledged, refusal: None }
    }

    fn arrival(from: &str, to: &str, content: &str) -> Seen {
        let (from, to) = (format!("FROM:<{from}>"), vec![format!("TO:<{to}>")]);
        Seen::of(&Arrival { from, to, content: content.into(), acknowledged: true })
    }

    fn copy() -> Seen {
        arrival("writer@sender.test", TO, "Received: x\r\nSubject: m-7-\r\n\r\nSubject: m-8-")
    }

    fn notice(about: &str) -> Seen {
        told("failed", about)
    }

    fn told(action: &str, about: &str) -> Seen {
        let content = format!(
            "Subject: sorry\r\nMessage-ID: <x@y>\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\
             Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n\
             Final-Recipient: rfc822; {about}\r\nAction: {action}\r\n\r\n--b\r\n\
             Content-Type: message/rfc822\r\n\r\nSubject: m-7-\r\n\r\n--b--\r\n"
        );
        arrival("", "writer@sender.test", &content)
    }

    fn verdict(arrivals: &[Seen], acknowledged: bool, live: bool, doubts: usize) -> String {
        let handed = handed(acknowledged);
        let fate = Fate { live, ..fate(&handed, TO, arrivals) };
        let broken = judge(&handed, TO, &fate, doubts).unwrap_or_default();
        broken.split(':').take(2).collect::<Vec<_>>().join(":")
    }

    #[test]
    fn every_broken_promise_is_found_and_no_kept_one() {
        let elsewhere = || arrival("writer@sender.test", "other@d.test", "Subject: m-7-\r\n");
        let other = || arrival("writer@sender.test", TO, "Subject: m-77-\r\n");
        for (arrivals, acknowledged, live, doubts, expected) in [
            (vec![copy()], true, false, 0, ""),
            (vec![notice(TO)], true, false, 0, ""),
            (vec![copy(), copy()], true, false, 1, ""),
            (vec![], false, false, 0, ""),
            (vec![told("delayed", TO), copy()], true, false, 0, ""),
            (vec![told("delayed", TO), notice(TO)], true, false, 0, ""),
            (vec![told("delayed", TO)], true, false, 0, "promise 1: acknowledged and gone"),
            (vec![copy(), notice(TO)], true, false, 1, ""),
            (vec![], true, false, 0, "promise 1: acknowledged and gone"),
            (vec![elsewhere(), other()], true, false, 5, "promise 1: acknowledged and gone"),
            (vec![notice("other@d.test")], true, false, 0, "promise 1: acknowledged and gone"),
            (vec![], true, true, 0, "promise 2: no end after all this time"),
            (vec![copy()], true, true, 0, "promise 2: no end after all this time"),
            (vec![copy(), notice(TO)], true, false, 0, "promise 2: delivered and bounced"),
            (vec![notice(TO), notice(TO)], true, false, 0, "promise 2: more than one notice"),
            (vec![copy(), copy()], true, false, 0, "promise 3: copies without doubt"),
            (vec![copy(), copy()], false, false, 0, "promise 3: copies without doubt"),
            (vec![copy(), copy(), copy()], true, false, 1, "promise 3: copies without doubt"),
        ] {
            assert_eq!(verdict(&arrivals, acknowledged, live, doubts), expected);
        }
    }

    #[test]
    fn who_does_not_ask_is_not_told_and_the_event_log_is_the_witness() {
        let quiet = Handed { asks: false, ..handed(true) };
        let fate =
            |notices, copies, ended_badly| Fate { notices, copies, ended_badly, live: false };
        assert_eq!(judge(&quiet, TO, &fate(0, 0, true), 0), None);
        assert_eq!(judge(&quiet, TO, &fate(0, 1, false), 0), None);
        for broken in [fate(1, 0, true), fate(0, 0, false), fate(0, 1, true)] {
            assert!(judge(&quiet, TO, &broken, 0).is_some(), "{broken:?}");
        }
    }

    #[test]
    fn who_is_live_and_unexplained_is_stuck() {
        let mut mail = posthaste_spool::testing::mail(QueueId::from_u64(1), 3, 10);
        mail.states[1] = RecipientState { life: Life::Delivered, ..mail.states[1] };
        mail.states[2] =
            RecipientState { life: Life::Held, due: Timestamp::EPOCH, ..mail.states[2] };
        let (in_hand, in_hand_with) = (Vec::new(), None);
        let live = Live { envelope: mail.envelope, states: mail.states, in_hand, in_hand_with };
        assert!(stuck(std::slice::from_ref(&live), |_, _| true).is_empty());
        assert_eq!(
            stuck(std::slice::from_ref(&live), |_, number| number == 0).len(),
            1,
            "held is live"
        );
        assert_eq!(stuck(&[live], |_, _| false).len(), 2, "who has ended owes nothing");
    }
}
