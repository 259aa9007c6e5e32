//! The commands of one transaction, with the parameters that the server understands (RFC 5321 section 4.1.1,
//! RFC 1870, 3461, 6152, 6531, 6533).
//!
//! Not here: when each is sent (`transaction`).

use super::Capabilities;
use crate::xtext;
use posthaste_mail::envelope::{Notify, Ret};
use posthaste_mail::{BodyType, Envelope, Recipient, ReversePath};

/// One mail transaction to be.
#[derive(Clone, PartialEq, Debug)]
pub struct Transaction<'a> {
    /// RFC 5321 section 4.1.1.2.
    pub reverse_path: &'a ReversePath,
    /// In order; replies are attributed by their number here. Not empty.
    pub recipients: Vec<&'a Recipient>,
    /// Octets of content, trace header included: what SIZE= says; 0, which no message has, says nothing.
    pub size: u64,
    /// The content has octets above 127 or was declared to.
    pub eight_bit: bool,
    /// Addresses or header need SMTPUTF8.
    pub smtputf8: bool,
    /// RFC 3461 section 4.3.
    pub ret: Option<Ret>,
    /// RFC 3461 section 4.4, decoded.
    pub envid: Option<&'a str>,
}

/// Why the server will not, or must not, get the message as it is. The agent decides what that means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Obstacles {
    /// Over the announced limit, which is this many octets.
    pub over_size: Option<u64>,
    /// 8-bit content, no 8BITMIME.
    pub no_eight_bit: bool,
    /// SMTPUTF8 is needed and not offered.
    pub no_smtputf8: bool,
}

impl<'a> Transaction<'a> {
    /// For these recipients (by their number in the envelope; unknown numbers are left out). SMTPUTF8 is taken to be
    /// needed when an address that will be sent is not ASCII; set it when the header needs it.
    #[must_use]
    pub fn of(envelope: &'a Envelope, recipients: &[u32]) -> Self {
        let chosen = recipients.iter().filter_map(|&n| envelope.recipients.get(n as usize));
        let recipients: Vec<_> = chosen.collect();
        let sender = envelope.reverse_path.mailbox().map_or("", |m| m.as_str());
        let ascii = sender.is_ascii() && recipients.iter().all(|r| r.mailbox.as_str().is_ascii());
        Self {
            reverse_path: &envelope.reverse_path,
            recipients,
            size: envelope.facts.size,
            eight_bit: envelope.facts.eight_bit || envelope.body_type == BodyType::EightBitMime,
            smtputf8: !ascii,
            ret: envelope.ret,
            envid: envelope.envid.as_deref(),
        }
    }

    /// What stands against sending it to such a server.
    #[must_use]
    pub fn obstacles(&self, offers: &Capabilities) -> Obstacles {
        Obstacles {
            over_size: offers.size.filter(|&limit| self.size > limit),
            no_eight_bit: self.eight_bit && !offers.eight_bit_mime,
            no_smtputf8: self.smtputf8 && !offers.smtputf8,
        }
    }

    /// MAIL and every RCPT, a line each, with the parameters that such a server understands. DATA is not among them.
    #[must_use]
    pub fn commands(&self, offers: &Capabilities) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 * (self.recipients.len() + 2));
        self.mail(offers, &mut out);
        for recipient in &self.recipients {
            rcpt(recipient, offers, self.smtputf8, &mut out);
        }
        out
    }

    fn mail(&self, offers: &Capabilities, out: &mut Vec<u8>) {
        let sender = self.reverse_path.mailbox().map_or("", |mailbox| mailbox.as_str());
        text(out, &["MAIL FROM:<", sender, ">"]);
        if offers.size_announced && self.size > 0 {
            text(out, &[" SIZE=", &self.size.to_string()]);
        }
        if offers.eight_bit_mime && self.eight_bit {
            out.extend_from_slice(b" BODY=8BITMIME");
        }
        if offers.smtputf8 && self.smtputf8 {
            out.extend_from_slice(b" SMTPUTF8");
        }
        if offers.dsn {
            match self.ret {
                Some(Ret::Full) => out.extend_from_slice(b" RET=FULL"),
                Some(Ret::Hdrs) => out.extend_from_slice(b" RET=HDRS"),
                None => {}
            }
            if let Some(envid) = self.envid {
                out.extend_from_slice(b" ENVID=");
                xtext::encode(envid, out);
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn rcpt(recipient: &Recipient, offers: &Capabilities, smtputf8: bool, out: &mut Vec<u8>) {
    text(out, &["RCPT TO:<", recipient.mailbox.as_str(), ">"]);
    if offers.dsn {
        if let Some(wanted) = recipient.notify {
            text(out, &[" NOTIFY=", notify(wanted)]);
        }
        if let Some((kind, address)) = recipient.orcpt.as_deref().and_then(|o| o.split_once(';')) {
            text(out, &[" ORCPT=", kind, ";"]);
            if kind.eq_ignore_ascii_case("utf-8") {
                xtext::encode_utf8_address(address, offers.smtputf8 && smtputf8, out);
            } else {
                xtext::encode(address, out);
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

const fn notify(wanted: Notify) -> &'static str {
    match (wanted.success, wanted.failure, wanted.delay) {
        (false, false, false) => "NEVER",
        (true, false, false) => "SUCCESS",
        (false, true, false) => "FAILURE",
        (false, false, true) => "DELAY",
        (true, true, false) => "SUCCESS,FAILURE",
        (true, false, true) => "SUCCESS,DELAY",
        (false, true, true) => "FAILURE,DELAY",
        (true, true, true) => "SUCCESS,FAILURE,DELAY",
    }
}

fn text(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}
