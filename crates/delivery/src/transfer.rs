//! One mail transaction: MAIL to the reply after the final dot, and what it came to for each recipient.
//!
//! Not here: the connection (`line`), the commands and replies (`posthaste_smtp::client`), and what an outcome
//! means for the queue (`dispatch`).

use crate::line::Line;
use crate::needs::Needs;
use crate::talk::{Break, Heard, Written, stage_of};
use posthaste_evidence::observation::Choice;
use posthaste_evidence::{
    Effect, Ended, Fault, Handover, LoginFault, Observation, Outcome, RecipientResult, Seen, Stage,
    Subject,
};
use posthaste_io::Instant;
use posthaste_mail::{Body, Envelope, Reply, Timestamp};
use posthaste_route::EightBit;
use posthaste_smtp::client::{self, End, Fate, Report, Step, Transaction};
use posthaste_smtp::data::{self, Changes, Place};
use posthaste_spool::{Content, ReadFault, SpilledBody, Spool};
use std::future::Future;
use std::io::IoSlice;
use std::time::Duration;

/// Slices handed to the network at once (the kernel takes 1,024).
const SLICES: usize = 512;
/// Octets of a spilled body in memory at once.
const RANGE: usize = 256 * 1024;
/// Observations kept of one transaction.
const MAX_OBSERVATIONS: usize = 64;

/// What is handed over.
pub struct Parcel<'a> {
    /// The envelope.
    pub envelope: &'a Envelope,
    /// The recipients of this transaction, by their number in the envelope. Not empty.
    pub recipients: &'a [u32],
    /// The content.
    pub content: &'a Content,
    /// Where a spilled content is read.
    pub spool: &'a dyn Spool,
    /// What the route says of hosts without 8BITMIME.
    pub eight_bit: EightBit,
}

/// What a transaction came to.
#[derive(Debug)]
pub struct Transfer {
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// Per recipient; those that the host left for another transaction are missing.
    pub results: Vec<RecipientResult>,
    /// From MAIL on.
    pub observations: Vec<Observation>,
    /// The line can be used again.
    pub usable: bool,
    /// Nobody was taken, and the host, which the operator named, wants us to log in: every message would meet the same.
    pub barred: Option<LoginFault>,
    /// The kept line had died before the transaction began: nothing was tried.
    pub stale: bool,
    /// Who owes the sender news of those that the host has taken.
    pub handover: Handover,
}

impl Transfer {
    /// The host, which was spoken to in clear, takes no mail without TLS.
    #[must_use]
    pub fn wants_tls(&self) -> bool {
        self.results.iter().any(|result| matches!(result.fault, Some(Fault::TlsWanted { .. })))
    }
}

/// Notes what is seen on the way.
struct Log {
    began: Instant,
    observations: Vec<Observation>,
}

impl Line {
    /// What of the message's needs this host does not meet.
    #[must_use]
    pub fn unmet(&self, needs: &Needs) -> Option<(Fault, Choice)> {
        needs.unmet(self.capabilities())
    }

    /// Hands a message over. `before_content` is waited for when the host has said 354: whatever must be
    /// durable before the next message can be in doubt.
    pub async fn transfer(
        &mut self,
        parcel: &Parcel<'_>,
        before_content: impl Future<Output = ()> + Send,
    ) -> Transfer {
        let began = self.world.now();
        let at = self.world.wall();
        let mut log = Log { began, observations: Vec::new() };
        let reused = self.served > 0;
        self.served += 1;
        let ending = self.converse(parcel, before_content, &mut log).await;
        let stale = reused && ending.died_idle();
        let results = if stale { Vec::new() } else { results(parcel, &ending) };
        log.mark(&results);
        log.observations.truncate(MAX_OBSERVATIONS);
        let barred = barred(&results, stale);
        let took = self.world.now() - began;
        let usable = ending.broken.is_none() && ending.usable;
        let handover = self.handover();
        let observations = log.observations;
        Transfer { at, took, results, observations, usable, barred, stale, handover }
    }

    /// A transaction that began at `at` is not waited for any longer, for this reason: what that means for
    /// each recipient. The line is of no use any more.
    pub fn cut_off(&mut self, parcel: &Parcel<'_>, at: Timestamp, why: Fault) -> Transfer {
        let late = why == Fault::AttemptTooLong;
        self.talk.recorder.end(if late { Ended::TimedOut } else { Ended::Closed });
        let report = self.talk.session.lost();
        let ending = Ending { report, broken: Some(why), ..Ending::default() };
        let took = self.world.wall().since(at);
        let results = results(parcel, &ending);
        Transfer {
            at,
            took,
            results,
            observations: Vec::new(),
            usable: false,
            barred: None,
            stale: false,
            handover: self.handover(),
        }
    }

    async fn converse(
        &mut self,
        parcel: &Parcel<'_>,
        before_content: impl Future<Output = ()> + Send,
        log: &mut Log,
    ) -> Ending {
        let (clear, fixed) = (Clear::of(self), self.fixed().map(str::to_owned));
        let mut ending = Ending { said_nothing: true, clear, fixed, ..Ending::default() };
        let mut before_content = Some(before_content);
        // Whatever the host said while the line was idle (usually 421) is heard before anything is begun.
        if !matches!(self.talk.next(&self.world).await, Heard::Step(Step::Ready)) {
            ending.broken = Some(Fault::Lost { stage: Stage::Mail });
            return ending;
        }
        self.note_eight_bit(parcel, log);
        self.talk.recorder.carry(parcel.envelope.id);
        self.talk.session.begin(&transaction(parcel));
        loop {
            match self.talk.next(&self.world).await {
                Heard::Step(Step::Content) => {
                    if let Some(wait) = before_content.take() {
                        wait.await;
                    }
                    if let Err(stop) = self.send(parcel, log).await {
                        return self.broken(stop, ending, log);
                    }
                }
                Heard::Step(Step::Reply(stage, reply)) => {
                    ending.said_nothing &= stage == client::Stage::Idle;
                    log.reply(&self.world, parcel, stage, &reply);
                }
                Heard::Step(Step::Finished(report)) => {
                    ending.report = Some(report);
                    ending.usable = true;
                }
                Heard::Step(Step::Gibberish(stage, _)) => {
                    let stage = stage_of(stage);
                    log.see(&self.world, stage, Subject::Peer, Seen::Gibberish);
                    ending.broken = Some(Fault::Gibberish { stage });
                }
                Heard::Step(Step::Ready) => return ending,
                Heard::Step(Step::Close | Step::Read { .. } | Step::Secure | Step::Injected) => {
                    ending.usable = false;
                    return ending;
                }
                Heard::Broken(_, broken) => return self.broken(Stop::Line(broken), ending, log),
            }
        }
    }

    fn note_eight_bit(&self, parcel: &Parcel<'_>, log: &mut Log) {
        let as_is = Needs::of(parcel.envelope, EightBit::Fail).eight_bit
            && !self.capabilities().eight_bit_mime;
        if as_is {
            let seen = Seen::Chose(Choice::SentEightBitAsIs);
            log.see(&self.world, Stage::Mail, Subject::Here, seen);
        }
    }

    fn broken(&mut self, stop: Stop, mut ending: Ending, log: &mut Log) -> Ending {
        let stage = stage_of(self.talk.session.stage());
        ending.report = self.talk.session.lost().or(ending.report);
        ending.usable = false;
        ending.broken = Some(match stop {
            Stop::Line(broken) => {
                log.see(&self.world, stage, Subject::Peer, broken.seen());
                broken.fault(stage)
            }
            Stop::Store => Fault::StoreFault,
        });
        ending
    }

    async fn send(&mut self, parcel: &Parcel<'_>, log: &mut Log) -> Result<(), Stop> {
        let facts = &parcel.envelope.facts;
        let changes = Changes::needed(facts, !facts.signed);
        if changes.fold {
            let seen = Seen::Chose(Choice::FoldedLongLines);
            log.see(&self.world, Stage::Body, Subject::Here, seen);
        }
        let all = match parcel.content {
            Content::Inline(body) => self.send_inline(body, changes).await?,
            Content::Spilled(body) => self.send_spilled(parcel, body, changes).await?,
        };
        if all {
            self.talk.session.content_sent();
            self.talk.recorder.content(facts.size);
        }
        Ok(())
    }

    /// Trace header, body and final dot leave with one vectored write.
    async fn send_inline(&mut self, body: &Body, changes: Changes) -> Result<bool, Stop> {
        let chunks = body.chunks().iter().map(|c| &c[..]);
        let pieces: Vec<&[u8]> = data::pieces(chunks, changes).collect();
        self.send_pieces(&pieces).await
    }

    /// In ranges, cut wherever they end: a line may be longer than any range.
    async fn send_spilled(
        &mut self,
        parcel: &Parcel<'_>,
        body: &SpilledBody,
        changes: Changes,
    ) -> Result<bool, Stop> {
        let (mut offset, mut place, mut crc) = (0, Place::default(), 0);
        loop {
            let range = next_range(parcel.spool, body, offset).await.map_err(|_| Stop::Store)?;
            offset += range.len() as u64;
            crc = crc32c::crc32c_append(crc, &range);
            let last = offset >= body.size;
            // What the disk has changed must not arrive as if it were sound: without its final dot it does not.
            if last && crc != parcel.envelope.facts.crc {
                return Err(Stop::Store);
            }
            let mut pieces = data::part([&range[..]], changes, place, last);
            let written: Vec<&[u8]> = pieces.by_ref().collect();
            place = pieces.place();
            if !self.send_pieces(&written).await? {
                return Ok(false);
            }
            if last {
                return Ok(true);
            }
        }
    }

    /// True when all was written; false when the host interrupted.
    async fn send_pieces(&mut self, pieces: &[&[u8]]) -> Result<bool, Stop> {
        let limit = self.settings.timeouts.block;
        for part in pieces.chunks(SLICES) {
            let mut slices: Vec<IoSlice<'_>> = part.iter().map(|p| IoSlice::new(p)).collect();
            match self.talk.write(&self.world, &mut slices, limit).await {
                Written::All => {}
                Written::Interrupted => return Ok(false),
                Written::Broken(broken) => return Err(Stop::Line(broken)),
            }
        }
        Ok(true)
    }
}

/// How a conversation ended.
#[derive(Default)]
struct Ending {
    report: Option<Report>,
    broken: Option<Fault>,
    usable: bool,
    /// Not one reply came since the transaction began.
    said_nothing: bool,
    /// Whether the line is in clear.
    clear: Clear,
    /// The route, when the operator named the host.
    fixed: Option<String>,
}

/// What the way of the octets says of a reply that wants TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Clear {
    /// Under TLS: no reply wants it.
    #[default]
    No,
    /// In clear, and nothing is known of TLS with the host.
    Yes,
    /// In clear, though the host offers STARTTLS, or did before TLS with it failed.
    Offered,
}

impl Clear {
    const fn of(line: &Line) -> Self {
        match (line.talk.secured, line.capabilities().starttls || line.tls_rests) {
            (true, _) => Self::No,
            (false, false) => Self::Yes,
            (false, true) => Self::Offered,
        }
    }

    /// 530 for want of STARTTLS (RFC 3207 section 4), which AUTH has another meaning for (RFC 4954 section 6). X.7.10 is
    /// encryption needed; X.7.0 and no status say nothing of it: where STARTTLS is offered, it is what comes first. Any other
    /// status is about who we are.
    fn wants_tls(self, reply: &Reply) -> bool {
        let of_encryption = reply.enhanced.map(|status| (status.subject, status.detail));
        reply.code == MUST_ENCRYPT
            && match of_encryption {
                Some((7, 10)) => self != Self::No,
                Some((7, 0)) | None => self == Self::Offered,
                Some(_) => false,
            }
    }
}

/// RFC 3207 section 4, RFC 4954 section 6.
const MUST_ENCRYPT: u16 = 530;

impl Ending {
    /// The line was dead, or was being closed by the host, before the transaction had any effect.
    fn died_idle(&self) -> bool {
        let closing = matches!(
            self.report.as_ref().map(|r| &r.end),
            Some(End::Refused(client::Stage::Mail | client::Stage::Rset, reply)) if reply.code == CLOSING
        );
        closing || (self.said_nothing && self.broken.is_some())
    }
}

/// RFC 5321 section 3.8: the host closes the connection, whatever was asked.
const CLOSING: u16 = 421;

/// Why content could not be sent.
enum Stop {
    Line(Break),
    Store,
}

/// The next octets of a spilled body; fewer than [`RANGE`] only at its end.
async fn next_range(
    spool: &dyn Spool,
    body: &SpilledBody,
    offset: u64,
) -> Result<bytes::Bytes, ReadFault> {
    let range = spool.range(body, offset, RANGE).await?;
    let short = range.len() < RANGE && offset + (range.len() as u64) < body.size;
    if short { Err(ReadFault::Damaged(body.id)) } else { Ok(range) }
}

fn transaction<'a>(parcel: &Parcel<'a>) -> Transaction<'a> {
    let mut transaction = Transaction::of(parcel.envelope, parcel.recipients);
    transaction.smtputf8 |= Needs::of(parcel.envelope, parcel.eight_bit).smtputf8;
    transaction
}

/// What it came to for each recipient. Recipients that the host had no room for in this transaction have no
/// result when it took others (RFC 5321 section 4.5.3.1.10): they are sent at once in the next one.
fn results(parcel: &Parcel<'_>, ending: &Ending) -> Vec<RecipientResult> {
    let some_taken = parcel.recipients.iter().enumerate().any(|(place, _)| {
        !matches!(fate(ending, place), Some(Fate::Refused(client::Stage::Rcpt(_), _)))
    });
    let of = |(place, &recipient): (usize, &u32)| {
        let fate = fate(ending, place);
        if let Some(Fate::Refused(client::Stage::Rcpt(_), reply)) = fate
            && some_taken
            && no_room(reply)
        {
            return None;
        }
        Some(result(recipient, fate, ending))
    };
    parcel.recipients.iter().enumerate().filter_map(of).collect()
}

/// 530 wants us to log in, at any step (RFC 4954 section 6). So do, at MAIL, where nothing has been said of anybody but us,
/// the statuses that speak of credentials: X.7.8, X.7.9, X.7.11, and X.7.57 of Exchange. X.7.0 alone says too little.
fn wants_login(stage: client::Stage, reply: &Reply) -> bool {
    const LOG_IN: u16 = 530;
    let of_credentials =
        || reply.enhanced.is_some_and(|e| e.subject == 7 && matches!(e.detail, 8 | 9 | 11 | 57));
    reply.code == LOG_IN
        || (stage == client::Stage::Mail && reply.is_permanent() && of_credentials())
}

/// All were refused for want of a login.
fn barred(results: &[RecipientResult], stale: bool) -> Option<LoginFault> {
    let wanted = |result: &RecipientResult| match &result.fault {
        Some(Fault::Login { fault, .. }) => Some(fault.clone()),
        _ => None,
    };
    let all: Option<Vec<LoginFault>> = results.iter().map(wanted).collect();
    all.filter(|_| !stale)?.into_iter().next()
}

fn fate(ending: &Ending, place: usize) -> Option<Fate<'_>> {
    ending.report.as_ref().and_then(|r| r.fate(place))
}

/// `452 4.5.3`, or 552 where older servers mean 452 (RFC 5321 section 4.5.3.1.10).
fn no_room(reply: &Reply) -> bool {
    let too_many = reply.enhanced.is_none_or(|e| e.subject == 5 && e.detail == 3);
    matches!(reply.code, 452 | 552) && too_many
}

fn result(recipient: u32, fate: Option<Fate<'_>>, ending: &Ending) -> RecipientResult {
    let broken = ending.broken.as_ref();
    let made = |outcome, reply: Option<&Reply>, fault| RecipientResult {
        recipient,
        outcome,
        reply: reply.map(Reply::shortened),
        fault,
    };
    match fate {
        Some(Fate::Delivered(reply)) => made(Outcome::Delivered, Some(reply), None),
        // Whoever is to blame, it is not the message.
        Some(Fate::Refused(stage, reply)) if ending.clear.wants_tls(reply) => {
            let fault = Fault::TlsWanted { stage: stage_of(stage), reply: reply.shortened() };
            made(Outcome::Deferred, Some(reply), Some(fault))
        }
        // For want of our own password nobody's mail fails.
        Some(Fate::Refused(stage, reply))
            if let Some(route) = &ending.fixed
                && wants_login(stage, reply) =>
        {
            let (stage, route) = (stage_of(stage), route.clone());
            let fault = LoginFault::Wanted { stage, reply: reply.shortened() };
            made(Outcome::Deferred, Some(reply), Some(Fault::Login { route, fault }))
        }
        Some(Fate::Refused(stage, reply)) => {
            let outcome = if reply.is_permanent() { Outcome::Failed } else { Outcome::Deferred };
            let fault = Fault::Reply { stage: stage_of(stage), reply: reply.shortened() };
            made(outcome, Some(reply), Some(fault))
        }
        Some(Fate::Lost(stage)) => {
            let in_doubt = stage_of(stage) == Stage::Eod;
            let outcome = if in_doubt { Outcome::Indeterminate } else { Outcome::Deferred };
            let stage = stage_of(stage);
            let fault = broken.cloned().unwrap_or(Fault::Lost { stage });
            made(outcome, None, Some(fault))
        }
        None => {
            let fault = broken.cloned().unwrap_or(Fault::Lost { stage: Stage::Mail });
            made(Outcome::Deferred, None, Some(fault))
        }
    }
}

impl Log {
    fn reply(
        &mut self,
        world: &posthaste_io::World,
        parcel: &Parcel<'_>,
        stage: client::Stage,
        reply: &Reply,
    ) {
        let subject = match stage {
            client::Stage::Rcpt(place) | client::Stage::EodOf(place) => parcel
                .recipients
                .get(place as usize)
                .map_or(Subject::Peer, |&number| Subject::Recipient(number)),
            _ => Subject::Peer,
        };
        self.see(world, stage_of(stage), subject, Seen::Reply(reply.shortened()));
    }

    fn see(&mut self, world: &posthaste_io::World, stage: Stage, subject: Subject, seen: Seen) {
        let now = world.now();
        let took = now - self.began;
        self.began = now;
        let at = world.wall().minus(took);
        self.observations.push(Observation {
            at,
            took,
            stage,
            subject,
            seen,
            effect: Effect::None,
        });
    }

    /// What decided for somebody that was not delivered is blocking; what only sent a recipient to the next
    /// transaction is degrading.
    fn mark(&mut self, results: &[RecipientResult]) {
        for observation in &mut self.observations {
            let refused = match &observation.seen {
                Seen::Reply(reply) => !reply.is_positive() && !reply.is_intermediate(),
                Seen::TimedOut { .. } | Seen::Lost { .. } | Seen::Gibberish => true,
                _ => false,
            };
            if !refused {
                continue;
            }
            let about = |r: &&RecipientResult| match observation.subject {
                Subject::Recipient(number) => r.recipient == number,
                _ => true,
            };
            let mut concerned = results.iter().filter(about).peekable();
            let left_over = concerned.peek().is_none();
            let stage = observation.stage;
            if concerned.any(|r| r.fault.as_ref().is_some_and(|f| f.stage() == stage)) {
                observation.effect = Effect::Blocking;
            } else if left_over && matches!(observation.subject, Subject::Recipient(_)) {
                observation.effect = Effect::Degrading;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_mail::EnhancedStatus;

    #[test]
    fn who_wants_tls_is_told_from_who_wants_auth() {
        let said = |code, status: Option<(u16, u16)>, words| {
            Reply::new(code, status.map(|(s, d)| EnhancedStatus::new(5, s, d)), words)
        };
        for (clear, reply, wants) in [
            (Clear::Yes, said(530, Some((7, 10)), "Encryption needed"), true),
            (Clear::Yes, said(530, Some((7, 0)), "Must issue a STARTTLS command first"), false),
            (Clear::Yes, said(530, None, "tls required"), false),
            (Clear::Offered, said(530, Some((7, 0)), "Must issue a STARTTLS command first"), true),
            (Clear::Offered, said(530, Some((7, 0)), "Authentication required"), true),
            (Clear::Offered, said(530, None, "first"), true),
            (Clear::Offered, said(530, Some((7, 57)), "Client not authenticated, no TLS"), false),
            (Clear::No, said(530, Some((7, 0)), "Must issue a STARTTLS command first"), false),
            (Clear::No, said(530, Some((7, 10)), "Encryption needed"), false),
            (Clear::Offered, said(550, Some((7, 1)), "no TLS, no mail"), false),
        ] {
            assert_eq!(clear.wants_tls(&reply), wants, "{clear:?} {reply:?}");
        }
    }
}
