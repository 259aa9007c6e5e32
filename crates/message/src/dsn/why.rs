//! A fault in plain English: what happened, and who must act. The diagnosis will say it better (with evidence
//! from several attempts); until then this is the one place that words it.

use posthaste_evidence::{AnswerKind, ConnectFault, Doubt, Fault, Stage};
use posthaste_mail::Reply;

/// What happened and what to do, in sentences.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Why {
    /// What stood in the way.
    pub what: String,
    /// Who must act, and how.
    pub act: String,
}

/// Words a fault for the sender of a message.
#[must_use]
pub fn why(fault: &Fault) -> Why {
    let (what, act) = match fault {
        Fault::Reply { stage, reply } => (refusal(*stage, reply), after_refusal(*stage, reply)),
        Fault::DnsFailed { name, answer, .. } => (
            format!(
                "The domain name system did not tell where mail for {name} goes: {}.",
                dns(*answer)
            ),
            CANNOT_TELL.to_owned(),
        ),
        Fault::Doubted { name, doubt } => doubted(name, *doubt),
        Fault::NoSuchDomain { name } => {
            (format!("The domain {name} does not exist."), CHECK_ADDRESS.to_owned())
        }
        Fault::NoHosts { name } => {
            (format!("The domain {name} has no mail server."), CHECK_ADDRESS.to_owned())
        }
        Fault::NullMx { name } => {
            (format!("The domain {name} says that it accepts no mail."), CHECK_ADDRESS.to_owned())
        }
        Fault::LoopsBack { name } => (
            format!("Mail for {name} is directed to this server, which is not set up to take it."),
            OUR_ADMINISTRATOR.to_owned(),
        ),
        Fault::OnlyPrivateAddresses { name } => (
            format!(
                "The mail servers of {name} have only addresses that cannot be reached from here."
            ),
            RECEIVER_DNS.to_owned(),
        ),
        Fault::Connect(fault) => (connect(*fault).to_owned(), after_connect(*fault).to_owned()),
        Fault::Lost { .. } => (
            "The connection to the receiving mail server broke off.".to_owned(),
            CANNOT_TELL.to_owned(),
        ),
        Fault::TimedOut { .. } => {
            ("The receiving mail server stopped answering.".to_owned(), CANNOT_TELL.to_owned())
        }
        Fault::Gibberish { .. } => (
            "The receiving server answered with something that is not mail protocol.".to_owned(),
            RECEIVER_ADMINISTRATOR.to_owned(),
        ),
        Fault::TlsNotOffered | Fault::TlsRefused { .. } => (
            "This mail server only sends to the recipient's over an encrypted connection, which it does not offer.".to_owned(),
            EITHER_ADMINISTRATOR.to_owned(),
        ),
        Fault::Tls(_) => (
            "This mail server only sends to the recipient's over a secure connection, and none came about.".to_owned(),
            EITHER_ADMINISTRATOR.to_owned(),
        ),
        Fault::TlsWanted { .. } => (
            "The receiving mail server takes mail only over an encrypted connection, and none came about.".to_owned(),
            EITHER_ADMINISTRATOR.to_owned(),
        ),
        // Whose password it is, and which host, is nobody's business outside.
        Fault::Login { .. } => (
            "This mail server could not log in at the server through which it sends.".to_owned(),
            OUR_ADMINISTRATOR.to_owned(),
        ),
        rest => about_the_message(rest),
    };
    Why { what, act }
}

const CHECK_ADDRESS: &str =
    "Check the address for typing errors. If it is right, ask the recipient in another way.";
const RECEIVER_ADMINISTRATOR: &str = "The administrators of the receiving mail server must act. You can send the message again later.";
const RECEIVER_DNS: &str =
    "The administrators of the recipient's domain must act. You can send the message again later.";
const CANNOT_TELL: &str = "Whether the fault lies there, here or in between cannot be told from this. You can send \
     the message again later; if that fails too, ask the administrator of this mail server.";
const EITHER_ADMINISTRATOR: &str = "The administrators of the receiving mail server, or of this one, must act. You can send the message again later.";
const OUR_ADMINISTRATOR: &str = "The administrator of this mail server must act.";

fn doubted(name: &str, doubt: Doubt) -> (String, String) {
    let (what, act) = match doubt {
        Doubt::Unconfirmed => (
            format!(
                "The domain {name} seems not to exist, or to have no mail server; that could not be confirmed."
            ),
            CHECK_ADDRESS,
        ),
        Doubt::Contradicted | Doubt::Indiscriminate => (
            format!("This mail server's name servers give wrong answers about the domain {name}."),
            OUR_ADMINISTRATOR,
        ),
        Doubt::Vanished => (
            format!(
                "The domain {name}, to which mail was delivered before, is gone from the domain name system."
            ),
            RECEIVER_DNS,
        ),
        Doubt::HostsMissing => {
            (format!("The mail servers that the domain {name} names do not exist."), RECEIVER_DNS)
        }
    };
    (what, act.to_owned())
}

fn about_the_message(fault: &Fault) -> (String, String) {
    let (what, act) = match fault {
        Fault::NeedsSmtpUtf8 => (
            "An address has characters beyond ASCII, which the receiving mail server does not support.",
            "Use an address without such characters.",
        ),
        Fault::NeedsEightBit => (
            "The message has 8-bit characters, which the receiving mail server does not support.",
            "Send the message in a 7-bit encoding.",
        ),
        Fault::OverPeersSize { limit } => {
            return (
                format!(
                    "The message is larger than the receiving mail server takes ({} kilobytes).",
                    limit / 1000
                ),
                "Send less, or send attachments in another way.".to_owned(),
            );
        }
        Fault::RouteFails { text, .. } => {
            return (
                format!("The administrator of this mail server has closed this way: {text}"),
                "Do as it says, or ask the administrator of this mail server.".to_owned(),
            );
        }
        Fault::OverRouteSize { limit, .. } => {
            return (
                format!(
                    "The message is larger than this mail server sends to this recipient ({} kilobytes).",
                    limit / 1000
                ),
                "Send less, or send attachments in another way.".to_owned(),
            );
        }
        Fault::NoRoute => ("This mail server has no route to the recipient.", OUR_ADMINISTRATOR),
        Fault::StoreFault => {
            ("This mail server could not read the message again.", OUR_ADMINISTRATOR)
        }
        Fault::AttemptTooLong | Fault::Interrupted => {
            ("The delivery was interrupted on this mail server.", OUR_ADMINISTRATOR)
        }
        Fault::UnknownRecipient => ("Nobody has this address here.", CHECK_ADDRESS),
        Fault::Operator => (
            "The administrator of this mail server returned the message.",
            "Ask the administrator of this mail server why.",
        ),
        _ => ("The message could not be delivered in time.", OUR_ADMINISTRATOR),
    };
    (what.to_owned(), act.to_owned())
}

fn refusal(stage: Stage, reply: &Reply) -> String {
    let how = if reply.is_permanent() { "refused" } else { "did not take, for the time being," };
    let what = match stage {
        Stage::Rcpt => "this recipient",
        Stage::Mail => "the sender or the message",
        Stage::Data | Stage::Body | Stage::Eod => "the message",
        _ => "mail from this server",
    };
    format!("The receiving mail server {how} {what}.")
}

/// RFC 3463 section 3: X.1.1 and its kin are about the address, X.7.x about policy.
fn after_refusal(stage: Stage, reply: &Reply) -> String {
    let subject = reply.enhanced.map(|e| e.subject);
    let act = match (stage, subject) {
        (_, Some(1)) => CHECK_ADDRESS,
        (_, Some(2)) => {
            "The recipient's mailbox cannot take mail. Ask the recipient in another way."
        }
        (Stage::Rcpt, None) if reply.is_permanent() => CHECK_ADDRESS,
        _ => "Its answer below says why. If that does not help you, its administrators must.",
    };
    act.to_owned()
}

const fn connect(fault: ConnectFault) -> &'static str {
    match fault {
        ConnectFault::Refused | ConnectFault::Reset => {
            "The receiving mail server refuses connections."
        }
        ConnectFault::TimedOut => "The receiving mail server does not answer.",
        ConnectFault::HostUnreachable => "The receiving mail server cannot be reached.",
        _ => "This mail server could not open a connection.",
    }
}

const fn after_connect(fault: ConnectFault) -> &'static str {
    match fault {
        ConnectFault::Refused
        | ConnectFault::Reset
        | ConnectFault::TimedOut
        | ConnectFault::HostUnreachable => CANNOT_TELL,
        _ => OUR_ADMINISTRATOR,
    }
}

const fn dns(answer: AnswerKind) -> &'static str {
    match answer {
        AnswerKind::Timeout => "no answer in time",
        AnswerKind::ServFail => "its servers report a failure",
        AnswerKind::Refused => "its servers refuse to answer",
        AnswerKind::Bogus => "its signatures are wrong",
        _ => "its servers do not agree",
    }
}
