//! Messages handed in on this machine whole: by the operator's verb, and from the pickup folder.

use crate::House;
use crate::accept::{Message, NotAccepted, accept};
use crate::incoming::Incoming;
use crate::pressure::{Pressure, Resource};
use crate::recipients::envelope::{Gathered, MAX_EXPANDED, TooMany};
use crate::recipients::{Answer, Judged, Troubled};
use bytes::Bytes;
use posthaste_io::within;
use posthaste_mail::envelope::Ret;
use posthaste_mail::{
    BodyType, ContentFacts, Mailbox, QueueId, Recipient, ReversePath, Source, SourceKind, Timestamp,
};
use posthaste_message::complete::{split, with_crlf};
use posthaste_message::{Completion, Protocol, Trace, complete};
use posthaste_smtp::content::ContentScan;
use posthaste_smtp::server::{ForwardPath, MAX_TEXT_LINE};
use posthaste_spool::Refused;

/// Pieces in which a large message is written to its file, octets.
const PIECE: usize = 64 * 1024;

/// A message handed in.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Who gets notices.
    pub reverse_path: ReversePath,
    /// Who gets it; at least one.
    pub recipients: Vec<Recipient>,
    /// The message: line ends of any kind; it is made whole (`posthaste_message::complete`).
    pub message: Vec<u8>,
    /// By which way, for the source: `send`, say.
    pub listener: String,
    /// Who handed it in, when known.
    pub user: Option<String>,
    /// Its name, from [`crate::Reception::mint`]; `None` for a fresh one.
    pub id: Option<QueueId>,
    /// When it was written, for a missing `Date:`; `None` for now.
    pub written: Option<Timestamp>,
    /// RFC 3461 section 4.3.
    pub ret: Option<Ret>,
    /// RFC 3461 section 4.4, decoded.
    pub envid: Option<String>,
    /// It has been a message before: nothing is added, taken out or completed, besides line ends and our trace field.
    pub replayed: bool,
    /// What becomes of the message when some of its recipients are unknown.
    pub unknown: Unknown,
}

/// What becomes of a message with recipients in domains of ours that nobody knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Unknown {
    /// It is refused whole: whoever hands it in waits for the answer, and corrects it.
    #[default]
    Refuse,
    /// It is accepted, and its sender gets a failure notice of those: whoever handed it in has gone away. With
    /// `soft_fail`, where nothing fails for good, they are tried. Without a sender, and with nobody else to go to, it
    /// is refused whole all the same.
    Bounce,
}

/// A message was accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submitted {
    /// Its name.
    pub id: QueueId,
    /// Recipients that fail at once, under [`Unknown::Bounce`].
    pub refused: Vec<Recipient>,
}

/// A message was not accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SubmitError {
    /// There is no recipient. Whoever hands it in must name one.
    #[error("no recipients")]
    NoRecipients,
    /// More recipients than the limit, given here. Hand it in in parts.
    #[error("more than {0} recipients")]
    TooManyRecipients(u32),
    /// Larger than the limit in octets, given here.
    #[error("the message is larger than {0} octets")]
    TooBig(u64),
    /// An octet 0, which no mail may contain.
    #[error("the message contains NUL")]
    Nul,
    /// A line longer than any server takes.
    #[error("the message has a line over {MAX_TEXT_LINE} octets")]
    LineTooLong,
    /// Too many `Received:` fields.
    #[error("the message goes round in circles: too many Received fields")]
    Looping,
    /// A recipient in a domain of ours that nobody knows. Whoever hands it in must correct the address.
    #[error("{0}: recipient unknown")]
    UnknownRecipient(Mailbox),
    /// The aliases of a recipient are at fault. The operator must correct them.
    #[error("{0}: {1}")]
    Aliases(Mailbox, Troubled),
    /// The store does not take it now. The operator must act, or wait.
    #[error("{0}")]
    Store(#[from] Refused),
    /// A resource is scarce. The operator must make room, or wait.
    #[error("not enough {0} on this server; try again later")]
    Scarce(Resource),
    /// The service is closed for maintenance. Try again when it is over.
    #[error("closed for maintenance")]
    Maintenance,
    /// The store did not answer in time; whether the message was accepted is not known.
    #[error("the store did not answer in time")]
    StoreLate,
}

pub(crate) async fn submit(
    house: &House,
    submission: Submission,
) -> Result<Submitted, SubmitError> {
    if house.places.is_draining() {
        return Err(SubmitError::Store(Refused::Unhealthy));
    }
    if house.places.is_paused() {
        house.counters.refused_maintenance.one();
        return Err(SubmitError::Maintenance);
    }
    if let Pressure::Refuse(resource) = house.pressure.get() {
        house.counters.refused_pressure.one();
        return Err(SubmitError::Scarce(resource));
    }
    let policy = house.policy();
    let limits = &policy.settings.limits;
    check(&submission, limits.recipients, limits.message_size)?;
    let resolved = resolve(house, &policy.settings, submission)?;
    let refused = resolved.submission.recipients[resolved.good..].to_vec();
    let work = store(house, &policy.settings, resolved);
    let id = within(&*house.world.clock, limits.store_timeout, work).await;
    Ok(Submitted { id: id.ok_or(SubmitError::StoreLate)??, refused })
}

/// A submission whose recipients were looked at.
struct Resolved {
    /// The name that was written, when it was the only one.
    written: Option<Mailbox>,
    submission: Submission,
    /// So many of its recipients are good; those after them are refused.
    good: usize,
}

fn check(submission: &Submission, recipients: u32, size: u64) -> Result<(), SubmitError> {
    if submission.recipients.is_empty() {
        return Err(SubmitError::NoRecipients);
    }
    if submission.recipients.len() > recipients as usize {
        return Err(SubmitError::TooManyRecipients(recipients));
    }
    if submission.message.len() as u64 > size {
        return Err(SubmitError::TooBig(size));
    }
    if submission.message.contains(&0) { Err(SubmitError::Nul) } else { Ok(()) }
}

/// Aliases in place of their names, and nobody unknown among the good. Next hops are not waited for: who hands in a
/// message here is no stranger, and learns of a refusal by a notice.
fn resolve(
    house: &House,
    settings: &crate::Settings,
    submission: Submission,
) -> Result<Resolved, SubmitError> {
    let directory = house.directory();
    let (mut gathered, mut refused) = (Gathered::default(), Gathered::default());
    for recipient in submission.recipients {
        let Recipient { mailbox, orcpt, notify } = recipient.clone();
        let is_unknown = |mailbox: &Mailbox| {
            matches!(house.verification.remembered(mailbox), Some(Answer::Unknown(_)))
        };
        let unknown = match directory.judge(ForwardPath::Mailbox(mailbox), true) {
            Judged::Alias(written, found) => {
                gathered.add_alias(written, found, orcpt, notify).map_err(too_many)?;
                continue;
            }
            Judged::Troubled(why) => return Err(SubmitError::Aliases(recipient.mailbox, why)),
            Judged::Elsewhere(_) | Judged::Known(..) | Judged::Routed => false,
            Judged::Unknown => true,
            Judged::Ask(mailbox) => is_unknown(&mailbox),
        };
        let added = match submission.unknown {
            _ if !unknown => gathered.add(recipient),
            Unknown::Refuse => return Err(SubmitError::UnknownRecipient(recipient.mailbox)),
            Unknown::Bounce if settings.soft_fail => gathered.add(recipient),
            Unknown::Bounce => refused.add(recipient),
        };
        added.map_err(too_many)?;
    }
    let written = gathered.only().cloned();
    let (mut recipients, refused) = (gathered.into_list(), refused.into_list());
    let good = recipients.len();
    let nobody_to_tell = good == 0 && submission.reverse_path.mailbox().is_none();
    if let Some(first) = refused.first().filter(|_| nobody_to_tell) {
        return Err(SubmitError::UnknownRecipient(first.mailbox.clone()));
    }
    recipients.extend(refused);
    Ok(Resolved { written, submission: Submission { recipients, ..submission }, good })
}

fn too_many(_: TooMany) -> SubmitError {
    SubmitError::TooManyRecipients(u32::try_from(MAX_EXPANDED).unwrap_or(u32::MAX))
}

async fn store(
    house: &House,
    settings: &crate::Settings,
    Resolved { written, submission, good }: Resolved,
) -> Result<QueueId, SubmitError> {
    let only_recipient = written.as_ref();
    let now = house.world.wall();
    let id = submission.id.unwrap_or_else(|| house.spool.mint(now));
    let hostname = settings.hostname.as_str();
    let with = Completion {
        author: submission.reverse_path.mailbox(),
        full_name: None,
        hostname,
        origin: &settings.origin,
        unique: &id.to_string(),
        now: submission.written.unwrap_or(now),
    };
    let content = match submission.replayed {
        true => begun(with_crlf(&submission.message)),
        false => complete(&submission.message, &with),
    };
    let protocol = Protocol::Local;
    let trace = Trace { helo: "", ip: None, hostname, protocol, id, only_recipient, at: now };
    let trace = trace.field();
    let facts = facts(&trace, &content);
    if facts.longest_line > MAX_TEXT_LINE {
        return Err(SubmitError::LineTooLong);
    }
    let trace_length = trace.len();
    let budget = settings.limits.receive_budget;
    let mut incoming = Incoming::new(id, trace, Some(facts.size), house.budget.share(), budget);
    let mut signing = settings.signing(submission.reverse_path.mailbox(), false);
    if let Some(signing) = &mut signing {
        signing.feed(&content);
    }
    let content = Bytes::from(content);
    for start in (0..content.len()).step_by(PIECE) {
        let piece = content.slice(start..content.len().min(start + PIECE));
        if let Err(piece) = incoming.keep(piece) {
            incoming.spill(piece, &*house.spool).await?;
        }
    }
    let refused = submission.recipients.len() - good;
    let message =
        Message { refused, signing, ..message(submission, facts, incoming, trace_length) };
    accept(house, settings, message).await.map_err(|why| match why {
        NotAccepted::Looping => SubmitError::Looping,
        NotAccepted::Store(why) => SubmitError::Store(why),
    })
}

/// With the empty line that a body without a header section lacks.
fn begun(content: Vec<u8>) -> Vec<u8> {
    let (header, body) = split(&content);
    if header.is_empty() && body.len() == content.len() && !body.is_empty() {
        return [b"\r\n", &content[..]].concat();
    }
    content
}

fn facts(trace: &[u8], content: &[u8]) -> ContentFacts {
    let mut scan = ContentScan::new();
    scan.feed(trace);
    scan.feed(content);
    scan.facts()
}

fn message(
    submission: Submission,
    facts: ContentFacts,
    incoming: Incoming,
    trace: usize,
) -> Message {
    let beyond_ascii = |recipient: &Recipient| !recipient.mailbox.as_str().is_ascii();
    let sender = submission.reverse_path.mailbox();
    let smtputf8 = sender.is_some_and(|mailbox| !mailbox.as_str().is_ascii())
        || submission.recipients.iter().any(beyond_ascii);
    Message {
        id: incoming.id(),
        reverse_path: submission.reverse_path,
        recipients: submission.recipients,
        refused: 0,
        ret: submission.ret,
        envid: submission.envid,
        body_type: if facts.eight_bit { BodyType::EightBitMime } else { BodyType::SevenBit },
        smtputf8,
        facts,
        source: Source {
            kind: SourceKind::Local,
            listener: submission.listener,
            ip: None,
            helo: String::new(),
            user: submission.user,
            session: None,
        },
        arrived: incoming.arrived(),
        trace,
        signing: None,
    }
}
