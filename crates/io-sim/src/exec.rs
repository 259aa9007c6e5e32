//! Tasks and their scheduling: the seed picks the next ready task; a waker does no more than queue one.

use crate::core::Core;
use parking_lot::Mutex;
use posthaste_io::{Task, TaskHandle};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

#[derive(Default)]
pub(crate) struct Exec {
    tasks: Mutex<Tasks>,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Tasks {
    slots: BTreeMap<u64, Slot>,
    ready: Vec<u64>,
    next: u64,
}

struct Slot {
    host: usize,
    name: &'static str,
    /// Absent while it is being polled.
    task: Option<Task<'static, ()>>,
    waker: Arc<TaskWaker>,
}

#[derive(Default)]
struct Woken(Mutex<Vec<u64>>);

struct TaskWaker {
    id: u64,
    queued: AtomicBool,
    aborted: AtomicBool,
    finished: AtomicBool,
    woken: Arc<Woken>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.woken.0.lock().push(self.id);
        }
    }
}

pub(crate) struct SimTask(Arc<TaskWaker>);

impl TaskHandle for SimTask {
    fn abort(&self) {
        self.0.aborted.store(true, Ordering::Relaxed);
        self.0.wake_by_ref();
    }

    fn is_finished(&self) -> bool {
        self.0.finished.load(Ordering::Relaxed)
    }
}

impl SimTask {
    /// The handle of a task that was never started: its host is gone.
    pub(crate) fn none() -> Self {
        let waker = TaskWaker {
            id: u64::MAX,
            queued: AtomicBool::new(true),
            aborted: AtomicBool::new(true),
            finished: AtomicBool::new(true),
            woken: Arc::default(),
        };
        Self(Arc::new(waker))
    }
}

enum Picked {
    /// Woken, but it has ended or went with its host.
    Gone,
    Task(u64, Arc<TaskWaker>, Task<'static, ()>),
}

impl Exec {
    pub(crate) fn spawn(
        &self,
        host: usize,
        name: &'static str,
        task: Task<'static, ()>,
    ) -> SimTask {
        let mut tasks = self.tasks.lock();
        let id = tasks.next;
        tasks.next += 1;
        let waker = Arc::new(TaskWaker {
            id,
            queued: AtomicBool::new(true),
            aborted: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            woken: Arc::clone(&self.woken),
        });
        let slot = Slot { host, name, task: Some(task), waker: Arc::clone(&waker) };
        tasks.slots.insert(id, slot);
        drop(tasks);
        self.woken.0.lock().push(id);
        SimTask(waker)
    }

    /// Polls one ready task, which the seed picks; false when none is ready.
    pub(crate) fn poll_one(&self, core: &Core) -> bool {
        let (id, waker, mut task) = match self.pick(core) {
            None => return false,
            Some(Picked::Gone) => return true,
            Some(Picked::Task(id, waker, task)) => (id, waker, task),
        };
        waker.queued.store(false, Ordering::Relaxed);
        let aborted = waker.aborted.load(Ordering::Relaxed);
        let context_waker = Waker::from(Arc::clone(&waker));
        let done =
            aborted || task.as_mut().poll(&mut Context::from_waker(&context_waker)).is_ready();
        if done {
            waker.finished.store(true, Ordering::Relaxed);
            self.tasks.lock().slots.remove(&id);
            drop(task);
        } else {
            self.put_back(id, task);
        }
        true
    }

    fn pick(&self, core: &Core) -> Option<Picked> {
        let mut tasks = self.tasks.lock();
        tasks.ready.append(&mut self.woken.0.lock());
        if tasks.ready.is_empty() {
            return None;
        }
        let mut state = core.state.lock();
        let index = state.rng.index(tasks.ready.len());
        let id = tasks.ready.swap_remove(index);
        state.step(id);
        let Some(slot) = tasks.slots.get_mut(&id) else { return Some(Picked::Gone) };
        state.tell(id, slot.name);
        let task = slot.task.take().expect("only the one task that runs is out of its slot");
        Some(Picked::Task(id, Arc::clone(&slot.waker), task))
    }

    fn put_back(&self, id: u64, task: Task<'static, ()>) {
        let mut tasks = self.tasks.lock();
        if let Some(slot) = tasks.slots.get_mut(&id) {
            slot.task = Some(task);
            return;
        }
        // The host went while this task ran (it brought its own host down).
        drop(tasks);
        drop(task);
    }

    /// Drops all tasks of a host, in order of their start.
    pub(crate) fn drop_host(&self, host: usize) {
        let ids: Vec<u64> = {
            let tasks = self.tasks.lock();
            tasks.slots.iter().filter(|(_, s)| s.host == host).map(|(id, _)| *id).collect()
        };
        self.drop_tasks(&ids);
    }

    /// Drops every task.
    pub(crate) fn drop_all(&self) {
        let ids: Vec<u64> = self.tasks.lock().slots.keys().copied().collect();
        self.drop_tasks(&ids);
    }

    fn drop_tasks(&self, ids: &[u64]) {
        for id in ids {
            let slot = self.tasks.lock().slots.remove(id);
            if let Some(slot) = slot {
                slot.waker.finished.store(true, Ordering::Relaxed);
                // Destructors run here, without any lock.
                drop(slot.task);
            }
        }
    }

    /// The names of the tasks that wait, with their hosts.
    pub(crate) fn waiting(&self) -> Vec<(usize, &'static str)> {
        self.tasks.lock().slots.values().map(|slot| (slot.host, slot.name)).collect()
    }
}
