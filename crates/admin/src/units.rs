//! Durations and sizes as people write them: `30s`, `5 min`, `1d 12h`; `36MB`, `256KiB`.
//!
//! One grammar for the configuration file, the filters and the command line. Not here: times of day (`jiff`).

use std::fmt::Write as _;
use std::time::Duration;

/// The longest duration that can be written: 100 years, beyond every clock arithmetic of ours.
pub const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 86_400);
/// The largest size that can be written, octets: 1 EB, far beyond every disk.
pub const MAX_SIZE: u64 = 1_000_000_000_000_000_000;
/// The most parts of a compound duration such as `1d 12h`.
const MAX_PARTS: usize = 6;

/// Names of a unit and its length in microseconds; the first name is the one printed.
const TIMES: [(&[&str], u64); 6] = [
    (&["d", "day", "days"], 86_400_000_000),
    (&["h", "hour", "hours"], 3_600_000_000),
    (&["min", "m", "minute", "minutes"], 60_000_000),
    (&["s", "sec", "second", "seconds"], 1_000_000),
    (&["ms"], 1000),
    (&["us"], 1),
];

/// Names of a unit of size and its octets. Decimal and binary units are kept apart, as IEC 80000-13 does.
const SIZES: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1000),
    ("KB", 1000),
    ("B", 1),
];

/// The text is no duration or no size; whoever wrote it must correct it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnitError {
    /// It does not begin with a number.
    #[error("`{0}` does not begin with a number")]
    NoNumber(String),
    /// The number has no unit.
    #[error("`{text}` has no unit; write for example `{text}{example}`")]
    NoUnit {
        /// What was written.
        text: String,
        /// A unit that would do.
        example: &'static str,
    },
    /// The unit is not one of ours.
    #[error("unknown unit `{unit}`; units are {allowed}")]
    UnknownUnit {
        /// What was written.
        unit: String,
        /// What can be written.
        allowed: &'static str,
    },
    /// Beyond [`MAX_DURATION`] or [`MAX_SIZE`].
    #[error("`{0}` is too large")]
    TooLarge(String),
    /// More parts than a person would write.
    #[error("`{0}` has too many parts")]
    TooManyParts(String),
}

const TIME_UNITS: &str = "us, ms, s, min, h and d";
const SIZE_UNITS: &str = "B, kB, KiB, MB, MiB, GB, GiB, TB and TiB";

/// Reads a duration: one or more numbers with units, e.g. `30s`, `5 min`, `1.5h`, `1d 12h`. A bare `0` is none.
///
/// # Errors
/// [`UnitError`] says what is wrong with it.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut micros: u64 = 0;
    for _ in 0..MAX_PARTS {
        let (number, after) = split_number(rest, text)?;
        let (unit, after) = split_unit(after);
        if unit.is_empty() {
            return Err(UnitError::NoUnit { text: text.trim().to_owned(), example: "s" });
        }
        let scale = TIMES.iter().find(|(names, _)| names.contains(&unit)).map(|(_, s)| *s);
        let scale = scale.ok_or_else(|| unknown(unit, TIME_UNITS))?;
        micros = scaled(number, scale)
            .and_then(|part| micros.checked_add(part))
            .filter(|&sum| Duration::from_micros(sum) <= MAX_DURATION)
            .ok_or_else(|| UnitError::TooLarge(text.to_owned()))?;
        rest = after.trim_start();
        if rest.is_empty() {
            return Ok(Duration::from_micros(micros));
        }
    }
    Err(UnitError::TooManyParts(text.to_owned()))
}

/// Reads a size: a number and a unit, e.g. `36MB`, `256 KiB`; octets when the unit is absent.
///
/// # Errors
/// [`UnitError`] says what is wrong with it.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let (number, after) = split_number(text.trim(), text)?;
    let unit = after.trim();
    let scale = match unit {
        "" => 1,
        _ => SIZES
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, octets)| *octets)
            .ok_or_else(|| unknown(unit, SIZE_UNITS))?,
    };
    scaled(number, scale)
        .filter(|&octets| octets <= MAX_SIZE)
        .ok_or_else(|| UnitError::TooLarge(text.to_owned()))
}

/// A duration as [`parse_duration`] reads it, exact to the microsecond: `5 min`, `1d 12h`, `0s`.
#[must_use]
pub fn print_duration(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (names, scale) in TIMES {
        let count = left / scale;
        left %= scale;
        if count > 0 {
            let gap = if text.is_empty() { "" } else { " " };
            let inner = if names[0] == "min" { " " } else { "" };
            let _ = write!(text, "{gap}{count}{inner}{}", names[0]);
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A time that was waited, to the millisecond; a shorter one as it is: `406ms`, `3s`.
#[must_use]
pub(crate) fn print_waited(waited: Duration) -> String {
    let millis = (waited.as_micros() + 500) / 1000;
    let rounded = u64::try_from(millis).map_or(Duration::MAX, Duration::from_millis);
    print_duration(if rounded.is_zero() { waited } else { rounded })
}

/// A duration for a table: its one or two leading units, e.g. `3d 4h`, `12 min`, `8s`; `0s` below a second.
#[must_use]
pub fn print_rough(duration: Duration) -> String {
    let mut left = duration.as_secs();
    let mut parts = Vec::new();
    for (name, seconds) in [("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)] {
        if left >= seconds || (!parts.is_empty() && parts.len() < 2) {
            parts.push((left / seconds, name));
            left %= seconds;
        }
        if parts.len() == 2 {
            break;
        }
    }
    let texts: Vec<String> =
        parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if texts.is_empty() { "0s".to_owned() } else { texts.join(" ") }
}

/// A size as [`parse_size`] reads it, exact: the largest unit that divides it.
#[must_use]
pub fn print_size(octets: u64) -> String {
    let unit = SIZES.iter().find(|(_, scale)| octets >= *scale && octets.is_multiple_of(*scale));
    match unit {
        Some((name, scale)) => format!("{}{name}", octets / scale),
        None => format!("{octets}B"),
    }
}

/// A size for a table: at most three digits and a decimal unit, e.g. `4.2kB`, `36MB`.
#[must_use]
pub fn print_rough_size(octets: u64) -> String {
    let scales =
        [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
    match scales.into_iter().find(|(_, scale)| octets >= *scale) {
        Some((name, scale)) if octets / scale < 10 => {
            format!("{}.{}{name}", octets / scale, octets % scale * 10 / scale)
        }
        Some((name, scale)) => format!("{}{name}", octets / scale),
        None => format!("{octets}B"),
    }
}

fn unknown(unit: &str, allowed: &'static str) -> UnitError {
    UnitError::UnknownUnit { unit: unit.to_owned(), allowed }
}

/// A decimal number as thousandths, so that `1.5h` is exact without floating point.
fn split_number<'t>(rest: &'t str, whole: &str) -> Result<(u128, &'t str), UnitError> {
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    let (integer, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if integer.is_empty() || fraction.contains('.') {
        return Err(UnitError::NoNumber(whole.to_owned()));
    }
    let thousandths: u128 = format!("{fraction:0<3.3}").parse().unwrap_or(0);
    let number = integer
        .parse::<u128>()
        .ok()
        .and_then(|n| n.checked_mul(1000)?.checked_add(thousandths))
        .ok_or_else(|| UnitError::TooLarge(whole.to_owned()))?;
    Ok((number, after))
}

fn split_unit(rest: &str) -> (&str, &str) {
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    rest.split_at(end)
}

fn scaled(thousandths: u128, scale: u64) -> Option<u64> {
    u64::try_from(thousandths.checked_mul(u128::from(scale))? / 1000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, micros) in [
            ("30s", 30_000_000),
            ("5 min", 300_000_000),
            ("5m", 300_000_000),
            ("4h", 14_400_000_000),
            ("2d", 172_800_000_000),
            ("2 days", 172_800_000_000),
            ("1.5h", 5_400_000_000),
            ("1d 12h", 129_600_000_000),
            ("250ms", 250_000),
            ("0.4 ms", 400),
            ("0", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_micros(micros)), "{text}");
        }
    }

    #[test]
    fn wrong_durations_say_why() {
        for (text, why) in [
            ("", "`` does not begin with a number"),
            ("soon", "`soon` does not begin with a number"),
            ("30", "`30` has no unit; write for example `30s`"),
            ("30 sek", "unknown unit `sek`; units are us, ms, s, min, h and d"),
            ("1d 5", "`1d 5` has no unit; write for example `1d 5s`"),
            ("1000000d", "`1000000d` is too large"),
            ("99999999999999999999s", "`99999999999999999999s` is too large"),
            ("1.2.3s", "`1.2.3s` does not begin with a number"),
            ("1s 1s 1s 1s 1s 1s 1s", "`1s 1s 1s 1s 1s 1s 1s` has too many parts"),
        ] {
            assert_eq!(parse_duration(text).unwrap_err().to_string(), why, "{text}");
        }
    }

    #[test]
    fn sizes_keep_decimal_and_binary_units_apart() {
        for (text, octets) in [
            ("36MB", 36_000_000),
            ("256KiB", 262_144),
            ("256 KiB", 262_144),
            ("1.5MB", 1_500_000),
            ("1kB", 1000),
            ("10", 10),
            ("10B", 10),
        ] {
            assert_eq!(parse_size(text), Ok(octets), "{text}");
        }
        assert_eq!(
            parse_size("36mb").unwrap_err().to_string(),
            "unknown unit `mb`; units are B, kB, KiB, MB, MiB, GB, GiB, TB and TiB"
        );
        assert_eq!(parse_size("5000000TB"), Err(UnitError::TooLarge("5000000TB".into())));
    }

    #[test]
    fn tables_show_the_leading_units() {
        for (seconds, text) in
            [(0, "0s"), (8, "8s"), (60, "1min"), (61, "1min 1s"), (90_061, "1d 1h"), (86_400, "1d")]
        {
            assert_eq!(print_rough(Duration::from_secs(seconds)), text);
        }
        for (octets, text) in
            [(0, "0B"), (999, "999B"), (4200, "4.2kB"), (36_000_000, "36MB"), (1_250_000, "1.2MB")]
        {
            assert_eq!(print_rough_size(octets), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(micros in 0..100 * 365 * 86_400_000_000u64, octets in 0..=MAX_SIZE) {
            let duration = Duration::from_micros(micros);
            prop_assert_eq!(parse_duration(&print_duration(duration)), Ok(duration));
            prop_assert_eq!(parse_size(&print_size(octets)), Ok(octets));
        }

        #[test]
        fn no_text_is_too_odd(text in ".{0,40}") {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
        }
    }
}
