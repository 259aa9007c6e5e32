//! Reads the files that say who our recipients are: lists and aliases. What has not changed is not read again.
//!
//! Not here: what a line means (`posthaste_reception::recipients`), when the files are looked at (`daemon`).

use crate::config::{Own, Source};
use crate::failure::{ErrorLine, Exit, Failure};
use posthaste_reception::Directory;
use posthaste_reception::recipients::{
    Aliases, Doubt, LineFault, List, MAX_ALIASES_FILE, MAX_LIST_FILE, Recipients, Setup,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::Metadata;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// By what a file is known to be the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Each file that is looked at, and how it looked; `None` when it could not be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Stamps(BTreeMap<PathBuf, Option<Stamp>>);

/// Files that were read, to be used again.
#[derive(Clone, Default)]
pub(crate) struct Books {
    lists: BTreeMap<PathBuf, (Stamp, Arc<List>)>,
    aliases: Option<(PathBuf, Stamp, Arc<Aliases>)>,
}

/// What the files come to.
pub(crate) struct Opened {
    pub(crate) directory: Arc<Directory>,
    pub(crate) books: Books,
    /// Where, and what: allowed, and probably a mistake.
    pub(crate) doubts: Vec<(String, String)>,
    /// Recipients on all lists, and aliases.
    pub(crate) counts: (usize, usize),
}

/// Files that cannot be used; the operator must correct them.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) struct Faults(pub(crate) Vec<(String, String)>);

/// Reads all files that the settings name.
pub(crate) fn open(own: &Own, before: &Books) -> Result<Opened, Faults> {
    let mut faults = Vec::new();
    let mut books = Books::default();
    for path in own.lists() {
        match list(path, before) {
            Ok(read) => {
                books.lists.insert(path.clone(), read);
            }
            Err(why) => faults.extend(why),
        }
    }
    if let Some(path) = &own.aliases {
        match aliases(path, before) {
            Ok((stamp, read)) => books.aliases = Some((path.clone(), stamp, read)),
            Err(why) => faults.extend(why),
        }
    }
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    let directory = Directory::new(books.setup(own));
    let place = own.aliases.as_deref().unwrap_or(Path::new("")).display().to_string();
    let doubts = directory.check().map_err(|wrong| Faults(placed(&place, &wrong)))?;
    let doubts = doubts.iter().map(|doubt| match doubt {
        Doubt::UnlistedPostmaster(_) => ("postmaster".to_owned(), doubt.to_string()),
        _ => (place.clone(), doubt.to_string()),
    });
    let doubts = doubts.chain(books.strange_domains(own)).collect();
    let recipients = books.lists.values().map(|(_, list)| list.len()).sum();
    let aliases = books.aliases.as_ref().map_or(0, |(_, _, aliases)| aliases.len());
    Ok(Opened { directory: Arc::new(directory), books, doubts, counts: (recipients, aliases) })
}

impl Stamps {
    /// How the files look now.
    pub(crate) fn look(own: &Own) -> Self {
        Self::of(own.lists().into_iter().chain(&own.aliases).cloned())
    }

    /// How these files look now.
    pub(crate) fn of(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let stamp = |path: PathBuf| {
            let metadata = std::fs::metadata(&path).ok();
            (path, metadata.map(|metadata| Stamp::of(&metadata)))
        };
        Self(files.into_iter().map(stamp).collect())
    }
}

impl Stamp {
    /// `None` when there is no such file, or it cannot be looked at.
    pub(crate) fn look(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }

    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Books {
    /// How the files looked that were read.
    pub(crate) fn stamps(&self) -> Stamps {
        let lists = self.lists.iter().map(|(path, (stamp, _))| (path.clone(), Some(*stamp)));
        let aliases = self.aliases.iter().map(|(path, stamp, _)| (path.clone(), Some(*stamp)));
        Stamps(lists.chain(aliases).collect())
    }

    fn setup(&self, own: &Own) -> Setup {
        let recipients = |source: &Source| match source {
            Source::Any => Recipients::Any,
            Source::Verify => Recipients::Verify,
            Source::File(path) => {
                let list = self.lists.get(path).map(|(_, list)| Arc::clone(list));
                Recipients::Listed(list.unwrap_or_default())
            }
        };
        let domain = |domain: &crate::config::OwnDomain| {
            (domain.name.clone(), recipients(&domain.recipients))
        };
        let aliases = self.aliases.as_ref().map(|(_, _, aliases)| Arc::clone(aliases));
        Setup {
            hostname: own.hostname.clone(),
            origin: own.origin.clone(),
            domains: own.domains.iter().map(domain).collect(),
            aliases: aliases.unwrap_or_default(),
            postmaster: own.postmaster.clone(),
            delimiter: own.delimiter,
        }
    }

    /// Domains that a list names and that do not use it.
    fn strange_domains(&self, own: &Own) -> Vec<(String, String)> {
        /// Told of each list.
        const TOLD: usize = 5;
        let mut strange = Vec::new();
        for (path, (_, list)) in &self.lists {
            let uses = |domain: &&crate::config::OwnDomain| matches!(&domain.recipients, Source::File(other) if other == path);
            let using: BTreeSet<&str> =
                own.domains.iter().filter(uses).map(|domain| domain.name.as_str()).collect();
            let others = list.domains().filter(|domain| !using.contains(domain)).take(TOLD);
            let place = path.display().to_string();
            strange.extend(others.map(|domain| {
                (place.clone(), Doubt::StrangeDomain(domain.to_owned()).to_string())
            }));
        }
        strange
    }
}

/// What a file said, and which file it was then.
type Stamped<T> = (Stamp, Arc<T>);
/// A place and what is wrong there, each.
type Complaints = Vec<(String, String)>;

fn list(path: &Path, before: &Books) -> Result<Stamped<List>, Complaints> {
    let known = before.lists.get(path).map(|(stamp, list)| (*stamp, list));
    read(path, known, MAX_LIST_FILE, List::parse)
}

fn aliases(path: &Path, before: &Books) -> Result<Stamped<Aliases>, Complaints> {
    let known = before.aliases.as_ref().filter(|(other, _, _)| other == path);
    let known = known.map(|(_, stamp, aliases)| (*stamp, aliases));
    read(path, known, MAX_ALIASES_FILE, Aliases::parse)
}

fn read<T>(
    path: &Path,
    known: Option<(Stamp, &Arc<T>)>,
    limit: u64,
    parse: impl FnOnce(&[u8]) -> Result<T, Vec<LineFault>>,
) -> Result<Stamped<T>, Complaints> {
    let place = path.display().to_string();
    let unreadable =
        |why: &dyn fmt::Display| vec![(place.clone(), format!("cannot be read: {why}"))];
    let mut file = crate::regular::open(path).map_err(|why| unreadable(&why))?;
    let metadata = file.metadata().map_err(|why| unreadable(&why))?;
    let stamp = Stamp::of(&metadata);
    if let Some((_, same)) = known.filter(|(before, _)| *before == stamp) {
        return Ok((stamp, Arc::clone(same)));
    }
    let mut octets = Vec::new();
    let too_large = format!("it is larger than {limit} octets");
    if metadata.len() > limit {
        return Err(unreadable(&too_large));
    }
    let taken = (&mut file).take(limit + 1).read_to_end(&mut octets);
    taken.map_err(|why| unreadable(&why))?;
    if octets.len() as u64 > limit {
        return Err(unreadable(&too_large));
    }
    let parsed = parse(&octets).map_err(|wrong| placed(&place, &wrong))?;
    Ok((stamp, Arc::new(parsed)))
}

fn placed(place: &str, wrong: &[LineFault]) -> Vec<(String, String)> {
    let one = |fault: &LineFault| (format!("{place}:{}", fault.line), fault.what.to_string());
    wrong.iter().map(one).collect()
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (place, what)) in self.0.iter().enumerate() {
            let end = if i > 0 { "\n" } else { "" };
            write!(f, "{end}{place}: {what}")?;
        }
        Ok(())
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        let errors = faults.0.into_iter().map(|(place, message)| ErrorLine {
            code: "bad-config".to_owned(),
            message,
            at: Some(place),
        });
        Self { exit: Exit::Usage, errors: errors.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OwnDomain;
    use posthaste_reception::recipients::VerifySettings;

    fn own(folder: &Path) -> Own {
        let domain = |name: &str, file: &str| OwnDomain {
            name: name.into(),
            recipients: Source::File(folder.join(file)),
        };
        Own {
            hostname: "h.example".into(),
            origin: "h.example".into(),
            domains: vec![domain("a.example", "list"), domain("b.example", "list")],
            aliases: Some(folder.join("aliases")),
            postmaster: None,
            delimiter: None,
            verify: VerifySettings::default(),
        }
    }

    #[test]
    fn what_has_not_changed_is_not_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = own(folder.path());
        let write = |file: &str, text: &str| {
            // Replaced as an operator should: the old one stays whole until the new one is.
            std::fs::write(folder.path().join("new"), text).expect("ours");
            std::fs::rename(folder.path().join("new"), folder.path().join(file)).expect("ours");
        };
        write("list", "bob@a.example\nann@c.example\n");
        write("aliases", "x: bob@a.example\n");
        let first = open(&own, &Books::default()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(first.counts, (2, 1));
        assert_eq!(first.doubts.len(), 1, "{:?}", first.doubts);
        assert!(first.doubts[0].1.contains("c.example"));
        assert_eq!(first.books.stamps(), Stamps::look(&own));
        write("aliases", "x: bob@a.example\ny: x\n");
        assert_ne!(first.books.stamps(), Stamps::look(&own));
        let second = open(&own, &first.books).unwrap_or_else(|e| panic!("{e}"));
        let list = |opened: &Opened| Arc::clone(&opened.books.lists[&folder.path().join("list")].1);
        assert!(Arc::ptr_eq(&list(&first), &list(&second)), "the list was kept");
        assert_eq!(second.counts, (2, 2));
        write("list", "bob\0\n\nbad bad\n");
        std::fs::remove_file(folder.path().join("aliases")).expect("ours");
        let faults = open(&own, &second.books).map(|_| ()).expect_err("both are wrong");
        let said: Vec<String> = faults.to_string().lines().map(str::to_owned).collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].contains("/list:1: it contains NUL"), "{said:?}");
        assert!(said[1].contains("/list:3: one address"), "{said:?}");
        assert!(said[2].contains("/aliases: cannot be read: No such file"), "{said:?}");
    }
}
