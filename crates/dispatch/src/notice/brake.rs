//! What slows down every loop, also one that nobody can recognise: of many notices to one sender about one and the
//! same recipient the later ones are sent later. None is lost.
//!
//! A robot that answers each notice with mail that fails again, in whatever shape, needs the same two addresses each
//! time: its own, and one that fails. Who sends to many recipients has as many pairs, and is told at once.
//!
//! Pure: no clock. Not here: who is told at all (`message::dsn::rules`), how many strangers are (`strangers`).

use super::debts::{Debts, key};
use posthaste_mail::Timestamp;
use std::time::Duration;

/// Notices about one pair that go at once.
pub(super) const BURST: u32 = 20;
/// Then one in this time.
pub(super) const EACH: Duration = Duration::from_secs(600);
/// No notice is sent later than this; those beyond come so late all of them.
pub(super) const MOST: Duration = Duration::from_secs(12 * 3600);

/// The pairs of which there was a notice lately.
#[derive(Default)]
pub(crate) struct Brake(Debts);

impl Brake {
    /// Counts one notice to a reverse-path about these forward-paths; answers how much later it is to be sent.
    /// It is as soon as the least told of its pairs may be. `lifetime`: of a notice; half of it is always left for
    /// sending it.
    pub(crate) fn wait<'a>(
        &mut self,
        now: Timestamp,
        reverse_path: &str,
        forward_paths: impl Iterator<Item = &'a str>,
        lifetime: Duration,
    ) -> Duration {
        let reverse_path = reverse_path.to_ascii_lowercase();
        let waits = forward_paths.map(|to| self.count(now, &reverse_path, to));
        // All of them are counted, whichever is the least.
        let least = waits.fold(None, |least: Option<Duration>, wait| {
            Some(least.map_or(wait, |least| least.min(wait)))
        });
        least.unwrap_or_default().min(MOST).min(lifetime / 2)
    }

    fn count(&mut self, now: Timestamp, reverse_path: &str, forward_path: &str) -> Duration {
        let pair = key((reverse_path, forward_path.to_ascii_lowercase()));
        let free = EACH * BURST;
        // Also what a clock that was set back left in the future.
        let latest = now.plus(free + MOST);
        let owes = self.0.until(pair).max(now).plus(EACH).min(latest);
        self.0.owes(pair, owes);
        owes.since(now).saturating_sub(free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(43_200);
    const DAY: Duration = Duration::from_secs(86_400);
    const ROBOT: &str = "robot@x.example";

    fn wait(brake: &mut Brake, now: Timestamp, to: &[&str]) -> u64 {
        brake.wait(now, ROBOT, to.iter().copied(), DAY).as_secs() / 60
    }

    #[test]
    fn after_the_burst_each_comes_ten_minutes_after_the_one_before() {
        let mut brake = Brake::default();
        for _ in 0..BURST {
            assert_eq!(wait(&mut brake, NOON, &["gone@y.example"]), 0);
        }
        let later = [0; 4].map(|_| wait(&mut brake, NOON, &["Gone@Y.example"]));
        assert_eq!(later, [10, 20, 30, 40]);
        let later = [0; 80].map(|_| wait(&mut brake, NOON, &["gone@y.example"]));
        assert_eq!((later[67], later[68], later[79]), (12 * 60, 12 * 60, 12 * 60));
        let others = [ROBOT, "other@x.example"]
            .map(|from| brake.wait(NOON, from, ["new@y.example"].into_iter(), DAY));
        assert_eq!(others, [Duration::ZERO; 2]);
        assert_eq!(wait(&mut brake, NOON.plus(DAY), &["gone@y.example"]), 0, "a day is enough");
    }

    #[test]
    fn a_loop_of_one_message_turns_six_times_an_hour() {
        let mut brake = Brake::default();
        let (mut now, mut turns) = (NOON, 0);
        while now < NOON.plus(DAY) {
            let wait = brake.wait(now, ROBOT, ["gone@y.example"].into_iter(), DAY);
            now = now.plus(wait + Duration::from_millis(20));
            turns += 1;
        }
        assert!(turns <= u64::from(BURST) + 24 * 6 + 1, "{turns}");
    }

    #[test]
    fn who_writes_to_many_is_told_at_once_while_a_loop_stays_slow() {
        let mut brake = Brake::default();
        for _ in 0..BURST + 5 {
            wait(&mut brake, NOON, &["gone@y.example"]);
        }
        for number in 0..50_000 {
            let to = format!("r{number}@y.example");
            assert_eq!(
                brake.wait(NOON, "bulk@x.example", [to.as_str()].into_iter(), DAY),
                Duration::ZERO
            );
        }
        assert!(wait(&mut brake, NOON, &["gone@y.example"]) >= 50);
        assert_eq!(wait(&mut brake, NOON, &["gone@y.example", "new@y.example"]), 0);
    }

    #[test]
    fn a_notice_has_half_its_life_for_its_way_and_a_clock_set_back_does_no_harm() {
        let mut brake = Brake::default();
        let mut to =
            |now: Timestamp, life| brake.wait(now, ROBOT, ["a@y.example"].into_iter(), life);
        assert_eq!((0..200).map(|_| to(NOON, DAY)).max(), Some(MOST));
        assert_eq!(to(NOON, Duration::from_secs(600)), Duration::from_secs(300));
        let before = NOON.minus(Duration::from_secs(40_000));
        assert_eq!(to(before, DAY), MOST);
        assert_eq!(to(before.plus(DAY), DAY), Duration::ZERO);
    }
}
