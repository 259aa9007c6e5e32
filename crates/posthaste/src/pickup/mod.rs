//! The pickup folder: a message in each file, its envelope in fields in front, as Exchange's replay folder has them.
//!
//! ```text
//! X-Sender: <joe@example.org> RET=HDRS ENVID=7
//! X-Receiver: <ann@example.net> NOTIFY=NEVER
//! X-EndOfInjectedXHeaders: 1
//! From: ...
//! ```
//! The parameters are those of MAIL and RCPT (RFC 5321, 3461). A file that does not begin with such fields goes by its
//! header: from the first address of `From:` to all of `To:`, `Cc:` and `Bcc:`. Rooms: `leave` writes such files,
//! `letter` reads them. Not here: when the daemon takes them up (`daemon::pickup`).

pub(crate) mod leave;
pub(crate) mod letter;

use posthaste_mail::envelope::Ret;
use posthaste_mail::{Recipient, ReversePath};
use posthaste_smtp::client::{Capabilities, Transaction};

/// What the names of messages end in; other files are not looked at.
pub(crate) const SUFFIX: &str = ".eml";
/// Ends the envelope: what follows is the message's, whatever it is called.
const END: &str = "X-EndOfInjectedXHeaders";
/// The same in files that `queue export` wrote.
const END_OF_EXPORTED: &str = "X-CreatedBy";

/// A message and the recipients that it is handed in for at once.
#[derive(Clone, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) reverse_path: &'a ReversePath,
    /// Not empty.
    pub(crate) recipients: Vec<&'a Recipient>,
    pub(crate) ret: Option<Ret>,
    pub(crate) envid: Option<&'a str>,
    /// CRLF line ends.
    pub(crate) content: &'a [u8],
}

impl Part<'_> {
    /// As SMTP says it.
    pub(crate) fn transaction(&self) -> Transaction<'_> {
        let sender = self.reverse_path.mailbox().map_or("", |mailbox| mailbox.as_str());
        let ascii = |recipient: &&Recipient| recipient.mailbox.as_str().is_ascii();
        Transaction {
            reverse_path: self.reverse_path,
            recipients: self.recipients.clone(),
            size: self.content.len() as u64,
            eight_bit: !self.content.is_ascii(),
            smtputf8: !(sender.is_ascii() && self.recipients.iter().all(ascii)),
            ret: self.ret,
            envid: self.envid,
        }
    }

    /// The same for some of its recipients, by their number.
    pub(crate) fn only(&self, numbers: &[usize]) -> Self {
        let chosen = numbers.iter().filter_map(|&number| self.recipients.get(number).copied());
        Self { recipients: chosen.collect(), ..self.clone() }
    }

    /// As a file of the folder.
    pub(crate) fn octets(&self) -> Vec<u8> {
        [&self.envelope(), self.content].concat()
    }

    /// The envelope as fields.
    fn envelope(&self) -> Vec<u8> {
        let all = Capabilities {
            eight_bit_mime: true,
            smtputf8: true,
            dsn: true,
            ..Capabilities::default()
        };
        let commands = self.transaction().commands(&all);
        let commands = String::from_utf8_lossy(&commands);
        let field = |line: &str| match line.strip_prefix("MAIL FROM:") {
            Some(sender) => format!("X-Sender: {sender}\r\n"),
            None => format!("X-Receiver: {}\r\n", line.trim_start_matches("RCPT TO:")),
        };
        let fields: String = commands.lines().map(field).collect();
        format!("{fields}{END}: 1\r\n").into_bytes()
    }
}
