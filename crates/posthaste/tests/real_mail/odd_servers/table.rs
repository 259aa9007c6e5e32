//! The table of odd servers: options of smtp-sink(1) and what has to become of a message for such a server.
//!
//! Not here: how a row is run (`odd_servers`). Left out are the options that change nothing on the wire of SMTP
//! (`-4 -6 -c -d -D -s -S -u -v`, each used or tried once) and `-L` for who
//! speaks LMTP to it (`lmtp`).

/// One server and one message for it.
pub(super) struct Row {
    pub(super) options: &'static [&'static str],
    pub(super) content: Content,
    pub(super) expected: Expected,
}

/// The message that is sent.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Content {
    Small,
    EightBit,
    ThreeMegabytes,
}

/// What becomes of its one recipient.
#[derive(Debug, PartialEq, Clone)]
pub(super) enum Expected {
    /// Once, octet for octet.
    Delivered,
    /// Queued with a time; the stage of the last error, and the code of the reply or 0.
    Deferred(&'static str, u16),
    /// Ended, and a notice went to the sender.
    Failed(&'static str, u16),
}

impl Expected {
    pub(super) fn deferred(stage: &str, code: u16) -> Self {
        Self::Deferred(known(stage), code)
    }

    pub(super) fn failed(stage: &str, code: u16) -> Self {
        Self::Failed(known(stage), code)
    }
}

const STAGES: &[&str] = &["connect", "banner", "ehlo", "mail", "rcpt", "data", "eod"];

/// How much of the body is sent when a reply comes too early, the kernel's buffers decide: `body` counts as `eod`.
fn known(stage: &str) -> &'static str {
    let stage = if stage == "body" { "eod" } else { stage };
    STAGES.iter().find(|known| **known == stage).unwrap_or(&"another")
}

use Content::{EightBit, Small, ThreeMegabytes};
use Expected::{Deferred, Delivered, Failed};

const fn row(options: &'static [&'static str], content: Content, expected: Expected) -> Row {
    Row { options, content, expected }
}

pub(super) const TABLE: &[Row] = &[
    // What it announces.
    row(&[], Small, Delivered),
    row(&[], ThreeMegabytes, Delivered),
    row(&["-8"], Small, Delivered),
    row(&["-8"], EightBit, Delivered), // the default of `eight_bit`: sent as it is
    row(&["-a", "-C", "-F", "-N"], Small, Delivered),
    row(&["-e"], Small, Delivered),
    row(&["-e"], EightBit, Delivered),
    row(&["-E"], Small, Delivered),
    row(&["-p"], ThreeMegabytes, Delivered),
    row(&["-P"], Small, Delivered), // greets as a Cisco PIX: 220 and asterisks
    row(&["-P"], ThreeMegabytes, Delivered),
    row(&["-h", "mta.sender.test"], Small, Delivered), // our own name
    row(&["-h", "a_name.with-odd..dots"], Small, Delivered),
    row(&["-c"], Small, Delivered),
    row(&["-R", "/"], Small, Delivered),
    row(&["-s", "MAIL,RCPT"], Small, Delivered),
    row(&["-L"], Small, Failed("ehlo", 500)), // speaks LMTP only: neither EHLO nor HELO is known
    // How fast it is.
    row(&["-H", "2", "-T", "1024"], ThreeMegabytes, Delivered),
    row(&["-T", "1024"], ThreeMegabytes, Delivered),
    row(&["-w", "2"], Small, Delivered),
    row(&["-W", "CONNECT:2"], Small, Delivered),
    row(&["-W", "EHLO:2"], Small, Delivered),
    row(&["-p", "-W", "MAIL:2"], Small, Delivered),
    row(&["-p", "-W", "RCPT:1:50"], Small, Delivered),
    row(&["-p", "-W", "DATA:2"], Small, Delivered),
    row(&["-W", ".:2"], Small, Delivered),
    row(&["-W", "QUIT:30"], Small, Delivered),
    // It offers PIPELINING and answers what follows a delayed command first: its fault, and its 503 is believed.
    row(&["-W", "MAIL:2"], Small, Failed("mail", 503)),
    row(&["-W", "RCPT:2"], Small, Failed("rcpt", 503)),
    // How long it lives.
    row(&["-t", "4"], Small, Delivered),
    row(&["-n", "1"], Small, Delivered),
    row(&["-M", "1"], Small, Deferred("eod", 0)), // ends with the final dot unanswered: in doubt, tried again
    // A reply in the middle of the data, after which it reads no more.
    row(&["-A", "0"], Small, Failed("eod", 550)),
    row(&["-A", "0"], ThreeMegabytes, Failed("eod", 550)),
    row(&["-A", "2"], ThreeMegabytes, Failed("eod", 550)),
    // Soft rejects.
    row(&["-r", "CONNECT"], Small, Deferred("banner", 450)),
    row(&["-r", "EHLO"], Small, Deferred("ehlo", 450)),
    row(&["-r", "HELO"], Small, Delivered),
    row(&["-r", "MAIL"], Small, Deferred("mail", 450)),
    row(&["-r", "RCPT"], Small, Deferred("rcpt", 450)),
    row(&["-r", "DATA"], Small, Deferred("data", 450)),
    row(&["-r", "."], Small, Deferred("eod", 450)),
    row(&["-r", "QUIT"], Small, Delivered),
    row(&["-r", "RSET,NOOP,VRFY"], Small, Delivered),
    row(&["-e", "-r", "HELO"], Small, Deferred("ehlo", 450)),
    row(&["-r", "RCPT", "-b", "421 4.3.2 going down"], Small, Deferred("rcpt", 421)),
    row(&["-r", "MAIL", "-b", "499 unheard of"], Small, Deferred("mail", 499)),
    row(&["-r", ".", "-b", "450-4.2.0 two\r\n450 4.2.0 lines"], Small, Deferred("eod", 450)),
    row(&["-r", "RCPT", "-b", "450 5.1.1 which of the two"], Small, Deferred("rcpt", 450)),
    // Hard rejects.
    row(&["-f", "CONNECT"], Small, Failed("banner", 500)),
    row(&["-f", "EHLO"], Small, Delivered), // by HELO
    row(&["-f", "EHLO,HELO"], Small, Failed("ehlo", 500)),
    row(&["-f", "MAIL"], Small, Failed("mail", 500)),
    row(&["-f", "RCPT"], Small, Failed("rcpt", 500)),
    row(&["-f", "DATA"], Small, Failed("data", 500)),
    row(&["-f", "."], Small, Failed("eod", 500)),
    row(&["-f", "."], ThreeMegabytes, Failed("eod", 500)),
    row(&["-f", "QUIT"], Small, Delivered),
    row(&["-f", "RCPT", "-B", "550 5.1.1 no such user here"], Small, Failed("rcpt", 550)),
    row(&["-f", "RCPT", "-B", "552 too many recipients"], Small, Failed("rcpt", 552)),
    row(&["-f", "MAIL", "-B", "599 unheard of"], Small, Failed("mail", 599)),
    row(&["-f", ".", "-B", "554-5.7.1 two\r\n554 5.7.1 lines"], Small, Failed("eod", 554)),
    row(&["-f", "RCPT", "-B", "550 gr\u{fc}n \u{1b}[31m"], Small, Failed("rcpt", 550)),
    row(&["-f", "MAIL", "-B", "550-one\r\nno code\r\n550 end"], Small, Failed("mail", 550)),
    // It hangs up without a word.
    row(&["-q", "CONNECT"], Small, Deferred("banner", 0)),
    row(&["-q", "EHLO"], Small, Deferred("ehlo", 0)),
    row(&["-f", "EHLO", "-q", "HELO"], Small, Deferred("ehlo", 0)),
    row(&["-q", "MAIL"], Small, Deferred("mail", 0)),
    row(&["-q", "RCPT"], Small, Deferred("rcpt", 0)),
    row(&["-q", "DATA"], Small, Deferred("data", 0)),
    row(&["-q", "."], Small, Deferred("eod", 0)),
    row(&["-q", "QUIT"], Small, Delivered),
    // It says 421 and hangs up.
    row(&["-Q", "CONNECT"], Small, Deferred("banner", 421)),
    row(&["-Q", "EHLO"], Small, Deferred("ehlo", 421)),
    row(&["-Q", "MAIL"], Small, Deferred("mail", 421)),
    row(&["-Q", "RCPT"], Small, Deferred("rcpt", 421)),
    row(&["-Q", "DATA"], Small, Deferred("data", 421)),
    row(&["-Q", "."], Small, Deferred("eod", 421)),
    row(&["-Q", "QUIT"], Small, Delivered),
];
