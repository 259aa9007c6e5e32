//! What a rule demands of a message besides its recipient: sender, listener, user, size.
//!
//! Not here: the recipient (`pattern`), the order of rules (`table`).

use crate::facts::Facts;
use crate::pattern::{Pattern, PatternError, Target};
use posthaste_mail::ReversePath;
use std::fmt;
use std::str::FromStr;

/// The demands of one rule. A list that is empty demands nothing; otherwise one of its elements must fit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct When {
    /// The reverse-path.
    pub from: Vec<Sender>,
    /// The name of the listener.
    pub listener: Vec<String>,
    /// The user who handed it in; `*` for any that is known.
    pub user: Vec<String>,
    /// Its content has more octets than this.
    pub over: Option<u64>,
    /// Its content has so many octets at most.
    pub up_to: Option<u64>,
}

/// What a reverse-path is matched with. Written as a [`Pattern`], or `<>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sender {
    /// `<>`: notices.
    Null,
    /// A mailbox that fits; `*` is every mailbox, but not `<>`.
    Fits(Pattern),
}

/// Stands for every user that is known.
const ANY_USER: &str = "*";

impl When {
    /// All that it demands is so.
    #[must_use]
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        (self.from.is_empty() || self.from.iter().any(|sender| sender.fits(facts)))
            && (self.listener.is_empty() || self.listener.iter().any(|name| name == facts.listener))
            && (self.user.is_empty() || facts.user.is_some_and(|user| self.takes(user)))
            && self.over.is_none_or(|over| facts.size > over)
            && self.up_to.is_none_or(|most| facts.size <= most)
    }

    /// It demands nothing.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// True when it holds wherever the other one does.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        list_covers(&self.from, &other.from, Sender::covers)
            && list_covers(&self.listener, &other.listener, |a, b| a == b)
            && list_covers(&self.user, &other.user, |a, b| a == ANY_USER || a == b)
            && self.over.is_none_or(|over| other.over.is_some_and(|o| o >= over))
            && self.up_to.is_none_or(|most| other.up_to.is_some_and(|o| o <= most))
    }

    fn takes(&self, user: &str) -> bool {
        self.user.iter().any(|name| name == ANY_USER || name == user)
    }
}

/// A list that demands nothing covers all; else each element of the other must be covered by one of it.
fn list_covers<T>(wide: &[T], narrow: &[T], covers: impl Fn(&T, &T) -> bool) -> bool {
    wide.is_empty()
        || (!narrow.is_empty() && narrow.iter().all(|n| wide.iter().any(|w| covers(w, n))))
}

impl Sender {
    /// It fits this reverse-path.
    #[must_use]
    pub fn is(&self, path: &ReversePath) -> bool {
        match (self, path) {
            (Self::Null, ReversePath::Null) => true,
            (Self::Fits(pattern), ReversePath::Mailbox(mailbox)) => {
                Target::of(mailbox).fits(pattern)
            }
            _ => false,
        }
    }

    fn fits(&self, facts: &Facts<'_>) -> bool {
        match (self, facts.sender) {
            (Self::Null, None) => true,
            (Self::Fits(pattern), Some(mailbox)) => Target::of(mailbox).fits(pattern),
            _ => false,
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Fits(wide), Self::Fits(narrow)) => wide.covers(narrow),
            _ => false,
        }
    }
}

impl FromStr for Sender {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text == "<>" { Ok(Self::Null) } else { text.parse().map(Self::Fits) }
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Fits(pattern) => pattern.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_mail::Mailbox;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|t| (*t).to_owned()).collect()
    }

    fn from(texts: &[&str]) -> When {
        let from = texts.iter().map(|t| t.parse().unwrap()).collect();
        When { from, ..When::default() }
    }

    fn listener(names: &[&str]) -> When {
        When { listener: strings(names), ..When::default() }
    }

    fn user(names: &[&str]) -> When {
        When { user: strings(names), ..When::default() }
    }

    fn size(over: Option<u64>, up_to: Option<u64>) -> When {
        When { over, up_to, ..When::default() }
    }

    #[test]
    fn each_demand_is_made_of_its_own_fact() {
        let to = Mailbox::parse("r@d.example", false).expect("an address");
        let sender = Mailbox::parse("News@letters.example.org", false).expect("an address");
        let facts = Facts {
            recipient: &to,
            sender: Some(&sender),
            listener: "inside",
            user: Some("ann"),
            size: 1000,
        };
        let notice = Facts { sender: None, user: None, ..facts };
        for (when, of_mail, of_notice) in [
            (When::default(), true, true),
            (from(&["*"]), true, false),
            (from(&["<>"]), false, true),
            (from(&["<>", "*"]), true, true),
            (from(&["letters.example.org"]), true, false),
            (from(&["*.example.org"]), true, false),
            (from(&["news@letters.example.org"]), true, false),
            (from(&["other@letters.example.org", "d.example"]), false, false),
            (listener(&["outside", "inside"]), true, true),
            (listener(&["outside"]), false, false),
            (user(&["*"]), true, false),
            (user(&["bob", "ann"]), true, false),
            (user(&["bob"]), false, false),
            (size(Some(999), None), true, true),
            (size(Some(1000), None), false, false),
            (size(None, Some(1000)), true, true),
            (size(None, Some(999)), false, false),
            (size(Some(500), Some(2000)), true, true),
        ] {
            assert_eq!(when.holds(&facts), of_mail, "{when:?}");
            assert_eq!(when.holds(&notice), of_notice, "{when:?}");
        }
    }

    #[test]
    fn a_demand_covers_another_only_where_it_is_at_least_as_wide() {
        let both = |from: When, listener: When| When { from: from.from, ..listener };
        for (wide, narrow, covers) in [
            (When::default(), from(&["a.example"]), true),
            (from(&["a.example"]), When::default(), false),
            (from(&["*"]), from(&["a.example", "b.example"]), true),
            (from(&["*"]), from(&["<>"]), false),
            (from(&["a.example"]), from(&["a.example", "b.example"]), false),
            (listener(&["a", "b"]), listener(&["b"]), true),
            (listener(&["b"]), listener(&["a", "b"]), false),
            (user(&["*"]), user(&["ann"]), true),
            (user(&["ann"]), user(&["*"]), false),
            (size(Some(10), None), size(Some(20), Some(30)), true),
            (size(Some(10), Some(25)), size(Some(20), Some(30)), false),
            (size(None, Some(30)), size(None, None), false),
            (both(from(&["*"]), listener(&["a"])), from(&["a.example"]), false),
            (from(&["*"]), both(from(&["a.example"]), listener(&["a"])), true),
        ] {
            assert_eq!(wide.covers(&narrow), covers, "{wide:?} {narrow:?}");
        }
    }
}
