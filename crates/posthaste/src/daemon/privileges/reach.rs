//! What the process may read and write while it runs, as paths; and what is said when something lies outside.
//!
//! Of a file its whole folder is in reach: programs replace files by new ones. Where a name leads through links to another
//! folder, that one is too. Not here: making it so (`files`).

use super::folders::{here, sockets};
use crate::config::Config;
use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Settings of the machine, who vouches for certificates, libraries that the C library loads late, what the kernel tells
/// of the machine and of us; folders that /etc/resolv.conf leads to.
const OF_THE_SYSTEM: &[&str] = &[
    "/etc",
    "/usr",
    "/lib",
    "/lib64",
    "/proc",
    "/sys/fs/cgroup",
    "/sys/class/net",
    "/sys/devices",
    "/dev/urandom",
    "/var/lib/ca-certificates",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/run/connman",
];
/// The device that takes everything.
const NOWHERE: &str = "/dev/null";
/// Variables that name folders or files to read: systemd's LoadCredential=, and authorities instead of the system's.
const NAMED_BY: &[&str] = &["CREDENTIALS_DIRECTORY", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The paths; all of them with everything beneath.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Reach {
    pub(super) read: Vec<PathBuf>,
    pub(super) write: Vec<PathBuf>,
    /// Where sockets are made and removed, and nothing else.
    pub(super) sockets: Vec<PathBuf>,
}

/// What is in force in this process.
static IN_FORCE: OnceLock<Reach> = OnceLock::new();

/// What these settings need.
pub(super) fn of(config: &Config, file: Option<&Path>) -> Reach {
    let mut reach = Reach::default();
    let Config { data, log, submission, .. } = config;
    let write = [data, &log.events, &submission.pickup].map(|folder| real(folder));
    reach.write = write.into_iter().chain([PathBuf::from(NOWHERE)]).collect();
    reach.sockets = sockets(config).map(real).collect();
    reach.read = OF_THE_SYSTEM.iter().map(PathBuf::from).collect();
    let variables = NAMED_BY.iter().filter_map(env::var_os).map(PathBuf::from);
    let named = config.files().into_iter().chain(file.map(Path::to_owned)).chain(variables);
    for path in named {
        reach.read.extend([folder_of(&path), folder_of(&real(&path))]);
    }
    let Reach { read, write, sockets } = &mut reach;
    for paths in [read, write, sockets] {
        paths.sort();
        paths.dedup();
    }
    reach
}

/// It holds from now on.
pub(super) fn hold(reach: Reach) {
    // There is one confinement in a process, and it is made once.
    let _ = IN_FORCE.set(reach);
}

/// The error of opening a file to read it: when the kernel refused because it lies outside, that is said.
pub(crate) fn explain(path: &Path, error: io::Error) -> io::Error {
    let outside = || IN_FORCE.get().is_some_and(|reach| !reach.holds(&real(path)));
    if error.kind() == io::ErrorKind::PermissionDenied && outside() {
        return io::Error::new(
            error.kind(),
            "it lies outside of the folders that the daemon may read since its start; restart it, so that it asks for \
             this one too (or put the file beside the configuration)",
        );
    }
    error
}

impl Reach {
    fn holds(&self, path: &Path) -> bool {
        self.read.iter().chain(&self.write).any(|folder| path.starts_with(folder))
    }
}

/// Where a path leads; itself when that cannot be told.
fn real(path: &Path) -> PathBuf {
    here(path).canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// A folder itself; of a file the folder it is in, unless that is the root of all.
fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        _ if path.is_dir() => path.to_owned(),
        Some(parent) if parent != Path::new("/") => real(parent),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn folders_of_named_files_and_of_where_links_lead_are_in_reach() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().canonicalize().unwrap().join(name);
        for name in ["etc", "archive", "lists"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("archive/people"), "ann@b.example\n").unwrap();
        std::os::unix::fs::symlink(at("archive/people"), at("lists/people")).unwrap();
        fs::write(
            at("etc/p.toml"),
            "data = \"../data\"\npostmaster = \"a@b.example\"\n[[domain]]\nname = \"b.example\"\n\
             recipients = \"file:../lists/people\"\n[log]\nevents = \"../events\"\n",
        )
        .unwrap();
        let file = at("etc/p.toml");
        let config = crate::config::load(Some(&file), false).unwrap().config;
        let reach = of(&config, Some(&file));
        for name in ["etc", "lists", "archive"] {
            assert!(reach.read.contains(&at(name)), "{name}: {reach:?}");
        }
        assert!(!reach.holds(&at("other/file")) && reach.holds(&at("etc/new.toml")));
        assert!(reach.holds(Path::new("/etc/resolv.conf")) && !reach.holds(Path::new("/root/x")));
        assert_eq!(folder_of(Path::new("/p.toml")), Path::new("/p.toml"));
    }

    #[test]
    fn without_a_confinement_an_error_stays_as_it_is() {
        let denied = io::Error::from_raw_os_error(rustix::io::Errno::ACCESS.raw_os_error());
        assert!(explain(Path::new("/x"), denied).raw_os_error().is_some());
    }
}
