//! The connection around the transactions (RFC 5321 sections 3.1, 3.2, 3.8, 4.1.1.1).
//!
//! Not here: one transaction (`transaction`), its commands (`commands`).

use super::auth::{Login, Turn};
use super::transaction::{Next, Running};
use super::{Capabilities, End, Protocol, Report, Settings, Stage, Step, Transaction};
use crate::reply::{Parser, ReplyError};
use crate::sasl::client::{Exchange, ExchangeFault};
use bytes::BytesMut;
use posthaste_mail::Reply;
use std::collections::VecDeque;
use std::sync::Arc;

/// RFC 5321 section 3.8: the server closes the channel, whatever was asked.
const CLOSING: u16 = 421;

/// One SMTP session, client side. See the module for how it is driven.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    out: Vec<u8>,
    parser: Parser,
    offers: Capabilities,
    extended: bool,
    state: State,
    /// The last transaction was left open at the server.
    open: bool,
    /// The server has taken our AUTH.
    logged_in: bool,
    /// Why we broke off AUTH.
    login_fault: Option<ExchangeFault>,
    /// Steps found out together with one that was just told. At most two.
    next: VecDeque<Step>,
}

#[derive(Debug)]
enum State {
    Banner,
    Ehlo,
    Helo,
    Lhlo,
    StartTls,
    /// The handshake is the driver's.
    Securing,
    Idle,
    Auth(Box<Login>),
    Running(Box<Running>),
    Rset,
    Quit,
    Closed,
}

impl Session {
    /// A fresh connection: the greeting comes first.
    #[must_use]
    pub fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            out: Vec::new(),
            parser: Parser::new(),
            offers: Capabilities::default(),
            extended: false,
            state: State::Banner,
            open: false,
            logged_in: false,
            login_fault: None,
            next: VecDeque::new(),
        }
    }

    /// Goes on with the input.
    pub fn next(&mut self, input: &mut BytesMut) -> Step {
        if let Some(step) = self.next.pop_front() {
            return step;
        }
        if matches!(self.state, State::Securing) {
            return self.hand_over(input);
        }
        match self.parser.next(input) {
            _ if matches!(self.state, State::Closed) => Step::Close,
            Ok(Some(reply)) => self.take(reply),
            Ok(None) => self.wait(),
            Err(error) => {
                let stage = self.stage();
                self.gibberish(stage, Some(error));
                self.next.pop_front().unwrap_or(Step::Close)
            }
        }
    }

    /// What is to be written.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        &self.out
    }

    /// Hands over what is to be written.
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

    /// Nothing more can be said.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// What is spoken.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.settings.protocol
    }

    /// What the server offers; nothing before its reply to EHLO.
    #[must_use]
    pub const fn capabilities(&self) -> &Capabilities {
        &self.offers
    }

    /// The server took EHLO or LHLO (and not just HELO).
    #[must_use]
    pub const fn extended(&self) -> bool {
        self.extended
    }

    /// What is being waited for.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match &self.state {
            State::Banner => Stage::Banner,
            State::Ehlo => Stage::Ehlo,
            State::Helo => Stage::Helo,
            State::Lhlo => Stage::Lhlo,
            State::StartTls | State::Securing => Stage::StartTls,
            State::Idle | State::Closed => Stage::Idle,
            State::Running(running) => running.stage(),
            State::Auth(_) => Stage::Auth,
            State::Rset => Stage::Rset,
            State::Quit => Stage::Quit,
        }
    }

    /// Starts a transaction. Its first commands are in the output at once.
    ///
    /// # Panics
    /// When the last step was not [`Step::Ready`], or there is no recipient: a fault of the agent's code.
    pub fn begin(&mut self, transaction: &Transaction<'_>) {
        let running = self.running(transaction);
        self.start(running);
    }

    /// Starts a transaction that ends before DATA: asks which recipients would be accepted. Its report says
    /// [`End::Stopped`] when any would.
    ///
    /// # Panics
    /// As [`Self::begin`].
    pub fn begin_probe(&mut self, transaction: &Transaction<'_>) {
        let running = self.running(transaction).stopping_before_data();
        self.start(running);
    }

    fn running(&mut self, transaction: &Transaction<'_>) -> Running {
        assert!(
            matches!(self.state, State::Idle),
            "a transaction begins when the session is ready"
        );
        assert!(!transaction.recipients.is_empty(), "a transaction has recipients");
        let lines = transaction.commands(&self.offers);
        let reset = std::mem::take(&mut self.open);
        Running::new(self.settings.protocol, lines, transaction.recipients.len(), reset)
    }

    fn start(&mut self, mut running: Running) {
        let pipelining = self.pipelining();
        running.go_on(&mut self.out, pipelining);
        self.state = State::Running(Box::new(running));
    }

    /// The network took the last octet of the final dot: call it then, and only then. From here on a lost connection
    /// leaves the outcome unknown; before, nothing can have been delivered.
    pub fn content_sent(&mut self) {
        if let State::Running(running) = &mut self.state {
            running.content_sent();
        }
    }

    /// Sends RSET: shows whether a connection that was kept still works.
    ///
    /// # Panics
    /// When the last step was not [`Step::Ready`].
    pub fn reset(&mut self) {
        assert!(matches!(self.state, State::Idle), "RSET is sent when the session is ready");
        self.out.extend_from_slice(b"RSET\r\n");
        self.open = false;
        self.state = State::Rset;
    }

    /// Logs in (RFC 4954). [`Step::Ready`] follows, whether the server took it or not: see [`Self::logged_in`] and
    /// [`Self::login_fault`]; a server that cannot prove itself gets QUIT and [`Step::Close`].
    ///
    /// # Panics
    /// When the last step was not [`Step::Ready`].
    pub fn log_in(&mut self, exchange: Exchange) {
        assert!(matches!(self.state, State::Idle), "AUTH is sent when the session is ready");
        self.state = State::Auth(Box::new(Login::begin(exchange, &mut self.out)));
    }

    /// The server has taken our AUTH.
    #[must_use]
    pub const fn logged_in(&self) -> bool {
        self.logged_in
    }

    /// Why we broke off AUTH, when it was we.
    #[must_use]
    pub const fn login_fault(&self) -> Option<ExchangeFault> {
        self.login_fault
    }

    /// Sends STARTTLS (RFC 3207). Refused, the session goes on in clear.
    ///
    /// # Panics
    /// When the last step was not [`Step::Ready`].
    pub fn start_tls(&mut self) {
        assert!(matches!(self.state, State::Idle), "STARTTLS is sent when the session is ready");
        self.out.extend_from_slice(b"STARTTLS\r\n");
        self.state = State::StartTls;
    }

    /// The handshake is done: all that the server said before is forgotten, and it is greeted anew (RFC 3207 section 4.2).
    ///
    /// # Panics
    /// When the last step was not [`Step::Secure`].
    pub fn secured(&mut self) {
        assert!(matches!(self.state, State::Securing), "the server took STARTTLS before");
        self.offers = Capabilities::default();
        self.extended = false;
        self.parser = Parser::new();
        self.greet();
    }

    /// From here on the octets are those of TLS: what is there already came in clear.
    fn hand_over(&mut self, input: &mut BytesMut) -> Step {
        if input.is_empty() {
            return Step::Secure;
        }
        input.clear();
        self.state = State::Closed;
        Step::Injected
    }

    /// Sends QUIT.
    ///
    /// # Panics
    /// When the last step was not [`Step::Ready`].
    pub fn quit(&mut self) {
        assert!(matches!(self.state, State::Idle), "QUIT is sent when the session is ready");
        self.say_quit();
        self.state = State::Quit;
    }

    /// The connection ended, or time ran out. Answers what that means for a transaction under way; [`Step::Close`]
    /// follows.
    pub fn lost(&mut self) -> Option<Report> {
        let waiting = self.next.drain(..).find_map(|step| match step {
            Step::Finished(report) => Some(report),
            _ => None,
        });
        let stage = self.stage();
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Running(running) => Some(running.cut_off(End::Lost(stage))),
            _ => waiting,
        }
    }

    fn wait(&mut self) -> Step {
        let pipelining = self.pipelining();
        let stage = match &mut self.state {
            State::Idle => return Step::Ready,
            State::Closed => return Step::Close,
            State::Running(running) => match running.go_on(&mut self.out, pipelining) {
                Next::Wait(stage) => stage,
                Next::Content => return Step::Content,
                Next::Over => {
                    self.finish();
                    return self.next.pop_front().unwrap_or(Step::Ready);
                }
            },
            _ => self.stage(),
        };
        Step::Read { stage, timeout: self.settings.timeouts.of(stage) }
    }

    /// Draws the conclusions from a reply, then tells it.
    fn take(&mut self, mut reply: Reply) -> Step {
        let stage = self.stage();
        let challenge = match &self.state {
            State::Auth(login) => login.hide(&mut reply),
            _ => Vec::new(),
        };
        if reply.code == CLOSING && stage != Stage::Quit {
            if let State::Running(running) = &mut self.state {
                running.closing(&reply);
            }
            self.cut_off(End::Refused(stage, reply.clone()));
            return Step::Reply(stage, reply);
        }
        let sense = match &mut self.state {
            State::Running(running) => running.reply(&reply, &mut self.out),
            State::Auth(login) => {
                let challenge = challenge.first().map_or("", String::as_str);
                let turn = login.reply(reply.code, challenge, &mut self.out);
                self.logged(turn)
            }
            _ => self.connection_reply(stage, &reply),
        };
        if !sense {
            self.gibberish(stage, None);
        } else if stage == Stage::Content {
            // The server gave up in the middle of the content: there is no way back to commands.
            self.finish();
            self.state = State::Closed;
        }
        Step::Reply(stage, reply)
    }

    /// What came of a reply to AUTH. `false`: no sense in it.
    fn logged(&mut self, turn: Turn) -> bool {
        match turn {
            Turn::GoOn => {}
            Turn::Over(result) => {
                self.logged_in = result.is_ok();
                self.login_fault = result.err().flatten();
                self.state = State::Idle;
            }
            Turn::Unproven(fault) => {
                self.login_fault = Some(fault);
                self.say_quit();
                self.state = State::Closed;
            }
            Turn::Nonsense => return false,
        }
        true
    }

    /// Replies outside of transactions. `false`: no sense in it.
    fn connection_reply(&mut self, stage: Stage, reply: &Reply) -> bool {
        let class = reply.code / 100;
        match (stage, class) {
            (Stage::Banner, 2) => self.greet(),
            (Stage::StartTls, 2) => self.state = State::Securing,
            (Stage::StartTls, 4 | 5) => self.state = State::Idle,
            (Stage::Ehlo | Stage::Lhlo, 2) => {
                self.offers = Capabilities::read(reply);
                self.extended = true;
                self.state = State::Idle;
            }
            (Stage::Ehlo, 5) => self.say_hello("HELO", State::Helo),
            (Stage::Helo | Stage::Rset, 2) => self.state = State::Idle,
            (Stage::Quit, _) => self.state = State::Closed,
            (Stage::Banner | Stage::Ehlo | Stage::Helo | Stage::Lhlo | Stage::Rset, 4 | 5) => {
                self.say_quit();
                self.state = State::Closed;
            }
            _ => return false,
        }
        true
    }

    fn greet(&mut self) {
        match self.settings.protocol {
            Protocol::Smtp => self.say_hello("EHLO", State::Ehlo),
            Protocol::Lmtp => self.say_hello("LHLO", State::Lhlo),
        }
    }

    fn say_hello(&mut self, verb: &str, state: State) {
        self.out.extend_from_slice(verb.as_bytes());
        self.out.push(b' ');
        self.out.extend_from_slice(self.settings.name.as_bytes());
        self.out.extend_from_slice(b"\r\n");
        self.state = state;
    }

    fn say_quit(&mut self) {
        self.out.extend_from_slice(b"QUIT\r\n");
    }

    fn gibberish(&mut self, stage: Stage, error: Option<ReplyError>) {
        self.next.push_back(Step::Gibberish(stage, error));
        self.cut_off(End::Lost(stage));
    }

    fn cut_off(&mut self, end: End) {
        if let State::Running(running) = std::mem::replace(&mut self.state, State::Closed) {
            self.next.push_back(Step::Finished(running.cut_off(end)));
        }
    }

    fn finish(&mut self) {
        if let State::Running(running) = std::mem::replace(&mut self.state, State::Idle) {
            self.open = running.left_open();
            self.next.push_back(Step::Finished(running.report()));
        }
    }

    fn pipelining(&self) -> bool {
        self.settings.pipelining && self.offers.pipelining
    }
}
