//! As whom a user's message speaks: RFC 6409 section 8 lets a submission server hold the sender fields of a message to what
//! the user may, and DKIM signs for the domain of `From:`, so it must not be anybody's.
//!
//! Not here: the reverse-path, which MAIL is answered for (`session`).

use super::Conversation;
use crate::accept::Message;
use crate::incoming::MAX_HEAD;
use crate::policy;
use crate::users::Account;
use posthaste_mail::{Mailbox, Reply, ReversePath};
use posthaste_message::addresses::{Address, Entry, addresses};
use posthaste_message::fields;

/// What a header section says of its author, to somebody who may speak as some.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Author {
    Fine,
    /// Somebody else, or nobody who can be read.
    Other,
}

impl Conversation {
    /// Why this message of a user is not taken.
    pub(super) fn refuses_author(&self, message: &Message) -> Option<Reply> {
        let login = self.login().filter(|_| self.door.listener.check_from)?;
        if login.account.may_send_as_anybody() {
            return None;
        }
        let refusal = match message.facts.header_end.saturating_sub(message.trace as u64) {
            // What lies beyond is not looked at.
            length if length > MAX_HEAD as u64 => policy::from_unseen(),
            _ => {
                let header = message.arrived.header(&message.facts, message.trace);
                match author(&header, &login.account) {
                    Author::Fine => return None,
                    Author::Other => policy::not_your_from(),
                }
            }
        };
        self.house.counters.refused_senders.one();
        Some(refusal)
    }
}

/// Every mailbox of every `From:` counts: mail programs differ in which one they show.
fn author(header: &[u8], account: &Account) -> Author {
    let allowed = |entry: &Entry| match entry {
        Entry::Address(address) => mailbox(address).is_some_and(|path| account.may_send_as(&path)),
        Entry::Unusable(_) => false,
    };
    let mut froms = fields(header).filter(|field| field.is("From"));
    match froms.all(|field| addresses(field.value).iter().all(allowed)) {
        true => Author::Fine,
        false => Author::Other,
    }
}

fn mailbox(address: &Address) -> Option<ReversePath> {
    let domain = address.domain.as_deref()?;
    let text = format!("{}@{domain}", address.local);
    Mailbox::parse(&text, true).ok().map(ReversePath::Mailbox)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::OwnRates;

    #[test]
    fn every_author_of_every_field_must_be_allowed() {
        let senders = ["ann@example.org", "sales.example"].map(|s| s.parse().expect("a sender"));
        let (name, rates) = ("ann".to_owned(), OwnRates::default());
        let ann = Account { name, senders: senders.to_vec(), password: 1, rates };
        for (header, fine) in [
            ("From: Ann <ann@example.org>\r\n", true),
            ("FROM : \"boss@example.org\" <ANN@Example.ORG> (boss@example.org)\r\n", true),
            ("From:\r\n =?utf-8?q?A?=\r\n <ann @ example.org>\r\n", true),
            ("From: ann@example.org, x@sales.example\r\n", true),
            ("Subject: no author at all\r\n", true),
            ("From: nobody in particular:;\r\n", true),
            ("Reply-To: boss@example.org\r\nFrom: ann@example.org\r\n", true),
            ("From: boss@example.org\r\n", false),
            ("From: Ann <ann@example.org> <boss@example.org>\r\n", false),
            ("From: <ann@example.org> boss@example.org\r\n", false),
            ("From: ann@example.org, boss@example.org\r\n", false),
            ("From: boss@example.org, ann@example.org\r\n", false),
            ("From: us: ann@example.org, boss@example.org;\r\n", false),
            ("From: ann@example.org\r\nX: y\r\nfrom: boss@example.org\r\n", false),
            ("From: ann@example.org\r\n , boss@example.org\r\n", false),
            ("From: ann@sub.sales.example\r\n", false),
            ("From: boss\r\n", false),
            ("From: \"ann@example.org\" <boss@example.org\r\n", false),
            ("From: <@ann@example.org:boss@example.org>\r\n", false),
        ] {
            let expected = if fine { Author::Fine } else { Author::Other };
            assert_eq!(author(header.as_bytes(), &ann), expected, "{header}");
        }
    }
}
