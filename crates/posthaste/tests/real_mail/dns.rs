//! A real DNS server (BIND) that is the whole Internet of one test: it has the root zone, so it never asks another.
//!
//! Not here: servers that misbehave (crate `peers`). RFC 1035 section 4 for the question it is asked.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use tempfile::TempDir;

use crate::loopback::free_port;
use crate::process::{Process, until};
use crate::tree;

const START: Duration = Duration::from_secs(20);
const ANSWER: Duration = Duration::from_secs(2);
/// BIND listens only on addresses of interfaces, so it shares 127.0.0.1 and has a port of its own.
const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// A port found free may be taken before BIND has it.
const PORTS_TRIED: usize = 5;

/// A running server; stopped when dropped.
pub(crate) struct Dns {
    address: SocketAddr,
    _process: Process,
    _dir: TempDir,
}

/// Types that tests ask for, with their numbers on the wire.
#[derive(Clone, Copy)]
pub(crate) enum RecordType {
    A = 1,
    Mx = 15,
    Aaaa = 28,
}

/// What the header of an answer says, and the whole of it.
#[derive(Debug)]
pub(crate) struct Answer {
    /// RCODE: 0 is success, 3 is NXDOMAIN.
    pub(crate) code: u8,
    pub(crate) authoritative: bool,
    /// Records in the answer section.
    pub(crate) records: u16,
    pub(crate) bytes: Vec<u8>,
}

impl Dns {
    /// Serves `zones`: name of the zone and its records in master-file format, relative names allowed. SOA, NS and a
    /// TTL of 5 s are added. Every other name is NXDOMAIN.
    pub(crate) fn start(zones: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let zones = [&[(".", "ns.test. IN A 127.0.0.1\n")], zones].concat();
        for (name, records) in &zones {
            let head =
                "$TTL 5\n@ IN SOA ns.test. hostmaster.test. 1 60 60 60 5\n@ IN NS ns.test.\n";
            fs::write(dir.path().join(zone_file(name)), format!("{head}{records}")).expect("ours");
        }
        for _ in 0..PORTS_TRIED {
            let address = SocketAddr::from((HOST, free_port(HOST)));
            if let Some(process) = serve(dir.path(), address, &zones) {
                return Self { address, _process: process, _dir: dir };
            }
        }
        let log = fs::read_to_string(dir.path().join("log")).unwrap_or_default();
        panic!("the DNS server does not start:\n{log}");
    }

    /// Where it answers, over UDP and TCP.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// One question over UDP.
    pub(crate) fn ask(&self, name: &str, record_type: RecordType) -> Answer {
        ask(self.address, name, record_type).expect("the server answers within 2 s")
    }
}

fn zone_file(zone: &str) -> String {
    format!("zone.{zone}")
}

fn serve(dir: &std::path::Path, address: SocketAddr, zones: &[(&str, &str)]) -> Option<Process> {
    let file = dir.join("named.conf");
    fs::write(&file, configuration(dir, address, zones)).expect("ours");
    let mut command = tree::command("usr/sbin/named");
    command.args(["-g", "-n", "1", "-c"]).arg(&file);
    let mut process = Process::spawn(command, &dir.join("log"));
    let answers = || ask(address, zones.last()?.0, RecordType::A).ok();
    let ready = until(START, || answers().is_some() || !process.is_running());
    (ready && process.is_running()).then_some(process)
}

fn configuration(dir: &std::path::Path, address: SocketAddr, zones: &[(&str, &str)]) -> String {
    let (dir, port, ip) = (dir.display(), address.port(), address.ip());
    let mut text = format!(
        "options {{\n  directory \"{dir}\"; managed-keys-directory \"{dir}\";\n  \
         pid-file none; session-keyfile none; lock-file none;\n  \
         listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }};\n  \
         recursion yes; dnssec-validation no; empty-zones-enable no; notify no;\n  \
         max-cache-size 8M;\n}};\ncontrols {{ }};\n"
    );
    for (zone, _) in zones {
        let file = zone_file(zone);
        text += &format!("zone \"{zone}\" {{ type primary; file \"{file}\"; }};\n");
    }
    text
}

fn ask(server: SocketAddr, name: &str, record_type: RecordType) -> std::io::Result<Answer> {
    let mut question = vec![0x70, 0x68, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]; // recursion desired, one question
    for label in name.split('.').filter(|l| !l.is_empty()) {
        question.push(u8::try_from(label.len()).expect("labels are at most 63 octets"));
        question.extend_from_slice(label.as_bytes());
    }
    question.extend_from_slice(&[0, 0, record_type as u8, 0, 1]); // root label, type, class IN
    let socket = UdpSocket::bind((HOST, 0))?;
    socket.set_read_timeout(Some(ANSWER))?;
    socket.connect(server)?;
    socket.send(&question)?;
    let mut bytes = vec![0; 4096];
    let size = socket.recv(&mut bytes)?;
    bytes.truncate(size);
    assert_eq!(bytes.get(..2), question.get(..2), "the answer carries the question's id");
    Ok(Answer {
        code: bytes[3] & 0x0f,
        authoritative: bytes[2] & 0x04 != 0,
        records: u16::from_be_bytes([bytes[6], bytes[7]]),
        bytes,
    })
}
