//! Signatures and their times, and what the zone above vouches for (RFC 4034, RFC 4035). No validation: tags,
//! algorithms and times are compared, digests are not.

use super::super::finding::{About, Problem};
use super::Case;
use crate::signed::{Standing, standing};
use posthaste_evidence::{Effect, RecordData};
use std::collections::BTreeMap;

/// Whose signatures are valid.
#[derive(Clone, Copy)]
pub(super) struct Valid {
    /// Those of the zone above over DS, or over that there is none.
    pub(super) above: bool,
    /// Those of the zone over its keys and its SOA.
    pub(super) zone: bool,
}

impl Case<'_> {
    pub(super) fn signing(&mut self) {
        let signing = &self.seen.signing;
        let vouched: Vec<(u16, u8)> = self
            .data(signing.ds)
            .filter_map(|(_, data)| match data {
                RecordData::Ds { key_tag, algorithm, .. } => Some((*key_tag, *algorithm)),
                _ => None,
            })
            .collect();
        if vouched.is_empty() {
            return;
        }
        let (zone, effect) = (About::Zone(self.zone()), self.unless_resolved());
        self.signature_above(effect);
        let has_key = self.data(signing.dnskey).any(|(_, data)| match data {
            RecordData::Dnskey { key_tag, algorithm, .. } => {
                vouched.contains(&(*key_tag, *algorithm))
            }
            _ => false,
        });
        if self.is_conclusive(signing.dnskey) && !has_key {
            let evidence = [signing.ds, signing.dnskey];
            self.find(Problem::DsWithoutKey, zone.clone(), effect, evidence);
        }
        let mut expired = Vec::new();
        let mut not_yet = Vec::new();
        let mut unsigned = Vec::new();
        for place in [signing.dnskey, signing.soa, signing.mx] {
            match self.signatures(place) {
                Some(Standing::Expired) => expired.push(place),
                Some(Standing::NotYet) => not_yet.push(place),
                Some(Standing::Valid) => {}
                None if self.is_answer(place) => unsigned.push(place),
                None => {}
            }
        }
        for (problem, places) in [
            (Problem::SignatureExpired, expired),
            (Problem::SignatureNotYet, not_yet),
            (Problem::Unsigned, unsigned),
        ] {
            if !places.is_empty() {
                self.find(problem, zone.clone(), effect, places);
            }
        }
    }

    /// The zone above signs what it vouches for; its time may be over, too.
    fn signature_above(&mut self, effect: Effect) {
        let ds = self.seen.signing.ds;
        let problem = match self.signatures(ds) {
            Some(Standing::Expired) => Problem::SignatureExpired,
            Some(Standing::NotYet) => Problem::SignatureNotYet,
            Some(Standing::Valid) | None => return,
        };
        let zones = self.seen.zones.iter().rev();
        let above = zones.skip(1).map(|zone| zone.name.clone()).next().unwrap_or_default();
        self.find(problem, About::Zone(above), effect, [ds]);
    }

    /// Whose signatures were seen, and are all valid now.
    pub(super) fn standing_of_signatures(&self) -> Valid {
        let signing = &self.seen.signing;
        let valid = |place| self.signatures(place) == Some(Standing::Valid);
        Valid { above: valid(signing.ds), zone: valid(signing.dnskey) && valid(signing.soa) }
    }

    /// The worst standing of what is signed in an answer: each type counts by its best signature.
    fn signatures(&self, place: Option<usize>) -> Option<Standing> {
        // Seconds modulo 2^32, as the records count (RFC 4034 section 3.1.5).
        let now = (self.now.as_micros().div_euclid(1_000_000) & 0xffff_ffff) as u32;
        let mut best: BTreeMap<u16, Standing> = BTreeMap::new();
        for (_, data) in self.data(place) {
            let RecordData::Rrsig { covers, inception, expiration, .. } = data else { continue };
            let one = standing(*inception, *expiration, now);
            let known = best.entry(*covers).or_insert(one);
            if one == Standing::Valid {
                *known = one;
            }
        }
        let bad = best.values().find(|standing| **standing != Standing::Valid);
        bad.or_else(|| best.values().next()).copied()
    }
}
