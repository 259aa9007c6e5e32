//! What delivery speaks: greeting, EHLO or HELO, transactions in pipelined groups (RFC 2920), QUIT; or LMTP (RFC 2033),
//! where LHLO greets and every recipient has a reply of its own after the final dot. STARTTLS (RFC 3207) when the driver asks
//! for it.
//!
//! Not here: which host, how often, sockets, clocks; whether a refusal is final. The agent that drives a [`Session`]
//! owns those.
//!
//! ```text
//! loop {
//!     match session.next(&mut input) {
//!         Step::Read { stage, timeout } => write(session.take_output()), then read into input, at most so long;
//!                                          when that fails: session.lost()
//!         Step::Reply(stage, reply)     => note what was seen
//!         Step::Ready                   => session.begin(&transaction), session.quit(), session.reset(), or once, where it
//!                                          is offered, session.start_tls()
//!         Step::Secure                  => the TLS handshake, then session.secured(); when it fails: session.lost()
//!         Step::Injected                => note it; Step::Close follows
//!         Step::Content                 => write data::pieces(..) (END included), then session.content_sent()
//!         Step::Finished(report)        => what the transaction came to; Step::Ready or Step::Close follows
//!         Step::Gibberish(stage, error) => note it; Step::Close follows
//!         Step::Close                   => write(session.take_output()) if that works at once, and close
//!     }
//! }
//! ```

mod auth;
mod capabilities;
mod commands;
mod masking;
mod report;
mod session;
mod timeouts;
mod transaction;

pub use auth::without_secrets;
pub use capabilities::Capabilities;
pub use commands::{Obstacles, Transaction};
pub use report::{End, Fate, Report};
pub use session::Session;
pub use timeouts::Timeouts;

use crate::reply::ReplyError;
use posthaste_mail::Reply;
use std::time::Duration;

/// RCPT commands sent ahead of their replies, so that neither side's buffers fill up while both write (RFC 2920
/// section 3.1).
pub const MAX_AHEAD: u32 = 100;

/// What is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    /// RFC 5321.
    #[default]
    Smtp,
    /// RFC 2033: LHLO, and after the final dot one reply for each recipient that was accepted.
    Lmtp,
}

/// Settings of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// What is spoken.
    pub protocol: Protocol,
    /// Our name in EHLO, HELO and LHLO: a host name, or an address literal.
    pub name: String,
    /// Pipeline when the server offers it.
    pub pipelining: bool,
    /// How long to wait, by stage.
    pub timeouts: Timeouts,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            protocol: Protocol::Smtp,
            name: "localhost".to_owned(),
            pipelining: true,
            timeouts: Timeouts::default(),
        }
    }
}

/// What is being waited for, or was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The greeting.
    Banner,
    /// EHLO.
    Ehlo,
    /// HELO, after EHLO was refused.
    Helo,
    /// LHLO (RFC 2033 section 4.1).
    Lhlo,
    /// AUTH, and each answer to a challenge (RFC 4954).
    Auth,
    /// STARTTLS.
    StartTls,
    /// MAIL.
    Mail,
    /// RCPT with this number among the transaction's recipients.
    Rcpt(u32),
    /// DATA, up to its 354.
    Data,
    /// The content is being written; nothing should come yet.
    Content,
    /// The reply to the final dot. A connection lost here leaves the outcome unknown (RFC 1047).
    Eod,
    /// The reply to the final dot that is meant for the recipient with this number among the transaction's recipients
    /// (RFC 2033 section 4.2).
    EodOf(u32),
    /// RSET.
    Rset,
    /// QUIT.
    Quit,
    /// Between transactions; nothing should come but 421.
    Idle,
}

/// What the driver does next.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Write the output, read more, at most so long.
    Read {
        /// What is being waited for.
        stage: Stage,
        /// RFC 5321 section 4.5.3.2.
        timeout: Duration,
    },
    /// A reply arrived, to the command of this stage. For the record: the session has drawn its conclusions.
    Reply(Stage, Reply),
    /// Nothing is under way. Call `begin`, `reset` or `quit`, or keep the connection for later.
    Ready,
    /// `354`: write the content and its end, then call `content_sent`. While writing, the session may be asked again:
    /// a reply that comes early ends the transaction.
    Content,
    /// The server took STARTTLS: the next octet in either direction is TLS. Call `secured` after the handshake.
    Secure,
    /// The server took STARTTLS, and more came in clear behind its reply: somebody in between may have put it there. It is
    /// thrown away, and the connection is of no more use (RFC 3207 section 6; CVE-2011-0411). [`Step::Close`] follows.
    Injected,
    /// The transaction is over.
    Finished(Report),
    /// The server sent what is no SMTP, or a reply that makes no sense at this stage.
    Gibberish(Stage, Option<ReplyError>),
    /// Nothing more will come. Final.
    Close,
}
