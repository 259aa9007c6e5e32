//! The session: which command may come when, what is answered by whom (RFC 5321 sections 3, 4.1.4, RFC 2920).
//!
//! Here is what the agent calls and the state; `turns` has what the client's octets do to it.

use super::command::Lines;
use super::heard::{Heard, Refused, What};
use super::intake::Intake;
use super::{MAX_OUTPUT, Settings, Step, reply};
use crate::sasl::server::Exchange;
use bytes::BytesMut;
use posthaste_mail::{EnhancedStatus, Reply};
use std::fmt;
use std::sync::Arc;

pub(super) const DONE: EnhancedStatus = EnhancedStatus::new(2, 0, 0);

/// One SMTP session, server side. See the module for how it is driven.
#[derive(Debug)]
pub struct Session {
    pub(super) settings: Arc<Settings>,
    pub(super) out: Vec<u8>,
    pub(super) lines: Lines,
    pub(super) phase: Phase,
    pub(super) hello: Option<Hello>,
    pub(super) transaction: Option<Transaction>,
    pub(super) owed: Option<Owed>,
    pub(super) commands: u32,
    pub(super) errors: u32,
    pub(super) heard: Heard,
    /// STARTTLS is offered as long as the stream is not.
    pub(super) starttls: bool,
    /// The stream is encrypted.
    pub(super) secure: bool,
    /// AUTH has succeeded on it.
    pub(super) authenticated: bool,
    /// AUTH is under way.
    pub(super) exchange: Option<Box<Exchange>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Commands,
    /// The transaction's intake takes the input.
    Content,
    /// A refused BDAT chunk is swallowed, then its reply is given.
    Swallow {
        left: u64,
        reply: Vec<u8>,
    },
    /// `220` to STARTTLS was said; plain text that follows is dropped.
    Securing,
    /// The greeting was a refusal: QUIT is waited for (RFC 5321 section 3.1).
    Refused,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hello {
    Basic,
    Extended,
}

#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub(super) recipients: u32,
    pub(super) smtputf8: bool,
    pub(super) content: Content,
    /// What the agent said when it refused content under way.
    pub(super) agent_reply: Vec<u8>,
}

#[derive(Debug, Default)]
pub(super) enum Content {
    #[default]
    None,
    Data(Box<Intake>),
    Chunks(Box<Intake>),
    /// A chunk was refused: so are all that follow.
    Refused,
}

/// The answer that the agent owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owed {
    Hello(Hello),
    Mail {
        smtputf8: bool,
    },
    Rcpt,
    Data,
    Bdat {
        size: u64,
        last: bool,
    },
    Message,
    StartTls,
    /// Whether a user may in.
    Auth,
    /// A user's keys.
    Keys,
}

impl Session {
    /// A session that has said nothing yet: [`Self::greet`] or [`Self::close_with`] comes next.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            starttls: settings.extensions.starttls,
            settings,
            out: Vec::new(),
            lines: Lines::default(),
            phase: Phase::Commands,
            hello: None,
            transaction: None,
            owed: None,
            commands: 0,
            errors: 0,
            heard: Heard::default(),
            secure: false,
            authenticated: false,
            exchange: None,
        }
    }

    /// A session whose stream is encrypted from the first octet (RFC 8314 section 3).
    #[must_use]
    pub fn over_tls(settings: Arc<Settings>) -> Self {
        Self { secure: true, ..Self::new(settings) }
    }

    /// The stream is encrypted: by STARTTLS, or from the first octet.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// AUTH has succeeded, and nothing has undone it.
    #[must_use]
    pub const fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// Greets: `220 hostname ESMTP Posthaste`.
    pub fn greet(&mut self) {
        let text = format_args!("{} ESMTP Posthaste", self.settings.hostname);
        reply::line(&mut self.out, 220, None, text, false);
    }

    /// Greets with a refusal, a 554, and waits for QUIT; all other commands are answered `503 5.5.1`, at most
    /// [`super::MAX_REFUSED_COMMANDS`] of them (RFC 5321 section 3.1).
    pub fn refuse_service(&mut self, greeting: &Reply) {
        self.heard.refuse(What::Session, || greeting.clone());
        reply::reply(&mut self.out, greeting, false);
        self.phase = Phase::Refused;
    }

    /// Says a last reply and closes, at any moment: 554 or 421 instead of a greeting, 421 when the agent shuts down or
    /// the client was silent for too long.
    pub fn close_with(&mut self, last: &Reply) {
        self.heard.refuse(What::Session, || last.clone());
        reply::reply(&mut self.out, last, false);
        self.close();
    }

    /// Goes on with the input. Consumes what it reports and nothing else.
    ///
    /// # Panics
    /// When the event before it asks for an answer and got none: a fault of the agent's code.
    pub fn next(&mut self, input: &mut BytesMut) -> Step {
        assert!(self.owed.is_none(), "the agent did not answer {:?}", self.owed);
        loop {
            if self.phase != Phase::Closed && self.out.len() >= MAX_OUTPUT {
                return Step::Write;
            }
            let step = match &mut self.phase {
                Phase::Closed => {
                    input.clear();
                    Some(Step::Close)
                }
                Phase::Securing => {
                    input.clear();
                    Some(Step::Read)
                }
                Phase::Commands if self.exchange.is_some() => self.next_response(input),
                Phase::Commands => self.next_command(input),
                Phase::Refused => self.next_refused(input),
                Phase::Content => self.next_content(input),
                Phase::Swallow { .. } => self.swallow(input),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// Commands refused since the last message was accepted.
    #[must_use]
    pub const fn errors(&self) -> u32 {
        self.errors
    }

    /// What is to be written. See [`Self::take_output`].
    #[must_use]
    pub fn output(&self) -> &[u8] {
        &self.out
    }

    /// Hands over what is to be written, and its buffer; give the buffer back with [`Self::reuse`] to save allocations.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Forgets the first `written` octets of the output.
    ///
    /// # Panics
    /// When there were not so many.
    pub fn written(&mut self, written: usize) {
        self.out.drain(..written);
    }

    /// Takes back a buffer from [`Self::take_output`]; its content is dropped.
    pub fn reuse(&mut self, mut buffer: Vec<u8>) {
        if self.out.is_empty() {
            buffer.clear();
            self.out = buffer;
        }
    }

    /// From now on command lines and refusals are kept until they are taken, for a session log.
    pub const fn listen_in(&mut self) {
        self.heard.on = true;
    }

    /// The command lines since [`Self::forget_heard`], as they came, in the order of their replies.
    #[must_use]
    pub fn heard(&self) -> &[u8] {
        &self.heard.lines
    }

    /// What was refused since [`Self::forget_heard`], and how many refusals more there were than are kept.
    #[must_use]
    pub fn refused(&mut self) -> (Vec<Refused>, u32) {
        (std::mem::take(&mut self.heard.refused), std::mem::take(&mut self.heard.unlisted))
    }

    /// True when [`Self::refused`] has something to tell.
    #[must_use]
    pub const fn has_refused(&self) -> bool {
        !self.heard.refused.is_empty()
    }

    /// Forgets the command lines: they were recorded.
    pub fn forget_heard(&mut self) {
        self.heard.lines.clear();
    }

    /// Content is being received: the time limit of a data block applies, not that of a command.
    #[must_use]
    pub fn in_content(&self) -> bool {
        matches!(self.phase, Phase::Content | Phase::Swallow { .. })
    }

    /// The `with` keyword of our trace header (RFC 3848, RFC 6531 section 3.7.3), without TLS and AUTH.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        match self.hello {
            _ if self.utf8() => "UTF8SMTP",
            Some(Hello::Extended) => "ESMTP",
            _ => "SMTP",
        }
    }

    /// Agrees to HELO, EHLO, MAIL, RCPT, STARTTLS or AUTH with the usual reply.
    ///
    /// # Panics
    /// When the last event asks for something else.
    pub fn accept(&mut self) {
        match self.owed.take() {
            Some(Owed::Hello(hello)) => self.welcome(hello),
            Some(Owed::Mail { smtputf8 }) => {
                self.transaction = Some(Transaction { smtputf8, ..Transaction::default() });
                self.out.extend_from_slice(b"250 2.1.0 Sender accepted\r\n");
            }
            Some(Owed::Rcpt) => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.recipients += 1;
                }
                self.out.extend_from_slice(b"250 2.1.5 Recipient accepted\r\n");
            }
            Some(Owed::StartTls) => {
                self.out.extend_from_slice(b"220 2.0.0 Ready to start TLS\r\n");
                self.phase = Phase::Securing;
            }
            Some(Owed::Auth) => self.accept_auth(),
            other => panic!("accept() does not answer {other:?}"),
        }
    }

    /// Agrees to [`super::Event::Content`]. `trace` is our trace header, which the facts will count; it is not handed back.
    ///
    /// # Panics
    /// When the last event asks for something else.
    pub fn accept_content(&mut self, trace: &[u8]) {
        let owed = self.owed.take();
        let limit = self.settings.limits.message_size;
        let mut intake = Box::new(Intake::new(self.settings.bare_newline, limit, trace));
        let content = match owed {
            Some(Owed::Data) => {
                self.out.extend_from_slice(b"354 Start mail input; end with <CRLF>.<CRLF>\r\n");
                Content::Data(intake)
            }
            Some(Owed::Bdat { size, last }) => {
                intake.chunk(size, last);
                Content::Chunks(intake)
            }
            other => panic!("accept_content() does not answer {other:?}"),
        };
        self.set_content(content);
        self.phase = Phase::Content;
    }

    /// Answers [`super::Event::End`] with `250 2.0.0` and this text: the message is durable.
    ///
    /// # Panics
    /// When the last event asks for something else.
    pub fn accept_message(&mut self, text: impl fmt::Display) {
        assert_eq!(self.owed.take(), Some(Owed::Message), "no message waits for an answer");
        let utf8 = self.utf8();
        reply::line(&mut self.out, 250, Some(DONE), text, utf8);
        self.transaction = None;
        self.errors = 0;
    }

    /// Refuses what the last event asks for. A 421 also closes.
    ///
    /// # Panics
    /// When the last event asks for nothing.
    pub fn reject(&mut self, answer: &Reply) {
        let owed = self.owed.take().expect("the last event asks for an answer");
        self.errors = self.errors.saturating_add(1);
        let utf8 = self.utf8();
        self.heard.refuse(What::of(owed), || answer.clone());
        if let Owed::Bdat { size, last } = owed
            && answer.code != 421
        {
            let mut held = Vec::new();
            reply::reply(&mut held, answer, utf8);
            self.refuse_chunk(size, last, held);
            return;
        }
        reply::reply(&mut self.out, answer, utf8);
        self.exchange = None;
        if owed == Owed::Message {
            self.transaction = None;
        }
        if answer.code == 421 {
            self.close();
        }
    }

    /// Refuses content that is still coming: no more chunks of it, and this reply at its end.
    pub fn refuse_content(&mut self, answer: &Reply) {
        let utf8 = self.utf8();
        let Some(Transaction { content, agent_reply, .. }) = &mut self.transaction else { return };
        if let Content::Data(intake) | Content::Chunks(intake) = content {
            let mut held = Vec::new();
            reply::reply(&mut held, answer, utf8);
            intake.refuse();
            *agent_reply = held;
            self.heard.refuse(What::Content, || answer.clone());
        }
    }

    /// The stream was secured, after [`super::Event::StartTls`] or before the greeting: everything the client said before
    /// is forgotten, what it pipelined behind STARTTLS above all (RFC 3207 section 4.2). What counts against it goes on
    /// counting.
    pub fn secured(&mut self, input: &mut BytesMut) {
        input.clear();
        self.phase = Phase::Commands;
        self.hello = None;
        self.transaction = None;
        self.lines = Lines::default();
        self.secure = true;
        self.authenticated = false;
        self.exchange = None;
    }

    /// No STARTTLS in this session, whatever the settings say: there is no certificate.
    pub const fn withhold_starttls(&mut self) {
        self.starttls = false;
    }
}
