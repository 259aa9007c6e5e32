//! `[[dkim]]`: keys that sign. They are read with the configuration, so that a broken one is a wrong setting, and a changed
//! one counts after a reload; while mail flows nothing can fail any more.
//!
//! Not here: signing (`posthaste_message::dkim`), what DNS says (`crate::verbs`).

use super::file::Surroundings;
use super::read::Section;
use super::setting::Text;
use posthaste_mail::Secret;
use posthaste_mail::address::check_domain_name;
use posthaste_mail::secret::MAX_SECRET;
use posthaste_message::dkim::{Canon, Canons, Key, Keyring, Signer};
use posthaste_route::domain::to_dns;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const MAX_KEYS: usize = 10_000;
/// Mail may wait for days before a receiver looks at the signature.
const SHORTEST: Duration = Duration::from_secs(86_400);
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
/// Who has the file of a key besides its owner may sign as we do.
const OTHERS: u32 = 0o077;

/// One `[[dkim]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DkimKey {
    /// `d=`, as an A-label.
    pub(crate) domain: String,
    /// `s=`
    pub(crate) selector: String,
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// It signs; else it is known only, to be shown and checked.
    pub(crate) sign: bool,
    pub(crate) subdomains: bool,
    pub(crate) strangers: bool,
    pub(crate) canons: Canons,
    pub(crate) valid_for: Option<Duration>,
    pub(crate) key: Arc<Key>,
}

impl DkimKey {
    pub(crate) fn signer(&self) -> Signer {
        Signer {
            domain: self.domain.clone(),
            selector: self.selector.clone(),
            key: Arc::clone(&self.key),
            canons: self.canons,
            subdomains: self.subdomains,
            strangers: self.strangers,
            valid_for: self.valid_for,
        }
    }
}

/// Those of the keys that sign.
pub(super) fn keyring(keys: &[DkimKey]) -> Arc<Keyring> {
    Arc::new(Keyring::new(keys.iter().filter(|key| key.sign).map(DkimKey::signer)))
}

pub(super) fn read(top: &Section<'_, '_>, around: &Surroundings) -> Vec<DkimKey> {
    let sections = top.list("dkim");
    if sections.len() > MAX_KEYS {
        top.complain("dkim", format!("there are more than {MAX_KEYS} sections [[dkim]]"));
    }
    let mut keys: Vec<DkimKey> = Vec::new();
    for section in sections {
        if let Some(key) = one(&section, around) {
            let same = |k: &&DkimKey| k.domain == key.domain && k.selector == key.selector;
            if keys.iter().any(|known| same(&known)) {
                let (s, d) = (&key.selector, &key.domain);
                section
                    .complain("selector", format!("the selector {s} of {d} stands in two places"));
            }
            keys.push(key);
        }
        section.finish();
    }
    keys
}

fn one(section: &Section<'_, '_>, around: &Surroundings) -> Option<DkimKey> {
    let domain = section.take_optional::<SigningDomain>("domain", "missing");
    let selector = section.take_optional::<Selector>("selector", "missing");
    let path = section.take_optional::<PathBuf>("key", "missing");
    let sign = section.take("sign", true);
    let subdomains = section.take("subdomains", false);
    let strangers = section.take("strangers", false);
    let canons = section.take("canonicalization", Canonical(Canons::default())).0;
    let valid_for = section.take_optional::<Duration>("valid_for", "for ever");
    if valid_for.is_some_and(|time| !(SHORTEST..=LONGEST).contains(&time)) {
        section.complain("valid_for", "`dkim.valid_for` must be from 1d to 366d");
    }
    for (key, there, example) in [
        ("domain", section.has("domain"), "domain = \"example.org\""),
        ("selector", section.has("selector"), "selector = \"s2026\""),
        ("key", section.has("key"), "key = \"dkim/example.org/s2026.pem\""),
    ] {
        if !there {
            let hint = "`posthaste dkim new DOMAIN` makes a key and prints the section";
            section.complain(key, format!("`dkim.{key}` is missing; write {example}; {hint}"));
        }
    }
    let path = around.folder.join(path?);
    let key = match load(&path) {
        Ok((key, mode)) => {
            if mode & OTHERS != 0 {
                let what = format!(
                    "{} can be read by others, who may then sign as {}; run: chmod 600 {}",
                    path.display(),
                    domain.as_ref().map_or("we do", |domain| domain.0.as_str()),
                    path.display()
                );
                section.warn("key", what);
            }
            key
        }
        Err(why) => {
            section.complain("key", format!("`dkim.key`: {why}"));
            return None;
        }
    };
    let (domain, selector, key) = (domain?.0, selector?.0, Arc::new(key));
    Some(DkimKey { domain, selector, path, sign, subdomains, strangers, canons, valid_for, key })
}

/// A key, and the mode of its file.
fn load(path: &Path) -> Result<(Key, u32), String> {
    let named = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let file = crate::regular::open(path).map_err(named)?;
    let mode = file.metadata().map_err(named)?.permissions().mode();
    let mut octets = Vec::with_capacity(MAX_SECRET + 1);
    let most = u64::try_from(MAX_SECRET + 1).unwrap_or(u64::MAX);
    let read = file.take(most).read_to_end(&mut octets);
    let text = Secret::new(octets);
    read.map_err(named)?;
    if text.expose().len() > MAX_SECRET {
        return Err(format!("{} is larger than any key", path.display()));
    }
    let key = Key::from_pem(&text).map_err(|bad| format!("{}: {bad}", path.display()))?;
    Ok((key, mode))
}

/// The name of a domain that can sign, as an A-label (RFC 6376 section 3.5: as in an address).
pub(crate) fn signing_domain(text: &str) -> Option<String> {
    to_dns(text).filter(|name| check_domain_name(name).is_ok())
}

/// The domain of a key, as an A-label.
#[derive(Clone, PartialEq, Eq, Debug)]
struct SigningDomain(String);

impl Text for SigningDomain {
    const EXPECTED: &'static str = "a domain name such as \"example.org\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let name = signing_domain(text);
        name.map(Self).ok_or_else(|| format!("\"{text}\" is not a domain name"))
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }
}

/// The name of a key within its domain (RFC 6376 section 3.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Selector(pub(crate) String);

impl Text for Selector {
    const EXPECTED: &'static str = "letters, digits, hyphens and underscores such as \"s2026\", in parts with dots between them";

    fn from_text(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let part = |p: &str| (1..=63).contains(&p.len()) && p.chars().all(plain);
        if text.len() > 63 || !text.split('.').all(part) {
            return Err(format!("\"{text}\" is not a selector"));
        }
        Ok(Self(text.to_lowercase()))
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }
}

/// `c=`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Canonical(Canons);

impl Text for Canonical {
    const EXPECTED: &'static str =
        "\"relaxed/relaxed\", \"relaxed/simple\", \"simple/relaxed\" or \"simple/simple\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let one = |word: &str| match word {
            "relaxed" => Ok(Canon::Relaxed),
            "simple" => Ok(Canon::Simple),
            other => Err(format!("\"{other}\" is no canonical form")),
        };
        let (header, body) = text.split_once('/').unwrap_or((text, "simple"));
        Ok(Self(Canons { header: one(header)?, body: one(body)? }))
    }

    fn to_text(&self) -> String {
        format!("{}/{}", self.0.header.as_str(), self.0.body.as_str())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::config;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    fn loaded(folder: &Path, text: &str) -> Result<config::Loaded, String> {
        let file = folder.join("p.toml");
        fs::write(&file, text).expect("the folder is ours");
        config::load(Some(&file), false).map_err(|error| error.to_string())
    }

    fn key_file(folder: &Path, mode: u32) {
        use aws_lc_rs::rand::SystemRandom;
        let der = aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new());
        let pem = crate::verbs::dkim_pem(der.expect("chance").as_ref());
        let path = folder.join("k.pem");
        fs::write(&path, pem.expose()).expect("ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("ours");
    }

    #[test]
    fn keys_are_read_with_the_settings() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        key_file(folder, 0o600);
        let section =
            "[[dkim]]\ndomain = \"B\u{fc}cher.example\"\nselector = \"S1\"\nkey = \"k.pem\"\n";
        let loaded_keys =
            loaded(folder, &format!("hostname = \"a.example\"\n{section}")).expect("good");
        assert!(loaded_keys.warnings.is_empty(), "{:?}", loaded_keys.warnings);
        let key = &loaded_keys.config.dkim[0];
        assert_eq!((key.domain.as_str(), key.selector.as_str()), ("xn--bcher-kva.example", "s1"));
        assert!(key.sign && !key.subdomains && !key.strangers && key.valid_for.is_none());
        let shown = loaded_keys.show();
        assert!(shown.contains("key = \"k.pem\"") && !shown.contains("PRIVATE"), "{shown}");
        let ring = super::keyring(&loaded_keys.config.dkim);
        assert_eq!(ring.signers("b\u{fc}cher.example").len(), 1);
        let off = loaded(folder, &format!("{section}sign = false\n")).expect("good");
        assert!(super::keyring(&off.config.dkim).is_empty());
    }

    #[test]
    fn what_is_wrong_with_a_key_is_told_with_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        key_file(folder, 0o644);
        fs::write(folder.join("rubbish"), "rubbish").expect("ours");
        let dkim = |domain: &str, selector: &str, key: &str, more: &str| {
            format!(
                "hostname = \"a.example\"\n[[dkim]]\ndomain = \"{domain}\"\nselector = \"{selector}\"\nkey = \"{key}\"\n{more}\n"
            )
        };
        let open = loaded(folder, &dkim("a.example", "s", "k.pem", "")).expect("good");
        assert!(open.warnings[0].what.contains("chmod 600"), "{:?}", open.warnings);
        let twice =
            dkim("a.example", "s", "k.pem", "") + &dkim("a.example", "s", "k.pem", "")[23..];
        for (text, expected) in [
            (dkim("a.example", "s", "none.pem", ""), ":5:7: `dkim.key`: cannot read"),
            (dkim("a.example", "s", "rubbish", ""), "it is no private key"),
            (dkim("a..example", "s", "k.pem", ""), "is not a domain name"),
            (dkim("exa mple.org", "s", "k.pem", ""), "\"exa mple.org\" is not a domain name"),
            (dkim("-", "s", "k.pem", ""), "is not a domain name"),
            (dkim("a/../b", "s", "k.pem", ""), "is not a domain name"),
            (dkim("a.example", "s s", "k.pem", ""), "is not a selector"),
            (dkim("a.example", "s", "k.pem", "valid_for = \"1h\""), "must be from 1d to 366d"),
            (dkim("a.example", "s", "k.pem", "canonicalization = \"nofws\""), "no canonical form"),
            (dkim("a.example", "s", "k.pem", "algoritm = 1"), "unknown setting `algoritm`"),
            ("[[dkim]]\nselector = \"s\"\n".to_owned(), "`dkim.domain` is missing"),
            (twice, "stands in two places"),
        ] {
            let why = loaded(folder, &text).map(|_| ()).expect_err(&text);
            assert!(why.contains(expected), "{why}");
        }
    }
}
