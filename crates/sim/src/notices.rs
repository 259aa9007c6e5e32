//! What senders are told, held to the rules from outside: every bad end has exactly one notice or one reason why none,
//! nobody is told what did not happen, and no notice is ever about a notice (RFC 3461, RFC 5321 section 6.1).
//!
//! It reads the event log and what hosts took, with a reader of its own ([`crate::mime`]); never the agents' memory.

use crate::check::Verdict;
use crate::mime;
use crate::system::MailSystem;
use posthaste_evidence::{Event, EventKind, NoticeKind, Outcome};
use posthaste_mail::QueueId;
use posthaste_peers::mail::Arrival;
use std::collections::{BTreeMap, BTreeSet};

/// A notice as its reader has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read {
    /// Its name in the queue, from its `Message-ID:`.
    pub id: String,
    /// Whom it was sent to.
    pub to: Vec<String>,
    /// What it says to machines, recipient by recipient.
    pub about: Vec<Word>,
    /// The plain text for people, decoded.
    pub text: String,
    /// The same as HTML, decoded; empty when there is none.
    pub html: String,
    /// All of it.
    pub whole: String,
}

/// What a notice says of one recipient (RFC 3464 section 2.3).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Word {
    /// `Final-Recipient:` without its type.
    pub recipient: String,
    /// `Action:`
    pub action: String,
    /// `Status:`
    pub status: String,
    /// `Diagnostic-Code:`, unfolded; empty when absent.
    pub diagnostic: String,
    /// `Will-Retry-Until:`; empty when absent.
    pub until: String,
}

/// The notices that hosts took, each once, in the order in which they came; a second copy is not one more.
#[must_use]
pub fn read_all(system: &MailSystem) -> Vec<Read> {
    let mut known = BTreeSet::new();
    let arrivals = system.hosts().flat_map(|(_, (_, host))| host.arrivals());
    let all = arrivals.filter_map(|arrival| read(&arrival));
    all.filter(|notice| known.insert(notice.id.clone())).collect()
}

/// What a host took, when it is a notice.
#[must_use]
pub fn read(arrival: &Arrival) -> Option<Read> {
    if !arrival.from.contains("<>") {
        return None;
    }
    let leaves = mime::leaves(&arrival.content);
    let status = leaves.iter().find(|leaf| leaf.kind.ends_with("delivery-status"))?;
    let of = |kind: &str| {
        let leaf = leaves.iter().find(|leaf| leaf.kind == kind);
        leaf.map(|leaf| leaf.text.clone()).unwrap_or_default()
    };
    let id = arrival.header("Message-ID")?;
    Some(Read {
        id: id.trim_start_matches('<').split('@').next()?.to_owned(),
        to: arrival.recipients(),
        about: status.text.split("\r\n\r\n").skip(1).filter_map(Word::of).collect(),
        text: of("text/plain"),
        html: of("text/html"),
        whole: String::from_utf8_lossy(&arrival.content).into_owned(),
    })
}

impl Word {
    fn of(group: &str) -> Option<Self> {
        let unfolded = group.replace("\r\n ", " ").replace("\r\n\t", " ");
        let field = |name: &str| {
            let mut lines = unfolded.lines().filter_map(|line| line.split_once(':'));
            let found = lines.find(|(field, _)| field.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let recipient = field("Final-Recipient").split_once(';')?.1.trim().to_owned();
        Some(Self {
            recipient,
            action: field("Action"),
            status: field("Status"),
            diagnostic: field("Diagnostic-Code"),
            until: field("Will-Retry-Until"),
        })
    }
}

/// The rules, at any moment: a notice that has not arrived yet is believed by the kind that the event log tells.
#[must_use]
pub fn honest(system: &MailSystem) -> Verdict {
    audit(&system.relay.journal().events(), &read_all(system))
}

/// What the event log tells of one message.
#[derive(Default)]
struct Story {
    ended_badly: Vec<String>,
    notices: Vec<(QueueId, NoticeKind)>,
    withheld: usize,
}

fn audit(events: &[Event], read: &[Read]) -> Verdict {
    let mut stories: BTreeMap<QueueId, Story> = BTreeMap::new();
    let mut ours = BTreeSet::new();
    let mut broken = Vec::new();
    for event in events {
        let story = stories.entry(event.message).or_default();
        match &event.kind {
            EventKind::Tried { to, outcome: Outcome::Failed, .. } | EventKind::Expired { to } => {
                story.ended_badly.push(to.clone());
            }
            EventKind::Operator { to: Some(to), act: "bounce", .. } => {
                story.ended_badly.push(to.clone());
            }
            EventKind::Notice { id, kind } => {
                story.notices.push((*id, *kind));
                if !ours.insert(*id) {
                    broken.push(format!("notice {id} was made twice"));
                }
            }
            EventKind::NoNotice { .. } => story.withheld += 1,
            _ => {}
        }
    }
    let read = read.iter().map(|notice| (notice.id.as_str(), notice)).collect();
    for (id, story) in &stories {
        if ours.contains(id) && !story.notices.is_empty() {
            broken.push(format!("a notice about a notice: {:?} about {id}", story.notices));
        }
        broken.extend(judge(story, &read).into_iter().map(|why| format!("{id}: {why}")));
    }
    broken
}

fn judge(story: &Story, read: &BTreeMap<&str, &Read>) -> Verdict {
    let mut broken = Vec::new();
    let mut named: Vec<&str> = Vec::new();
    let mut unread = 0;
    for (id, kind) in &story.notices {
        let Some(notice) = read.get(id.to_string().as_str()) else {
            unread += usize::from(*kind == NoticeKind::Failed);
            continue;
        };
        let fits = |word: &Word| actions(*kind).contains(&word.action.as_str());
        if notice.about.is_empty() || !notice.about.iter().all(fits) {
            broken.push(format!("{id} is {kind:?} and says {:?}", notice.about));
        }
        if *kind == NoticeKind::Failed {
            named.extend(notice.about.iter().map(|word| word.recipient.as_str()));
        }
    }
    for to in story.ended_badly.iter().collect::<BTreeSet<_>>() {
        match named.iter().filter(|name| *name == to).count() {
            0 if unread == 0 && story.withheld == 0 => {
                broken.push(format!("the end of {to} was told to nobody, and nobody says why"));
            }
            0 | 1 => {}
            more => broken.push(format!("the end of {to} was told {more} times")),
        }
    }
    let lied = named.iter().filter(|name| !story.ended_badly.iter().any(|to| to == *name));
    broken.extend(lied.map(|name| format!("{name} is said to have failed, and has not")));
    let all_told = story.ended_badly.iter().all(|to| named.contains(&to.as_str()));
    if story.withheld > 0 && all_told {
        broken.push("a reason for no notice, and everybody was told".into());
    }
    broken
}

/// RFC 3464 section 2.3.3. What a host took of which it sends no word is relayed.
const fn actions(kind: NoticeKind) -> &'static [&'static str] {
    match kind {
        NoticeKind::Failed => &["failed"],
        NoticeKind::Delayed => &["delayed"],
        NoticeKind::Relayed => &["relayed"],
        NoticeKind::Delivered => &["delivered"],
        NoticeKind::AllClear => &["delivered", "relayed"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_evidence::Withheld;
    use posthaste_mail::Timestamp;

    fn event(message: u64, kind: EventKind) -> Event {
        Event { at: Timestamp::EPOCH, commit: 1, message: QueueId::from_u64(message), kind }
    }

    fn ended(message: u64, to: &str) -> Event {
        event(message, EventKind::Expired { to: to.into() })
    }

    fn notice(about: u64, id: u64, kind: NoticeKind) -> Event {
        event(about, EventKind::Notice { id: QueueId::from_u64(id), kind })
    }

    fn withheld(message: u64) -> Event {
        event(message, EventKind::NoNotice { why: Some(Withheld::NotAsked) })
    }

    fn says(id: u64, action: &str, about: &[&str]) -> Read {
        let word =
            |to: &&str| Word { recipient: (*to).into(), action: action.into(), ..Word::default() };
        Read {
            id: QueueId::from_u64(id).to_string(),
            to: vec!["writer@sender.test".into()],
            about: about.iter().map(word).collect(),
            text: String::new(),
            html: String::new(),
            whole: String::new(),
        }
    }

    #[test]
    fn every_broken_rule_is_found_and_no_kept_one() {
        use NoticeKind::{Delayed, Failed};
        for (events, read, broken) in [
            (vec![ended(1, "a"), notice(1, 2, Failed)], vec![says(2, "failed", &["a"])], ""),
            (vec![ended(1, "a"), notice(1, 2, Failed)], vec![], ""),
            (vec![ended(1, "a"), withheld(1)], vec![], ""),
            (vec![notice(1, 2, Delayed)], vec![says(2, "delayed", &["a"])], ""),
            (vec![ended(1, "a")], vec![], "nobody says why"),
            (
                vec![ended(1, "a"), ended(1, "b"), notice(1, 2, Failed)],
                vec![says(2, "failed", &["a"])],
                "the end of b",
            ),
            (
                vec![ended(1, "a"), notice(1, 2, Failed), notice(1, 3, Failed)],
                vec![says(2, "failed", &["a"]), says(3, "failed", &["a"])],
                "told 2 times",
            ),
            (vec![notice(1, 2, Failed)], vec![says(2, "failed", &["a"])], "has not"),
            (vec![notice(1, 2, Delayed)], vec![says(2, "failed", &["a"])], "is Delayed and says"),
            (
                vec![ended(1, "a"), notice(1, 2, Failed), withheld(1)],
                vec![says(2, "failed", &["a"])],
                "everybody was told",
            ),
            (
                vec![ended(1, "a"), notice(1, 2, Failed), ended(2, "b"), notice(2, 3, Failed)],
                vec![says(2, "failed", &["a"]), says(3, "failed", &["b"])],
                "a notice about a notice",
            ),
            (vec![notice(1, 2, Delayed), notice(1, 2, Delayed)], vec![], "made twice"),
        ] {
            let found = audit(&events, &read);
            assert_eq!(found.is_empty(), broken.is_empty(), "{found:?} where {broken:?}");
            assert!(broken.is_empty() || found.iter().any(|f| f.contains(broken)), "{found:?}");
        }
    }
}
