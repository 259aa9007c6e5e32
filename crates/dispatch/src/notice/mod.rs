//! Notices: composed here from what is known, spooled by the settlement that causes them.
//!
//! Who is told what: `message::dsn::rules`. When a delay notice is due: `queue`. The words: `message::dsn`.

mod brake;
mod debts;
mod delay;
mod ended;
mod kept;
mod preview;
mod probes;
mod strangers;

pub(crate) use brake::Brake;
pub(crate) use kept::Waits;
pub use preview::PreviewFault;
pub(crate) use probes::NoProbes;
pub use probes::Probes;
pub use strangers::StrangerLimits;
pub(crate) use strangers::Strangers;
use strangers::Wanted;

use crate::last::LastTried;
use crate::settings::Settings;
use crate::timeline::Timeline;
use crate::{Inner, destination, lock};
use bytes::Bytes;
use posthaste_evidence::{Fault, NoticeKind, Withheld};
use posthaste_mail::{
    Body, BodyType, Envelope, Mailbox, QueueId, Recipient, Source, SourceKind, Summary, Timestamp,
};
use posthaste_message::dkim::Signing;
use posthaste_message::dsn::{self, Report, Tried, rules};
use posthaste_queue::RecipientState;
use posthaste_route::domain::to_dns;
use posthaste_smtp::content::ContentScan;
use posthaste_spool::{Content, NewMail, Notice};
use std::sync::Arc;
use std::time::Duration;

/// What is to be told of one recipient.
#[derive(Clone)]
pub(crate) struct News {
    /// Its number in the envelope.
    pub(crate) recipient: u32,
    /// What ended it, or stands in its way; `None` when it was delivered, or never tried.
    pub(crate) fault: Option<Fault>,
    /// Its tries so far.
    pub(crate) past: Timeline,
    /// What the operator says of it.
    pub(crate) remark: Option<Arc<str>>,
    /// Why it waits, where no attempt tells.
    pub(crate) waits: Option<Waits>,
}

/// What a settlement tells of one message, and what it does not.
#[derive(Default)]
pub(crate) struct Tidings {
    pub(crate) notices: Vec<Notice>,
    pub(crate) withheld: Vec<(QueueId, Withheld)>,
}

/// A message that is told of.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) now: Timestamp,
    pub(crate) envelope: &'a Envelope,
    /// Its content, or the beginning of it.
    pub(crate) original: &'a Body,
}

impl Inner {
    /// The notices of this kind that are owed for a message; usually one, or none.
    pub(crate) fn tell_sender(
        &self,
        about: &About<'_>,
        kind: NoticeKind,
        news: Vec<News>,
    ) -> Tidings {
        let mut tidings = Tidings::default();
        if news.is_empty() {
            return tidings;
        }
        let settings = self.settings();
        let header = header(about);
        let ground = ground(&settings, about.envelope, &header);
        let mut owed = Vec::with_capacity(news.len());
        for one in news {
            match rules::owed(kind, about.envelope, one.recipient, &ground) {
                Ok(()) => owed.push(one),
                Err(why) if kind == NoticeKind::Failed => tidings.withhold(about, why),
                // Nobody waits for good news that was not asked for.
                Err(_) => {}
            }
        }
        for part in owed.chunks(dsn::MAX_REPORTED) {
            let Some(to) = about.envelope.reverse_path.mailbox() else { break };
            if self.may_tell(&settings, about, kind, to) {
                tidings.notices.push(self.notice(&settings, about, kind, part));
            } else {
                tidings.withhold(about, Withheld::StrangersRate);
            }
        }
        tidings
    }

    /// True when the sender is owed such a notice about a recipient, as far as the envelope tells.
    pub(crate) fn is_owed(&self, kind: NoticeKind, envelope: &Envelope, recipient: u32) -> bool {
        let settings = self.settings();
        rules::owed(kind, envelope, recipient, &ground(&settings, envelope, &[])).is_ok()
    }

    /// Counts a notice to somebody who may be forged.
    fn may_tell(
        &self,
        settings: &Settings,
        about: &About<'_>,
        kind: NoticeKind,
        to: &Mailbox,
    ) -> bool {
        let client = about.envelope.source.ip;
        let one = Wanted { kind, to: to.as_str(), client };
        !rules::may_be_forged(about.envelope)
            || lock(&self.strangers).take(about.now, one, &settings.strangers)
    }

    fn notice(
        &self,
        settings: &Settings,
        about: &About<'_>,
        kind: NoticeKind,
        news: &[News],
    ) -> Notice {
        let id = self.spool.mint(about.now);
        let mut composed = self.compose(settings, about, kind, news, (id, None));
        let mut signing =
            Signing::new(Arc::clone(&settings.dkim), Some(settings.sender.hostname.clone()), false);
        signing.feed(&composed.octets);
        let signed = signing.finish(about.now);
        composed.octets.splice(0..0, signed.fields.into_bytes());
        let to = about.envelope.reverse_path.mailbox().expect("nothing is owed to the null path");
        let recipient = Recipient { mailbox: to.clone(), orcpt: None, notify: None };
        let mut mail = new_mail(id, about.now, recipient, composed);
        mail.envelope.summary.signed_by = signed.by;
        let due = about.now.plus(self.braked(about, news, &mail.envelope));
        mail.states.iter_mut().for_each(|state| state.due = due);
        Notice { about: about.envelope.id, kind: Some(kind), mail }
    }

    /// How much later it is sent, because its sender has been told of the same recipients so often.
    fn braked(&self, about: &About<'_>, news: &[News], notice: &Envelope) -> Duration {
        let route = destination::of(&self.routes(), notice, 0).route;
        let lifetime = self.scheduler().settings().lifetime(&route, true);
        let recipients = &about.envelope.recipients;
        let told = news.iter().filter_map(|one| recipients.get(one.recipient as usize));
        let told = told.map(|recipient| recipient.mailbox.as_str());
        let to = about.envelope.reverse_path.mailbox().map_or("", Mailbox::as_str);
        lock(&self.brake).wait(about.now, to, told, lifetime)
    }

    /// The octets of a notice of this name, in a language if one is asked for.
    fn compose(
        &self,
        settings: &Settings,
        about: &About<'_>,
        kind: NoticeKind,
        news: &[News],
        (id, language): (QueueId, Option<&str>),
    ) -> dsn::Composed {
        let report = |one| self.report(about.envelope, one);
        dsn::compose(&dsn::Notice {
            kind,
            envelope: about.envelope,
            original: about.original,
            reports: news.iter().filter_map(report).collect(),
            sender: &settings.sender,
            language,
            id,
            now: about.now,
            token: self.world.random.next(),
        })
    }

    fn report<'a>(&self, envelope: &'a Envelope, news: &'a News) -> Option<Report<'a>> {
        Some(Report {
            recipient: envelope.recipients.get(news.recipient as usize)?,
            fault: news.fault.as_ref(),
            last: news.past.last.as_ref().map(tried),
            attempts: news.past.attempts,
            history: news.past.tries.iter().map(tried).collect(),
            until: self.expires(envelope, news.recipient),
            remark: news.remark.as_deref(),
            waits: news.waits.map(|waits| waits.reason),
            kept_since: news.waits.and_then(|waits| waits.since),
        })
    }

    /// When a recipient's time is over, on the route that it has now.
    pub(crate) fn expires(&self, envelope: &Envelope, recipient: u32) -> Timestamp {
        let route = destination::of(&self.routes(), envelope, recipient).route;
        let lifetime = self.scheduler().settings().expire_after(&route);
        envelope.lives_since().plus(lifetime)
    }
}

/// `header`: the message's, as far as it is at hand.
fn ground<'a>(settings: &'a Settings, envelope: &Envelope, header: &[u8]) -> rules::Ground<'a> {
    let is_own = |domain: &str| {
        let name = to_dns(domain);
        settings.own_domains.contains(name.as_deref().unwrap_or(domain))
    };
    rules::Ground {
        ours: rules::is_ours(envelope, is_own),
        from: &settings.sender.from,
        delimiter: settings.delimiter,
        is_report: rules::is_report(header),
    }
}

/// The header section, as far as it is at hand.
fn header(about: &About<'_>) -> Vec<u8> {
    let end = usize::try_from(about.envelope.facts.header_end).unwrap_or(usize::MAX);
    let mut left = end.min(dsn::MAX_ORIGINAL_HEADER);
    let mut octets = Vec::with_capacity(left.min(about.original.len()));
    for chunk in about.original.chunks() {
        let part = &chunk[..chunk.len().min(left)];
        octets.extend_from_slice(part);
        left -= part.len();
    }
    octets
}

fn tried(tried: &LastTried) -> Tried<'_> {
    Tried {
        at: tried.at,
        host: tried.host.as_deref(),
        address: tried.peer.map(|peer| peer.ip()),
        result: &tried.result,
    }
}

impl Tidings {
    /// With what is told of the same message, or another one of the same commit.
    pub(crate) fn add(&mut self, other: Self) {
        self.notices.extend(other.notices);
        self.withheld.extend(other.withheld);
    }

    fn withhold(&mut self, about: &About<'_>, why: Withheld) {
        let said = (about.envelope.id, why);
        if !self.withheld.contains(&said) {
            self.withheld.push(said);
        }
    }
}

fn new_mail(id: QueueId, now: Timestamp, recipient: Recipient, composed: dsn::Composed) -> NewMail {
    let mut scan = ContentScan::new();
    scan.feed(&composed.octets);
    let facts = scan.facts();
    let header = usize::try_from(facts.header_end).unwrap_or(usize::MAX).min(composed.octets.len());
    let summary: Summary = posthaste_message::header::summary(&composed.octets[..header]);
    let envelope = Envelope {
        id,
        received: now,
        reverse_path: posthaste_mail::ReversePath::Null,
        recipients: vec![recipient],
        ret: None,
        envid: None,
        body_type: if composed.eight_bit { BodyType::EightBitMime } else { BodyType::SevenBit },
        smtputf8: composed.smtputf8,
        facts,
        summary,
        source: Source {
            kind: SourceKind::Notice,
            listener: "notice".into(),
            ip: None,
            helo: String::new(),
            user: None,
            session: None,
        },
        route: None,
        redirected_from: None,
    };
    let content = Content::Inline(Body::new(vec![Bytes::from(composed.octets)]));
    NewMail { envelope, content, states: vec![RecipientState { due: now, ..Default::default() }] }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use posthaste_mail::ReversePath;

    /// A small message for tests of this crate.
    pub(crate) fn mail(number: u64, octets: usize) -> Arc<NewMail> {
        let mailbox = |text: &str| Mailbox::parse(text, false).expect("a valid address");
        let recipient = Recipient { mailbox: mailbox("to@example.org"), orcpt: None, notify: None };
        let composed = dsn::Composed {
            octets: vec![b'x'; octets],
            eight_bit: false,
            smtputf8: false,
            parts: dsn::Parts::default(),
        };
        let id = QueueId::from_u64(number);
        let mut mail = new_mail(id, Timestamp::EPOCH, recipient, composed);
        mail.envelope.reverse_path = ReversePath::Mailbox(mailbox("from@example.net"));
        mail.envelope.source.kind = SourceKind::Relay;
        Arc::new(mail)
    }
}
