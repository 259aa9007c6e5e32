//! What a notice says to people, in blocks: first to the sender in plain words, then to administrators in facts.
//!
//! Not here: how it is written as text (`text`) or HTML (`html`), and for machines (`status`). Words of others are freed
//! from control characters and marks that turn the direction of writing, here and only here.

use super::facts;
use super::groups::groups;
use super::keys::Key;
use super::language::Language;
use super::spans::{left, took, when};
use super::status::Typed;
use super::timeline::{episodes, longest};
use super::{Kind, Notice, Report, Why, waiting, why};
use crate::header::printable;
use posthaste_evidence::Fault;
use posthaste_mail::{Mailbox, Recipient, Timestamp};
use std::time::Duration;

/// What people read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Letter {
    /// The subject of the notice.
    pub(super) title: String,
    pub(super) people: Vec<Block>,
    /// Over the facts.
    pub(super) facts_title: Option<String>,
    pub(super) facts: Vec<Block>,
    /// A title and lines of the original's header.
    pub(super) headers: Option<(String, Vec<String>)>,
}

/// A piece of a letter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Block {
    /// What happened, in one sentence.
    Lead(String),
    /// Addresses, one a line.
    Addresses(Vec<String>),
    /// The same, of which what follows is said, up to the next group.
    Group(Vec<String>),
    /// A paragraph.
    Words(String),
    /// A paragraph with a word or two in front.
    Labelled(String, String),
    /// Somebody else's words, each in a line of its own, with ours in front.
    Quote(String, Vec<String>),
    /// Labels and values.
    Facts(Vec<(String, String)>),
    /// A title and lines.
    Lines(String, Vec<String>),
}

/// Writes the letter. `whole`: the original goes back whole; `header`: its header section; `further`: so many recipients
/// are left out.
pub(super) fn letter(
    notice: &Notice<'_>,
    words: &Language,
    whole: bool,
    header: &[u8],
    further: usize,
) -> Letter {
    let writer = Writer { notice, words };
    let bad = matches!(notice.kind, Kind::Failed | Kind::Delayed);
    Letter {
        title: writer.title(),
        people: writer.people(whole, further).into_iter().map(Block::clean).collect(),
        facts_title: Some(words.say(Key::LabelFacts)),
        facts: facts::facts(notice, words).into_iter().map(Block::clean).collect(),
        headers: bad.then(|| (words.say(Key::LabelHeaders), facts::header_lines(header))),
    }
}

impl Block {
    fn clean(self) -> Self {
        let all = |lines: Vec<String>| lines.into_iter().map(printable).collect();
        match self {
            Self::Lead(words) => Self::Lead(printable(words)),
            Self::Addresses(addresses) => Self::Addresses(all(addresses)),
            Self::Group(addresses) => Self::Group(all(addresses)),
            Self::Words(words) => Self::Words(printable(words)),
            Self::Labelled(label, words) => Self::Labelled(label, printable(words)),
            Self::Quote(label, lines) => Self::Quote(label, all(lines)),
            Self::Facts(facts) => Self::Facts(
                facts.into_iter().map(|(label, value)| (label, printable(value))).collect(),
            ),
            Self::Lines(label, lines) => Self::Lines(label, all(lines)),
        }
    }
}

struct Writer<'w, 'a> {
    notice: &'w Notice<'a>,
    words: &'w Language,
}

impl<'a> Writer<'_, 'a> {
    fn title(&self) -> String {
        let notice = self.words.say(match self.notice.kind {
            Kind::Failed => Key::SubjectFailed,
            Kind::Delayed => Key::SubjectDelayed,
            Kind::Delivered => Key::SubjectDelivered,
            Kind::Relayed => Key::SubjectRelayed,
            Kind::AllClear => Key::SubjectAllClear,
        });
        match &self.notice.envelope.summary.subject {
            Some(subject) if !subject.trim().is_empty() => {
                self.words.fill(Key::SubjectOf, &[("notice", &notice), ("subject", subject.trim())])
            }
            _ => notice,
        }
    }

    fn people(&self, whole: bool, further: usize) -> Vec<Block> {
        let reports = &self.notice.reports;
        let lead = match self.notice.kind {
            Kind::Failed => Key::LeadFailed,
            Kind::Delayed => Key::LeadDelayed,
            Kind::Delivered => Key::LeadDelivered,
            Kind::Relayed => Key::LeadRelayed,
            Kind::AllClear => Key::LeadAllClear,
        };
        let mut blocks = vec![
            Block::Lead(self.words.count(lead, (reports.len() + further) as u64, &[])),
            Block::Addresses(self.addresses(further)),
            self.message(),
        ];
        match self.notice.kind {
            Kind::Failed => {
                blocks.push(self.final_word(whole));
                self.obstacles(&mut blocks, |report| self.failure(report));
            }
            Kind::Delayed => {
                self.still_tried(&mut blocks);
                self.obstacles(&mut blocks, |report| self.delay(report));
            }
            Kind::Delivered => blocks.push(self.paragraph(Key::DeliveredMeans)),
            Kind::Relayed => blocks.push(self.paragraph(Key::RelayedMeans)),
            Kind::AllClear => blocks.push(self.paragraph(Key::AllClearMeans)),
        }
        self.close(&mut blocks);
        blocks
    }

    fn addresses(&self, further: usize) -> Vec<String> {
        let reports = self.notice.reports.iter();
        let mut lines: Vec<_> = reports.map(|report| self.address(report.recipient)).collect();
        if further > 0 {
            lines.push(self.words.count(Key::MoreRecipients, further as u64, &[]));
        }
        lines
    }

    /// With the address that the sender wrote to, where mail for it went on to this one.
    fn address(&self, recipient: &Recipient) -> String {
        let address = recipient.mailbox.to_string();
        match original(recipient) {
            Some(original) => {
                self.words.fill(Key::Behind, &[("address", &address), ("original", &original)])
            }
            None => address,
        }
    }

    fn message(&self) -> Block {
        let envelope = self.notice.envelope;
        let subject = envelope.summary.subject.clone().filter(|subject| !subject.trim().is_empty());
        let subject = subject.unwrap_or_else(|| self.words.say(Key::NoSubject));
        let sent = when(self.words, envelope.lives_since());
        Block::Facts(vec![
            (self.words.say(Key::Subject), subject),
            (self.words.say(Key::Sent), sent),
        ])
    }

    /// What is the same for all recipients of a delay notice.
    fn still_tried(&self, blocks: &mut Vec<Block>) {
        let mut said = vec![self.words.say(Key::Warning)];
        if let Some(first) = self.notice.reports.first().filter(|_| self.same_end()) {
            said.push(self.time_left(first, self.notice.reports.iter().all(is_told)));
        }
        blocks.push(Block::Words(said.join(" ")));
    }

    /// The time of all recipients ends at once, as it does unless routes differ, and what is said of it is the same.
    fn same_end(&self) -> bool {
        let mut reports = self.notice.reports.windows(2);
        reports.all(|two| {
            two[0].until == two[1].until && two[0].waits.is_some() == two[1].waits.is_some()
        })
    }

    fn time_left(&self, report: &Report<'_>, told: bool) -> String {
        let span = left(self.words, report.until.since(self.notice.now));
        let key = if report.waits.is_some() { Key::HeldUntil } else { Key::KeepsTrying };
        let left = self.words.fill(key, &[("span", &span)]);
        if told { format!("{left} {}", self.words.say(Key::ToldAtEnd)) } else { left }
    }

    /// What each recipient, or several of which the same is to be said, has met.
    fn obstacles(&self, blocks: &mut Vec<Block>, say: impl Fn(&Report<'a>) -> Vec<Block>) {
        let reports = self.notice.reports.iter();
        let all = reports.map(|report| (self.address(report.recipient), say(report)));
        let (groups, rest) = groups(all);
        let several = groups.len() > 1;
        for group in groups {
            if several {
                blocks.push(Block::Group(group.addresses));
            }
            blocks.extend(group.said);
        }
        if !rest.is_empty() {
            blocks.push(Block::Group(rest));
            blocks.push(self.paragraph(Key::InTheReport));
        }
    }

    fn delay(&self, report: &Report<'a>) -> Vec<Block> {
        let mut blocks = Vec::new();
        if !self.same_end() {
            blocks.push(Block::Words(self.time_left(report, is_told(report))));
        }
        let why = self.obstacle(report);
        blocks.push(self.reason(Key::LabelWhy, &why));
        if report.waits.is_none() {
            blocks.extend(self.answer(report.cause()));
        }
        blocks.push(self.advice(report, &why, true));
        blocks
    }

    fn failure(&self, report: &Report<'a>) -> Vec<Block> {
        let mut blocks = Vec::new();
        if matches!(report.fault, Some(Fault::Expired)) {
            self.expired(report, &mut blocks);
        } else {
            let why = self.obstacle(report);
            blocks.push(self.reason(Key::LabelWhy, &why));
            blocks.extend(self.answer(report.cause()));
            blocks.push(self.advice(report, &why, false));
        }
        if let Some(remark) = report.remark {
            let label = self.words.say(Key::LabelRemark);
            blocks.insert(1, Block::Quote(label, vec![remark.to_owned()]));
        }
        blocks
    }

    /// The clock is never the reason: what stood in the way the longest is named, and what did at the end.
    fn expired(&self, report: &Report<'a>, blocks: &mut Vec<Block>) {
        let end = report.until.min(self.notice.now);
        let had = end.since(self.notice.envelope.lives_since());
        let span = took(self.words, had);
        blocks.push(Block::Words(if report.last.is_some() {
            self.words.count(Key::Expired, u64::from(report.attempts.max(1)), &[("span", &span)])
        } else {
            self.words.fill(Key::NeverTried, &[("span", &span)])
        }));
        let at_end = self.obstacle(report);
        if report.waits.is_some() {
            self.kept(report, (had, end), &at_end, blocks);
        } else {
            self.tried(report, (had, end), &at_end, blocks);
        }
        blocks.push(self.advice(report, &at_end, false));
    }

    /// It met obstacles to its end.
    fn tried(
        &self,
        report: &Report<'a>,
        (had, end): (Duration, Timestamp),
        at_end: &Why,
        blocks: &mut Vec<Block>,
    ) {
        let episodes = episodes(report);
        let longest = longest(&episodes, end).filter(|_| episodes.len() > 1);
        let last = report.cause();
        match longest {
            Some((fault, time)) if !last.is_some_and(|last| last.is_like(fault)) => {
                blocks.push(self.longest(time, had, &why(fault)));
                blocks.extend(self.answer(Some(fault)));
                blocks.push(self.reason(Key::LastObstacle, at_end));
            }
            Some((_, time)) => blocks.push(self.longest(time, had, at_end)),
            None if report.last.is_some() => blocks.push(self.reason(Key::LabelWhy, at_end)),
            None => {}
        }
        blocks.extend(self.answer(last));
    }

    /// Somebody's will kept it to its end, which is said first. What was met before is blamed for the time before, and where
    /// that ended is not known for none.
    fn kept(
        &self,
        report: &Report<'a>,
        (had, end): (Duration, Timestamp),
        at_end: &Why,
        blocks: &mut Vec<Block>,
    ) {
        let Some(since) = report.kept_since.map(|since| since.min(end)) else {
            blocks.push(self.reason(Key::LabelWhy, at_end));
            return;
        };
        let kept = end.since(since);
        match longest(&episodes(report), since) {
            Some((fault, time)) if time > kept => {
                blocks.push(self.reason(Key::LastObstacle, at_end));
                blocks.push(self.longest(time, had, &why(fault)));
                blocks.extend(self.answer(Some(fault)));
            }
            Some(_) => blocks.push(self.longest(kept, had, at_end)),
            None => blocks.push(self.reason(Key::LabelWhy, at_end)),
        }
    }

    fn longest(&self, time: Duration, all: Duration, why: &Why) -> Block {
        let key = if time * 2 > all { Key::LongestMost } else { Key::LongestSome };
        let span = took(self.words, time);
        let label = self.words.fill(key, &[("span", &span)]);
        Block::Labelled(label, self.words.fill(why.what(), &why.values()))
    }

    /// What stands in the way now, or did last.
    fn obstacle(&self, report: &Report<'_>) -> Why {
        match (report.waits, report.cause()) {
            (Some(reason), _) => waiting(reason),
            (None, Some(fault)) => why(fault),
            (None, None) => waiting(posthaste_evidence::WaitReason::InLine),
        }
    }

    fn reason(&self, label: Key, why: &Why) -> Block {
        Block::Labelled(self.words.say(label), self.words.fill(why.what(), &why.values()))
    }

    /// Nobody is asked to look at an address that he did not write.
    fn advice(&self, report: &Report<'_>, why: &Why, still_tried: bool) -> Block {
        let advice = match original(report.recipient).filter(|_| why.doubts_address()) {
            Some(original) => {
                let key = if still_tried { Key::WaitBehind } else { Key::ActBehind };
                self.words.fill(key, &[("original", &original)])
            }
            None => self.words.say(why.act(still_tried)),
        };
        Block::Labelled(self.words.say(Key::LabelAct), advice)
    }

    /// A peer's own words, where they are the obstacle.
    fn answer(&self, fault: Option<&Fault>) -> Option<Block> {
        match fault {
            Some(Fault::Reply { reply, .. }) => {
                Some(Block::Quote(self.words.say(Key::LabelAnswer), vec![reply.to_string()]))
            }
            _ => None,
        }
    }

    fn paragraph(&self, key: Key) -> Block {
        Block::Words(self.words.say(key))
    }

    /// That it is over for all recipients of a failure notice, and what comes back.
    fn final_word(&self, whole: bool) -> Block {
        let attached = if whole { Key::WholeAttached } else { Key::HeaderAttached };
        Block::Words(format!("{} {}", self.words.say(Key::NoFurther), self.words.say(attached)))
    }

    fn close(&self, blocks: &mut Vec<Block>) {
        let words = self.words;
        let hostname = [("hostname", self.notice.sender.hostname.as_str())];
        let closing = words.fill(Key::Closing, &hostname);
        if !closing.is_empty() {
            blocks.push(Block::Words(closing));
        }
        blocks.push(Block::Words(words.fill(Key::WrittenBy, &hostname)));
    }
}

/// The address that the sender wrote to, where it is another: that of an alias, or before a redirection, here or at a host
/// before (RFC 3461 section 4.2, RFC 6533 section 3). Only what is an address is shown.
pub(super) fn original(recipient: &Recipient) -> Option<String> {
    let given = Typed::read(recipient.orcpt.as_deref()?);
    let known = given.is("rfc822") || given.is("utf-8");
    let mailbox = Mailbox::parse(&given.value, true).ok().filter(|_| known)?;
    let same = mailbox.as_str().eq_ignore_ascii_case(recipient.mailbox.as_str());
    (!same).then(|| mailbox.to_string())
}

/// A failure would be told: NOTIFY may ask for delays and not for failures (RFC 3461 section 4.1).
fn is_told(report: &Report<'_>) -> bool {
    report.recipient.notify.is_none_or(|notify| notify.failure)
}
