//! Times and spans of time as people read them, in one language.

use super::keys::Key;
use super::language::Language;
use posthaste_mail::Timestamp;
use std::time::Duration;

const HOUR: u64 = 60;
const DAY: u64 = 24 * HOUR;

/// For a person: `21 November 2026 at 06:53 UTC`.
pub(super) fn when(words: &Language, at: Timestamp) -> String {
    let t = at.utc();
    let (day, year) = (t.day.to_string(), t.year.to_string());
    let (hour, minute) = (format!("{:02}", t.hour), format!("{:02}", t.minute));
    let month = words.month(usize::from(t.month));
    let values: [(&str, &str); 5] =
        [("day", &day), ("month", month), ("year", &year), ("hour", &hour), ("minute", &minute)];
    words.fill(Key::When, &values)
}

/// For an administrator, the same in every language: `2026-11-21 06:53:04 UTC`.
pub(super) fn stamp(at: Timestamp) -> String {
    let t = at.utc();
    format!("{} {:02}:{:02}:{:02} UTC", date(at), t.hour, t.minute, t.second)
}

/// The same to the minute, without a zone.
pub(super) fn short_stamp(at: Timestamp) -> String {
    let t = at.utc();
    format!("{} {:02}:{:02}", date(at), t.hour, t.minute)
}

fn date(at: Timestamp) -> String {
    let t = at.utc();
    format!("{:04}-{:02}-{:02}", t.year, t.month, t.day)
}

/// What is left, to the nearest minute, without units that are zero in front: `1 day, 20 hours and 0 minutes`.
pub(super) fn left(words: &Language, time: Duration) -> String {
    let minutes = minutes(time);
    match minutes {
        0 => words.say(Key::SpanNone),
        DAY.. => {
            joined(words, &[days(words, minutes), hours(words, minutes), rest(words, minutes)])
        }
        HOUR.. => joined(words, &[hours(words, minutes), rest(words, minutes)]),
        _ => rest(words, minutes),
    }
}

/// How long something took, to the nearest minute, without units that are zero: `2 days and 4 minutes`.
pub(super) fn took(words: &Language, time: Duration) -> String {
    let minutes = minutes(time);
    let mut parts = Vec::new();
    if minutes >= DAY {
        parts.push(days(words, minutes));
    }
    if minutes % DAY >= HOUR {
        parts.push(hours(words, minutes));
    }
    if !minutes.is_multiple_of(HOUR) {
        parts.push(rest(words, minutes));
    }
    if parts.is_empty() { words.say(Key::SpanBrief) } else { joined(words, &parts) }
}

/// The nearest number of whole minutes.
const fn minutes(time: Duration) -> u64 {
    (time.as_secs() + 30) / 60
}

fn days(words: &Language, minutes: u64) -> String {
    words.count(Key::Days, minutes / DAY, &[])
}

fn hours(words: &Language, minutes: u64) -> String {
    words.count(Key::Hours, minutes % DAY / HOUR, &[])
}

fn rest(words: &Language, minutes: u64) -> String {
    words.count(Key::Minutes, minutes % HOUR, &[])
}

fn joined(words: &Language, parts: &[String]) -> String {
    match parts {
        [first, second, third] => {
            words.fill(Key::SpanThree, &[("first", first), ("second", second), ("third", third)])
        }
        [first, second] => words.fill(Key::SpanTwo, &[("first", first), ("second", second)]),
        parts => parts.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsn::Wordings;

    #[test]
    fn spans_are_right_to_the_minute() {
        let wordings = Wordings::default();
        let english = wordings.chosen(b"", Some("en"));
        let german = wordings.chosen(b"", Some("de"));
        // (seconds, what is left, how long it took, what is left in German)
        for (seconds, expected, short, deutsch) in [
            (0, "minute or less", "less than a minute", "weniger als eine Minute"),
            (29, "minute or less", "less than a minute", "weniger als eine Minute"),
            (30, "1 minute", "1 minute", "1 Minute"),
            (3569, "59 minutes", "59 minutes", "59 Minuten"),
            (3570, "1 hour and 0 minutes", "1 hour", "1 Stunde und 0 Minuten"),
            (7260, "2 hours and 1 minute", "2 hours and 1 minute", "2 Stunden und 1 Minute"),
            (
                158_400,
                "1 day, 20 hours and 0 minutes",
                "1 day and 20 hours",
                "1 Tag, 20 Stunden und 0 Minuten",
            ),
            (
                172_860,
                "2 days, 0 hours and 1 minute",
                "2 days and 1 minute",
                "2 Tage, 0 Stunden und 1 Minute",
            ),
            (
                90_060,
                "1 day, 1 hour and 1 minute",
                "1 day, 1 hour and 1 minute",
                "1 Tag, 1 Stunde und 1 Minute",
            ),
        ] {
            let time = Duration::from_secs(seconds);
            assert_eq!(left(english, time), expected);
            assert_eq!(took(english, time), short);
            assert_eq!(left(german, time), deutsch);
        }
    }

    #[test]
    fn times_are_in_utc_and_say_so() {
        let wordings = Wordings::default();
        let at = Timestamp::from_secs(1_795_243_984);
        let said = |tag| when(wordings.chosen(b"", Some(tag)), at);
        assert_eq!(said("en"), "21 November 2026 at 06:53 UTC");
        assert_eq!(said("de"), "21. November 2026, 06:53 Uhr (UTC)");
        assert_eq!(stamp(at), "2026-11-21 06:53:04 UTC");
        assert_eq!(short_stamp(at), "2026-11-21 06:53");
    }
}
