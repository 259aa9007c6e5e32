//! Tasks on the tokio runtime. A task that panics ends the process: code that fails crashes loudly.

use posthaste_io::{Spawn, Task, TaskHandle};
use std::future::poll_fn;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

pub(crate) struct RealSpawn {
    runtime: Handle,
}

impl RealSpawn {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { runtime }
    }
}

impl Spawn for RealSpawn {
    fn spawn(&self, name: &'static str, mut task: Task<'static, ()>) -> Box<dyn TaskHandle> {
        let watched = poll_fn(move |cx| {
            let _watch = AbortOnPanic(name);
            task.as_mut().poll(cx)
        });
        Box::new(RealTask(self.runtime.spawn(watched).abort_handle()))
    }
}

struct RealTask(AbortHandle);

impl TaskHandle for RealTask {
    fn abort(&self) {
        self.0.abort();
    }

    fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

/// Tokio would catch the panic and the rest would go on without the task. Release builds abort by themselves.
struct AbortOnPanic(&'static str);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            use std::io::Write;
            // Best effort: the panic hook has already said what and where.
            let _ = writeln!(std::io::stderr(), "task {} panicked: the process ends", self.0);
            std::process::abort();
        }
    }
}
