//! One transaction under way: what was sent, what was answered, what that means (RFC 5321 section 3.3, RFC 2920,
//! RFC 2033 section 4.2).
//!
//! Not here: the connection around it (`session`).

use super::{End, MAX_AHEAD, Protocol, Report, Stage};
use memchr::memchr;
use posthaste_mail::Reply;

/// Commands and replies of one transaction. Commands are counted from 0: RSET if the last transaction was left open,
/// MAIL, each RCPT, DATA.
#[derive(Debug)]
pub(super) struct Running {
    protocol: Protocol,
    /// Lines not yet sent: (RSET) MAIL RCPT...; DATA comes when it is known to make sense.
    lines: Vec<u8>,
    at: usize,
    first: u32,
    recipients: u32,
    sent: u32,
    answered: u32,
    accepted: u32,
    refused: Vec<Option<Reply>>,
    /// LMTP: replies to the final dot.
    dotted: Vec<Option<Reply>>,
    /// Decided as a whole.
    end: Option<End>,
    mail_accepted: bool,
    /// No content is meant to follow: the replies to RCPT are all that is wanted.
    probe: bool,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Commands,
    /// The driver writes the content.
    Content,
    /// The final dot is out.
    Eod,
    /// The final dot is out, and the recipient with this number has its reply next.
    EodOf(u32),
    /// A server gave 354 with nobody to send to: a lone dot is out, its reply means nothing.
    LoneDot,
    Over,
}

/// What the driver or the session has to do.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    Wait(Stage),
    Content,
    Over,
}

impl Running {
    /// `lines`: MAIL and every RCPT. `reset`: RSET first.
    pub(super) fn new(
        protocol: Protocol,
        mut lines: Vec<u8>,
        recipients: usize,
        reset: bool,
    ) -> Self {
        if reset {
            lines.splice(..0, *b"RSET\r\n");
        }
        Self {
            protocol,
            lines,
            at: 0,
            first: u32::from(reset),
            recipients: u32::try_from(recipients).unwrap_or(u32::MAX),
            sent: 0,
            answered: 0,
            accepted: 0,
            refused: vec![None; recipients],
            dotted: Vec::new(),
            end: None,
            mail_accepted: false,
            probe: false,
            phase: Phase::Commands,
        }
    }

    /// Stops before DATA.
    pub(super) fn stopping_before_data(self) -> Self {
        Self { probe: true, ..self }
    }

    /// Writes what may be written now; says what comes next.
    pub(super) fn go_on(&mut self, out: &mut Vec<u8>, pipelining: bool) -> Next {
        if self.phase == Phase::Commands {
            self.send(out, pipelining);
        }
        match self.phase {
            Phase::Commands if self.sent == self.answered => {
                self.phase = Phase::Over;
                Next::Over
            }
            Phase::Commands | Phase::Eod | Phase::EodOf(_) | Phase::LoneDot => {
                Next::Wait(self.stage())
            }
            Phase::Content => Next::Content,
            Phase::Over => Next::Over,
        }
    }

    /// What is being waited for.
    pub(super) fn stage(&self) -> Stage {
        match self.phase {
            Phase::Commands => self.command(self.answered),
            Phase::Content => Stage::Content,
            Phase::EodOf(recipient) => Stage::EodOf(recipient),
            Phase::Eod | Phase::LoneDot | Phase::Over => Stage::Eod,
        }
    }

    /// All of the content, final dot included, was handed to the network.
    pub(super) fn content_sent(&mut self) {
        if self.phase != Phase::Content {
            return;
        }
        self.phase = match self.protocol {
            Protocol::Smtp => Phase::Eod,
            Protocol::Lmtp => {
                self.dotted = vec![None; self.refused.len()];
                self.owed_from(0)
            }
        };
    }

    /// Attributes a reply. `false`: it makes no sense here, and the connection is of no more use.
    pub(super) fn reply(&mut self, reply: &Reply, out: &mut Vec<u8>) -> bool {
        match self.phase {
            // A surplus reply: whatever came before it may have been meant for another command too.
            Phase::Commands if self.answered == self.sent => false,
            Phase::Commands => {
                let stage = self.command(self.answered);
                self.answered += 1;
                self.command_reply(stage, reply, out)
            }
            Phase::Content => {
                self.phase = Phase::Over;
                let refusal = matches!(reply.code / 100, 4 | 5);
                if refusal {
                    self.end.get_or_insert(End::Refused(Stage::Content, reply.clone()));
                }
                refusal
            }
            Phase::Eod => {
                self.phase = Phase::Over;
                self.final_reply(reply)
            }
            Phase::EodOf(recipient) => self.reply_of_one(recipient, reply),
            Phase::LoneDot => {
                self.phase = Phase::Over;
                matches!(reply.code / 100, 2 | 4 | 5)
            }
            Phase::Over => false,
        }
    }

    /// 421 came: after the final dot of LMTP it is the answer for one recipient, and nothing is known of those after it.
    pub(super) fn closing(&mut self, reply: &Reply) {
        if let Phase::EodOf(recipient) = self.phase {
            self.reply_of_one(recipient, reply);
            if let Phase::EodOf(_) = self.phase {
                self.end.get_or_insert(End::Lost(self.stage()));
            }
        }
    }

    /// The connection is gone, or of no more use: the transaction is over as it stands.
    pub(super) fn cut_off(mut self, end: End) -> Report {
        self.end.get_or_insert(end);
        self.report()
    }

    pub(super) fn report(self) -> Report {
        let stopped = self.probe && self.accepted > 0;
        let end = self.end.unwrap_or(if stopped { End::Stopped } else { End::NobodyAccepted });
        Report { end, refused: self.refused, answered: self.dotted }
    }

    /// The server still has the transaction open: RSET is due before the next one.
    pub(super) fn left_open(&self) -> bool {
        let closed = matches!(
            &self.end,
            Some(End::Delivered(_) | End::Answered | End::Refused(Stage::Eod | Stage::Content, _))
        );
        self.mail_accepted && !closed
    }

    fn command(&self, index: u32) -> Stage {
        match index.checked_sub(self.first) {
            None => Stage::Rset,
            Some(0) => Stage::Mail,
            Some(n) if n <= self.recipients => Stage::Rcpt(n - 1),
            Some(_) => Stage::Data,
        }
    }

    fn send(&mut self, out: &mut Vec<u8>, pipelining: bool) {
        let ahead = if pipelining { MAX_AHEAD } else { 1 };
        while self.sent - self.answered < ahead && self.end.is_none() {
            match self.command(self.sent) {
                Stage::Data => return self.send_data(out),
                _ => self.send_line(out),
            }
        }
    }

    fn send_line(&mut self, out: &mut Vec<u8>) {
        let rest = &self.lines[self.at..];
        let length = memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1);
        out.extend_from_slice(&rest[..length]);
        self.at += length;
        self.sent += 1;
    }

    /// DATA, once, unless it is known already that nobody was accepted. LMTP has no lone dot: without a recipient no
    /// reply would follow it, so DATA waits until somebody is accepted.
    fn send_data(&mut self, out: &mut Vec<u8>) {
        let data = self.first + 1 + self.recipients;
        let hopeless = self.answered == data && self.accepted == 0;
        let early = self.protocol == Protocol::Lmtp && self.accepted == 0;
        if self.sent == data && !hopeless && !early && !self.probe {
            out.extend_from_slice(b"DATA\r\n");
            self.sent += 1;
        }
    }

    fn command_reply(&mut self, stage: Stage, reply: &Reply, out: &mut Vec<u8>) -> bool {
        let class = reply.code / 100;
        match stage {
            Stage::Data => return self.data_reply(reply, out),
            Stage::Rcpt(n) if class == 4 || class == 5 => {
                // After a refused MAIL these replies say nothing about the recipient.
                if self.end.is_none() {
                    self.refused[n as usize] = Some(reply.clone());
                }
            }
            Stage::Rcpt(_) if class == 2 => self.accepted += 1,
            Stage::Mail if class == 2 => self.mail_accepted = true,
            Stage::Mail if class == 4 || class == 5 => {
                self.end = Some(End::Refused(Stage::Mail, reply.clone()));
            }
            // Without it the server is in a state that we do not know.
            Stage::Rset => return class == 2,
            _ => return false,
        }
        true
    }

    fn data_reply(&mut self, reply: &Reply, out: &mut Vec<u8>) -> bool {
        match reply.code / 100 {
            3 if self.accepted > 0 && self.end.is_none() => self.phase = Phase::Content,
            3 => {
                out.extend_from_slice(crate::data::END);
                self.phase = Phase::LoneDot;
            }
            4 | 5 => {
                if self.accepted > 0 {
                    self.end.get_or_insert(End::Refused(Stage::Data, reply.clone()));
                }
            }
            _ => return false,
        }
        true
    }

    /// Who has the reply next: the first from this number on that RCPT accepted.
    fn owed_from(&mut self, number: u32) -> Phase {
        let owed = (number..self.recipients).find(|n| self.refused[*n as usize].is_none());
        match owed {
            Some(recipient) => Phase::EodOf(recipient),
            None => {
                self.end.get_or_insert(End::Answered);
                Phase::Over
            }
        }
    }

    fn reply_of_one(&mut self, recipient: u32, reply: &Reply) -> bool {
        if !matches!(reply.code / 100, 2 | 4 | 5) {
            return false;
        }
        self.dotted[recipient as usize] = Some(reply.clone());
        self.phase = self.owed_from(recipient + 1);
        true
    }

    fn final_reply(&mut self, reply: &Reply) -> bool {
        let end = match reply.code / 100 {
            2 => End::Delivered(reply.clone()),
            4 | 5 => End::Refused(Stage::Eod, reply.clone()),
            _ => return false,
        };
        self.end.get_or_insert(end);
        true
    }
}
