//! What a certificate says of itself, read for people. Whether to believe it is not decided here.

use aws_lc_rs::digest::{SHA256, digest};
use posthaste_evidence::Certificate;
use posthaste_evidence::tls::{MAX_NAME, MAX_NAMES};
use posthaste_io::Reference;
use posthaste_mail::Timestamp;
use rustls::pki_types::ServerName;
use std::net::IpAddr;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

/// `None` when it cannot be read.
pub(super) fn read(der: &[u8]) -> Option<Certificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|n| &n.value.general_names).filter_map(name);
    let validity = certificate.validity();
    Some(Certificate {
        subject: text(certificate.subject()),
        names: names.take(MAX_NAMES).collect(),
        issuer: text(certificate.issuer()),
        not_before: Timestamp::from_secs(validity.not_before.timestamp()),
        not_after: Timestamp::from_secs(validity.not_after.timestamp()),
        key: key(&certificate),
    })
}

/// The names it is for, all of them; without any, its common name, as programs of old have it.
pub(super) fn names_of(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Vec::new() };
    let names = certificate.subject_alternative_name().ok().flatten();
    let names: Vec<String> =
        names.iter().flat_map(|n| &n.value.general_names).filter_map(name).collect();
    if !names.is_empty() {
        return names;
    }
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    common.map(str::to_owned).collect()
}

/// SHA-256 of the public key of a certificate; `None` when it cannot be read.
pub(super) fn key_of(der: &[u8]) -> Option<[u8; 32]> {
    X509Certificate::from_der(der).ok().map(|(_, certificate)| key(&certificate))
}

/// The names to verify the certificate with: those that are wanted as they are, and of those that it has the ones below a
/// wanted one.
pub(super) fn names_to_try(der: &[u8], wanted: &[Reference]) -> Vec<ServerName<'static>> {
    let mut names: Vec<ServerName<'static>> = Vec::new();
    for reference in wanted {
        match reference {
            Reference::Exactly(name) => names.extend(ServerName::try_from(name.clone())),
            Reference::Below(domain) => names.extend(own_below(der, domain)),
        }
    }
    names
}

/// The first of the certificate's names that is below the domain.
fn own_below(der: &[u8], domain: &str) -> Option<ServerName<'static>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok().flatten()?;
    names.value.general_names.iter().find_map(|name| {
        let GeneralName::DNSName(name) = name else { return None };
        let name = name.to_ascii_lowercase();
        // A wildcard stands for one label, whichever.
        let concrete = match name.strip_prefix("*.") {
            Some(parent) => format!("any.{parent}"),
            None => name,
        };
        let is_below = concrete.strip_suffix(domain)?.ends_with('.');
        is_below.then(|| ServerName::try_from(concrete).ok()).flatten()
    })
}

fn key(certificate: &X509Certificate<'_>) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, certificate.public_key().raw).as_ref());
    key
}

fn text(name: &X509Name<'_>) -> String {
    cut(name.to_string())
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(cut((*name).to_owned())),
        GeneralName::IPAddress(octets) => {
            let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            let ip = v4.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from));
            ip.ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_NAME));
    text
}
