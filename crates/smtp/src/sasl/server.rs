//! The server's side of the mechanisms: PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 without channel binding (RFC 5802, 7677).
//!
//! An [`Exchange`] takes what the client answers and tells what to say, or what must be known to go on. Not here: the AUTH
//! command and base64 (`server`), who the users are, who may log in, and when a refusal is said.

use super::Mechanism;
use super::scram::{
    ClientFinal, ClientFirst, ScramFault, ServerFinal, ServerFirst, Stored, auth_message,
};
use posthaste_mail::Secret;
use std::fmt;

/// The longest name of a user, octets; more than an address has.
pub const MAX_USER: usize = 320;
/// The longest password, octets.
pub const MAX_PASSWORD: usize = 1024;

/// One exchange of AUTH, from the mechanism's name to its end.
pub struct Exchange {
    mechanism: Mechanism,
    state: State,
}

enum State {
    /// PLAIN: all comes at once.
    Plain,
    LoginUser,
    LoginPassword(String),
    ScramFirst,
    /// The caller owes the keys.
    ScramKeys(ClientFirst),
    ScramFinal(Box<Expected>),
    /// The client's proof was judged; what proves us to the client.
    ScramProven(Option<ServerFinal>),
    /// That was said; an empty answer ends it (RFC 4954 section 4).
    ScramSaid,
    /// Nothing more is expected of the client.
    Asked,
}

/// What the last message of the client is held against.
struct Expected {
    first: ClientFirst,
    ours: ServerFirst,
    keys: Stored,
}

/// What comes next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Turn {
    /// Say this, base64 on the wire, with `334`.
    Say(Vec<u8>),
    /// The caller decides.
    Ask(Ask),
    /// The exchange has succeeded.
    Done,
}

/// What the caller must know or decide.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Whether this is the password of the user.
    Password {
        /// As the client wrote it.
        user: String,
        /// Of the user, as the client says.
        password: Secret,
    },
    /// The keys of the user, or some that were made up: [`Exchange::keys`].
    Keys {
        /// As the client wrote it.
        user: String,
    },
    /// The proof was held against the keys.
    Proof {
        /// As the client wrote it.
        user: String,
        /// It is the one that they ask for.
        valid: bool,
    },
    /// The user wants to act as somebody else, which nobody may (RFC 4616 section 2, RFC 5802 section 5.1).
    OtherIdentity {
        /// As the client wrote it.
        user: String,
    },
}

/// The client's message is not one of the mechanism; its author must act.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the message is not one of the mechanism")]
pub struct Malformed;

impl Exchange {
    /// `None` for a mechanism that has no server here.
    #[must_use]
    pub const fn new(mechanism: Mechanism) -> Option<Self> {
        let state = match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginUser,
            Mechanism::ScramSha256 => State::ScramFirst,
            Mechanism::XOAuth2 => return None,
        };
        Some(Self { mechanism, state })
    }

    /// Which mechanism it is of.
    #[must_use]
    pub const fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// What is said when the client gave no initial response.
    #[must_use]
    pub fn prompt(&self) -> &'static [u8] {
        if self.mechanism == Mechanism::Login { b"Username:" } else { b"" }
    }

    /// Takes the client's next message, decoded.
    ///
    /// # Errors
    /// [`Malformed`]: the exchange is over.
    pub fn take(&mut self, message: &Secret) -> Result<Turn, Malformed> {
        match std::mem::replace(&mut self.state, State::Asked) {
            State::Plain => plain(message).map(Turn::Ask),
            State::LoginUser => {
                let user = user(message.expose_str().ok_or(Malformed)?)?;
                self.state = State::LoginPassword(user);
                Ok(Turn::Say(b"Password:".to_vec()))
            }
            State::LoginPassword(user) => {
                let password = password(message.expose())?;
                Ok(Turn::Ask(Ask::Password { user, password }))
            }
            State::ScramFirst => {
                let first = ClientFirst::read(message.expose()).map_err(|_| Malformed)?;
                let user = user(first.user())?;
                if first.authzid().is_some_and(|asked| is_other(asked, &user)) {
                    return Ok(Turn::Ask(Ask::OtherIdentity { user }));
                }
                self.state = State::ScramKeys(first);
                Ok(Turn::Ask(Ask::Keys { user }))
            }
            State::ScramFinal(expected) => {
                let proven = expected.judge(message.expose())?;
                let (user, valid) = (expected.first.user().to_owned(), proven.is_some());
                self.state = State::ScramProven(proven);
                Ok(Turn::Ask(Ask::Proof { user, valid }))
            }
            State::ScramSaid if message.is_empty() => Ok(Turn::Done),
            State::ScramSaid | State::ScramKeys(_) | State::ScramProven(_) | State::Asked => {
                Err(Malformed)
            }
        }
    }

    /// Answers [`Ask::Keys`] with what is stored, or made up. `nonce`: of [`super::scram::nonce`], new for each exchange.
    /// Tells what to say; nothing when keys were not asked for.
    pub fn keys(&mut self, keys: Stored, nonce: &str) -> Vec<u8> {
        let State::ScramKeys(first) = std::mem::replace(&mut self.state, State::Asked) else {
            return Vec::new();
        };
        let ours = ServerFirst::new(&first, nonce, &keys.salt, keys.iterations);
        let said = ours.text().as_bytes().to_vec();
        self.state = State::ScramFinal(Box::new(Expected { first, ours, keys }));
        said
    }

    /// The caller lets the user in: what must still be said, if anything.
    pub fn agree(&mut self) -> Turn {
        match std::mem::replace(&mut self.state, State::Asked) {
            State::ScramProven(Some(ours)) => {
                self.state = State::ScramSaid;
                Turn::Say(ours.text().into_bytes())
            }
            _ => Turn::Done,
        }
    }
}

/// Without what was said: some of it is secret.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exchange({})", self.mechanism.name())
    }
}

/// `[authzid] NUL authcid NUL passwd` (RFC 4616 section 2).
fn plain(message: &Secret) -> Result<Ask, Malformed> {
    let mut parts = message.expose().split(|octet| *octet == 0);
    let mut part = || parts.next().ok_or(Malformed);
    let (identity, name, secret) = (part()?, part()?, part()?);
    if parts.next().is_some() {
        return Err(Malformed);
    }
    let text = |octets| std::str::from_utf8(octets).map_err(|_| Malformed);
    let (identity, user, password) = (text(identity)?, user(text(name)?)?, password(secret)?);
    if is_other(identity, &user) {
        return Ok(Ask::OtherIdentity { user });
    }
    Ok(Ask::Password { user, password })
}

/// The identity asked for is neither empty nor the user's own.
fn is_other(identity: &str, user: &str) -> bool {
    !identity.is_empty() && !identity.eq_ignore_ascii_case(user)
}

fn user(text: &str) -> Result<String, Malformed> {
    let fits = !text.is_empty() && text.len() <= MAX_USER && !text.contains('\0');
    if fits { Ok(text.to_owned()) } else { Err(Malformed) }
}

fn password(octets: &[u8]) -> Result<Secret, Malformed> {
    let fits = !octets.is_empty() && octets.len() <= MAX_PASSWORD && !octets.contains(&0);
    if fits { Ok(Secret::new(octets)) } else { Err(Malformed) }
}

impl Expected {
    /// Our last message when the proof is the one asked for.
    fn judge(&self, message: &[u8]) -> Result<Option<ServerFinal>, Malformed> {
        let last = match ClientFinal::read(message, &self.first, &self.ours) {
            Ok(last) => last,
            Err(ScramFault::Nonce | ScramFault::ChannelBinding) => return Ok(None),
            Err(_) => return Err(Malformed),
        };
        let signed = auth_message(&self.first, &self.ours, &last);
        let valid = self.keys.stored.proves(&signed, last.proof());
        Ok(valid.then(|| ServerFinal::Signature(self.keys.server.sign(&signed))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::scram::SaltedPassword;

    fn exchange(mechanism: Mechanism) -> Exchange {
        Exchange::new(mechanism).expect("it has a server")
    }

    fn asked(user: &str, password: &str) -> Result<Turn, Malformed> {
        let (user, password) = (user.to_owned(), Secret::new(password));
        Ok(Turn::Ask(Ask::Password { user, password }))
    }

    #[test]
    fn plain_is_read_as_rfc_4616_has_it() {
        let other = Ok(Turn::Ask(Ask::OtherIdentity { user: "tim".into() }));
        for (message, expected) in [
            ("\0tim\0tanstaaftanstaaf", asked("tim", "tanstaaftanstaaf")),
            ("tim\0tim\0x", asked("tim", "x")),
            ("TIM\0tim\0x", asked("tim", "x")),
            ("\0j\u{f6}rg\0gr\u{fc}n", asked("j\u{f6}rg", "gr\u{fc}n")),
            ("ursel\0tim\0x", other),
            ("\0tim\0", Err(Malformed)),
            ("\0\0x", Err(Malformed)),
            ("tim\0x", Err(Malformed)),
            ("\0tim\0x\0", Err(Malformed)),
            ("", Err(Malformed)),
        ] {
            let turn = exchange(Mechanism::Plain).take(&Secret::new(message));
            assert_eq!(turn, expected, "{message:?}");
        }
        let long = format!("\0tim\0{}", "x".repeat(MAX_PASSWORD + 1));
        assert_eq!(exchange(Mechanism::Plain).take(&Secret::new(long)), Err(Malformed));
        assert_eq!(exchange(Mechanism::Plain).take(&Secret::new(*b"\0\xff\0x")), Err(Malformed));
    }

    #[test]
    fn login_asks_twice() {
        let mut login = exchange(Mechanism::Login);
        assert_eq!(login.prompt(), b"Username:");
        assert_eq!(login.take(&Secret::new("tim")), Ok(Turn::Say(b"Password:".to_vec())));
        assert_eq!(login.take(&Secret::new("x y")), asked("tim", "x y"));
        assert_eq!(login.agree(), Turn::Done);
        for message in ["", "a\0b"] {
            assert_eq!(exchange(Mechanism::Login).take(&Secret::new(message)), Err(Malformed));
        }
    }

    const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const SALT: &[u8] = b"\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";

    /// Up to the client's last message; answers what the exchange makes of that.
    fn scram(password: &str, first: &str, last: &str) -> (Exchange, Result<Turn, Malformed>) {
        let mut scram = exchange(Mechanism::ScramSha256);
        assert_eq!(scram.prompt(), b"");
        let asks = scram.take(&Secret::new(first));
        assert_eq!(asks, Ok(Turn::Ask(Ask::Keys { user: "user".into() })));
        scram.keys(Stored::of(&Secret::new(password), SALT, 4096), NONCE);
        let turn = scram.take(&Secret::new(last));
        (scram, turn)
    }

    #[test]
    fn scram_is_the_example_of_rfc_7677() {
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let proof = |valid| Ok(Turn::Ask(Ask::Proof { user: "user".into(), valid }));
        let (mut right, turn) = scram("pencil", FIRST, last);
        assert_eq!(turn, proof(true));
        let said = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_vec();
        assert_eq!(right.agree(), Turn::Say(said));
        assert_eq!(right.take(&Secret::default()), Ok(Turn::Done));
        assert_eq!(scram("pen", FIRST, last).1, proof(false), "another password");
        assert_eq!(scram("pencil", FIRST, &last.replace("=biws", "=eSws")).1, proof(false));
        assert_eq!(scram("pencil", FIRST, &last.replace("k0,", "k1,")).1, proof(false));
        assert_eq!(scram("pencil", "y,,n=user,r=rOprNGfwEbeRWgbNEkqO", last).1, proof(false));
        assert_eq!(scram("pencil", FIRST, "c=biws").1, Err(Malformed));
    }

    #[test]
    fn a_client_that_could_bind_the_channel_is_served_and_one_that_does_is_not() {
        let first = ClientFirst::read(b"y,,n=user,r=abc").expect("sound");
        let server = ServerFirst::new(&first, "def", SALT, 4096);
        let key = SaltedPassword::derive(&Secret::new("pencil"), SALT, 4096).client_key();
        let last = ClientFinal::new(&first, &server, &key);
        let mut scram = exchange(Mechanism::ScramSha256);
        assert!(scram.take(&Secret::new(first.text())).is_ok());
        scram.keys(Stored::of(&Secret::new("pencil"), SALT, 4096), "def");
        let proven = scram.take(&Secret::new(last.text()));
        assert_eq!(proven, Ok(Turn::Ask(Ask::Proof { user: "user".into(), valid: true })));
        for first in ["p=tls-exporter,,n=user,r=abc", "n,a=other,n=user,r=abc", ""] {
            let turn = exchange(Mechanism::ScramSha256).take(&Secret::new(first));
            let other = Turn::Ask(Ask::OtherIdentity { user: "user".into() });
            let expected = if first.starts_with('n') { Ok(other) } else { Err(Malformed) };
            assert_eq!(turn, expected, "{first}");
        }
    }
}
