//! A scan of our doors with sslscan, and with testssl.sh where a minute may be spent: versions, ciphers, and what has gone
//! wrong in other servers.
//!
//! Not here: mail (`programs`). testssl.sh: `cargo test -p posthaste --test secure_mail testssl -- --ignored --nocapture`.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use crate::authority::Authority;
use crate::more_tree;
use crate::ours::{NAME, Ours};

#[test]
fn a_scanner_finds_tls_1_2_and_1_3_with_forward_secrecy_and_nothing_weak() {
    let authority = Authority::new("Ours");
    let ours = Ours::start(&authority, &[], |_| String::new());
    for (address, starttls) in doors(&ours) {
        let report = sslscan(address, starttls);
        let of = |element: &str| -> Vec<String> {
            let begin = format!("<{element} ");
            let lines = report.lines().map(str::trim).filter(|line| line.starts_with(&begin));
            lines.map(str::to_owned).collect()
        };
        let versions: Vec<_> = of("protocol")
            .iter()
            .filter(|line| line.contains("enabled=\"1\""))
            .map(|line| format!("{}{}", attribute(line, "type"), attribute(line, "version")))
            .collect();
        assert_eq!(versions, ["tls1.2", "tls1.3"], "{report}");
        let ciphers: Vec<_> = of("cipher")
            .iter()
            .map(|line| (attribute(line, "sslversion"), attribute(line, "cipher")))
            .collect();
        println!("{address} {}", if starttls { "STARTTLS" } else { "implicit" });
        ciphers.iter().for_each(|(version, cipher)| println!("    {version} {cipher}"));
        assert!(ciphers.len() >= 6, "three of each version: {report}");
        for (version, cipher) in &ciphers {
            // All of TLS 1.3 has it.
            let is_secret_forward = version == "TLSv1.3" || cipher.starts_with("ECDHE-");
            let is_strong = cipher.contains("GCM") || cipher.contains("CHACHA20");
            assert!(is_secret_forward && is_strong, "{version} {cipher}");
        }
        for line in of("heartbleed") {
            assert_eq!(attribute(&line, "vulnerable"), "0", "{line}");
        }
        for line in of("renegotiation") {
            assert_eq!(attribute(&line, "supported"), "0", "by a client, insecurely: {line}");
        }
        for line in of("compression") {
            assert_eq!(attribute(&line, "supported"), "0", "{line}");
        }
        assert!(
            report.contains(&format!("<altnames><![CDATA[DNS:{NAME}]]></altnames>")),
            "{report}"
        );
        assert!(report.contains("<issuer><![CDATA[Ours]]></issuer>"), "{report}");
        assert!(report.contains("<expired>false</expired>"), "{report}");
    }
}

#[test]
#[ignore = "takes two minutes"]
fn testssl_finds_nothing_wrong() {
    let authority = Authority::new("Ours");
    let ours = Ours::start(&authority, &[], |_| String::new());
    for (address, starttls) in doors(&ours) {
        let report = testssl(&ours, address, starttls);
        println!("{report}");
        let wrong: Vec<_> = report
            .lines()
            .filter(|line| {
                line.contains("\"HIGH\"")
                    || line.contains("\"CRITICAL\"")
                    || line.contains("\"MEDIUM\"")
            })
            // Of a certificate that a test made for a name that is in no DNS.
            .filter(|line| !line.starts_with("\"cert") && !line.starts_with("\"DNS_CAA"))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(report.contains("\"heartbleed\""), "it got that far: {report}");
    }
}

fn doors(ours: &Ours) -> [(SocketAddr, bool); 2] {
    [(ours.target.starttls, true), (ours.target.implicit, false)]
}

fn sslscan(address: SocketAddr, starttls: bool) -> String {
    let mut command = more_tree::command("usr/bin/sslscan");
    command.args(["--no-colour", "--xml=-", &format!("--sni-name={NAME}")]);
    command.args(starttls.then_some("--starttls-smtp")).arg(address.to_string());
    let output = command.output().expect("setup unpacked it");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && report.contains("<protocol "), "{output:?}");
    report
}

/// Its findings as lines `"id","host","port","SEVERITY","finding"`. It wants a program that asks DNS and gets one that knows
/// nothing: no question leaves this machine.
fn testssl(ours: &Ours, address: SocketAddr, starttls: bool) -> String {
    let folder = ours.folder().join("testssl");
    let report = folder.join(format!("{}.csv", address.port()));
    fs::create_dir_all(&folder).expect("ours");
    fs::write(folder.join("dig"), "#!/bin/sh\nexit 1\n").expect("ours");
    let runnable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.join("dig"), runnable).expect("ours");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(more_tree::root().join("usr/bin/testssl"));
    command
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("TESTSSL_INSTALL_DIR", more_tree::root().join("etc/testssl"))
        .args(["--nodns", "min", "--warnings", "batch", "--color", "0", "--quiet"])
        .args(["-p", "-s", "-f", "-S", "-U", "--openssl", "/usr/bin/openssl", "--csvfile"])
        .arg(&report)
        .args(["--ip", &address.ip().to_string()]);
    if starttls {
        command.args(["-t", "smtp"]);
    }
    let output = command.arg(address.to_string()).output().expect("setup unpacked it");
    fs::read_to_string(&report).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

fn attribute(line: &str, name: &str) -> String {
    let value = line.split(&format!(" {name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
    value.unwrap_or_default().to_owned()
}
