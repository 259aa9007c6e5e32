//! Who may log in: what a session asks of whoever keeps the users. Not here: their file and their passwords (floor 5), how
//! often somebody may try (`logins`).

use posthaste_io::Task;
use posthaste_mail::{ReversePath, Secret};
use posthaste_route::{Pattern, Sender};
use posthaste_smtp::sasl::Mechanism;
use posthaste_smtp::sasl::scram::Stored;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The users. Whoever asks about somebody unknown learns nothing else, and not faster, than with a wrong password.
pub trait Users: Send + Sync {
    /// Somebody has keys for SCRAM: it is worth being offered.
    fn has_keys(&self) -> bool;

    /// Whether this is the password of this user. It costs as much for users who are unknown.
    fn check(&self, name: &str, password: Secret) -> Task<'static, Checked>;

    /// How many passwords are checked at the same time; more wait in line before they come to [`Users::check`].
    fn checks_at_once(&self) -> usize {
        4
    }

    /// The keys of this user; made up, but the same each time, for who is unknown or has none.
    fn keys(&self, name: &str) -> Stored;

    /// Who has shown with [`Users::keys`] to know the password; `None` for who is unknown or has none.
    fn with_keys(&self, name: &str) -> Option<Arc<Account>>;

    /// Another number after each change of the users.
    fn generation(&self) -> u64;

    /// What has become of a user who has logged in.
    fn standing(&self, account: &Account) -> Standing;

    /// A login has failed: for the log.
    fn tell(&self, failed: &FailedLogin<'_>);
}

/// What came of a password.
#[derive(Clone, PartialEq, Debug)]
pub enum Checked {
    /// It is this user's.
    Right(Arc<Account>),
    /// It is not, or there is no such user.
    Wrong,
    /// Too many wait to be checked.
    Busy,
}

/// What has become of a user who has logged in.
#[derive(Clone, PartialEq, Debug)]
pub enum Standing {
    /// He may do this from now on.
    Good(Arc<Account>),
    /// He has been removed or disabled, or has another password.
    Gone,
}

/// What a user may do.
#[derive(Clone, PartialEq, Debug)]
pub struct Account {
    /// As it was given when the user was added.
    pub name: String,
    /// As whom the user may send.
    pub senders: Vec<Sender>,
    /// Which of his passwords the user has: another number, another password.
    pub password: u64,
    /// Limits of the user's own; others are [`crate::Limits::user_rates`].
    pub rates: OwnRates,
}

/// Limits that a user has instead of those for all; 0: none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OwnRates {
    /// See [`UserRates::messages_per_minute`].
    pub messages_per_minute: Option<u32>,
    /// See [`UserRates::recipients_per_minute`].
    pub recipients_per_minute: Option<u32>,
    /// See [`UserRates::recipients_per_day`].
    pub recipients_per_day: Option<u32>,
}

/// How much one user may do; 0: any number. All at once or evenly: what is used up comes back evenly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UserRates {
    /// Messages, counted at MAIL; over it `451 4.7.0`.
    pub messages_per_minute: u32,
    /// Recipients; over it `451 4.7.0`.
    pub recipients_per_minute: u32,
    /// Recipients; over it `451 4.7.0`. Not remembered over a restart.
    pub recipients_per_day: u32,
}

/// A login that failed.
#[derive(Clone, Copy, Debug)]
pub struct FailedLogin<'a> {
    /// From where.
    pub client: IpAddr,
    /// The listener's name.
    pub listener: &'a str,
    /// By which mechanism.
    pub mechanism: Mechanism,
    /// As the client wrote it: anything.
    pub user: &'a str,
}

impl Account {
    /// The user may send with this reverse-path.
    #[must_use]
    pub fn may_send_as(&self, path: &ReversePath) -> bool {
        self.senders.iter().any(|sender| sender.is(path))
    }

    /// The user may send with every address.
    #[must_use]
    pub fn may_send_as_anybody(&self) -> bool {
        self.senders.contains(&Sender::Fits(Pattern::Any))
    }
}

impl OwnRates {
    /// What holds for the user.
    #[must_use]
    pub fn or(self, all: &UserRates) -> UserRates {
        UserRates {
            messages_per_minute: self.messages_per_minute.unwrap_or(all.messages_per_minute),
            recipients_per_minute: self.recipients_per_minute.unwrap_or(all.recipients_per_minute),
            recipients_per_day: self.recipients_per_day.unwrap_or(all.recipients_per_day),
        }
    }
}

/// After the models of Exchange Online, twice as generous with messages.
impl Default for UserRates {
    fn default() -> Self {
        Self { messages_per_minute: 60, recipients_per_minute: 1000, recipients_per_day: 10_000 }
    }
}

/// The line that the log has of it, for programs that shut out who tries passwords. It does not change. What stands before
/// the user's name is ours; the name is put between quotes, and all in it that is no printable ASCII character, and
/// every quote and backslash, is written as `\u{HEX}`, so that nobody can make a line of his own of it.
impl fmt::Display for FailedLogin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (client, mechanism) = (self.client.to_canonical(), self.mechanism.name());
        write!(f, "authentication failed: client={client} listener=")?;
        escaped(f, self.listener)?;
        write!(f, " mechanism={mechanism} user=\"")?;
        escaped(f, self.user)?;
        f.write_str("\"")
    }
}

fn escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for c in text.chars() {
        if matches!(c, '!' | '#'..='[' | ']'..='~') {
            write!(f, "{c}")?;
        } else {
            write!(f, "{}", c.escape_unicode())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_failed_login_is_ours_alone() {
        let line = |user: &str| {
            let client = "::ffff:192.0.2.1".parse().expect("an address");
            let mechanism = Mechanism::Plain;
            FailedLogin { client, listener: "submission", mechanism, user }.to_string()
        };
        assert_eq!(
            line("ann@example.org"),
            "authentication failed: client=192.0.2.1 listener=submission mechanism=PLAIN \
             user=\"ann@example.org\""
        );
        for (user, written) in [
            ("a b", r"a\u{20}b"),
            ("a\r\nauthentication", r"a\u{d}\u{a}authentication"),
            ("x\" client=198.51.100.1", r"x\u{22}\u{20}client=198.51.100.1"),
            ("\\u{22}", r"\u{5c}u{22}"),
            ("j\u{f6}rg\u{202e}", r"j\u{f6}rg\u{202e}"),
        ] {
            assert!(line(user).ends_with(&format!(" user=\"{written}\"")), "{}", line(user));
        }
    }
}
