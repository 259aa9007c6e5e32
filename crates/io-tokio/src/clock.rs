//! Clocks and timers over tokio's.

use posthaste_io::{Clock, Instant, Timer};
use posthaste_mail::Timestamp;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant as TokioInstant, Sleep};

/// Monotonic time since the world began, and the system's wall clock.
pub(crate) struct RealClock {
    start: TokioInstant,
}

impl RealClock {
    pub(crate) fn start() -> Self {
        Self { start: TokioInstant::now() }
    }
}

impl Clock for RealClock {
    fn now(&self) -> Instant {
        Instant::default() + self.start.elapsed()
    }

    fn wall(&self) -> Timestamp {
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Timestamp::EPOCH.plus(since),
            Err(before) => Timestamp::EPOCH.minus(before.duration()),
        }
    }

    fn timer(&self) -> Pin<Box<dyn Timer>> {
        Box::pin(LazyTimer { start: self.start, due: None, armed: None })
    }
}

/// A timer that is moved later without touching tokio's wheel: when the old time comes, it looks again.
struct LazyTimer {
    start: TokioInstant,
    due: Option<TokioInstant>,
    /// Tokio's entry; its deadline is never after `due`.
    armed: Option<Pin<Box<Sleep>>>,
}

/// Tokio takes no deadlines beyond this; a timer this far off is as good as never.
const FARTHEST: Duration = Duration::from_secs(365 * 24 * 3600);

impl Timer for LazyTimer {
    fn set(mut self: Pin<&mut Self>, at: Instant) {
        let due = self.start + (at - Instant::default()).min(FARTHEST);
        self.due = Some(due);
        if let Some(armed) = self.armed.as_mut().filter(|armed| armed.deadline() > due) {
            armed.as_mut().reset(due);
        }
    }
}

impl Future for LazyTimer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.due else { return Poll::Pending };
        let armed = self.armed.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        while armed.as_mut().poll(cx).is_ready() {
            if armed.deadline() >= due {
                return Poll::Ready(());
            }
            armed.as_mut().reset(due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    #[test]
    fn a_timer_moved_later_fires_at_the_later_time_only() {
        runtime().block_on(async {
            let clock = RealClock::start();
            let mut timer = clock.timer();
            let begin = clock.now();
            timer.as_mut().set(begin + Duration::from_millis(20));
            let pending = timer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(pending, Poll::Pending);
            timer.as_mut().set(begin + Duration::from_millis(80));
            timer.as_mut().await;
            assert!(clock.now() - begin >= Duration::from_millis(80));
            timer.as_mut().set(begin);
            timer.await;
        });
    }

    #[test]
    fn a_timer_moved_earlier_fires_earlier_even_unpolled() {
        runtime().block_on(async {
            let clock = RealClock::start();
            let mut timer = clock.timer();
            let begin = clock.now();
            timer.as_mut().set(begin + Duration::from_secs(3600));
            let mut moved = false;
            std::future::poll_fn(|cx| {
                let polled = timer.as_mut().poll(cx);
                if !moved {
                    moved = true;
                    timer.as_mut().set(begin + Duration::from_millis(20));
                }
                polled
            })
            .await;
            let took = clock.now() - begin;
            assert!(took >= Duration::from_millis(20) && took < Duration::from_secs(60));
        });
    }

    #[test]
    fn an_unset_timer_never_fires_and_a_far_one_is_no_fault() {
        runtime().block_on(async {
            let clock = RealClock::start();
            let mut timer = clock.timer();
            let mut cx = Context::from_waker(Waker::noop());
            assert_eq!(timer.as_mut().poll(&mut cx), Poll::Pending);
            timer.as_mut().set(Instant(u64::MAX));
            assert_eq!(timer.as_mut().poll(&mut cx), Poll::Pending);
            assert!(posthaste_io::within(&clock, Duration::from_millis(5), timer).await.is_none());
        });
    }

    #[test]
    fn the_wall_clock_is_the_systems() {
        let wall = RealClock::start().wall();
        assert!(wall > Timestamp::from_secs(1_700_000_000) && wall < Timestamp::FAR_FUTURE);
    }
}
