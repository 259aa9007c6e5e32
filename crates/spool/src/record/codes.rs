//! The numbers that stand for closed lists. A number, once given, keeps its meaning for ever.

use super::wire::{Damaged, unzigzag, zigzag};
use crate::decision::Stage as Phase;
use posthaste_evidence::observation::Choice;
use posthaste_evidence::{
    Act, AnswerKind, ConnectFault, Doubt, Edns, Effect, NoticeKind, Outcome, RecordType, Stage,
    TlsLevel, TlsOrigin, TlsVersion, Transport, Untrusted, Withheld,
};
use posthaste_mail::envelope::Ret;
use posthaste_mail::{BodyType, Mechanism, SourceKind};
use posthaste_queue::belief::Finding;
use posthaste_queue::life::Life;

/// A value of a closed list.
pub(super) trait Code: Sized {
    fn code(&self) -> u64;
    fn from_code(code: u64) -> Result<Self, Damaged>;
}

macro_rules! codes {
    ($type:ident: $($variant:ident = $code:literal),+ $(,)?) => {
        impl Code for $type {
            fn code(&self) -> u64 {
                match self { $(Self::$variant => $code),+ }
            }
            fn from_code(code: u64) -> Result<Self, Damaged> {
                match code {
                    $($code => Ok(Self::$variant),)+
                    _ => Err(Damaged(concat!("an unknown ", stringify!($type)))),
                }
            }
        }
    };
}

codes!(Life: Queued = 0, Held = 1, Poison = 2, Delivered = 3, Failed = 4, Expired = 5, Removed = 6, Refused = 7,
    Failing = 8, Expiring = 9);
codes!(NoticeKind: Failed = 1, Delayed = 2, Delivered = 3, Relayed = 4, AllClear = 5);
codes!(Withheld: NullPath = 1, NotAsked = 2, StrangersRate = 3, AnswersNotice = 4);
codes!(BodyType: SevenBit = 0, EightBitMime = 1);
codes!(Ret: Full = 1, Hdrs = 2);
codes!(SourceKind: Relay = 0, Inbound = 1, Local = 2, Notice = 3, Submission = 4);
codes!(Act: Retry = 1, Hold = 2, Release = 3, Remove = 4, Bounce = 5, Redirect = 6);
codes!(Phase: Going = 1, Done = 2, Cancelled = 3, Stopped = 4);
codes!(Outcome: Delivered = 0, Deferred = 1, Failed = 2, Indeterminate = 3, Discarded = 4);
codes!(Effect: None = 0, Blocking = 1, Degrading = 2, Cosmetic = 3);
codes!(Transport: Udp = 0, Tcp = 1, Cache = 2, Tls = 3, Hosts = 4);
codes!(
    Untrusted: WrongName = 1, Expired = 2, NotYetValid = 3, UnknownIssuer = 4, Revoked = 5,
    BadSignature = 6, WrongUse = 7, NotPinned = 8, Unreadable = 9, NoRoots = 10, Other = 11,
);
codes!(TlsVersion: Tls12 = 1, Tls13 = 2);
codes!(TlsLevel: None = 1, Opportunistic = 2, Require = 3, Verify = 4, Pinned = 5);
codes!(TlsOrigin: Route = 1, Sts = 2, Dane = 3);
codes!(Mechanism: ScramSha256 = 1, Plain = 2, Login = 3, XOAuth2 = 4);
codes!(Edns: Offered = 0, LeftOut = 1, LeftOutToSee = 2);
codes!(RecordType: A = 1, Aaaa = 2, Mx = 3, Cname = 4, Ptr = 5, Txt = 6, Soa = 7, Ns = 8, Tlsa = 9, Ds = 10,
    Dnskey = 11, Rrsig = 12);
codes!(
    Stage: Route = 1, DnsMx = 2, DnsAddr = 3, DnsPtr = 4, DnsTxt = 5, DnsTlsa = 6, StsFetch = 7,
    Connect = 8, Banner = 9, Ehlo = 10, Starttls = 11, Tls = 12, Auth = 13, Mail = 14, Rcpt = 15,
    Data = 16, Body = 17, Eod = 18, Quit = 19, Local = 20, Lhlo = 21,
);
codes!(
    Choice: ImplicitMx = 1, NullMx = 2, DroppedOurselves = 3, PrivateAddress = 4, HostRestsNow = 5,
    FamilyRestsNow = 6, FellBackToHelo = 7, SentEightBitAsIs = 8, OverPeersSize = 9,
    NoSmtpUtf8 = 10, FromCache = 11, FoldedLongLines = 12, LeftOut = 13, FamilyUnused = 14,
    AddressForExchanger = 15, Unconfirmed = 16, Contradicted = 17, Indiscriminate = 18,
    Vanished = 19, HostsMissing = 20, Invented = 21, StartTlsNotOffered = 22, StartTlsRefused = 23,
    ClearAfterBrokenTls = 24, TlsRestsNow = 25,
);
codes!(Doubt: Unconfirmed = 1, Contradicted = 2, Indiscriminate = 3, Vanished = 4, HostsMissing = 5);
codes!(Finding: Domain = 1, Records = 2, Targets = 3);

/// Response codes and error numbers without a name of their own begin here.
const OTHERS: u64 = 256;

impl Code for AnswerKind {
    fn code(&self) -> u64 {
        match self {
            Self::Answer => 0,
            Self::NoData => 1,
            Self::NxDomain => 2,
            Self::ServFail => 3,
            Self::Refused => 4,
            Self::NotImp => 5,
            Self::FormErr => 6,
            Self::Lame => 7,
            Self::Timeout => 8,
            Self::Unreachable => 9,
            Self::Malformed => 10,
            Self::Bogus => 11,
            Self::OtherRcode(rcode) => OTHERS + u64::from(*rcode),
        }
    }

    fn from_code(code: u64) -> Result<Self, Damaged> {
        Ok(match code {
            0 => Self::Answer,
            1 => Self::NoData,
            2 => Self::NxDomain,
            3 => Self::ServFail,
            4 => Self::Refused,
            5 => Self::NotImp,
            6 => Self::FormErr,
            7 => Self::Lame,
            8 => Self::Timeout,
            9 => Self::Unreachable,
            10 => Self::Malformed,
            11 => Self::Bogus,
            _ => Self::OtherRcode(other(code)?),
        })
    }
}

impl Code for ConnectFault {
    fn code(&self) -> u64 {
        match self {
            Self::Refused => 0,
            Self::TimedOut => 1,
            Self::HostUnreachable => 2,
            Self::NetworkUnreachable => 3,
            Self::Forbidden => 4,
            Self::SourceUnavailable => 5,
            Self::LocalResources => 6,
            Self::Reset => 7,
            Self::Other(number) => OTHERS + zigzag(i64::from(*number)),
        }
    }

    fn from_code(code: u64) -> Result<Self, Damaged> {
        Ok(match code {
            0 => Self::Refused,
            1 => Self::TimedOut,
            2 => Self::HostUnreachable,
            3 => Self::NetworkUnreachable,
            4 => Self::Forbidden,
            5 => Self::SourceUnavailable,
            6 => Self::LocalResources,
            7 => Self::Reset,
            _ => {
                let number = unzigzag(other(code)?);
                Self::Other(i32::try_from(number).map_err(|_| Damaged("an unknown ConnectFault"))?)
            }
        })
    }
}

fn other<T: TryFrom<u64>>(code: u64) -> Result<T, Damaged> {
    let number = code.checked_sub(OTHERS).ok_or(Damaged("an unknown number"))?;
    T::try_from(number).map_err(|_| Damaged("a number is out of range"))
}
