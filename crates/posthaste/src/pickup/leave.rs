//! Leaves a message in the pickup folder: durable before success is said.
//!
//! Whoever leaves mail need not be able to list the folder, nor to read what others left.

use super::{Part, SUFFIX};
use anyhow::{Context as _, Result};
use rustix::fs::syncfs;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::SystemTime;

/// The folder's files get the folder's group: the daemon's, which may read them.
const SET_GROUP: u32 = 0o2000;

/// Writes the message under a name that nobody can guess and that nobody takes up, then gives it its own.
///
/// # Errors
/// Nothing was left.
pub(crate) fn leave(folder: &Path, part: &Part<'_>) -> Result<()> {
    let place = || format!("cannot leave it in {}", folder.display());
    let mode = match fs::metadata(folder).with_context(place)?.mode() & SET_GROUP {
        0 => 0o600,
        _ => 0o640,
    };
    let name = format!("{}{:016x}", since_1970(), posthaste_io_tokio::unpredictable());
    let (under_way, whole) = (folder.join(format!("{name}.new")), folder.join(name + SUFFIX));
    let mut options = OpenOptions::new();
    let mut file =
        options.write(true).create_new(true).mode(0o600).open(&under_way).with_context(place)?;
    let written = write(&mut file, part, mode)
        .and_then(|()| Ok(fs::rename(&under_way, &whole)?))
        .and_then(|()| sync_folder(folder, &file));
    written.with_context(place).inspect_err(|_| {
        // Under either name; what is not there needs no removal.
        let _ = fs::remove_file(&under_way);
        let _ = fs::remove_file(&whole);
    })
}

/// How many messages wait; `None` when that is not for the caller to know.
pub(crate) fn count(folder: &Path) -> Option<usize> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    Some(entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(SUFFIX)).count())
}

fn write(file: &mut File, part: &Part<'_>, mode: u32) -> Result<()> {
    file.write_all(&part.envelope())?;
    file.write_all(part.content)?;
    // Whatever the caller's umask says.
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(file.sync_all()?)
}

/// A folder that must not be listed cannot be opened and synced by itself.
fn sync_folder(folder: &Path, file: &File) -> Result<()> {
    match File::open(folder) {
        Ok(folder) => Ok(folder.sync_all()?),
        Err(_) => Ok(syncfs(file)?),
    }
}

/// Names are in order of time: what came first is taken up first. Microseconds.
fn since_1970() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{:016}-", since.as_micros())
}
