//! Virtual clocks and timers.

use crate::core::{Core, Happening, Moment};
use crate::host::Door;
use posthaste_io::{Clock, Instant, Timer};
use posthaste_mail::Timestamp;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// What the wall clock shows when a simulation begins: 2026-11-21T00:00:00Z.
pub const WALL_START: Timestamp = Timestamp::from_secs(1_795_219_200);

impl Clock for Door {
    fn now(&self) -> Instant {
        self.core.state.lock().now
    }

    fn wall(&self) -> Timestamp {
        let state = self.core.state.lock();
        let right = WALL_START.plus(state.now - Instant::default());
        let step = state.hosts[self.host].wall_step;
        Timestamp::from_micros(right.as_micros().saturating_add(step))
    }

    fn timer(&self) -> Pin<Box<dyn Timer>> {
        Box::pin(SimTimer { core: Arc::clone(&self.core), due: None, armed: None })
    }
}

struct SimTimer {
    core: Arc<Core>,
    due: Option<Instant>,
    /// The place in the queue, never later than `due`, and whom it wakes.
    armed: Option<(Moment, Waker)>,
}

impl Timer for SimTimer {
    fn set(mut self: Pin<&mut Self>, at: Instant) {
        self.due = Some(at);
        let this = &mut *self;
        if let Some((later, waker)) = this.armed.take_if(|((when, _), _)| *when > at) {
            let mut state = this.core.state.lock();
            state.cancel(later);
            let moment = state.at(at, Happening::Wake(waker.clone()));
            drop(state);
            this.armed = Some((moment, waker));
        }
    }
}

impl Future for SimTimer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.due else { return Poll::Pending };
        let this = &mut *self;
        let mut state = this.core.state.lock();
        if due <= state.now {
            if let Some((moment, _)) = this.armed.take() {
                state.cancel(moment);
            }
            return Poll::Ready(());
        }
        let still =
            this.armed.as_ref().is_some_and(|(moment, _)| state.rewake(*moment, cx.waker()));
        let moment = match &this.armed {
            Some((moment, _)) if still => *moment,
            _ => state.at(due, Happening::Wake(cx.waker().clone())),
        };
        drop(state);
        this.armed = Some((moment, cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for SimTimer {
    fn drop(&mut self) {
        if let Some((moment, _)) = self.armed.take() {
            self.core.state.lock().cancel(moment);
        }
    }
}
