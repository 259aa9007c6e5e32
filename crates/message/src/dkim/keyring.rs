//! Whose key signs what: by the domain of the author.

use super::canon::Canons;
use super::key::Key;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One who signs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signer {
    /// `d=`: an A-label in lower case.
    pub domain: String,
    /// `s=`
    pub selector: String,
    /// With this key.
    pub key: Arc<Key>,
    /// `c=`
    pub canons: Canons,
    /// It signs for the subdomains of its domain, too, where these have no key of their own.
    pub subdomains: bool,
    /// It signs the mail of strangers, too.
    pub strangers: bool,
    /// How long its signatures count (`x=`); `None`: for ever.
    pub valid_for: Option<Duration>,
}

/// All who sign.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Keyring(BTreeMap<String, Vec<Arc<Signer>>>);

impl Keyring {
    /// Of these.
    #[must_use]
    pub fn new(signers: impl IntoIterator<Item = Signer>) -> Self {
        let mut ring: BTreeMap<String, Vec<Arc<Signer>>> = BTreeMap::new();
        for signer in signers {
            ring.entry(signer.domain.clone()).or_default().push(Arc::new(signer));
        }
        Self(ring)
    }

    /// Nobody signs anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether anybody would sign mail of strangers.
    #[must_use]
    pub fn signs_strangers(&self) -> bool {
        self.0.values().flatten().any(|signer| signer.strangers)
    }

    /// Who signs for this domain: its own keys, else those of the nearest parent that signs for subdomains.
    #[must_use]
    pub fn signers(&self, domain: &str) -> Vec<Arc<Signer>> {
        let name = idna::domain_to_ascii(domain.trim_end_matches('.'));
        let Ok(name) = name else { return Vec::new() };
        if let Some(own) = self.0.get(&name) {
            return own.clone();
        }
        let mut rest = name.as_str();
        while let Some((_, parent)) = rest.split_once('.') {
            let signers = self.0.get(parent).into_iter().flatten();
            let willing: Vec<_> = signers.filter(|signer| signer.subdomains).cloned().collect();
            if !willing.is_empty() {
                return willing;
            }
            rest = parent;
        }
        Vec::new()
    }
}
