//! What this process may use of the machine, and how much of it is used.
//!
//! Not here: what follows from it (`pressure`).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file systems of control groups, version 2 first.
const CGROUP_ROOTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// Where version 1 keeps memory.
const CGROUP_MEMORY: &str = "/sys/fs/cgroup/memory";
/// Octets of a page where the kernel counts in pages.
const PAGE: u64 = 4096;

/// A file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Disk {
    /// Octets that may still be written by anybody.
    pub(super) free: u64,
    /// Octets in all.
    pub(super) total: u64,
}

/// Something used, and how much there may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Used {
    pub(super) used: u64,
    pub(super) limit: u64,
}

/// The file system a folder is on.
pub(super) fn disk(folder: &Path) -> io::Result<Disk> {
    let facts = rustix::fs::statvfs(folder)?;
    let octets = |blocks: u64| blocks.saturating_mul(facts.f_frsize);
    Ok(Disk { free: octets(facts.f_bavail), total: octets(facts.f_blocks) })
}

/// As many descriptors as the process may have: the soft limit becomes the hard one. Answers how many.
pub(super) fn raise_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // What is refused leaves the old limit, which is answered.
    let _ = setrlimit(Resource::Nofile, raised);
    files_limit()
}

/// Descriptors this process may have open; `None`: any number.
pub(super) fn files_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Open descriptors.
pub(super) fn files() -> Option<Used> {
    let limit = files_limit()?;
    // The listing has a descriptor of its own; without one to spare all are in use.
    let used = match fs::read_dir("/proc/self/fd") {
        Ok(listing) => (listing.count() as u64).saturating_sub(1),
        Err(_) => limit,
    };
    Some(Used { used, limit })
}

/// Octets of memory this process may use: the least of control group and machine.
pub(super) fn memory_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let read = |path: &PathBuf| fs::read_to_string(path).ok()?.trim().parse().ok();
    limit_files(&groups).iter().filter_map(read).chain(total_memory(&info)).min()
}

/// Octets of memory in use. A limit of the address space counts too, where it is nearer.
pub(super) fn memory(limit: u64) -> Option<Used> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = text.split_whitespace().map(|n| n.parse::<u64>().unwrap_or(0) * PAGE);
    let (size, resident, shared) = (pages.next()?, pages.next()?, pages.next()?);
    let own = Used { used: resident.saturating_sub(shared), limit };
    let space = getrlimit(Resource::As).current.map(|limit| Used { used: size, limit });
    Some(space.filter(|space| space.share() > own.share()).unwrap_or(own))
}

impl Used {
    /// 0 for nothing, 1 for all.
    #[expect(clippy::cast_precision_loss, reason = "a share, not an amount")]
    pub(super) fn share(self) -> f64 {
        if self.limit == 0 { 1.0 } else { self.used as f64 / self.limit as f64 }
    }
}

/// Where the limits of our control groups and those above them stand (cgroups(7)).
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next(), fields.next(), fields.next());
        let (Some(controllers), Some(path)) = (controllers, path) else { continue };
        let path = Path::new(path.trim_start_matches('/'));
        let (roots, name) = if controllers.is_empty() {
            (&CGROUP_ROOTS[..], "memory.max")
        } else if controllers.split(',').any(|c| c == "memory") {
            (&[CGROUP_MEMORY][..], "memory.limit_in_bytes")
        } else {
            continue;
        };
        for (root, group) in roots.iter().flat_map(|r| path.ancestors().map(move |p| (r, p))) {
            files.push(Path::new(root).join(group).join(name));
        }
    }
    files
}

/// `MemTotal:  16384 kB` in /proc/meminfo.
fn total_memory(info: &str) -> Option<u64> {
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_all_groups_above_are_looked_at() {
        let files = limit_files("5:memory,x:/a/b\n4:cpu:/c\n0::/d\nnonsense\n");
        let files: Vec<_> = files.iter().map(|f| f.to_str().unwrap()).collect();
        assert_eq!(
            files,
            [
                "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/d/memory.max",
                "/sys/fs/cgroup/memory.max",
                "/sys/fs/cgroup/unified/d/memory.max",
                "/sys/fs/cgroup/unified/memory.max",
            ]
        );
        assert_eq!(total_memory("X: 1 kB\nMemTotal:   2048 kB\n"), Some(2 << 20));
    }

    #[test]
    fn this_process_uses_something() {
        let memory = memory(1 << 40).expect("Linux tells");
        assert!(memory.used > 0 && memory.share() < 1.0, "{memory:?}");
        let files = files().expect("there is a limit");
        assert!((3..files.limit).contains(&files.used), "{files:?}");
        assert!(memory_limit().expect("it has memory") > 1 << 20);
        assert!(disk(Path::new("/")).expect("it is there").total > 0);
    }
}
