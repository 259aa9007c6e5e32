//! The receiving pass over 8 GiB of typical mail, to be timed from outside:
//! `cargo build --release -p posthaste-smtp --example throughput`, then `time target/release/examples/throughput`.
//!
//! 64 KiB reads; messages of 1 MiB with lines of 76 octets, a header of 12 fields, now and then a dot at a line start.

#![allow(clippy::print_stdout, reason = "the result of this program")]

use bytes::BytesMut;
use posthaste_smtp::server::{Event, Session, Settings, Step};
use std::sync::Arc;

const MESSAGES: usize = 8 * 1024;
const READ: usize = 64 * 1024;

fn main() {
    let wire = message();
    let mut session = Session::new(Arc::new(Settings::default()));
    let (mut input, mut received, mut crc) = (BytesMut::new(), 0, 0u32);
    let mut drive = |octets: &[u8]| {
        input.reserve(octets.len());
        input.extend_from_slice(octets);
        loop {
            match session.next(&mut input) {
                Step::Event(Event::Hello { .. } | Event::Mail(..) | Event::Rcpt(..)) => {
                    session.accept();
                }
                Step::Event(Event::Content { .. }) => session.accept_content(b""),
                Step::Event(Event::End(end)) => {
                    received += end.received;
                    crc = crc.wrapping_add(end.facts.crc);
                    session.accept_message("ok");
                }
                Step::Event(_) => {}
                Step::Write | Step::Read => {
                    let output = session.take_output();
                    session.reuse(output);
                    if input.len() < READ {
                        break;
                    }
                }
                Step::Close => break,
            }
        }
    };
    drive(b"HELO c\r\n");
    for _ in 0..MESSAGES {
        drive(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
        wire.chunks(READ).for_each(&mut drive);
    }
    println!("{received} octets received, {crc:08x}");
}

fn message() -> Vec<u8> {
    let header = b"X-Field: some words that a header field may have in it\r\n".repeat(12);
    let line = [&[b'x'; 76][..], b"\r\n"].concat();
    let page = [line.repeat(250), b"..dot\r\n".to_vec()].concat();
    let body = page.repeat((1 << 20) / page.len());
    [&header[..], b"\r\n", &body, b".\r\n"].concat()
}
