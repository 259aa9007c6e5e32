//! One session of a scripted mail host.

use super::script::{Action, Arrival, Step};
use super::{MAX_ARRIVALS, MAX_DIALOGUE, MailHost};
use posthaste_io::{Stream, StreamExt, World, sleep};
use std::io;

/// The longest command line a scripted host reads, octets.
const MAX_LINE: usize = 65_536;
/// The largest content a scripted host reads, octets.
const MAX_CONTENT: usize = 128 * 1024 * 1024;
const READ_SIZE: usize = 64 * 1024;
const NORMAL_MAIL: &str = "250 2.1.0 ok";
const NORMAL_RCPT: &str = "250 2.1.5 ok";

pub(super) struct Session<'a> {
    pub(super) host: &'a MailHost,
    world: &'a World,
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    chunk: Vec<u8>,
    from: Option<String>,
    to: Vec<String>,
    pub(super) logged_in: bool,
}

/// What follows a step.
pub(super) enum Next {
    Go,
    Close,
}

/// Serves one connection to its end.
pub(super) async fn run(host: &MailHost, world: &World, stream: Box<dyn Stream>) {
    {
        let mut state = host.lock();
        state.connections += 1;
        state.open += 1;
        state.most_open = state.most_open.max(state.open);
    }
    let mut session = Session {
        host,
        world,
        stream,
        buffer: Vec::new(),
        chunk: vec![0; READ_SIZE],
        from: None,
        to: Vec::new(),
        logged_in: false,
    };
    // A broken connection is part of the play.
    let _ = session.play().await;
    let _ = session.stream.shutdown().await;
    host.lock().open -= 1;
}

impl Session<'_> {
    async fn play(&mut self) -> io::Result<()> {
        let greeting = format!("220 {} ESMTP scripted", self.host.name());
        if let Next::Close = self.answer(Step::Greeting, "", &greeting).await? {
            return Ok(());
        }
        while let Some(line) = self.line().await? {
            self.note('C', &line);
            if let Next::Close = self.command(&line).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn command(&mut self, line: &str) -> io::Result<Next> {
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        let lmtp = self.host.lock().script.lmtp;
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" if lmtp => self.say("500 5.5.1 this is LMTP").await,
            "LHLO" if !lmtp => self.say("500 5.5.1 this is SMTP").await,
            "EHLO" | "LHLO" => {
                let reply = self.ehlo_reply();
                self.answer(Step::Ehlo, line, &reply).await
            }
            "HELO" => {
                let reply = format!("250 {}", self.host.name());
                self.answer(Step::Helo, line, &reply).await
            }
            "STARTTLS" if self.offers("STARTTLS") => {
                self.reset();
                self.answer(Step::StartTls, line, "220 2.0.0 go ahead").await
            }
            "AUTH" if self.has_accounts() => self.auth(line).await,
            "MAIL" if self.wants_login() => self.say("530 5.7.0 authentication required").await,
            "MAIL" => self.mail(line, argument).await,
            "RCPT" => self.rcpt(line, argument).await,
            "DATA" => self.data(line).await,
            "RSET" => {
                self.reset();
                self.say("250 2.0.0 reset").await
            }
            "NOOP" => self.say("250 2.0.0 ok").await,
            "QUIT" => {
                self.say("221 2.0.0 bye").await?;
                Ok(Next::Close)
            }
            _ => self.say("502 5.5.1 unknown command").await,
        }
    }

    fn has_accounts(&self) -> bool {
        !self.host.lock().script.accounts.is_empty()
    }

    fn wants_login(&self) -> bool {
        !self.logged_in && self.host.lock().script.login_required
    }

    async fn mail(&mut self, line: &str, argument: &str) -> io::Result<Next> {
        self.host.lock().mails += 1;
        self.reset();
        let scripted = self.decide(Step::Mail, line);
        if accepts(scripted.as_ref()) {
            self.from = Some(argument.to_owned());
        }
        match scripted {
            None => self.say(NORMAL_MAIL).await,
            Some(action) => self.act(action, NORMAL_MAIL).await,
        }
    }

    async fn rcpt(&mut self, line: &str, argument: &str) -> io::Result<Next> {
        if self.from.is_none() {
            return self.say("503 5.5.1 MAIL first").await;
        }
        let scripted = self.decide(Step::Rcpt, line);
        if accepts(scripted.as_ref()) {
            self.to.push(argument.to_owned());
        }
        match scripted {
            None => self.say(NORMAL_RCPT).await,
            Some(action) => self.act(action, NORMAL_RCPT).await,
        }
    }

    async fn data(&mut self, line: &str) -> io::Result<Next> {
        if self.to.is_empty() {
            return self.say("554 5.5.1 no valid recipients").await;
        }
        let scripted = self.decide(Step::Data, line);
        if let Some(Action::Delay(wait)) = &scripted {
            sleep(&*self.world.clock, *wait).await;
        } else if let Some(action) = scripted {
            self.reset();
            return self.act(action, "").await;
        }
        self.say("354 go ahead").await?;
        if let Some(action) = self.decide(Step::Content, line) {
            return self.interrupt(action).await;
        }
        let Some(content) = self.content().await? else { return Ok(Next::Close) };
        let lmtp = self.host.lock().script.lmtp;
        if lmtp { self.dot_for_each(content).await } else { self.dot(content).await }
    }

    /// Says its word and takes no notice of what comes, until the sender hangs up.
    async fn interrupt(&mut self, action: Action) -> io::Result<Next> {
        if let Next::Close = self.act(action, "").await? {
            return Ok(Next::Close);
        }
        while self.fill().await? {
            self.buffer.clear();
        }
        Ok(Next::Close)
    }

    async fn dot(&mut self, content: Vec<u8>) -> io::Result<Next> {
        let (from, to) = (self.from.take().unwrap_or_default(), std::mem::take(&mut self.to));
        self.dot_of(Arrival { from, to, content, acknowledged: false }).await
    }

    async fn dot_of(&mut self, arrival: Arrival) -> io::Result<Next> {
        let line = format!("{} {}", arrival.from, arrival.to.join(" "));
        match self.decide(Step::Dot, &line) {
            None => self.take(arrival, true).await,
            Some(Action::Delay(wait)) => {
                sleep(&*self.world.clock, wait).await;
                self.take(arrival, true).await
            }
            Some(Action::TakeAndClose) => self.take(arrival, false).await,
            Some(action) => self.act(action, "").await,
        }
    }

    /// One reply for each recipient, which is a message of its own in the end (RFC 2033 section 4.2).
    async fn dot_for_each(&mut self, content: Vec<u8>) -> io::Result<Next> {
        let from = self.from.take().unwrap_or_default();
        for to in std::mem::take(&mut self.to) {
            let (from, to, content) = (from.clone(), vec![to], content.clone());
            let next = self.dot_of(Arrival { from, to, content, acknowledged: false }).await?;
            if let Next::Close = next {
                return Ok(Next::Close);
            }
        }
        Ok(Next::Go)
    }

    async fn take(&mut self, arrival: Arrival, acknowledge: bool) -> io::Result<Next> {
        let number = {
            let mut state = self.host.lock();
            assert!(state.arrivals.len() < MAX_ARRIVALS, "the scripted host is full");
            state.arrivals.push(arrival);
            state.arrivals.len() - 1
        };
        if !acknowledge {
            return Ok(Next::Close);
        }
        let next = self.say("250 2.0.0 taken").await?;
        self.host.lock().arrivals[number].acknowledged = true;
        Ok(next)
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    fn ehlo_reply(&self) -> String {
        let keywords = self.host.lock().script.keywords.clone();
        let mut lines = vec![self.host.name().to_owned()];
        lines.extend(keywords);
        let last = lines.len() - 1;
        let numbered = lines.iter().enumerate().map(|(i, l)| {
            let dash = if i == last { ' ' } else { '-' };
            format!("250{dash}{l}")
        });
        numbered.collect::<Vec<_>>().join("\r\n")
    }

    pub(super) fn decide(&self, step: Step, line: &str) -> Option<Action> {
        self.host.lock().script.decide(step, line)
    }

    fn offers(&self, keyword: &str) -> bool {
        self.host.lock().script.keywords.iter().any(|offered| offered == keyword)
    }

    async fn answer(&mut self, step: Step, line: &str, normal: &str) -> io::Result<Next> {
        match self.decide(step, line) {
            None => self.say(normal).await,
            Some(action) => self.act(action, normal).await,
        }
    }

    pub(super) async fn act(&mut self, action: Action, normal: &str) -> io::Result<Next> {
        match action {
            Action::Reply(reply) => self.say(&reply).await,
            Action::ReplyAndClose(reply) => {
                self.say(&reply).await?;
                Ok(Next::Close)
            }
            Action::Close | Action::TakeAndClose => Ok(Next::Close),
            Action::Delay(wait) => {
                sleep(&*self.world.clock, wait).await;
                self.say(normal).await
            }
            Action::Silence => std::future::pending().await,
        }
    }

    pub(super) async fn say(&mut self, reply: &str) -> io::Result<Next> {
        self.note('S', reply);
        let text = format!("{reply}\r\n");
        self.stream.write_all(text.as_bytes()).await?;
        Ok(Next::Go)
    }

    pub(super) fn note(&self, who: char, text: &str) {
        let mut state = self.host.lock();
        if state.dialogue.len() >= MAX_DIALOGUE {
            state.dialogue.clear();
        }
        state.dialogue.push(format!("{who}: {text}"));
    }

    async fn fill(&mut self) -> io::Result<bool> {
        let read = self.stream.read(&mut self.chunk).await?;
        self.buffer.extend_from_slice(&self.chunk[..read]);
        Ok(read > 0)
    }

    pub(super) async fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(Some(line));
            }
            if self.buffer.len() > MAX_LINE {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// Reads up to the final dot, unstuffed; `None` when the connection ends before.
    async fn content(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut from = 0;
        let end = loop {
            if self.buffer.starts_with(b".\r\n") {
                break 0;
            }
            if let Some(found) = find(&self.buffer[from..], b"\r\n.\r\n") {
                break from + found + 2;
            }
            from = self.buffer.len().saturating_sub(4);
            if self.buffer.len() > MAX_CONTENT {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if !self.fill().await? {
                return Ok(None);
            }
        };
        let stuffed: Vec<u8> = self.buffer.drain(..end + 3).take(end).collect();
        Ok(Some(unstuff(&stuffed)))
    }
}

/// What the script says to MAIL or RCPT is a yes.
fn accepts(scripted: Option<&Action>) -> bool {
    match scripted {
        None | Some(Action::Delay(_)) => true,
        Some(Action::Reply(reply)) => reply.starts_with("25"),
        Some(_) => false,
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

fn unstuff(stuffed: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(stuffed.len());
    let mut rest = stuffed.strip_prefix(b".").unwrap_or(stuffed);
    while let Some(dot) = find(rest, b"\n.") {
        content.extend_from_slice(&rest[..=dot]);
        rest = &rest[dot + 2..];
    }
    content.extend_from_slice(rest);
    content
}
