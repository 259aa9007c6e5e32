//! `config check`, `config show`: without a daemon.

use crate::cli::{ConfigVerb, Global};
use crate::config::{self, Loaded};
use crate::failure::Failure;
use crate::out::Out;
use crate::place;
use crate::recipients::{self, Books};
use serde_json::{Value, json};
use std::path::PathBuf;

pub(super) fn run(global: &Global, verb: ConfigVerb, out: &Out) -> Result<(), Failure> {
    let (file, show) = match verb {
        ConfigVerb::Check { file } => (file, false),
        ConfigVerb::Show { file } => (file, true),
    };
    let file: Option<PathBuf> = file.or_else(|| place::config_file(global));
    let loaded = config::load(file.as_deref(), global.allow_clock_scale)?;
    let warnings = if show { Vec::new() } else { warnings(&loaded)? };
    for (place, what) in &warnings {
        out.remark(&format!("{place}: warning: {what}"));
    }
    match (show, out.is_json()) {
        (true, true) => out.object(&json!({ "v": 1, "settings": loaded.settings() })),
        (true, false) => out.text(&loaded.show()),
        (false, true) => {
            let one = |(at, message): &(String, String)| json!({ "at": at, "message": message });
            let warnings: Vec<Value> = warnings.iter().map(one).collect();
            out.object(&json!({ "v": 1, "file": file, "good": true, "warnings": warnings }));
        }
        (false, false) => match &file {
            Some(file) => out.line(&format!("{}: good", file.display())),
            None => out.line("no file given; the defaults are good"),
        },
    }
    Ok(())
}

/// What is allowed and probably a mistake: in the settings, and in the files of recipients that they name.
fn warnings(loaded: &Loaded) -> Result<Vec<(String, String)>, Failure> {
    let config = &loaded.config;
    let opened = recipients::open(&config.own, &Books::default())?;
    let name = loaded.name();
    let of_settings = loaded.warnings.iter().map(|w| (w.place_in(&name), w.what.clone()));
    Ok(of_settings.chain(opened.doubts).collect())
}
