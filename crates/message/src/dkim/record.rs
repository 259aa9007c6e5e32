//! The record that publishes a key (RFC 6376 section 3.6.1): made for our keys, read as DNS has it.
//!
//! Not here: asking DNS.

use super::key::{Algorithm, Key};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The most octets of one string of a TXT record (RFC 1035 section 3.3).
const MAX_STRING: usize = 255;
/// The most octets of a record's text that are read.
const MAX_TEXT: usize = 16 * 1024;

/// A key record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// `k=`
    pub algorithm: Algorithm,
    /// `p=`, decoded; empty: the key is revoked.
    pub public: Vec<u8>,
    /// `t=y`: verifiers treat signatures as if there were none.
    pub testing: bool,
    /// `t=s`: `i=` must not be a subdomain of `d=`.
    pub strict: bool,
    /// `h=` is there and does not have `sha256`: our signatures do not count.
    pub not_sha256: bool,
    /// `s=` is there and has neither `email` nor `*`: our signatures do not count.
    pub not_email: bool,
}

/// A text that is no key record. Who publishes it must correct it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    /// `v=` is something else, or is not the first tag.
    #[error("it does not begin with v=DKIM1")]
    Version,
    /// No `=` where a tag should be, or a tag twice.
    #[error("`{0}` is no tag of the form name=value, or is there twice")]
    Tag(String),
    /// `p=` is missing.
    #[error("it has no p=, which is the key")]
    NoKey,
    /// `p=` is no base64.
    #[error("its p= is no base64")]
    NotBase64,
    /// `k=` is of a kind that is not known.
    #[error("its k={0} is neither rsa nor ed25519")]
    Kind(String),
    /// Longer than any record.
    #[error("it is longer than {MAX_TEXT} octets")]
    TooLong,
}

impl Record {
    /// The record that publishes this key.
    #[must_use]
    pub fn of(key: &Key) -> Self {
        Self {
            algorithm: key.algorithm(),
            public: key.public().to_vec(),
            testing: false,
            strict: false,
            not_sha256: false,
            not_email: false,
        }
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        format!("v=DKIM1; k={}; p={}", self.algorithm.key_type(), STANDARD.encode(&self.public))
    }

    /// Reads what DNS has, the strings of the record joined.
    ///
    /// # Errors
    /// [`RecordError`]
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        if text.len() > MAX_TEXT {
            return Err(RecordError::TooLong);
        }
        let tags = tags(text).map_err(RecordError::Tag)?;
        let tag = |name| tags.iter().find(|(tag, _)| *tag == name).map(|(_, value)| *value);
        let version = tags.iter().position(|(name, _)| *name == "v");
        if version.is_some_and(|at| at > 0 || tags[0].1 != "DKIM1") {
            return Err(RecordError::Version);
        }
        let algorithm = match tag("k") {
            None | Some("rsa") => Algorithm::RsaSha256,
            Some("ed25519") => Algorithm::Ed25519Sha256,
            Some(other) => return Err(RecordError::Kind(other.to_owned())),
        };
        let public = without_blanks(tag("p").ok_or(RecordError::NoKey)?);
        let public = STANDARD.decode(public).map_err(|_| RecordError::NotBase64)?;
        let list =
            |name| tag(name).map(|value| value.split(':').map(str::trim).collect::<Vec<_>>());
        let lacks = |name, wanted: &[&str]| {
            list(name).is_some_and(|list: Vec<&str>| !list.iter().any(|word| wanted.contains(word)))
        };
        let flag = |name| list("t").is_some_and(|flags| flags.contains(&name));
        Ok(Self {
            algorithm,
            public,
            testing: flag("y"),
            strict: flag("s"),
            not_sha256: lacks("h", &["sha256"]),
            not_email: lacks("s", &["email", "*"]),
        })
    }

    /// The size of its key in bits; `None` when it is no such key.
    #[must_use]
    pub fn bits(&self) -> Option<usize> {
        match self.algorithm {
            Algorithm::Ed25519Sha256 => (self.public.len() == 32).then_some(256),
            Algorithm::RsaSha256 => modulus_bits(&self.public),
        }
    }
}

/// The name under which the record is published.
#[must_use]
pub fn name(selector: &str, domain: &str) -> String {
    format!("{selector}._domainkey.{domain}")
}

/// The text of a TXT record as zone files have it: quoted strings of at most 255 octets.
#[must_use]
pub fn zone_strings(text: &str) -> String {
    let strings: Vec<String> = text
        .as_bytes()
        .chunks(MAX_STRING)
        .map(|part| format!("\"{}\"", String::from_utf8_lossy(part)))
        .collect();
    strings.join(" ")
}

/// `name=value` pairs between semicolons (RFC 6376 section 3.2).
///
/// # Errors
/// The text of what is no tag, or is there twice.
pub fn tags(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    let mut parts = text.split(';').peekable();
    while let Some(part) = parts.next() {
        let part = part.trim();
        if part.is_empty() && parts.peek().is_none() {
            break;
        }
        let (name, value) = part.split_once('=').ok_or_else(|| part.to_owned())?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || found.iter().any(|(known, _)| *known == name) {
            return Err(part.to_owned());
        }
        found.push((name, value));
    }
    Ok(found)
}

/// For values that may be folded.
pub(super) fn without_blanks(value: &str) -> String {
    value.chars().filter(|c| !c.is_ascii_whitespace()).collect()
}

/// The bits of the modulus in a SubjectPublicKeyInfo (RFC 5280 section 4.1), or in an RSAPublicKey alone (RFC 8017), which
/// some publish.
fn modulus_bits(der: &[u8]) -> Option<usize> {
    let (sequence, _) = element(der, 0x30)?;
    let key = match element(sequence, 0x30) {
        Some((_, rest)) => {
            let (bits, _) = element(rest, 0x03)?;
            element(bits.strip_prefix(&[0])?, 0x30)?.0
        }
        None => sequence,
    };
    let (modulus, _) = element(key, 0x02)?;
    let significant = modulus.iter().skip_while(|octet| **octet == 0).count();
    let first = modulus.iter().find(|octet| **octet != 0)?;
    Some(significant * 8 - first.leading_zeros() as usize)
}

/// The content of the DER element with this tag at the start, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if found != tag {
        return None;
    }
    let octets = usize::from(first & 0x7f);
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        _ if octets > 4 => return None,
        _ => {
            let length = rest.get(..octets)?.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
            (length, &rest[octets..])
        }
    };
    (length <= rest.len()).then(|| rest.split_at(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_as_dns_has_them() {
        let good =
            Record::parse("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
                .expect("a record");
        assert_eq!((good.algorithm, good.bits()), (Algorithm::Ed25519Sha256, Some(256)));
        let odd = Record::parse(" p = AQ ID ; t=y:s ; n=a note;").expect("a record");
        assert_eq!((odd.public.as_slice(), odd.testing, odd.strict), (&[1, 2, 3][..], true, true));
        assert_eq!(odd.bits(), None);
        let narrow = Record::parse("v=DKIM1; h=sha1; s=other; p=").expect("a record");
        assert!(narrow.public.is_empty() && narrow.not_sha256 && narrow.not_email);
        let wide = Record::parse("v=DKIM1; h=sha1 : sha256; s=*; p=AQID").expect("a record");
        assert!(!wide.not_sha256 && !wide.not_email);
        for (text, why) in [
            ("v=DKIM2; p=", RecordError::Version),
            ("p=; v=DKIM1", RecordError::Version),
            ("v=DKIM1; k=rsa", RecordError::NoKey),
            ("v=DKIM1; k=dsa; p=", RecordError::Kind("dsa".to_owned())),
            ("v=DKIM1; p=a", RecordError::NotBase64),
            ("v=DKIM1; p=; p=", RecordError::Tag("p=".to_owned())),
            ("v=DKIM1;; p=", RecordError::Tag(String::new())),
            ("hello", RecordError::Tag("hello".to_owned())),
            ("", RecordError::NoKey),
        ] {
            assert_eq!(Record::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn broken_keys_have_no_size() {
        for public in
            [&[][..], &[0x30], &[0x30, 0x84, 255, 255, 255, 255], &[0x30, 2, 2, 0], &[2; 40]]
        {
            let record =
                Record { public: public.to_vec(), ..Record::parse("p=").expect("a record") };
            assert_eq!(record.bits(), None, "{public:?}");
        }
    }

    #[test]
    fn long_texts_are_cut_for_zone_files() {
        assert_eq!(zone_strings("v=DKIM1; p=x"), "\"v=DKIM1; p=x\"");
        let long = "x".repeat(600);
        let lengths: Vec<usize> = zone_strings(&long).split(' ').map(str::len).collect();
        assert_eq!(lengths, [257, 257, 92]);
        assert_eq!(name("s", "example.org"), "s._domainkey.example.org");
    }
}
