//! A notice about a message that never was: what senders would get, for `notice preview`, before there is any trouble.

use super::{Composed, Kind, Notice, Report, Sender, Tried, compose};
use crate::header::{section, summary};
use posthaste_evidence::{ConnectFault, Fault, Outcome, RecipientResult, Stage};
use posthaste_mail::envelope::Notify;
use posthaste_mail::{
    Body, BodyType, ContentFacts, EnhancedStatus, Envelope, Mailbox, QueueId, Recipient, Reply,
    ReversePath, Source, SourceKind, Timestamp,
};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
/// How long the message of the sample is tried.
const LIFETIME: Duration = Duration::from_secs(2 * 86_400);
const HOST: &str = "mail.example.net";
/// An address for documents (RFC 5737).
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 25));

/// A notice of this kind about a made-up message, as this sender words it, in this language or the default.
#[must_use]
pub fn sample(kind: Kind, sender: &Sender, language: Option<&str>, now: Timestamp) -> Composed {
    let arrived = now.minus(HOUR * 4);
    let hourly = (0..).map(|hour| arrived.plus(HOUR * hour));
    let mut tries: Vec<_> = hourly.zip(results(kind)).collect();
    if let Some((at, _)) = tries.last_mut() {
        *at = now;
    }
    made_up(kind, None, arrived, &tries, sender, language, now)
}

/// The failure notice about a message whose time is over: after two days with two obstacles, of which the first stood in the
/// way the longest.
#[must_use]
pub fn sample_expired(sender: &Sender, language: Option<&str>, now: Timestamp) -> Composed {
    let arrived = now.minus(LIFETIME);
    let hours = u32::try_from(LIFETIME.as_secs() / HOUR.as_secs()).unwrap_or(0);
    let met = |hour: u32| if hour < hours / 3 * 2 { silent() } else { busy() };
    let tries: Vec<_> = (0..hours).map(|hour| (arrived.plus(HOUR * hour), met(hour))).collect();
    made_up(Kind::Failed, Some(&Fault::Expired), arrived, &tries, sender, language, now)
}

/// `end`: what ended it, where the last attempt did not.
fn made_up(
    kind: Kind,
    end: Option<&Fault>,
    arrived: Timestamp,
    tries: &[(Timestamp, RecipientResult)],
    sender: &Sender,
    language: Option<&str>,
    now: Timestamp,
) -> Composed {
    let content = content(arrived);
    let envelope = envelope(kind, &content, arrived);
    let original = Body::from(content.into_bytes());
    let tried = |(at, result)| Tried { at, host: Some(HOST), address: Some(ADDRESS), result };
    let history: Vec<_> = tries.iter().map(|(at, result)| tried((*at, result))).collect();
    let report = Report {
        recipient: &envelope.recipients[0],
        fault: end.or_else(|| tries.last().and_then(|(_, result)| result.fault.as_ref())),
        last: history.last().cloned(),
        attempts: u32::try_from(history.len()).unwrap_or(u32::MAX),
        history,
        until: arrived.plus(LIFETIME),
        remark: None,
        waits: None,
        kept_since: None,
    };
    compose(&Notice {
        kind,
        envelope: &envelope,
        original: &original,
        reports: vec![report],
        sender,
        language,
        id: QueueId::from_u64(2),
        token: 0,
        now,
    })
}

fn content(arrived: Timestamp) -> String {
    format!(
        "From: Ann <ann@example.org>\r\n\
         To: Bob <bob@example.net>\r\n\
         Subject: Minutes of the meeting\r\n\
         Date: {}\r\n\
         Message-ID: <minutes.1@example.org>\r\n\r\n\
         Dear Bob,\r\n\r\nhere are the minutes.\r\n",
        arrived.rfc5322()
    )
}

/// What the attempts came to.
fn results(kind: Kind) -> Vec<RecipientResult> {
    let nobody = reply(550, (5, 1, 1), "<bob@example.net>: no such user here");
    let taken = RecipientResult {
        recipient: 0,
        outcome: Outcome::Delivered,
        reply: Some(reply(250, (2, 0, 0), "Ok: queued")),
        fault: None,
    };
    match kind {
        Kind::Failed => vec![failed(Fault::Reply { stage: Stage::Rcpt, reply: nobody })],
        Kind::Delayed => vec![busy(), busy(), silent(), silent()],
        Kind::Delivered | Kind::Relayed => vec![taken],
        Kind::AllClear => vec![busy(), silent(), taken],
    }
}

fn silent() -> RecipientResult {
    failed(Fault::Connect(ConnectFault::TimedOut))
}

fn busy() -> RecipientResult {
    let reply = reply(421, (4, 3, 2), "Too busy, please come again");
    failed(Fault::Reply { stage: Stage::Banner, reply })
}

fn reply(code: u16, (class, subject, detail): (u8, u16, u16), text: &str) -> Reply {
    Reply::new(code, Some(EnhancedStatus::new(class, subject, detail)), text)
}

fn failed(fault: Fault) -> RecipientResult {
    RecipientResult {
        recipient: 0,
        outcome: if fault.is_permanent() { Outcome::Failed } else { Outcome::Deferred },
        reply: match &fault {
            Fault::Reply { reply, .. } => Some(reply.clone()),
            _ => None,
        },
        fault: Some(fault),
    }
}

fn envelope(kind: Kind, content: &str, arrived: Timestamp) -> Envelope {
    let header = section(content.as_bytes());
    let mailbox = |text: &str| Mailbox::parse(text, false).ok();
    let asked = matches!(kind, Kind::Delivered | Kind::Relayed);
    let notify = asked.then_some(Notify { success: true, failure: true, delay: true });
    let to = mailbox("bob@example.net").map(|mailbox| Recipient { mailbox, orcpt: None, notify });
    Envelope {
        id: QueueId::from_u64(1),
        received: arrived,
        reverse_path: mailbox("ann@example.org").map_or(ReversePath::Null, ReversePath::Mailbox),
        recipients: to.into_iter().collect(),
        ret: None,
        envid: None,
        body_type: BodyType::SevenBit,
        smtputf8: false,
        facts: ContentFacts {
            size: content.len() as u64,
            header_end: header.len() as u64,
            ..ContentFacts::default()
        },
        summary: summary(header),
        source: Source {
            kind: SourceKind::Submission,
            listener: String::new(),
            ip: None,
            helo: String::new(),
            user: None,
            session: None,
        },
        route: None,
        redirected_from: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expired_sample_names_the_longest_obstacle_and_the_last() {
        let now = Timestamp::from_secs(1_795_243_984);
        let sample = |language| sample_expired(&Sender::named("mx.example.org"), language, now);
        let english = sample(Some("en")).parts;
        let said = english.text.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [
            "The time for delivering it (2 days) has expired. This mail server tried 48 times",
            "Why, for most of the time (1 day and 8 hours): This mail server could not reach",
            "Why, at the end: The receiving mail server temporarily refused",
            "32 attempts: This mail server could not reach",
            "16 attempts: mail.example.net: 421 4.3.2 Too busy",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert!(english.status.contains("\r\nX-Posthaste-Ended: expired\r\n"));
        assert_eq!(sample(Some("de")).parts.language, "de");
    }
}
