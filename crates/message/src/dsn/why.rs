//! A fault as the sender is told it: what stood in the way, and who must act. Data; the languages word it.
//!
//! The diagnosis will say it better, with evidence from several attempts; until then [`why`] is the one function that
//! judges, from the outcome of an attempt. It claims no more than that one outcome shows.

use super::keys::Key;
use super::wordings::Wordings;
use posthaste_evidence::{AnswerKind, ConnectFault, Doubt, Fault, Stage, WaitReason};
use posthaste_mail::Reply;

/// What stood in the way, and who must act.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Why {
    what: Key,
    act: Act,
    values: Vec<(&'static str, String)>,
}

/// Who must act.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// We: the administrators of this mail server.
    Us,
    /// The person who wrote.
    Sender,
    /// The person it is for.
    Recipient,
    /// The administrators of the receiving mail server.
    RecipientAdmin,
    /// The administrators of the recipient's domain.
    RecipientDns,
    /// The evidence does not tell.
    Unknown,
}

/// What the sender can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    CheckAddress,
    Mailbox,
    Receiver,
    ReceiverDns,
    CannotTell,
    Either,
    Ours,
    ReadAnswer,
    PlainAddress,
    SevenBit,
    SendLess,
    AsTold,
    AskOurs,
    Patience,
}

/// What a fault means to the sender of a message.
#[must_use]
pub fn why(fault: &Fault) -> Why {
    match fault {
        Fault::Reply { stage, reply } => {
            Why::plain(refusal(*stage, reply), after_refusal(*stage, reply))
        }
        Fault::DnsFailed { name, answer, .. } => Why::about(dns(*answer), name, Act::CannotTell),
        Fault::Doubted { name, doubt } => doubted(name, *doubt),
        Fault::NoSuchDomain { name } => Why::about(Key::NoSuchDomain, name, Act::CheckAddress),
        Fault::NoHosts { name } => Why::about(Key::NoHosts, name, Act::CheckAddress),
        Fault::NullMx { name } => Why::about(Key::NullMx, name, Act::CheckAddress),
        // Either its MX records are wrong, or our list of domains.
        Fault::LoopsBack { name } => Why::about(Key::LoopsBack, name, Act::CannotTell),
        Fault::OnlyPrivateAddresses { name } => {
            Why::about(Key::OnlyPrivate, name, Act::ReceiverDns)
        }
        Fault::Connect(fault) => connect(*fault),
        Fault::Lost { .. } => Why::plain(Key::Lost, Act::CannotTell),
        Fault::TimedOut { .. } => Why::plain(Key::TimedOut, Act::CannotTell),
        Fault::Gibberish { .. } => Why::plain(Key::Gibberish, Act::CannotTell),
        Fault::TlsNotOffered => Why::plain(Key::TlsNotOffered, Act::Either),
        Fault::TlsRefused { .. } => Why::plain(Key::TlsRefused, Act::Either),
        Fault::Tls(_) => Why::plain(Key::TlsFailed, Act::Either),
        Fault::TlsWanted { .. } => Why::plain(Key::TlsWanted, Act::Either),
        // Whose password it is, and which host, is nobody's business outside.
        Fault::Login { .. } => Why::plain(Key::Login, Act::Ours),
        Fault::OverPeersSize { limit } => Why::over(Key::OverPeersSize, *limit),
        Fault::OverRouteSize { limit, .. } => Why::over(Key::OverRouteSize, *limit),
        Fault::RouteFails { text, .. } => {
            let values = vec![("text", text.clone())];
            Why { what: Key::RouteFails, act: Act::AsTold, values }
        }
        rest => about_the_message(rest),
    }
}

/// What it means that a recipient waits though no attempt stands in its way.
#[must_use]
pub fn waiting(reason: WaitReason) -> Why {
    match reason {
        WaitReason::Held | WaitReason::DestinationHeld | WaitReason::RouteHeld => {
            Why::plain(Key::Held, Act::AskOurs)
        }
        WaitReason::Poison => Why::plain(Key::Poison, Act::Ours),
        WaitReason::NoRoute => Why::plain(Key::NoRoute, Act::Ours),
        _ => Why::plain(Key::Waiting, Act::Patience),
    }
}

impl Why {
    /// The name of the obstacle, for programs: `connect-timeout`.
    #[must_use]
    pub fn key(&self) -> &'static str {
        self.what.name()
    }

    /// Who must act.
    #[must_use]
    pub const fn owner(&self) -> Owner {
        match self.act {
            Act::CheckAddress | Act::PlainAddress | Act::SevenBit | Act::SendLess => Owner::Sender,
            Act::Mailbox => Owner::Recipient,
            Act::Receiver => Owner::RecipientAdmin,
            Act::ReceiverDns => Owner::RecipientDns,
            Act::CannotTell | Act::Either | Act::ReadAnswer => Owner::Unknown,
            Act::Ours | Act::AsTold | Act::AskOurs | Act::Patience => Owner::Us,
        }
    }

    /// What stood in the way, in English: for fields that programs read.
    #[must_use]
    pub fn english(&self) -> String {
        Wordings::english().fill(self.what, &self.values())
    }

    pub(super) const fn what(&self) -> Key {
        self.what
    }

    pub(super) fn values(&self) -> Vec<(&'static str, &str)> {
        self.values.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// What to do when it has failed, or, while it is still tried, what to do until then.
    pub(super) const fn act(&self, still_tried: bool) -> Key {
        let (failed, tried) = match self.act {
            Act::CheckAddress => (Key::ActAddress, Key::WaitAddress),
            Act::Mailbox => (Key::ActMailbox, Key::WaitMailbox),
            Act::Receiver => (Key::ActReceiver, Key::WaitReceiver),
            Act::ReceiverDns => (Key::ActReceiverDns, Key::WaitReceiverDns),
            Act::CannotTell => (Key::ActUnclear, Key::WaitUnclear),
            Act::Either => (Key::ActEither, Key::WaitEither),
            Act::Ours => (Key::ActOurs, Key::WaitOurs),
            Act::ReadAnswer => (Key::ActAnswer, Key::WaitAnswer),
            Act::PlainAddress => (Key::ActPlainAddress, Key::WaitPlainAddress),
            Act::SevenBit => (Key::ActSevenBit, Key::WaitSevenBit),
            Act::SendLess => (Key::ActSmaller, Key::WaitSmaller),
            Act::AsTold => (Key::ActAsTold, Key::WaitAsTold),
            Act::AskOurs => (Key::ActAskOurs, Key::WaitAskOurs),
            Act::Patience => (Key::ActPatience, Key::WaitPatience),
        };
        if still_tried { tried } else { failed }
    }

    /// The sender is asked to look at the address.
    pub(super) const fn doubts_address(&self) -> bool {
        matches!(self.act, Act::CheckAddress)
    }

    const fn plain(what: Key, act: Act) -> Self {
        Self { what, act, values: Vec::new() }
    }

    fn about(what: Key, name: &str, act: Act) -> Self {
        Self { what, act, values: vec![("name", name.to_owned())] }
    }

    fn over(what: Key, limit: u64) -> Self {
        Self { what, act: Act::SendLess, values: vec![("kilobytes", (limit / 1000).to_string())] }
    }
}

fn doubted(name: &str, doubt: Doubt) -> Why {
    let (what, act) = match doubt {
        Doubt::Unconfirmed => (Key::DomainUnconfirmed, Act::CheckAddress),
        Doubt::Contradicted | Doubt::Indiscriminate => (Key::DnsContradicted, Act::Ours),
        Doubt::Vanished => (Key::DomainVanished, Act::ReceiverDns),
        Doubt::HostsMissing => (Key::HostsMissing, Act::ReceiverDns),
    };
    Why::about(what, name, act)
}

const fn about_the_message(fault: &Fault) -> Why {
    let (what, act) = match fault {
        Fault::NeedsSmtpUtf8 => (Key::NeedsSmtpUtf8, Act::PlainAddress),
        Fault::NeedsEightBit => (Key::NeedsEightBit, Act::SevenBit),
        Fault::NoRoute => (Key::NoRoute, Act::Ours),
        Fault::StoreFault => (Key::StoreFault, Act::Ours),
        // A slow peer is as likely as we.
        Fault::AttemptTooLong => (Key::Interrupted, Act::CannotTell),
        Fault::Interrupted => (Key::Interrupted, Act::Patience),
        Fault::UnknownRecipient => (Key::UnknownRecipient, Act::CheckAddress),
        Fault::Operator => (Key::Operator, Act::AskOurs),
        _ => (Key::TimeOver, Act::Patience),
    };
    Why::plain(what, act)
}

const fn refusal(stage: Stage, reply: &Reply) -> Key {
    let (refused, later) = match stage {
        Stage::Rcpt => (Key::RefusedRecipient, Key::LaterRecipient),
        Stage::Mail => (Key::RefusedSender, Key::LaterSender),
        Stage::Data | Stage::Body | Stage::Eod => (Key::RefusedMessage, Key::LaterMessage),
        _ => (Key::RefusedServer, Key::LaterServer),
    };
    if reply.is_permanent() { refused } else { later }
}

/// RFC 3463 section 3: X.1.1 and its kin are about the recipient's address, X.2.x about the mailbox. X.1.7 and X.1.8 are
/// about the sender's, X.3.1 and X.3.5 say that its own system is full or set up wrongly, X.3.4 that the message is too large.
fn after_refusal(stage: Stage, reply: &Reply) -> Act {
    let about = reply.enhanced.map(|status| (status.subject, status.detail));
    match (stage, about) {
        (Stage::Rcpt | Stage::Data | Stage::Body | Stage::Eod, Some((1, detail)))
            if !matches!(detail, 7 | 8) =>
        {
            Act::CheckAddress
        }
        (Stage::Rcpt | Stage::Data | Stage::Body | Stage::Eod, Some((2, _))) => Act::Mailbox,
        (_, Some((3, 1 | 5))) => Act::Receiver,
        (_, Some((3, 4))) => Act::SendLess,
        _ => Act::ReadAnswer,
    }
}

const fn connect(fault: ConnectFault) -> Why {
    match fault {
        ConnectFault::Refused | ConnectFault::Reset => {
            Why::plain(Key::ConnectRefused, Act::CannotTell)
        }
        ConnectFault::TimedOut => Why::plain(Key::ConnectTimeout, Act::CannotTell),
        // A router far away may say that the network is unreachable, as this machine does.
        ConnectFault::HostUnreachable | ConnectFault::NetworkUnreachable => {
            Why::plain(Key::ConnectUnreachable, Act::CannotTell)
        }
        ConnectFault::Forbidden
        | ConnectFault::SourceUnavailable
        | ConnectFault::LocalResources => Why::plain(Key::ConnectLocal, Act::Ours),
        ConnectFault::Other(_) => Why::plain(Key::ConnectLocal, Act::CannotTell),
    }
}

const fn dns(answer: AnswerKind) -> Key {
    match answer {
        AnswerKind::Timeout => Key::DnsTimeout,
        AnswerKind::Unreachable => Key::DnsUnreachable,
        AnswerKind::ServFail => Key::DnsServFail,
        AnswerKind::Refused => Key::DnsRefused,
        AnswerKind::Bogus => Key::DnsBogus,
        _ => Key::DnsUnclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_evidence::{LoginFault, RecordType};
    use posthaste_mail::EnhancedStatus;

    #[test]
    fn one_outcome_is_not_made_more_of_than_it_is() {
        let said = |stage, code, status: Option<(u8, u16, u16)>| Fault::Reply {
            stage,
            reply: Reply::new(code, status.map(|(c, s, d)| EnhancedStatus::new(c, s, d)), "x"),
        };
        let dns = |answer| {
            let name = "x.example".into();
            Fault::DnsFailed { name, kind: RecordType::Mx, answer }
        };
        for (fault, key, owner) in [
            (said(Stage::Rcpt, 550, Some((5, 1, 1))), "refused-recipient", Owner::Sender),
            (said(Stage::Rcpt, 550, Some((5, 7, 1))), "refused-recipient", Owner::Unknown),
            (said(Stage::Rcpt, 550, None), "refused-recipient", Owner::Unknown),
            (said(Stage::Rcpt, 452, Some((4, 2, 2))), "later-recipient", Owner::Recipient),
            (said(Stage::Rcpt, 452, Some((4, 3, 1))), "later-recipient", Owner::RecipientAdmin),
            (said(Stage::Mail, 552, Some((5, 3, 4))), "refused-sender", Owner::Sender),
            (said(Stage::Mail, 550, Some((5, 1, 8))), "refused-sender", Owner::Unknown),
            (said(Stage::Banner, 554, None), "refused-server", Owner::Unknown),
            (said(Stage::Eod, 451, None), "later-message", Owner::Unknown),
            (dns(AnswerKind::Unreachable), "dns-unreachable", Owner::Unknown),
            (dns(AnswerKind::Timeout), "dns-timeout", Owner::Unknown),
            (dns(AnswerKind::Malformed), "dns-unclear", Owner::Unknown),
            (Fault::Connect(ConnectFault::TimedOut), "connect-timeout", Owner::Unknown),
            (Fault::Connect(ConnectFault::Forbidden), "connect-local", Owner::Us),
            (
                Fault::Connect(ConnectFault::NetworkUnreachable),
                "connect-unreachable",
                Owner::Unknown,
            ),
            (Fault::Connect(ConnectFault::Other(5)), "connect-local", Owner::Unknown),
            (Fault::LoopsBack { name: "x.example".into() }, "loops-back", Owner::Unknown),
            (Fault::AttemptTooLong, "interrupted", Owner::Unknown),
            (Fault::NullMx { name: "x.example".into() }, "null-mx", Owner::Sender),
            (Fault::Expired, "time-over", Owner::Us),
        ] {
            let why = why(&fault);
            assert_eq!((why.key(), why.owner()), (key, owner), "{fault:?}");
        }
        let null = why(&Fault::NullMx { name: "x.example".into() });
        assert_eq!(null.english(), "The domain x.example states that it accepts no mail.");
    }

    fn every_fault() -> Vec<Fault> {
        let name = || "x.example".to_owned();
        let reply = || Reply::new(450, None, "x");
        let answers = [
            AnswerKind::Timeout,
            AnswerKind::Unreachable,
            AnswerKind::ServFail,
            AnswerKind::Refused,
            AnswerKind::Bogus,
            AnswerKind::Malformed,
        ];
        let dns = |answer| Fault::DnsFailed { name: name(), kind: RecordType::Mx, answer };
        let mut all: Vec<_> = answers.into_iter().map(dns).collect();
        all.extend(Doubt::ALL.map(|(doubt, _)| Fault::Doubted { name: name(), doubt }));
        for stage in [Stage::Banner, Stage::Mail, Stage::Rcpt, Stage::Eod] {
            let refused = Reply::new(550, None, "x");
            all.extend([reply(), refused].map(|reply| Fault::Reply { stage, reply }));
        }
        let connect = [
            ConnectFault::Refused,
            ConnectFault::TimedOut,
            ConnectFault::HostUnreachable,
            ConnectFault::Forbidden,
        ];
        all.extend(connect.map(Fault::Connect));
        let (status, text) = (EnhancedStatus::new(5, 7, 0), "closed".to_owned());
        let stage = Stage::Eod;
        all.extend([
            Fault::NoSuchDomain { name: name() },
            Fault::NoHosts { name: name() },
            Fault::NullMx { name: name() },
            Fault::LoopsBack { name: name() },
            Fault::OnlyPrivateAddresses { name: name() },
            Fault::Lost { stage },
            Fault::TimedOut { stage, after: std::time::Duration::from_secs(600) },
            Fault::Gibberish { stage },
            Fault::NeedsSmtpUtf8,
            Fault::NeedsEightBit,
            Fault::OverPeersSize { limit: 10_000_000 },
            Fault::OverRouteSize { route: name(), limit: 10_000_000 },
            Fault::RouteFails { route: name(), status, text },
            Fault::RouteDiscards { route: name() },
            Fault::NoRoute,
            Fault::StoreFault,
            Fault::AttemptTooLong,
            Fault::Interrupted,
            Fault::Expired,
            Fault::Operator,
            Fault::UnknownRecipient,
            Fault::TlsNotOffered,
            Fault::TlsRefused { reply: reply() },
            Fault::TlsWanted { stage, reply: reply() },
            Fault::Login { route: name(), fault: LoginFault::NeedsTls },
        ]);
        all
    }

    /// A text asks for no value that its fault does not give.
    #[test]
    fn every_obstacle_has_the_values_of_its_text() {
        let waits = WaitReason::ALL.iter().map(|(reason, _, _)| waiting(*reason));
        for why in every_fault().iter().map(why).chain(waits) {
            let mut given: Vec<_> = why.values.iter().map(|(name, _)| *name).collect();
            let mut wanted: Vec<_> = why.what.slot().values().map(|(name, _)| name).collect();
            given.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(given, wanted, "{why:?}");
            assert!(why.what.slot().path.starts_with("why."), "{why:?}");
            assert!(why.act(false).slot().path.starts_with("act."), "{why:?}");
            assert!(why.act(true).slot().path.starts_with("wait."), "{why:?}");
            assert_eq!(why.act(true).name(), why.act(false).name());
        }
    }
}
