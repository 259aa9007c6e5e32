//! For whom we sign what a user sends: a signature tells the world that the author's domain stands for the message, so it is
//! left out as soon as anything names somebody as whom the user may not send, or may be read so.
//!
//! Stricter than `author`, which refuses: here a doubt is enough. Not here: the signature (`message`).

use super::Conversation;
use crate::accept::Message;
use crate::users::Account;
use posthaste_mail::{Mailbox, ReversePath};
use posthaste_message::encoded::decode;
use posthaste_message::{Field, fields};

/// Fields that programs show as whom a message is from (RFC 5322 section 3.6.2); each may be there once.
const AUTHORS: [&str; 2] = ["From", "Sender"];

impl Conversation {
    /// A user's message that may speak as somebody else is not signed.
    pub(super) fn withhold_signature(&self, message: &mut Message) {
        let Some(login) = self.login() else { return };
        if message.signing.is_none() || login.account.may_send_as_anybody() {
            return;
        }
        let header = message.arrived.header(&message.facts, message.trace);
        let theirs = is_theirs(&header, &login.account);
        drop(header);
        if let Some(signing) = message.signing.as_mut().filter(|_| !theirs) {
            signing.withhold();
        }
    }
}

/// Nobody can read anybody else as the author.
fn is_theirs(header: &[u8], account: &Account) -> bool {
    let all: Vec<Field<'_>> = fields(header).collect();
    AUTHORS.iter().all(|name| {
        let mut found = all.iter().filter(|field| field.is(name));
        match (found.next(), found.next()) {
            (None, _) => true,
            (Some(field), None) => names_only(field, account),
            (Some(_), Some(_)) => false,
        }
    })
}

/// Whatever has an `@`, also in names, comments and encoded words, is an address as which the user may send, and there is one.
fn names_only(field: &Field<'_>, account: &Account) -> bool {
    let value = field.unfolded();
    let Ok(plain) = std::str::from_utf8(&value) else { return false };
    let decoded = decode(&value);
    [plain, &decoded].into_iter().all(|text| {
        let mut addresses = text.split(is_between).filter(|word| word.contains(is_at)).peekable();
        let odd = text.contains(|c: char| c.is_control() && c != '\t') || text.contains('\\');
        !odd && addresses.peek().is_some() && addresses.all(|word| may_send_as(word, account))
    })
}

fn may_send_as(word: &str, account: &Account) -> bool {
    let path = Mailbox::parse(word, true).map(ReversePath::Mailbox);
    path.is_ok_and(|path| account.may_send_as(&path))
}

/// What ends an address outside of quotes (RFC 5322 section 3.2.3), and quotes.
fn is_between(c: char) -> bool {
    c.is_whitespace() || "\"'<>,;:[]()".contains(c)
}

/// Compatible forms become `@` where text is normalized (Unicode NFKC).
const fn is_at(c: char) -> bool {
    matches!(c, '@' | '\u{fe6b}' | '\u{ff20}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::OwnRates;

    #[test]
    fn a_doubt_about_the_author_is_enough() {
        let senders = ["ann@example.org", "sales.example"].map(|s| s.parse().expect("a sender"));
        let (name, rates) = ("ann".to_owned(), OwnRates::default());
        let ann = Account { name, senders: senders.to_vec(), password: 1, rates };
        for (header, theirs) in [
            ("From: ann@example.org\r\n", true),
            ("From: Ann B. <ANN@Example.ORG>\r\n", true),
            ("From: \"ann@example.org\"\r\n <ann@example.org>\r\n", true),
            ("From: \"Ann (Sales)\" <ann@example.org> (at work)\r\n", true),
            ("From: =?utf-8?q?J=C3=B6rg?= <ann@example.org>\r\n", true),
            ("From: ann@example.org, x@sales.example\r\nSender: ann@example.org\r\n", true),
            ("Subject: no author, so the reverse-path counts\r\n", true),
            ("From: ceo@example.org\r\n", false),
            ("From: ann@example.org, ceo@example.org\r\n", false),
            ("From: ann@example.org\r\nfrom : ceo@example.org\r\n", false),
            ("From: ann@example.org\r\nFrom: ann@example.org\r\n", false),
            ("From: ann@example.org\r\nSender: ceo@example.org\r\n", false),
            ("Sender: ann@example.org\r\nFrom: ceo@example.org\r\n", false),
            ("From: <ceo@example.org> <ann@example.org>\r\n", false),
            ("From: \"ceo@example.org\" <ann@example.org>\r\n", false),
            ("From: \"ceo@example.org>\" <ann@example.org>\r\n", false),
            ("From: =?utf-8?q?ceo=40example.org?= <ann@example.org>\r\n", false),
            ("From: =?utf-8?b?Y2VvQGV4YW1wbGUub3Jn?= <ann@example.org>\r\n", false),
            ("From: =?utf-8?q?ceo=EF=BC=A0example.org?= <ann@example.org>\r\n", false),
            ("From: =?utf-8?q?ceo=0D=0A?= <ann@example.org>\r\n", false),
            ("From: ann@example.org (ceo@example.org)\r\n", false),
            ("From: ann@example.org(\r\n <ceo@example.org>)\r\n", false),
            ("From: ann@(x)example.org\r\n", false),
            ("From: <@example.org:ann@example.org>\r\n", false),
            ("From: ann@example.org\0ceo@example.org\r\n", false),
            ("From: ann\\@example.org@example.org\r\n", false),
            ("From: \"ann\"@example.org\r\n", false),
            ("From: ann@example.org@ceo.example\r\n", false),
            ("From: nobody:;\r\n", false),
            ("From: ceo\r\n", false),
            ("From:\r\n", false),
        ] {
            assert_eq!(is_theirs(header.as_bytes(), &ann), theirs, "{header}");
        }
        assert!(!is_theirs(b"From: \xff <ann@example.org>\r\n", &ann), "no UTF-8");
    }
}
