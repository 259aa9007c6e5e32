//! The user whom the daemon becomes, and that there is no way back.

use crate::config::Process;
use anyhow::{Context as _, Result, bail, ensure};
use nix::unistd::{
    Gid, Group, Uid, User, getegid, geteuid, getresgid, getresuid, initgroups, setresgid,
    setresuid, setuid,
};
use std::ffi::CString;
use std::fs;

/// Whom to become.
pub(crate) struct Wanted {
    pub(super) name: String,
    pub(super) uid: Uid,
    pub(super) gid: Gid,
}

impl Wanted {
    /// User and group by number.
    pub(crate) fn ids(&self) -> (u32, u32) {
        (self.uid.as_raw(), self.gid.as_raw())
    }
}

/// Who we are.
pub(super) struct Me {
    /// The name, or `uid 1000`.
    pub(super) name: String,
    pub(super) uid: u32,
}

/// Whom the settings name.
///
/// # Errors
/// There is no such user or group.
pub(super) fn named(process: &Process) -> Result<Option<Wanted>> {
    let Some(name) = &process.user else { return Ok(None) };
    let user = User::from_name(name).context("the users of this machine cannot be read")?;
    let Some(user) = user else {
        bail!(
            "there is no user `{name}`, whom `process.user` names: make it with `useradd --system --shell \
             /usr/sbin/nologin {name}`, or name another"
        )
    };
    let gid = match &process.group {
        None => user.gid,
        Some(group) => match Group::from_name(group).context("the groups cannot be read")? {
            Some(found) => found.gid,
            None => bail!(
                "there is no group `{group}`, which `process.group` names: make it with `groupadd --system {group}`, \
                 or name another"
            ),
        },
    };
    Ok(Some(Wanted { name: user.name, uid: user.uid, gid }))
}

/// Whom the settings want us to become; `None`: nobody else than we are.
///
/// # Errors
/// There is no such user or group, or we cannot become it.
pub(super) fn wanted(process: &Process) -> Result<Option<Wanted>> {
    let Some(wanted) = named(process)? else { return Ok(None) };
    let (me, name) = (geteuid(), &wanted.name);
    if me.is_root() && !wanted.uid.is_root() {
        return Ok(Some(wanted));
    }
    let advice = "start it as root, or take `user` and `group` out of [process]";
    let started = name_of(me);
    ensure!(me == wanted.uid, "started as `{started}` it cannot become `{name}`: {advice}");
    ensure!(
        process.group.is_none() || getegid() == wanted.gid,
        "started as `{started}` it cannot change its group: {advice}"
    );
    Ok(None)
}

/// Becomes the user with its groups, and makes sure that nothing is left of what we were.
///
/// # Errors
/// It did not work: the process must not go on.
pub(super) fn become_for_good(wanted: &Wanted) -> Result<()> {
    let Wanted { name, uid, gid } = wanted;
    let cannot = || format!("cannot become the user `{name}`");
    let login = CString::new(name.as_str()).with_context(cannot)?;
    initgroups(&login, *gid).with_context(cannot)?;
    setresgid(*gid, *gid, *gid).with_context(cannot)?;
    setresuid(*uid, *uid, *uid).with_context(cannot)?;
    let (users, groups) = (getresuid()?, getresgid()?);
    let users = [users.real, users.effective, users.saved];
    let groups = [groups.real, groups.effective, groups.saved];
    ensure!(
        users == [*uid; 3] && groups == [*gid; 3],
        "after becoming `{name}`: {users:?} {groups:?}"
    );
    ensure!(setuid(Uid::from_raw(0)).is_err(), "having become `{name}`, it can become root again");
    for (set, kept) in capabilities() {
        ensure!(kept == 0, "having become `{name}`, it keeps capabilities ({set}: {kept:x})");
    }
    Ok(())
}

/// Who we are now.
pub(super) fn me() -> Me {
    let uid = geteuid();
    Me { name: name_of(uid), uid: uid.as_raw() }
}

pub(super) fn name_of(uid: Uid) -> String {
    let known = User::from_uid(uid).ok().flatten();
    known.map_or_else(|| format!("uid {uid}"), |user| user.name)
}

/// What the kernel says of the capabilities that count or can be taken up (capabilities(7)); nothing without /proc.
fn capabilities() -> Vec<(String, u64)> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let sets = status.lines().filter_map(|line| {
        let (name, digits) = line.split_once(":\t")?;
        let counts = ["CapPrm", "CapEff", "CapAmb"].contains(&name);
        Some((name.to_owned(), u64::from_str_radix(digits, 16).ok()?)).filter(|_| counts)
    });
    sets.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sandbox;

    fn asked(user: Option<&str>, group: Option<&str>) -> Result<bool, String> {
        let [user, group] = [user, group].map(|name| name.map(str::to_owned));
        let process = Process { user, group, sandbox: Sandbox::Auto };
        wanted(&process).map(|wanted| wanted.is_some()).map_err(|error| error.to_string())
    }

    #[test]
    fn whoever_is_not_there_is_told_with_what_to_do() {
        let me = me().name;
        assert_eq!(asked(None, None), Ok(false));
        assert_eq!(asked(Some(&me), None), Ok(false), "it is the one who runs this");
        let nobody = asked(Some("no-such-user"), None).unwrap_err();
        assert!(nobody.contains("`no-such-user`") && nobody.contains("useradd"), "{nobody}");
        let group = asked(Some(&me), Some("no-such-group")).unwrap_err();
        assert!(group.contains("`no-such-group`") && group.contains("groupadd"), "{group}");
        if !geteuid().is_root() {
            let root = asked(Some("root"), None).unwrap_err();
            assert!(root.contains("cannot become `root`: start it as root"), "{root}");
        }
    }

    #[test]
    fn the_kernel_tells_capabilities() {
        let sets: Vec<String> = capabilities().into_iter().map(|(set, _)| set).collect();
        assert_eq!(sets, ["CapPrm", "CapEff", "CapAmb"]);
    }
}
