//! One Posthaste with its `sendmail`, a Postfix behind it, and the unpacked programs.

use crate::loopback;
use crate::postfix::{Arrived, Postfix};
use crate::posthaste::Posthaste;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
const BINARY: &str = env!("CARGO_BIN_EXE_posthaste");

/// The neighbours of one Posthaste, and the folder of its state.
pub(crate) struct Scene {
    pub(crate) postfix: Postfix,
    pub(crate) dir: TempDir,
    listener: SocketAddr,
}

impl Scene {
    /// All mail goes to one Postfix. Programs of other users may come in.
    pub(crate) fn set() -> Self {
        let domains = ["remote.test", "sender.test"];
        let postfix = Postfix::start("mx.remote.test", loopback::address(25), &domains);
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("ours");
        let scene = Self { postfix, dir, listener: loopback::address(2525) };
        fs::write(scene.path("posthaste.toml"), scene.settings()).expect("ours");
        symlink(BINARY, scene.path("sendmail")).expect("new");
        scene
    }

    pub(crate) fn posthaste(&self) -> Posthaste {
        Posthaste::start(&self.settings(), self.dir.path())
    }

    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.dir.path().join(inside)
    }

    pub(crate) fn text(&self, inside: &str) -> String {
        self.path(inside).display().to_string()
    }

    /// Files of the pickup folder with such an ending.
    pub(crate) fn left(&self, ending: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("pickup")).into_iter().flatten();
        let paths = entries.map(|entry| entry.expect("readable").path());
        paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
    }

    /// Files of the pickup folder that the daemon has taken.
    pub(crate) fn in_hand(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("pickup/.in-hand")).into_iter().flatten();
        entries.map(|entry| entry.expect("readable").path()).collect()
    }

    /// Our `sendmail`, told where its settings are.
    pub(crate) fn sendmail(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path("sendmail"));
        command.args(arguments).env("POSTHASTE_CONFIG", self.path("posthaste.toml"));
        command
    }

    /// An unpacked program with its libraries, in this scene's folder.
    pub(crate) fn program(&self, inside: &str) -> Command {
        let mut command = Command::new(programs().join(inside));
        command
            .env("LD_LIBRARY_PATH", libraries())
            .env("POSTHASTE_CONFIG", self.path("posthaste.toml"))
            .env("HOME", self.dir.path())
            .env("LC_ALL", "C.UTF-8")
            .current_dir(self.dir.path());
        command
    }

    /// The one message with this subject, as it stands in its field; waits for it.
    pub(crate) fn arrived(&self, count: usize, subject: &str) -> Arrived {
        let arrived = self.postfix.wait_for(count, PATIENCE);
        let found = arrived.iter().find(|m| m.header("Subject") == Some(subject));
        found.unwrap_or_else(|| panic!("{subject} is not among {arrived:#?}")).clone()
    }

    pub(crate) fn settings(&self) -> String {
        let step = "{ times = 60, every = \"1s\" }";
        format!(
            "hostname = \"mta.sender.test\"\ndata = \"{dir}/data\"\n\
             [submission]\norigin = \"sender.test\"\nsocket = \"{dir}/submit.sock\"\npickup = \"{dir}/pickup\"\n\
             [[listener]]\naddress = \"{listener}\"\n\
             [[route]]\nto = \"*\"\nvia = \"{postfix}\"\n\
             [resolver]\nservers = \"127.0.0.1:1\"\nroots = []\n\
             [retry]\nglitch = {step}\ntransient = {step}\nlater = [\"1s\"]\njitter = 0.0\n\
             [admin]\naddress = \"off\"\n",
            dir = self.dir.path().display(),
            listener = self.listener,
            postfix = self.postfix.address(),
        )
    }
}

/// Where `setup` unpacked the programs to.
pub(crate) fn programs() -> PathBuf {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.e2e/programs");
    assert!(
        cache.join("ready").exists(),
        "the programs are absent: run crates/posthaste/tests/programs/setup as root first"
    );
    cache.join("tree").canonicalize().expect("setup makes the tree before it writes `ready`")
}

/// Where they find the libraries they were shipped with.
pub(crate) fn libraries() -> String {
    let usr = programs().join("usr/lib");
    let entries = fs::read_dir(&usr).expect("packages hold usr/lib");
    let names = entries.map(|entry| entry.expect("readable").file_name());
    let name = names.map(|n| n.to_string_lossy().into_owned()).find(|n| n.ends_with("-linux-gnu"));
    let name = name.expect("there is a multiarch folder");
    format!("{}:{}", usr.join(&name).display(), programs().join("lib").join(&name).display())
}

/// Runs it with this standard input.
pub(crate) fn fed(command: &mut Command, input: &str) -> Output {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|e| panic!("cannot start {command:?} ({e}): run setup"));
    // One that fails early does not read it.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("the child is ours")
}

/// The same, and it must succeed.
pub(crate) fn succeeds(command: &mut Command, input: &str) {
    let output = fed(command, input);
    assert!(output.status.success(), "{command:?}: {output:?}");
}
