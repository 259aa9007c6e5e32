//! Where delivery gets a password or a token when it must log in. Not here: reading files and running programs, which is the
//! front's; what is said with it (`smtp`).

use posthaste_evidence::SecretFault;
use posthaste_io::Task;
use posthaste_mail::Secret;
use posthaste_route::SecretSource;

/// Gives secrets. One at work for all connections.
pub trait Secrets: Send + Sync {
    /// The secret, fresh enough to be used now. Bounded in time.
    fn secret<'a>(&'a self, source: &'a SecretSource) -> Task<'a, Result<Secret, SecretFault>>;

    /// A host refused this secret: what is remembered of its source is not given a second time.
    fn refused(&self, source: &SecretSource, secret: &Secret);
}

/// Has none.
#[derive(Clone, Copy, Debug)]
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn secret<'a>(&'a self, _: &'a SecretSource) -> Task<'a, Result<Secret, SecretFault>> {
        Box::pin(std::future::ready(Err(SecretFault::Unset)))
    }

    fn refused(&self, _: &SecretSource, _: &Secret) {}
}
