//! End-to-end tests: Posthaste between a real mail client, a real DNS server and a real Postfix.
//!
//! Not here: anything that a simulated peer can show (crate `sim`), and no server of our own. `README.md` beside this
//! file tells what is started where; `setup` fetches the servers. A test fails, naming `setup`, when they are absent.

mod client;
mod dns;
mod dns_over_tls;
mod exim;
mod filter;
mod lmtp;
mod loopback;
mod neighbours;
mod odd_clients;
mod odd_servers;
mod opensmtpd;
mod postfix;
mod posthaste;
mod process;
mod reload;
mod resolvers;
mod room;
mod sink;
mod stories;
mod tree;

use std::time::Duration;

use client::{Client, curl, swaks};
use dns::{Dns, RecordType};
use postfix::Postfix;

const PATIENCE: Duration = Duration::from_secs(20);

fn remote_zone(mail_host: std::net::Ipv4Addr) -> String {
    format!("@ IN MX 10 mx\nmx IN A {mail_host}\n")
}

#[test]
fn dns_server_names_the_mail_host() {
    let dns = Dns::start(&[("remote.test", &remote_zone([127, 9, 8, 7].into()))]);

    let answer = dns.ask("remote.test", RecordType::Mx);
    assert_eq!(answer.code, 0);
    assert_eq!(answer.records, 1);
    assert!(answer.authoritative);

    let answer = dns.ask("mx.remote.test", RecordType::A);
    assert_eq!((answer.code, answer.records), (0, 1));
    assert!(answer.bytes.windows(4).any(|w| w == [127, 9, 8, 7]));

    std::net::TcpStream::connect(dns.address()).expect("it answers over TCP too");

    assert_eq!(dns.ask("mx.remote.test", RecordType::Aaaa).records, 0, "NODATA");
    assert_eq!(
        dns.ask("absent.example", RecordType::Mx).code,
        3,
        "NXDOMAIN, and nobody else is asked"
    );
}

#[test]
fn mail_of_every_client_reaches_the_maildir() {
    let postfix = Postfix::start("mx.remote.test", loopback::address(25), &["remote.test"]);

    curl(postfix.address(), "a@sender.test", &["bob@remote.test"], "Subject: by curl\n\nhello\n")
        .expect("Postfix takes mail for its domain");
    swaks(postfix.address(), "a@sender.test", &["eve@remote.test"], "Subject: by swaks\n\nhello\n")
        .expect("Postfix takes mail for its domain");
    let mut client = Client::connect(postfix.address()).expect("Postfix answers");
    let reply = client
        .send("", &["joe@remote.test"], "Subject: by hand\r\n\r\n.leading dot\r\n")
        .expect("Postfix takes mail for its domain");
    assert!(reply.starts_with("250 "), "{reply}");

    let arrived = postfix.wait_for(3, PATIENCE);
    let curl = arrived.iter().find(|m| m.header("Subject") == Some("by curl")).expect("arrived");
    assert_eq!(curl.header("Delivered-To"), Some("bob@remote.test"));
    assert_eq!(curl.header("Return-Path"), Some("<a@sender.test>"));
    let swaks = arrived.iter().find(|m| m.header("Subject") == Some("by swaks")).expect("arrived");
    assert_eq!(swaks.header("Delivered-To"), Some("eve@remote.test"));
    let hand = arrived.iter().find(|m| m.header("Subject") == Some("by hand")).expect("arrived");
    assert_eq!(hand.header("Return-Path"), Some("<>"));
    assert_eq!(hand.body(), ".leading dot\n");
    assert!(hand.text().contains("by mx.remote.test (Postfix)"));
}

#[test]
fn mail_for_strangers_is_refused_and_said_by_the_client() {
    let postfix = Postfix::start("mx.remote.test", loopback::address(25), &["remote.test"]);
    let stranger = ["bob@elsewhere.test"];

    let said =
        curl(postfix.address(), "a@sender.test", &stranger, "Subject: x\n\nx\n").unwrap_err();
    assert!(said.contains("554"), "{said}");
    let said =
        swaks(postfix.address(), "a@sender.test", &stranger, "Subject: x\n\nx\n").unwrap_err();
    assert!(said.contains("554 5.7.1"), "{said}");
    let mut client = Client::connect(postfix.address()).expect("Postfix answers");
    let said = client.send("a@sender.test", &stranger, "Subject: x\r\n\r\nx\r\n").expect("a reply");
    assert!(said.starts_with("554 5.7.1"), "{said}");
    assert!(postfix.arrived().is_empty());
}

#[test]
fn a_stopped_server_refuses_connections_and_keeps_its_mail() {
    let mut postfix = Postfix::start("mx.remote.test", loopback::address(25), &["remote.test"]);
    curl(postfix.address(), "a@b.test", &["bob@remote.test"], "Subject: before\n\n").expect("up");
    postfix.wait_for(1, PATIENCE);

    postfix.stop();
    let fault = Client::connect(postfix.address()).expect_err("nobody listens");
    assert_eq!(fault.kind(), std::io::ErrorKind::ConnectionRefused);

    postfix.start_again();
    curl(postfix.address(), "a@b.test", &["bob@remote.test"], "Subject: after\n\n")
        .expect("up again");
    assert_eq!(postfix.wait_for(2, PATIENCE).len(), 2);
}

#[test]
fn a_killed_server_leaves_no_process_behind() {
    let (master, dir) = {
        let postfix = Postfix::start("mx.remote.test", loopback::address(25), &["remote.test"]);
        curl(postfix.address(), "a@b.test", &["bob@remote.test"], "Subject: x\n\n").expect("up");
        (postfix.process_id(), postfix.directory().to_path_buf())
    };
    assert!(!std::path::Path::new(&format!("/proc/{master}")).exists());
    assert!(!dir.exists());
}
