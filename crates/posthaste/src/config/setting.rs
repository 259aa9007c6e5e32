//! How one value is read from TOML and shown again. Each kind says what it expected.
//!
//! Not here: names and defaults (`file`).

use super::complain::nearest;
use posthaste_admin::units::{parse_duration, parse_size, print_duration, print_size};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// The most elements of a list in the file.
const MAX_LIST: usize = 10_000;

/// What is wrong with a value, and where.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) span: Range<usize>,
    pub(crate) what: String,
}

/// A kind of value.
pub(crate) trait Setting: Sized {
    /// Reads it.
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong>;
    /// Shows it as TOML that reads as the same value.
    fn show(&self) -> String;
}

/// A kind of value that is one of a few words.
pub(crate) trait Word: Copy + PartialEq + 'static {
    /// Every word and what it stands for.
    const WORDS: &'static [(&'static str, Self)];
    /// Words of earlier versions, each with the one that stands for it now.
    const RENAMED: &'static [(&'static str, &'static str)] = &[];
}

/// A kind of value that is written as a string with a form of its own.
pub(crate) trait Text: Sized {
    /// What may be written, e.g. `an address and port such as "127.0.0.1:2525"`.
    const EXPECTED: &'static str;
    /// Reads it; the error says what is wrong, without repeating the text.
    fn from_text(text: &str) -> Result<Self, String>;
    /// Writes it.
    fn to_text(&self) -> String;
}

/// Sizes in octets, to keep them apart from counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Size(pub(crate) u64);

/// A share or factor.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
pub(crate) struct Ratio(pub(crate) f64);

/// Reads one of a few words.
pub(crate) fn read_word<W: Word>(value: &Spanned<DeValue<'_>>) -> Result<W, Wrong> {
    let words = W::WORDS.iter().map(|(name, _)| *name);
    let allowed = || words.clone().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(" or ");
    let text = string(value, &allowed())?;
    if let Some((_, word)) = W::WORDS.iter().find(|(name, _)| *name == text) {
        return Ok(*word);
    }
    if let Some((_, now)) = W::RENAMED.iter().find(|(old, _)| *old == text) {
        return Err(wrong(value, format!("\"{text}\" is written \"{now}\" now")));
    }
    let hint = nearest(text, words.clone()).map_or_else(
        || format!("allowed: {}", allowed()),
        |near| format!("did you mean \"{near}\"?"),
    );
    Err(wrong(value, format!("\"{text}\" is not allowed; {hint}")))
}

/// Shows one of a few words.
pub(crate) fn show_word<W: Word>(word: W) -> String {
    let name = W::WORDS.iter().find(|(_, w)| *w == word).map_or("", |(name, _)| *name);
    quote(name)
}

/// A TOML basic string.
pub(crate) fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// An error at a value.
pub(crate) fn wrong(value: &Spanned<DeValue<'_>>, what: impl Into<String>) -> Wrong {
    Wrong { span: value.span(), what: what.into() }
}

/// An error at a value of another type.
pub(crate) fn wrong_type(value: &Spanned<DeValue<'_>>, expected: &str) -> Wrong {
    wrong(value, format!("expected {expected}, found {}", article(value.get_ref().type_str())))
}

/// The text of a string value.
pub(crate) fn string<'v>(
    value: &'v Spanned<DeValue<'_>>,
    expected: &str,
) -> Result<&'v str, Wrong> {
    value.get_ref().as_str().ok_or_else(|| wrong_type(value, expected))
}

/// The kind of a TOML value with its article.
pub(crate) fn article(kind: &str) -> String {
    match kind {
        "integer" | "array" => format!("an {kind}"),
        "datetime" => "a date".to_owned(),
        _ => format!("a {kind}"),
    }
}

impl<T: Text> Setting for T {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        let text = string(value, T::EXPECTED)?;
        T::from_text(text).map_err(|why| wrong(value, format!("{why}; expected {}", T::EXPECTED)))
    }

    fn show(&self) -> String {
        quote(&self.to_text())
    }
}

impl Text for String {
    const EXPECTED: &'static str = "a string";

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("the string is empty".to_owned()) } else { Ok(text.to_owned()) }
    }

    fn to_text(&self) -> String {
        self.clone()
    }
}

impl Text for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("the path is empty".to_owned()) } else { Ok(Self::from(text)) }
    }

    fn to_text(&self) -> String {
        self.display().to_string()
    }
}

impl Text for Duration {
    const EXPECTED: &'static str = "a duration such as \"30s\", \"5 min\" or \"2d\"";

    fn from_text(text: &str) -> Result<Self, String> {
        parse_duration(text).map_err(|e| e.to_string())
    }

    fn to_text(&self) -> String {
        print_duration(*self)
    }
}

impl Text for SocketAddr {
    const EXPECTED: &'static str =
        "an address and port such as \"127.0.0.1:2525\" or \"[::1]:2525\"";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("\"{text}\" is not an address and port"))
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

impl Text for IpAddr {
    const EXPECTED: &'static str = "an address such as \"192.0.2.1\" or \"2001:db8::1\"";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("\"{text}\" is not an address"))
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

impl Setting for Size {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        const EXPECTED: &str = "a size such as \"36MB\" or \"256KiB\"";
        if value.get_ref().is_integer() {
            return integer(value, EXPECTED).map(Self);
        }
        let text = string(value, EXPECTED)?;
        parse_size(text).map(Self).map_err(|e| wrong(value, format!("{e}; expected {EXPECTED}")))
    }

    fn show(&self) -> String {
        quote(&print_size(self.0))
    }
}

impl Setting for u64 {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        integer(value, "a whole number")
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for u32 {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        let number = integer(value, "a whole number")?;
        Self::try_from(number).map_err(|_| wrong(value, format!("{number} is too large")))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for u16 {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        let number = integer(value, "a whole number")?;
        Self::try_from(number).map_err(|_| wrong(value, format!("{number} is too large")))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for Ratio {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        const EXPECTED: &str = "a number such as 0.2";
        let text = match value.get_ref() {
            DeValue::Float(float) => float.as_str().to_owned(),
            DeValue::Integer(integer) => integer.to_string(),
            _ => return Err(wrong_type(value, EXPECTED)),
        };
        let number: Option<f64> =
            text.replace('_', "").parse().ok().filter(|n: &f64| n.is_finite());
        number.map(Self).ok_or_else(|| wrong(value, format!("{text} is not {EXPECTED}")))
    }

    fn show(&self) -> String {
        format!("{:?}", self.0)
    }
}

impl Setting for bool {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        value.get_ref().as_bool().ok_or_else(|| wrong_type(value, "true or false"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// A list; one string alone is the list of it.
impl<T: Setting> Setting for Vec<T> {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        let array = match value.get_ref() {
            DeValue::Array(array) => array,
            DeValue::String(_) => return Ok(vec![T::read(value)?]),
            _ => return Err(wrong_type(value, "a list such as [\"...\", \"...\"]")),
        };
        if array.len() > MAX_LIST {
            return Err(wrong(value, format!("the list has more than {MAX_LIST} elements")));
        }
        array.iter().map(T::read).collect()
    }

    fn show(&self) -> String {
        let parts: Vec<String> = self.iter().map(Setting::show).collect();
        format!("[{}]", parts.join(", "))
    }
}

fn integer(value: &Spanned<DeValue<'_>>, expected: &str) -> Result<u64, Wrong> {
    let integer = value.get_ref().as_integer().ok_or_else(|| wrong_type(value, expected))?;
    let digits = integer.as_str().replace('_', "");
    u64::from_str_radix(&digits, integer.radix()).map_err(|_| {
        let reason = if digits.starts_with('-') { "below zero" } else { "too large" };
        wrong(value, format!("{digits} is {reason}; expected {expected}"))
    })
}
