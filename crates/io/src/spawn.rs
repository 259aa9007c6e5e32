//! Tasks.

use crate::Task;

/// Starts tasks.
pub trait Spawn: Send + Sync {
    /// Runs `task` beside the caller. `name` is for traces. Dropping the handle does not end the task.
    fn spawn(&self, name: &'static str, task: Task<'static, ()>) -> Box<dyn TaskHandle>;
}

/// A running task.
pub trait TaskHandle: Send + Sync {
    /// Ends the task at its next wait. No destructor of it may be relied on.
    fn abort(&self);
    /// True once it has ended.
    fn is_finished(&self) -> bool;
}
