//! The operator's own texts of notices: a folder with one TOML file for each language, `de.toml`, `fr.toml`.
//!
//! They are read with the configuration, so that a wrong one is a wrong setting, and a changed one counts after a reload.
//! Not here: what stands in them (`posthaste_message::dsn::Wordings`).

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Languages of one's own.
const MAX_FILES: usize = 100;
/// Octets of one file.
const MAX_FILE: u64 = 256 * 1024;
/// Entries of the folder that are looked at.
const MAX_ENTRIES: usize = 1000;

/// One file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct TextFile {
    /// Where it is, as complaints name it.
    pub(super) name: String,
    /// Its name without `.toml`: the language's tag (RFC 5646).
    pub(super) tag: String,
    pub(super) text: String,
}

/// What a folder has.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// In order of their tags.
    pub(super) files: Vec<TextFile>,
    /// What is there and is not read.
    pub(super) others: Vec<PathBuf>,
    /// What could not be read, and why.
    pub(super) wrong: Vec<String>,
}

/// Reads a folder, as far as it can be read.
pub(super) fn read(path: &Path) -> Folder {
    let mut folder = Folder::default();
    let names = match names(path) {
        Ok(names) => names,
        Err(why) => {
            folder.wrong.push(why);
            return folder;
        }
    };
    for (name, file) in names {
        match name.strip_suffix(".toml") {
            None => folder.others.push(file),
            Some(tag) => match text(&file) {
                Ok(text) => {
                    let name = file.display().to_string();
                    folder.files.push(TextFile { name, tag: tag.to_owned(), text });
                }
                Err(why) => folder.wrong.push(why),
            },
        }
    }
    if folder.files.len() > MAX_FILES {
        let what = format!("{} has more than {MAX_FILES} files", path.display());
        folder.wrong.push(what);
    }
    folder
}

/// The files of a folder that would be read; none where it cannot be looked into.
pub(crate) fn texts_in(folder: &Path) -> Vec<PathBuf> {
    let names = names(folder).unwrap_or_default().into_iter();
    names.filter(|(name, _)| name.ends_with(".toml")).map(|(_, path)| path).collect()
}

/// In order. Hidden files, and what editors keep of earlier states, are left out.
fn names(folder: &Path) -> Result<BTreeMap<String, PathBuf>, String> {
    let unreadable = |why: std::io::Error| {
        let why = crate::daemon::privileges::explain(folder, why);
        format!("cannot read the folder {}: {why}", folder.display())
    };
    let mut names = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(unreadable)?.take(MAX_ENTRIES) {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(['.', '#']) && !name.ends_with('~') {
            names.insert(name, entry.path());
        }
    }
    Ok(names)
}

fn text(path: &Path) -> Result<String, String> {
    let named = |why: std::io::Error| format!("cannot read {}: {why}", path.display());
    let mut text = String::new();
    let file = crate::regular::open(path).map_err(named)?;
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(named)?;
    if text.len() as u64 > MAX_FILE {
        return Err(format!("{} is larger than {MAX_FILE} octets", path.display()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_languages_are_read_and_others_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        for (name, text) in [
            ("de.toml", "a"),
            ("pt-BR.toml", "b"),
            ("README", "words"),
            ("de.toml~", "old"),
            (".de.toml.swp", "open"),
        ] {
            fs::write(folder.join(name), text).expect("ours");
        }
        fs::write(folder.join("fr.toml"), [0xff]).expect("ours");
        fs::create_dir(folder.join("it.toml")).expect("ours");
        let read = read(folder);
        let tags: Vec<_> = read.files.iter().map(|f| (f.tag.as_str(), f.text.as_str())).collect();
        assert_eq!(tags, [("de", "a"), ("pt-BR", "b")]);
        assert_eq!(read.others, [folder.join("README")]);
        let [fr, it] = &read.wrong[..] else { panic!("{:?}", read.wrong) };
        assert!(fr.contains("fr.toml: stream did not contain valid UTF-8"), "{fr}");
        assert!(it.contains("it.toml: it is no file"), "{it}");
    }

    #[test]
    fn no_folder_and_a_large_file_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let absent = folder.path().join("absent");
        let said = read(&absent).wrong.join("\n");
        assert!(said.starts_with(&format!("cannot read the folder {}: ", absent.display())));
        let large = "x".repeat(256 * 1024 + 1);
        fs::write(folder.path().join("en.toml"), large).expect("ours");
        assert!(read(folder.path()).wrong[0].ends_with("is larger than 262144 octets"));
    }
}
