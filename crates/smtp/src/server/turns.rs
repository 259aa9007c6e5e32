//! What the client's octets do to the session: commands in their order, content, chunks that are swallowed.
//!
//! Not here: what the agent calls (`session`), the octets of content (`intake`), grammar (`command`, `path`, `params`).

use super::command::{self, Command, Cut};
use super::heard::What;
use super::intake::Taken;
use super::session::{Content, DONE, Hello, Owed, Phase, Session, Transaction};
use super::{
    ContentFault, Event, Fault, MAX_COMMAND_LINE, MAX_REFUSED_COMMANDS, Settings, Step, auth,
    read_mail, read_rcpt, reply,
};
use bytes::{Buf, BytesMut};
use posthaste_mail::{EnhancedStatus, Reply};

const HELP: &str = "HELO EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT; see RFC 5321";

impl Session {
    pub(super) fn next_command(&mut self, input: &mut BytesMut) -> Option<Step> {
        let length = match self.lines.cut(input, MAX_COMMAND_LINE) {
            Cut::Need => return Some(Step::Read),
            Cut::TooLong => {
                let fault = self.count_command().unwrap_or(Fault::LineTooLong);
                return Some(self.fault(fault));
            }
            Cut::Line(length) => length,
        };
        let parsed = command::parse(&input[..length - 2]);
        self.heard.command(&input[..length], parsed.as_ref().err().copied());
        if let Some(fault) = self.count_command() {
            return Some(self.fault(fault));
        }
        let answered = match parsed {
            Ok(command) => self.command(command),
            Err(fault) => Err(fault),
        };
        if auth::is_auth(&input[..length]) {
            input[..length].fill(0);
        }
        input.advance(length);
        match answered {
            Ok(event) => event.map(Step::Event),
            Err(fault) => Some(self.fault(fault)),
        }
    }

    /// After a refusal instead of a greeting: nothing but QUIT is understood.
    pub(super) fn next_refused(&mut self, input: &mut BytesMut) -> Option<Step> {
        let length = match self.lines.cut(input, MAX_COMMAND_LINE) {
            Cut::Need => return Some(Step::Read),
            Cut::TooLong => 0,
            Cut::Line(length) => length,
        };
        let fault = input[..length].strip_suffix(b"\r\n").and_then(|l| command::parse(l).err());
        self.heard.command(&input[..length], fault);
        self.commands = self.commands.saturating_add(1);
        let mut line = input.split_to(length);
        let quits = line.strip_suffix(b"\r\n").map(command::parse) == Some(Ok(Command::Quit));
        if auth::is_auth(&line) {
            line.fill(0);
        }
        Some(match quits {
            true => Step::Event(self.quit()),
            false if self.commands > MAX_REFUSED_COMMANDS => self.fault(Fault::TooManyCommands),
            false => self.fault(Fault::ServiceRefused),
        })
    }

    fn quit(&mut self) -> Event {
        let text = format_args!("{} closing connection", self.settings.hostname);
        reply::line(&mut self.out, 221, Some(DONE), text, false);
        self.close();
        Event::Quit
    }

    /// Counts a command line; the limits are the session's last line of defence against chatter.
    pub(super) fn count_command(&mut self) -> Option<Fault> {
        self.commands = self.commands.saturating_add(1);
        let limits = &self.settings.limits;
        if self.commands > limits.commands {
            return Some(Fault::TooManyCommands);
        }
        (self.errors > limits.errors).then_some(Fault::TooManyErrors)
    }

    /// `Ok(None)`: nothing to report yet, go on.
    fn command(&mut self, command: Command<'_>) -> Result<Option<Event>, Fault> {
        let event = match command {
            Command::Hello { extended, name } => self.hello(extended, name),
            Command::Mail(argument) => self.mail(argument)?,
            Command::Rcpt(argument) => self.rcpt(argument)?,
            Command::Data => self.data()?,
            Command::Bdat { size, last } => return self.bdat(size, last),
            Command::Rset => {
                self.transaction = None;
                self.done("Reset");
                Event::Rset
            }
            Command::Noop => {
                self.done("Ok");
                Event::Noop
            }
            Command::Vrfy => {
                let text = "Cannot verify; send mail and see";
                reply::line(&mut self.out, 252, Some(DONE), text, false);
                Event::Vrfy
            }
            Command::Help => {
                reply::line(&mut self.out, 214, Some(DONE), HELP, false);
                Event::Help
            }
            Command::Quit => self.quit(),
            Command::StartTls => self.starttls()?,
            Command::Auth(argument) => return self.auth(argument),
            Command::Other => return Err(Fault::NotImplemented),
        };
        Ok(Some(event))
    }

    fn hello(&mut self, extended: bool, name: &str) -> Event {
        self.transaction = None;
        self.owed = Some(Owed::Hello(if extended { Hello::Extended } else { Hello::Basic }));
        Event::Hello { extended, name: name.to_owned() }
    }

    /// Extensions are honoured after HELO as well: what was understood need not be refused.
    fn mail(&mut self, argument: &str) -> Result<Event, Fault> {
        if self.hello.is_none() {
            return Err(Fault::HelloFirst);
        }
        if self.transaction.is_some() {
            return Err(Fault::NestedMail);
        }
        if self.settings.auth_required && !self.authenticated {
            return Err(if self.secure { Fault::AuthRequired } else { Fault::TlsRequired });
        }
        let Settings { extensions, origin, .. } = &*self.settings;
        let (reverse_path, params) = read_mail(argument, extensions, origin.as_deref())?;
        if params.size.is_some_and(|size| size > self.settings.limits.message_size) {
            return Err(Fault::TooBig);
        }
        self.owed = Some(Owed::Mail { smtputf8: params.smtputf8 });
        Ok(Event::Mail(reverse_path, params))
    }

    fn rcpt(&mut self, argument: &str) -> Result<Event, Fault> {
        let transaction = self.open_transaction()?;
        if !matches!(transaction.content, Content::None) {
            return Err(Fault::ChunkingUnderWay);
        }
        let (recipients, utf8) = (transaction.recipients, transaction.smtputf8);
        let Settings { extensions, origin, .. } = &*self.settings;
        let (forward_path, params) = read_rcpt(argument, extensions, utf8, origin.as_deref())?;
        if recipients >= self.settings.limits.recipients {
            return Err(Fault::TooManyRecipients);
        }
        self.owed = Some(Owed::Rcpt);
        Ok(Event::Rcpt(forward_path, params))
    }

    fn data(&mut self) -> Result<Event, Fault> {
        let transaction = self.open_transaction()?;
        match transaction.content {
            Content::None if transaction.recipients == 0 => Err(Fault::NoRecipients),
            Content::None => {
                self.owed = Some(Owed::Data);
                Ok(Event::Content { chunked: false })
            }
            _ => Err(Fault::ChunkingUnderWay),
        }
    }

    /// Whatever is answered: the octets of the chunk follow, and are content, never commands.
    fn bdat(&mut self, size: u64, last: bool) -> Result<Option<Event>, Fault> {
        let offered = self.settings.extensions.chunking;
        let fault = match self.open_transaction().map(|t| (&mut t.content, t.recipients)) {
            Err(fault) => fault,
            Ok((Content::None, 0)) => Fault::NoRecipients,
            Ok((Content::None, _)) if offered => {
                self.owed = Some(Owed::Bdat { size, last });
                return Ok(Some(Event::Content { chunked: true }));
            }
            Ok((Content::Chunks(intake), _)) => {
                intake.chunk(size, last);
                self.phase = Phase::Content;
                return Ok(None);
            }
            Ok((Content::Refused, _)) => Fault::ChunkRefused,
            Ok(_) => Fault::NotImplemented,
        };
        let mut held = Vec::new();
        let (code, status) = fault.codes();
        self.heard.refuse(What::by(fault), || said(code, status, fault));
        reply::line(&mut held, code, Some(status), fault, false);
        self.errors = self.errors.saturating_add(1);
        self.refuse_chunk(size, last, held);
        Ok(Some(Event::Refused(fault)))
    }

    fn starttls(&mut self) -> Result<Event, Fault> {
        if self.secure {
            return Err(Fault::AlreadySecured);
        }
        if !self.starttls {
            return Err(Fault::NotImplemented);
        }
        if self.transaction.is_some() {
            return Err(Fault::TransactionUnderWay);
        }
        self.owed = Some(Owed::StartTls);
        Ok(Event::StartTls)
    }

    fn open_transaction(&mut self) -> Result<&mut Transaction, Fault> {
        let missing = if self.hello.is_none() { Fault::HelloFirst } else { Fault::MailFirst };
        self.transaction.as_mut().ok_or(missing)
    }

    /// The chunk is swallowed before its reply, which may be long in coming, is given.
    pub(super) fn refuse_chunk(&mut self, size: u64, last: bool, reply: Vec<u8>) {
        self.phase = Phase::Swallow { left: size, reply };
        if last {
            self.transaction = None;
        } else {
            self.set_content(Content::Refused);
        }
    }

    pub(super) fn swallow(&mut self, input: &mut BytesMut) -> Option<Step> {
        let Phase::Swallow { left, reply } = &mut self.phase else { return None };
        let here = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
        input.advance(here);
        *left -= here as u64;
        if *left > 0 {
            return Some(Step::Read);
        }
        self.out.append(reply);
        self.phase = Phase::Commands;
        None
    }

    pub(super) fn next_content(&mut self, input: &mut BytesMut) -> Option<Step> {
        let Some(Transaction { content: Content::Data(intake) | Content::Chunks(intake), .. }) =
            &mut self.transaction
        else {
            self.phase = Phase::Commands;
            return None;
        };
        match intake.next(input) {
            Taken::Need => Some(Step::Read),
            Taken::Chunk(chunk) => Some(Step::Event(Event::Chunk(chunk))),
            Taken::Fault(fault) => Some(Step::Event(Event::ContentRefused(fault))),
            Taken::ChunkDone => {
                let (size, fault) = (intake.chunk_size, intake.fault());
                self.chunk_done(size, fault);
                None
            }
            Taken::End => self.content_done(),
        }
    }

    fn chunk_done(&mut self, size: u64, fault: Option<ContentFault>) {
        self.phase = Phase::Commands;
        if let Some(fault) = fault {
            self.content_fault(fault);
            self.set_content(Content::Refused);
        } else {
            let text = format_args!("{size} octets received");
            reply::line(&mut self.out, 250, Some(DONE), text, false);
        }
    }

    fn content_done(&mut self) -> Option<Step> {
        self.phase = Phase::Commands;
        let content = self.set_content(Content::None);
        let (Content::Data(intake) | Content::Chunks(intake)) = content else { return None };
        if let Some(fault) = intake.fault() {
            self.content_fault(fault);
            self.transaction = None;
            return None;
        }
        self.owed = Some(Owed::Message);
        Some(Step::Event(Event::End(intake.finish())))
    }

    fn content_fault(&mut self, fault: ContentFault) {
        self.errors = self.errors.saturating_add(1);
        let agent_reply = self.transaction.as_mut().map(|t| std::mem::take(&mut t.agent_reply));
        match agent_reply {
            Some(mut said) if fault == ContentFault::Agent => self.out.append(&mut said),
            _ => {
                let (code, status) = fault.codes();
                self.heard.refuse(What::Content, || said(code, status, fault));
                reply::line(&mut self.out, code, Some(status), fault, false);
            }
        }
        if fault.closes() {
            self.close();
        }
    }

    pub(super) fn set_content(&mut self, content: Content) -> Content {
        match &mut self.transaction {
            Some(transaction) => std::mem::replace(&mut transaction.content, content),
            None => Content::None,
        }
    }

    /// The reply to HELO or EHLO, without enhanced status (RFC 2034 section 3).
    pub(super) fn welcome(&mut self, hello: Hello) {
        self.hello = Some(hello);
        let name = &self.settings.hostname;
        if hello == Hello::Basic {
            return reply::line(&mut self.out, 250, None, name, false);
        }
        let on = &self.settings.extensions;
        let size = format!("SIZE {}", self.settings.limits.message_size);
        let mechanisms = auth::announced(&self.settings.mechanisms);
        let keywords = [
            (on.pipelining, "PIPELINING"),
            (true, size.as_str()),
            (on.eight_bit_mime, "8BITMIME"),
            (on.smtputf8, "SMTPUTF8"),
            (on.dsn, "DSN"),
            (on.chunking, "CHUNKING"),
            (on.auth && self.secure, mechanisms.as_str()),
            (self.starttls && !self.secure, "STARTTLS"),
        ];
        for text in [(true, name.as_str())].iter().chain(&keywords).filter(|(on, _)| *on) {
            self.out.extend_from_slice(b"250-");
            self.out.extend_from_slice(text.1.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        }
        self.out.extend_from_slice(b"250 ENHANCEDSTATUSCODES\r\n");
    }

    fn done(&mut self, text: &str) {
        reply::line(&mut self.out, 250, Some(DONE), text, false);
    }

    pub(super) fn fault(&mut self, fault: Fault) -> Step {
        self.errors = self.errors.saturating_add(1);
        let (code, status) = fault.codes();
        self.heard.refuse(What::by(fault), || said(code, status, fault));
        reply::line(&mut self.out, code, Some(status), fault, false);
        if fault.closes() {
            self.close();
        }
        Step::Event(Event::Refused(fault))
    }

    pub(super) fn utf8(&self) -> bool {
        self.transaction.as_ref().is_some_and(|t| t.smtputf8)
    }

    pub(super) fn close(&mut self) {
        self.phase = Phase::Closed;
        self.transaction = None;
        self.owed = None;
        self.exchange = None;
    }
}

fn said(code: u16, status: EnhancedStatus, fault: impl std::fmt::Display) -> Reply {
    Reply::new(code, Some(status), fault.to_string())
}
