//! TLS as an operator sees it: certificates that end, sessions under it, and a certificate that is replaced while mail
//! flows.
//!
//! Not here: handshakes (`io-tokio`), what a session may do under TLS (`reception`).

use crate::command::posthaste;
use crate::daemon::{free_ports, settings, start};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const HELD: &str = "[[route]]\nto = \"*\"\nvia = \"hold\"\n[[certificate]]\nchain = \"own.pem\"\nkey = \"own.key\"\n";
const PATIENCE: Duration = Duration::from_secs(40);

/// Writes a self-signed certificate for 127.0.0.1 that ends in so many days, and its key; the certificate.
fn certify(folder: &Path, days: i64) -> String {
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
    let end = end.to_zoned(jiff::tz::TimeZone::UTC).date();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    let (month, day) = (end.month().unsigned_abs(), end.day().unsigned_abs());
    params.not_after = date_time_ymd(end.year().into(), month, day);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    std::fs::write(folder.join("own.pem"), &certificate).unwrap();
    std::fs::write(folder.join("own.key"), key.serialize_pem()).unwrap();
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(folder.join("own.key"), closed).unwrap();
    certificate
}

/// Hands in a message under STARTTLS, or fails. `trust`: the file of the only certificate that is believed.
fn curl(folder: &Path, port: u16, trust: Option<&str>) -> Output {
    let mut command = Command::new("curl");
    command.current_dir(folder).args([
        "--silent",
        "--show-error",
        "--ssl-reqd",
        "--max-time",
        "30",
    ]);
    match trust {
        Some(file) => command.args(["--cacert", file]),
        None => command.arg("--insecure"),
    };
    command.arg(format!("smtp://127.0.0.1:{port}/client.test"));
    command.args(["--mail-from", "a@a.example", "--mail-rcpt", "b@b.example"]);
    command.args(["--upload-file", "message"]).output().unwrap()
}

fn verb(folder: &Path, arguments: &[&str]) -> crate::command::Ran {
    posthaste(folder, &[arguments, &["--config", "p.toml"]].concat())
}

#[test]
fn a_certificate_that_ends_is_told_in_time() {
    for (days, code, state, words) in
        [(200, 0, "OK", ""), (5, 1, "WARNING", "expires at"), (-3, 2, "CRITICAL", "has expired at")]
    {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        certify(folder, days);
        settings(folder, &free_ports()[..1], HELD);
        let _daemon = start(folder);
        let ran = verb(folder, &["status", "--monitor"]);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stdout.starts_with(state) && ran.stdout.contains(words), "{ran:?}");
        let to_do = verb(folder, &["status"]).stdout;
        assert!(to_do.contains(words) && to_do.contains("own.pem") == (code > 0), "{to_do}");
    }
}

#[test]
fn a_session_under_tls_shows_how_it_was_secured() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    certify(folder, 100);
    std::fs::write(folder.join("message"), "Subject: s\r\n\r\nx\r\n").unwrap();
    let [port, _] = free_ports();
    settings(folder, &[port], HELD);
    let _daemon = start(folder);
    let sent = curl(folder, port, Some("own.pem"));
    assert!(sent.status.success(), "{sent:?}");
    // The log is written a moment after the end.
    let deadline = Instant::now() + PATIENCE;
    let session = loop {
        let listed = verb(folder, &["track", "--client", "127.0.0.1", "--json"]);
        if let Some(session) = listed.json()["sessions"].get(0) {
            break session.clone();
        }
        assert!(Instant::now() < deadline, "{listed:?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(session["tls"]["protocol"], "TLSv1.3", "{session}");
    let shown = verb(folder, &["track", "--session", session["id"].as_str().unwrap()]).stdout;
    assert!(shown.contains("\ntls         TLSv1.3 TLS_"), "{shown}");
    assert!(shown.contains("C: STARTTLS\n"), "{shown}");
    let status = verb(folder, &["status"]).stdout;
    assert!(status.contains("clients    1 session under TLS, 0 failed handshakes; "), "{status}");
    let unbelieved = curl(folder, port, Some("message"));
    assert!(!unbelieved.status.success());
}

#[test]
fn a_certificate_is_replaced_while_mail_flows_and_nothing_is_lost() {
    const SESSIONS: usize = 4;
    const AT_LEAST: u64 = 100;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("old.pem"), certify(folder, 100)).unwrap();
    std::fs::write(folder.join("message"), "Subject: s\r\n\r\nx\r\n").unwrap();
    let [port, _] = free_ports();
    settings(folder, &[port], HELD);
    let _daemon = start(folder);
    let (sent, enough) = (AtomicU64::new(0), AtomicBool::new(false));
    let probes = std::thread::scope(|scope| {
        for _ in 0..SESSIONS {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    let ran = curl(folder, port, None);
                    assert!(ran.status.success(), "{ran:?}");
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let probes = replace(folder, port, || sent.load(Ordering::Relaxed) >= AT_LEAST);
        enough.store(true, Ordering::Relaxed);
        probes
    });
    let probes = probes.unwrap_or_else(|wrong| panic!("{wrong}"));
    let sent = sent.load(Ordering::Relaxed) + probes;
    let status = verb(folder, &["status", "--json"]).json();
    assert_eq!(
        (&status["messages"], &status["accepted"]),
        (&sent.into(), &sent.into()),
        "{status}"
    );
    println!("{sent} messages");
}

/// Replaces the certificate under load, and waits until new sessions show it and enough came. How many messages that took.
fn replace(folder: &Path, port: u16, enough: impl Fn() -> bool) -> Result<u64, &'static str> {
    let goes = |trust| curl(folder, port, Some(trust)).status.success();
    if !goes("old.pem") {
        return Err("the old certificate is not shown");
    }
    let mut probes = 1;
    std::fs::write(folder.join("new.pem"), certify(folder, 200)).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = goes("new.pem");
        probes += u64::from(shown);
        if shown && enough() {
            break;
        }
        if Instant::now() > deadline {
            return Err("the new certificate is not shown, or too little mail came");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    if goes("old.pem") { Err("the old certificate is still shown") } else { Ok(probes) }
}
