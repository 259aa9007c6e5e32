//! Every text of a notice by name, and the values that may, or must, stand in it: the table that languages are checked against.
//!
//! Not here: the texts (`languages/*.toml`), and reading them (`wordings`).

/// What a language file has to say under a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slot {
    /// Section and name in the file.
    pub(super) path: &'static str,
    pub(super) kind: SlotKind,
    /// The values it is given; those with a `?` in front may be left out of the text.
    pub(super) values: &'static [&'static str],
}

/// The shape of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SlotKind {
    /// One text.
    Plain,
    /// One text for each plural form, chosen by the value `n`.
    Counted,
    /// One text, which may be empty or left out.
    Optional,
}

macro_rules! texts {
    ($($key:ident = $path:literal $kind:ident [$($value:literal),*];)*) => {
        /// A text of a notice.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum Key { $($key,)* }

        impl Key {
            /// All, in the order of [`SLOTS`].
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$key,)*];
        }

        /// What every language has to say.
        pub(super) const SLOTS: &[Slot] = &[
            $(Slot { path: $path, kind: SlotKind::$kind, values: &[$($value),*] },)*
        ];
    };
}

texts! {
    // How times and numbers are written.
    When = "time.when" Plain ["day", "month", "year", "hour", "minute"];
    Days = "count.days" Counted ["?n"];
    Hours = "count.hours" Counted ["?n"];
    Minutes = "count.minutes" Counted ["?n"];
    SpanTwo = "span.two" Plain ["first", "second"];
    SpanThree = "span.three" Plain ["first", "second", "third"];
    SpanNone = "span.none" Plain [];
    SpanBrief = "span.brief" Plain [];

    // The header of a notice.
    SenderName = "head.sender-name" Plain [];
    SubjectOf = "head.subject-of" Plain ["notice", "subject"];
    SubjectFailed = "head.failed" Plain [];
    SubjectDelayed = "head.delayed" Plain [];
    SubjectDelivered = "head.delivered" Plain [];
    SubjectRelayed = "head.relayed" Plain [];
    SubjectAllClear = "head.all-clear" Plain [];

    // What happened, in one sentence; `n` counts the recipients.
    LeadFailed = "lead.failed" Counted ["?n"];
    LeadDelayed = "lead.delayed" Counted ["?n"];
    LeadDelivered = "lead.delivered" Counted ["?n"];
    LeadRelayed = "lead.relayed" Counted ["?n"];
    LeadAllClear = "lead.all-clear" Counted ["?n"];
    Behind = "lead.behind" Plain ["address", "original"];
    MoreRecipients = "lead.more-recipients" Counted ["?n"];

    // Which message.
    Subject = "message.subject" Plain [];
    NoSubject = "message.no-subject" Plain [];
    Sent = "message.sent" Plain [];

    // What that means.
    Warning = "explain.warning" Plain [];
    KeepsTrying = "explain.keeps-trying" Plain ["span"];
    HeldUntil = "explain.held-until" Plain ["span"];
    ToldAtEnd = "explain.told-at-end" Plain [];
    DeliveredMeans = "explain.delivered" Plain [];
    RelayedMeans = "explain.relayed" Plain [];
    AllClearMeans = "explain.all-clear" Plain [];
    NoFurther = "explain.no-further" Plain [];
    Expired = "explain.expired" Counted ["?n", "span"];
    NeverTried = "explain.never-tried" Plain ["span"];
    LongestMost = "explain.longest-most" Plain ["span"];
    LongestSome = "explain.longest-some" Plain ["span"];
    LastObstacle = "explain.last-obstacle" Plain [];
    InTheReport = "explain.in-the-report" Plain [];
    WholeAttached = "explain.whole-attached" Plain [];
    HeaderAttached = "explain.header-attached" Plain [];
    WrittenBy = "explain.written-by" Plain ["hostname"];
    Closing = "explain.closing" Optional ["?hostname"];

    // Words in front of something.
    LabelWhy = "label.why" Plain [];
    LabelAct = "label.act" Plain [];
    LabelAnswer = "label.answer" Plain [];
    LabelRemark = "label.remark" Plain [];
    LabelFacts = "label.facts" Plain [];
    LabelServer = "label.generating-server" Plain [];
    LabelQueueId = "label.queue-id" Plain [];
    LabelMessageId = "label.message-id" Plain [];
    LabelEnvelopeId = "label.envelope-id" Plain [];
    LabelArrived = "label.arrived" Plain [];
    LabelOriginal = "label.original-recipient" Plain [];
    LabelRecipient = "label.recipient" Plain [];
    LabelStatus = "label.status" Plain [];
    LabelReceiving = "label.receiving-server" Plain [];
    LabelAttempts = "label.attempts" Plain [];
    LabelLastAttempt = "label.last-attempt" Plain [];
    LabelLastReply = "label.last-reply" Plain [];
    LabelExpires = "label.expires" Plain [];
    LabelHistory = "label.history" Plain [];
    LabelHeaders = "label.headers" Plain [];
    NoServer = "label.no-server" Plain [];

    // The course of the delivery, one line for each obstacle.
    Once = "history.once" Plain ["at", "what"];
    Span = "history.span" Plain ["from", "to", "what"];
    SpanCounted = "history.counted" Counted ["?n", "from", "to", "what"];
    LeftOut = "history.left-out" Counted ["?n"];

    // What stood in the way.
    RefusedServer = "why.refused-server" Plain [];
    RefusedSender = "why.refused-sender" Plain [];
    RefusedRecipient = "why.refused-recipient" Plain [];
    RefusedMessage = "why.refused-message" Plain [];
    LaterServer = "why.later-server" Plain [];
    LaterSender = "why.later-sender" Plain [];
    LaterRecipient = "why.later-recipient" Plain [];
    LaterMessage = "why.later-message" Plain [];
    DnsTimeout = "why.dns-timeout" Plain ["name"];
    DnsUnreachable = "why.dns-unreachable" Plain ["name"];
    DnsServFail = "why.dns-servfail" Plain ["name"];
    DnsRefused = "why.dns-refused" Plain ["name"];
    DnsBogus = "why.dns-bogus" Plain ["name"];
    DnsUnclear = "why.dns-unclear" Plain ["name"];
    DomainUnconfirmed = "why.domain-unconfirmed" Plain ["name"];
    DnsContradicted = "why.dns-contradicted" Plain ["name"];
    DomainVanished = "why.domain-vanished" Plain ["name"];
    HostsMissing = "why.hosts-missing" Plain ["name"];
    NoSuchDomain = "why.no-such-domain" Plain ["name"];
    NoHosts = "why.no-hosts" Plain ["name"];
    NullMx = "why.null-mx" Plain ["name"];
    LoopsBack = "why.loops-back" Plain ["name"];
    OnlyPrivate = "why.only-private-addresses" Plain ["name"];
    ConnectRefused = "why.connect-refused" Plain [];
    ConnectTimeout = "why.connect-timeout" Plain [];
    ConnectUnreachable = "why.connect-unreachable" Plain [];
    ConnectLocal = "why.connect-local" Plain [];
    Lost = "why.connection-lost" Plain [];
    TimedOut = "why.no-answer" Plain [];
    Gibberish = "why.not-mail-protocol" Plain [];
    TlsNotOffered = "why.tls-not-offered" Plain [];
    TlsRefused = "why.tls-refused" Plain [];
    TlsFailed = "why.tls-failed" Plain [];
    TlsWanted = "why.tls-wanted" Plain [];
    Login = "why.login" Plain [];
    NeedsSmtpUtf8 = "why.needs-smtputf8" Plain [];
    NeedsEightBit = "why.needs-8bit" Plain [];
    OverPeersSize = "why.over-peers-size" Plain ["kilobytes"];
    OverRouteSize = "why.over-route-size" Plain ["kilobytes"];
    RouteFails = "why.route-fails" Plain ["text"];
    NoRoute = "why.no-route" Plain [];
    StoreFault = "why.store-fault" Plain [];
    Interrupted = "why.interrupted" Plain [];
    UnknownRecipient = "why.unknown-recipient" Plain [];
    Operator = "why.operator" Plain [];
    TimeOver = "why.time-over" Plain [];
    Held = "why.held" Plain [];
    Poison = "why.poison" Plain [];
    Waiting = "why.waiting" Plain [];

    // What the sender can do, and who must act: when it has failed, and while it is still tried.
    ActAddress = "act.check-address" Plain [];
    ActBehind = "act.behind-address" Plain ["original"];
    ActMailbox = "act.recipients-mailbox" Plain [];
    ActReceiver = "act.receivers-administrators" Plain [];
    ActReceiverDns = "act.domains-administrators" Plain [];
    ActUnclear = "act.cannot-tell" Plain [];
    ActEither = "act.either-administrators" Plain [];
    ActOurs = "act.our-administrators" Plain [];
    ActAnswer = "act.read-answer" Plain [];
    ActPlainAddress = "act.plain-address" Plain [];
    ActSevenBit = "act.seven-bit" Plain [];
    ActSmaller = "act.send-less" Plain [];
    ActAsTold = "act.as-told" Plain [];
    ActAskOurs = "act.ask-ours" Plain [];
    ActPatience = "act.patience" Plain [];
    WaitAddress = "wait.check-address" Plain [];
    WaitBehind = "wait.behind-address" Plain ["original"];
    WaitMailbox = "wait.recipients-mailbox" Plain [];
    WaitReceiver = "wait.receivers-administrators" Plain [];
    WaitReceiverDns = "wait.domains-administrators" Plain [];
    WaitUnclear = "wait.cannot-tell" Plain [];
    WaitEither = "wait.either-administrators" Plain [];
    WaitOurs = "wait.our-administrators" Plain [];
    WaitAnswer = "wait.read-answer" Plain [];
    WaitPlainAddress = "wait.plain-address" Plain [];
    WaitSevenBit = "wait.seven-bit" Plain [];
    WaitSmaller = "wait.send-less" Plain [];
    WaitAsTold = "wait.as-told" Plain [];
    WaitAskOurs = "wait.ask-ours" Plain [];
    WaitPatience = "wait.patience" Plain [];
}

impl Key {
    pub(super) const fn slot(self) -> &'static Slot {
        &SLOTS[self as usize]
    }

    /// The name in its section, as [`super::Why`] gives it to other programs.
    pub(super) fn name(self) -> &'static str {
        let path = self.slot().path;
        path.split_once('.').map_or(path, |(_, name)| name)
    }
}

impl Slot {
    /// The values, and whether each must stand in the text.
    pub(super) fn values(&self) -> impl Iterator<Item = (&'static str, bool)> {
        self.values.iter().map(|value| match value.strip_prefix('?') {
            Some(value) => (value, false),
            None => (*value, true),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once_and_in_a_section() {
        let mut paths: Vec<_> = SLOTS.iter().map(|slot| slot.path).collect();
        assert!(paths.iter().all(|path| path.split('.').count() == 2));
        paths.sort_unstable();
        assert!(paths.windows(2).all(|two| two[0] != two[1]));
        for (i, key) in Key::ALL.iter().enumerate() {
            assert_eq!(*key as usize, i);
        }
        assert_eq!(Key::NoSuchDomain.name(), "no-such-domain");
    }
}
