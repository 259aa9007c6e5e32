//! Walks the parsed TOML with its spans: takes settings by name, remembers where each came from, and complains
//! about wrong types, wrong values and unknown names without stopping at the first.
//!
//! Not here: which settings there are (`file`), how a value is read and shown (`setting`).

use super::complain::{Collector, Complaint, Complaints, nearest};
use super::setting::{Setting, Wrong, article};
use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where a setting's value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// Nobody set it; how the default was chosen.
    Default(&'static str),
    /// The file, at this line.
    Line(usize),
}

/// One effective setting, for `config show`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Shown {
    /// Its section as TOML writes it, e.g. `[limits]`, `[[route]]`; empty at the top.
    pub(crate) section: String,
    /// Which element of an array of tables; 0 otherwise.
    pub(crate) number: usize,
    /// Its name.
    pub(crate) key: &'static str,
    /// Its value as TOML; `None` when it has none.
    pub(crate) value: Option<String>,
    /// Where the value came from.
    pub(crate) origin: Origin,
}

/// A default and how it was chosen.
pub(crate) struct Preset<T> {
    value: T,
    why: &'static str,
}

impl<T> From<T> for Preset<T> {
    fn from(value: T) -> Self {
        Self { value, why: "default" }
    }
}

impl<T> Preset<T> {
    /// A default that depends on something.
    pub(crate) const fn because(value: T, why: &'static str) -> Self {
        Self { value, why }
    }
}

/// One reading of one file.
pub(crate) struct Book<'t> {
    collector: RefCell<Collector<'t>>,
    shown: RefCell<Vec<Shown>>,
}

impl<'t> Book<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { collector: RefCell::new(Collector::new(text)), shown: RefCell::default() }
    }

    /// Notes an error.
    pub(crate) fn complain(&self, span: Option<&Range<usize>>, what: impl Into<String>) {
        self.collector.borrow_mut().add(span, what);
    }

    /// Everything that was taken, in order, and what is probably a mistake; unless something was wrong.
    pub(crate) fn finish(self, file: &str) -> Result<(Vec<Shown>, Vec<Complaint>), Complaints> {
        let warnings = self.collector.into_inner().finish(file)?;
        Ok((self.shown.into_inner(), warnings))
    }
}

/// One table of the file, or the empty one where the file has none.
pub(crate) struct Section<'b, 't> {
    book: &'b Book<'t>,
    /// As TOML writes it, without brackets.
    path: String,
    /// As TOML writes it, with brackets.
    heading: String,
    number: usize,
    table: Option<&'b DeTable<'t>>,
    span: Option<Range<usize>>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'b, 't> Section<'b, 't> {
    /// The whole file.
    pub(crate) fn top(book: &'b Book<'t>, table: &'b DeTable<'t>) -> Self {
        Self {
            book,
            path: String::new(),
            heading: String::new(),
            number: 0,
            table: Some(table),
            span: None,
            asked: RefCell::default(),
        }
    }

    /// Takes a setting, or its default.
    pub(crate) fn take<T: Setting>(&self, key: &'static str, preset: impl Into<Preset<T>>) -> T {
        let preset = preset.into();
        let (value, origin) = match self.read(key) {
            Some((value, span)) => (value, self.origin(&span)),
            None => (preset.value, Origin::Default(preset.why)),
        };
        self.show(key, Some(value.show()), origin);
        value
    }

    /// Takes a setting that must lie in a range, or its default.
    pub(crate) fn take_in<T: Setting + PartialOrd>(
        &self,
        key: &'static str,
        preset: impl Into<Preset<T>>,
        range: RangeInclusive<T>,
    ) -> T {
        let value = self.take(key, preset);
        if !range.contains(&value) {
            let (low, high) = (range.start().show(), range.end().show());
            let path = self.path_of(key);
            self.complain(key, format!("`{path}` must be from {low} to {high}"));
        }
        value
    }

    /// Takes a setting that may be absent; `why` tells what happens then.
    pub(crate) fn take_optional<T: Setting>(
        &self,
        key: &'static str,
        why: &'static str,
    ) -> Option<T> {
        let (value, origin) = match self.read::<T>(key) {
            Some((value, span)) => (Some(value), self.origin(&span)),
            None => (None, Origin::Default(why)),
        };
        self.show(key, value.as_ref().map(Setting::show), origin);
        value
    }

    /// A table below this one; empty when the file has none.
    pub(crate) fn section(&self, key: &'static str) -> Section<'b, 't> {
        let (table, span) = match self.find(key) {
            Some((_, value)) => match value.get_ref() {
                DeValue::Table(table) => (Some(table), Some(value.span())),
                other => {
                    let path = self.path_of(key);
                    let found = article(other.type_str());
                    self.complain(
                        key,
                        format!("`{path}` is a section, not {found}; write [{path}]"),
                    );
                    (None, Some(value.span()))
                }
            },
            None => (None, None),
        };
        let path = self.path_of(key);
        self.below(format!("[{path}]"), path, self.number, table, span)
    }

    /// The elements of an array of tables, in order; none when the file has none.
    pub(crate) fn list(&self, key: &'static str) -> Vec<Section<'b, 't>> {
        let Some((_, value)) = self.find(key) else { return Vec::new() };
        let path = self.path_of(key);
        let DeValue::Array(array) = value.get_ref() else {
            self.complain(key, format!("there may be several `{path}`; write [[{path}]]"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (i, element) in array.iter().enumerate() {
            match element.get_ref() {
                DeValue::Table(table) => sections.push(self.below(
                    format!("[[{path}]]"),
                    path.clone(),
                    i + 1,
                    Some(table),
                    Some(element.span()),
                )),
                _ => {
                    self.complain(key, format!("`{path}` is a list of sections; write [[{path}]]"))
                }
            }
        }
        sections
    }

    /// A section that is not in the file and takes nothing but defaults, shown as an element of a list.
    pub(crate) fn absent(&self, key: &'static str, number: usize) -> Section<'b, 't> {
        let path = self.path_of(key);
        self.below(format!("[[{path}]]"), path, number, None, None)
    }

    /// Complains at a key of this section: at its value, else where the section begins.
    pub(crate) fn complain(&self, key: &str, what: impl Into<String>) {
        let span = self.find_key(key).map(|(_, value)| value.span()).or_else(|| self.span.clone());
        self.book.complain(span.as_ref(), what);
    }

    /// Warns at a key of this section: at its value, else where the section begins.
    pub(crate) fn warn(&self, key: &str, what: impl Into<String>) {
        let span = self.find_key(key).map(|(_, value)| value.span()).or_else(|| self.span.clone());
        self.book.collector.borrow_mut().warn(span.as_ref(), what);
    }

    /// The strings of a setting that is one or a list of them, each with its place; others are left out.
    pub(crate) fn strings(&self, key: &str) -> Vec<(String, Range<usize>)> {
        let text = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
            DeValue::String(text) => Some((text.to_string(), value.span())),
            _ => None,
        };
        match self.find_key(key).map(|(_, value)| (value, value.get_ref())) {
            Some((_, DeValue::Array(array))) => array.iter().filter_map(text).collect(),
            Some((value, _)) => text(value).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// Complains at a place that [`Section::strings`] told.
    pub(crate) fn complain_at(&self, span: &Range<usize>, what: impl Into<String>) {
        self.book.complain(Some(span), what);
    }

    /// Warns at a place that [`Section::strings`] told.
    pub(crate) fn warn_at(&self, span: &Range<usize>, what: impl Into<String>) {
        self.book.collector.borrow_mut().warn(Some(span), what);
    }

    /// Complains about a key that was a setting once; what stands there is not read.
    pub(crate) fn refuse(&self, key: &'static str, what: &str) {
        if let Some((name, _)) = self.find_key(key) {
            self.asked.borrow_mut().push(key);
            self.book.complain(Some(&name.span()), what);
        }
    }

    /// True when the file has this key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.find_key(key).is_some()
    }

    /// Complains about every key that nobody asked for.
    pub(crate) fn finish(self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if asked.contains(&name) {
                continue;
            }
            let place = match self.heading.as_str() {
                "" => String::new(),
                heading => format!(" in {heading}"),
            };
            let hint = nearest(name, asked.iter().copied()).map_or_else(
                || format!("; known here: {}", asked.join(", ")),
                |near| format!("; did you mean `{near}`?"),
            );
            self.book.complain(Some(&key.span()), format!("unknown setting `{name}`{place}{hint}"));
        }
    }

    fn below(
        &self,
        heading: String,
        path: String,
        number: usize,
        table: Option<&'b DeTable<'t>>,
        span: Option<Range<usize>>,
    ) -> Section<'b, 't> {
        Section { book: self.book, path, heading, number, table, span, asked: RefCell::default() }
    }

    fn read<T: Setting>(&self, key: &'static str) -> Option<(T, Range<usize>)> {
        let (_, value) = self.find(key)?;
        match T::read(value) {
            Ok(read) => Some((read, value.span())),
            Err(Wrong { span, what }) => {
                self.book.complain(Some(&span), format!("`{}`: {what}", self.path_of(key)));
                None
            }
        }
    }

    fn find(&self, key: &'static str) -> Option<KeyValue<'b, 't>> {
        self.asked.borrow_mut().push(key);
        self.find_key(key)
    }

    fn find_key(&self, key: &str) -> Option<KeyValue<'b, 't>> {
        self.table?.get_key_value(key)
    }

    /// A key with its section in front, as messages name it.
    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn origin(&self, span: &Range<usize>) -> Origin {
        Origin::Line(self.book.collector.borrow().line(span.start))
    }

    fn show(&self, key: &'static str, value: Option<String>, origin: Origin) {
        self.book.shown.borrow_mut().push(Shown {
            section: self.heading.clone(),
            number: self.number,
            key,
            value,
            origin,
        });
    }
}

type KeyValue<'b, 't> = (&'b Spanned<std::borrow::Cow<'t, str>>, &'b Spanned<DeValue<'t>>);
