//! The daemon under test: the binary that cargo built, run as an administrator runs it and asked through its verbs.
//!
//! Not here: what it should do (`stories`). The verbs and their JSON are the outside interface.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::Signal;
use serde_json::Value;

use crate::process::Process;

const BINARY: &str = env!("CARGO_BIN_EXE_posthaste");

/// `config check`, which needs no daemon.
pub(crate) fn check(config: &Path) -> Output {
    let mut command = Command::new(BINARY);
    command.args(["config", "check", "--config"]).arg(config).output().expect("cargo built it")
}

/// A daemon that runs or was ended; ended when dropped.
pub(crate) struct Posthaste {
    config: PathBuf,
    log: PathBuf,
    /// Variables that it has besides ours.
    variables: Vec<(&'static str, PathBuf)>,
    process: Option<Process>,
}

impl Posthaste {
    /// Writes `config` (TOML) to `dir` and serves it; returns when all listeners are bound and recovery is done.
    pub(crate) fn start(config: &str, dir: &Path) -> Self {
        Self::start_with(config, dir, Vec::new())
    }

    /// The same, with these variables in its environment.
    pub(crate) fn start_with(
        config: &str,
        dir: &Path,
        variables: Vec<(&'static str, PathBuf)>,
    ) -> Self {
        let file = dir.join("posthaste.toml");
        fs::write(&file, config).expect("the folder is the test's");
        let log = dir.join("posthaste.log");
        let mut posthaste = Self { config: file, log, variables, process: None };
        posthaste.start_again();
        posthaste
    }

    /// Serves what an earlier daemon left; returns when it is ready.
    pub(crate) fn start_again(&mut self) {
        let mut command = Command::new("setpriv"); // no daemon outlives a test that is killed
        command.args(["--pdeathsig", "KILL", BINARY, "serve", "--config"]).arg(&self.config);
        command.args(self.permission()).envs(self.variables.iter().cloned());
        self.process = Some(Process::spawn(command, &self.log));
        let ready = self.verb(&["ping", "--wait", "10s"]);
        assert!(ready.status.success(), "not ready: {ready:?}\n{}", self.log());
    }

    /// `kill -9`, at any moment.
    pub(crate) fn kill9(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// Stops it between two instructions; only `kill9` follows.
    pub(crate) fn freeze(&mut self) {
        self.process.as_mut().expect("it runs").signal(Signal::STOP);
    }

    /// SIGHUP: it rereads its settings.
    pub(crate) fn hang_up(&mut self) {
        self.process.as_mut().expect("it runs").signal(Signal::HUP);
    }

    /// SIGTERM; panics when it takes longer than 15 s (it promises 10 s).
    pub(crate) fn terminate(&mut self) {
        let obeyed = self.process.take().expect("it runs").terminate();
        assert!(obeyed, "SIGTERM was not obeyed within 15 s:\n{}", self.log());
    }

    /// Whether the daemon is up.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// One verb of the command line, told which daemon is meant.
    pub(crate) fn verb(&self, words: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command.args(words).arg("--config").arg(&self.config).args(self.permission());
        command.output().expect("cargo built it")
    }

    /// A clock that runs faster needs leave.
    fn permission(&self) -> Option<&'static str> {
        let text = fs::read_to_string(&self.config).unwrap_or_default();
        text.contains("clock_scale = ").then_some("--allow-clock-scale")
    }

    /// What a verb answers with `--json`.
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let output = self.verb(&[words, &["--json"]].concat());
        assert!(output.status.success(), "{words:?}: {output:?}\n{}", self.log());
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{words:?} is not JSON ({e}): {output:?}"))
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}
