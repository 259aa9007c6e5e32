//! Dates of header fields read (RFC 5322 sections 3.3 and 4.3), tolerant of what real mail contains. Pure arithmetic: no
//! clock, no table of time zones.
//!
//! Not here: writing them (`Timestamp::rfc5322`).

use posthaste_mail::Timestamp;

/// The most octets of a date that are looked at.
const MAX_DATE: usize = 128;
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
/// RFC 5322 section 4.3: the only names of zones that mean the same everywhere.
const ZONES: [(&str, i64); 12] = [
    ("ut", 0),
    ("utc", 0),
    ("gmt", 0),
    ("z", 0),
    ("est", -5),
    ("edt", -4),
    ("cst", -6),
    ("cdt", -5),
    ("mst", -7),
    ("mdt", -6),
    ("pst", -8),
    ("pdt", -7),
];

/// The moment that a date means: `Thu, 29 Apr 1999 23:34:45 -0500 (CDT)`, also without day of the week or seconds, with
/// two-digit years, and in the order of `asctime`. A zone that cannot be read is taken for UTC, as RFC 5322 says. `None`
/// for anything else, and for what is no date.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    let text = &text[..text.floor_char_boundary(MAX_DATE)];
    let text = text.split('(').next().unwrap_or(text);
    let words: Vec<&str> = text.split([' ', '\t', ',']).filter(|word| !word.is_empty()).collect();
    let month = words.iter().position(|word| month(word).is_some())?;
    let before = month.checked_sub(1).and_then(|at| number(words[at], 2));
    let (day, rest) = match before {
        Some(day) => (day, &words[month + 1..]),
        // `Sat Nov 21 06:53:04 2026`
        None => (number(words.get(month + 1)?, 2)?, &words[month + 2..]),
    };
    let clock = rest.iter().position(|word| word.contains(':'))?;
    let seconds = seconds(rest[clock])?;
    let years = rest.iter().enumerate().filter(|&(at, _)| at != clock);
    let (at, year) = years.into_iter().find_map(|(at, word)| Some((at, year(word)?)))?;
    let zones = rest.iter().enumerate().filter(|&(i, _)| i != clock && i != at);
    let offset = zones.into_iter().find_map(|(_, word)| zone(word)).unwrap_or(0);
    let days = days(year, month_number(words[month])?, day)?;
    Some(Timestamp::from_secs(days * 86_400 + seconds - offset))
}

fn month(word: &str) -> Option<&str> {
    month_number(word).map(|_| word)
}

/// Also written out.
fn month_number(word: &str) -> Option<i64> {
    let start = word.get(..3)?;
    let at = MONTHS.iter().position(|month| start.eq_ignore_ascii_case(month))?;
    word.bytes()
        .all(|b| b.is_ascii_alphabetic() || b == b'.')
        .then_some(i64::try_from(at).ok()? + 1)
}

fn number(word: &str, digits: usize) -> Option<i64> {
    let fine = (1..=digits).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit());
    if fine { word.parse().ok() } else { None }
}

/// RFC 5322 section 4.3 for those of two and three digits.
fn year(word: &str) -> Option<i64> {
    let year = number(word, 4)?;
    match word.len() {
        4 if year >= 1900 => Some(year),
        3 => Some(1900 + year),
        2 if year < 50 => Some(2000 + year),
        2 => Some(1900 + year),
        _ => None,
    }
}

fn seconds(word: &str) -> Option<i64> {
    let mut parts = word.split(':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    // Exchange writes fractions.
    let second = parts.next().map_or(Some(0), |s| number(s.split('.').next().unwrap_or(s), 2))?;
    let fine = hour < 24 && minute < 60 && second <= 60 && parts.next().is_none();
    fine.then_some(hour * 3600 + minute * 60 + second)
}

/// Seconds east of Greenwich.
fn zone(word: &str) -> Option<i64> {
    if let Some((_, hours)) = ZONES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
        return Some(hours * 3600);
    }
    let sign = match word.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = number(&word[1..], 4).filter(|_| word.len() == 5)?;
    Some(sign * (digits / 100 * 3600 + digits % 100 * 60))
}

/// Days since 1970 in the Gregorian calendar; `None` for a day that no month has.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // A year that begins in March has its odd day at its end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_as_real_mail_has_them() {
        for (text, expected) in [
            ("Sat, 21 Nov 2026 06:53:04 +0000", "2026-11-21T06:53:04.000Z"),
            ("Thu, 29 Apr 1999 23:34:45 -0500 (CDT)", "1999-04-30T04:34:45.000Z"),
            ("29 Apr 99 23:34 EST", "1999-04-30T04:34:00.000Z"),
            ("Thu, 29 Feb 2024 00:00:60 +0530", "2024-02-28T18:31:00.000Z"),
            ("Sat Nov 21 06:53:04 2026", "2026-11-21T06:53:04.000Z"),
            ("Thu,1 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00.000Z"),
            ("Wed, 31 Dec 1969 23:59:59 Nowhere", "1969-12-31T23:59:59.000Z"),
            ("29 Apr 2015 23:34:45.6789 +0900 (JST)", "2015-04-29T14:34:45.000Z"),
            ("Fri, 30 January 2015 21:28:58 -0800", "2015-01-31T05:28:58.000Z"),
        ] {
            assert_eq!(parse(text).map(Timestamp::rfc3339).as_deref(), Some(expected), "{text}");
        }
        for bad in ["", "yesterday", "30 Feb 2026 00:00:00 +0000", "1 Jan 2026", "99 Jan 2026 1:1"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_we_write_is_read() {
        for second in (-2_000_000_000..4_000_000_000).step_by(86_399 * 31) {
            let at = Timestamp::from_secs(second);
            assert_eq!(parse(&at.rfc5322()), Some(at));
        }
    }
}
