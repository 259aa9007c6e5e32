//! The client's side of the mechanisms: PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 (RFC 5802, 7677), XOAUTH2.
//!
//! An [`Exchange`] is asked for each answer. Not here: the AUTH command, its lines and replies (`client`), where the secret
//! comes from, which mechanism is chosen.

use super::Mechanism;
use super::scram::{
    self, ClientFinal, ClientFirst, Key, SaltedPassword, ScramFault, ServerFinal, ServerFirst,
    auth_message,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use posthaste_mail::{MAX_SECRET, Secret};
use std::fmt;

/// The longest name that is sent, octets.
pub const MAX_USER: usize = 320;

/// Why an exchange cannot go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ExchangeFault {
    /// User name or secret cannot be sent: empty, too long, with a NUL or a line's end, or no text.
    #[error("user name or secret cannot be sent")]
    Unsuitable,
    /// The server asks for more than the mechanism has.
    #[error("the server asks for more than the mechanism has")]
    TooMuch,
    /// The challenge is not base64 (RFC 4954 section 4).
    #[error("the challenge is not in base64")]
    NotBase64,
    /// SCRAM came to an end.
    #[error(transparent)]
    Scram(#[from] ScramFault),
}

/// One try to log in.
pub struct Exchange {
    mechanism: Mechanism,
    user: String,
    secret: Secret,
    state: State,
}

enum State {
    Begin,
    /// SCRAM: our first message is out.
    First(Box<ClientFirst>),
    /// SCRAM: our proof is out, the server owes its own.
    Proven(Box<(Key, String)>),
    /// LOGIN: the password comes next.
    Password,
    /// Nothing is left to say, but for an empty answer to XOAUTH2's last challenge.
    Said,
    /// That has been given too.
    Over,
}

impl Exchange {
    /// As this user. `random` makes the nonce of SCRAM.
    ///
    /// # Errors
    /// [`ExchangeFault::Unsuitable`].
    pub fn new(
        mechanism: Mechanism,
        user: &str,
        secret: Secret,
        random: &[u8; scram::NONCE],
    ) -> Result<Self, ExchangeFault> {
        let sound = |text: &str, most: usize| {
            !text.is_empty() && text.len() <= most && !text.contains(['\0', '\r', '\n', '\u{1}'])
        };
        let fits = sound(user, MAX_USER)
            && secret.expose_str().is_some_and(|text| sound(text, MAX_SECRET));
        if !fits {
            return Err(ExchangeFault::Unsuitable);
        }
        let state = match mechanism {
            Mechanism::ScramSha256 => {
                State::First(Box::new(ClientFirst::new(user, &scram::nonce(random))))
            }
            _ => State::Begin,
        };
        Ok(Self { mechanism, user: user.to_owned(), secret, state })
    }

    /// The mechanism.
    #[must_use]
    pub const fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// What may be sent along with AUTH, in base64; `None` where the server speaks first.
    #[must_use]
    pub fn initial(&mut self) -> Option<Secret> {
        let first = match (self.mechanism, &self.state) {
            (Mechanism::ScramSha256, State::First(first)) => {
                return Some(encoded(first.text().as_bytes()));
            }
            (Mechanism::Plain, State::Begin) => {
                [b"\0", self.user.as_bytes(), b"\0", self.secret.expose()].concat()
            }
            (Mechanism::XOAuth2, State::Begin) => {
                let user = self.user.as_bytes();
                [b"user=", user, b"\x01auth=Bearer ", self.secret.expose(), b"\x01\x01"].concat()
            }
            _ => return None,
        };
        self.state = State::Said;
        let first = Secret::new(first);
        Some(encoded(first.expose()))
    }

    /// The answer to a challenge, which is the text of a 334; in base64.
    ///
    /// # Errors
    /// Then the exchange is to be cancelled with `*`.
    pub fn answer(&mut self, challenge: &str) -> Result<Secret, ExchangeFault> {
        match (self.mechanism, std::mem::replace(&mut self.state, State::Said)) {
            // What servers ask here is told in many words; only its order is agreed.
            (Mechanism::Login, State::Begin) => {
                self.state = State::Password;
                Ok(encoded(self.user.as_bytes()))
            }
            (Mechanism::Login, State::Password) => Ok(encoded(self.secret.expose())),
            (Mechanism::ScramSha256, State::First(first)) => self.prove(&first, challenge),
            (Mechanism::ScramSha256, State::Proven(owed)) => {
                let (server_key, signed) = *owed;
                ServerFinal::read(&decoded(challenge)?)?.verify(&server_key, &signed)?;
                Ok(Secret::default())
            }
            // The token is refused, and the challenge says why; the reply comes after an empty answer.
            (Mechanism::XOAuth2, State::Said) => {
                self.state = State::Over;
                Ok(Secret::default())
            }
            (_, state) => {
                self.state = state;
                Err(ExchangeFault::TooMuch)
            }
        }
    }

    /// What must never be shown.
    pub(crate) const fn secret(&self) -> &Secret {
        &self.secret
    }

    fn prove(&mut self, first: &ClientFirst, challenge: &str) -> Result<Secret, ExchangeFault> {
        let server = ServerFirst::read(&decoded(challenge)?, first)?;
        let salted = SaltedPassword::derive(&self.secret, server.salt(), server.iterations());
        let last = ClientFinal::new(first, &server, &salted.client_key());
        let signed = auth_message(first, &server, &last);
        self.state = State::Proven(Box::new((salted.server_key(), signed)));
        Ok(encoded(last.text().as_bytes()))
    }

    /// The server said yes: it may be believed. With SCRAM only after it has proven that it knows our password's keys.
    ///
    /// # Errors
    /// [`ScramFault::ServerUnproven`].
    pub const fn accepted(&self) -> Result<(), ExchangeFault> {
        match (self.mechanism, &self.state) {
            (Mechanism::ScramSha256, State::Said) => Ok(()),
            (Mechanism::ScramSha256, _) => Err(ExchangeFault::Scram(ScramFault::ServerUnproven)),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

fn encoded(octets: &[u8]) -> Secret {
    Secret::new(STANDARD.encode(octets))
}

fn decoded(challenge: &str) -> Result<Vec<u8>, ExchangeFault> {
    STANDARD.decode(challenge.trim()).map_err(|_| ExchangeFault::NotBase64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::scram::{NONCE, Stored};

    fn exchange(mechanism: Mechanism) -> Exchange {
        Exchange::new(mechanism, "me@a.example", Secret::new("open sesame"), &[7; NONCE]).unwrap()
    }

    fn plain(sent: &Secret) -> String {
        String::from_utf8(STANDARD.decode(sent.expose()).unwrap()).unwrap()
    }

    #[test]
    fn plain_login_and_xoauth2_as_they_are_on_the_wire() {
        let mut plainly = exchange(Mechanism::Plain);
        let first = plainly.initial().unwrap();
        assert_eq!(first.expose_str(), Some("AG1lQGEuZXhhbXBsZQBvcGVuIHNlc2FtZQ=="));
        assert_eq!(plainly.answer(""), Err(ExchangeFault::TooMuch));
        assert_eq!(plainly.accepted(), Ok(()));

        let mut login = exchange(Mechanism::Login);
        assert_eq!(login.initial(), None);
        assert_eq!(plain(&login.answer("VXNlcm5hbWU6").unwrap()), "me@a.example");
        assert_eq!(plain(&login.answer("no base64!").unwrap()), "open sesame");
        assert_eq!(login.answer("UGFzc3dvcmQ6"), Err(ExchangeFault::TooMuch));

        let mut token = exchange(Mechanism::XOAuth2);
        let sent = plain(&token.initial().unwrap());
        assert_eq!(sent, "user=me@a.example\u{1}auth=Bearer open sesame\u{1}\u{1}");
        assert_eq!(token.answer("eyJzdGF0dXMiOiI0MDEifQ=="), Ok(Secret::default()));
        assert_eq!(token.answer(""), Err(ExchangeFault::TooMuch), "once is enough");
    }

    /// A server that knows the keys of `password`, up to its last word; its answers may be changed on the way.
    fn scram(password: &str, change: fn(String) -> String) -> Result<(), ExchangeFault> {
        let mut ours = exchange(Mechanism::ScramSha256);
        let keys = Stored::of(&Secret::new(password), b"salt", 4096);
        let first = ClientFirst::read(plain(&ours.initial().unwrap()).as_bytes()).unwrap();
        let server = ServerFirst::new(&first, "theirs", &keys.salt, keys.iterations);
        let said = change(server.text().to_owned());
        let last = ours.answer(&STANDARD.encode(said))?;
        let last = ClientFinal::read(plain(&last).as_bytes(), &first, &server).unwrap();
        let signed = auth_message(&first, &server, &last);
        assert_eq!(keys.stored.proves(&signed, last.proof()), password == "open sesame");
        assert!(ours.accepted().is_err(), "235 alone proves nothing");
        let signature = change(ServerFinal::Signature(keys.server.sign(&signed)).text());
        assert!(ours.answer(&STANDARD.encode(signature))?.is_empty());
        ours.accepted()
    }

    #[test]
    fn with_scram_the_server_must_prove_itself_too() {
        let same = |text| text;
        assert_eq!(scram("open sesame", same), Ok(()));
        let unproven = Err(ExchangeFault::Scram(ScramFault::ServerUnproven));
        assert_eq!(scram("another", same), unproven);
        let hostile = |text: String| text.replace("i=4096", "i=4095");
        let few = Err(ExchangeFault::Scram(ScramFault::Iterations(4095)));
        assert_eq!(scram("open sesame", hostile), few);
        let refuses = |text: String| {
            if text.starts_with("v=") { "e=invalid-proof".to_owned() } else { text }
        };
        let refused = Err(ExchangeFault::Scram(ScramFault::ServerError));
        assert_eq!(scram("open sesame", refuses), refused);
        let mut other = exchange(Mechanism::ScramSha256);
        let _ = other.initial();
        assert_eq!(other.answer("no base64!"), Err(ExchangeFault::NotBase64));
    }

    #[test]
    fn what_cannot_be_sent_is_refused_at_once() {
        for (user, secret) in [
            ("", "x"),
            ("me", ""),
            ("m\0e", "x"),
            ("me", "x\0"),
            ("me", "x\r\nQUIT"),
            ("me", "\u{1}"),
        ] {
            let made = Exchange::new(Mechanism::Plain, user, Secret::new(secret), &[0; NONCE]);
            assert_eq!(made.err(), Some(ExchangeFault::Unsuitable), "{user:?} {secret:?}");
        }
        let binary = Secret::new([0xff, 0xfe]);
        assert!(Exchange::new(Mechanism::Plain, "me", binary, &[0; NONCE]).is_err());
        assert!(!format!("{:?}", exchange(Mechanism::Plain)).contains("sesame"));
    }
}
