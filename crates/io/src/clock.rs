//! Time: a monotonic clock for waiting, a wall clock for what people read.

use futures_util::future::{Either, select};
use posthaste_mail::Timestamp;
use std::future::Future;
use std::ops::{Add, Sub};
use std::pin::Pin;
use std::time::Duration;

/// A moment of the monotonic clock: nanoseconds since the world began.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(pub u64);

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// How long after `earlier` this is; zero when it is not after it.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The world's clocks.
pub trait Clock: Send + Sync {
    /// Monotonic: never goes back.
    fn now(&self) -> Instant;
    /// Wall clock: may be set by the operator at any time.
    fn wall(&self) -> Timestamp;
    /// A timer that has not been set; it never fires until it is.
    fn timer(&self) -> Pin<Box<dyn Timer>>;
}

/// A timer: a future that is ready once its time has come, and can be set again. One per connection,
/// moved later lazily, so that a busy connection costs no timer work per command.
pub trait Timer: Future<Output = ()> + Send {
    /// Fires at `at` (at once when that is past). Earlier settings are forgotten.
    fn set(self: Pin<&mut Self>, at: Instant);
}

/// Waits for a while.
pub async fn sleep(clock: &dyn Clock, for_: Duration) {
    let mut timer = clock.timer();
    timer.as_mut().set(clock.now() + for_);
    timer.await;
}

/// Runs `work` for at most `limit`; `None` when the time was over first. Work that is ready wins.
pub async fn within<T>(
    clock: &dyn Clock,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut timer = clock.timer();
    timer.as_mut().set(clock.now() + limit);
    let work = std::pin::pin!(work);
    match select(work, timer).await {
        Either::Left((value, _)) => Some(value),
        Either::Right(((), _)) => None,
    }
}
