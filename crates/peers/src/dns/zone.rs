//! A zone as a test writes it: one record per line, names whole.
//!
//! ```text
//! # owner [ttl] type data
//! example.org      MX 10 mx.example.org
//! mx.example.org   60 A 192.0.2.1
//! nomail.example   MX 0 .
//! alias.example    CNAME example.org
//! *.wild.example   A 192.0.2.9
//! example          SOA ns.example 2024010101 300   # primary, serial, negative TTL
//! ```
//!
//! A zone with an apex is what an authoritative server has: NS records below the apex delegate, and what it has
//! at or below the servers' names is their glue.

use super::octets::{Record, kind_of_data};
use posthaste_evidence::{RecordData, RecordType};
use std::collections::BTreeMap;

/// The TTL of records that give none, and of negative answers, seconds.
pub const DEFAULT_TTL: u32 = 300;

/// All that a server knows.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Zone {
    names: BTreeMap<String, Vec<(u32, RecordData)>>,
    negative_ttl: Option<u32>,
    /// Of a zone that is served with authority.
    apex: Option<String>,
}

/// A line of a zone's text is wrong; the test must be corrected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZoneError {
    /// Counted from 1.
    pub line: usize,
}

/// What a zone has for a question.
pub(super) enum Found<'a> {
    Records(Vec<&'a (u32, RecordData)>),
    Alias(u32, &'a str),
    NoData,
    NxDomain,
}

impl Zone {
    /// Reads the text form.
    ///
    /// # Errors
    /// The first line that cannot be read.
    pub fn parse(text: &str) -> Result<Self, ZoneError> {
        let mut zone = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or("").trim();
            if !line.is_empty() {
                let (name, ttl, data) = record(line).ok_or(ZoneError { line: number })?;
                zone.add(&name, ttl, data);
            }
        }
        Ok(zone)
    }

    /// Reads the text form of a zone that is served with authority; the root's apex is `.`. Without an SOA
    /// record at the apex it has serial 1 and [`DEFAULT_TTL`].
    ///
    /// # Errors
    /// The first line that cannot be read, or whose name is not in the zone.
    pub fn parse_at(apex: &str, text: &str) -> Result<Self, ZoneError> {
        let mut zone = Self::parse(text)?;
        let apex = lower(apex);
        if let Some(stray) = zone.names.keys().find(|name| !is_within(name, &apex)) {
            let has = |l: &str| word(l).is_some_and(|(name, _)| lower(name) == *stray);
            let line = text.lines().position(has).map_or(0, |at| at + 1);
            return Err(ZoneError { line });
        }
        zone.apex = Some(apex);
        Ok(zone)
    }

    /// Adds one record.
    pub fn add(&mut self, name: &str, ttl: u32, data: RecordData) {
        self.names.entry(lower(name)).or_default().push((ttl, data));
    }

    /// Removes every record of a name.
    pub fn remove(&mut self, name: &str) {
        self.names.remove(&lower(name));
    }

    /// How long negative answers may be kept, seconds; [`DEFAULT_TTL`] unless set.
    pub const fn set_negative_ttl(&mut self, seconds: u32) {
        self.negative_ttl = Some(seconds);
    }

    pub(super) fn apex(&self) -> Option<&str> {
        self.apex.as_deref()
    }

    /// The record that goes with a negative answer (RFC 2308 section 3).
    pub(super) fn soa(&self) -> Record {
        let owner = self.apex.clone().unwrap_or_default();
        let at_apex = self.of_kind(&owner, RecordType::Soa).next().map(|(_, data)| data.clone());
        let mut soa = at_apex.unwrap_or(RecordData::Soa {
            primary: "ns.test".into(),
            serial: 1,
            minimum: DEFAULT_TTL,
        });
        if let RecordData::Soa { minimum, .. } = &mut soa {
            *minimum = self.negative_ttl.unwrap_or(*minimum);
            let ttl = *minimum;
            return (owner, ttl, soa);
        }
        (owner, DEFAULT_TTL, soa)
    }

    /// The name of the child zone that `name` is in, when this zone delegates it.
    pub(super) fn cut(&self, name: &str) -> Option<&str> {
        let apex = self.apex()?;
        let cuts = self.names.iter().filter(|(owner, records)| {
            let delegates = records.iter().any(|(_, data)| matches!(data, RecordData::Ns(_)));
            delegates && owner.as_str() != apex && is_within(name, owner)
        });
        // The highest: what a parent has below a cut is glue.
        cuts.map(|(owner, _)| owner.as_str()).min_by_key(|owner| owner.len())
    }

    /// The records of a type at a name, without wildcards and aliases.
    pub(super) fn of_kind(
        &self,
        name: &str,
        kind: RecordType,
    ) -> impl Iterator<Item = &(u32, RecordData)> {
        let records = self.names.get(name).into_iter().flatten();
        records.filter(move |(_, data)| kind_of_data(data) == kind)
    }

    pub(super) fn find(&self, name: &str, kind: Option<RecordType>) -> Found<'_> {
        let wildcard = || self.names.get(&format!("*.{}", name.split_once('.')?.1));
        let Some(records) = self.names.get(name).or_else(wildcard) else {
            // A name with names below it exists, though empty (RFC 8020 section 2).
            let below = |known: &String| known != name && is_within(known, name);
            let exists = self.names.keys().any(below);
            return if exists { Found::NoData } else { Found::NxDomain };
        };
        let of_kind: Vec<_> =
            records.iter().filter(|(_, data)| Some(kind_of_data(data)) == kind).collect();
        if !of_kind.is_empty() {
            return Found::Records(of_kind);
        }
        let alias = records.iter().find_map(|(ttl, data)| match data {
            RecordData::Cname(target) => Some(Found::Alias(*ttl, target)),
            _ => None,
        });
        alias.unwrap_or(Found::NoData)
    }
}

/// The name is the zone's apex or below it.
pub(super) fn is_within(name: &str, apex: &str) -> bool {
    let above = name.strip_suffix(apex);
    apex.is_empty() || above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

/// Lower case, no final dot.
pub(super) fn lower(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn record(line: &str) -> Option<(String, u32, RecordData)> {
    let (name, rest) = word(line)?;
    let (second, after) = word(rest)?;
    let (ttl, kind, data) = match second.parse() {
        Ok(ttl) => word(after).map(|(kind, data)| (ttl, kind, data))?,
        Err(_) => (DEFAULT_TTL, second, after),
    };
    Some((lower(name), ttl, parse_data(kind, data)?))
}

fn parse_data(kind: &str, data: &str) -> Option<RecordData> {
    if data.is_empty() {
        return None;
    }
    Some(match kind {
        "A" => RecordData::A(data.parse().ok()?),
        "AAAA" => RecordData::Aaaa(data.parse().ok()?),
        "MX" => {
            let (preference, exchange) = word(data)?;
            let exchange = lower(Some(exchange).filter(|e| !e.is_empty())?);
            RecordData::Mx { preference: preference.parse().ok()?, exchange }
        }
        "CNAME" => RecordData::Cname(lower(data)),
        "PTR" => RecordData::Ptr(lower(data)),
        "NS" => RecordData::Ns(lower(data)),
        "TXT" => RecordData::Txt(data.trim_matches('"').to_owned()),
        "TLSA" => tlsa(data)?,
        "SOA" => soa(data)?,
        _ => return None,
    })
}

fn soa(data: &str) -> Option<RecordData> {
    let mut words = data.split_whitespace();
    let primary = lower(words.next()?);
    let (serial, minimum) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(RecordData::Soa { primary, serial, minimum })
}

fn tlsa(data: &str) -> Option<RecordData> {
    let mut words = data.split_whitespace();
    let mut number = || words.next()?.parse().ok();
    let (usage, selector, matching) = (number()?, number()?, number()?);
    let digits: String = words.collect();
    let octet = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let octets: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(octet).collect();
    Some(RecordData::Tlsa(usage, selector, matching, octets?))
}

/// The first word, and what follows it.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (end > 0).then(|| (&text[..end], text[end..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_read_and_wrong_lines_named() {
        let text = "# all\nA.example 60 A 192.0.2.1\n\nb.example MX 10 A.example.\nc.example CNAME b.example\n\
                    n.example MX 0 .\n*.w.example A 192.0.2.9 # wild\n_25._tcp.a.example TLSA 3 1 1 aBcd";
        let zone = Zone::parse(text).unwrap();
        let found = |name, kind| zone.find(name, Some(kind));
        assert!(matches!(found("a.example", RecordType::A), Found::Records(r) if r[0].0 == 60));
        assert!(matches!(found("a.example", RecordType::Mx), Found::NoData));
        assert!(matches!(found("c.example", RecordType::Mx), Found::Alias(300, "b.example")));
        assert!(matches!(found("x.w.example", RecordType::A), Found::Records(_)));
        assert!(matches!(found("w.example", RecordType::A), Found::NoData));
        assert!(matches!(found("_tcp.a.example", RecordType::A), Found::NoData));
        assert!(matches!(found("z.example", RecordType::A), Found::NxDomain));
        let tlsa = RecordData::Tlsa(3, 1, 1, vec![0xab, 0xcd]);
        assert!(matches!(found("_25._tcp.a.example", RecordType::Tlsa),
            Found::Records(r) if r[0].1 == tlsa));
        for wrong in ["x", "x A", "x A y", "x MX 10", "x MX a b", "x 5", "x WKS y", "x TLSA 1 1"] {
            assert_eq!(Zone::parse(&format!("\n{wrong}")), Err(ZoneError { line: 2 }), "{wrong}");
        }
    }
}
