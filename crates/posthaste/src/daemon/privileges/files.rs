//! The kernel keeps the process to its own folders (landlock(7)): what is not in reach can be neither read nor written,
//! and nothing can be executed, whoever the process is.
//!
//! Kernels differ in how much they can refuse; what they cannot is left out. Not here: which folders (`reach`).

use super::reach::{self, Reach};
use landlock::{
    ABI, Access as _, AccessFs, BitFlags, PathBeneath, PathFd, RestrictionStatus, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, make_bitflags,
};
use posthaste_admin::desk::Kept;
use std::path::PathBuf;

/// The rights we know of; a kernel that knows fewer refuses fewer.
const KNOWN: ABI = ABI::V6;
const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
/// To put a socket in place: it is made under another name, which replaces the old one.
const SOCKET: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadDir | MakeSock | RemoveFile});
/// Never where it writes: programs, devices, pipes, and links, which root might follow.
const NEVER: BitFlags<AccessFs> =
    make_bitflags!(AccessFs::{Execute | MakeChar | MakeBlock | MakeFifo | MakeSym | IoctlDev});

/// From now on; it cannot be undone. Answers how far it went.
pub(super) fn confine(reach: Reach) -> Kept {
    let kept = match restrict(&reach) {
        Ok(status) => match status.ruleset {
            RulesetStatus::FullyEnforced => Kept::Confined,
            RulesetStatus::PartiallyEnforced => Kept::Partly,
            RulesetStatus::NotEnforced => Kept::Open,
        },
        Err(error) => {
            tracing::warn!("the kernel does not keep the daemon to its folders: {error}");
            Kept::Open
        }
    };
    match kept {
        Kept::Open => {
            tracing::info!("this kernel cannot keep the daemon to its folders (landlock)")
        }
        Kept::Partly | Kept::Confined => reach::hold(reach),
    }
    kept
}

fn restrict(reach: &Reach) -> Result<RestrictionStatus, RulesetError> {
    let everything = AccessFs::from_all(KNOWN);
    let ruleset = Ruleset::default().handle_access(everything)?.scope(Scope::Signal)?.create()?;
    let ruleset = beneath(ruleset, &reach.read, READ)?;
    let ruleset = beneath(ruleset, &reach.write, everything & !NEVER)?;
    beneath(ruleset, &reach.sockets, SOCKET)?.restrict_self()
}

/// What is not there needs no right; what comes there later has none.
fn beneath(
    ruleset: landlock::RulesetCreated,
    paths: &[PathBuf],
    rights: BitFlags<AccessFs>,
) -> Result<landlock::RulesetCreated, RulesetError> {
    let there = paths.iter().filter_map(|path| PathFd::new(path).ok().map(|fd| (path, fd)));
    there.into_iter().try_fold(ruleset, |ruleset, (path, fd)| {
        let file = AccessFs::from_file(KNOWN);
        let rights = if path.is_dir() { rights } else { rights & file };
        ruleset.add_rule(PathBeneath::new(fd, rights))
    })
}
