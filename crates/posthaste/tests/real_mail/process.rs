//! One child process of a test: its output in a file, its end certain.
//!
//! Not here: what the process is for (`dns`, `postfix`, `posthaste`).

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to obey SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(10);

/// A child, killed when dropped.
pub(crate) struct Process(Child);

impl Process {
    /// Starts `command` as leader of its own process group, with both outputs appended to the file `log`.
    pub(crate) fn spawn(mut command: Command, log: &Path) -> Self {
        let output = File::options().create(true).append(true).open(log).expect("folder is ours");
        let errors = output.try_clone().expect("a descriptor is free");
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        Self(child)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has not ended yet.
    pub(crate) fn is_running(&mut self) -> bool {
        self.0.try_wait().expect("the child is ours").is_none()
    }

    /// Sends a signal to the process alone; one that has ended is left alone.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            kill_process(Pid::from_child(&self.0), signal)
                .expect("the child is ours and not reaped");
        }
    }

    /// SIGTERM, and SIGKILL for one that does not obey within 15 s. Returns whether it obeyed.
    pub(crate) fn terminate(&mut self) -> bool {
        self.signal(Signal::TERM);
        let obeyed = until(GRACE, || !self.is_running());
        if !obeyed {
            self.kill();
        }
        obeyed
    }

    /// SIGKILL, and waits for the end.
    pub(crate) fn kill(&mut self) {
        self.0.kill().expect("the child is ours");
        self.0.wait().expect("the child is ours");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.terminate();
    }
}

/// Asks every 10 ms until `condition` holds or `patience` is over; returns whether it held.
pub(crate) fn until(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() > patience {
            return false;
        }
        sleep(POLL);
    }
}
