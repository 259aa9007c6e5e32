//! `dkim new|show|check`: keys that sign mail. Without a daemon: the settings and the files say it all.

mod check;
mod judge;
mod new;
mod show;

use crate::cli::{DkimVerb, Global};
use crate::config::{self, DkimKey, Loaded, signing_domain};
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::place;
#[cfg(test)]
pub(crate) use new::pem;
use std::process::ExitCode;

pub(super) fn run(global: &Global, verb: DkimVerb, out: &Out) -> Result<ExitCode, Failure> {
    match verb {
        DkimVerb::New(asked) => new::run(&loaded(global)?, &asked, out)?,
        DkimVerb::Show { domain } => {
            let loaded = loaded(global)?;
            show::run(&keys(&loaded, domain.as_deref())?, out);
        }
        DkimVerb::Check { domain } => {
            let loaded = loaded(global)?;
            return check::run(&loaded, &keys(&loaded, domain.as_deref())?, out);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn loaded(global: &Global) -> Result<Loaded, Failure> {
    // Scaled clocks are the daemon's to refuse.
    Ok(config::load(place::config_file(global).as_deref(), true)?)
}

/// The keys of the settings, those of one domain if it is named.
fn keys<'a>(loaded: &'a Loaded, domain: Option<&str>) -> Result<Vec<&'a DkimKey>, Failure> {
    let all = &loaded.config.dkim;
    let Some(named) = domain else { return Ok(all.iter().collect()) };
    let name = name(named)?;
    let found: Vec<&DkimKey> = all.iter().filter(|key| key.domain == name).collect();
    if found.is_empty() {
        let message = format!(
            "no [[dkim]] in {} is about {name}; `posthaste dkim new {name}` makes a key",
            loaded.name()
        );
        return Err(Failure::new(Exit::NotFound, "not-found", message));
    }
    Ok(found)
}

fn name(text: &str) -> Result<String, Failure> {
    signing_domain(text).ok_or_else(|| Failure::usage(format!("\"{text}\" is not a domain name")))
}
