//! A receiving agent without anything around it: decides by the words in the addresses, keeps what it accepted.

use bytes::BytesMut;
use posthaste_mail::{ContentFacts, EnhancedStatus, Reply, Secret};
use posthaste_smtp::sasl::scram::Stored;
use posthaste_smtp::server::{
    Ask, ContentFault, Event, Fault, ForwardPath, GATHERED_CHUNK, MAX_OUTPUT, Session, Settings,
    Step,
};
use std::sync::Arc;

/// More than one reply may come on top of the session's limit: EHLO's is the longest.
const OUTPUT_BOUND: usize = MAX_OUTPUT + 2048;

/// Of RFC 7677 section 3.
const SALT: &[u8] = b"\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";

/// An accepted message.
#[derive(Debug, Clone, Default)]
pub struct Message {
    pub from: String,
    pub to: Vec<String>,
    pub content: Vec<u8>,
    pub chunks: usize,
    pub facts: ContentFacts,
}

pub struct Receiver {
    pub session: Session,
    pub input: BytesMut,
    pub accepted: Vec<Message>,
    pub refused: Vec<Fault>,
    pub content_faults: Vec<ContentFault>,
    pub commands: Vec<String>,
    pub trace: &'static [u8],
    pub closed: bool,
    /// How often AUTH came to a decision.
    pub asked: usize,
    /// Octets of content held in the transaction under way at most.
    pub most_held: usize,
    current: Message,
}

impl Receiver {
    pub fn new(settings: Settings) -> Self {
        let mut session = Session::new(Arc::new(settings));
        session.greet();
        Self {
            session,
            input: BytesMut::new(),
            accepted: Vec::new(),
            refused: Vec::new(),
            content_faults: Vec::new(),
            commands: Vec::new(),
            trace: b"",
            closed: false,
            asked: 0,
            most_held: 0,
            current: Message::default(),
        }
    }

    /// Feeds octets, as one read; answers what was written. Every step is bounded.
    pub fn feed(&mut self, octets: &[u8]) -> Vec<u8> {
        self.input.extend_from_slice(octets);
        let mut written = Vec::new();
        let most_steps = 16 + 4 * self.input.len();
        for _ in 0..most_steps {
            let step = self.session.next(&mut self.input);
            assert!(self.session.output().len() <= OUTPUT_BOUND, "output is bounded");
            match step {
                Step::Event(event) => self.event(event),
                Step::Write => written.append(&mut self.session.take_output()),
                Step::Read => {
                    written.append(&mut self.session.take_output());
                    return written;
                }
                Step::Close => {
                    written.append(&mut self.session.take_output());
                    self.closed = true;
                    return written;
                }
            }
        }
        panic!("more than {most_steps} steps: the session hangs");
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Hello { name, .. } if name == "unwelcome" => self.reject(550, (5, 7, 1)),
            Event::Hello { .. } => {
                self.current = Message::default();
                self.session.accept();
            }
            Event::Mail(path, _) => self.mail(path.to_string()),
            Event::Rcpt(path, _) => self.rcpt(match path {
                ForwardPath::Mailbox(mailbox) => mailbox.to_string(),
                ForwardPath::Postmaster => "postmaster".to_owned(),
            }),
            Event::Content { .. } if self.current.from.starts_with("nodata") => {
                self.reject(451, (4, 3, 0));
            }
            Event::Content { .. } => self.session.accept_content(self.trace),
            Event::Chunk(chunk) => self.chunk(&chunk),
            Event::ContentRefused(fault) => {
                self.content_faults.push(fault);
                self.drop_content();
            }
            Event::End(end) => self.end(end.facts, end.received),
            Event::StartTls => self.session.accept(),
            Event::Auth(ask) => self.auth(&ask),
            Event::Rset => self.current = Message::default(),
            Event::Refused(fault) => self.refused.push(fault),
            Event::Noop | Event::Vrfy | Event::Help | Event::Quit => {
                self.commands.push(format!("{event:?}"));
            }
        }
    }

    /// The users are those of RFC 4616 section 4 and RFC 7677 section 3.
    fn auth(&mut self, ask: &Ask) {
        let right = match ask {
            Ask::Keys { .. } => {
                let keys = Stored::of(&Secret::new("pencil"), SALT, 4096);
                return self.session.give_keys(keys, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
            }
            Ask::Password { user, password } => {
                user == "tim" && *password == Secret::new("tanstaaftanstaaf")
            }
            Ask::Proof { valid, .. } => *valid,
            Ask::OtherIdentity { .. } => false,
        };
        self.asked += 1;
        if right { self.session.accept() } else { self.reject(535, (5, 7, 8)) }
    }

    fn mail(&mut self, from: String) {
        self.current = Message { from, ..Message::default() };
        if self.current.from.starts_with("bad") {
            self.reject(550, (5, 7, 1));
        } else {
            self.session.accept();
        }
    }

    fn rcpt(&mut self, to: String) {
        if to.starts_with("nobody") {
            self.reject(550, (5, 1, 1));
        } else if to.starts_with("later") {
            self.reject(451, (4, 2, 0));
        } else if to.starts_with("goaway") {
            self.reject(421, (4, 7, 0));
        } else {
            self.current.to.push(to);
            self.session.accept();
        }
    }

    fn chunk(&mut self, chunk: &[u8]) {
        assert!(!chunk.is_empty(), "chunks are never empty");
        self.current.content.extend_from_slice(chunk);
        self.current.chunks += 1;
        self.most_held = self.most_held.max(self.current.content.len());
        if self.current.from.starts_with("nospace") {
            let full = Reply::new(452, Some(EnhancedStatus::new(4, 3, 1)), "Out of space");
            self.session.refuse_content(&full);
            self.drop_content();
        }
    }

    fn end(&mut self, facts: ContentFacts, received: u64) {
        assert_eq!(received, self.current.content.len() as u64);
        if self.current.from.starts_with("noend") {
            self.drop_content();
            return self.reject(554, (5, 7, 1));
        }
        let mut message = std::mem::take(&mut self.current);
        message.facts = facts;
        self.session.accept_message(format_args!("queued as {}", self.accepted.len() + 1));
        self.accepted.push(message);
    }

    fn drop_content(&mut self) {
        self.current.content = Vec::new();
        self.current.chunks = 0;
    }

    fn reject(&mut self, code: u16, (class, subject, detail): (u8, u16, u16)) {
        let status = EnhancedStatus::new(class, subject, detail);
        self.session.reject(&Reply::new(code, Some(status), "No"));
    }
}

/// Room for pieces that are gathered before they leave.
pub const GATHER_BOUND: usize = 2 * GATHERED_CHUNK;
