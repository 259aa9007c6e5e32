//! AUTH in a session (RFC 4954): when it may come, its lines, and what is asked of the agent.
//!
//! Not here: what the mechanisms say (`sasl`), who the users are.

use super::command::Cut;
use super::session::{Hello, Owed, Session};
use super::{Event, Fault, MAX_AUTH_LINE, Step, reply};
use crate::sasl::Mechanism;
use crate::sasl::scram::Stored;
use crate::sasl::server::{Ask, Exchange, Turn};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Buf, BytesMut};
use posthaste_mail::{EnhancedStatus, Secret};
use std::borrow::Cow;

/// What stands in the session log for every word of an exchange but the mechanism's name.
const HIDDEN: &[u8] = b"***\r\n";
const SUCCEEDED: EnhancedStatus = EnhancedStatus::new(2, 7, 0);

impl Session {
    /// `mechanism [SP initial-response]`.
    pub(super) fn auth(&mut self, argument: &str) -> Result<Option<Event>, Fault> {
        if !self.settings.extensions.auth {
            return Err(Fault::NotImplemented);
        }
        if self.hello != Some(Hello::Extended) {
            return Err(Fault::HelloFirst);
        }
        if !self.secure {
            return Err(Fault::EncryptionRequired);
        }
        if self.authenticated {
            return Err(Fault::AlreadyAuthenticated);
        }
        if self.transaction.is_some() {
            return Err(Fault::TransactionUnderWay);
        }
        let (name, initial) = match argument.split_once(' ') {
            Some((name, initial)) => (name, Some(initial.trim_start_matches(' '))),
            None => (argument, None),
        };
        if name.is_empty() {
            return Err(Fault::AuthSyntax);
        }
        let mechanism = Mechanism::named(name).filter(|m| self.settings.mechanisms.contains(m));
        let exchange = mechanism.and_then(Exchange::new).ok_or(Fault::UnknownMechanism)?;
        let prompt = exchange.prompt();
        self.exchange = Some(Box::new(exchange));
        match initial {
            // RFC 4954 section 4: an initial response of no octets.
            Some("=") => self.respond(&Secret::default()),
            Some(initial) => {
                let decoded = decode(initial.as_bytes());
                decoded.and_then(|message| self.respond(&message))
            }
            None => {
                self.challenge(prompt);
                Ok(None)
            }
        }
        .inspect_err(|_| self.exchange = None)
    }

    /// The client's next line within the exchange; whatever it holds is no command.
    pub(super) fn next_response(&mut self, input: &mut BytesMut) -> Option<Step> {
        let length = match self.lines.cut(input, MAX_AUTH_LINE) {
            Cut::Need => return Some(Step::Read),
            Cut::TooLong => {
                self.exchange = None;
                return Some(self.fault(Fault::AuthLineTooLong));
            }
            Cut::Line(length) => length,
        };
        self.heard.line(HIDDEN);
        let counted = self.count_command();
        let line = &input[..length - 2];
        let answered = match (counted, line) {
            (Some(fault), _) => Err(fault),
            (None, b"*") => Err(Fault::AuthCancelled),
            (None, line) => decode(line).and_then(|message| self.respond(&message)),
        };
        // It may be a password: it does not stay in the buffer.
        input[..length].fill(0);
        input.advance(length);
        match answered {
            Ok(event) => event.map(Step::Event),
            Err(fault) => {
                self.exchange = None;
                Some(self.fault(fault))
            }
        }
    }

    fn respond(&mut self, message: &Secret) -> Result<Option<Event>, Fault> {
        let Some(exchange) = &mut self.exchange else { return Ok(None) };
        match exchange.take(message).map_err(|_| Fault::AuthMalformed)? {
            Turn::Say(challenge) => {
                self.challenge(&challenge);
                Ok(None)
            }
            Turn::Ask(ask) => {
                self.owed = Some(match ask {
                    Ask::Keys { .. } => Owed::Keys,
                    _ => Owed::Auth,
                });
                Ok(Some(Event::Auth(ask)))
            }
            Turn::Done => Ok(self.let_in()),
        }
    }

    /// Answers [`Ask::Keys`], with what is stored of the user or was made up. `nonce`: of [`crate::sasl::scram::nonce`].
    ///
    /// # Panics
    /// When the last event asks for something else.
    pub fn give_keys(&mut self, keys: Stored, nonce: &str) {
        assert_eq!(self.owed.take(), Some(Owed::Keys), "no keys were asked for");
        let said = self.exchange.as_mut().map(|exchange| exchange.keys(keys, nonce));
        self.challenge(&said.unwrap_or_default());
    }

    /// The agent agrees.
    pub(super) fn accept_auth(&mut self) {
        let Some(exchange) = &mut self.exchange else { return };
        if let Turn::Say(last) = exchange.agree() {
            self.challenge(&last);
        } else {
            self.let_in();
        }
    }

    fn let_in(&mut self) -> Option<Event> {
        self.exchange = None;
        self.authenticated = true;
        self.errors = 0;
        reply::line(&mut self.out, 235, Some(SUCCEEDED), "Authentication succeeded", false);
        None
    }

    /// Which mechanism is under way.
    #[must_use]
    pub fn mechanism(&self) -> Option<Mechanism> {
        self.exchange.as_ref().map(|exchange| exchange.mechanism())
    }

    /// A line of its own kind: up to 12,288 octets with base64, where replies have 512.
    fn challenge(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(b"334 ");
        self.out.extend_from_slice(BASE64.encode(octets).as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }
}

/// What follows may be a password, also where the parser knows no AUTH for what stands before it.
pub(super) fn is_auth(line: &[u8]) -> bool {
    let begins = line.iter().position(|octet| octet.is_ascii_graphic()).unwrap_or(0);
    line.get(begins..begins + 4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH"))
}

/// A command line as the session log may have it: of AUTH only the mechanism, as `AUTH PLAIN ***`. Of what is no command
/// nothing, when it may belong to AUTH: after one (`has_asked`), with the word in it, or with octets that no command has.
pub(super) fn loggable(line: &[u8], fault: Option<Fault>, has_asked: bool) -> Cow<'_, [u8]> {
    let has_word = || line.windows(4).any(|word| word.eq_ignore_ascii_case(b"AUTH"));
    if !is_auth(line) {
        return match fault {
            Some(Fault::BadOctet) => Cow::Borrowed(HIDDEN),
            Some(Fault::Unrecognised) if has_asked || has_word() => Cow::Borrowed(HIDDEN),
            _ => Cow::Borrowed(line),
        };
    }
    let name = std::str::from_utf8(line).ok().and_then(|line| line.split_ascii_whitespace().nth(1));
    let mechanism = name.and_then(Mechanism::named);
    let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count();
    let mut said = b"AUTH ".to_vec();
    match mechanism {
        Some(mechanism) if words <= 2 => {
            said.extend_from_slice(mechanism.name().as_bytes());
            said.extend_from_slice(b"\r\n");
            return Cow::Owned(said);
        }
        Some(mechanism) => {
            said.extend_from_slice(mechanism.name().as_bytes());
            said.push(b' ');
        }
        None => {}
    }
    said.extend_from_slice(HIDDEN);
    Cow::Owned(said)
}

/// The keyword of EHLO with the mechanisms.
pub(super) fn announced(mechanisms: &[Mechanism]) -> String {
    let names = mechanisms.iter().map(|mechanism| mechanism.name());
    std::iter::once("AUTH").chain(names).collect::<Vec<_>>().join(" ")
}

fn decode(line: &[u8]) -> Result<Secret, Fault> {
    BASE64.decode(line).map(Secret::new).map_err(|_| Fault::AuthMalformed)
}
