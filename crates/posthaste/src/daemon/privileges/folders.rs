//! The daemon's own folders: made for its user, closed to others, and looked at before anything is opened in them.
//!
//! Not here: what lies in them.

use super::user::{Wanted, name_of};
use crate::config::Config;
use crate::daemon::pickup;
use crate::spool::FOLDER;
use anyhow::{Context as _, Result, bail};
use nix::unistd::Uid;
use posthaste_io_tokio::Folder;
use rustix::fs::{Access, access};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::Path;

/// Ours alone.
pub(super) const PRIVATE: u32 = 0o700;
/// What others pass through: folders above ours, and those of sockets.
const PASSED: u32 = 0o755;
/// The rights of group and others.
const OTHERS: u32 = 0o077;
/// More files of a folder are not looked at before they are opened.
const MAX_LOOKED_AT: usize = 10_000;

/// Makes what is missing, for the user we are going to be.
pub(super) fn make(config: &Config, owner: Option<&Wanted>) -> Result<()> {
    // What lies in it is made by that user later: in a folder of another's, root makes nothing.
    make_one(&config.data, PRIVATE, owner)?;
    let waiting = config.submission.pickup.as_path();
    let mut all = vec![(config.log.events.as_path(), PRIVATE)];
    all.push((waiting, pickup::mode(waiting, &config.data)));
    all.extend(sockets(config).map(|folder| (folder, PASSED)));
    for (folder, mode) in all.into_iter().filter(|(folder, _)| !folder.starts_with(&config.data)) {
        make_one(folder, mode, owner)?;
    }
    Ok(())
}

/// The folders of the sockets.
pub(super) fn sockets(config: &Config) -> impl Iterator<Item = &Path> {
    let sockets = [&config.admin.socket, &config.submission.socket];
    sockets.into_iter().filter_map(|socket| socket.parent()).map(here)
}

/// The folder of a bare name is this one.
pub(super) fn here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

pub(super) fn make_one(folder: &Path, mode: u32, owner: Option<&Wanted>) -> Result<()> {
    let place = || format!("cannot make the folder {}", folder.display());
    if folder.is_dir() {
        return Ok(());
    }
    let mut missing: Vec<&Path> = folder.ancestors().take_while(|f| !here(f).exists()).collect();
    while let Some(next) = missing.pop() {
        let is_last = missing.is_empty();
        let owner = owner.filter(|_| is_last);
        make_in_parent(next, if is_last { mode } else { PASSED }, owner).with_context(place)?;
    }
    Ok(())
}

/// What is made is changed through its descriptor: who may rename it changes nothing of another folder.
fn make_in_parent(folder: &Path, mode: u32, owner: Option<&Wanted>) -> io::Result<()> {
    let (parent, name) = Folder::of_file(folder)?;
    let (made, is_new) = parent.make(&name, mode)?;
    // One that was laid there meanwhile is not ours.
    if !is_new || made.owner()?.0 != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    // Whatever the umask says.
    made.handle().set_permissions(Permissions::from_mode(mode))?;
    let Some(owner) = owner else { return Ok(()) };
    fchown(made.handle(), Some(owner.uid.as_raw()), Some(owner.gid.as_raw()))
}

/// Closes what was open to others, and refuses what we could not work in, as the user we are now.
///
/// # Errors
/// Names the folder or file, whose it is, and the command that mends it.
pub(super) fn look(config: &Config) -> Result<()> {
    let Config { data, log, submission, .. } = config;
    let spool = data.join(FOLDER);
    let all = [data, &log.events, &submission.pickup, &spool].map(std::path::PathBuf::as_path);
    for folder in all.into_iter().chain(sockets(config)).filter(|folder| folder.exists()) {
        usable(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)?;
    }
    for folder in [data, &spool] {
        close(folder);
    }
    for folder in [&spool, &log.events] {
        let Ok(listing) = fs::read_dir(folder) else { continue };
        for entry in listing.take(MAX_LOOKED_AT).flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                usable(&entry.path(), Access::READ_OK | Access::WRITE_OK)?;
            }
        }
    }
    Ok(())
}

/// We may do that with it.
fn usable(path: &Path, how: Access) -> Result<()> {
    let Err(error) = access(path, how) else { return Ok(()) };
    // A file that went meanwhile is nobody's.
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    let (me, whose) = (super::user::me().name, name_of(Uid::from_raw(found.uid())));
    let folder = if found.is_dir() { path } else { path.parent().unwrap_or(path) };
    let (path, folder) = (path.display(), folder.display());
    bail!(
        "the user `{me}` cannot use {path} ({error}): it belongs to `{whose}`. With the daemon stopped: `chown -R {me}: {folder}`"
    )
}

/// Takes what group and others may do in a folder of an earlier version, or of somebody's `mkdir`.
fn close(folder: &Path) {
    let Ok(found) = fs::metadata(folder) else { return };
    let mode = found.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return;
    }
    let (place, was) = (folder.display(), format!("{mode:04o}"));
    match fs::set_permissions(folder, Permissions::from_mode(mode & !OTHERS)) {
        Ok(()) => tracing::info!(was, "{place} was open to other users; it is closed to them now"),
        Err(error) => {
            tracing::warn!(was, "{place} is open to other users: chmod 0700 {place} ({error})")
        }
    }
}
