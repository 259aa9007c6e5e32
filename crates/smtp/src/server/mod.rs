//! What a receiver speaks: RFC 5321 with PIPELINING (2920), SIZE (1870), 8BITMIME (6152), SMTPUTF8 (6531), DSN (3461),
//! ENHANCEDSTATUSCODES (2034), CHUNKING (3030), AUTH (4954) and the place of STARTTLS (3207).
//!
//! Not here: who may relay, where mail goes, sockets, time limits. The agent that drives a [`Session`] owns those.
//!
//! ```text
//! session.greet();
//! loop {
//!     match session.next(&mut input) {
//!         Step::Event(event) => ...                    // answer those that ask for it (see Event), in order
//!         Step::Write => write(session.take_output())  // a pipelining client has run up many replies
//!         Step::Read  => write(session.take_output()), then read more into input
//!         Step::Close => write(session.take_output()), then close
//!     }
//! }
//! ```
//! Replies of a pipelined group gather in the output and leave in one write. The session never holds a message:
//! content comes out as [`Event::Chunk`]s, slices of the read buffer where nothing had to be changed.

mod argument;
mod auth;
mod command;
mod fault;
mod heard;
mod intake;
mod opening;
mod params;
mod path;
mod reply;
mod session;
mod turns;

pub use crate::sasl::server::Ask;
pub use argument::{read_mail, read_rcpt};
pub use fault::{ContentFault, Fault};
pub use heard::{Refused, What};
pub use params::{MailParams, RcptParams};
pub use path::ForwardPath;
pub use session::Session;

use crate::sasl::Mechanism;
use bytes::Bytes;
use posthaste_mail::{ContentFacts, ReversePath};

/// RFC 5321 section 4.5.3.1.4 asks for 512; extensions add to it. Octets, CRLF included.
pub const MAX_COMMAND_LINE: usize = 2048;
/// A line of the client's within AUTH, octets, CRLF included (RFC 4954 section 4); over it `500 5.5.6`.
pub const MAX_AUTH_LINE: usize = 12_288;
/// A longer line in the content is refused: `554 5.6.0`. Octets, without CRLF.
pub const MAX_TEXT_LINE: u64 = 1 << 20;
/// Replies gathered before [`Step::Write`] is asked for, octets. One more reply may come on top.
pub const MAX_OUTPUT: usize = 16 * 1024;
/// Commands answered after a refusal instead of a greeting, QUIT not counted; then `421 4.7.0`.
pub const MAX_REFUSED_COMMANDS: u32 = 10;
/// Content in smaller pieces is gathered, so that a client that sends octet by octet costs no chunk for each.
pub const MIN_CHUNK: usize = 2048;
/// Gathered or rewritten content leaves at this size, octets; a little more when the last piece overshoots.
pub const GATHERED_CHUNK: usize = 16 * 1024;

/// Settings of a session; one `Arc` per session, so that a reload never changes one under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Our name in the greeting and in the replies to HELO, EHLO and QUIT.
    pub hostname: String,
    /// What EHLO announces.
    pub extensions: Extensions,
    /// What to do with CR or LF alone in the content.
    pub bare_newline: BareNewline,
    /// Limits that the session itself enforces.
    pub limits: Limits,
    /// The mechanisms of AUTH, in the order in which EHLO announces them; none without [`Extensions::auth`].
    pub mechanisms: Vec<Mechanism>,
    /// MAIL is refused before AUTH has succeeded (RFC 6409 section 4.3).
    pub auth_required: bool,
    /// The domain that bare names in MAIL and RCPT get; `None`: they are refused (RFC 5321 section 4.1.2 knows none).
    pub origin: Option<String>,
}

/// Extensions announced and honoured. What is off is neither announced nor understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extensions {
    /// RFC 2920. Off: not announced; a client that pipelines is still served in order.
    pub pipelining: bool,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 3030, without BINARYMIME.
    pub chunking: bool,
    /// RFC 3207: announced until the session is secured, and `STARTTLS` becomes [`Event::StartTls`]. Off by default.
    pub starttls: bool,
    /// RFC 4954: announced, and understood, only once the stream is secured. Off by default.
    pub auth: bool,
}

/// CR or LF that is not part of CRLF, in content by DATA or by BDAT (which carries 7-bit or 8-bit text only).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BareNewline {
    /// The message is refused with `550 5.5.2` once all of it was read, and the connection is closed.
    #[default]
    Reject,
    /// Each becomes CRLF. None of them ever ends the data, and a dot after one is content, not transparency:
    /// only CRLF counts on the wire.
    Normalize,
}

/// Limits per session that the session enforces. Sessions, clients and time are the agent's to limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Octets of content, dot-stuffing and trace header not counted; announced by SIZE. Over it: `552 5.3.4`.
    pub message_size: u64,
    /// Recipients accepted per transaction (RFC 5321 section 4.5.3.1.8 asks for 100). Over it: `452 4.5.3`.
    pub recipients: u32,
    /// Command lines per session. Over it: `421 4.7.0`.
    pub commands: u32,
    /// Commands refused, by the session or by the agent, since the last message was accepted. Over it: `421 4.7.0`.
    pub errors: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            extensions: Extensions::default(),
            bare_newline: BareNewline::default(),
            limits: Limits::default(),
            mechanisms: Vec::new(),
            auth_required: false,
            origin: None,
        }
    }
}

impl Default for Extensions {
    fn default() -> Self {
        Self {
            pipelining: true,
            eight_bit_mime: true,
            smtputf8: true,
            dsn: true,
            chunking: true,
            starttls: false,
            auth: false,
        }
    }
}

impl Default for Limits {
    /// 36 MB, 1000 recipients, 100,000 commands, 100 errors.
    fn default() -> Self {
        Self { message_size: 36_000_000, recipients: 1000, commands: 100_000, errors: 100 }
    }
}

/// What the driver does next.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Something happened; some events ask for an answer before the next step.
    Event(Event),
    /// Write the output, then call again with the same input.
    Write,
    /// Write the output, read more, call again.
    Read,
    /// Write the output and close. Final.
    Close,
}

/// What the client did. "Asks" means: answer before the next [`Session::next`].
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// EHLO (`extended`) or HELO. A transaction under way is over. Asks: `accept` or `reject`.
    Hello {
        /// EHLO.
        extended: bool,
        /// As given: printable, without blanks, at most 255 octets, not verified.
        name: String,
    },
    /// MAIL. Asks: `accept` or `reject`.
    Mail(ReversePath, MailParams),
    /// RCPT. Asks: `accept` or `reject`.
    Rcpt(ForwardPath, RcptParams),
    /// DATA, or the first BDAT of a transaction that has recipients. Asks: `accept_content` or `reject`.
    Content {
        /// By BDAT.
        chunked: bool,
    },
    /// The next octets of the content: CRLF line ends, dot-stuffing undone. Not empty. A large chunk is a slice of the
    /// read buffer and keeps all of that buffer's memory: read into buffers of a size that is worth keeping.
    Chunk(Bytes),
    /// The content is bad: drop what was received. The session swallows the rest and replies by itself.
    ContentRefused(ContentFault),
    /// All content is here. Asks: `accept_message` or `reject`; both end the transaction.
    End(End),
    /// STARTTLS. Asks: `accept` (then secure the stream and call [`Session::secured`]) or `reject`.
    StartTls,
    /// AUTH is so far that something must be known or decided. Asks: for [`Ask::Keys`] [`Session::give_keys`], for the others
    /// `accept` or `reject`. Once [`Session::is_authenticated`], it has succeeded: with SCRAM that is an answer later.
    Auth(Ask),
    /// RSET; answered. A transaction under way is over.
    Rset,
    /// NOOP; answered.
    Noop,
    /// VRFY; answered with 252.
    Vrfy,
    /// HELP; answered.
    Help,
    /// QUIT; answered. [`Step::Close`] follows, whatever else the client sent. A transaction under way is over.
    Quit,
    /// A command was refused by the session; answered.
    Refused(Fault),
}

/// What is known of content that has arrived whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// Of the trace header given to `accept_content` and the content after it.
    pub facts: ContentFacts,
    /// Octets of the content alone, as handed out in chunks: with the empty line in front of content that has no header.
    pub received: u64,
}
