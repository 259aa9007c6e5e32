//! A sending agent without anything around it: writes what the session says, notes what it concludes.

use bytes::BytesMut;
use posthaste_mail::{Mailbox, Recipient, ReversePath};
use posthaste_smtp::client::{Fate, MAX_AHEAD, Report, Session, Settings, Step, Transaction};
use posthaste_smtp::data::{self, Changes};
use std::collections::VecDeque;
use std::sync::Arc;

/// MAX_AHEAD commands with an address and parameters of at most this many octets each.
const OUTPUT_BOUND: usize = 1200 * MAX_AHEAD as usize;

/// A mail to be sent.
#[derive(Debug, Clone)]
pub struct Mail {
    pub from: ReversePath,
    pub to: Vec<Recipient>,
    pub content: Vec<u8>,
    pub eight_bit: bool,
    pub envid: Option<String>,
}

impl Mail {
    pub fn new(from: &str, to: &[&str], content: &[u8]) -> Self {
        let from = match from {
            "" => ReversePath::Null,
            from => ReversePath::Mailbox(Mailbox::parse(from, true).expect("a valid sender")),
        };
        let recipient = |to: &&str| Recipient {
            mailbox: Mailbox::parse(to, true).expect("a valid recipient"),
            orcpt: None,
            notify: None,
        };
        let to = to.iter().map(recipient).collect();
        Self { from, to, content: content.to_vec(), eight_bit: !content.is_ascii(), envid: None }
    }

    pub fn transaction(&self) -> Transaction<'_> {
        Transaction {
            reverse_path: &self.from,
            recipients: self.to.iter().collect(),
            size: self.content.len() as u64,
            eight_bit: self.eight_bit,
            smtputf8: self.to.iter().any(|r| !r.mailbox.as_str().is_ascii()),
            ret: None,
            envid: self.envid.as_deref(),
        }
    }
}

pub struct Sender {
    pub session: Session,
    pub input: BytesMut,
    pub mails: VecDeque<Mail>,
    pub quit_when_idle: bool,
    pub results: Vec<String>,
    pub reports: Vec<Report>,
    pub closed: bool,
    /// Stop before the content, as a slow network does.
    pub hold_content: bool,
    current: Option<Mail>,
}

impl Sender {
    pub fn new(settings: Settings) -> Self {
        Self {
            session: Session::new(Arc::new(settings)),
            input: BytesMut::new(),
            mails: VecDeque::new(),
            quit_when_idle: false,
            results: Vec::new(),
            reports: Vec::new(),
            closed: false,
            hold_content: false,
            current: None,
        }
    }

    /// Feeds octets of the server, as one read; answers what was written. Every step is bounded.
    pub fn feed(&mut self, octets: &[u8]) -> Vec<u8> {
        self.input.extend_from_slice(octets);
        let mut written = Vec::new();
        let mails = self.mails.iter().map(|mail| mail.to.len() + 4).sum::<usize>();
        let most_steps = 16 + 4 * self.input.len() + 4 * mails;
        for _ in 0..most_steps {
            let step = self.session.next(&mut self.input);
            assert!(self.session.output().len() <= OUTPUT_BOUND, "output is bounded");
            match step {
                Step::Read { timeout, stage } => {
                    assert!(!timeout.is_zero(), "{stage:?} has a limit");
                    written.append(&mut self.session.take_output());
                    return written;
                }
                Step::Ready => {
                    if !self.ready() {
                        written.append(&mut self.session.take_output());
                        return written;
                    }
                }
                Step::Content if self.hold_content => {
                    written.append(&mut self.session.take_output());
                    return written;
                }
                Step::Content => {
                    written.append(&mut self.session.take_output());
                    self.content(&mut written);
                }
                Step::Close => {
                    written.append(&mut self.session.take_output());
                    self.closed = true;
                    return written;
                }
                other => self.note(other),
            }
        }
        panic!("more than {most_steps} steps: the session hangs");
    }

    /// The connection ends.
    pub fn lost(&mut self) {
        if let Some(report) = self.session.lost() {
            self.report(report);
        }
        assert_eq!(self.session.next(&mut self.input), Step::Close);
        self.closed = true;
    }

    fn ready(&mut self) -> bool {
        if let Some(mail) = self.mails.pop_front() {
            self.session.begin(&mail.transaction());
            self.current = Some(mail);
            return true;
        }
        if self.quit_when_idle {
            self.session.quit();
        }
        self.quit_when_idle
    }

    fn content(&mut self, written: &mut Vec<u8>) {
        let mail = self.current.as_ref().expect("content belongs to a transaction");
        let changes = Changes { stuff: true, fold: true };
        for piece in data::pieces([&mail.content[..]], changes) {
            written.extend_from_slice(piece);
        }
        self.session.content_sent();
    }

    fn note(&mut self, step: Step) {
        match step {
            Step::Reply(stage, reply) => self.results.push(format!("{stage:?} {reply}")),
            Step::Gibberish(stage, error) => {
                self.results.push(format!("gibberish at {stage:?}: {error:?}"));
            }
            Step::Finished(report) => self.report(report),
            other => panic!("{other:?} is handled elsewhere"),
        }
    }

    fn report(&mut self, report: Report) {
        let mail = self.current.take().expect("a report belongs to a transaction");
        assert_eq!(report.refused.len(), mail.to.len());
        for (n, to) in mail.to.iter().enumerate() {
            let fate = match report.fate(n).expect("every recipient has a fate") {
                Fate::Delivered(reply) => format!("delivered: {reply}"),
                Fate::Refused(stage, reply) => format!("refused at {stage:?}: {reply}"),
                Fate::Lost(stage) => format!("lost at {stage:?}"),
            };
            self.results.push(format!("{} {fate}", to.mailbox));
        }
        self.reports.push(report);
    }
}
