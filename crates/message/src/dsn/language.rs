//! One language: its texts, read from TOML and checked against the table of `keys`.

use super::keys::{Key, SLOTS, Slot, SlotKind};
use super::plural::Rule;
use super::wordings::{OwnTexts, WordingFault};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The longest text, octets: a paragraph, not a letter.
const MAX_TEXT: usize = 4096;
/// The section of the rules which form a number takes.
const PLURAL: &str = "plural";
/// The form of a text for numbers that no rule names.
const OTHER: &str = "other";

/// The texts of one language.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Language {
    /// RFC 5646.
    pub(super) tag: String,
    /// The plural forms but `other`, in order.
    plural: Vec<(String, Rule)>,
    months: Vec<String>,
    /// By [`Key`]; a counted one has a form for each plural rule and then `other`.
    texts: Vec<Vec<String>>,
}

impl Language {
    /// Reads a language; what the file does not say is as in `base`.
    pub(super) fn read(own: &OwnTexts<'_>, base: Option<&Self>) -> Result<Self, WordingFault> {
        if !is_tag(own.tag) {
            let what = format!(
                "`{}` is no language tag such as `de` or `pt-BR`; rename the file",
                own.tag
            );
            return Err(own.fault(0, what));
        }
        let table = DeTable::parse(own.toml)
            .map_err(|e| own.fault(e.span().map_or(0, |s| s.start), e.message().to_owned()))?;
        let mut reader =
            Reader { own, language: Self::empty(own.tag, base), based: base.is_some() };
        reader.known_sections(table.get_ref())?;
        if let Some(plural) = table.get_ref().get(PLURAL) {
            reader.plural(plural)?;
        }
        for (name, section) in table.get_ref() {
            if name.get_ref() != PLURAL {
                reader.section(name.get_ref(), section)?;
            }
        }
        reader.complete()
    }

    fn empty(tag: &str, base: Option<&Self>) -> Self {
        let empty = || Self {
            tag: String::new(),
            plural: Vec::new(),
            months: Vec::new(),
            texts: vec![Vec::new(); SLOTS.len()],
        };
        Self { tag: tag.to_owned(), ..base.cloned().unwrap_or_else(empty) }
    }

    /// The names of the months, January first.
    pub(super) fn month(&self, number: usize) -> &str {
        self.months.get(number.saturating_sub(1)).map_or("", String::as_str)
    }

    /// A text with its values; empty where there is none.
    pub(super) fn fill(&self, key: Key, values: &[(&str, &str)]) -> String {
        self.texts[key as usize].first().map_or_else(String::new, |text| filled(text, values))
    }

    /// A text without values.
    pub(super) fn say(&self, key: Key) -> String {
        self.fill(key, &[])
    }

    /// A text in the form for this number, which is its value `n`.
    pub(super) fn count(&self, key: Key, n: u64, values: &[(&str, &str)]) -> String {
        let form = self.plural.iter().position(|(_, rule)| rule.holds(n));
        let forms = &self.texts[key as usize];
        let text = form.and_then(|form| forms.get(form)).or(forms.last());
        let number = n.to_string();
        let mut all = vec![("n", number.as_str())];
        all.extend_from_slice(values);
        text.map_or_else(String::new, |text| filled(text, &all))
    }
}

/// What is no value of the text stays as it is: the table was checked when it was read.
fn filled(text: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else { break };
        out.push_str(
            values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value),
        );
        rest = after;
    }
    out.push_str(rest);
    out
}

fn is_tag(tag: &str) -> bool {
    let part = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let primary = tag.split('-').next().unwrap_or("");
    (2..=8).contains(&primary.len())
        && primary.bytes().all(|b| b.is_ascii_alphabetic())
        && tag.split('-').all(part)
        && tag.len() <= 35
}

impl OwnTexts<'_> {
    /// A fault at this octet of the file.
    pub(super) fn fault(&self, at: usize, what: String) -> WordingFault {
        let before = &self.toml[..self.toml.floor_char_boundary(at)];
        let line_start = before.rfind('\n').map_or(0, |lf| lf + 1);
        WordingFault {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            what,
        }
    }
}

/// A language as far as it has been read.
struct Reader<'o, 't> {
    own: &'o OwnTexts<'t>,
    language: Language,
    /// What it does not say is known already.
    based: bool,
}

type Read = Result<(), WordingFault>;

impl Reader<'_, '_> {
    fn known_sections(&self, table: &DeTable<'_>) -> Read {
        for (name, _) in table {
            let known = name.get_ref() == PLURAL
                || SLOTS.iter().any(|slot| slot.path.split('.').next() == Some(name.get_ref()));
            if !known {
                let what = format!(
                    "there is no section [{}]; the built-in English has all",
                    name.get_ref()
                );
                return Err(self.own.fault(name.span().start, what));
            }
        }
        Ok(())
    }

    /// Texts that are known are in the forms of rules that are known: whoever copied a whole file may leave them there.
    fn plural(&mut self, section: &Spanned<DeValue<'_>>) -> Read {
        let known = std::mem::take(&mut self.language.plural);
        for (name, value) in self.table(section)? {
            let rule = Rule::parse(self.string(value)?)
                .map_err(|what| self.own.fault(value.span().start, what))?;
            if name.get_ref() != OTHER {
                self.language.plural.push((name.get_ref().clone().into_owned(), rule));
            }
        }
        if self.based && self.language.plural != known {
            let what = "the plural rules of this language are known and cannot be others; leave [plural] out";
            return Err(self.own.fault(section.span().start, what.to_owned()));
        }
        Ok(())
    }

    fn section(&mut self, section: &str, value: &Spanned<DeValue<'_>>) -> Read {
        for (name, value) in self.table(value)? {
            let path = format!("{section}.{}", name.get_ref());
            if path == "time.months" {
                self.months(value)?;
                continue;
            }
            let Some(i) = SLOTS.iter().position(|slot| slot.path == path) else {
                let what = format!("there is no text `{path}`; the built-in English has all names");
                return Err(self.own.fault(name.span().start, what));
            };
            self.language.texts[i] = self.forms(&SLOTS[i], value)?;
        }
        Ok(())
    }

    fn months(&mut self, value: &Spanned<DeValue<'_>>) -> Read {
        let wrong =
            || self.own.fault(value.span().start, "`months` must be twelve names".to_owned());
        let months = value.get_ref().as_array().ok_or_else(wrong)?;
        let names: Result<Vec<_>, _> =
            months.iter().map(|m| self.string(m).map(str::to_owned)).collect();
        self.language.months = names?;
        if self.language.months.len() == 12 { Ok(()) } else { Err(wrong()) }
    }

    /// All forms of a text, in order.
    fn forms(
        &self,
        slot: &Slot,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Vec<String>, WordingFault> {
        let Some(table) = value.get_ref().as_table().filter(|_| slot.kind == SlotKind::Counted)
        else {
            let text = self.checked(slot, value)?;
            let forms =
                if slot.kind == SlotKind::Counted { self.language.plural.len() + 1 } else { 1 };
            return Ok(vec![text; forms]);
        };
        let names = || self.language.plural.iter().map(|(name, _)| name.as_str()).chain([OTHER]);
        let listed = || names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        if let Some((name, _)) =
            table.iter().find(|(name, _)| !names().any(|n| n == name.get_ref()))
        {
            let what = format!(
                "`{}` is no plural form of this language; it has {}",
                name.get_ref(),
                listed()
            );
            return Err(self.own.fault(name.span().start, what));
        }
        let form = |name: &str| match table.get(name) {
            Some(value) => self.checked(slot, value),
            None => {
                let what = format!("`{}` needs the forms {}", slot.path, listed());
                Err(self.own.fault(value.span().start, what))
            }
        };
        names().map(form).collect()
    }

    /// One form of a text, with the values that belong in it.
    fn checked(&self, slot: &Slot, value: &Spanned<DeValue<'_>>) -> Result<String, WordingFault> {
        let text = self.string(value)?;
        let fault = |what| Err(self.own.fault(value.span().start, what));
        if text.trim().is_empty() && slot.kind != SlotKind::Optional {
            return fault(format!(
                "`{}` must not be empty; leave it out to keep the built-in text",
                slot.path
            ));
        }
        if text.len() > MAX_TEXT {
            return fault(format!("`{}` is longer than {MAX_TEXT} octets", slot.path));
        }
        if text.chars().any(char::is_control) {
            return fault(format!("`{}` must be one line without control characters", slot.path));
        }
        let names = match values_in(text) {
            Ok(names) => names,
            Err(what) => return fault(format!("`{}`: {what}", slot.path)),
        };
        if let Some(name) =
            names.iter().find(|name| !slot.values().any(|(known, _)| known == **name))
        {
            let known: Vec<_> = slot.values().map(|(name, _)| format!("{{{name}}}")).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return fault(format!("`{}` has no value {{{name}}}; its values: {known}", slot.path));
        }
        match slot.values().find(|(name, must)| *must && !names.contains(name)) {
            Some((name, _)) => fault(format!("`{}` must have {{{name}}} in it", slot.path)),
            None => Ok(text.to_owned()),
        }
    }

    fn table<'v>(&self, value: &'v Spanned<DeValue<'v>>) -> Result<&'v DeTable<'v>, WordingFault> {
        let wrong = || self.own.fault(value.span().start, "this must be a section".to_owned());
        value.get_ref().as_table().ok_or_else(wrong)
    }

    fn string<'v>(&self, value: &'v Spanned<DeValue<'_>>) -> Result<&'v str, WordingFault> {
        let wrong = || self.own.fault(value.span().start, "this must be text in quotes".to_owned());
        value.get_ref().as_str().ok_or_else(wrong)
    }

    /// A language of its own says everything.
    fn complete(self) -> Result<Language, WordingFault> {
        let lacks = |(slot, texts): &(&Slot, &Vec<String>)| {
            texts.is_empty() && slot.kind != SlotKind::Optional
        };
        let mut missing: Vec<_> = SLOTS
            .iter()
            .zip(&self.language.texts)
            .filter(lacks)
            .map(|(slot, _)| slot.path)
            .collect();
        if self.language.months.is_empty() {
            missing.insert(0, "time.months");
        }
        match missing.as_slice() {
            [] => Ok(self.language),
            [first] => Err(self.own.fault(0, format!("the text `{first}` is missing"))),
            [first, rest @ ..] => {
                let what = format!(
                    "the text `{first}` and {} more are missing: a language that is not built in must have all",
                    rest.len()
                );
                Err(self.own.fault(0, what))
            }
        }
    }
}

/// The names in braces.
fn values_in(text: &str) -> Result<Vec<&str>, String> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let open = rest[at..].strip_prefix('{');
        let Some((name, after)) = open.and_then(|after| after.split_once('}')) else {
            return Err("`{` and `}` only stand around the name of a value".to_owned());
        };
        if name.contains('{') {
            return Err("`{` and `}` only stand around the name of a value".to_owned());
        }
        names.push(name);
        rest = after;
    }
    Ok(names)
}

#[cfg(test)]
#[path = "language_tests.rs"]
mod tests;
