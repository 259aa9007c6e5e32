//! `[submission]`: how programs on this machine hand in mail.

use super::file::{Surroundings, path};
use super::kinds::Domain;
use super::read::{Preset, Section};
use std::path::{Path, PathBuf};

/// How programs on this machine hand in mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Submission {
    /// The domain of bare names.
    pub(crate) origin: Domain,
    /// Where the daemon listens for them, open to everybody who may come into its folder.
    pub(crate) socket: PathBuf,
    /// Where messages wait when the daemon does not run.
    pub(crate) pickup: PathBuf,
}

pub(super) fn read(
    section: Section<'_, '_>,
    hostname: &Domain,
    data: &Path,
    around: &Surroundings,
) -> Submission {
    let submission = Submission {
        origin: section.take("origin", Preset::because(hostname.clone(), "the hostname")),
        socket: path(&section, "socket", data.join("submit.sock"), around),
        pickup: path(&section, "pickup", data.join("pickup"), around),
    };
    section.finish();
    submission
}
