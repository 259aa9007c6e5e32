//! Real DNS servers: Knot with zones, Unbound and BIND as resolvers, BIND with zones. Each in a folder of its own, ended
//! when dropped.
//!
//! Not here: servers that misbehave (`scripted`, `relay`), and what the zones hold (`internet`).

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::ask::answers;
use crate::loopback;
use crate::process::{Process, until};
use crate::tree;

const START: Duration = Duration::from_secs(60);
/// A port found free may be taken before BIND has it.
const PORTS_TRIED: usize = 5;

/// A running server.
pub(crate) struct Server {
    address: SocketAddr,
    process: Process,
    dir: TempDir,
}

/// The zones of one server: name, and the whole text of the zone.
pub(crate) type Zones<'a> = &'a [(&'a str, &'a str)];

impl Server {
    /// Knot at this address with these zones.
    pub(crate) fn knot(address: SocketAddr, zones: Zones<'_>) -> Self {
        let dir = folder(zones);
        let path = dir.path().display();
        let mut text = format!(
            "server:\n  rundir: {path}\n  user: root\n  listen: {}@{}\n  udp-workers: 1\n  tcp-workers: 1\n  \
             background-workers: 1\nlog:\n  - target: stderr\n    any: info\ndatabase:\n  storage: {path}\nzone:\n",
            address.ip(),
            address.port()
        );
        for (zone, _) in zones {
            text += &format!(
                "  - domain: {zone}\n    file: {path}/zone.{zone}\n    zonefile-sync: -1\n"
            );
        }
        write(dir.path(), "knot.conf", &text);
        let mut command = tree::command("usr/sbin/knotd");
        command.arg("-c").arg(dir.path().join("knot.conf"));
        Self::spawn(command, address, dir).expect("knotd starts")
    }

    /// Unbound as a resolver at an address of its own; `more` goes into its `server:` clause, and what follows other
    /// clauses of the text after it.
    pub(crate) fn unbound(root: SocketAddr, more: &str) -> Self {
        Self::unbound_at(loopback::address(53), root, more)
    }

    /// The same at this address.
    pub(crate) fn unbound_at(address: SocketAddr, root: SocketAddr, more: &str) -> Self {
        let dir = folder(&[]);
        let path = dir.path().display();
        write(dir.path(), "hints", &format!(". 3600 NS a.root.\na.root. 3600 A {}\n", root.ip()));
        let text = format!(
            "server:\n  directory: \"{path}\"\n  chroot: \"\"\n  username: \"\"\n  pidfile: \"\"\n  use-syslog: no\n  \
             verbosity: 1\n  num-threads: 1\n  interface: {}@{}\n  do-ip6: no\n  access-control: 127.0.0.0/8 allow\n  \
             do-not-query-localhost: no\n  root-hints: \"{path}/hints\"\n  module-config: \"validator iterator\"\n  \
             ede: yes\n  local-zone: \"test.\" nodefault\n  trust-anchor-signaling: no\n  rrset-roundrobin: no\n{more}",
            address.ip(),
            address.port()
        );
        write(dir.path(), "unbound.conf", &text);
        let mut command = tree::command("usr/sbin/unbound");
        command.args(["-d", "-c"]).arg(dir.path().join("unbound.conf"));
        Self::spawn(command, address, dir).expect("unbound starts")
    }

    /// BIND as a resolver at 127.0.0.1 and a port of its own; `more` goes among its options. With `zones` of its own.
    pub(crate) fn bind(
        root: Option<SocketAddr>,
        more: &str,
        clauses: &str,
        zones: Zones<'_>,
    ) -> Self {
        for _ in 0..PORTS_TRIED {
            let host = std::net::Ipv4Addr::LOCALHOST;
            let address = SocketAddr::from((host, loopback::free_port(host)));
            if let Some(server) = Self::bind_at(address, root, (more, clauses), zones) {
                return server;
            }
        }
        panic!("BIND does not start");
    }

    fn bind_at(
        address: SocketAddr,
        root: Option<SocketAddr>,
        (more, clauses): (&str, &str),
        zones: Zones<'_>,
    ) -> Option<Self> {
        let dir = folder(zones);
        let path = dir.path().display();
        let recursion = if root.is_some() { "yes" } else { "no" };
        let mut text = format!(
            "options {{\n  directory \"{path}\"; managed-keys-directory \"{path}\";\n  \
             pid-file none; session-keyfile none; lock-file none;\n  \
             listen-on port {} {{ {}; }}; listen-on-v6 {{ none; }};\n  \
             recursion {recursion}; empty-zones-enable no; notify no;\n  \
             max-cache-size 8M;\n  {more}\n}};\ncontrols {{ }};\n{clauses}\n",
            address.port(),
            address.ip()
        );
        if let Some(root) = root {
            write(
                dir.path(),
                "hints",
                &format!(". 3600 NS a.root.\na.root. 3600 A {}\n", root.ip()),
            );
            text += "zone \".\" { type hint; file \"hints\"; };\n";
        }
        for (zone, _) in zones {
            text += &format!(
                "zone \"{zone}\" {{ type primary; file \"zone.{zone}\"; check-names ignore; }};\n"
            );
        }
        write(dir.path(), "named.conf", &text);
        let mut command = tree::command("usr/sbin/named");
        command.args(["-g", "-4", "-n", "1", "-c"]).arg(dir.path().join("named.conf"));
        Self::spawn(command, address, dir)
    }

    fn spawn(command: std::process::Command, address: SocketAddr, dir: TempDir) -> Option<Self> {
        let mut process = Process::spawn(command, &dir.path().join("log"));
        let ready = until(START, || answers(address) || !process.is_running());
        let server = Self { address, process, dir };
        if ready {
            let mut server = server;
            return server.process.is_running().then_some(server);
        }
        panic!("a server does not answer:\n{}", server.log());
    }

    /// Where it answers by UDP and TCP.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it; its address is free then.
    pub(crate) fn stop(&mut self) {
        self.process.terminate();
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

fn folder(zones: Zones<'_>) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (zone, text) in zones {
        write(dir.path(), &format!("zone.{zone}"), text);
    }
    dir
}

fn write(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join(name), text).expect("the folder is the test's");
}

/// A UDP and a TCP port that take what comes and never answer: a server that is gone behind a firewall.
pub(crate) struct Silent {
    address: SocketAddr,
    _udp: std::net::UdpSocket,
    _tcp: std::net::TcpListener,
}

impl Silent {
    /// At an address of its own.
    pub(crate) fn new() -> Self {
        Self::at(loopback::address(53))
    }

    /// In the place of a server that was stopped.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let udp = std::net::UdpSocket::bind(address).expect("an address of its own");
        let tcp = std::net::TcpListener::bind(address).expect("an address of its own");
        Self { address, _udp: udp, _tcp: tcp }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn ip(&self) -> IpAddr {
        self.address.ip()
    }
}
