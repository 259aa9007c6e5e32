//! The configuration: one TOML file, typed, unknown names refused, every error with its place.
//!
//! `file` says which settings there are; `lower` turns them into the agents' own settings. Not here: what an agent
//! does with them.

mod care;
mod complain;
mod dkim;
mod domains;
mod file;
mod kinds;
mod logs;
mod lower;
mod notice;
mod notice_texts;
mod pressure;
mod process;
mod read;
mod receive;
mod resolver;
mod route_tls;
mod routes;
mod send;
pub(crate) mod setting;
mod show;
mod smarthost_auth;
mod submission;
#[cfg(test)]
mod tests;
mod tls;
mod tls_roots;

pub(crate) use complain::{Complaint, Complaints};
pub(crate) use dkim::{DkimKey, Selector, signing_domain};
pub(crate) use domains::{Own, OwnDomain, Source};
pub(crate) use file::{Config, Level, Log as LogSettings, LogFormat};
pub(crate) use kinds::AdminAddress;
pub(crate) use lower::{Lowered, Machine};
pub(crate) use notice_texts::texts_in;
pub(crate) use pressure::Pressure;
pub(crate) use process::{Process, Sandbox};
pub(crate) use resolver::{Server, Servers};
pub(crate) use routes::OWN_DOORS;
pub(crate) use tls::CertificateFiles;

use file::{Good, MAX_FILE, Surroundings};
use posthaste_mail::address::check_domain_name;
use read::Shown;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What `config show` calls the absent file.
const NO_FILE: &str = "(no file)";

/// A configuration that was read and checked.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The settings.
    pub(crate) config: Config,
    /// The file's name as given; `None` without a file.
    pub(crate) file: Option<PathBuf>,
    /// What is allowed and probably a mistake.
    pub(crate) warnings: Vec<Complaint>,
    shown: Vec<Shown>,
}

/// A configuration that cannot be used; the operator must correct the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// It cannot be read at all.
    #[error("cannot read {file}: {why}")]
    Unreadable {
        /// Its name.
        file: String,
        /// What the system says.
        why: std::io::Error,
    },
    /// It was read, and something is wrong with it.
    #[error(transparent)]
    Wrong(#[from] Complaints),
}

/// Reads and checks the file, or answers the defaults without one.
pub(crate) fn load(file: Option<&Path>, allow_clock_scale: bool) -> Result<Loaded, ConfigError> {
    let text = file.map_or_else(|| Ok(String::new()), read_text)?;
    let name = file.map_or_else(|| NO_FILE.to_owned(), |f| f.display().to_string());
    let read = file::read(&name, &text, &around(file, allow_clock_scale))?;
    let Good { config, shown, warnings } = read;
    Ok(Loaded { config, file: file.map(Path::to_owned), warnings, shown })
}

/// The control socket that the file names. A file with errors still names it when a daemon is there: whoever is half
/// through changing the file can go on asking.
pub(crate) fn socket(file: &Path) -> Result<PathBuf, ConfigError> {
    // Scaled clocks are the daemon's to refuse: they do not move the socket.
    let wrong = match load(Some(file), true) {
        Ok(loaded) => return Ok(loaded.config.admin.socket),
        Err(unreadable @ ConfigError::Unreadable { .. }) => return Err(unreadable),
        Err(wrong) => wrong,
    };
    let socket = file::despite_errors(&read_text(file)?, &around(Some(file), true)).admin.socket;
    if socket.exists() { Ok(socket) } else { Err(wrong) }
}

/// The settings for programs that hand in mail. A file with errors is good enough for them while the places it names
/// are there: somebody half through changing it must not cost anybody's mail.
pub(crate) fn for_programs(file: Option<&Path>) -> Result<Config, ConfigError> {
    // Scaled clocks are the daemon's to refuse.
    let wrong = match load(file, true) {
        Ok(loaded) => return Ok(loaded.config),
        Err(wrong) => wrong,
    };
    let (ConfigError::Wrong(_), Some(name)) = (&wrong, file) else { return Err(wrong) };
    let config = file::despite_errors(&read_text(name)?, &around(file, true));
    let places = [&config.submission.socket, &config.submission.pickup];
    if places.into_iter().any(|place| place.exists()) { Ok(config) } else { Err(wrong) }
}

fn around(file: Option<&Path>, allow_clock_scale: bool) -> Surroundings {
    let folder = file.and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
    Surroundings { allow_clock_scale, machine_name: machine_name(), folder }
}

impl Loaded {
    /// The file's name, for people.
    pub(crate) fn name(&self) -> String {
        self.file.as_deref().map_or_else(|| NO_FILE.to_owned(), |file| file.display().to_string())
    }

    /// Says in the log what is probably a mistake.
    pub(crate) fn tell_warnings(&self) {
        for warning in &self.warnings {
            tracing::warn!("{}: {}", warning.place_in(&self.name()), warning.what);
        }
    }

    /// The effective settings as TOML, with where each came from.
    pub(crate) fn show(&self) -> String {
        show::as_toml(&self.shown, &self.name())
    }

    /// Each setting with its value and where it came from, for `--json`.
    pub(crate) fn settings(&self) -> Vec<SettingView> {
        self.shown.iter().map(SettingView::of).collect()
    }
}

/// One effective setting for `config show --json`.
#[derive(serde::Serialize)]
pub(crate) struct SettingView {
    section: String,
    number: usize,
    key: &'static str,
    /// `null` when it has none.
    value: serde_json::Value,
    origin: &'static str,
    line: Option<usize>,
}

impl SettingView {
    fn of(shown: &Shown) -> Self {
        let (origin, line) = match shown.origin {
            read::Origin::Default(why) => (why, None),
            read::Origin::Line(line) => ("file", Some(line)),
        };
        Self {
            section: shown.section.clone(),
            number: shown.number,
            key: shown.key,
            value: shown.value.as_deref().map_or(serde_json::Value::Null, as_json),
            origin,
            line,
        }
    }
}

/// A value as TOML writes it, as JSON.
fn as_json(value: &str) -> serde_json::Value {
    let table: toml::Table =
        toml::from_str(&format!("value = {value}")).expect("settings show themselves as TOML");
    serde_json::to_value(&table["value"]).expect("no setting is a number that JSON lacks")
}

fn read_text(file: &Path) -> Result<String, ConfigError> {
    let unreadable = |why| ConfigError::Unreadable { file: file.display().to_string(), why };
    let open = crate::regular::open(file).map_err(unreadable)?;
    let mut text = String::new();
    open.take(MAX_FILE + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE {
        let why = format!("it is larger than {MAX_FILE} octets");
        return Err(unreadable(std::io::Error::other(why)));
    }
    Ok(text)
}

/// The machine's name as mail can use it, `localhost` when it has none.
fn machine_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    if check_domain_name(&name).is_ok() { name } else { "localhost".to_owned() }
}
