//! What is wrong with a configuration file: every error with its place and, where one can be guessed, a suggestion.
//!
//! Not here: finding the errors (`read`, `file`).

use std::fmt;
use std::ops::Range;

/// Complaints that are listed; a file with more is broken in one place that explains the rest.
const MAX_COMPLAINTS: usize = 100;
/// How alike two names must be for one to be suggested for the other (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.8;

/// One error, and where it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Complaint {
    /// The line, from 1; 0 when the error has no place in the file.
    pub(crate) line: usize,
    /// The column in characters, from 1.
    pub(crate) column: usize,
    /// What is wrong and what to do.
    pub(crate) what: String,
}

/// All errors of one file, in order of place.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) struct Complaints {
    /// The file's name as the operator gave it.
    pub(crate) file: String,
    /// Never empty.
    pub(crate) list: Vec<Complaint>,
}

/// Collects complaints about one text.
#[derive(Debug)]
pub(crate) struct Collector<'t> {
    text: &'t str,
    list: Vec<Complaint>,
    warnings: Vec<Complaint>,
}

impl<'t> Collector<'t> {
    pub(crate) const fn new(text: &'t str) -> Self {
        Self { text, list: Vec::new(), warnings: Vec::new() }
    }

    /// Notes an error at a place in the text, or without a place.
    pub(crate) fn add(&mut self, span: Option<&Range<usize>>, what: impl Into<String>) {
        if self.list.len() >= MAX_COMPLAINTS {
            return;
        }
        let (line, column) = span.map_or((0, 0), |s| place(self.text, s.start));
        self.list.push(Complaint { line, column, what: what.into() });
    }

    /// Notes what is allowed and probably a mistake.
    pub(crate) fn warn(&mut self, span: Option<&Range<usize>>, what: impl Into<String>) {
        if self.warnings.len() < MAX_COMPLAINTS {
            let (line, column) = span.map_or((0, 0), |s| place(self.text, s.start));
            self.warnings.push(Complaint { line, column, what: what.into() });
        }
    }

    /// The line a place is in, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        place(self.text, offset).0
    }

    /// All that was noted, sorted by place; `Ok`, with the warnings, when nothing was wrong.
    pub(crate) fn finish(mut self, file: &str) -> Result<Vec<Complaint>, Complaints> {
        if self.list.is_empty() {
            self.warnings.sort();
            return Ok(self.warnings);
        }
        self.list.sort();
        self.list.dedup();
        Err(Complaints { file: file.to_owned(), list: self.list })
    }
}

impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, complaint) in self.list.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}: {}", complaint.place_in(&self.file), complaint.what)?;
        }
        Ok(())
    }
}

impl Complaint {
    /// `FILE:LINE:COLUMN`, or the file alone.
    pub(crate) fn place_in(&self, file: &str) -> String {
        match self.line {
            0 => file.to_owned(),
            line => format!("{file}:{line}:{}", self.column),
        }
    }
}

/// The one of `known` that `word` was probably meant to be.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&word, name), name))
        .filter(|(score, _)| *score >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset.min(text.len()))];
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = "a = 1\nä = 2\nb";
        for (offset, expected) in
            [(0, (1, 1)), (6, (2, 1)), (8, (2, 2)), (13, (3, 1)), (99, (3, 2))]
        {
            assert_eq!(place(text, offset), expected, "{offset}");
        }
    }

    #[test]
    fn suggestions_are_near_or_absent() {
        let known = ["hostname", "data", "listener", "expire_after"];
        assert_eq!(nearest("hostnme", known), Some("hostname"));
        assert_eq!(nearest("Listeners", known), Some("listener"));
        assert_eq!(nearest("expire", known), Some("expire_after"));
        assert_eq!(nearest("zzz", known), None);
    }

    #[test]
    fn a_broken_file_does_not_print_without_end() {
        let mut collector = Collector::new("x");
        for n in 0..1000 {
            collector.add(Some(&(0..1)), n.to_string());
        }
        let complaints = collector.finish("f.toml").unwrap_err();
        assert_eq!(complaints.list.len(), MAX_COMPLAINTS);
        assert!(complaints.to_string().starts_with("f.toml:1:1: 0\n"));
    }
}
