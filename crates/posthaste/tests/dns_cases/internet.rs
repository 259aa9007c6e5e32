//! The whole Internet of the table: a root zone and top-level domains on Knot and BIND, domains below them on Knot, BIND and
//! scripted servers, all at loopback addresses and port 53; a signed branch below the trust anchor `secure`.
//!
//! Not here: what each row breaks (`theirs`, `ours`).

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use crate::loopback;
use crate::relay::{Fate, Relay};
use crate::scripted::Scripted;
use crate::servers::Server;
use crate::tree;

/// Head of every zone: serial, primary server with its addresses.
fn zone(apex: &str, serial: u32, servers: &[IpAddr], records: &str) -> String {
    let mut text =
        format!("$ORIGIN {apex}.\n$TTL 300\n@ IN SOA ns0 hostmaster {serial} 3600 600 86400 5\n");
    for (n, ip) in servers.iter().enumerate() {
        text += &format!("@ IN NS ns{n}\nns{n} IN A {ip}\n");
    }
    text + records
}

/// A delegation in a parent zone, with glue.
fn delegation(child: &str, servers: &[IpAddr]) -> String {
    let mut text = String::new();
    for (n, ip) in servers.iter().enumerate() {
        text += &format!("{child}. IN NS ns{n}.{child}.\nns{n}.{child}. IN A {ip}\n");
    }
    text
}

/// A domain of `test`, and who serves it.
#[derive(Default)]
pub(crate) struct Domain {
    pub(crate) name: String,
    /// The servers that the parent names, in order.
    pub(crate) delegated_to: Vec<IpAddr>,
    /// What the domain itself says of its servers, when that is something else.
    pub(crate) says: Option<Vec<IpAddr>>,
    /// Its records, relative to it, in master-file format; `None`: served elsewhere or not at all.
    pub(crate) on_knot: Option<String>,
    /// The same for BIND, which may have another version.
    pub(crate) on_bind: Option<String>,
}

/// The running tree.
pub(crate) struct Internet {
    root: Server,
    _tld: Server,
    _bind: Server,
    _bind_door: Relay,
    _knot: Server,
    /// The top-level domain `moved`, whose delegations change while mail flows.
    pub(crate) moved: Scripted,
    keys: TempDir,
}

/// Where the servers of domains will be: known before they start, because zones name them.
#[derive(Clone, Copy)]
pub(crate) struct Places {
    pub(crate) knot: IpAddr,
    pub(crate) bind: IpAddr,
}

impl Internet {
    /// Starts it with the domains that `domains` makes of the places of the servers.
    pub(crate) fn start(mail_host: IpAddr, domains: impl FnOnce(Places) -> Vec<Domain>) -> Self {
        let keys = tempfile::tempdir().expect("a temporary folder");
        let (root_at, tld_at, knot_at) =
            (loopback::address(53), loopback::address(53), loopback::address(53));
        let moved = Scripted::of(&[("moved", "moved NS ns.moved")]);
        // BIND listens on addresses of interfaces only: its door is a relay with an address of its own.
        let (door, at_door) = bind_door();
        let places = Places { knot: knot_at.ip(), bind: at_door };
        let domains = domains(places);
        let signed = signed_branch(keys.path(), places, mail_host);

        let mut tld = String::new();
        let (mut on_knot, mut on_bind) = (signed.on_knot, signed.on_bind);
        for domain in domains {
            let Domain { name, delegated_to, says, .. } = domain;
            tld += &delegation(&name, &delegated_to);
            let servers = says.unwrap_or(delegated_to);
            let text = |serial, records: String| zone(&name, serial, &servers, &records);
            on_knot.extend(domain.on_knot.map(|r| (name.clone(), text(2024, r))));
            on_bind.extend(domain.on_bind.map(|r| (name.clone(), text(2019, r))));
        }
        let root_zone = format!(
            "$ORIGIN .\n$TTL 86400\n@ IN SOA a.root. hostmaster.root. 1 3600 600 86400 60\n@ IN NS a.root.\n\
             a.root. IN A {}\n{}{}{}",
            root_at.ip(),
            delegation("test", &[tld_at.ip()]),
            delegation("secure", &[at_door]),
            delegation("moved", &[moved.address.ip()]),
        );
        let root = Server::knot(root_at, &[(".", &root_zone)]);
        let tld_zone = zone("test", 1, &[tld_at.ip()], &tld);
        let bind = Server::bind(None, "dnssec-validation no;", "", &borrowed(&on_bind));
        let bind_door = door(bind.address());
        Self {
            root,
            _tld: Server::knot(tld_at, &[("test", &tld_zone)]),
            _bind: bind,
            _bind_door: bind_door,
            _knot: Server::knot(knot_at, &borrowed(&on_knot)),
            moved,
            keys,
        }
    }

    pub(crate) fn root(&self) -> SocketAddr {
        self.root.address()
    }

    /// For Unbound: the trust anchor of the signed branch, which is all that is validated.
    pub(crate) fn anchor_of_unbound(&self) -> String {
        format!("  trust-anchor-file: \"{}\"\n", self.keys.path().join("anchor").display())
    }

    /// The same for BIND: a clause.
    pub(crate) fn anchor_of_bind(&self) -> String {
        let text = fs::read_to_string(self.keys.path().join("anchor")).expect("made at the start");
        let words: Vec<&str> = text.split_whitespace().collect();
        let at = words.iter().position(|w| *w == "DS").expect("a DS record");
        let digest = words[at + 4..].concat();
        let [tag, algorithm, digest_type] = [words[at + 1], words[at + 2], words[at + 3]];
        format!(
            "trust-anchors {{ secure. static-ds {tag} {algorithm} {digest_type} \"{digest}\"; }};"
        )
    }
}

fn borrowed(zones: &[(String, String)]) -> Vec<(&str, &str)> {
    zones.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
}

/// An address now, the relay when BIND's port is known.
fn bind_door() -> (impl FnOnce(SocketAddr) -> Relay, IpAddr) {
    let address = loopback::address(53);
    let door = move |to| Relay::at(address, to, true, Arc::new(|_| Fate::Pass));
    (door, address.ip())
}

struct Signed {
    on_knot: Vec<(String, String)>,
    on_bind: Vec<(String, String)>,
}

/// `secure` on BIND; below it on Knot: `good`, `expired` (its signatures ended years ago), `early` (they begin in ten days),
/// `mismatch` (its parent knows another key), and `plain`, which is not signed.
fn signed_branch(keys: &Path, places: Places, mail_host: IpAddr) -> Signed {
    let records = format!("@ IN MX 10 mx\nmx IN A {mail_host}\n");
    let mut parent = String::new();
    let mut on_knot = Vec::new();
    for child in ["good", "expired", "early", "mismatch", "plain"] {
        let name = format!("{child}.secure");
        let text = zone(&name, 1, &[places.knot], &records);
        parent += &delegation(&name, &[places.knot]);
        if child == "plain" {
            on_knot.push((name, text));
            continue;
        }
        let key = new_key(keys, &name);
        let validity = match child {
            "expired" => PAST,
            "early" => FUTURE,
            _ => PRESENT,
        };
        let signed = sign(keys, &name, &text, &key, validity);
        let known = if child == "mismatch" { new_key(&other(keys), &name) } else { key };
        parent += &run("dnssec-dsfromkey", &["-2", &known]);
        on_knot.push((name, signed));
    }
    let key = new_key(keys, "secure");
    fs::write(keys.join("anchor"), run("dnssec-dsfromkey", &["-2", &key])).expect("ours");
    let text = zone("secure", 1, &[places.bind], &parent);
    let signed = sign(keys, "secure", &text, &key, PRESENT);
    Signed { on_knot, on_bind: vec![("secure".to_owned(), signed)] }
}

type Validity = [&'static str; 2];
const PAST: Validity = ["20230101000000", "20240101000000"];
const PRESENT: Validity = ["now-1d", "now+30d"];
const FUTURE: Validity = ["now+10d", "now+40d"];

fn other(keys: &Path) -> std::path::PathBuf {
    let folder = keys.join("other");
    fs::create_dir_all(&folder).expect("ours");
    folder
}

/// A key that signs both keys and zone; answers its file without suffix.
fn new_key(keys: &Path, zone: &str) -> String {
    let folder = keys.display().to_string();
    let name =
        run("dnssec-keygen", &["-q", "-K", &folder, "-a", "ECDSAP256SHA256", "-f", "KSK", zone]);
    keys.join(name.trim()).display().to_string()
}

fn sign(keys: &Path, zone: &str, text: &str, key: &str, [start, end]: Validity) -> String {
    let (plain, signed) = (keys.join(format!("plain.{zone}")), keys.join(format!("signed.{zone}")));
    let public = fs::read_to_string(format!("{key}.key")).expect("made by dnssec-keygen");
    fs::write(&plain, format!("{text}{public}")).expect("ours");
    let (input, output) = (plain.display().to_string(), signed.display().to_string());
    run(
        "dnssec-signzone",
        &[
            "-P",
            "-z",
            "-s",
            start,
            "-e",
            end,
            "-d",
            &keys.display().to_string(),
            "-o",
            zone,
            "-f",
            &output,
            &input,
            key,
        ],
    );
    fs::read_to_string(signed).expect("made by dnssec-signzone")
}

fn run(program: &str, arguments: &[&str]) -> String {
    let mut command: Command = tree::command(&format!("usr/bin/{program}"));
    let output = command.args(arguments).output().expect("setpriv is part of every Debian");
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).expect("names and digits")
}
