//! No test may reach the root servers of the Internet: every configuration of a test that has DNS settings says where
//! walking begins, and every file that makes a configuration has DNS settings or takes them from one that does.

use crate::workspace::root;
use std::fs;
use std::path::{Path, PathBuf};

/// Configurations for verbs that need no daemon, or complete ones that a shared scene makes.
const WITHOUT_DAEMON: &[&str] = &["crates/posthaste/tests/verbs/offline.rs"];

#[test]
fn configurations_of_tests_say_where_walking_begins() {
    let mut wrong = Vec::new();
    for (path, text) in configurations() {
        for (number, section) in sections(&text) {
            if !section.contains("roots = ") {
                wrong
                    .push(format!("{path}:{number}: DNS settings without roots: write roots = []"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn configurations_of_tests_have_dns_settings() {
    let bare: Vec<String> = configurations()
        .into_iter()
        .filter(|(path, text)| {
            let whole = text.contains("hostname = \\\"") && text.contains("[[listener]]");
            let ours = sections(text).next().is_some() || text.contains("settings(");
            whole && !ours && !WITHOUT_DAEMON.contains(&path.as_str())
        })
        .map(|(path, _)| path)
        .collect();
    assert!(
        bare.is_empty(),
        "without DNS settings the root servers are those of the Internet: {bare:#?}"
    );
}

#[test]
fn the_rule_itself() {
    let heading = heading();
    for (text, wrong) in [
        (format!("\"{heading}\\nservers = \\\"127.0.0.1:1\\\"\\n[admin]\\nroots = []\""), true),
        (format!("\"{heading}\\nroots = []\\n[admin]\\n\""), false),
        (format!("{heading}\nservers = [\"::1\"]\nroots = []\n"), false),
        (format!("{heading}\nservers = [\"::1\"]\n\n[admin]"), true),
    ] {
        let found = sections(&text).any(|(_, section)| !section.contains("roots = "));
        assert_eq!(found, wrong, "{text}");
    }
}

/// Split, so that this file is none of those it looks for.
fn heading() -> String {
    ["[resol", "ver]"].concat()
}

/// The text of each DNS section, to the next heading, with its line.
fn sections(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let heading = heading();
    let ends_line = |(start, _): &(usize, &str)| {
        let rest = &text[start + heading.len()..];
        rest.starts_with('\n') || rest.starts_with("\\n")
    };
    // Elsewhere it is only named.
    let starts = text.match_indices(&heading).filter(ends_line).map(|(start, _)| start);
    let starts: Vec<usize> = starts.collect();
    starts.into_iter().map(move |start| {
        let rest = &text[start + heading.len()..];
        let ends = ["\\n[", "\n[", "\n\n"].iter().filter_map(|end| rest.find(end));
        let end = ends.min().unwrap_or(rest.len());
        (text[..start].lines().count(), &rest[..end])
    })
}

/// The tests of all crates, and what they serve.
fn configurations() -> Vec<(String, String)> {
    let root = root();
    let mut files = vec![root.join("bench/posthaste.toml")];
    for entry in fs::read_dir(root.join("crates")).expect("readable") {
        collect(&entry.expect("readable").path().join("tests"), &mut files);
    }
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).ok()?;
        let inside = path.strip_prefix(&root).expect("it was found below");
        Some((inside.display().to_string(), text))
    };
    let files: Vec<_> = files.into_iter().filter_map(read).collect();
    assert!(files.len() > 20, "the tests were not found");
    files
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("readable").path();
        if path.is_dir()
            && !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
        {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs" || e == "toml") {
            files.push(path);
        }
    }
}
