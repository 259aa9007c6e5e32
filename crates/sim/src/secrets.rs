//! Passwords and tokens of the relay under test, as the operator has them at the moment.

use posthaste_evidence::SecretFault;
use posthaste_io::Task;
use posthaste_mail::Secret;
use posthaste_route::SecretSource;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// By what stands in the route. Clones share them.
#[derive(Clone, Default)]
pub struct Secrets {
    known: Arc<Mutex<BTreeMap<String, String>>>,
    asked: Arc<Mutex<u64>>,
}

impl Secrets {
    /// What the source gives from now on.
    pub fn set(&self, source: &SecretSource, secret: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(source.to_string(), secret.to_owned());
    }

    /// How often one was asked for.
    #[must_use]
    pub fn asked(&self) -> u64 {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl posthaste_delivery::Secrets for Secrets {
    fn secret<'a>(&'a self, source: &'a SecretSource) -> Task<'a, Result<Secret, SecretFault>> {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let secret = known.get(&source.to_string()).map(|secret| Secret::new(secret.as_str()));
        Box::pin(std::future::ready(secret.ok_or(SecretFault::Unset)))
    }

    fn refused(&self, _: &SecretSource, _: &Secret) {}
}
