//! Runs the built binary and tells what it said.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The error on standard error as JSON, which must be one line.
    pub(crate) fn error(&self) -> serde_json::Value {
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "{self:?}");
        let line: serde_json::Value =
            serde_json::from_str(&self.stderr).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        line["error"].clone()
    }
}

/// Runs it in a folder, with no environment that names a daemon.
pub(crate) fn posthaste(folder: &Path, arguments: &[&str]) -> Ran {
    fed(folder, arguments, "")
}

/// The same with standard input.
pub(crate) fn fed(folder: &Path, arguments: &[&str], input: &str) -> Ran {
    run(Command::new(env!("CARGO_BIN_EXE_posthaste")).args(arguments), folder, input)
}

/// The same with one more environment variable.
pub(crate) fn with_variable(folder: &Path, arguments: &[&str], name: &str, value: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posthaste"));
    run(command.args(arguments).env(name, value), folder, "")
}

fn run(command: &mut Command, folder: &Path, input: &str) -> Ran {
    for variable in ["POSTHASTE_CONFIG", "POSTHASTE_SOCKET"] {
        if !command.get_envs().any(|(name, value)| name == variable && value.is_some()) {
            command.env_remove(variable);
        }
    }
    command.current_dir(folder);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    // A verb that fails early does not read it.
    let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the child is ours");
    Ran {
        code: output.status.code().expect("it was not killed"),
        stdout: String::from_utf8(output.stdout).expect("we print UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("we print UTF-8"),
    }
}
