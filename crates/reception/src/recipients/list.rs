//! The recipients of our own domains as a list: one address or local part a line, kept compactly.
//!
//! A million recipients take their text and four octets each. Not here: reading the file (whoever wires).

use super::text::{LineFault, MAX_FAULTS, Wrong, fold, lines, text};
use posthaste_mail::Mailbox;
use posthaste_mail::address::{AddressError, check_domain_name, check_local_part};
use posthaste_route::domain::to_dns;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The largest file of recipients, octets.
pub const MAX_LIST_FILE: u64 = 256 << 20;
/// Entries of one list.
pub const MAX_RECIPIENTS: usize = 8_000_000;
/// The longest line, octets: an address and a remark.
const MAX_LINE: usize = 1000;

/// Who is known. Written one a line: `bob@example.org`, `bob` for every domain that uses the list, `@example.org`
/// for everybody there; `#` begins a remark.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct List {
    /// By domain; under "" those without one.
    names: BTreeMap<Box<str>, Names>,
    /// Domains of which everybody is known.
    whole: BTreeSet<Box<str>>,
    entries: usize,
}

/// Local parts of one domain, sorted.
#[derive(Clone, PartialEq, Eq, Default)]
struct Names {
    /// One after the other.
    text: Box<str>,
    /// Where each begins.
    starts: Box<[u32]>,
}

/// Names on their way in.
#[derive(Default)]
struct Gathered {
    text: String,
    /// Where each begins, and its length.
    spans: Vec<(u32, u16)>,
}

impl List {
    /// Reads a whole file.
    ///
    /// # Errors
    /// What is wrong with it, at most [`MAX_FAULTS`] lines of it.
    pub fn parse(octets: &[u8]) -> Result<Self, Vec<LineFault>> {
        let mut reading = Reading::default();
        let mut faults = Vec::new();
        for (line, octets) in lines(octets) {
            if let Err(what) = reading.line(octets) {
                let last = matches!(what, Wrong::TooManyEntries(_));
                faults.push(LineFault { line, what });
                if last || faults.len() >= MAX_FAULTS {
                    break;
                }
            }
        }
        if faults.is_empty() { Ok(reading.finish()) } else { Err(faults) }
    }

    /// True when this list knows the local part, folded, of a domain, as an A-label.
    pub(super) fn knows(&self, local_part: &str, domain: &str) -> bool {
        self.names(local_part, domain) || self.whole.contains(domain)
    }

    /// The same, but by name and not by `@example.org`.
    pub(super) fn names(&self, local_part: &str, domain: &str) -> bool {
        let among = |domain: &str| self.names.get(domain).is_some_and(|n| n.contains(local_part));
        among(domain) || among("")
    }

    /// Entries, those that were given twice counted once.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries
    }

    /// True when nobody is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The domains that it names, as A-labels in lower case.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        let named = self.names.keys().chain(&self.whole);
        named.map(|domain| &**domain).filter(|domain| !domain.is_empty())
    }
}

impl Names {
    fn contains(&self, name: &str) -> bool {
        let count = self.starts.len();
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low.midpoint(high);
            match self.at(middle).cmp(name) {
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        false
    }

    fn at(&self, index: usize) -> &str {
        let end = self.starts.get(index + 1).map_or(self.text.len(), |end| *end as usize);
        &self.text[self.starts[index] as usize..end]
    }
}

impl Gathered {
    fn sorted(mut self) -> Names {
        let text = &self.text;
        let of = |&(start, length): &(u32, u16)| {
            &text[start as usize..start as usize + usize::from(length)]
        };
        self.spans.sort_unstable_by(|a, b| of(a).cmp(of(b)));
        self.spans.dedup_by(|a, b| of(a) == of(b));
        let mut sorted = String::with_capacity(self.spans.iter().map(|s| usize::from(s.1)).sum());
        let mut starts = Vec::with_capacity(self.spans.len());
        for span in &self.spans {
            starts.push(u32::try_from(sorted.len()).expect("a list's file is below 4 GiB"));
            sorted.push_str(of(span));
        }
        Names { text: sorted.into(), starts: starts.into() }
    }
}

#[derive(Default)]
struct Reading {
    names: BTreeMap<Box<str>, Gathered>,
    whole: BTreeSet<Box<str>>,
    entries: usize,
    /// The domain of the last line as it was written, and as it is compared: lists are mostly of one domain.
    last: (String, String),
}

impl Reading {
    fn line(&mut self, octets: &[u8]) -> Result<(), Wrong> {
        let line = without_remark(text(octets, MAX_LINE)?);
        if line.is_empty() {
            return Ok(());
        }
        if self.entries >= MAX_RECIPIENTS {
            return Err(Wrong::TooManyEntries(MAX_RECIPIENTS));
        }
        self.entries += 1;
        if let Some(domain) = line.strip_prefix('@') {
            return self.everybody(line, domain);
        }
        match Mailbox::parse(line, true) {
            Ok(mailbox) => self.address(&mailbox),
            Err(AddressError::Shape) if check_local_part(line).is_ok() => {
                self.add("", &fold(line));
                Ok(())
            }
            Err(_) if !line.starts_with('"') && line.contains(char::is_whitespace) => {
                Err(Wrong::SeveralWords(shown(line)))
            }
            Err(AddressError::Shape) => Err(Wrong::Address(shown(line), AddressError::LocalPart)),
            Err(why) => Err(Wrong::Address(shown(line), why)),
        }
    }

    fn everybody(&mut self, line: &str, domain: &str) -> Result<(), Wrong> {
        check_domain_name(domain).map_err(|why| Wrong::Address(shown(line), why))?;
        let domain = to_dns(domain);
        let domain = domain.ok_or_else(|| Wrong::Address(shown(line), AddressError::Domain))?;
        self.whole.insert(domain.into());
        Ok(())
    }

    fn address(&mut self, mailbox: &Mailbox) -> Result<(), Wrong> {
        if self.last.0 != mailbox.domain() {
            let wrong = || Wrong::Address(shown(mailbox.as_str()), AddressError::Domain);
            self.last = (mailbox.domain().to_owned(), to_dns(mailbox.domain()).ok_or_else(wrong)?);
        }
        let domain = std::mem::take(&mut self.last.1);
        self.add(&domain, &fold(mailbox.local_part()));
        self.last.1 = domain;
        Ok(())
    }

    fn add(&mut self, domain: &str, name: &str) {
        if !self.names.contains_key(domain) {
            self.names.insert(domain.into(), Gathered::default());
        }
        let Some(gathered) = self.names.get_mut(domain) else { return };
        let start = u32::try_from(gathered.text.len()).expect("a list's file is below 4 GiB");
        let length = u16::try_from(name.len()).expect("a local part has 64 octets at most");
        gathered.text.push_str(name);
        gathered.spans.push((start, length));
    }

    fn finish(self) -> List {
        let sorted = |(domain, names): (Box<str>, Gathered)| (domain, names.sorted());
        let names: BTreeMap<Box<str>, Names> = self.names.into_iter().map(sorted).collect();
        let entries = names.values().map(|n| n.starts.len()).sum::<usize>() + self.whole.len();
        List { names, whole: self.whole, entries }
    }
}

/// A line up to its `#`, which begins a remark at the start or after a blank: `#` may be part of an address.
fn without_remark(line: &str) -> &str {
    let line = line.trim();
    let remark = line
        .match_indices('#')
        .find(|(at, _)| line[..*at].chars().next_back().is_none_or(char::is_whitespace));
    match remark {
        Some(_) if line.starts_with('"') && !line.contains("\" #") => line,
        Some((at, _)) => line[..at].trim_end(),
        None => line,
    }
}

/// A text in an error: its beginning.
fn shown(text: &str) -> String {
    const SHOWN: usize = 80;
    text.chars().take(SHOWN).collect()
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "List of {}", self.entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> List {
        List::parse(text.as_bytes()).unwrap_or_else(|faults| panic!("{faults:?}"))
    }

    #[test]
    fn a_list_knows_its_own() {
        let list = list(
            "# staff\n\nbob@example.org\n  Ann.Lee@Example.ORG  # of sales\ninfo\nbob@example.org\n\
             @catch.example\njörg@münchen.example\n\"a # b\"@example.org\nc#sharp@example.org\n",
        );
        for (local, domain, known) in [
            ("bob", "example.org", true),
            ("bob", "example.net", false),
            ("ann.lee", "example.org", true),
            ("info", "example.org", true),
            ("info", "elsewhere.example", true),
            ("anything", "catch.example", true),
            ("jörg", "xn--mnchen-3ya.example", true),
            ("a # b", "example.org", true),
            ("c#sharp", "example.org", true),
            ("bo", "example.org", false),
            ("bobb", "example.org", false),
            ("", "example.org", false),
        ] {
            assert_eq!(list.knows(local, domain), known, "{local} {domain}");
        }
        assert!(!list.names("anything", "catch.example"));
        assert_eq!(list.len(), 7);
        let domains: Vec<_> = list.domains().collect();
        assert_eq!(domains, ["example.org", "xn--mnchen-3ya.example", "catch.example"]);
        assert!(List::parse(b"# nobody yet\n").expect("good").is_empty());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let long = [b"a@".as_slice(), &vec![b'x'; 10 << 20], b"\ngood@x\n"].concat();
        for (octets, line, said) in [
            (&b"ok\na\0b"[..], 2, "it contains NUL; the file must be text in UTF-8"),
            (b"\n\n\xff\xfe", 3, "it is not UTF-8"),
            (&long, 1, "the line is longer than 1000 octets"),
            (b"bob OK", 1, "one address or local part on a line; `bob OK` has more"),
            (
                b"bob@",
                1,
                "`bob@`: the local part is not valid; quote it if it has unusual characters",
            ),
            (b"bob@a..b", 1, "`bob@a..b`: the domain is not valid"),
            (b"@", 1, "`@`: the domain is not valid"),
            (
                b".bob",
                1,
                "`.bob`: the local part is not valid; quote it if it has unusual characters",
            ),
            (b"x@-b-.example", 1, "`x@-b-.example`: the domain is not valid"),
        ] {
            let faults = List::parse(octets).expect_err(said);
            assert_eq!((faults[0].line, faults[0].what.to_string().as_str()), (line, said));
        }
        let many = "a b\n".repeat(1000);
        assert_eq!(List::parse(many.as_bytes()).expect_err("all wrong").len(), MAX_FAULTS);
    }

    #[test]
    fn sorting_finds_each_of_many() {
        let text: String =
            (0..5000u32).map(|n| format!("u{}@d.example\n", n * 7919 % 5000)).collect();
        let list = list(&text);
        assert_eq!(list.len(), 5000);
        assert!((0..5000).all(|n| list.knows(&format!("u{n}"), "d.example")));
        assert!(!list.knows("u5000", "d.example"));
    }
}
