//! A relay between a resolver and a real server that loses, refuses or cuts what its rule says: the broken firewall or
//! appliance of a row, with real answers behind it.
//!
//! Not here: servers that say wrong things of their own (`scripted`).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use crate::loopback;

const UPSTREAM: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(50);

/// What becomes of one question.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Pass,
    Drop,
    /// Answered on the spot with this response code.
    Rcode(u8),
    /// By UDP: answered with TC and nothing else.
    Cut,
}

/// Decides on a question: its type, whether it has EDNS, and who asks.
pub(crate) type Rule = dyn Fn(Question) -> Fate + Send + Sync;

/// What a rule may look at.
#[derive(Clone, Copy)]
pub(crate) struct Question {
    pub(crate) kind: u16,
    pub(crate) from: SocketAddr,
}

/// A running relay; ended when dropped.
pub(crate) struct Relay {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// At an address of its own in front of `to`. Without `tcp` connections are refused.
    pub(crate) fn new(to: SocketAddr, tcp: bool, rule: Arc<Rule>) -> Self {
        Self::at(loopback::address(53), to, tcp, rule)
    }

    /// The same at this address.
    pub(crate) fn at(address: SocketAddr, to: SocketAddr, tcp: bool, rule: Arc<Rule>) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let udp = UdpSocket::bind(address).expect("an address of its own");
        udp.set_read_timeout(Some(TICK)).expect("a limit");
        let mut threads = vec![spawn({
            let (stopped, rule) = (Arc::clone(&stopped), Arc::clone(&rule));
            move || by_udp(&udp, to, &rule, &stopped)
        })];
        if tcp {
            let listener = TcpListener::bind(address).expect("an address of its own");
            listener.set_nonblocking(true).expect("Linux");
            let stopped = Arc::clone(&stopped);
            threads.push(spawn(move || by_tcp(&listener, to, &rule, &stopped)));
        }
        Self { address, stopped, threads }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn by_udp(udp: &UdpSocket, to: SocketAddr, rule: &Arc<Rule>, stopped: &AtomicBool) {
    let mut bytes = [0; 65_535];
    while !stopped.load(Ordering::Relaxed) {
        let Ok((size, from)) = udp.recv_from(&mut bytes) else { continue };
        let question = bytes[..size].to_vec();
        let Ok(back) = udp.try_clone() else { continue };
        match fate(rule, &question, from) {
            Fate::Drop => {}
            Fate::Rcode(rcode) => drop(back.send_to(&header_only(&question, rcode, false), from)),
            Fate::Cut => drop(back.send_to(&header_only(&question, 0, true), from)),
            // A thread for each question: a slow server must not hold up the others.
            Fate::Pass => drop(spawn(move || {
                if let Ok(answer) = forwarded(to, &question) {
                    let _ = back.send_to(&answer, from);
                }
            })),
        }
    }
}

fn forwarded(to: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(UPSTREAM))?;
    socket.connect(to)?;
    socket.send(question)?;
    let mut bytes = vec![0; 65_535];
    let size = socket.recv(&mut bytes)?;
    bytes.truncate(size);
    Ok(bytes)
}

fn by_tcp(listener: &TcpListener, to: SocketAddr, rule: &Arc<Rule>, stopped: &AtomicBool) {
    while !stopped.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, from)) => {
                let rule = Arc::clone(rule);
                spawn(move || drop(talk(stream, from, to, &rule)));
            }
            Err(_) => std::thread::sleep(TICK),
        }
    }
}

fn talk(
    mut stream: TcpStream,
    from: SocketAddr,
    to: SocketAddr,
    rule: &Arc<Rule>,
) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(UPSTREAM))?;
    let mut server = TcpStream::connect_timeout(&to, UPSTREAM)?;
    server.set_read_timeout(Some(UPSTREAM))?;
    loop {
        let question = framed(&mut stream)?;
        match fate(rule, &question, from) {
            Fate::Drop => return Ok(()),
            Fate::Rcode(rcode) => send(&mut stream, &header_only(&question, rcode, false))?,
            Fate::Pass | Fate::Cut => {
                send(&mut server, &question)?;
                send(&mut stream, &framed(&mut server)?)?;
            }
        }
    }
}

fn framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

fn send(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).expect("messages are at most 65,535 octets");
    stream.write_all(&[&length.to_be_bytes()[..], message].concat())
}

fn fate(rule: &Arc<Rule>, question: &[u8], from: SocketAddr) -> Fate {
    let end = end_of_name(question);
    match question.get(end..end + 2) {
        Some(kind) => rule(Question { kind: u16::from_be_bytes([kind[0], kind[1]]), from }),
        None => Fate::Drop,
    }
}

fn end_of_name(question: &[u8]) -> usize {
    let mut at = 12;
    while let Some(&length) = question.get(at).filter(|&&length| length != 0) {
        at += usize::from(length) + 1;
    }
    at + 1
}

/// The question sent back as a reply without records.
fn header_only(question: &[u8], rcode: u8, cut: bool) -> Vec<u8> {
    let end = end_of_name(question) + 4;
    let mut reply = question[..end.min(question.len())].to_vec();
    reply[2] |= if cut { 0x82 } else { 0x80 };
    reply[3] = 0x80 | rcode;
    reply[6..12].fill(0);
    reply
}
