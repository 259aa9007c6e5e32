//! The files of the system that settings come from, `resolv.conf` and the hosts file, while the daemon runs: what they
//! say now is taken as a reload takes new settings.
//!
//! A resolv.conf that is gone, as it is for a moment while programs replace it, changes nothing. Not here: what their
//! text means (`posthaste_dns`).

use super::{Daemon, machine, reload};
use crate::config::{Config, Machine, Servers};
use posthaste_dns::ResolvConf;
use posthaste_evidence::NameServer;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often the files are looked at. One that has changed is read when it looked the same twice: it may still be
/// written to.
const EVERY: Duration = Duration::from_secs(2);

/// What is in force.
#[derive(Default)]
pub(super) struct System {
    held: Mutex<Option<Held>>,
}

struct Held {
    /// The settings last read.
    config: Arc<Config>,
    resolv_conf: ResolvConf,
    stamps: Stamps,
}

/// How the files looked: `resolv.conf`, and the hosts file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamps {
    resolv_conf: Option<Stamp>,
    hosts: Option<Stamp>,
}

/// Device, inode, octets, modification in seconds and nanoseconds. A symbolic link is followed: one that is switched
/// leads to another inode.
type Stamp = (u64, u64, u64, i64, i64);

impl Stamps {
    fn look(config: &Config) -> Self {
        let stamp = |path: &Path| -> Option<Stamp> {
            let meta = std::fs::metadata(path).ok()?;
            Some((meta.dev(), meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
        };
        Self {
            resolv_conf: stamp(&config.resolver.resolv_conf),
            hosts: config.resolver.hosts_file.0.as_deref().and_then(stamp),
        }
    }
}

impl System {
    /// What the machine says to these settings. While `resolv.conf` is not there, what it said before.
    pub(super) fn look(&self, config: &Config) -> Machine {
        let fresh = machine::look(config);
        let held = self.held();
        let before = held.as_ref().filter(|held| {
            held.config.resolver.resolv_conf == config.resolver.resolv_conf
                && machine::resolv_conf(config).is_err()
        });
        match before {
            Some(held) => Machine { resolv_conf: held.resolv_conf.clone(), ..fresh },
            None => fresh,
        }
    }

    /// These are in force now. Says in the log what of `resolv.conf` is asked, and what of it is not followed.
    pub(super) fn hold(&self, config: &Config, machine: &Machine) {
        let fresh = Held {
            config: Arc::new(config.clone()),
            resolv_conf: machine.resolv_conf.clone(),
            stamps: Stamps::look(config),
        };
        let path = |config: &Config| config.resolver.resolv_conf.clone();
        let asks = config.resolver.servers == Servers::System;
        let mut held = self.held();
        let told = held.as_ref().is_some_and(|held| {
            held.resolv_conf == fresh.resolv_conf
                && held.config.resolver.servers == config.resolver.servers
                && path(&held.config) == path(config)
        });
        *held = Some(fresh);
        drop(held);
        if asks && !told {
            tell(&path(config), &machine.resolv_conf);
        }
    }

    fn in_force(&self) -> Option<(Arc<Config>, Stamps)> {
        self.held().as_ref().map(|held| (Arc::clone(&held.config), held.stamps))
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(path: &Path, conf: &ResolvConf) {
    let path = path.display();
    let servers = join(conf.servers.iter());
    tracing::info!("DNS servers of {path}: {servers}");
    for (line, remark) in &conf.remarks {
        match line {
            0 => tracing::warn!("{path}: {remark}"),
            line => tracing::info!("{path}:{line}: {remark}"),
        }
    }
}

/// Runs as long as the daemon.
pub(super) async fn watch(daemon: Daemon) {
    let Some((_, mut last)) = daemon.system.in_force() else { return };
    let mut tried = last;
    loop {
        tokio::time::sleep(EVERY).await;
        let Some((config, held)) = daemon.system.in_force() else { return };
        let looking = Arc::clone(&config);
        let look = tokio::task::spawn_blocking(move || Stamps::look(&looking)).await;
        let Ok(now) = look else { return };
        if now != held && now != tried && now == last {
            take(&daemon, now).await;
            tried = now;
        }
        if now == held {
            tried = now;
        }
        last = now;
    }
}

/// Takes what the files say now.
async fn take(daemon: &Daemon, seen: Stamps) {
    // One reload at a time.
    let doors = daemon.doors.lock().await;
    let Some((config, before)) = daemon.system.in_force() else { return };
    if config.resolver.servers == Servers::System
        && seen.resolv_conf.is_none()
        && before.resolv_conf.is_some()
    {
        let path = config.resolver.resolv_conf.display();
        tracing::warn!("{path} is gone; its servers are asked as before");
    }
    let (asking, reading) = (daemon.clone(), Arc::clone(&config));
    let read = tokio::task::spawn_blocking(move || {
        let machine = asking.system.look(&reading);
        (reading.lower(&machine), machine)
    });
    let Ok((fresh, machine)) = read.await else { return };
    let old = daemon.settings();
    let fresh = Arc::new(crate::config::Lowered { dns: fresh.dns, ..(*old).clone() });
    daemon.system.hold(&config, &machine);
    if old.dns == fresh.dns {
        return;
    }
    let due_now = reload::take(daemon, &fresh).await;
    drop(doors);
    if old.dns.hosts != fresh.dns.hosts {
        tracing::info!(due_now, "the hosts file has changed for a next hop");
    }
    let path = config.resolver.resolv_conf.display();
    if old.dns.servers != fresh.dns.servers {
        let (from, to) = (names(&old.dns.servers), names(&fresh.dns.servers));
        tracing::info!(from, to, due_now, "the DNS servers of {path} have changed");
    } else if old.dns.hosts == fresh.dns.hosts {
        tracing::info!(due_now, "the DNS options of {path} have changed");
    }
}

fn names(servers: &[NameServer]) -> String {
    join(servers.iter().map(|server| server.address))
}

fn join(addresses: impl Iterator<Item = impl ToString>) -> String {
    addresses.map(|address| address.to_string()).collect::<Vec<_>>().join(", ")
}
