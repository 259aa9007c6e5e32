//! Answers kept for a while: by TTL within bounds, in a bounded number (RFC 2308 section 5, RFC 9520).
//!
//! Pure: `now` is an argument. Not here: asking (`resolver`).

use crate::lookup::Agreement;
use crate::settings::Settings;
use posthaste_evidence::{Answer, AnswerKind, Observation, RecordType};
use posthaste_io::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Failures are kept at most this long, whatever the settings say.
pub const LONGEST_FAILURE: Duration = Duration::from_secs(30);

/// A question: a name in the resolver's form, and a type.
pub type Key = (String, RecordType);

/// What one question, without following aliases to further questions, came to.
#[derive(Clone, PartialEq, Debug)]
pub struct Found {
    /// The answer.
    pub answer: Answer,
    /// The alias target to ask for next.
    pub next: Option<String>,
    /// Every configured server was asked, and says the same.
    pub agreed: bool,
    /// One for each server asked.
    pub observations: Vec<Observation>,
}

/// The kept answers.
#[derive(Debug, Default)]
pub struct Cache {
    entries: BTreeMap<Key, Entry>,
    /// The same entries by when they end: the one that ends first is dropped first.
    ends: BTreeMap<(Instant, u64), Key>,
    sequence: u64,
}

#[derive(Debug)]
struct Entry {
    found: Arc<Found>,
    kept_at: Instant,
    ends: (Instant, u64),
}

impl Cache {
    /// The answer to a question and its age, if one is kept that is good enough.
    #[must_use]
    pub fn get(
        &self,
        key: &Key,
        wanted: Agreement,
        now: Instant,
    ) -> Option<(Arc<Found>, Duration)> {
        let entry = self.entries.get(key).filter(|e| e.ends.0 > now)?;
        let negative = matches!(entry.found.answer.kind, AnswerKind::NoData | AnswerKind::NxDomain);
        let good_enough = wanted == Agreement::First || !negative || entry.found.agreed;
        good_enough.then(|| (Arc::clone(&entry.found), now - entry.kept_at))
    }

    /// Keeps an answer for as long as the settings and its TTL allow.
    pub fn put(&mut self, key: Key, found: Arc<Found>, settings: &Settings, now: Instant) {
        self.remove(&key);
        self.sequence += 1;
        let ends = (now + kept_for(&found.answer, settings), self.sequence);
        self.ends.insert(ends, key.clone());
        self.entries.insert(key, Entry { found, kept_at: now, ends });
        while self.entries.len() > settings.cache_entries {
            let Some((_, oldest)) = self.ends.pop_first() else { break };
            self.entries.remove(&oldest);
        }
    }

    /// Forgets everything; answers how much that was.
    pub fn clear(&mut self) -> usize {
        self.ends.clear();
        std::mem::take(&mut self.entries).len()
    }

    /// How many answers are kept, ended ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn remove(&mut self, key: &Key) {
        if let Some(old) = self.entries.remove(key) {
            self.ends.remove(&old.ends);
        }
    }
}

/// How long an answer is kept.
#[must_use]
pub fn kept_for(answer: &Answer, settings: &Settings) -> Duration {
    let ttl = Duration::from_secs(u64::from(answer.ttl));
    match answer.kind {
        AnswerKind::Answer => ttl.min(settings.max_ttl).max(settings.min_ttl),
        AnswerKind::NoData | AnswerKind::NxDomain => {
            ttl.min(settings.max_negative_ttl).max(settings.min_ttl)
        }
        _ => settings.failure_ttl.min(LONGEST_FAILURE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_evidence::Transport;

    fn found(kind: AnswerKind, ttl: u32, agreed: bool) -> Arc<Found> {
        let answer = Answer { ttl, ..Answer::empty(kind, Transport::Udp) };
        Arc::new(Found { answer, next: None, agreed, observations: Vec::new() })
    }

    fn key(name: &str) -> Key {
        (name.to_owned(), RecordType::Mx)
    }

    const fn secs(n: u64) -> Instant {
        Instant(n * 1_000_000_000)
    }

    #[test]
    fn answers_are_kept_within_bounds() {
        let settings = Settings { failure_ttl: Duration::from_secs(300), ..Settings::default() };
        for (kind, ttl, expected) in [
            (AnswerKind::Answer, 0, 5),
            (AnswerKind::Answer, 300, 300),
            (AnswerKind::Answer, u32::MAX, 86_400),
            (AnswerKind::NoData, 0, 5),
            (AnswerKind::NxDomain, 86_400, 900),
            (AnswerKind::ServFail, 86_400, 30),
            (AnswerKind::Timeout, 0, 30),
        ] {
            let kept = kept_for(&found(kind, ttl, false).answer, &settings);
            assert_eq!(kept, Duration::from_secs(expected), "{kind:?} {ttl}");
        }
        let failure = Answer::empty(AnswerKind::Refused, Transport::Udp);
        assert_eq!(kept_for(&failure, &Settings::default()), Duration::from_secs(5));
    }

    #[test]
    fn an_answer_ends_with_its_ttl() {
        let mut cache = Cache::default();
        cache.put(key("a"), found(AnswerKind::Answer, 60, false), &Settings::default(), secs(100));
        let (_, age) = cache.get(&key("a"), Agreement::All, secs(159)).unwrap();
        assert_eq!(age, Duration::from_secs(59));
        assert!(cache.get(&key("a"), Agreement::First, secs(160)).is_none());
        assert!(cache.get(&key("b"), Agreement::First, secs(100)).is_none());
    }

    #[test]
    fn a_negative_answer_of_one_server_is_not_everyones() {
        let mut cache = Cache::default();
        let settings = Settings::default();
        for (agreed, expected) in [(false, false), (true, true)] {
            cache.put(key("a"), found(AnswerKind::NxDomain, 60, agreed), &settings, secs(0));
            assert!(cache.get(&key("a"), Agreement::First, secs(1)).is_some());
            assert_eq!(cache.get(&key("a"), Agreement::All, secs(1)).is_some(), expected);
        }
    }

    #[test]
    fn the_number_of_answers_is_bounded_and_the_first_to_end_goes_first() {
        let settings = Settings { cache_entries: 100, ..Settings::default() };
        let mut cache = Cache::default();
        for i in 0..1000u32 {
            let name = format!("n{i}");
            cache.put(key(&name), found(AnswerKind::Answer, 1000 - i, false), &settings, secs(0));
            cache.put(key(&name), found(AnswerKind::Answer, 1000 - i, false), &settings, secs(0));
            assert!(cache.len() <= 100 && cache.ends.len() == cache.len());
        }
        assert!(cache.get(&key("n0"), Agreement::First, secs(1)).is_some());
        assert!(cache.get(&key("n500"), Agreement::First, secs(1)).is_none());
        assert_eq!(cache.clear(), 100);
        assert!(cache.is_empty());
    }
}
