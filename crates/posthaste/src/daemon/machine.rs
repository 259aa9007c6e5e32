//! What the daemon reads of the machine it runs on.

use super::resources;
use crate::config::{Config, Machine};
use anyhow::{Context as _, Result};
use posthaste_dns::hosts::MAX_TEXT as MAX_HOSTS;
use posthaste_dns::{ResolvConf, resolv_conf::MAX_TEXT as MAX_RESOLV_CONF};
use std::fs;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Where the kernel tells the number of an interface.
const INTERFACES: &str = "/sys/class/net";

/// Resolver configuration, hosts and addresses as they are now.
pub(crate) fn look(config: &Config) -> Machine {
    let hosts = config.resolver.hosts_file.0.as_deref();
    Machine {
        // Without the file the resolver on this machine is asked, as resolv.conf(5) says.
        resolv_conf: resolv_conf(config).unwrap_or_else(|_| ResolvConf::read("", &interface)),
        hosts: hosts.and_then(|path| read(path, MAX_HOSTS).ok()).unwrap_or_default(),
        addresses: addresses(),
        files: resources::files_limit(),
        memory: resources::memory_limit(),
    }
}

/// What the system's resolver configuration says. An error: it is not there, or cannot be read.
pub(crate) fn resolv_conf(config: &Config) -> io::Result<ResolvConf> {
    let text = read(&config.resolver.resolv_conf, MAX_RESOLV_CONF)?;
    Ok(ResolvConf::read(&text, &interface))
}

/// A file's text as far as the limit; what is not UTF-8 stands as a sign for it.
fn read(path: &Path, limit: u64) -> io::Result<String> {
    let mut octets = Vec::new();
    crate::regular::open(path)?.take(limit).read_to_end(&mut octets)?;
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// The number of an interface (if_nametoindex(3)).
fn interface(name: &str) -> Option<u32> {
    if name.contains('/') || name.starts_with('.') {
        return None;
    }
    let number = fs::read_to_string(Path::new(INTERFACES).join(name).join("ifindex")).ok()?;
    number.trim().parse().ok()
}

/// Makes the folder of all data, readable by nobody else.
pub(crate) fn make_private(folder: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))
}

/// The addresses of the interfaces.
fn addresses() -> Vec<IpAddr> {
    let v4 = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let mut all: Vec<IpAddr> = local_v4(&v4).chain(v6.lines().filter_map(interface_v6)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// `|-- 192.0.2.1` followed by `/32 host LOCAL` in the kernel's routing trie.
fn local_v4(trie: &str) -> impl Iterator<Item = IpAddr> + '_ {
    let lines = trie.lines().zip(trie.lines().skip(1));
    lines
        .filter(|(_, next)| next.contains("/32 host LOCAL"))
        .filter_map(|(line, _)| line.trim().strip_prefix("|-- ")?.trim().parse().ok())
}

/// The first column of `/proc/net/if_inet6`: 32 hexadecimal digits.
fn interface_v6(line: &str) -> Option<IpAddr> {
    let digits = line.split_whitespace().next()?;
    let number = u128::from_str_radix(digits, 16).ok()?;
    (digits.len() == 32).then(|| IpAddr::from(number.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let trie = "Local:\n  +-- 127.0.0.0/8 2 0 2\n     |-- 127.0.0.1\n        /32 host LOCAL\n     \
                    |-- 127.255.255.255\n        /32 link BROADCAST\n";
        let found: Vec<IpAddr> = local_v4(trie).collect();
        assert_eq!(found, ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        let v6 = "20010db8000000000000000000000001 02 40 00 80 eth0";
        assert_eq!(interface_v6(v6), Some("2001:db8::1".parse().unwrap()));
        assert_eq!(interface_v6("garbage"), None);
    }
}
