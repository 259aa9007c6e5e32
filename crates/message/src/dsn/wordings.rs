//! The languages in which notices are worded: which there are, and which one a message gets.
//!
//! Not here: reading the files (`language`), and what the texts are called (`keys`).

use super::language::Language;
use crate::header::fields;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// The most languages there may be, the operator's own included.
const MAX_LANGUAGES: usize = 200;
/// The most languages that are read of a message's header fields.
const MAX_WANTED: usize = 32;
/// The language when nothing else decides.
const FALLBACK: &str = "en";

/// The languages there are. Its [`Default`] has the built-in ones and falls back to English.
#[derive(Clone, PartialEq, Eq)]
pub struct Wordings {
    /// In order of their tags.
    languages: Arc<Vec<Language>>,
    default: String,
}

/// An operator's own texts: a whole language, or those of a built-in one that are to be different.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnTexts<'a> {
    /// What the file is called in complaints.
    pub file: &'a str,
    /// The language's tag (RFC 5646): `de`, `pt-BR`.
    pub tag: &'a str,
    /// What stands in the file: TOML, as in the built-in ones.
    pub toml: &'a str,
}

/// What is wrong with an operator's text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{file}:{line}:{column}: {what}")]
pub struct WordingFault {
    /// The file, as [`OwnTexts::file`] has it.
    pub file: String,
    /// Where in it; 1 is the first.
    pub line: usize,
    /// Where in the line, in characters; 1 is the first.
    pub column: usize,
    /// What is wrong, and what to do.
    pub what: String,
}

/// [`Wordings::BUILT_IN`], read.
static READ: LazyLock<Arc<Vec<Language>>> = LazyLock::new(|| {
    let read = |(tag, toml)| {
        Language::read(&OwnTexts { file: tag, tag, toml }, None)
            .expect("a test reads the built-in texts")
    };
    Arc::new(Wordings::BUILT_IN.into_iter().map(read).collect())
});

impl Wordings {
    /// The built-in languages with their texts as TOML: what an operator's own file begins with.
    pub const BUILT_IN: [(&'static str, &'static str); 2] =
        [("de", include_str!("languages/de.toml")), ("en", include_str!("languages/en.toml"))];

    /// The built-in languages and the operator's texts. Those of a built-in language, or of a variant of one that is there
    /// (`de-AT` of ours, `nl-BE` of their own `nl`), may be a few; another language must be whole. The order of `texts` has
    /// no meaning.
    ///
    /// # Errors
    /// The first fault of the texts.
    pub fn with(texts: &[OwnTexts<'_>]) -> Result<Self, WordingFault> {
        let (wordings, faults) = Self::reading(texts);
        faults.into_iter().next().map_or(Ok(wordings), Err)
    }

    /// As [`with`](Self::with), with the first fault of each text; those that have one are left out.
    #[must_use]
    pub fn reading(texts: &[OwnTexts<'_>]) -> (Self, Vec<WordingFault>) {
        let mut languages = Vec::clone(&READ);
        let mut faults = Vec::new();
        let mut seen: Vec<&OwnTexts<'_>> = Vec::new();
        // A variant takes what its language says, so that must be there first.
        let mut texts: Vec<_> = texts.iter().collect();
        texts.sort_by_key(|own| ranges(own.tag).count());
        for own in texts {
            let is_same = |other: &&&OwnTexts<'_>| other.tag.eq_ignore_ascii_case(own.tag);
            let base = ranges(own.tag).find_map(|tag| find(&languages, tag));
            // What a variant lacks is not known while its language's file is wrong, and that is told.
            let is_orphan = base.is_none() && ranges(own.tag).skip(1).any(|tag| named(&seen, tag));
            let read = match seen.iter().find(is_same) {
                Some(other) => Err(own.fault(0, same_language(other))),
                None if languages.len() >= MAX_LANGUAGES => {
                    Err(own.fault(0, format!("there are more than {MAX_LANGUAGES} languages")))
                }
                None => Language::read(own, base),
            };
            seen.push(own);
            match read {
                Ok(read) => {
                    languages.retain(|language| !language.tag.eq_ignore_ascii_case(own.tag));
                    languages.push(read);
                }
                Err(_) if is_orphan => {}
                Err(fault) => faults.push(fault),
            }
        }
        languages.sort_by(|a, b| a.tag.cmp(&b.tag));
        (Self { languages: Arc::new(languages), default: FALLBACK.to_owned() }, faults)
    }

    /// The same with another language for messages that ask for none of ours; `None` when there is no such language.
    #[must_use]
    pub fn defaulting_to(mut self, tag: &str) -> Option<Self> {
        self.default = self.find(tag)?.tag.clone();
        Some(self)
    }

    /// The tags of all languages, in order.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.languages.iter().map(|language| language.tag.as_str())
    }

    /// The tag of the language for messages that ask for none of ours.
    #[must_use]
    pub fn default_language(&self) -> &str {
        &self.default
    }

    /// The language we have for this tag: itself, or what it is a variant of (RFC 4647 section 3.4).
    #[must_use]
    pub fn has(&self, tag: &str) -> Option<&str> {
        self.find(tag).map(|language| language.tag.as_str())
    }

    /// The tag of the language for the sender of a message with this header section: what it is written in (RFC 3282
    /// `Content-Language:`), else what its sender accepts (`Accept-Language:`), else the default.
    #[must_use]
    pub fn choose(&self, header: &[u8]) -> &str {
        &self.chosen(header, None).tag
    }

    /// `wanted` goes before what the header says, when we have it.
    pub(super) fn chosen(&self, header: &[u8], wanted: Option<&str>) -> &Language {
        if let Some(language) = wanted.and_then(|tag| self.find(tag)) {
            return language;
        }
        let by_content = || field(header, "Content-Language").find_map(|tag| self.find(&tag.0));
        let by_accept = || {
            let mut accepted: Vec<_> = field(header, "Accept-Language").collect();
            accepted.retain(|(_, weight)| *weight > 0);
            accepted.sort_by_key(|(_, weight)| u16::MAX - weight);
            accepted.iter().find_map(|(tag, _)| self.find(tag))
        };
        by_content()
            .or_else(by_accept)
            .or_else(|| self.find(&self.default))
            .unwrap_or_else(|| Self::english())
    }

    /// The built-in English.
    pub(super) fn english() -> &'static Language {
        find(&READ, FALLBACK).unwrap_or(&READ[0])
    }

    fn find(&self, tag: &str) -> Option<&Language> {
        ranges(tag).find_map(|tag| find(&self.languages, tag))
    }
}

impl Default for Wordings {
    fn default() -> Self {
        Self { languages: Arc::clone(&READ), default: FALLBACK.to_owned() }
    }
}

/// The texts themselves would fill pages.
impl fmt::Debug for Wordings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let languages: Vec<_> = self.languages().collect();
        f.debug_struct("Wordings")
            .field("languages", &languages)
            .field("default", &self.default)
            .finish_non_exhaustive()
    }
}

fn find<'l>(languages: &'l [Language], tag: &str) -> Option<&'l Language> {
    languages.iter().find(|language| language.tag.eq_ignore_ascii_case(tag))
}

fn named(texts: &[&OwnTexts<'_>], tag: &str) -> bool {
    texts.iter().any(|own| own.tag.eq_ignore_ascii_case(tag))
}

fn same_language(other: &OwnTexts<'_>) -> String {
    format!("{} is the same language (case has no meaning in tags); keep one of them", other.file)
}

/// A tag and what it is a variant of: `zh-Hant-TW`, `zh-Hant`, `zh`.
fn ranges(tag: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(tag), |tag| tag.rsplit_once('-').map(|(front, _)| front))
}

/// The tags in fields of this name with their weights in thousandths (RFC 9110 section 12.4.2), in order.
fn field(header: &[u8], name: &'static str) -> impl Iterator<Item = (String, u16)> {
    let values = fields(header).filter(move |field| field.is(name)).take(MAX_WANTED);
    let tags = values.flat_map(|field| {
        let value = String::from_utf8_lossy(&field.unfolded()).into_owned();
        value.split(',').take(MAX_WANTED).filter_map(weighted).collect::<Vec<_>>()
    });
    tags.take(MAX_WANTED)
}

fn weighted(item: &str) -> Option<(String, u16)> {
    let mut parts = item.split(';').map(str::trim);
    let tag = parts.next().filter(|tag| !tag.is_empty())?;
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    Some((tag.to_owned(), weight.map_or(1000, thousandths)))
}

/// `0.75` as 750; what is no weight is the least there is.
fn thousandths(weight: &str) -> u16 {
    let (whole, part) = weight.trim().split_once('.').unwrap_or((weight.trim(), ""));
    let digits = part.bytes().take(3).filter(u8::is_ascii_digit);
    let part = digits.zip([100, 10, 1]).map(|(digit, place)| u16::from(digit - b'0') * place).sum();
    match whole {
        "1" => 1000,
        "0" => part,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_gets_its_own_language() {
        let german = Wordings::default().defaulting_to("de-CH").expect("a variant of German");
        for (header, english_else, german_else) in [
            ("", "en", "de"),
            ("Content-Language: de\r\n", "de", "de"),
            ("content-language: DE-at\r\n", "de", "de"),
            ("Content-Language: fr\r\nAccept-Language: en\r\n", "en", "en"),
            ("Content-Language: fr, de\r\nAccept-Language: en\r\n", "de", "de"),
            ("Content-Language: en\r\nAccept-Language: de\r\n", "en", "en"),
            ("Accept-Language: fr, en;q=0.5, de;q=0.8\r\n", "de", "de"),
            ("Accept-Language: fr,\r\n en;q=0.5,\r\n de ; q=0.499\r\n", "en", "en"),
            ("Accept-Language: de;q=0, *\r\n", "en", "de"),
            ("Accept-Language: ,;q=1,de;q=x, en;q=0.001\r\n", "de", "de"),
            ("Subject: x\r\n\r\nContent-Language: de\r\n", "en", "de"),
        ] {
            assert_eq!(Wordings::default().choose(header.as_bytes()), english_else, "{header}");
            assert_eq!(german.choose(header.as_bytes()), german_else, "{header}");
        }
        assert_eq!(german.chosen(b"Content-Language: de\r\n", Some("en-GB")).tag, "en");
        assert_eq!(german.chosen(b"Content-Language: de\r\n", Some("tlh")).tag, "de");
        assert_eq!(Wordings::default().defaulting_to("tlh"), None);
        assert_eq!(Wordings::default().languages().collect::<Vec<_>>(), ["de", "en"]);
    }

    #[test]
    fn a_flood_of_languages_is_read_in_part() {
        let flood = format!("Accept-Language: {}de\r\n", "xx,".repeat(100_000));
        assert_eq!(Wordings::default().choose(flood.as_bytes()), "en");
    }
}
