//! The recipients of one message as they are gathered: each once, aliases in place of their names.

use posthaste_mail::envelope::Notify;
use posthaste_mail::{Mailbox, Recipient};
use std::collections::BTreeSet;

/// Recipients of one message after aliases.
pub(crate) const MAX_EXPANDED: usize = 10_000;

/// The recipients so far.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    list: Vec<Recipient>,
    /// From the second on.
    seen: BTreeSet<String>,
    /// Forward-paths that were given, and the first of them when it was an alias.
    paths: u32,
    first_alias: Option<Mailbox>,
}

/// There would be more than [`MAX_EXPANDED`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooMany;

impl Gathered {
    /// Adds a recipient; one that is there already is not there twice, and keeps its parameters.
    pub(crate) fn add(&mut self, recipient: Recipient) -> Result<(), TooMany> {
        if self.list.len() >= MAX_EXPANDED {
            return Err(TooMany);
        }
        self.paths += 1;
        self.put(recipient);
        Ok(())
    }

    /// Adds what an alias stands for. The parameters go with each; the name that was written is kept as the original
    /// recipient, unless the client gave one (RFC 3461 section 5.2.7).
    pub(crate) fn add_alias(
        &mut self,
        written: Mailbox,
        found: Vec<Mailbox>,
        orcpt: Option<String>,
        notify: Option<Notify>,
    ) -> Result<(), TooMany> {
        if self.list.len() + found.len() > MAX_EXPANDED {
            return Err(TooMany);
        }
        let orcpt = orcpt.unwrap_or_else(|| original(&written));
        for mailbox in found {
            self.put(Recipient { mailbox, orcpt: Some(orcpt.clone()), notify });
        }
        self.paths += 1;
        if self.paths == 1 {
            self.first_alias = Some(written);
        }
        Ok(())
    }

    /// The recipient as it was written, when there is only one: what a trace field may tell without telling anybody
    /// of another.
    pub(crate) fn only(&self) -> Option<&Mailbox> {
        match (self.list.as_slice(), self.paths, &self.first_alias) {
            (_, 1, Some(alias)) => Some(alias),
            ([only], _, None) => Some(&only.mailbox),
            _ => None,
        }
    }

    pub(crate) fn into_list(self) -> Vec<Recipient> {
        self.list
    }

    fn put(&mut self, recipient: Recipient) {
        // The usual message has one recipient: nothing is compared.
        if let [first] = self.list.as_slice() {
            self.seen.insert(key(&first.mailbox));
        }
        if self.list.is_empty() || self.seen.insert(key(&recipient.mailbox)) {
            self.list.push(recipient);
        }
    }
}

/// The local part is the receiver's to interpret (RFC 5321 section 2.4), so its case counts.
fn key(mailbox: &Mailbox) -> String {
    format!("{}@{}", mailbox.local_part(), mailbox.domain_key())
}

/// RFC 3461 section 4.2, RFC 6533 section 3.
fn original(mailbox: &Mailbox) -> String {
    let kind = if mailbox.as_str().is_ascii() { "rfc822" } else { "utf-8" };
    format!("{kind};{mailbox}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(text: &str) -> Mailbox {
        Mailbox::parse(text, true).expect(text)
    }

    fn plain(text: &str, notify: Option<Notify>) -> Recipient {
        Recipient { mailbox: mailbox(text), orcpt: None, notify }
    }

    #[test]
    fn each_is_there_once_with_the_parameters_of_the_first() {
        let mut gathered = Gathered::default();
        let never = Some(Notify::default());
        for (text, notify) in [
            ("a@b.example", never),
            ("A@b.example", None),
            ("a@B.EXAMPLE", None),
            ("c@b.example", None),
            ("c@b.example", never),
        ] {
            gathered.add(plain(text, notify)).expect("few");
        }
        let list = gathered.into_list();
        let told: Vec<_> = list.iter().map(|r| (r.mailbox.as_str(), r.notify)).collect();
        assert_eq!(told, [("a@b.example", never), ("A@b.example", None), ("c@b.example", None)]);
    }

    #[test]
    fn an_alias_is_replaced_and_remembered() {
        let mut gathered = Gathered::default();
        let found = vec![mailbox("x@b.example"), mailbox("y@b.example")];
        gathered.add_alias(mailbox("jörg@b.example"), found.clone(), None, None).expect("few");
        assert_eq!(gathered.only().map(Mailbox::as_str), Some("jörg@b.example"));
        gathered.add(plain("y@b.example", None)).expect("few");
        assert_eq!(gathered.only(), None);
        let given = Some("rfc822;first@a.example".to_owned());
        gathered.add_alias(mailbox("z@b.example"), found, given, None).expect("few");
        let list = gathered.into_list();
        assert_eq!(list.len(), 2);
        assert_eq!(list[1].orcpt.as_deref(), Some("utf-8;jörg@b.example"));
    }

    #[test]
    fn one_given_twice_is_still_the_only_one() {
        let mut gathered = Gathered::default();
        gathered.add(plain("a@b.example", None)).expect("few");
        gathered.add(plain("a@b.example", None)).expect("few");
        assert_eq!(gathered.only().map(Mailbox::as_str), Some("a@b.example"));
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut gathered = Gathered::default();
        let many = |from: usize| (from..from + 1000).map(|n| mailbox(&format!("u{n}@b"))).collect();
        for turn in 0..10 {
            let name = mailbox("all@b");
            assert_eq!(gathered.add_alias(name, many(turn * 1000), None, None), Ok(()));
        }
        assert_eq!(gathered.add_alias(mailbox("all@b"), many(0), None, None), Err(TooMany));
        assert_eq!(gathered.add(plain("one@b", None)), Err(TooMany));
    }
}
