//! AUTH at a scripted mail host (RFC 4954): PLAIN, LOGIN, SCRAM-SHA-256 and XOAUTH2, for the accounts of its script.
//!
//! It asks nobody for TLS, and its nonce is always the same: it keeps no secrets worth it.

use super::dialogue::{Next, Session};
use super::script::{Action, Step};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use posthaste_mail::{Mechanism, Secret};
use posthaste_smtp::sasl::scram::Stored;
use posthaste_smtp::sasl::server::{Ask, Exchange, Turn};
use std::io;

const WELCOME: &str = "235 2.7.0 welcome";
const REFUSED: &str = "535 5.7.8 user name or password wrong";
const MALFORMED: &str = "501 5.5.2 malformed";
/// Of keys that are made when they are asked for.
const ITERATIONS: u32 = 4096;

impl Session<'_> {
    pub(super) async fn auth(&mut self, line: &str) -> io::Result<Next> {
        if let Some(action) = self.decide(Step::Auth, line) {
            self.logged_in |= matches!(&action, Action::Delay(_));
            return self.act(action, WELCOME).await;
        }
        let mut words = line.split(' ').skip(1);
        let mechanism = words.next().and_then(Mechanism::named);
        let initial = words.next().map(str::to_owned);
        let verdict = match mechanism {
            None => return self.say("504 5.5.4 unknown mechanism").await,
            Some(Mechanism::XOAuth2) => self.token(initial).await?,
            Some(other) => {
                let exchange = Exchange::new(other).expect("every other one has a server");
                self.exchange(exchange, initial).await?
            }
        };
        match verdict {
            Some(true) => {
                self.logged_in = true;
                self.say(WELCOME).await
            }
            Some(false) => self.say(REFUSED).await,
            None => self.say(MALFORMED).await,
        }
    }

    /// True: it is one of the accounts. `None`: it makes no sense.
    async fn exchange(
        &mut self,
        mut exchange: Exchange,
        initial: Option<String>,
    ) -> io::Result<Option<bool>> {
        let mut answer = match initial {
            Some(initial) => initial,
            None => self.ask(exchange.prompt()).await?,
        };
        loop {
            let Ok(octets) = STANDARD.decode(&answer) else { return Ok(None) };
            let turn = match exchange.take(&Secret::new(octets)) {
                Err(_) => return Ok(None),
                Ok(Turn::Ask(Ask::Keys { user })) => {
                    let password = self.password_of(&user).unwrap_or_default();
                    let keys = Stored::of(&Secret::new(password), b"salt", ITERATIONS);
                    Turn::Say(exchange.keys(keys, "nonce"))
                }
                Ok(Turn::Ask(ask)) if self.lets_in(&ask) => exchange.agree(),
                Ok(Turn::Ask(_)) => return Ok(Some(false)),
                Ok(turn) => turn,
            };
            match turn {
                Turn::Say(challenge) => answer = self.ask(&challenge).await?,
                _ => return Ok(Some(true)),
            }
        }
    }

    fn lets_in(&self, ask: &Ask) -> bool {
        match ask {
            Ask::Password { user, password } => {
                self.password_of(user).is_some_and(|right| Secret::new(right) == *password)
            }
            Ask::Proof { user, valid } => *valid && self.password_of(user).is_some(),
            _ => false,
        }
    }

    /// A refused token is told in a challenge, and refused after an empty answer.
    async fn token(&mut self, initial: Option<String>) -> io::Result<Option<bool>> {
        let sent = match initial {
            Some(initial) => initial,
            None => self.ask(b"").await?,
        };
        let Ok(sent) = STANDARD.decode(&sent) else { return Ok(None) };
        let right = |(user, token): &(String, String)| {
            sent == format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}").as_bytes()
        };
        let known = self.host.lock().script.accounts.iter().any(right);
        if !known {
            self.ask(br#"{"status":"401","schemes":"bearer"}"#).await?;
        }
        Ok(Some(known))
    }

    async fn ask(&mut self, challenge: &[u8]) -> io::Result<String> {
        self.say(&format!("334 {}", STANDARD.encode(challenge))).await?;
        let answer = self.line().await?.unwrap_or_default();
        self.note('C', &answer);
        Ok(answer)
    }

    fn password_of(&self, user: &str) -> Option<String> {
        let state = self.host.lock();
        let found = state.script.accounts.iter().find(|(name, _)| name == user);
        found.map(|(_, password)| password.clone())
    }
}
