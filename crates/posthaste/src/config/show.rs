//! `config show`: the effective settings as TOML that reads as the same settings, each with where it came from.

use super::read::{Origin, Shown};
use std::fmt::Write as _;

/// The column at which the comments begin, when the setting is not longer.
const COMMENT_COLUMN: usize = 48;

/// All settings as TOML. `file` is the name shown with line numbers.
pub(crate) fn as_toml(shown: &[Shown], file: &str) -> String {
    let mut order: Vec<&Shown> = shown.iter().collect();
    // Stable: settings keep the order in which they are documented; those without a section come first.
    order.sort_by_key(|s| rank(shown, s));
    let mut text = String::new();
    let mut current = (String::new(), 0);
    for setting in order {
        let place = (setting.section.clone(), setting.number);
        if place != current {
            let _ = write!(text, "\n{}\n", setting.section);
            current = place;
        }
        line(&mut text, setting, file);
    }
    text
}

/// Where a setting's section first appears; sections without a name come before all others.
fn rank(all: &[Shown], setting: &Shown) -> usize {
    if setting.section.is_empty() {
        return 0;
    }
    let same = |s: &Shown| s.section == setting.section && s.number == setting.number;
    all.iter().position(same).map_or(usize::MAX, |i| i + 1)
}

fn line(text: &mut String, setting: &Shown, file: &str) {
    let assignment = match &setting.value {
        Some(value) => format!("{} = {value}", setting.key),
        None => format!("# {} is not set", setting.key),
    };
    let origin = match &setting.origin {
        Origin::Default("default") => "default".to_owned(),
        Origin::Default(why) => format!("default: {why}"),
        Origin::Line(line) => format!("{file}:{line}"),
    };
    let _ = writeln!(text, "{assignment:<COMMENT_COLUMN$} # {origin}");
}
