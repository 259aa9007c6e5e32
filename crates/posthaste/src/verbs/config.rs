//! `config check`, `config show`: without a daemon.

use crate::cli::{ConfigVerb, Global};
use crate::config;
use crate::failure::Failure;
use crate::out::Out;
use crate::place;
use serde_json::json;
use std::path::PathBuf;

pub(super) fn run(global: &Global, verb: ConfigVerb, out: &Out) -> Result<(), Failure> {
    let (file, show) = match verb {
        ConfigVerb::Check { file } => (file, false),
        ConfigVerb::Show { file } => (file, true),
    };
    let file: Option<PathBuf> = file.or_else(|| place::config_file(global));
    let loaded = config::load(file.as_deref(), global.allow_clock_scale)?;
    match (show, out.is_json()) {
        (true, true) => out.object(&json!({ "v": 1, "settings": loaded.settings() })),
        (true, false) => out.text(&loaded.show()),
        (false, true) => out.object(&json!({ "v": 1, "file": file, "good": true })),
        (false, false) => match &file {
            Some(file) => out.line(&format!("{}: good", file.display())),
            None => out.line("no file given; the defaults are good"),
        },
    }
    Ok(())
}
