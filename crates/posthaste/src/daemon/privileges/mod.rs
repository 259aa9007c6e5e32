//! Least privilege: what the daemon gives up before it reads a single octet of a stranger.
//!
//! As root it makes its folders, opens the ports below 1024 and becomes the user of `[process]` for good. Then, whoever
//! it is: no memory is ever dumped to a disk, files are made for nobody else, the kernel keeps it to its own folders
//! (`files`) and to the system calls it makes (`calls`). All of it happens before there is a second thread, and none of it
//! can be undone: what is reread later must be in reach then.
//!
//! Not here: verbs and `sendmail`, which end soon and are whoever calls them.

mod calls;
mod files;
mod folders;
mod foresight;
mod reach;
mod user;

pub(crate) use foresight::foresee;
pub(crate) use reach::explain;

use super::inherited::Inherited;
use crate::config::{Config, Process, Sandbox};
use anyhow::{Context as _, Result};
use posthaste_admin::desk::{Kept, Rights};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, geteuid, set_dumpable_behavior, setrlimit, umask,
};
use std::path::Path;

/// Whatever is made is ours alone, unless its mode is set afterwards.
const UMASK: u32 = 0o077;

/// What is left of the privileges of the start.
pub(crate) struct Standing {
    user: user::Me,
    /// It is another user than the one who started us.
    changed: bool,
    files: Kept,
    calls: Kept,
}

impl Standing {
    /// Whom the process became, when it is not who started it.
    pub(crate) fn became(&self) -> Option<&str> {
        self.changed.then_some(self.user.name.as_str())
    }

    /// For the operators' interface.
    pub(crate) fn rights(&self) -> Rights {
        Rights { user: self.user.name.clone(), files: self.files, calls: self.calls }
    }
}

/// Whom root makes folders and files for, before the daemon runs for the first time; `None`: for whoever makes them.
///
/// # Errors
/// There is no such user or group.
pub(crate) fn owner(process: &Process) -> Result<Option<user::Wanted>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    Ok(user::named(process)?.filter(|wanted| !wanted.uid.is_root()))
}

/// Makes a folder of the daemon's that is missing, closed to others.
///
/// # Errors
/// Names the folder and what the system says.
pub(crate) fn make_folder(folder: &Path, owner: Option<&user::Wanted>) -> Result<()> {
    folders::make_one(folder, folders::PRIVATE, owner)
}

/// Makes the folders, opens what only root may open, and becomes the user of the settings.
///
/// # Errors
/// What is missing, and the command that mends it. The process never goes on as root where a user is set.
pub(crate) fn shed(config: &Config, inherited: &mut Inherited) -> Result<Standing> {
    let wanted = user::wanted(&config.process)?;
    folders::make(config, wanted.as_ref())?;
    umask(rustix::fs::Mode::from_raw_mode(UMASK));
    if let Some(wanted) = &wanted {
        inherited.open_low(&config.listeners)?;
        user::become_for_good(wanted)?;
    } else if geteuid().is_root() {
        tracing::warn!(
            "the daemon runs as root: make a user for it, `useradd --system --shell /usr/sbin/nologin posthaste`, and \
             write user = \"posthaste\" under [process]; or let systemd start it as one (User=)"
        );
    }
    no_cores()?;
    // No program that the token broker starts gets more than we have ourselves.
    rustix::thread::set_no_new_privs(true).context("new privileges cannot be forgone")?;
    folders::look(config)?;
    let changed = wanted.is_some();
    Ok(Standing { user: user::me(), changed, files: Kept::Open, calls: Kept::Open })
}

/// Lets the kernel refuse what the daemon never does, as far as this kernel can.
pub(crate) fn confine(mut standing: Standing, config: &Config, file: Option<&Path>) -> Standing {
    if config.process.sandbox == Sandbox::Auto {
        standing.files = files::confine(reach::of(config, file));
        standing.calls = calls::confine();
    }
    let Standing { user, files, calls, .. } = &standing;
    let (files, calls) = (files.word(), calls.word());
    tracing::info!(user = user.name, uid = user.uid, files, calls, "what the process may do");
    standing
}

/// Secrets and mail are in memory: it is never written to a disk, and no other process of this user may look into it.
fn no_cores() -> Result<()> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).context("core dumps cannot be turned off")?;
    // A program that the kernel pipes cores to takes no notice of the limit.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("core dumps cannot be turned off")
}
