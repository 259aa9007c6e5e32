//! One message on its way in: its header section is held, its body is hashed as it comes; at the end there are signature
//! fields to be put in front.

use super::body::{BodyHash, HASH};
use super::canon::{Canon, Raw, raw_fields};
use super::choice::chosen;
use super::field::{NAME, Says, signed, signed_octets, unsigned};
use super::keyring::{Keyring, Signer};
use super::record::tags;
use crate::addresses::{Entry, addresses};
use posthaste_mail::Timestamp;
use posthaste_mail::envelope::SignedBy;
use std::sync::Arc;

/// The most octets of a header section that is signed. A longer one is no message of a person or a program in its mind, and
/// goes out as it came.
pub const MAX_HEADER: usize = 64 * 1024;

/// Signs a message while it streams.
#[derive(Debug)]
pub struct Signing {
    ring: Arc<Keyring>,
    /// The domain of the reverse-path, for messages without an author.
    sender: Option<String>,
    stranger: bool,
    /// See [`Signing::withhold`].
    withheld: bool,
    header: Vec<u8>,
    /// So many octets of the header were searched for its end.
    searched: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The header section is not whole.
    Header,
    /// It is; these sign.
    Body(Vec<Arc<Signer>>, Vec<(Canon, BodyHash)>),
    /// Nobody signs.
    Not(Unsigned),
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Signed {
    /// Signature fields with their line ends, to be put in front of all others; empty when nobody signed.
    pub fields: String,
    /// Who signed.
    pub by: Vec<SignedBy>,
    /// Why nobody did, when it is not simply nobody's to sign.
    pub unsigned: Option<Unsigned>,
}

/// Why a message is not signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsigned {
    /// There is no key for its author.
    NoKey,
    /// It has these signatures already.
    Already,
    /// Its header section has a line that is no field, so that no signature would hold.
    NoField,
    /// Its header section is longer than [`MAX_HEADER`].
    HeaderTooLong,
    /// Whoever sends it may not speak for its author.
    NotTheirs,
}

impl Unsigned {
    /// There was a key, and nobody has signed it: the operator may want to know.
    #[must_use]
    pub const fn is_a_pity(self) -> bool {
        matches!(self, Self::NoField | Self::HeaderTooLong | Self::NotTheirs)
    }
}

impl Signing {
    /// Before the first octet. `sender` is the domain of the reverse-path; `stranger`: who sends it is none of ours.
    #[must_use]
    pub fn new(ring: Arc<Keyring>, sender: Option<String>, stranger: bool) -> Self {
        let (header, state) = (Vec::new(), State::Header);
        Self { ring, sender, stranger, withheld: false, header, searched: 0, state }
    }

    /// Whoever sends it may not speak for its author: there will be no signature.
    pub const fn withhold(&mut self) {
        self.withheld = true;
    }

    /// Takes the next octets of the message, without what we put in front of it. Lines end with CRLF.
    pub fn feed(&mut self, octets: &[u8]) {
        match &mut self.state {
            State::Not(_) => {}
            State::Body(_, hashes) => {
                for (_, hash) in hashes {
                    hash.feed(octets);
                }
            }
            State::Header => self.feed_header(octets),
        }
    }

    fn feed_header(&mut self, octets: &[u8]) {
        let before = self.header.len();
        let room = (MAX_HEADER + 4).saturating_sub(before);
        self.header.extend_from_slice(&octets[..octets.len().min(room)]);
        let from = self.searched.saturating_sub(3);
        self.searched = self.header.len();
        let end = match self.header.starts_with(b"\r\n") {
            true => Some(2),
            false => {
                memchr::memmem::find(&self.header[from..], b"\r\n\r\n").map(|at| from + at + 4)
            }
        };
        match end {
            Some(end) => {
                self.header.truncate(end);
                self.begin_body();
                self.feed(&octets[end - before..]);
            }
            None if self.header.len() > MAX_HEADER => self.give_up(Unsigned::HeaderTooLong),
            None => {}
        }
    }

    fn give_up(&mut self, why: Unsigned) {
        self.header = Vec::new();
        self.state = State::Not(why);
    }

    fn begin_body(&mut self) {
        let signers = match raw_fields(&self.header) {
            Ok(fields) => self.signers(&fields),
            Err(_) => Err(Unsigned::NoField),
        };
        match signers {
            Err(why) => self.give_up(why),
            Ok(signers) => {
                let mut hashes: Vec<(Canon, BodyHash)> = Vec::new();
                for canon in signers.iter().map(|signer| signer.canons.body) {
                    if !hashes.iter().any(|(known, _)| *known == canon) {
                        hashes.push((canon, BodyHash::new(canon)));
                    }
                }
                self.state = State::Body(signers, hashes);
            }
        }
    }

    fn signers(&self, fields: &[Raw<'_>]) -> Result<Vec<Arc<Signer>>, Unsigned> {
        let author = author_domain(fields).or_else(|| self.sender.clone());
        let signers = author.map(|domain| self.ring.signers(&domain)).unwrap_or_default();
        let willing: Vec<_> =
            signers.into_iter().filter(|signer| signer.strangers || !self.stranger).collect();
        if willing.is_empty() {
            return Err(Unsigned::NoKey);
        }
        let there: Vec<(String, String)> = fields.iter().filter_map(signature_of).collect();
        let missing = |signer: &Arc<Signer>| {
            !there
                .iter()
                .any(|(d, s)| *d == signer.domain && s.eq_ignore_ascii_case(&signer.selector))
        };
        let missing: Vec<_> = willing.into_iter().filter(missing).collect();
        if missing.is_empty() { Err(Unsigned::Already) } else { Ok(missing) }
    }

    /// All octets have come: signs.
    #[must_use]
    pub fn finish(mut self, now: Timestamp) -> Signed {
        if matches!(self.state, State::Header) {
            self.begin_body();
        }
        let (signers, hashes) = match self.state {
            State::Body(..) if self.withheld => {
                return Signed { unsigned: Some(Unsigned::NotTheirs), ..Signed::default() };
            }
            State::Body(signers, hashes) => (signers, hashes),
            State::Header => return Signed::default(),
            State::Not(why) => {
                let told = (why != Unsigned::NoKey).then_some(why);
                return Signed { unsigned: told, ..Signed::default() };
            }
        };
        let hashes: Vec<(Canon, [u8; HASH])> =
            hashes.into_iter().map(|(canon, hash)| (canon, hash.finish())).collect();
        let fields = raw_fields(&self.header).expect("they were read when the body began");
        let mut all = Signed::default();
        for signer in signers {
            let hash = hashes.iter().find(|(canon, _)| *canon == signer.canons.body);
            let (_, hash) = hash.expect("each canonical form that is wanted was hashed");
            all.fields.push_str(&sign(&signer, &fields, hash, now));
            let (domain, selector) = (signer.domain.clone(), signer.selector.clone());
            all.by.push(SignedBy { domain, selector });
        }
        all
    }
}

fn sign(signer: &Signer, fields: &[Raw<'_>], body_hash: &[u8], now: Timestamp) -> String {
    let says = Says {
        algorithm: signer.key.algorithm(),
        canons: signer.canons,
        domain: &signer.domain,
        selector: &signer.selector,
        at: now,
        until: signer.valid_for.map(|time| now.plus(time)),
    };
    let chosen = chosen(fields);
    let names: Vec<&str> = chosen.iter().map(|(name, _)| *name).collect();
    let unsigned = unsigned(&says, &names, body_hash);
    let there = chosen.iter().filter_map(|(_, field)| *field);
    let octets = signed_octets(signer.canons.header, there, &unsigned);
    signed(unsigned, &signer.key.sign(&octets))
}

/// The domain of the first mailbox of `From:`.
fn author_domain(fields: &[Raw<'_>]) -> Option<String> {
    let from = fields.iter().find(|field| field.name.eq_ignore_ascii_case(b"From"))?;
    let colon = memchr::memchr(b':', from.lines)?;
    let first = addresses(&from.lines[colon + 1..]).into_iter().find_map(|entry| match entry {
        Entry::Address(address) => Some(address),
        Entry::Unusable(_) => None,
    });
    first?.domain
}

/// Domain and selector of a signature that is there already.
fn signature_of(field: &Raw<'_>) -> Option<(String, String)> {
    if !field.name.eq_ignore_ascii_case(NAME.as_bytes()) {
        return None;
    }
    let text = String::from_utf8_lossy(field.lines);
    let (_, value) = text.split_once(':')?;
    let tags = tags(value).ok()?;
    let tag =
        |name| tags.iter().find(|(tag, _)| *tag == name).map(|(_, value)| value.to_lowercase());
    Some((tag("d")?, tag("s")?))
}
