//! Mail programs log in at Posthaste with every mechanism: swaks (PLAIN, LOGIN), msmtp (SCRAM-SHA-256 by GNU SASL), curl and
//! Python's smtplib; over STARTTLS and implicit TLS; and what is refused to them.
//!
//! Not here: mail servers (`inbound`).

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::authority::Authority;
use crate::base_tree;
use crate::more_tree;
use crate::ours::{NAME, Ours, says_of_taken, write_secret};
use crate::process::until;
use crate::sink::Sink;
use crate::way::{Auth, PASSWORD, SCRAM_USER, Security, USER, WRONG_PASSWORD, content};

/// How often a login that is told to come again does so.
const TRIES: usize = 20;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Swaks,
    Msmtp,
    Curl,
    Smtplib,
}

/// One log in of a program.
#[derive(Clone, Copy, Debug)]
struct Login {
    program: Program,
    security: Security,
    auth: Auth,
    user: &'static str,
    password: &'static str,
}

impl Login {
    /// Known again by its recipient.
    fn recipient(&self, number: usize) -> String {
        format!("n{number}@programs.test")
    }

    fn name(&self) -> String {
        format!("{:?} {:?} {} {}", self.program, self.security, self.auth.name(), self.user)
    }
}

/// Every program with the mechanisms it has, for both users: keys for SCRAM serve PLAIN and LOGIN, too.
fn logins(user: &'static str, password: &'static str) -> Vec<Login> {
    let mut all = Vec::new();
    for security in [Security::StartTls, Security::Implicit] {
        for (program, auth) in [
            (Program::Swaks, Auth::Plain),
            (Program::Swaks, Auth::Login),
            (Program::Msmtp, Auth::Plain),
            (Program::Msmtp, Auth::Login),
            (Program::Msmtp, Auth::Scram),
            (Program::Curl, Auth::Plain),
            (Program::Curl, Auth::Login),
            (Program::Smtplib, Auth::Plain),
            (Program::Smtplib, Auth::Login),
        ] {
            if auth != Auth::Scram || user != USER {
                all.push(Login { program, security, auth, user, password });
            }
        }
    }
    all
}

#[test]
fn every_program_logs_in_with_every_mechanism_it_has() {
    let (ours, sink) = scene();
    let mut rows = logins(USER, PASSWORD);
    rows.extend(logins(SCRAM_USER, PASSWORD));
    for (number, login) in rows.iter().enumerate() {
        let done = send(&ours, login, &login.recipient(number));
        println!("{:40} {}", login.name(), if done.is_ok() { "taken" } else { "refused" });
        done.unwrap_or_else(|said| panic!("{login:?}: {said}\n{}", ours.daemon.log()));
    }
    until(PATIENCE, || sink.count() >= rows.len());
    let (taken, logins) = (sink.messages(), ours.logins());
    for (number, login) in rows.iter().enumerate() {
        let to = format!("<{}>", login.recipient(number));
        let copies: Vec<_> =
            taken.iter().filter(|m| m.recipients.iter().any(|r| r.starts_with(&to))).collect();
        assert_eq!(copies.len(), 1, "{login:?}");
        let text = String::from_utf8_lossy(&copies[0].content).into_owned();
        assert!(text.contains("\nthe end\n"), "{login:?}: {text}");
        assert_eq!(says_of_taken(&text).1, "ESMTPSA", "{login:?}: {text}");
        let user = logins.get(&login.recipient(number)).copied();
        assert_eq!(user, Some(login.user), "{login:?}");
    }
}

#[test]
fn wrong_passwords_and_unknown_users_are_refused_alike() {
    let (ours, sink) = scene();
    let mut rows = logins(USER, WRONG_PASSWORD);
    rows.extend(logins(SCRAM_USER, WRONG_PASSWORD));
    rows.extend(logins("nobody", PASSWORD));
    // One who has a hash alone has no SCRAM; it is refused as a wrong password is.
    let scram = Login { auth: Auth::Scram, program: Program::Msmtp, ..rows[0] };
    rows.push(Login { password: PASSWORD, ..scram });
    std::thread::scope(|scope| {
        for login in &rows {
            let ours = &ours;
            scope.spawn(move || {
                // Of one address only so many are checked at a time: the others are told 454, and come again.
                let said = (0..TRIES)
                    .map(|_| send(ours, login, "b@programs.test").expect_err("it is wrong"))
                    .find(|said| !said.contains("Passwords cannot be checked now"))
                    .expect("it is checked after a few tries");
                assert!(said.contains("535"), "{login:?}: {said}");
            });
        }
    });
    for login in &rows {
        println!("{:40} 535", login.name());
    }
    assert_eq!(sink.count(), 0);
}

#[test]
fn auth_is_neither_offered_nor_taken_before_tls_nor_by_another_name() {
    let (ours, sink) = scene();
    let before = dialogue(&ours, false, &["EHLO client.test", "AUTH PLAIN AHJvYmluAHg="]);
    assert!(before.contains("250-STARTTLS") || before.contains("250 STARTTLS"), "{before}");
    assert!(!before.contains("AUTH"), "not offered: {before}");
    let refusal = before.lines().last().unwrap_or_default();
    assert!(["503", "530", "538", "502", "504"].contains(&&refusal[..3]), "{before}");
    let within = dialogue(&ours, true, &["EHLO client.test", "AUTH CRAM-MD5", "AUTH DIGEST-MD5"]);
    let offered = within.lines().find(|line| line[4..].starts_with("AUTH ")).unwrap_or_default();
    for mechanism in ["PLAIN", "LOGIN", "SCRAM-SHA-256"] {
        assert!(offered.split(' ').any(|word| word == mechanism), "{within}");
    }
    let refusals: Vec<_> = within.lines().rev().take(2).collect();
    assert!(refusals.iter().all(|line| line.starts_with("504")), "{within}");
    let unasked = dialogue(&ours, true, &["EHLO client.test", "MAIL FROM:<a@sender.test>"]);
    assert!(unasked.lines().last().unwrap_or_default().starts_with("530"), "{unasked}");
    println!("{offered}\nbefore TLS: {refusal}\n{}", refusals.join("\n"));
    assert_eq!(sink.count(), 0);
}

fn scene() -> (Ours, Sink) {
    let sink = Sink::start(&[]);
    let ours = Ours::start(&Authority::new("Ours"), &[], |_| {
        format!("[[route]]\nto = [\"*\"]\nvia = [\"{}\"]\n", sink.address())
    });
    (ours, sink)
}

/// What the server answers, by way of `openssl s_client`: lines are given one after the other.
fn dialogue(ours: &Ours, tls: bool, lines: &[&str]) -> String {
    use std::io::{BufRead, BufReader};
    let mut answers = String::new();
    let mut speak = |read: &mut dyn BufRead, write: &mut dyn Write| {
        let mut reply = |keep: bool| loop {
            let mut line = String::new();
            assert!(read.read_line(&mut line).expect("a line") > 0, "{answers}");
            let is_last = line.as_bytes().get(3) == Some(&b' ');
            if keep {
                answers += &line;
            }
            if is_last {
                return;
            }
        };
        reply(false);
        for line in lines {
            write.write_all(format!("{line}\r\n").as_bytes()).expect("it listens");
            write.flush().expect("it listens");
            reply(true);
        }
    };
    if tls {
        let mut child = Command::new("openssl")
            .args(["s_client", "-quiet", "-verify_quiet", "-connect"])
            .arg(ours.target.implicit.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("setup saw to it");
        let mut read = BufReader::new(child.stdout.take().expect("piped"));
        let mut write = child.stdin.take().expect("piped");
        speak(&mut read, &mut write);
        drop(write);
        child.kill().expect("ours");
        child.wait().expect("ours");
    } else {
        let mut write = std::net::TcpStream::connect(ours.target.starttls).expect("it listens");
        let mut read = BufReader::new(write.try_clone().expect("a descriptor"));
        speak(&mut read, &mut write);
    }
    answers.replace('\r', "")
}

/// Hands one message in. Refused, returns what the program says.
fn send(ours: &Ours, login: &Login, to: &str) -> Result<(), String> {
    let address = match login.security {
        Security::StartTls => ours.target.starttls,
        Security::Implicit => ours.target.implicit,
    };
    let mut command = match login.program {
        Program::Swaks => swaks(login, address, to),
        Program::Msmtp => msmtp(login, address, to, ours.folder()),
        Program::Curl => curl(login, address, to, ours.folder()),
        Program::Smtplib => smtplib(login, address, to, ours.folder()),
    };
    let output = feed(&mut command, &content("programs.test").replace('\r', ""));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

fn feed(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot start {command:?} ({e}): run setup first"));
    // A program that is refused before the data ends early: that is for its exit status to say.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("ours")
}

/// It looks at no certificate.
fn swaks(login: &Login, address: SocketAddr, to: &str) -> Command {
    let libraries = more_tree::libraries();
    let mut command = Command::new("perl");
    let perl = libraries.join("perl5/5.36");
    command.env("PERL5LIB", perl).env("LD_LIBRARY_PATH", more_tree::library_path());
    command.arg(base_tree::root().join("usr/bin/swaks"));
    command.args(["--server", &address.ip().to_string(), "--port", &address.port().to_string()]);
    command.args(["--helo", "client.test", "--from", "a@sender.test", "--to", to]);
    command.args(["--auth", login.auth.name(), "--auth-user", login.user]);
    command.args(["--auth-password", login.password, "--timeout", "30", "--data", "-"]);
    command.arg(if login.security == Security::StartTls { "--tls" } else { "--tls-on-connect" });
    command
}

fn msmtp(login: &Login, address: SocketAddr, to: &str, folder: &Path) -> Command {
    let settings =
        folder.join(format!("msmtp-{to}-{:?}-{:?}-{}", login.security, login.auth, login.user));
    let text = format!(
        "account default\nhost {host}\nport {port}\nfrom a@sender.test\nauth {auth}\nuser {user}\n\
         password \"{password}\"\ntls on\ntls_starttls {starttls}\ntls_trust_file {roots}\n\
         tls_host_override {NAME}\ntimeout 30\n",
        host = address.ip(),
        port = address.port(),
        auth = login.auth.name().to_lowercase(),
        user = login.user,
        password = login.password,
        starttls = if login.security == Security::StartTls { "on" } else { "off" },
        roots = folder.join("trusted.pem").display(),
    );
    write_secret(&settings, &text);
    let mut command = more_tree::command("usr/bin/msmtp");
    command.arg("-C").arg(settings).arg(to);
    command
}

fn curl(login: &Login, address: SocketAddr, to: &str, folder: &Path) -> Command {
    let scheme = if login.security == Security::StartTls { "smtp" } else { "smtps" };
    let port = address.port();
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--verbose", "--max-time", "30", "--ssl-reqd"]);
    command.arg("--cacert").arg(folder.join("trusted.pem"));
    command.args(["--resolve", &format!("{NAME}:{port}:{}", address.ip())]);
    command.arg(format!("{scheme}://{NAME}:{port}/client.test"));
    command.args(["--user", &format!("{}:{}", login.user, login.password)]);
    command.args(["--login-options", &format!("AUTH={}", login.auth.name())]);
    command.args(["--mail-from", "a@sender.test", "--mail-rcpt", to, "--upload-file", "-"]);
    command
}

/// Its own `auth_plain` and `auth_login`; the name of the certificate is given, which is not that of the connection.
const SMTPLIB: &str = r#"
import smtplib, ssl, sys
host, port, implicit, mechanism, user, password, roots, name, to = sys.argv[1:]
context = ssl.create_default_context(cafile=roots)
client = smtplib.SMTP_SSL if implicit == "yes" else smtplib.SMTP
class Named(client):
    def connect(self, *at):
        result = super().connect(host, int(port))
        self._host = name
        return result
    def _get_socket(self, _host, _port, timeout):
        if implicit == "yes":
            plain = smtplib.SMTP._get_socket(self, host, int(port), timeout)
            return context.wrap_socket(plain, server_hostname=name)
        return super()._get_socket(host, int(port), timeout)
with Named(name, int(port), local_hostname="client.test", timeout=30) as smtp:
    if implicit == "no":
        smtp.starttls(context=context)
    smtp.ehlo()
    smtp.user, smtp.password = user, password
    method = {"PLAIN": smtp.auth_plain, "LOGIN": smtp.auth_login}[mechanism]
    smtp.auth(mechanism, method)
    smtp.sendmail("a@sender.test", [to], sys.stdin.read())
"#;

fn smtplib(login: &Login, address: SocketAddr, to: &str, folder: &Path) -> Command {
    let implicit = if login.security == Security::Implicit { "yes" } else { "no" };
    let mut command = Command::new("python3");
    command.args(["-c", SMTPLIB, &address.ip().to_string(), &address.port().to_string(), implicit]);
    command.args([login.auth.name(), login.user, login.password]);
    command.arg(folder.join("trusted.pem")).args([NAME, to]);
    command
}
