//! A room: a root folder of its own for a server that insists on fixed places and names (users, settings, queue).
//!
//! Entered with chroot(2), which root may do in every container, unlike mounts. Not here: which server lives there
//! (`exim`, `opensmtpd`), and how a room is furnished with a program and its libraries (`setup`).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::tree;

/// A copy of a furnished room; removed when dropped.
pub(crate) struct Room(TempDir);

/// A user that exists in the room alone. Numbers are those of users that every Debian has.
pub(crate) struct User(pub(crate) &'static str, pub(crate) u32);

impl Room {
    /// Copies the room of a Debian package and puts these users into it.
    pub(crate) fn of(package: &str, users: &[User]) -> Self {
        Self::copied(&tree::root().join("rooms").join(package), users)
    }

    /// The same for a room that is furnished elsewhere.
    pub(crate) fn copied(furnished: &Path, users: &[User]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let furnished = furnished.join(".");
        let copied = Command::new("cp").arg("-a").arg(furnished).arg(dir.path()).output();
        let copied = copied.expect("cp is part of every Debian");
        assert!(copied.status.success(), "{copied:?}: run setup first");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("ours");
        let room = Self(dir);
        let (mut passwd, mut group) = (String::new(), String::new());
        for User(name, id) in users {
            passwd += &format!("{name}:x:{id}:{id}::/mail:/bin/sh\n");
            group += &format!("{name}:x:{id}:\n");
        }
        room.write("etc/passwd", &passwd);
        room.write("etc/group", &group);
        room
    }

    /// A place in the room as seen from outside.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.0.path().join(inside)
    }

    /// Writes a file.
    pub(crate) fn write(&self, inside: &str, text: &str) {
        fs::write(self.path(inside), text).expect("the room is the test's");
    }

    /// Makes a folder that belongs to a user.
    pub(crate) fn folder(&self, inside: &str, owner: u32) {
        let path = self.path(inside);
        fs::create_dir_all(&path).expect("the room is the test's");
        std::os::unix::fs::chown(path, Some(owner), Some(owner)).expect("these tests run as root");
    }

    /// The files of a maildir, which is made with the first message.
    pub(crate) fn maildir(&self, inside: &str) -> impl Iterator<Item = PathBuf> {
        let folder = fs::read_dir(self.path(inside).join("new")).ok();
        folder.into_iter().flatten().map(|entry| entry.expect("readable").path())
    }

    /// A command that runs a program of the room in it and ends it with the test, whatever user it becomes: a shell that
    /// stays root outside waits for the signal that the kernel sends then.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "sh", "-c"]);
        command.arg("chroot \"$@\" & child=$!; trap 'kill $child' TERM; wait $child");
        command.arg("room").arg(self.0.path()).args(words);
        command
    }
}
