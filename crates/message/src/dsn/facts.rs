//! The part of a notice for administrators: servers, attempts, the last real reply, the course of the delivery, the header.

use super::groups::groups;
use super::keys::Key;
use super::language::Language;
use super::letter::{Block, original};
use super::ours::status;
use super::spans::stamp;
use super::{Kind, Notice, Report, Tried, timeline};
use crate::header::printable;

/// The most octets of the original's header that people are shown; machines get more.
const MAX_SHOWN_HEADER: usize = 8 * 1024;

/// The message, then each recipient, or those of which the same is to be told.
pub(super) fn facts(notice: &Notice<'_>, words: &Language) -> Vec<Block> {
    let mut blocks = vec![Block::Facts(message(notice, words))];
    let reports = notice.reports.iter();
    let all = reports
        .map(|report| (report.recipient.mailbox.to_string(), recipient(notice, words, report)));
    let (groups, rest) = groups(all);
    let label = |addresses: Vec<String>| (words.say(Key::LabelRecipient), addresses.join(", "));
    for mut group in groups {
        if let Some(Block::Facts(facts)) = group.said.first_mut() {
            facts.insert(0, label(group.addresses));
        }
        blocks.extend(group.said);
    }
    if !rest.is_empty() {
        blocks.push(Block::Facts(vec![label(rest)]));
        blocks.push(Block::Words(words.say(Key::InTheReport)));
    }
    blocks
}

/// The lines of the header section that are shown.
pub(super) fn header_lines(header: &[u8]) -> Vec<String> {
    let shown = &header[..header.len().min(MAX_SHOWN_HEADER)];
    let cut = shown.len() < header.len();
    let end = if cut { memchr::memrchr(b'\n', shown).map_or(0, |lf| lf + 1) } else { shown.len() };
    let text = String::from_utf8_lossy(&shown[..end]);
    let mut lines: Vec<_> = text.lines().map(|line| printable(line.to_owned())).collect();
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    if cut {
        lines.push("[...]".to_owned());
    }
    lines
}

fn message(notice: &Notice<'_>, words: &Language) -> Vec<(String, String)> {
    let envelope = notice.envelope;
    let mut facts = vec![
        (words.say(Key::LabelServer), notice.sender.hostname.clone()),
        (words.say(Key::LabelQueueId), envelope.id.to_string()),
    ];
    if let Some(id) = &envelope.summary.message_id {
        facts.push((words.say(Key::LabelMessageId), id.clone()));
    }
    if let Some(id) = &envelope.envid {
        facts.push((words.say(Key::LabelEnvelopeId), id.clone()));
    }
    facts.push((words.say(Key::LabelArrived), stamp(envelope.lives_since())));
    facts
}

fn recipient(notice: &Notice<'_>, words: &Language, report: &Report<'_>) -> Vec<Block> {
    let bad = matches!(notice.kind, Kind::Failed | Kind::Delayed);
    let mut facts = Vec::new();
    if let Some(original) = original(report.recipient) {
        facts.push((words.say(Key::LabelOriginal), original));
    }
    if bad {
        facts.push((words.say(Key::LabelStatus), status(notice.kind, report).to_string()));
    }
    if let Some(last) = &report.last {
        let server = server(last).unwrap_or_else(|| words.say(Key::NoServer));
        facts.push((words.say(Key::LabelReceiving), server));
    }
    facts.push((words.say(Key::LabelAttempts), report.attempts.to_string()));
    if let Some(last) = &report.last {
        facts.push((words.say(Key::LabelLastAttempt), stamp(last.at)));
    }
    if notice.kind == Kind::Delayed {
        facts.push((words.say(Key::LabelExpires), stamp(report.until)));
    }
    let mut blocks = vec![Block::Facts(facts)];
    if let Some(reply) = last_reply(report) {
        blocks.push(Block::Quote(words.say(Key::LabelLastReply), vec![reply]));
    }
    let history = timeline::lines(words, report);
    if !history.is_empty() {
        blocks.push(Block::Lines(words.say(Key::LabelHistory), history));
    }
    blocks
}

/// `mail.example.net (192.0.2.25)`
fn server(tried: &Tried<'_>) -> Option<String> {
    let address = tried.address.map(|address| address.to_string());
    match (tried.host, address) {
        (Some(host), Some(address)) if host != address => Some(format!("{host} ({address})")),
        (Some(host), _) => Some(host.to_owned()),
        (None, address) => address,
    }
}

/// The last reply of any host, though attempts after it may have met something else.
fn last_reply(report: &Report<'_>) -> Option<String> {
    let all = report.last.iter().chain(report.history.iter().rev());
    all.filter_map(|tried| {
        let reply = tried.result.reply.as_ref()?;
        let host = tried.host.map_or_else(String::new, |host| format!(", {host}"));
        Some(format!("{}{host}: {reply}", stamp(tried.at)))
    })
    .next()
}
