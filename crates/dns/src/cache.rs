//! Answers kept for a while: by TTL within bounds, bounded in number and octets (RFC 2308 section 5, RFC 9520), and
//! past their TTL for when the servers fail (RFC 8767).
//!
//! Two lines wait for eviction: what was asked for once is *young*, what was asked for again, or again soon after it was
//! dropped, is *proven*. A flood of names that nobody asks for twice passes through the young line only, which has a
//! tenth of the room when room is scarce; the proven ones stay.
//!
//! Pure: `now` is an argument. Not here: asking (`resolver`).

mod ghosts;

use crate::lookup::Agreement;
use crate::settings::Settings;
use ghosts::Ghosts;
use posthaste_evidence::{
    Answer, AnswerKind, Observation, Record, RecordData, RecordType, Records, Seen,
};
use posthaste_io::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Failures are kept at most this long, whatever the settings say.
pub const LONGEST_FAILURE: Duration = Duration::from_secs(30);
/// When room is scarce, one part in so many is for answers that were asked for once.
pub const YOUNG_SHARE: usize = 10;
/// An answer that takes more than one part in so many of the room is not kept.
pub const LARGEST_SHARE: usize = 16;

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
    /// Whose answer it is; `None` for a failure without any server's word.
    pub by: Option<SocketAddr>,
    /// One for each server asked.
    pub observations: Vec<Observation>,
}

/// What the cache has for a question.
#[derive(Clone, PartialEq, Debug)]
pub enum Hit {
    /// An answer within its time, so old.
    Fresh(Arc<Found>, Duration),
    /// An answer past its time, to be used when the servers fail.
    Stale {
        /// The answer.
        found: Arc<Found>,
        /// How old it is.
        age: Duration,
        /// The servers failed a moment ago, in this way: they need not be asked now.
        instead: Option<Arc<Found>>,
    },
}

/// How much is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kept {
    /// Answers, ended ones that are not gone yet included.
    pub entries: usize,
    /// Octets they take, about.
    pub octets: usize,
    /// Answers dropped for want of room since the beginning, though they had not ended.
    pub evicted: u64,
}

/// The kept answers.
#[derive(Debug, Default)]
pub struct Cache {
    entries: BTreeMap<Arc<Key>, Entry>,
    /// Asked for once. Each key is in one of the two lines, once.
    young: VecDeque<Arc<Key>>,
    /// Asked for again while it was young.
    proven: VecDeque<Arc<Key>>,
    ghosts: Ghosts,
    young_octets: usize,
    octets: usize,
    evicted: u64,
}

#[derive(Debug)]
struct Entry {
    found: Arc<Found>,
    kept_at: Instant,
    ends: Instant,
    /// Nothing is left of its use, not even when the servers fail.
    gone: Instant,
    /// The servers failed when the answer was to be renewed.
    failure: Option<Failure>,
    octets: usize,
    /// Asked for since the line's front was last here.
    used: bool,
    proven: bool,
}

#[derive(Debug)]
struct Failure {
    found: Arc<Found>,
    at: Instant,
    until: Instant,
}

impl Cache {
    /// What is kept for a question that is good enough.
    pub fn get(&mut self, key: &Key, wanted: Agreement, now: Instant) -> Option<Hit> {
        let entry = self.entries.get_mut(key).filter(|e| e.gone > now)?;
        let age = now - entry.kept_at;
        if entry.ends > now {
            let enough = wanted == Agreement::First || !entry.is_negative() || entry.found.agreed;
            entry.used |= enough;
            return enough.then(|| Hit::Fresh(Arc::clone(&entry.found), age));
        }
        entry.used = true;
        let failure = entry.failure.as_ref().filter(|failure| failure.until > now);
        if let Some(bogus) = failure.filter(|f| f.found.answer.kind == AnswerKind::Bogus) {
            return Some(Hit::Fresh(Arc::clone(&bogus.found), now - bogus.at));
        }
        let instead = failure.map(|failure| Arc::clone(&failure.found));
        Some(Hit::Stale { found: Arc::clone(&entry.found), age, instead })
    }

    /// Keeps an answer for as long as the settings and its TTL allow. A failure does not take the place of an answer
    /// with records that may still be used past its time; true when it came upon such a one.
    pub fn put(&mut self, key: Key, found: Arc<Found>, settings: &Settings, now: Instant) -> bool {
        self.sweep(now);
        let ends = now + kept_for(&found.answer, settings);
        let gained = octets_of(&found);
        if gained > settings.cache_octets / LARGEST_SHARE {
            return false;
        }
        let known = self.entries.get_mut(&key);
        if let Some(old) = known.filter(|old| old.outlasts(&found, now)) {
            let lost = old.failure.as_ref().map_or(0, |failure| octets_of(&failure.found));
            let proven = old.proven;
            old.octets = old.octets + gained - lost;
            old.failure = Some(Failure { found, at: now, until: ends });
            self.count(proven, gained, lost);
        } else {
            self.replace(key, found, (ends, settings.stale_for), now);
            self.make_room(settings, now);
            return false;
        }
        self.make_room(settings, now);
        true
    }

    /// Forgets everything, or a name and all names below it; answers how many answers that were. Looks at all that is
    /// kept: for operators.
    pub fn forget(&mut self, name: Option<&str>) -> usize {
        let before = self.entries.len();
        match name {
            None => *self = Self { evicted: self.evicted, ..Self::default() },
            Some(name) => {
                let stays = |key: &Key| !is_at_or_below(&key.0, name);
                self.young.retain(|key| stays(key));
                self.proven.retain(|key| stays(key));
                self.entries.retain(|key, _| stays(key));
                self.octets = self.entries.values().map(|e| e.octets).sum();
                let young = self.entries.values().filter(|e| !e.proven);
                self.young_octets = young.map(|e| e.octets).sum();
            }
        }
        before - self.entries.len()
    }

    /// Forgets what is kept for one name, of every type; answers how many answers that were. Costs the same however much
    /// is kept: they have their places until those are needed.
    pub fn forget_exactly(&mut self, name: &str, now: Instant) -> usize {
        let from: Key = (name.to_owned(), RecordType::A);
        let of_it = self.entries.range_mut::<Key, _>(from..).take_while(|(key, _)| key.0 == name);
        let alive = of_it.map(|(_, entry)| entry).filter(|entry| entry.gone > now);
        alive.map(|entry| (entry.ends, entry.gone) = (now, now)).count()
    }

    /// Forgets the failures, when servers that were all dead are back.
    pub fn forget_failures(&mut self, now: Instant) {
        let mut freed = [0, 0];
        for entry in self.entries.values_mut() {
            if !entry.found.answer.kind.is_conclusive() {
                (entry.ends, entry.gone) = (now, now);
            }
            if let Some(failure) = entry.failure.take() {
                let octets = octets_of(&failure.found);
                entry.octets -= octets;
                freed[usize::from(entry.proven)] += octets;
            }
        }
        self.count(false, 0, freed[0]);
        self.count(true, 0, freed[1]);
    }

    /// How much is kept.
    #[must_use]
    pub fn kept(&self) -> Kept {
        Kept { entries: self.entries.len(), octets: self.octets, evicted: self.evicted }
    }

    /// A new answer takes the place of an old one in its line, or goes to the end of the young.
    fn replace(
        &mut self,
        key: Key,
        found: Arc<Found>,
        (ends, stale_for): (Instant, Duration),
        now: Instant,
    ) {
        let octets = size_of::<(Arc<Key>, Entry)>() + key.0.len() + octets_of(&found);
        let positive = found.answer.kind == AnswerKind::Answer;
        let gone = if positive { ends + stale_for } else { ends };
        let mut entry = Entry {
            found,
            kept_at: now,
            ends,
            gone,
            failure: None,
            octets,
            used: false,
            proven: false,
        };
        if let Some(old) = self.entries.get_mut(&key) {
            // Somebody asked for it again: that is why it was renewed.
            (entry.used, entry.proven) = (true, old.proven);
            let lost = std::mem::replace(old, entry);
            self.count(lost.proven, octets, lost.octets);
            return;
        }
        let back = self.ghosts.has(&key);
        (entry.used, entry.proven) = (back, back);
        let key = Arc::new(key);
        let line = if entry.proven { &mut self.proven } else { &mut self.young };
        line.push_back(Arc::clone(&key));
        self.count(entry.proven, octets, 0);
        self.entries.insert(key, entry);
    }

    fn count(&mut self, proven: bool, gained: usize, lost: usize) {
        self.octets = self.octets + gained - lost;
        if !proven {
            self.young_octets = self.young_octets + gained - lost;
        }
    }

    /// One step round the proven ones: those that are gone make room before anybody needs it.
    fn sweep(&mut self, now: Instant) {
        let Some(key) = self.proven.pop_front() else { return };
        match self.entries.get(&key) {
            Some(entry) if entry.gone > now => self.proven.push_back(key),
            _ => self.drop_entry(&key),
        }
    }

    /// Each turn drops an answer, or takes from one the mark that it was used: it ends.
    fn make_room(&mut self, settings: &Settings, now: Instant) {
        let (entries, octets) = (settings.cache_entries, settings.cache_octets);
        while self.entries.len() > entries || self.octets > octets {
            let crowded = self.young.len() > entries / YOUNG_SHARE
                || self.young_octets > octets / YOUNG_SHARE;
            let young = crowded || self.proven.is_empty();
            let line = if young { &mut self.young } else { &mut self.proven };
            let Some(key) = line.pop_front() else { return };
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let is_gone = entry.gone <= now;
            if entry.used && !is_gone {
                (entry.used, entry.proven) = (false, true);
                self.young_octets -= if young { entry.octets } else { 0 };
                self.proven.push_back(key);
            } else {
                self.evicted += u64::from(!is_gone);
                if !is_gone {
                    self.ghosts.add(&key, entries);
                }
                self.drop_entry(&key);
            }
        }
    }

    /// The key has left its line already.
    fn drop_entry(&mut self, key: &Arc<Key>) {
        if let Some(entry) = self.entries.remove(key) {
            self.count(entry.proven, 0, entry.octets);
        }
    }
}

impl Entry {
    fn is_negative(&self) -> bool {
        matches!(self.found.answer.kind, AnswerKind::NoData | AnswerKind::NxDomain)
    }

    /// It has records, may still be used, and what comes now is no answer.
    fn outlasts(&self, news: &Found, now: Instant) -> bool {
        let positive = self.found.answer.kind == AnswerKind::Answer;
        positive && self.gone > now && !news.answer.kind.is_conclusive()
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

/// About the octets that an answer takes with all that belongs to it.
fn octets_of(found: &Found) -> usize {
    let told = |o: &Observation| match &o.seen {
        Seen::Answer(a) if a.records.shares(&found.answer.records) => extended(a),
        Seen::Answer(a) => records(&a.records) + extended(a),
        _ => 0,
    };
    // The name is in each observation again.
    let name = found.answer.records.first().map_or(64, |record| record.name.len());
    let observations: usize =
        found.observations.iter().map(|o| size_of::<Observation>() + name + told(o)).sum();
    let next = found.next.as_ref().map_or(0, String::len);
    size_of::<Found>()
        + next
        + records(&found.answer.records)
        + extended(&found.answer)
        + observations
}

fn records(records: &Records) -> usize {
    records.iter().map(|r| size_of::<Record>() + r.name.len() + data(&r.data)).sum()
}

fn extended(answer: &Answer) -> usize {
    answer.extended.iter().map(|(_, text)| size_of::<(u16, String)>() + text.len()).sum()
}

const fn data(data: &RecordData) -> usize {
    match data {
        RecordData::A(_)
        | RecordData::Aaaa(_)
        | RecordData::Ds { .. }
        | RecordData::Dnskey { .. } => 0,
        RecordData::Mx { exchange: text, .. }
        | RecordData::Cname(text)
        | RecordData::Ptr(text)
        | RecordData::Txt(text)
        | RecordData::Ns(text)
        | RecordData::Soa { primary: text, .. }
        | RecordData::Rrsig { signer: text, .. } => text.len(),
        RecordData::Tlsa(_, _, _, octets) => octets.len(),
    }
}

/// Both in the resolver's form.
fn is_at_or_below(name: &str, top: &str) -> bool {
    let above = name.strip_suffix(top);
    above.is_some_and(|above| above.is_empty() || top.is_empty() || above.ends_with('.'))
}

#[cfg(test)]
mod tests;
