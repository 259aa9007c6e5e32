//! One SMTP session: drives `smtp::server` over a stream, asks the policy, stores, answers.
//!
//! Not here: grammar and order of commands, replies to them (`smtp`), recipients (`rcpt`), waiting (`wire`), the content
//! (`incoming`).

mod auth;
mod author;
mod rcpt;
mod record;
mod signer;
mod tls;
mod transaction;
mod waiting;
mod wire;

use crate::House;
use crate::accept::{NotAccepted, accept};
use crate::incoming::Incoming;
use crate::originate::{HeaderTooLong, Originating};
use crate::places::{Amid, Closing, Place, Progress};
use crate::policy::{self, Door, Policy, Trust};
use crate::pressure::Pressure;
use crate::rates::Deed;
use auth::{Login, Own};
use bytes::Bytes;
use posthaste_evidence::{ConnectionId, Ended, TlsReceived};
use posthaste_io::{Instant, Stream};
use posthaste_mail::{ContentFacts, Reply, ReversePath, Source};
use posthaste_message::{Protocol, Trace, With};
use posthaste_smtp::server::{End, Event, MailParams, Session, Step};
use posthaste_spool::Refused;
use rcpt::Balance;
pub(crate) use record::Recorder;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use transaction::{Pace, Transaction, UnderWay};
use wire::{Rested, Wire};

/// How long a client that gets no service may take for its QUIT.
const REFUSED_TIME: Duration = Duration::from_secs(30);

/// A session and all that belongs to it.
pub(crate) struct Conversation {
    house: Arc<House>,
    policy: Arc<Policy>,
    door: Arc<Door>,
    trust: Trust,
    client: IpAddr,
    /// Who it is, as the kernel says: `uid 1000`.
    user: Option<String>,
    smtp: Session,
    wire: Wire,
    /// What the handshake showed; `None` in clear.
    tls: Option<TlsReceived>,
    /// Who has logged in; see [`Conversation::login`].
    login: Option<Login>,
    failed_logins: u32,
    helo: String,
    extended: bool,
    transaction: Option<Transaction>,
    /// Since when a command of the client's is waited for.
    command_since: Option<Instant>,
    /// How long the next replies wait: the client has made too many errors.
    tarpit: Duration,
    /// It closed its direction while we let time pass: nothing is worth waiting for any more.
    has_left: bool,
    recipients: Balance,
    /// By when the session is over, but for content under way.
    over_at: Instant,
    /// An accepted message's reply is in the output: it must not wait for the next message.
    acceptance_unsent: bool,
    /// The client said so.
    quit: bool,
    place: Place,
    /// Its name.
    id: ConnectionId,
    recorder: Recorder,
    /// Octets of the content under way.
    content_octets: u64,
}

impl Conversation {
    pub(crate) fn new(
        house: Arc<House>,
        policy: Arc<Policy>,
        door: Arc<Door>,
        trust: Trust,
        place: Place,
        stream: Box<dyn Stream>,
    ) -> Self {
        let client = stream.peer().ip().to_canonical();
        let user = stream.user().map(|uid| format!("uid {uid}"));
        let id = house.mint_session();
        let keep = policy.settings.sessions;
        let recorder =
            Recorder::new(Arc::clone(&house), keep, id, &door.listener.name, stream.as_ref());
        let wire = Wire::new(stream, Arc::clone(&house.world.clock));
        let over_at = wire.now() + policy.settings.limits.session_time;
        let mut smtp =
            Session::new(door.session(trust, house.users().is_some_and(|users| users.has_keys())));
        if recorder.is_on() {
            smtp.listen_in();
        }
        if house.identities().is_none() {
            smtp.withhold_starttls();
        }
        Self {
            smtp,
            house,
            policy,
            door,
            trust,
            client,
            user,
            wire,
            tls: None,
            login: None,
            failed_logins: 0,
            helo: String::new(),
            extended: false,
            transaction: None,
            command_since: None,
            tarpit: Duration::ZERO,
            has_left: false,
            recipients: Balance::default(),
            over_at,
            acceptance_unsent: false,
            quit: false,
            place,
            id,
            recorder,
            content_octets: 0,
        }
    }

    /// Greets, and goes on until either side closes.
    pub(crate) async fn run(mut self) {
        if !self.secure_first().await {
            return;
        }
        self.greet();
        loop {
            let errors = self.smtp.errors();
            let goes_on = match self.smtp.next(&mut self.wire.input) {
                Step::Event(event) => {
                    self.command_since = None;
                    self.answer(event).await
                }
                Step::Write => self.flush().await,
                Step::Read => self.flush().await && self.read().await,
                Step::Close => break,
            };
            if !goes_on {
                return self.lost();
            }
            if self.smtp.errors() > errors {
                self.owe();
            }
            if self.trust() != Trust::Stranger {
                self.place.trust();
            }
        }
        self.recorder.end(if self.quit { Ended::Quit } else { Ended::Closed });
        // After QUIT the client has read everything and closes; others get time to see why we do, and under TLS the end is
        // told, or it might be taken for a cut.
        if self.flush().await && (!self.quit || self.tls.is_some()) {
            self.wire.close(&self.place).await;
        }
    }

    fn greet(&mut self) {
        if !self.policy.refuses(self.trust, self.client) {
            return self.smtp.greet();
        }
        self.house.counters.refused_networks.one();
        self.recorder.end(Ended::TurnedAway);
        self.over_at = self.wire.now() + REFUSED_TIME;
        self.smtp.refuse_service(&policy::network_refused(&self.policy.settings.hostname));
    }

    /// One more refusal: from so many on they wait.
    fn owe(&mut self) {
        let errors = self.recipients.errors(self.smtp.errors());
        if errors > 0 {
            self.place.errs(self.wire.now());
        }
        let delay = self.policy.tarpit(self.trust(), errors);
        self.house.counters.tarpitted.add(u64::from(!delay.is_zero()));
        self.tarpit += delay;
    }

    /// The client is gone; of content under way, what came is told.
    fn lost(&mut self) {
        self.recorder.hear(&mut self.smtp);
        if self.transaction.as_ref().is_some_and(|t| t.content.is_some()) {
            self.recorder.content(&mut self.smtp, self.content_octets);
        }
    }

    /// False when the session is over because the client is gone.
    async fn answer(&mut self, event: Event) -> bool {
        match event {
            Event::Chunk(chunk) => return self.chunk(chunk).await,
            Event::End(end) => return self.end(end).await,
            Event::Hello { extended, name } => {
                self.extended = extended;
                self.comes(Progress::Commands);
                self.recorder.hello(&name);
                self.helo = name;
                self.transaction = None;
                self.smtp.accept();
            }
            Event::Mail(reverse_path, params) => self.mail(reverse_path, params).await,
            Event::Rcpt(path, params) => return self.rcpt(path, params).await,
            Event::Content { .. } => self.content(),
            Event::ContentRefused(_) => {
                self.recorder.content(&mut self.smtp, self.content_octets);
                self.house.counters.refused_content.one();
                self.drop_content();
            }
            // What is rare does not make every session larger.
            Event::StartTls => return Box::pin(self.start_tls()).await,
            Event::Auth(ask) => return Box::pin(self.auth(ask)).await,
            Event::Rset => self.transaction = None,
            Event::Quit => {
                self.transaction = None;
                self.quit = true;
            }
            Event::Refused(_) => self.house.counters.refused_commands.one(),
            Event::Noop | Event::Vrfy | Event::Help => {}
        }
        true
    }

    async fn mail(&mut self, reverse_path: ReversePath, params: MailParams) {
        if !self.still_stands() {
            return self.smtp.reject(&policy::no_more_logged_in());
        }
        if self.login().is_some_and(|login| !login.account.may_send_as(&reverse_path)) {
            self.house.counters.refused_senders.one();
            return self.smtp.reject(&policy::not_your_sender());
        }
        if let Some(refusal) = self.no_mail_now().await {
            return self.smtp.reject(&refusal);
        }
        let directory = self.house.directory();
        self.transaction = Some(Transaction::new(reverse_path, params, directory));
        self.smtp.accept();
        self.comes(Progress::Commands);
    }

    /// Why no message is taken from this client now.
    async fn no_mail_now(&mut self) -> Option<Reply> {
        let house = Arc::clone(&self.house);
        if let Some(why) = self.place.closing(Amid::Nothing) {
            house.counters.refused_maintenance.add(u64::from(why == Closing::Maintenance));
            return Some(policy::closing(why));
        }
        if self.wire.now() >= self.over_at {
            return Some(policy::session_over());
        }
        if let Some(refusal) = self.over_own_limit(Own::Message) {
            return Some(refusal);
        }
        if !self.may(Deed::Message) {
            return Some(policy::too_many_messages());
        }
        match house.pressure.get() {
            Pressure::None => None,
            Pressure::Slow(_) => {
                house.counters.slowed.one();
                let delay = self.policy.settings.limits.slow_delay;
                let until = self.wire.now() + delay;
                let rested = self.wire.rest(until, Amid::Nothing, &self.place).await;
                self.has_left |= rested == Rested::Left;
                self.place.closing(Amid::Nothing).map(policy::closing)
            }
            Pressure::Refuse(resource) => {
                house.counters.refused_pressure.one();
                Some(policy::scarce(resource))
            }
        }
    }

    /// Whether the client has done it less often than it may in a minute; then it is counted.
    fn may(&self, deed: Deed) -> bool {
        let rates = self.policy.rates(self.trust());
        let may = self.house.rates.allows(rates, deed, self.client, self.wire.now());
        self.house.counters.refused_rates.add(u64::from(!may));
        may
    }

    /// The message gets its name and its trace field before its first octet.
    fn content(&mut self) {
        let trust = self.trust();
        let Some(transaction) = &mut self.transaction else {
            return self.smtp.reject(&policy::refused(Refused::Unhealthy));
        };
        let now = self.house.world.wall();
        let id = self.house.spool.mint(now);
        let local = self.trust == Trust::Local;
        let stranger = trust == Trust::Stranger;
        let with = With {
            extended: self.extended,
            utf8: transaction.params.smtputf8,
            tls: self.tls.as_ref().map(|tls| (tls.version.name(), tls.cipher.as_str())),
            authenticated: self.smtp.is_authenticated(),
        };
        let protocol = if local { Protocol::Local } else { Protocol::Smtp(with) };
        let trace = Trace {
            helo: &self.helo,
            ip: (!local).then_some(self.client),
            hostname: &self.policy.settings.hostname,
            protocol,
            id,
            only_recipient: transaction.only_recipient(),
            at: now,
        };
        let trace = trace.field();
        self.content_octets = 0;
        self.smtp.accept_content(&trace);
        self.place.comes(Progress::Content, self.wire.now());
        let settings = &self.policy.settings;
        let author = transaction.reverse_path.mailbox();
        let originating = local.then(|| Originating::new(settings, author, id, now, &trace));
        let signing = settings.signing(author, stranger);
        let limits = &settings.limits;
        transaction.content = Some(UnderWay {
            by: self.wire.now() + limits.message_timeout,
            trace: trace.len(),
            originating,
            signing,
            pace: Pace::new(self.wire.now()),
            incoming: Some(Incoming::new(
                id,
                trace,
                transaction.params.size,
                self.house.budget.share(),
                limits.receive_budget,
            )),
        });
    }

    async fn chunk(&mut self, chunk: Bytes) -> bool {
        self.content_octets += chunk.len() as u64;
        let under_way = self.transaction.as_mut().and_then(|t| t.content.as_mut());
        let Some(under_way) = under_way else { return true };
        let chunk = match &mut under_way.originating {
            None => chunk,
            Some(originating) => match originating.take(chunk) {
                Ok(Some(whole)) => whole,
                Ok(None) => return true,
                Err(HeaderTooLong) => {
                    self.smtp.refuse_content(&policy::header_too_long());
                    self.drop_content();
                    return true;
                }
            },
        };
        if let Some(refusal) = self.keep(chunk).await {
            self.smtp.refuse_content(&refusal);
            self.drop_content();
        }
        true
    }

    /// Keeps a piece of content, or answers why not.
    async fn keep(&mut self, chunk: Bytes) -> Option<Reply> {
        let under_way = self.transaction.as_mut().and_then(|t| t.content.as_mut());
        let under_way = under_way?;
        let incoming = under_way.incoming.as_mut()?;
        if let Some(signing) = &mut under_way.signing {
            signing.feed(&chunk);
        }
        let chunk = incoming.keep(chunk).err()?;
        let began = self.wire.now();
        let limit = self.policy.settings.limits.store_timeout;
        let spill = incoming.spill(chunk, &*self.house.spool);
        match self.wire.within(limit, spill).await {
            Some(Ok(())) => {
                under_way.pace.excuse(self.wire.now() - began);
                None
            }
            Some(Err(why)) => {
                self.house.counters.refused(why);
                Some(policy::refused(why))
            }
            None => {
                self.house.counters.refused_store.one();
                Some(policy::store_late())
            }
        }
    }

    /// What is known of the content, once the rest of what makes it whole is kept.
    async fn facts(&mut self, end: End) -> Result<ContentFacts, Reply> {
        let under_way = self.transaction.as_mut().and_then(|t| t.content.as_mut());
        let Some(originating) = under_way.and_then(|u| u.originating.as_mut()) else {
            return Ok(end.facts);
        };
        let rest = originating.finish();
        let facts = originating.facts();
        match rest {
            Some(rest) => self.keep(rest).await.map_or(Ok(facts), Err),
            None => Ok(facts),
        }
    }

    /// All is here: durable first, then `250`.
    async fn end(&mut self, end: End) -> bool {
        self.recorder.content(&mut self.smtp, end.received);
        if self.acceptance_unsent && !self.flush().await {
            return false;
        }
        let facts = match self.facts(end).await {
            Ok(facts) => facts,
            Err(refusal) => {
                self.transaction = None;
                return self.refuse(&refusal);
            }
        };
        let source = self.source();
        let message = self.transaction.take().and_then(|t| t.complete(facts, source));
        let Some(mut message) = message else {
            return self.refuse(&policy::refused(Refused::Unhealthy));
        };
        if let Some(refusal) = self.refuses_author(&message) {
            return self.refuse(&refusal);
        }
        self.withhold_signature(&mut message);
        let settings = &self.policy.settings;
        let work = Box::pin(accept(&self.house, settings, message));
        match self.wire.within(settings.limits.store_timeout, work).await {
            Some(Ok(id)) => {
                self.smtp.accept_message(format_args!("queued as {id}"));
                self.recorder.carry(id);
                self.comes(Progress::Mail);
                self.recipients = Balance::default();
                self.acceptance_unsent = true;
                true
            }
            Some(Err(NotAccepted::Looping)) => self.refuse(&policy::looping()),
            Some(Err(NotAccepted::Store(why))) => self.refuse(&policy::refused(why)),
            None => {
                self.house.counters.refused_store.one();
                self.refuse(&policy::store_late())
            }
        }
    }

    /// How far the client is trusted now.
    fn trust(&self) -> Trust {
        if self.smtp.is_authenticated() { Trust::User } else { self.trust }
    }

    fn source(&self) -> Source {
        Source {
            kind: self.trust().source_kind(),
            listener: self.door.listener.name.clone(),
            ip: (self.trust != Trust::Local).then_some(self.client),
            helo: self.helo.clone(),
            user: match self.login() {
                Some(login) => Some(login.account.name.clone()),
                None => self.user.clone(),
            },
            session: Some(self.id),
        }
    }

    fn refuse(&mut self, reply: &Reply) -> bool {
        self.smtp.reject(reply);
        true
    }

    /// The rest of a refused message is still read, but not kept.
    fn drop_content(&mut self) {
        if let Some(under_way) = self.transaction.as_mut().and_then(|t| t.content.as_mut()) {
            under_way.incoming = None;
        }
    }

    /// Writes the replies gathered so far. False when the client is gone.
    async fn flush(&mut self) -> bool {
        self.recorder.hear(&mut self.smtp);
        if self.smtp.output().is_empty() {
            return true;
        }
        self.forget_refused_content();
        if !self.tarpit.is_zero() && !self.acceptance_unsent && !self.has_left {
            let until = self.wire.now() + std::mem::take(&mut self.tarpit);
            let rested = self.wire.rest(until.min(self.over_at), self.amid(), &self.place).await;
            self.has_left |= rested == Rested::Left;
        }
        let output = self.smtp.take_output();
        self.recorder.say(&output);
        let limit = self.command_limit();
        let written = self.wire.write(&output, limit, &self.place).await;
        self.smtp.reuse(output);
        self.acceptance_unsent = false;
        written
    }

    /// A reply after refused content means that all of it was read: waiting is for a command again.
    fn forget_refused_content(&mut self) {
        if let Some(transaction) = &mut self.transaction
            && transaction.content.as_ref().is_some_and(|u| u.incoming.is_none())
        {
            transaction.content = None;
        }
    }
}
