//! AUTH on the wire (RFC 4954): the command, its answers, what its replies mean.
//!
//! Not here: what the mechanisms say (`sasl::client`).

use super::masking::Masking;
use crate::sasl::client::{Exchange, ExchangeFault};
use posthaste_mail::{Reply, Secret};

/// The longest command, CRLF included; what does not fit waits for the server's 334 (RFC 4954 section 4).
const MAX_COMMAND: usize = 512;
/// The longest answer, CRLF included (RFC 4954 section 4).
const MAX_ANSWER: usize = 12_288;

/// AUTH under way.
#[derive(Debug)]
pub(super) struct Login {
    exchange: Exchange,
    /// What did not fit into the command.
    initial: Option<Secret>,
    /// `*` was sent, for this reason: the server refuses next.
    cancelled: Option<ExchangeFault>,
    /// What no reply may give back.
    masking: Masking,
}

/// What a reply comes to.
pub(super) enum Turn {
    /// The next line is out.
    GoOn,
    /// It is over: 235 that may be believed, or a refusal.
    Over(Result<(), Option<ExchangeFault>>),
    /// The server accepts, but cannot prove that it may.
    Unproven(ExchangeFault),
    /// The reply makes no sense.
    Nonsense,
}

impl Login {
    /// Writes AUTH.
    pub(super) fn begin(mut exchange: Exchange, out: &mut Vec<u8>) -> Self {
        let name = exchange.mechanism().name();
        let initial = exchange.initial();
        let room = MAX_COMMAND - "AUTH  \r\n".len() - name.len();
        let along = initial.as_ref().filter(|secret| secret.expose().len() <= room);
        match along {
            Some(secret) => line(out, &[b"AUTH ", name.as_bytes(), b" ", secret.expose()]),
            None => line(out, &[b"AUTH ", name.as_bytes()]),
        }
        let mut masking = Masking::of(exchange.secret());
        initial.iter().for_each(|initial| masking.add(initial.expose()));
        let initial = if along.is_some() { None } else { initial };
        Self { exchange, initial, cancelled: None, masking }
    }

    /// Takes out of a reply what we said; answers its lines as they came.
    pub(super) fn hide(&self, reply: &mut Reply) -> Vec<String> {
        let shown = self.masking.apply(&reply.lines);
        std::mem::replace(&mut reply.lines, shown)
    }

    /// `challenge`: the text of a 334 as it came.
    pub(super) fn reply(&mut self, code: u16, challenge: &str, out: &mut Vec<u8>) -> Turn {
        match (code, code / 100) {
            (334, _) if self.cancelled.is_none() => {
                match self.answer(challenge) {
                    Ok(answer) if answer.expose().len() + 2 <= MAX_ANSWER => {
                        self.masking.add(answer.expose());
                        line(out, &[answer.expose()]);
                    }
                    Ok(_) => self.cancel(ExchangeFault::Unsuitable, out),
                    Err(fault) => self.cancel(fault, out),
                }
                Turn::GoOn
            }
            // The server takes the cancelled exchange for a good one: it is not to be trusted with anything.
            (_, 2) if self.cancelled.is_some() => {
                Turn::Unproven(self.cancelled.unwrap_or(ExchangeFault::TooMuch))
            }
            (235, _) => match self.exchange.accepted() {
                Ok(()) => Turn::Over(Ok(())),
                Err(fault) => Turn::Unproven(fault),
            },
            (_, 4 | 5) => Turn::Over(Err(self.cancelled)),
            _ => Turn::Nonsense,
        }
    }

    fn answer(&mut self, challenge: &str) -> Result<Secret, ExchangeFault> {
        match self.initial.take() {
            Some(initial) => Ok(initial),
            None => self.exchange.answer(challenge),
        }
    }

    fn cancel(&mut self, fault: ExchangeFault, out: &mut Vec<u8>) {
        self.cancelled = Some(fault);
        line(out, &[b"*"]);
    }
}

/// In one piece, so that no copy of a secret stays behind when the output grows.
fn line(out: &mut Vec<u8>, parts: &[&[u8]]) {
    out.reserve_exact(parts.iter().map(|part| part.len()).sum::<usize>() + 2);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.extend_from_slice(b"\r\n");
}

/// What stands for each word that may be secret, whatever its length.
const HIDDEN: &[u8] = b"***";

/// What may be shown of our lines while we log in: the command and its mechanism, that something was said, and that the
/// exchange was cancelled. Not even the length of all else, which tells that of a password.
#[must_use]
pub fn without_secrets(output: &[u8]) -> Vec<u8> {
    let mut shown = Vec::new();
    for line in output.split_inclusive(|octet| *octet == b'\n') {
        let said = line.strip_suffix(b"\n").unwrap_or(line);
        let said = said.strip_suffix(b"\r").unwrap_or(said);
        let spaces = || said.iter().enumerate().filter(|(_, octet)| **octet == b' ');
        let open = match said.starts_with(b"AUTH ") {
            true => spaces().nth(1).map_or(said.len(), |(at, _)| at + 1),
            false => 0,
        };
        let rest = &said[open..];
        shown.extend_from_slice(&said[..open]);
        shown.extend_from_slice(if matches!(rest, b"" | b"*") { rest } else { HIDDEN });
        shown.extend_from_slice(&line[said.len()..]);
    }
    shown
}
