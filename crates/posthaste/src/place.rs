//! Finding the daemon: `--socket`, `--config`, their environment variables, then the usual places.

use crate::cli::Global;
use crate::config;
use crate::failure::{Exit, Failure};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where the socket is, in order, when nothing says otherwise: the default data folder, the packaged path.
const USUAL_PLACES: [&str; 2] = ["posthaste-data/control.sock", "/run/posthaste/control.sock"];
const CONFIG_VARIABLE: &str = "POSTHASTE_CONFIG";
const SOCKET_VARIABLE: &str = "POSTHASTE_SOCKET";

/// The configuration file: `--config`, else the environment; `None` for the defaults.
pub(crate) fn config_file(global: &Global) -> Option<PathBuf> {
    global.config.clone().or_else(|| variable(CONFIG_VARIABLE))
}

/// What the environment says of the configuration file.
pub(crate) fn variable_config() -> Option<PathBuf> {
    variable(CONFIG_VARIABLE)
}

/// Where the daemon listens for verbs.
pub(crate) fn socket(global: &Global) -> Result<PathBuf, Failure> {
    if let Some(socket) = &global.socket {
        return Ok(socket.clone());
    }
    if let Some(file) = &global.config {
        return of_config(file);
    }
    if let Some(socket) = variable(SOCKET_VARIABLE) {
        return Ok(socket);
    }
    if let Some(file) = variable(CONFIG_VARIABLE) {
        return of_config(&file);
    }
    let found = USUAL_PLACES.iter().map(Path::new).find(|place| place.exists());
    found.map(Path::to_owned).ok_or_else(|| {
        let message = format!(
            "no daemon: there is no {} and no {}; start one with `posthaste serve`, or name it with --socket or \
             --config",
            USUAL_PLACES[0], USUAL_PLACES[1]
        );
        Failure::new(Exit::NoDaemon, "no-daemon", message)
    })
}

fn of_config(file: &Path) -> Result<PathBuf, Failure> {
    Ok(config::socket(file)?)
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from)
}
