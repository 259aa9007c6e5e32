//! Licences of everything that is compiled, and libraries that may never come back.
//!
//! Not here: security advisories, whose database lives outside the package registries.
//! SPDX specification 2.3 annex D for the expressions.

use std::fs;

use crate::workspace::{WORKSPACE, compiled, root, text};

/// Licences that let Posthaste be given away under Apache-2.0 or MIT.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Exceptions that only widen what a licence allows.
const ALLOWED_EXCEPTIONS: &[&str] = &["LLVM-exception"];

/// Library, first version that is allowed again (none: never), reason.
const BANNED: &[(&str, Option<[u64; 3]>, &str)] = &[
    ("openssl", None, "one TLS library: rustls"),
    ("openssl-sys", None, "one TLS library: rustls"),
    ("native-tls", None, "one TLS library: rustls"),
    ("ring", None, "one cryptography provider: aws-lc-rs"),
    ("hickory-proto", Some([0, 26, 2]), "earlier ones let forged answers pass validation"),
];

#[test]
fn every_licence_is_allowed() {
    let mut wrong = Vec::new();
    for package in WORKSPACE.packages() {
        let licence = package["license"].as_str().unwrap_or("none");
        if !is_allowed(licence) {
            wrong.push(format!(
                "{} {}: {licence}",
                text(&package["name"]),
                text(&package["version"])
            ));
        }
    }
    assert!(wrong.is_empty(), "licences to look at: {wrong:#?}");
}

#[test]
fn our_own_licence_comes_with_its_texts() {
    for (name, package) in WORKSPACE.members() {
        assert_eq!(package["license"], "Apache-2.0 OR MIT", "{name}");
    }
    for (file, words) in [
        ("LICENSE", "Apache-2.0 OR MIT"),
        ("LICENSE-APACHE", "Apache License"),
        ("LICENSE-MIT", "Permission is hereby granted, free of charge"),
    ] {
        let licence =
            fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(licence.contains(words), "{file}");
    }
}

#[test]
fn banned_libraries_stay_away() {
    let compiled = compiled();
    assert!(compiled.iter().any(|(name, _)| name == "serde_json"), "the list of what is compiled");
    for (name, version) in &compiled {
        for (_, since, reason) in BANNED.iter().filter(|(banned, ..)| banned == name) {
            assert!(is_since(version, *since), "{name} {version} is banned: {reason}");
        }
    }
}

#[test]
fn versions_are_compared_by_number() {
    for (version, since, expected) in [
        ("0.26.3", Some([0, 26, 2]), true),
        ("0.26.2", Some([0, 26, 2]), true),
        ("0.26.1", Some([0, 26, 2]), false),
        ("0.9.9", Some([0, 26, 2]), false),
        ("1.0.0-rc.1", Some([0, 26, 2]), true),
        ("9.9.9", None, false),
    ] {
        assert_eq!(is_since(version, since), expected, "{version} since {since:?}");
    }
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("none", false),
        ("", false),
        ("MIT OR GPL-3.0-only", true),
        ("MIT AND GPL-3.0-only", false),
        ("GPL-2.0-only OR (MIT AND Zlib)", true),
        ("(MIT OR GPL-2.0-only) AND Unicode-3.0", true),
        ("(MIT OR Zlib) AND GPL-2.0-only", false),
        ("GPL-2.0-only AND MIT OR Zlib", true), // AND binds closer than OR
        ("Zlib OR MIT AND GPL-2.0-only", true),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0 WITH Classpath-exception-2.0", false),
        ("GPL-2.0-only WITH LLVM-exception", false),
        ("MIT/Apache-2.0", true), // what cargo accepted before SPDX
        ("Apache-2.0 / MIT", true),
        ("(MIT", false),
        ("MIT)", false),
        ("MIT OR", false),
        ("MIT Zlib", false),
    ] {
        assert_eq!(is_allowed(expression), expected, "{expression}");
    }
}

/// Whether one may follow the expression by allowed licences alone. What cannot be read is not allowed.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    either(&mut words) == Some(true) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(words: &mut Words) -> Option<bool> {
    let mut allowed = all(words)?;
    while words.next_if_eq(&"OR").is_some() {
        allowed |= all(words)?;
    }
    Some(allowed)
}

fn all(words: &mut Words) -> Option<bool> {
    let mut allowed = single(words)?;
    while words.next_if_eq(&"AND").is_some() {
        allowed &= single(words)?;
    }
    Some(allowed)
}

fn single(words: &mut Words) -> Option<bool> {
    if words.next_if_eq(&"(").is_some() {
        let allowed = either(words)?;
        return words.next_if_eq(&")").map(|_| allowed);
    }
    let licence = words.next_if(|word| !["OR", "AND", "WITH", ")"].contains(word))?;
    let mut allowed = ALLOWED.contains(&licence);
    if words.next_if_eq(&"WITH").is_some() {
        allowed &= ALLOWED_EXCEPTIONS.contains(&words.next()?);
    }
    Some(allowed)
}

fn is_since(version: &str, since: Option<[u64; 3]>) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<u64> = core.split('.').map(|n| n.parse().expect("cargo checks it")).collect();
    since.is_some_and(|since| numbers.as_slice() >= since.as_slice())
}
