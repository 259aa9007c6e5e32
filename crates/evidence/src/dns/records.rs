//! The records of an answer, shared: an answer is kept in a cache, told in a look-up and written into an attempt
//! without its records being copied.

use super::Record;
use std::ops::Deref;
use std::sync::Arc;

/// Records that copies of an answer share. Reads as a slice; what changes it makes a list of its own.
#[derive(Clone, Default)]
pub struct Records(Option<Arc<[Record]>>);

impl Records {
    /// None.
    pub const EMPTY: Self = Self(None);

    /// Adds one at the end. Copies the others: for whoever adds many, a `Vec` first is better.
    pub fn push(&mut self, record: Record) {
        let mut list = self.to_vec();
        list.push(record);
        *self = list.into();
    }

    /// True when both are the same list in memory, or both are empty.
    #[must_use]
    pub fn shares(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs),
            (ours, theirs) => ours.is_none() && theirs.is_none(),
        }
    }
}

impl Deref for Records {
    type Target = [Record];

    fn deref(&self) -> &[Record] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl From<Vec<Record>> for Records {
    fn from(list: Vec<Record>) -> Self {
        Self((!list.is_empty()).then(|| list.into()))
    }
}

impl FromIterator<Record> for Records {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        records.into_iter().collect::<Vec<Record>>().into()
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = &'a Record;
    type IntoIter = std::slice::Iter<'a, Record>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        self.shares(other) || self[..] == other[..]
    }
}

impl Eq for Records {}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RecordData;

    #[test]
    fn copies_share_and_what_is_added_to_one_is_not_in_the_other() {
        let record =
            |ttl| Record { name: "d.test".into(), ttl, data: RecordData::A([192, 0, 2, 1].into()) };
        let first: Records = [record(1), record(2)].into_iter().collect();
        let mut second = first.clone();
        assert!(first.shares(&second) && first == second);
        second.push(record(3));
        assert_eq!((first.len(), second.len()), (2, 3));
        assert!(!first.shares(&second) && first != second && second[..2] == first[..]);
        assert_eq!(first, Records::from(vec![record(1), record(2)]), "equal without sharing");
        let empty = Records::from(Vec::new());
        assert!(empty.is_empty() && empty.shares(&Records::EMPTY));
        assert_eq!(format!("{empty:?}"), "[]");
    }
}
