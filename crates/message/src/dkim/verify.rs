//! The check of a signature with its record (RFC 6376 section 6): for what was signed here, before anybody else looks.
//!
//! Not here: judging the mail of others. `l=` and `i=` are not read, `x=` is not compared with a clock.

use super::body::BodyHash;
use super::canon::{Canon, Raw, push_field, raw_fields};
use super::field::NAME;
use super::key::Algorithm;
use super::record::{Record, tags, without_blanks};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ED25519, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Why a signature does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fails {
    /// There is no such signature, or it cannot be read.
    #[error("there is no signature that can be read")]
    Unreadable,
    /// The body is not what was signed.
    #[error("the body is not what was signed")]
    Body,
    /// The fields are not what was signed, or the key is another one.
    #[error("the header is not what was signed, or the key is another one")]
    Header,
}

/// Checks the signature number `which`, counted from the top, of a message with CRLF line ends.
///
/// # Errors
/// [`Fails`]
pub fn verify(message: &[u8], which: usize, record: &Record) -> Result<(), Fails> {
    let header = crate::header::section(message);
    let body = &message[header.len()..];
    let fields = raw_fields(header).map_err(|_| Fails::Unreadable)?;
    let signatures = fields.iter().filter(|f| f.name.eq_ignore_ascii_case(NAME.as_bytes()));
    let signature = *signatures.into_iter().nth(which).ok_or(Fails::Unreadable)?;
    let text = std::str::from_utf8(signature.lines).map_err(|_| Fails::Unreadable)?;
    let (_, value) = text.split_once(':').ok_or(Fails::Unreadable)?;
    let tags = tags(value).map_err(|_| Fails::Unreadable)?;
    let tag = |name| tags.iter().find(|(tag, _)| *tag == name).map(|(_, value)| *value);
    let octets = |name| STANDARD.decode(without_blanks(tag(name)?)).ok();
    let (header_canon, body_canon) = canons(tag("c").unwrap_or("simple"));
    let mut hash = BodyHash::new(body_canon);
    hash.feed(body);
    if octets("bh").ok_or(Fails::Unreadable)? != hash.finish() {
        return Err(Fails::Body);
    }
    let names = tag("h").ok_or(Fails::Unreadable)?;
    let mut hashed = Vec::new();
    let mut left: Vec<Raw<'_>> = fields.clone();
    for name in names.split(':').map(str::trim) {
        let found = left.iter().rposition(|f| f.name.eq_ignore_ascii_case(name.as_bytes()));
        if let Some(at) = found {
            push_field(header_canon, left.remove(at), &mut hashed);
            hashed.extend_from_slice(b"\r\n");
        }
    }
    let unsigned = without_signature(text).ok_or(Fails::Unreadable)?;
    push_field(header_canon, Raw { name: signature.name, lines: unsigned.as_bytes() }, &mut hashed);
    let signed = octets("b").ok_or(Fails::Unreadable)?;
    let algorithm = tag("a").ok_or(Fails::Unreadable)?;
    if algorithm != record.algorithm.as_str() {
        return Err(Fails::Header);
    }
    let good = match record.algorithm {
        Algorithm::Ed25519Sha256 => UnparsedPublicKey::new(&ED25519, &record.public)
            .verify(digest(&SHA256, &hashed).as_ref(), &signed),
        Algorithm::RsaSha256 => {
            UnparsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, &record.public)
                .verify(&hashed, &signed)
        }
    };
    good.map_err(|_| Fails::Header)
}

fn canons(text: &str) -> (Canon, Canon) {
    let one = |word: &str| if word == "relaxed" { Canon::Relaxed } else { Canon::Simple };
    let (header, body) = text.split_once('/').unwrap_or((text, "simple"));
    (one(header), one(body))
}

/// The field without the value of `b=`, whatever follows it.
fn without_signature(field: &str) -> Option<String> {
    let (name, value) = field.split_once(':')?;
    let mut out = format!("{name}:");
    for (at, part) in value.split(';').enumerate() {
        if at > 0 {
            out.push(';');
        }
        match part.split_once('=') {
            Some((tag, _)) if tag.trim() == "b" => {
                out.push_str(tag);
                out.push('=');
            }
            _ => out.push_str(part),
        }
    }
    Some(out)
}
