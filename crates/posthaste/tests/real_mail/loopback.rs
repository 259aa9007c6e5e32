//! Addresses of this machine's own network that no other test uses.
//!
//! Linux answers for all of 127.0.0.0/8 without configuration, so each server gets an address of its own and may use
//! the port that the standard gives it. Port 25 needs root.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU8, Ordering};

static NEXT: AtomicU8 = AtomicU8::new(1);

/// An address that this test binary hands out once; other test binaries running now have another process id.
pub(crate) fn address(port: u16) -> SocketAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let last = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(last < 255, "more servers than addresses in one test binary");
    (Ipv4Addr::new(127, 64 + high % 128, low, last), port).into()
}

/// A port on `ip` that is free over TCP and UDP now.
pub(crate) fn free_port(ip: Ipv4Addr) -> u16 {
    for _ in 0..100 {
        let tcp = TcpListener::bind((ip, 0)).expect("loopback has free ports");
        let port = tcp.local_addr().expect("bound").port();
        if UdpSocket::bind((ip, port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {ip} is free over both TCP and UDP");
}

/// Whether somebody listens there, as the kernel lists it: a connection would be noticed.
pub(crate) fn listens(address: SocketAddr) -> bool {
    const LISTEN: &str = "0A";
    let SocketAddr::V4(v4) = address else { panic!("these tests use IPv4") };
    let place = format!("{:08X}:{:04X}", u32::from_le_bytes(v4.ip().octets()), v4.port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    table
        .lines()
        .map(|line| line.split_whitespace())
        .any(|mut fields| fields.nth(1) == Some(&place) && fields.nth(1) == Some(LISTEN))
}
