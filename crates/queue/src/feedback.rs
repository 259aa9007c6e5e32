//! How many connections a destination may have: more while it takes mail, fewer when connections fail.
//!
//! The method is Postfix's (SCHEDULER_README): one more after a whole cohort of successes, one less per failure.

use crate::settings::Limits;

/// The allowed number of connections of one destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Window {
    size: u16,
    /// Successes since the size last changed.
    credit: u16,
}

impl Window {
    pub(crate) const fn new(limits: &Limits) -> Self {
        Self { size: limits.destination_start, credit: 0 }
    }

    /// Connections allowed; within the limits of now, whatever they were before.
    pub(crate) fn size(self, limits: &Limits) -> u32 {
        let size = self.size.min(limits.destination_max).max(limits.destination_min).max(1);
        u32::from(size)
    }

    /// A message was delivered.
    pub(crate) fn succeeded(&mut self, limits: &Limits) {
        self.settle_within(limits);
        self.credit = self.credit.saturating_add(1);
        if self.credit >= self.size {
            self.credit = 0;
            self.size = self.size.saturating_add(1);
            self.settle_within(limits);
        }
    }

    /// A connection or its greeting failed.
    pub(crate) fn failed(&mut self, limits: &Limits) {
        self.credit = 0;
        self.size = self.size.saturating_sub(1);
        self.settle_within(limits);
    }

    fn settle_within(&mut self, limits: &Limits) {
        self.size = u16::try_from(self.size(limits)).unwrap_or(u16::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_by_cohorts_and_shrinks_by_failures_within_its_limits() {
        let limits = Limits { destination_max: 7, ..Limits::default() };
        let mut window = Window::new(&limits);
        let sizes: Vec<u32> = (0..12)
            .map(|_| {
                window.succeeded(&limits);
                window.size(&limits)
            })
            .collect();
        assert_eq!(sizes, [5, 5, 5, 5, 6, 6, 6, 6, 6, 6, 7, 7]);
        (0..100).for_each(|_| window.succeeded(&limits));
        assert_eq!(window.size(&limits), 7);
        window.failed(&limits);
        assert_eq!(window.size(&limits), 6);
        (0..100).for_each(|_| window.failed(&limits));
        assert_eq!(window.size(&limits), 1);
    }

    #[test]
    fn a_reload_holds_at_once() {
        let window = Window::new(&Limits::default());
        assert_eq!(window.size(&Limits { destination_max: 2, ..Limits::default() }), 2);
        assert_eq!(window.size(&Limits { destination_min: 9, ..Limits::default() }), 9);
        let none = Limits { destination_min: 0, destination_max: 0, ..Limits::default() };
        assert_eq!(window.size(&none), 1);
    }
}
