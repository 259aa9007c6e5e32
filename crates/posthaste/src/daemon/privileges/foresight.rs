//! What root can see beforehand: that the user whom the daemon becomes could not read a file that the settings name, or work
//! in its folders.
//!
//! By owner, group and mode alone: lists of access rights (acl(5)) and file systems that are mounted read-only are not
//! looked at. Not here: what the daemon itself finds when it starts (`folders`).

use super::user::{Wanted, name_of, named};
use crate::config::{self, Config};
use anyhow::{Context as _, Result};
use nix::unistd::{Group, Uid, geteuid, getgrouplist};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Rights, as the last digit of a mode has them.
const READ: u32 = 0o4;
const PASS: u32 = 0o1;
const RUN: u32 = 0o5;
const WORK: u32 = 0o7;

/// The user, and what can be done about files.
struct Eyes {
    user: Wanted,
    group: String,
    groups: Vec<u32>,
    told: BTreeSet<PathBuf>,
    doubts: Vec<(String, String)>,
}

/// What that user could not use, each with its place and the command that mends it; seen by root alone.
///
/// # Errors
/// There is no such user or group: whoever looks.
pub(crate) fn foresee(config: &Config, file: Option<&Path>) -> Result<Vec<(String, String)>> {
    let Some(user) = named(&config.process)? else { return Ok(Vec::new()) };
    if !geteuid().is_root() || user.uid.is_root() {
        return Ok(Vec::new());
    }
    let mut eyes = Eyes::of(user)?;
    for folder in [&config.data, &config.log.events, &config.submission.pickup] {
        eyes.works_in(folder);
    }
    let public = config.certificates.iter().flat_map(|files| [&files.chain, &files.key]);
    let by_group: BTreeSet<&PathBuf> = public.collect();
    let folder = config.notices.texts.as_ref();
    for path in config.files().into_iter().filter(|path| Some(path) != folder) {
        // Programs that renew certificates keep the owner of what they write: the group is let in.
        let to_group = by_group.contains(&path);
        eyes.reaches(&path, READ, |eyes, at| match to_group {
            true => format!("chgrp {} {at} && chmod g+r {at}", eyes.group),
            false => format!("chown {} {at}", eyes.user.name),
        });
    }
    if let Some(file) = file {
        eyes.reaches(file, READ, |eyes, at| format!("chgrp {} {at} && chmod g+r {at}", eyes.group));
    }
    if let Some(folder) = &config.notices.texts {
        eyes.reaches(folder, READ, |eyes, at| {
            format!("chgrp {} {at} && chmod g+rx {at}", eyes.group)
        });
        for text in config::texts_in(folder) {
            eyes.reaches(&text, READ, |eyes, at| {
                format!("chgrp {} {at} && chmod g+r {at}", eyes.group)
            });
        }
    }
    for program in config.token_commands().iter().filter_map(|words| words.first()) {
        eyes.reaches(Path::new(program), RUN, |_, at| format!("chmod 755 {at}"));
    }
    Ok(eyes.doubts)
}

impl Eyes {
    fn of(user: Wanted) -> Result<Self> {
        let login = CString::new(user.name.as_str()).context("a user name is no text")?;
        let groups = getgrouplist(&login, user.gid).context("the groups cannot be read")?;
        let group = Group::from_gid(user.gid).ok().flatten();
        let group = group.map_or_else(|| user.gid.to_string(), |group| group.name);
        let groups = groups.into_iter().map(|gid| gid.as_raw()).collect();
        Ok(Self { user, group, groups, told: BTreeSet::new(), doubts: Vec::new() })
    }

    /// The rule of the system: the first of owner, group and others that fits decides.
    fn may(&self, found: &Metadata, right: u32) -> bool {
        let shift = match found {
            found if found.uid() == self.user.uid.as_raw() => 6,
            found if self.groups.contains(&found.gid()) => 3,
            _ => 0,
        };
        (found.mode() >> shift) & right == right
    }

    /// A folder of the daemon's own, if it is there already.
    fn works_in(&mut self, folder: &Path) {
        let Ok(found) = fs::metadata(folder) else { return };
        if !self.may(&found, WORK) {
            let remedy = format!("chown -R {}: {}", self.user.name, folder.display());
            self.tell(folder, &found, "work in it", &remedy);
        }
    }

    /// A file, under the name that the settings have and under the one that links lead to.
    fn reaches(&mut self, path: &Path, right: u32, remedy: impl FnOnce(&Self, &str) -> String) {
        // One that is missing is told of elsewhere.
        let (Ok(named), Ok(real)) = (std::path::absolute(path), path.canonicalize()) else {
            return;
        };
        for folder in [&named, &real].into_iter().flat_map(|path| path.ancestors().skip(1)) {
            let Ok(found) = fs::metadata(folder) else { continue };
            if !self.may(&found, PASS) {
                let (group, at) = (&self.group, folder.display());
                let remedy = format!("chgrp {group} {at} && chmod g+x {at}");
                self.tell(
                    folder,
                    &found,
                    &format!("get through it to {}", path.display()),
                    &remedy,
                );
            }
        }
        let Ok(found) = fs::metadata(&real) else { return };
        if !self.may(&found, right) {
            let what = if right == RUN { "run it" } else { "read it" };
            let remedy = remedy(self, &real.display().to_string());
            self.tell(path, &found, what, &remedy);
        }
    }

    /// Each place once.
    fn tell(&mut self, place: &Path, found: &Metadata, what: &str, remedy: &str) {
        if !self.told.insert(place.to_owned()) {
            return;
        }
        let (whose, mode) = (name_of(Uid::from_raw(found.uid())), found.mode() & 0o7777);
        let what = format!(
            "the user `{}`, whom `process.user` names, cannot {what}: it belongs to `{whose}` (mode {mode:04o}); run: \
             {remedy}",
            self.user.name
        );
        self.doubts.push((place.display().to_string(), what));
    }
}
