//! Who may log in: the file of the users, a line of JSON for each. The verbs `user` write it, the daemon reads it.
//!
//! Names are compared without regard to the case of ASCII letters, passwords octet by octet: nothing is normalized
//! (RFC 8265 would, of what is not ASCII). Rooms: [`password`] what is kept of a password, [`store`] the file on the disk, [`keeper`]
//! what the daemon makes of it. Not here: sessions and their limits (`reception`).

mod decoys;
pub(crate) mod keeper;
pub(crate) mod password;
pub(crate) mod store;

use password::Kept;
use posthaste_mail::Mailbox;
use posthaste_reception::{Account, OwnRates};
use posthaste_route::Sender;
use posthaste_smtp::sasl::server::MAX_USER;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// The most users of a file.
const MAX_USERS: usize = 100_000;
/// Faults of a file that are told.
const MAX_FAULTS: usize = 20;
/// Addresses as which one user may send.
const MAX_SENDERS: usize = 1000;

/// One user as the file has it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: Kept,
    /// As whom the user may send, besides the name when it is an address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) senders: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) messages_per_minute: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recipients_per_minute: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recipients_per_day: Option<u32>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) disabled: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it so")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// The file: its users in order, and remarks between them, which stay where they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book(Vec<Line>);

#[derive(Clone, Debug)]
enum Line {
    /// Empty, or begins with `#`.
    Remark(String),
    User(Box<User>),
}

/// What is wrong with the file; the operator must correct it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) struct Faults(Vec<(usize, String)>);

impl User {
    pub(crate) fn new(name: &str, password: Kept) -> Self {
        Self {
            name: name.to_owned(),
            password,
            senders: Vec::new(),
            messages_per_minute: None,
            recipients_per_minute: None,
            recipients_per_day: None,
            disabled: false,
        }
    }

    /// What is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        check_name(&self.name)?;
        if self.senders.len() > MAX_SENDERS {
            return Err(format!("more than {MAX_SENDERS} senders"));
        }
        self.senders.iter().try_for_each(|text| check_sender(text))
    }

    /// As whom the user may send: with its own name, when that is an address, and what else is said. `password`: which of
    /// the user's passwords this is.
    fn account(&self, password: u64) -> Account {
        let own = Mailbox::parse(&self.name, true).ok().and_then(|_| self.name.parse().ok());
        let said = self.senders.iter().filter_map(|text| sender(text));
        Account {
            name: self.name.clone(),
            senders: own.into_iter().chain(said).collect(),
            password,
            rates: OwnRates {
                messages_per_minute: self.messages_per_minute,
                recipients_per_minute: self.recipients_per_minute,
                recipients_per_day: self.recipients_per_day,
            },
        }
    }
}

/// By what a user is known.
pub(crate) fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let strange = |c: char| c.is_control() || c.is_whitespace();
    if name.is_empty() || name.len() > MAX_USER || name.contains(strange) {
        let what = "is no name of a user: 1 to 320 octets, no blanks and no control characters";
        return Err(format!("\"{}\" {what}", name.escape_debug()));
    }
    Ok(())
}

/// `@example.org` is everybody there, as in lists of recipients.
fn sender(text: &str) -> Option<Sender> {
    text.strip_prefix('@').unwrap_or(text).parse().ok()
}

fn check_sender(text: &str) -> Result<(), String> {
    let wrong = || {
        format!(
            "\"{}\" is no sender; write an address, \"@example.org\", \"*.example.org\", \"*\", or \"<>\" for notices",
            text.escape_debug()
        )
    };
    sender(text).map(drop).ok_or_else(wrong)
}

impl Book {
    /// Reads the file.
    pub(crate) fn parse(octets: &[u8]) -> Result<Self, Faults> {
        let text = std::str::from_utf8(octets)
            .map_err(|_| Faults(vec![(0, "it is not UTF-8".to_owned())]))?;
        let (mut lines, mut faults, mut known) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                lines.push(Line::Remark(line.to_owned()));
                continue;
            }
            match user(line) {
                Ok(user) if known.insert(key(&user.name)) => lines.push(Line::User(Box::new(user))),
                Ok(user) => {
                    faults.push((number + 1, format!("\"{}\" stands there twice", user.name)))
                }
                Err(what) => faults.push((number + 1, what)),
            }
            if known.len() > MAX_USERS {
                faults.push((number + 1, format!("more than {MAX_USERS} users")));
            }
            if faults.len() >= MAX_FAULTS || known.len() > MAX_USERS {
                break;
            }
        }
        if faults.is_empty() { Ok(Self(lines)) } else { Err(Faults(faults)) }
    }

    pub(crate) fn users(&self) -> impl Iterator<Item = &User> {
        self.0.iter().filter_map(|line| match line {
            Line::User(user) => Some(&**user),
            Line::Remark(_) => None,
        })
    }

    pub(crate) fn find(&mut self, name: &str) -> Option<&mut User> {
        self.0.iter_mut().find_map(|line| match line {
            Line::User(user) if key(&user.name) == key(name) => Some(&mut **user),
            _ => None,
        })
    }

    pub(crate) fn add(&mut self, user: User) {
        self.0.push(Line::User(Box::new(user)));
    }

    /// False when there is none of this name.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|line| !matches!(line, Line::User(user) if key(&user.name) == key(name)));
        self.0.len() < before
    }

    /// As the file has it.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.0 {
            match line {
                Line::Remark(remark) => text.push_str(remark),
                Line::User(user) => {
                    text.push_str(&serde_json::to_string(user).expect("a user is made of strings"));
                }
            }
            text.push('\n');
        }
        text
    }
}

/// What serde says of a line may repeat some of it: only where it is wrong is told, for a hash of a password may be in it.
fn user(line: &str) -> Result<User, String> {
    let user: User = serde_json::from_str(line).map_err(|error| {
        let column = error.column();
        match error.classify() {
            serde_json::error::Category::Data => {
                let told = told_field(&error.to_string());
                format!("it is no user{told}, near column {column}")
            }
            _ => format!("it is no JSON, near column {column}"),
        }
    })?;
    user.check()?;
    Ok(user)
}

/// Of an error the parts that name a field or our own words.
fn told_field(error: &str) -> String {
    let ours = ["unknown field", "missing field", "duplicate field", password::WRONG];
    match ours.iter().find(|words| error.starts_with(**words)) {
        Some(_) => {
            let said = error.split(" at line ").next().unwrap_or(error);
            format!(": {}", said.split(", expected").next().unwrap_or(said))
        }
        None => String::new(),
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (line, what)) in self.0.iter().enumerate() {
            let end = if i > 0 { "; " } else { "" };
            write!(f, "{end}line {line}: {what}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_mail::ReversePath;

    const HASH: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    fn line(rest: &str) -> String {
        format!("{{\"name\":\"Ann@example.org\",\"password\":\"{HASH}\"{rest}}}\n")
    }

    #[test]
    fn the_file_is_read_written_and_changed_and_remarks_stay() {
        let text = format!("# our users\n{}\n# the end\n", line(",\"senders\":[\"@b.example\"]"));
        let mut book = Book::parse(text.as_bytes()).unwrap();
        assert_eq!(book.text(), text);
        assert_eq!(book.find("ANN@example.org").unwrap().name, "Ann@example.org");
        let password = book.find("ann@example.org").unwrap().password.clone();
        book.add(User { disabled: true, ..User::new("bob", password) });
        assert!(book.text().ends_with("# the end\n{\"name\":\"bob\",\"password\":\"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\",\"disabled\":true}\n"));
        assert_eq!(Book::parse(book.text().as_bytes()).unwrap().users().count(), 2);
        assert!(book.remove("BOB") && !book.remove("bob"));
        assert_eq!(book.text(), text);
    }

    #[test]
    fn what_is_wrong_is_told_and_no_password_with_it() {
        for (text, expected) in [
            ("x\n".to_owned(), "line 1: it is no JSON, near column"),
            (line(",\"nmae\":1"), "line 1: it is no user: unknown field `nmae`, near column 179"),
            (
                "{\"name\":\"a\"}".into(),
                "line 1: it is no user: missing field `password`, near column",
            ),
            (line("") + &line(""), "line 2: \"Ann@example.org\" stands there twice"),
            (line(",\"senders\":[\"a b\"]"), "line 1: \"a b\" is no sender; write an address"),
            (line("").replace("Ann@", "Ann "), "line 1: \"Ann example.org\" is no name of a user"),
            (
                "{\"name\":\"a\",\"password\":\"secret\"}".into(),
                "line 1: it is no user: the password is kept in no form that is known: $argon2id$... or SCRAM-SHA-256$...",
            ),
        ] {
            let said = Book::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(said.starts_with(expected), "{said}");
            assert!(!said.contains("WG5d8o") && !said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn a_user_sends_as_itself_and_as_what_is_said() {
        let password =
            Book::parse(line("").as_bytes()).unwrap().users().next().unwrap().password.clone();
        let user = |name: &str, senders: &[&str]| User {
            senders: senders.iter().map(|s| (*s).to_owned()).collect(),
            ..User::new(name, password.clone())
        };
        for (user, path, may) in [
            (user("Ann@example.org", &[]), "ann@EXAMPLE.org", true),
            (user("Ann@example.org", &[]), "bob@example.org", false),
            (user("Ann@example.org", &[]), "", false),
            (user("ann", &[]), "ann@example.org", false),
            (user("ann", &["ann@example.org"]), "ann@example.org", true),
            (user("ann", &["@example.org"]), "bob@example.org", true),
            (user("ann", &["example.org"]), "bob@sub.example.org", false),
            (user("ann", &["*.example.org"]), "bob@sub.example.org", true),
            (user("ann", &["*"]), "bob@anywhere.example", true),
            (user("ann", &["*"]), "", false),
            (user("ann", &["<>"]), "", true),
        ] {
            let path = match path {
                "" => ReversePath::Null,
                path => ReversePath::Mailbox(Mailbox::parse(path, false).unwrap()),
            };
            assert_eq!(user.check(), Ok(()));
            assert_eq!(user.account(1).may_send_as(&path), may, "{user:?} {path:?}");
        }
    }
}
