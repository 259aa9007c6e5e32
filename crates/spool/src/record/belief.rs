//! What the ledger keeps of domains: those said to be missing, and those that mail was delivered to.

use super::codes::Code;
use super::wire::{Damaged, Fields, Writer, push, zigzag};
use super::{Record, get_socket, get_time, need, put_socket, put_time};
use posthaste_mail::Timestamp;
use posthaste_queue::belief::{Claim, Proof};
use posthaste_queue::delivered::{MAX_IN_PART, Part};

/// The tags of these values in the record of a ledger's value; behind those of decisions and holds.
pub(super) const CLAIM: u32 = 50;
pub(super) const PART: u32 = 51;

const FINDING: u32 = 1;
const SINCE: u32 = 2;
const LAST: u32 = 3;
const AGAIN: u32 = 4;
const BY: u32 = 5;

impl Record for Claim {
    fn write(&self, w: &mut Writer) {
        w.number(FINDING, self.finding.code());
        put_time(w, SINCE, self.since, Timestamp::EPOCH);
        put_time(w, LAST, self.last, self.since);
        if let Some(proof) = &self.proof {
            // Written even when it is 0: it is what says that there is a proof.
            w.number_even_zero(AGAIN, zigzag(proof.again.as_micros()));
            for server in &proof.by {
                put_socket(w, BY, *server);
            }
        }
    }

    fn read(fields: Fields<'_>) -> Result<Self, Damaged> {
        let (mut finding, mut since, mut by) = (None, Timestamp::EPOCH, Vec::new());
        let (mut last, mut again) = (None, None);
        fields.each(|tag, value| {
            match tag {
                FINDING => finding = Some(Code::from_code(value.number()?)?),
                SINCE => since = get_time(value, Timestamp::EPOCH)?,
                LAST => last = Some(get_time(value, since)?),
                AGAIN => again = Some(get_time(value, Timestamp::EPOCH)?),
                BY => push(&mut by, get_socket(value)?)?,
                _ => {}
            }
            Ok(())
        })?;
        let proof = again.map(|again| Proof { again, by });
        let finding = need(finding, "a claim without what is missing")?;
        Ok(Self { finding, since, last: last.unwrap_or(since), proof })
    }
}

const NAME: u32 = 1;
const DOMAINS: u32 = 2;

impl Record for Part {
    fn write(&self, w: &mut Writer) {
        w.text(NAME, &self.name);
        let octets: Vec<u8> = self.domains.iter().flat_map(|d| d.to_le_bytes()).collect();
        w.bytes(DOMAINS, &octets);
    }

    fn read(fields: Fields<'_>) -> Result<Self, Damaged> {
        let mut part = Self::default();
        fields.each(|tag, value| {
            match tag {
                NAME => part.name = value.text()?,
                DOMAINS => {
                    let (all, rest) = value.bytes()?.as_chunks::<8>();
                    if !rest.is_empty() || all.len() > MAX_IN_PART {
                        return Err(Damaged("no list of domains"));
                    }
                    part.domains = all.iter().map(|octets| u64::from_le_bytes(*octets)).collect();
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(part)
    }
}
