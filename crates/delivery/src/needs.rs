//! What a message needs of a host before it can be handed over.

use posthaste_evidence::Fault;
use posthaste_evidence::observation::Choice;
use posthaste_mail::{BodyType, Envelope};
use posthaste_route::EightBit;
use posthaste_smtp::client::Capabilities;

/// What the host must offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Needs {
    /// SMTPUTF8 (RFC 6531 section 3.5).
    pub smtputf8: bool,
    /// 8BITMIME, because the route says `fail` (RFC 6152 section 3).
    pub eight_bit: bool,
    /// Octets; 0 for any.
    pub size: u64,
}

impl Needs {
    /// What this message needs on a route.
    #[must_use]
    pub fn of(envelope: &Envelope, eight_bit: EightBit) -> Self {
        let has_eight_bit =
            envelope.facts.eight_bit || envelope.body_type == BodyType::EightBitMime;
        Self {
            smtputf8: envelope.smtputf8 && needs_utf8(envelope),
            eight_bit: has_eight_bit && eight_bit == EightBit::Fail,
            size: envelope.facts.size,
        }
    }

    /// What of it the host does not offer.
    #[must_use]
    pub fn unmet(&self, offered: &Capabilities) -> Option<(Fault, Choice)> {
        if self.smtputf8 && !offered.smtputf8 {
            return Some((Fault::NeedsSmtpUtf8, Choice::NoSmtpUtf8));
        }
        if self.eight_bit && !offered.eight_bit_mime {
            return Some((Fault::NeedsEightBit, Choice::SentEightBitAsIs));
        }
        match offered.size {
            Some(limit) if limit > 0 && self.size > limit => {
                Some((Fault::OverPeersSize { limit }, Choice::OverPeersSize))
            }
            _ => None,
        }
    }
}

/// A client that says SMTPUTF8 by habit, for mail that is all ASCII, must not lose it at hosts without
/// (RFC 6531 section 3.4: the extension is needed for non-ASCII in envelope or header).
fn needs_utf8(envelope: &Envelope) -> bool {
    let ascii = |text: &str| text.is_ascii();
    let reverse = envelope.reverse_path.mailbox().is_none_or(|m| ascii(m.as_str()));
    let forward = envelope.recipients.iter().all(|r| ascii(r.mailbox.as_str()));
    !(reverse && forward) || envelope.facts.eight_bit_header
}
