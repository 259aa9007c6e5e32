//! How source files look, and that the floors without a world of their own are linted as such.

use std::fs;
use std::path::{Path, PathBuf};

use crate::workspace::{WORKSPACE, root};
use crate::{Agents, Pure, crates_on};

const LINES_PER_FILE: usize = 600;

/// Files that may be longer, with the reason. Tables may; code is split by noun or state.
const LONG_FILES: &[(&str, &str)] = &[];

#[test]
fn every_file_says_first_what_it_is() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(p, _)| p)
        .collect();
    assert!(silent.is_empty(), "the first line says what the file is (//! ...): {silent:#?}");
}

#[test]
fn files_are_short() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(path, lines)| *lines > LINES_PER_FILE && !may_be_long(path))
        .collect();
    assert!(long.is_empty(), "split by noun or state: {long:#?}");
}

#[test]
fn long_files_are_still_there_and_long() {
    for (path, reason) in LONG_FILES {
        let text = fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert!(
            text.lines().count() > LINES_PER_FILE,
            "{path} is short now ({reason}): not listed"
        );
    }
}

/// Clippy takes the nearest clippy.toml alone, so each of these repeats the root's settings and adds the bans.
#[test]
fn pure_crates_and_agents_are_linted_alike() {
    let members = WORKSPACE.members();
    let common = lint_settings("clippy.toml");
    let mut first: Option<(String, toml::Table)> = None;
    for name in crates_on(&[Pure, Agents]).filter(|name| members.contains_key(name)) {
        let path = format!("crates/{name}/clippy.toml");
        let settings = lint_settings(&path);
        for (key, value) in &common {
            assert_eq!(settings.get(key), Some(value), "{path} repeats {key} of the root");
        }
        for ban in ["disallowed-methods", "disallowed-types", "disallowed-macros"] {
            assert!(settings.contains_key(ban), "{path} has no {ban}");
        }
        let (model, expected) = first.get_or_insert_with(|| (path.clone(), settings.clone()));
        assert_eq!(&settings, expected, "{path} differs from {model}");
    }
}

fn lint_settings(path: &str) -> toml::Table {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    text.parse().unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn may_be_long(path: &str) -> bool {
    LONG_FILES.iter().any(|(listed, _)| *listed == path)
}

/// Every Rust file of the workspace, by its path from the root, with its text.
fn sources() -> Vec<(String, String)> {
    let root = root();
    let mut files = Vec::new();
    collect(&root.join("crates"), &mut files);
    assert!(files.len() > 20, "the sources were not found");
    let named = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("sources are UTF-8");
        let inside = path.strip_prefix(&root).expect("it was found below");
        (inside.display().to_string(), text)
    };
    files.into_iter().map(named).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
