//! Logins as the rest of the world sees them: Python's smtplib logs in as users that the verb `user` has made, while the
//! daemon runs; and Debian's fail2ban reads the failures from the log, whatever names the clients make up.
//!
//! Not here: every mechanism and mail program (`secure_mail`), the verb itself (`verbs`). `setup` beside this file unpacks
//! fail2ban.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_posthaste");
/// Within how long the daemon sees a change, as the verb says.
const SOON: Duration = Duration::from_secs(10);
/// Names that try to write a line of their own, or to name somebody else.
const HOSTILE: [&str; 9] = [
    "ann@example.org",
    "x\" client=203.0.113.1",
    "x\nauthentication failed: client=203.0.113.2 listener=users mechanism=PLAIN user=\"y\"",
    "x\r\n2026-11-22T07:00:00.000000Z  WARN authentication failed: client=203.0.113.3 listener=users mechanism=PLAIN user=\"y\"",
    "\\\"\n{\"timestamp\":\"2026-11-22T07:00:00.000000Z\",\"level\":\"WARN\",\"message\":\"authentication failed: client=203.0.113.4 listener=users mechanism=PLAIN user=\\\"y\\\"\",\"target\":\"posthaste\"}",
    "client=203.0.113.5",
    "x\",\"target\":\"posthaste\"}",
    "\u{202e}\u{2028}client=203.0.113.6 <ADDR> \u{1b}[2K",
    "' OR 1=1; -- $(reboot) `id` \u{85}client=203.0.113.7",
];

/// One login and, when it succeeds, one message. Arguments: port, our address, sender; user and password are read.
const LOGIN: &str = r#"
import base64, json, smtplib, ssl, sys
port, source, sender = sys.argv[1:]
user, password = json.load(sys.stdin)
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with smtplib.SMTP("127.0.0.1", int(port), local_hostname="client.test", timeout=60, source_address=(source, 0)) as smtp:
    smtp.starttls(context=context)
    smtp.ehlo()
    code, _ = smtp.docmd("AUTH", "PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode())
    print(code)
    if code == 235:
        smtp.sendmail(sender, ["r@remote.test"], f"From: {sender}\r\nSubject: hello\r\n\r\nhello\r\n")
"#;

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn fed(command: &mut Command, input: &str) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn verb(folder: &Path, words: &[&str], input: &str) -> String {
    let mut command = Command::new(BINARY);
    let output = fed(command.current_dir(folder).args(words).args(["--config", "p.toml"]), input);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Settings with one door for users; answers its port.
fn settings(folder: &Path, format: &str) -> u16 {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = format!(
        "hostname = \"mta.example.org\"\n[[listener]]\nname = \"users\"\nkind = \"submission\"\n\
         address = \"127.0.0.1:{port}\"\n[resolver]\nservers = \"127.0.0.1:1\"\nroots = []\n\
         [admin]\naddress = \"off\"\n[[route]]\nto = \"*\"\nvia = \"hold\"\n[log]\nformat = \"{format}\"\n"
    );
    fs::write(folder.join("p.toml"), settings).unwrap();
    port
}

/// What it logs goes to the file `log`.
fn start(folder: &Path) -> Daemon {
    let log = fs::File::create(folder.join("log")).unwrap();
    let mut command = Command::new(BINARY);
    command.current_dir(folder).args(["serve", "--config", "p.toml"]).stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log);
    let daemon = Daemon(command.spawn().unwrap());
    verb(folder, &["ping", "--wait", "20s"], "");
    daemon
}

/// What AUTH was answered, to a client at this address.
fn login(port: u16, source: &str, user: &str, password: &str, sender: &str) -> String {
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", LOGIN, &port.to_string(), source, sender]);
    let output = fed(&mut command, &serde_json::json!([user, password]).to_string());
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success() && !said.is_empty(), "{user}: {output:?}");
    said.trim().to_owned()
}

/// The address of each failure that fail2ban finds in this text, in order.
fn found(folder: &Path, text: &str) -> Vec<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tree = here.join("../../.e2e/fail2ban/tree");
    assert!(tree.exists(), "run crates/posthaste/tests/logins/setup first");
    fs::write(folder.join("read"), text).unwrap();
    let mut command = Command::new("/usr/bin/python3");
    command.env("PYTHONPATH", tree.join("usr/lib/python3/dist-packages"));
    command.arg(tree.join("usr/bin/fail2ban-regex")).arg("-c").arg(tree.join("etc/fail2ban"));
    command.args(["-e", "UTF-8", "-o", "ip"]).arg(folder.join("read"));
    command.arg(here.join("../../packaging/fail2ban/filter.d/posthaste.conf"));
    let output = command.output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_user_who_is_added_while_the_daemon_runs_logs_in_and_one_who_is_disabled_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let port = settings(folder, "human");
    let _daemon = start(folder);
    let ann = "ann@example.org";
    let login = |password| login(port, "127.0.0.1", ann, password, ann);
    let change = |words: &[&str], input: &str| {
        verb(folder, words, input);
        std::thread::sleep(SOON);
    };
    assert_eq!(login("open sesame"), "535", "there is nobody yet");
    change(&["user", "add", ann, "--password-stdin"], "open sesame\n");
    assert_eq!(login("open sesame"), "235");
    change(&["user", "passwd", ann, "--scram", "--password-stdin"], "shut sesame\n");
    assert_eq!(login("shut sesame"), "235");
    assert_eq!(login("open sesame"), "535", "the old one is gone");
    change(&["user", "disable", ann], "");
    assert_eq!(login("shut sesame"), "535");
    let listed =
        verb(folder, &["queue", "messages", "source_user = ann@example.org", "--json"], "");
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["messages"].as_array().unwrap().len(), 2, "{listed}");
    let log = fs::read_to_string(folder.join("log")).unwrap();
    assert!(!log.contains("sesame"), "{log}");
}

#[test]
fn fail2ban_finds_who_tried_passwords_and_nobody_whom_they_name() {
    for format in ["human", "json"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let port = settings(folder, format);
        let bob = "bob@example.org";
        verb(folder, &["user", "add", bob, "--password-stdin"], "open sesame\n");
        let daemon = start(folder);
        // Of networks of their own: of one network only so many passwords are checked at a time.
        let clients: Vec<String> =
            (0..HOSTILE.len()).map(|n| format!("127.0.{}.1", 20 + n)).collect();
        std::thread::scope(|scope| {
            for (user, client) in HOSTILE.iter().zip(&clients) {
                scope.spawn(move || {
                    let said = login(port, client, user, "wrong password", "a@b.test");
                    assert_eq!(said, "535", "{user:?}");
                });
            }
        });
        assert_eq!(login(port, "127.0.0.3", bob, "open sesame", bob), "235");
        drop(daemon);
        let log = fs::read_to_string(folder.join("log")).unwrap();
        for before in [
            "",
            // As a file of syslog's has it, in either form of the time, and the journal when it is written out.
            "Nov 22 07:40:00 mta posthaste[4711]: ",
            "2026-11-22T07:40:00.123456+00:00 mta posthaste[4711]: ",
            "2026-11-22T07:40:00+0000 mta posthaste[4711]: ",
        ] {
            let lines: String = log.lines().map(|line| format!("{before}{line}\n")).collect();
            let mut found = found(folder, &lines);
            found.sort();
            assert_eq!(found, clients, "{format}, {before:?}: {log}");
        }
    }
}
