//! One plain question to one server, as a check that the scene is what the row says: not Posthaste's own resolver.
//!
//! Not here: EDNS, TCP, reading records. RFC 1035 section 4.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// What the header of a reply says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Said {
    /// RCODE: 0 NOERROR, 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED.
    pub(crate) rcode: u8,
    /// Records in the answer section.
    pub(crate) answers: u16,
}

/// Asks by UDP with CD as told; `None` when nothing comes within `patience`.
pub(crate) fn ask(
    server: SocketAddr,
    name: &str,
    kind: u16,
    unchecked: bool,
    patience: Duration,
) -> Option<Said> {
    exchange(server, &question(name, kind, unchecked), patience).ok()
}

/// Somebody answers there.
pub(crate) fn answers(server: SocketAddr) -> bool {
    exchange(server, &question("", 6, false), Duration::from_millis(200)).is_ok()
}

fn question(name: &str, kind: u16, unchecked: bool) -> Vec<u8> {
    let cd = if unchecked { 0x10 } else { 0 };
    let mut question = vec![0x70, 0x68, 1, cd, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|l| !l.is_empty()) {
        question.push(u8::try_from(label.len()).expect("labels are at most 63 octets"));
        question.extend_from_slice(label.as_bytes());
    }
    let [high, low] = kind.to_be_bytes();
    question.extend_from_slice(&[0, high, low, 0, 1]);
    question
}

fn exchange(server: SocketAddr, question: &[u8], patience: Duration) -> io::Result<Said> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(patience))?;
    socket.connect(server)?;
    socket.send(question)?;
    let mut bytes = [0; 4096];
    let size = socket.recv(&mut bytes)?;
    if size < 12 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Said { rcode: bytes[3] & 0x0f, answers: u16::from_be_bytes([bytes[6], bytes[7]]) })
}
