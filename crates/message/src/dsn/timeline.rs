//! The course of a delivery: attempts that met the same obstacle, one after the other, are one episode.
//!
//! What of a long history was forgotten lay in the middle of an episode, so that beginnings and ends are right; numbers of
//! attempts are told only where all are remembered.

use super::keys::Key;
use super::language::Language;
use super::spans::{short_stamp, stamp};
use super::{Report, Tried, why};
use posthaste_evidence::Fault;
use posthaste_mail::Timestamp;
use std::time::Duration;

/// The most lines of a timeline, the one that tells of what was left out included.
const MAX_LINES: usize = 8;
/// Of these, the first so many are the oldest; the others are the latest.
const OLDEST: usize = 3;
/// The most attempts that are looked at, the latest.
const MAX_LOOKED_AT: usize = 500;
/// The most characters of a reply in a line.
const MAX_REPLY: usize = 160;

/// Attempts in a row that met the same obstacle.
#[derive(Debug)]
pub(super) struct Episode<'a> {
    pub(super) fault: &'a Fault,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    /// Attempts that are remembered of it.
    pub(super) seen: u32,
    host: Option<&'a str>,
}

/// The episodes, oldest first. A fault that ended it without an attempt is not among them.
pub(super) fn episodes<'a>(report: &Report<'a>) -> Vec<Episode<'a>> {
    let only = report.last.clone();
    let all: &[Tried<'a>] =
        if report.history.is_empty() { only.as_slice() } else { &report.history };
    let mut episodes: Vec<Episode<'a>> = Vec::new();
    for tried in &all[all.len().saturating_sub(MAX_LOOKED_AT)..] {
        let Some(fault) = tried.result.fault.as_ref() else { continue };
        match episodes.last_mut().filter(|episode| episode.fault.is_like(fault)) {
            Some(episode) => {
                episode.fault = fault;
                episode.last = tried.at;
                episode.seen += 1;
                episode.host = tried.host;
            }
            None => episodes.push(Episode {
                fault,
                first: tried.at,
                last: tried.at,
                seen: 1,
                host: tried.host,
            }),
        }
    }
    episodes
}

/// The obstacle that stood in the way the longest in all, and how long: each from when it was first met until another was, or
/// the end.
pub(super) fn longest<'a>(
    episodes: &[Episode<'a>],
    end: Timestamp,
) -> Option<(&'a Fault, Duration)> {
    let ends = episodes.iter().skip(1).map(|next| next.first).chain([end]);
    let mut sums: Vec<(&'a Fault, Duration)> = Vec::new();
    for (episode, end) in episodes.iter().zip(ends) {
        let time = end.since(episode.first);
        match sums.iter_mut().find(|(fault, _)| fault.is_like(episode.fault)) {
            Some((_, sum)) => *sum += time,
            None => sums.push((episode.fault, time)),
        }
    }
    // Of equals the first.
    sums.into_iter().rev().max_by_key(|(_, time)| *time)
}

/// A line for each episode; none when there was but one attempt.
pub(super) fn lines(words: &Language, report: &Report<'_>) -> Vec<String> {
    let episodes = episodes(report);
    let remembered: u32 = episodes.iter().map(|episode| episode.seen).sum();
    if report.attempts.max(remembered) < 2 {
        return Vec::new();
    }
    let count = |episode: &Episode<'_>| match episodes.as_slice() {
        [_] => Some(report.attempts.max(episode.seen)),
        _ => (remembered >= report.attempts).then_some(episode.seen),
    };
    let line = |episode: &Episode<'_>| line(words, episode, count(episode));
    if episodes.len() <= MAX_LINES {
        return episodes.iter().map(line).collect();
    }
    let newest = episodes.len() - (MAX_LINES - 1 - OLDEST);
    let mut lines: Vec<_> = episodes[..OLDEST].iter().map(line).collect();
    lines.push(words.count(Key::LeftOut, (newest - OLDEST) as u64, &[]));
    lines.extend(episodes[newest..].iter().map(line));
    lines
}

fn line(words: &Language, episode: &Episode<'_>, count: Option<u32>) -> String {
    let what = what(words, episode);
    let (from, to) = ends(episode);
    let span = [("from", from.as_str()), ("to", to.as_str()), ("what", what.as_str())];
    match count {
        _ if stamp(episode.first) == stamp(episode.last) => {
            words.fill(Key::Once, &[("at", &from), ("what", &what)])
        }
        Some(count) => words.count(Key::SpanCounted, u64::from(count), &span),
        None => words.fill(Key::Span, &span),
    }
}

/// From when to when, to the minute, or to the second where both are in one; the day once where it is one.
fn ends(episode: &Episode<'_>) -> (String, String) {
    let (from, to) = (episode.first.utc(), episode.last.utc());
    let start = short_stamp(episode.first);
    if (from.year, from.month, from.day) != (to.year, to.month, to.day) {
        return (start, short_stamp(episode.last));
    }
    let end = format!("{:02}:{:02}", to.hour, to.minute);
    let within = (from.hour, from.minute) == (to.hour, to.minute);
    if within && from.second != to.second {
        return (format!("{start}:{:02}", from.second), format!("{end}:{:02}", to.second));
    }
    (start, end)
}

/// A peer's own words where there are any; they say more than ours.
fn what(words: &Language, episode: &Episode<'_>) -> String {
    if let Fault::Reply { reply, .. } = episode.fault {
        let mut said = reply.to_string();
        if let Some((end, _)) = said.char_indices().nth(MAX_REPLY) {
            said.truncate(end);
            said.push_str("...");
        }
        return episode.host.map_or(said.clone(), |host| format!("{host}: {said}"));
    }
    let why = why(episode.fault);
    words.fill(why.what(), &why.values())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsn::Wordings;
    use posthaste_evidence::{ConnectFault, Outcome, RecipientResult, Stage};
    use posthaste_mail::{Mailbox, Recipient, Reply};

    const MINUTE: u64 = 60;

    fn busy(text: &str) -> Fault {
        Fault::Reply { stage: Stage::Banner, reply: Reply::new(421, None, text) }
    }

    fn silent() -> Fault {
        Fault::Connect(ConnectFault::TimedOut)
    }

    /// Minutes and faults to what is told of them.
    fn with<T>(tries: &[(u64, Fault)], attempts: u32, tell: impl Fn(&Report<'_>) -> T) -> T {
        let result = |fault: &Fault| RecipientResult {
            recipient: 0,
            outcome: Outcome::Deferred,
            reply: None,
            fault: Some(fault.clone()),
        };
        let results: Vec<_> = tries.iter().map(|(at, fault)| (*at, result(fault))).collect();
        let tried = |(at, result)| {
            let at = Timestamp::EPOCH.plus(Duration::from_secs(at * MINUTE));
            Tried { at, host: Some("mx"), address: None, result }
        };
        let history: Vec<_> = results.iter().map(|(at, result)| tried((at, result))).collect();
        let mailbox = Mailbox::parse("to@example.net", false).expect("valid");
        let recipient = Recipient { mailbox, orcpt: None, notify: None };
        tell(&Report {
            recipient: &recipient,
            fault: None,
            last: history.last().cloned(),
            attempts,
            history,
            until: Timestamp::EPOCH,
            remark: None,
            waits: None,
            kept_since: None,
        })
    }

    fn told(tries: &[(u64, Fault)], attempts: u32) -> Vec<String> {
        let wordings = Wordings::default();
        with(tries, attempts, |report| lines(wordings.chosen(b"", Some("en")), report))
    }

    #[test]
    fn attempts_that_met_the_same_are_one_line() {
        let tries = [(0, busy("1 of 7")), (15, busy("2 of 7")), (30, silent()), (1500, silent())];
        let silence = "This mail server could not reach the receiving mail server: no answer came.";
        assert_eq!(
            told(&tries, 4),
            [
                "1970-01-01 00:00 to 00:15, 2 attempts: mx: 421 2 of 7".to_owned(),
                format!("1970-01-01 00:30 to 1970-01-02 01:00, 2 attempts: {silence}"),
            ]
        );
        let forgotten = told(&tries, 40);
        assert_eq!(forgotten[0], "1970-01-01 00:00 to 00:15: mx: 421 2 of 7");
        let close = |seconds| Timestamp::EPOCH.plus(Duration::from_secs(seconds));
        let said = |first, last| {
            let (fault, host) = (&silent(), None);
            ends(&Episode { fault, first: close(first), last: close(last), seen: 2, host })
        };
        assert_eq!(said(5, 48), ("1970-01-01 00:00:05".into(), "00:00:48".into()));
        assert_eq!(said(5, 65), ("1970-01-01 00:00".into(), "00:01".into()));
        assert_eq!(told(&tries[..1], 1), Vec::<String>::new(), "one attempt is told elsewhere");
        assert_eq!(
            told(&tries[2..], 9),
            [format!("1970-01-01 00:30 to 1970-01-02 01:00, 9 attempts: {silence}")]
        );
    }

    #[test]
    fn a_restless_history_keeps_its_beginning_and_its_end() {
        let tries: Vec<_> =
            (0..40).map(|i| (i, if i % 2 == 0 { busy("x") } else { silent() })).collect();
        let lines = told(&tries, 40);
        assert_eq!(lines.len(), MAX_LINES);
        assert!(lines[0].starts_with("1970-01-01 00:00: "), "{lines:#?}");
        assert_eq!(lines[3], "(33 more obstacles in between)");
        assert!(lines[7].starts_with("1970-01-01 00:39: "), "{lines:#?}");
        let long = told(&[(0, busy(&"ä".repeat(600))), (1, silent())], 2);
        assert!(long[0].ends_with("ä...") && long[0].chars().count() < 200, "{}", long[0]);
    }

    #[test]
    fn what_blocked_the_longest_is_summed_over_its_episodes() {
        let end = Timestamp::EPOCH.plus(Duration::from_secs(100 * MINUTE));
        let longest_of = |tries: &[(u64, Fault)]| {
            with(tries, 9, |report| {
                longest(&episodes(report), end).map(|(fault, time)| (fault.clone(), time))
            })
        };
        let tries = [(0, busy("a")), (30, silent()), (70, busy("b"))];
        let hour = Duration::from_secs(60 * MINUTE);
        assert_eq!(longest_of(&tries), Some((busy("a"), hour)));
        let tries = [(0, busy("a")), (50, silent())];
        assert_eq!(longest_of(&tries).map(|(fault, _)| fault), Some(busy("a")), "the first");
        assert_eq!(longest_of(&[]), None);
    }
}
