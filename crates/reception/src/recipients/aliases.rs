//! Aliases as sendmail writes them: `name: target, target`, continued on lines that begin with a blank.
//!
//! Only addresses: no programs, files or includes. Not here: following an alias (`directory`), reading the file
//! (whoever wires).

use super::text::{LineFault, MAX_FAULTS, Wrong, fold, lines, text};
use posthaste_mail::Mailbox;
use posthaste_mail::address::{AddressError, check_local_part};
use posthaste_route::domain::to_dns;
use std::collections::BTreeMap;

/// The largest file of aliases, octets.
pub const MAX_ALIASES_FILE: u64 = 64 << 20;
/// Aliases of one file.
pub const MAX_ALIASES: usize = 1_000_000;
/// Targets of one alias, and recipients that it may come to in all.
pub const MAX_TARGETS: usize = 1000;
/// The longest line, its continuations included, octets: as many targets as there may be.
const MAX_LINE: usize = 256 * 1024;

/// All aliases of a file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Aliases {
    entries: Vec<Alias>,
    /// By domain, as an A-label, then by local part, folded; under "" those of every domain.
    by_name: BTreeMap<Box<str>, BTreeMap<Box<str>, u32>>,
}

/// One alias.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Alias {
    /// As written, without the colon.
    pub(super) name: Box<str>,
    /// Its domain, as an A-label; `None`: it holds for every domain of ours.
    pub(super) domain: Option<Box<str>>,
    /// Its first line.
    pub(super) line: usize,
    /// Never empty.
    pub(super) targets: Box<[Target]>,
}

/// Where an alias leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// A name of the same domain, which may be an alias itself.
    Local(Box<str>),
    /// The same, but what stands there is final: it was written with a backslash.
    Final(Box<str>),
    /// An address, which may be an alias itself.
    Address(Mailbox),
}

impl Aliases {
    /// Reads a whole file.
    ///
    /// # Errors
    /// What is wrong with it, at most [`MAX_FAULTS`] places.
    pub fn parse(octets: &[u8]) -> Result<Self, Vec<LineFault>> {
        let mut aliases = Self::default();
        let mut faults = Vec::new();
        let mut logical: Option<(usize, String)> = None;
        for (line, octets) in lines(octets) {
            if faults.len() >= MAX_FAULTS {
                break;
            }
            let step = text(octets, MAX_LINE).and_then(|text| match kind(text) {
                Kind::Nothing => Ok(()),
                Kind::Continues => match &mut logical {
                    Some((_, begun)) if begun.len() + text.len() <= MAX_LINE => {
                        begun.push_str(text);
                        Ok(())
                    }
                    Some(_) => Err(Wrong::LineTooLong(MAX_LINE)),
                    None => Err(Wrong::ContinuesNothing),
                },
                Kind::Begins => {
                    let begun = logical.replace((line, text.to_owned()));
                    faults.extend(begun.and_then(|(line, text)| aliases.take(line, &text)));
                    Ok(())
                }
            });
            faults.extend(step.err().map(|what| LineFault { line, what }));
        }
        faults.extend(logical.and_then(|(line, text)| aliases.take(line, &text)));
        faults.truncate(MAX_FAULTS);
        faults.sort_by_key(|fault| fault.line);
        if faults.is_empty() { Ok(aliases) } else { Err(faults) }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn entries(&self) -> &[Alias] {
        &self.entries
    }

    pub(super) fn get(&self, index: u32) -> &Alias {
        &self.entries[index as usize]
    }

    /// The alias of a folded local part in a domain: the domain's own before that of all domains.
    pub(super) fn find(&self, local_part: &str, domain: &str) -> Option<u32> {
        let among = |domain: &str| self.by_name.get(domain)?.get(local_part).copied();
        among(domain).or_else(|| among(""))
    }

    fn take(&mut self, line: usize, text: &str) -> Option<LineFault> {
        self.read(line, text).err().map(|what| LineFault { line, what })
    }

    fn read(&mut self, line: usize, text: &str) -> Result<(), Wrong> {
        if self.entries.len() >= MAX_ALIASES {
            return Err(Wrong::TooManyEntries(MAX_ALIASES));
        }
        let colon = outside_quotes(text, ':')?.first().copied().ok_or(Wrong::NoColon)?;
        let (name, rest) = (text[..colon].trim(), &text[colon + 1..]);
        let (local_part, domain) = alias_name(name)?;
        let targets = targets(name, rest)?;
        let index = u32::try_from(self.entries.len()).expect("the number of aliases is limited");
        let key = domain.clone().unwrap_or_default();
        let names = self.by_name.entry(key).or_default();
        if let Some(first) = names.get(&*local_part) {
            let first = self.entries[*first as usize].line;
            return Err(Wrong::Twice(shown(name), first));
        }
        names.insert(local_part, index);
        self.entries.push(Alias { name: name.into(), domain, line, targets });
        Ok(())
    }
}

enum Kind {
    Nothing,
    Begins,
    Continues,
}

fn kind(line: &str) -> Kind {
    let content = line.trim_start();
    if content.is_empty() || content.starts_with('#') {
        return Kind::Nothing;
    }
    if content.len() < line.len() { Kind::Continues } else { Kind::Begins }
}

/// The name of an alias: its local part, folded, and its domain.
fn alias_name(name: &str) -> Result<(Box<str>, Option<Box<str>>), Wrong> {
    match Mailbox::parse(name, true) {
        Ok(mailbox) => {
            let domain = to_dns(mailbox.domain());
            let domain = domain.ok_or_else(|| Wrong::Address(shown(name), AddressError::Domain))?;
            Ok((fold(mailbox.local_part()).into(), Some(domain.into())))
        }
        Err(AddressError::Shape) => {
            local_part(name, name)?;
            Ok((fold(name).into(), None))
        }
        Err(why) => Err(Wrong::Address(shown(name), why)),
    }
}

fn targets(name: &str, text: &str) -> Result<Box<[Target]>, Wrong> {
    let mut all = Vec::new();
    let mut start = 0;
    let commas = outside_quotes(text, ',')?;
    for end in commas.into_iter().chain([text.len()]) {
        let written = text[start..end].trim();
        start = end + 1;
        // A comma at the end of a line says that the next one goes on.
        if !written.is_empty() {
            all.push(target(written)?);
        }
        if all.len() > MAX_TARGETS {
            return Err(Wrong::TooManyTargets(shown(name), MAX_TARGETS));
        }
    }
    if all.is_empty() { Err(Wrong::NoTarget(shown(name))) } else { Ok(all.into()) }
}

fn target(written: &str) -> Result<Target, Wrong> {
    // Programs and files are often quoted as a whole.
    match written.strip_prefix('"').unwrap_or(written).chars().next() {
        Some('|') => return Err(Wrong::Program(shown(written))),
        Some('/') => return Err(Wrong::File(shown(written))),
        Some(':') => return Err(Wrong::Special(shown(written))),
        _ => {}
    }
    let (is_final, written) = match written.strip_prefix('\\') {
        Some(rest) => (true, rest),
        None => (false, written),
    };
    match Mailbox::parse(written, true) {
        Ok(mailbox) => Ok(Target::Address(mailbox)),
        Err(AddressError::Shape) => {
            local_part(written, written)?;
            Ok(if is_final { Target::Final(written.into()) } else { Target::Local(written.into()) })
        }
        Err(why) => Err(Wrong::Address(shown(written), why)),
    }
}

fn local_part(text: &str, said: &str) -> Result<(), Wrong> {
    check_local_part(text).map_err(|why| Wrong::Address(shown(said), why))
}

/// Where a character stands outside of quoted strings.
fn outside_quotes(text: &str, wanted: char) -> Result<Vec<usize>, Wrong> {
    let (mut places, mut quoted, mut escaped) = (Vec::new(), false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if c == wanted && !quoted => places.push(at),
            _ => {}
        }
    }
    if quoted { Err(Wrong::Unclosed) } else { Ok(places) }
}

/// A text in an error: its beginning.
fn shown(text: &str) -> String {
    const SHOWN: usize = 80;
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sendmails_form_is_read() {
        let text = "# Debian writes it so\nmailer-daemon: postmaster\nPostmaster:root\n\n\
                    staff: ann, \"bob smith\",\n\tcarl@example.net,\n# in between\n  \\dora\n\
                    sales@Example.org : zoë@münchen.example\n\"a:b\": c\n";
        let aliases = Aliases::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(aliases.len(), 5);
        let found = |name: &str, domain: &str| {
            aliases.find(name, domain).map(|index| aliases.get(index).targets.to_vec())
        };
        let local = |text: &str| Target::Local(text.into());
        let address = |text: &str| Target::Address(Mailbox::parse(text, true).expect("valid"));
        assert_eq!(found("postmaster", "any.example"), Some(vec![local("root")]));
        let staff = [
            local("ann"),
            local("\"bob smith\""),
            address("carl@example.net"),
            Target::Final("dora".into()),
        ];
        assert_eq!(found("staff", "example.org"), Some(staff.to_vec()));
        let sales = Some(vec![address("zoë@münchen.example")]);
        assert_eq!(found("sales", "example.org"), sales);
        assert_eq!(found("sales", "example.net"), None);
        assert_eq!(found("a:b", "x"), Some(vec![local("c")]));
        let staff = aliases.find("staff", "x").expect("it is there");
        assert_eq!(aliases.get(staff).line, 5);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let wide = format!("all: {}", vec!["x"; MAX_TARGETS + 1].join(","));
        let long = [b"a: b\nc: ".as_slice(), &vec![b'x'; 10 << 20]].concat();
        let endless = format!("a: b\n{}", format!(" {}\n", "x,".repeat(30_000)).repeat(10));
        for (octets, line, said) in [
            (&b"a: b\n\na b"[..], 3, "an alias has the form `name: target, target`"),
            (
                b" a: b",
                1,
                "the line begins with a blank, so it continues an alias, but there is none before it",
            ),
            (b"a:", 1, "`a` has no target"),
            (b"a: ,", 1, "`a` has no target"),
            (b"a: b\nA: c", 2, "`A` stands already in line 1"),
            (
                b"a: |/bin/vacation",
                1,
                "`|/bin/vacation` would run a program, which aliases do not do here; give an address, and let its mail host run it",
            ),
            (
                b"a: \"|/bin/x -f b\"",
                1,
                "`\"|/bin/x -f b\"` would run a program, which aliases do not do here; give an address, and let its mail host run it",
            ),
            (
                b"a: /dev/null",
                1,
                "`/dev/null` would write to a file, which aliases do not do here; give an address",
            ),
            (
                b"a: :include:/etc/list",
                1,
                "`:include:/etc/list` is not supported; write the targets into this file",
            ),
            (
                b"a: :blackhole:",
                1,
                "`:blackhole:` is not supported; write the targets into this file",
            ),
            (b"a: \"b", 1, "a quotation mark is not closed"),
            (
                b"a: b c",
                1,
                "`b c`: the local part is not valid; quote it if it has unusual characters",
            ),
            (b"a: b@c..d", 1, "`b@c..d`: the domain is not valid"),
            (
                b"a b: c",
                1,
                "`a b`: the local part is not valid; quote it if it has unusual characters",
            ),
            (b"a: b\0", 1, "it contains NUL; the file must be text in UTF-8"),
            (b"a: \xff", 1, "it is not UTF-8"),
            (wide.as_bytes(), 1, "`all` has more than 1000 targets"),
            (&long, 2, "the line is longer than 262144 octets"),
            (endless.as_bytes(), 6, "the line is longer than 262144 octets"),
        ] {
            let faults = Aliases::parse(octets).expect_err(said);
            let of_line: Vec<String> =
                faults.iter().filter(|f| f.line == line).map(|f| f.what.to_string()).collect();
            assert_eq!(of_line, [said], "{faults:?}");
        }
    }
}
