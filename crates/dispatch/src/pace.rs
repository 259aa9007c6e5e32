//! The clock task's pace: however much falls due at once, others get their turn, and the disk is not overrun.

use crate::Inner;
use crate::settle::Pending;
use std::task::Poll;

/// Messages whose ends, or whose delay, are settled before the clock task waits for the disk and looks at other things.
pub(crate) const SLICE: usize = 20;

impl Inner {
    /// Ready when these are durable, or the store has failed.
    pub(crate) async fn wait_for_all(&self, slice: Vec<Pending>) {
        for settled in slice {
            if settled.await.is_err() {
                self.fatal.notify_one();
            }
        }
    }
}

/// Lets other tasks run: composing and signing take a millisecond or two, in which they wait for this thread.
pub(crate) async fn make_way() {
    let mut made = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut made, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
