//! `[[certificate]]`, and what a `[[listener]]` asks of clients under TLS.
//!
//! Authorities of clients are read with the configuration, so that a wrong file is a wrong setting, and a changed one
//! counts after a reload. Not here: reading our own certificates (`crate::certificates`).

use super::file::Surroundings;
use super::read::Section;
use super::setting::{Text, Word};
use super::tls_roots;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use posthaste_io::Clients;
use posthaste_reception::{Certified, Listener, ListenerKind, ListenerTls};
use std::path::PathBuf;

const MAX_CERTIFICATES: usize = 100;
const KEY: &str = "sha256:";

/// A certificate of ours: its chain and its key, PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CertificateFiles {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

/// `client_certificates` of a listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ClientCertificates {
    Off,
    Ask,
    Require,
}

/// Who of the clients may relay.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Relays(Certified);

/// Our certificates in order.
pub(super) fn certificates(top: &Section<'_, '_>, around: &Surroundings) -> Vec<CertificateFiles> {
    let sections = top.list("certificate");
    if sections.len() > MAX_CERTIFICATES {
        top.complain("certificate", format!("there are more than {MAX_CERTIFICATES} certificates"));
    }
    let mut certificates = Vec::new();
    for section in sections {
        let path = |key: &'static str, example: &str| {
            let path: Option<PathBuf> = section.take_optional(key, "needed");
            if path.is_none() && !section.has(key) {
                let what = format!("`certificate.{key}` is missing; write {key} = \"{example}\"");
                section.complain(key, what);
            }
            path.map(|path| around.folder.join(path))
        };
        let chain = path("chain", "/etc/posthaste/mail.example.org.pem");
        let key = path("key", "/etc/posthaste/mail.example.org.key");
        if let Some((chain, key)) = chain.zip(key) {
            certificates.push(CertificateFiles { chain, key });
        }
        section.finish();
    }
    certificates
}

/// The files of authorities that listeners name.
pub(super) fn client_roots(top: &Section<'_, '_>, around: &Surroundings) -> Vec<PathBuf> {
    let named = |section: &Section<'_, '_>| section.strings("client_roots");
    let paths =
        top.list("listener").iter().flat_map(named).map(|(path, _)| path).collect::<Vec<_>>();
    paths.into_iter().map(|path| around.folder.join(path)).collect()
}

/// When a listener's sessions are secured, and what is asked of its clients.
pub(super) fn listener(
    section: &Section<'_, '_>,
    around: &Surroundings,
    listener: Listener,
) -> Listener {
    let tls = section.take("tls", ListenerTls::default());
    care_for_port(section, listener.address.port(), tls);
    let ask = section.take("client_certificates", ClientCertificates::Off);
    let roots: Option<PathBuf> =
        section.take_optional("client_roots", "nobody vouches for clients");
    let relays: Vec<Relays> = section.take("relay_certificates", Vec::new());
    let complain = |key: &str, what: &str| section.complain(key, what);
    if tls == ListenerTls::Off && ask != ClientCertificates::Off {
        complain(
            "client_certificates",
            "without TLS no client shows a certificate; write tls = \"starttls\"",
        );
    }
    if ask == ClientCertificates::Off && !relays.is_empty() {
        let what = "clients are not asked for certificates; write client_certificates = \"ask\"";
        complain("relay_certificates", what);
    }
    if listener.kind == ListenerKind::Submission && !relays.is_empty() {
        let what = "users log in at a listener of the kind \"submission\"; certificates open the kinds \"relay\" and \"mx\"";
        complain("relay_certificates", what);
    }
    let named = relays.iter().any(|relay| matches!(relay.0, Certified::Name(_)));
    if roots.is_none() && (named || ask == ClientCertificates::Require) {
        let what = "`listener.client_roots` is missing: who vouches for the names of clients; write client_roots = \
                    \"/etc/posthaste/client-ca.pem\"";
        complain("client_certificates", what);
    }
    let pem = roots.map(|path| tls_roots::read_checked(&around.folder.join(path)));
    let pem = pem.and_then(|read| read.map_err(|what| complain("client_roots", &what)).ok());
    let clients = match (ask, pem) {
        (ClientCertificates::Off, _) => Clients::Unasked,
        (ClientCertificates::Ask, pem) => Clients::Asked(pem),
        (ClientCertificates::Require, pem) => Clients::Required(pem.unwrap_or_else(|| "".into())),
    };
    let relay_certificates = relays.into_iter().map(|relay| relay.0).collect();
    Listener { tls, clients, relay_certificates, ..listener }
}

/// At ports that are agreed upon, clients know when TLS begins (RFC 5321, RFC 6409, RFC 8314 section 3.3).
fn care_for_port(section: &Section<'_, '_>, port: u16, tls: ListenerTls) {
    let what = match (port, tls) {
        (465, ListenerTls::Off | ListenerTls::StartTls) => {
            "at port 465 clients begin TLS with the first octet, and this listener greets them in clear: nobody gets \
             through; write tls = \"implicit\", or take port 587"
        }
        (25, ListenerTls::Implicit) => {
            "at port 25 other mail servers speak in clear first and begin TLS with STARTTLS: none of them gets through; \
             write tls = \"starttls\""
        }
        (587, ListenerTls::Implicit) => {
            "at port 587 clients speak in clear first and begin TLS with STARTTLS: they do not get through; write tls = \
             \"starttls\", or take port 465"
        }
        _ => return,
    };
    section.warn(if section.has("tls") { "tls" } else { "address" }, what);
}

impl Word for ClientCertificates {
    const WORDS: &'static [(&'static str, Self)] =
        &[("off", Self::Off), ("ask", Self::Ask), ("require", Self::Require)];
}

impl Text for Relays {
    const EXPECTED: &'static str = "a name in certificates such as \"mail.example.org\", or \"sha256:\" and the SHA-256 of a key in \
                                    hexadecimal or base64";

    fn from_text(text: &str) -> Result<Self, String> {
        let Some(hash) = text.strip_prefix(KEY) else {
            if text.is_empty() || text.contains(char::is_control) || text.contains('*') {
                return Err(format!("\"{text}\" is no name in a certificate"));
            }
            return Ok(Self(Certified::Name(text.to_ascii_lowercase())));
        };
        let octets =
            hexadecimal(hash).or_else(|| BASE64_STANDARD.decode(hash).ok()?.try_into().ok());
        let wrong = || format!("\"{hash}\" is not 32 octets in hexadecimal or base64");
        octets.map(|key| Self(Certified::Key(key))).ok_or_else(wrong)
    }

    fn to_text(&self) -> String {
        match &self.0 {
            Certified::Name(name) => name.clone(),
            Certified::Key(key) => format!("{KEY}{}", BASE64_STANDARD.encode(key)),
        }
    }
}

/// 32 octets, with or without colons.
fn hexadecimal(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.bytes().filter(|octet| *octet != b':').collect();
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let octets: Option<Vec<u8>> = digits.chunks(2).map(octet).collect();
    octets?.try_into().ok().filter(|_| digits.len() == 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Config};
    use std::path::Path;

    fn load(folder: &Path, text: &str) -> Result<Config, String> {
        let file = folder.join("p.toml");
        std::fs::write(&file, text).unwrap();
        config::load(Some(&file), false).map(|loaded| loaded.config).map_err(|e| e.to_string())
    }

    #[test]
    fn certificates_and_doors_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let params = rcgen::CertificateParams::new(vec!["ca.example".into()]).unwrap();
        let pem = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
        std::fs::write(dir.path().join("ca.pem"), &pem).unwrap();
        let hash = "ab".repeat(32);
        let text = format!(
            "[[certificate]]\nchain = \"a.pem\"\nkey = \"/x/a.key\"\n\
             [[listener]]\naddress = \"127.0.0.1:4650\"\ntls = \"implicit\"\n\
             client_certificates = \"ask\"\nclient_roots = \"ca.pem\"\n\
             relay_certificates = [\"Mail.Client.example\", \"sha256:{hash}\"]\n"
        );
        let config = load(dir.path(), &text).unwrap();
        let files = CertificateFiles { chain: dir.path().join("a.pem"), key: "/x/a.key".into() };
        assert_eq!(config.certificates, [files]);
        let listener = &config.listeners[0];
        assert_eq!(listener.tls, ListenerTls::Implicit);
        assert_eq!(listener.clients, Clients::Asked(Some(pem.into())));
        let named = Certified::Name("mail.client.example".into());
        assert_eq!(listener.relay_certificates, [named, Certified::Key([0xab; 32])]);
        let plain = load(dir.path(), "").unwrap();
        assert_eq!(plain.listeners[0].tls, ListenerTls::StartTls);
        assert!(plain.certificates.is_empty());
    }

    #[test]
    fn what_does_not_fit_together_is_told() {
        let dir = tempfile::tempdir().unwrap();
        for (text, expected) in [
            ("[[certificate]]\nchain = \"a\"", "`certificate.key` is missing; write key = "),
            ("[[listener]]\ntls = \"always\"", "allowed: \"off\" or \"starttls\" or \"implicit\""),
            (
                "[[listener]]\ntls = \"off\"\nclient_certificates = \"ask\"",
                "without TLS no client shows",
            ),
            (
                "[[listener]]\nrelay_certificates = \"a.example\"",
                "write client_certificates = \"ask\"",
            ),
            (
                "[[listener]]\nclient_certificates = \"ask\"\nrelay_certificates = \"a.example\"",
                "`listener.client_roots` is missing",
            ),
            (
                "[[listener]]\nclient_certificates = \"require\"",
                "`listener.client_roots` is missing",
            ),
            (
                "[[listener]]\nclient_certificates = \"ask\"\nclient_roots = \"none.pem\"",
                "none.pem: No such file",
            ),
            (
                "[[listener]]\nclient_certificates = \"ask\"\nrelay_certificates = \"sha256:abc\"",
                "is not 32 octets in hexadecimal or base64",
            ),
            (
                "[[listener]]\nkind = \"submission\"\nclient_certificates = \"ask\"\nrelay_certificates = \"sha256:",
                "is not 32 octets",
            ),
        ] {
            let text =
                if text.ends_with("sha256:") { format!("{text}\"") } else { text.to_owned() };
            let told = load(dir.path(), &text).unwrap_err();
            assert!(told.contains(expected), "{text}: {told}");
        }
    }
}
