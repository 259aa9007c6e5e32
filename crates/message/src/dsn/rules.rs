//! Who is told what of a message: the rules of RFC 3461 sections 4.1 and 5.2, RFC 5321 section 6.1 and RFC 3834
//! section 2, and our own for strangers, as one pure function.
//!
//! Not here: when a notice is due (`queue`), how many a stranger is sent (`dispatch`), and the text.

use super::Kind;
use super::status::Typed;
use crate::header;
use crate::mime::ContentType;
use posthaste_evidence::Withheld;
use posthaste_mail::{Envelope, Mailbox, Recipient, SourceKind};

/// Fields `Content-Type:` of one header that are looked at.
const MAX_TYPES: usize = 8;

/// What the rules know besides envelope and recipient.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ground<'a> {
    /// The sender is ours ([`is_ours`]).
    pub ours: bool,
    /// The address in the `From:` field of our notices.
    pub from: &'a str,
    /// What separates a user of ours from a detail, as in `user+detail`.
    pub delimiter: Option<char>,
    /// The message is a notice by its content, whatever its reverse-path says ([`is_report`]).
    pub is_report: bool,
}

/// Whether the sender of a message is owed this notice about one of its recipients, as far as the envelope says; whether
/// an all-clear is configured, and follows a delay notice, is not asked here.
///
/// # Errors
/// Why not. Mail that answers a notice or passes one on is told of to nobody, as far as it can be recognised; what
/// cannot is slowed down elsewhere (`dispatch`).
pub fn owed(
    kind: Kind,
    envelope: &Envelope,
    recipient: u32,
    ground: &Ground<'_>,
) -> Result<(), Withheld> {
    let recipient = envelope.recipients.get(recipient as usize).ok_or(Withheld::NotAsked)?;
    if envelope.reverse_path.is_null() || envelope.source.kind == SourceKind::Notice {
        return Err(Withheld::NullPath);
    }
    if ground.is_report || is_for_notices(recipient, ground) {
        return Err(Withheld::AnswersNotice);
    }
    if is_asked(kind, recipient, ground.ours) { Ok(()) } else { Err(Withheld::NotAsked) }
}

/// RFC 3461 section 4.1: without NOTIFY failures are told, and delays may be. Strangers are not told of delays: whoever
/// forges their address would send them mail through us.
fn is_asked(kind: Kind, recipient: &Recipient, ours: bool) -> bool {
    match (kind, recipient.notify) {
        (Kind::Failed, notify) => notify.is_none_or(|notify| notify.failure),
        (Kind::Delayed, notify) => ours && notify.is_none_or(|notify| notify.delay),
        // Who asked for success hears of it, from us or from the host that took over the duty.
        (Kind::AllClear, notify) => ours && notify.is_none_or(|n| n.delay && !n.success),
        (Kind::Delivered | Kind::Relayed, notify) => notify.is_some_and(|notify| notify.success),
    }
}

/// True for mail of those we send for: of our networks, our users, this machine, and from addresses in domains of ours.
#[must_use]
pub fn is_ours(envelope: &Envelope, is_own_domain: impl Fn(&str) -> bool) -> bool {
    match envelope.source.kind {
        SourceKind::Relay | SourceKind::Submission | SourceKind::Local => true,
        SourceKind::Inbound | SourceKind::Notice => {
            envelope.reverse_path.mailbox().is_some_and(|from| is_own_domain(&from.domain_key()))
        }
    }
}

/// True for mail of which nobody knows who sent it: whoever forges a sender, in a domain of ours or not, must not make
/// us send that sender any number of notices.
#[must_use]
pub const fn may_be_forged(envelope: &Envelope) -> bool {
    matches!(envelope.source.kind, SourceKind::Inbound)
}

/// True when a message calls itself a report on another one: a DSN (RFC 3464), or a disposition notification (RFC 8098).
/// Both are to come from `<>`; a program that sends them on under an address of its own must not be sent a notice about
/// them, which it would send on as well. Reports of abuse (RFC 5965) and the like are mail as any other.
///
/// `content`: the message, or as much of its beginning as is at hand.
#[must_use]
pub fn is_report(content: &[u8]) -> bool {
    let typed = header::fields(content).filter(|field| field.is("Content-Type"));
    // Readers differ in which of two fields counts.
    typed.take(MAX_TYPES).any(|field| {
        let kind = ContentType::of(field);
        kind.media_type.as_deref() == Some("multipart/report")
            && kind.parameter("report-type").is_some_and(|given| {
                let is = |kind: &str| given.trim().eq_ignore_ascii_case(kind);
                is("delivery-status") || is("disposition-notification")
            })
    })
}

/// True for mail to the address in `From:` of our notices, also when an alias or the operator has sent it on: then
/// ORCPT tells where it was for (RFC 3461 section 5.2.7).
fn is_for_notices(recipient: &Recipient, ground: &Ground<'_>) -> bool {
    let original = || Mailbox::parse(&Typed::read(recipient.orcpt.as_deref()?).value, true).ok();
    is_at(&recipient.mailbox, ground) || original().is_some_and(|mailbox| is_at(&mailbox, ground))
}

/// Local parts are compared without case and detail: no two of ours differ by it.
fn is_at(mailbox: &Mailbox, ground: &Ground<'_>) -> bool {
    let Ok(from) = Mailbox::parse(ground.from, true) else { return false };
    let (local, own) = (mailbox.local_part(), from.local_part());
    let user = ground.delimiter.and_then(|delimiter| local.split_once(delimiter));
    let is_own = |local: &str| local.eq_ignore_ascii_case(own);
    (is_own(local) || user.is_some_and(|(user, _)| is_own(user)))
        && mailbox.domain_key() == from.domain_key()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsn::tests::sample;
    use posthaste_mail::ReversePath;
    use posthaste_mail::envelope::Notify;

    const FROM: &str = "MAILER-DAEMON@mx.example.org";
    const OURS: Ground<'_> = Ground { ours: true, from: FROM, delimiter: None, is_report: false };
    const STRANGER: Ground<'_> = Ground { ours: false, ..OURS };

    const SUCCESS: Notify = Notify { success: true, failure: false, delay: false };
    const FAILURE: Notify = Notify { success: false, failure: true, delay: false };
    const DELAY: Notify = Notify { success: false, failure: false, delay: true };
    const ALL: Notify = Notify { success: true, failure: true, delay: true };
    const NEVER: Notify = Notify { success: false, failure: false, delay: false };

    fn at(address: &str) -> Mailbox {
        Mailbox::parse(address, false).expect("valid")
    }

    fn message(notify: Option<Notify>) -> Envelope {
        let mut envelope = sample();
        envelope.reverse_path = ReversePath::Mailbox(at("from@example.org"));
        envelope.recipients[0].notify = notify;
        envelope
    }

    /// Kinds in the order of `Kind::ALL`: failed, delayed, delivered, relayed, all-clear.
    fn told(envelope: &Envelope, ground: &Ground<'_>) -> String {
        let mark = |(kind, _): &(Kind, _)| match owed(*kind, envelope, 0, ground) {
            Ok(()) => 'x',
            Err(_) => '.',
        };
        Kind::ALL.iter().map(mark).collect()
    }

    #[test]
    fn notify_and_the_sender_decide() {
        for (notify, ours, stranger) in [
            (None, "xx..x", "x...."),
            (Some(NEVER), ".....", "....."),
            (Some(FAILURE), "x....", "x...."),
            (Some(DELAY), ".x..x", "....."),
            (Some(SUCCESS), "..xx.", "..xx."),
            (Some(ALL), "xxxx.", "x.xx."),
        ] {
            let message = message(notify);
            assert_eq!(told(&message, &OURS), ours, "{notify:?}");
            assert_eq!(told(&message, &STRANGER), stranger, "{notify:?} of a stranger");
        }
    }

    #[test]
    fn the_reason_is_told() {
        let null = sample();
        let mut ours = message(Some(ALL));
        ours.source.kind = SourceKind::Notice;
        let mut answer = message(Some(ALL));
        answer.recipients[0].mailbox = at("mailer-daemon@MX.example.org");
        let report = Ground { is_report: true, ..OURS };
        for (kind, _) in Kind::ALL {
            assert_eq!(owed(kind, &null, 0, &OURS), Err(Withheld::NullPath));
            assert_eq!(owed(kind, &ours, 0, &OURS), Err(Withheld::NullPath));
            assert_eq!(owed(kind, &answer, 0, &OURS), Err(Withheld::AnswersNotice));
            assert_eq!(owed(kind, &message(Some(ALL)), 0, &report), Err(Withheld::AnswersNotice));
            assert_eq!(owed(kind, &message(Some(NEVER)), 0, &OURS), Err(Withheld::NotAsked));
            assert_eq!(owed(kind, &message(None), 7, &OURS), Err(Withheld::NotAsked));
        }
    }

    #[test]
    fn answers_to_notices_are_known_behind_aliases_details_and_acts() {
        let cut = Ground { delimiter: Some('+'), ..OURS };
        for (to, orcpt, ground, answers) in [
            ("mailer-daemon@MX.example.org", None, &OURS, true),
            ("admin@far.example", Some("rfc822;MAILER-DAEMON@mx.example.org"), &OURS, true),
            ("admin@far.example", Some("RFC822; mailer-daemon@mx.example.org"), &OURS, true),
            ("admin@far.example", Some("utf-8;MAILER-DAEMON@mx.example.org"), &OURS, true),
            ("admin@far.example", Some("rfc822;other@mx.example.org"), &OURS, false),
            ("admin@far.example", Some("x400;no address"), &OURS, false),
            ("mailer-daemon+1@mx.example.org", None, &OURS, false),
            ("mailer-daemon+1@mx.example.org", None, &cut, true),
            ("admin@far.example", Some("rfc822;MAILER-DAEMON+x+y@mx.example.org"), &cut, true),
            ("mailer@mx.example.org", None, &cut, false),
            ("mailer-daemon@example.org", None, &cut, false),
        ] {
            let mut message = message(None);
            message.recipients[0].mailbox = at(to);
            message.recipients[0].orcpt = orcpt.map(str::to_owned);
            let said = owed(Kind::Failed, &message, 0, ground);
            assert_eq!(said == Err(Withheld::AnswersNotice), answers, "{to} {orcpt:?}");
        }
    }

    #[test]
    fn ours_are_our_networks_users_programs_and_domains() {
        for (kind, from, expected) in [
            (SourceKind::Relay, "a@elsewhere.example", true),
            (SourceKind::Submission, "a@elsewhere.example", true),
            (SourceKind::Local, "a@elsewhere.example", true),
            (SourceKind::Inbound, "a@elsewhere.example", false),
            (SourceKind::Inbound, "a@Own.example", true),
            (SourceKind::Inbound, "a@sub.own.example", false),
        ] {
            let mut envelope = message(None);
            envelope.source.kind = kind;
            envelope.reverse_path = ReversePath::Mailbox(at(from));
            assert_eq!(is_ours(&envelope, |d| d == "own.example"), expected, "{kind:?} {from}");
        }
        let mut null = sample();
        null.source.kind = SourceKind::Inbound;
        assert!(!is_ours(&null, |_| true));
    }

    #[test]
    fn a_report_is_known_by_its_content() {
        for (content, expected) in [
            (
                "Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=x\r\n",
                true,
            ),
            (
                "content-type: Multipart/Report;\r\n\tboundary=\"a\"; Report-Type=\"Delivery-Status\"\r\n",
                true,
            ),
            ("Content-Type: multipart/report; report-type=disposition-notification\r\n", true),
            ("Content-Type: multipart/report; report-type=feedback-report\r\n", false),
            ("Content-Type: multipart/report; report-type=tlsrpt\r\n", false),
            ("Content-Type: multipart/report (fw); report-type=delivery-status\r\n", true),
            (
                "Content-Type: (a ; \\) (b)) multipart (c) / report (;) ; x=\";\"; report-type (d) = (e) \"delivery-\\status\" (f)\r\n",
                true,
            ),
            (
                "Content-Type: multipart/report; report-type*=us-ascii'en'delivery%2Dstatus\r\n",
                true,
            ),
            (
                "Content-Type: multipart/report; report-type*1=status; report-type*0=\"delivery-\"\r\n",
                true,
            ),
            (
                "Content-Type: multipart/report; report-type*0*=''delivery; report-type*1*=%2dstatus\r\n",
                true,
            ),
            (
                "Content-Type: text/plain\r\nContent-Type: multipart/report; report-type=delivery-status\r\n",
                true,
            ),
            ("Content-Type: multipart/report; x=\"; report-type=delivery-status\"\r\n", false),
            ("Content-Type: multipart/report; (report-type=delivery-status)\r\n", false),
            ("Content-Type: multipart/report\r\n", false),
            ("Content-Type: text/plain; report-type=delivery-status\r\n", false),
            (
                "Subject: x\r\n\r\nContent-Type: multipart/report; report-type=delivery-status\r\n",
                false,
            ),
            ("", false),
        ] {
            assert_eq!(is_report(content.as_bytes()), expected, "{content}");
        }
    }
}
