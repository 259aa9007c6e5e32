//! The life of a real daemon: what systemd is told and gives, maintenance over a restart, soft_fail on and off, few
//! descriptors, and a small disk that fills up and gets room again.
//!
//! Not here: the pure decisions (`daemon::pressure`, `reception`).

use crate::command::{fed, posthaste};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Daemon(pub(crate) Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `serve` by a shell line in which `"$@"` is the daemon's own command line.
pub(crate) fn start(folder: &Path, shell: &str, variables: &[(&str, &str)]) -> Daemon {
    let mut command = Command::new("bash");
    command.args(["-c", shell, "bash", env!("CARGO_BIN_EXE_posthaste"), "serve", "--config"]);
    command.arg("p.toml").current_dir(folder).envs(variables.iter().copied());
    let log = std::fs::File::create(folder.join("log")).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Daemon(command.spawn().unwrap())
}

pub(crate) fn settings(folder: &Path, port: u16, top: &str, sections: &str) {
    let text = format!(
        "hostname = \"a.example\"\n{top}\n[[listener]]\nname = \"door\"\naddress = \"127.0.0.1:{port}\"\n\
         [resolver]\nservers = \"127.0.0.1:1\"\nroots = []\n[admin]\naddress = \"off\"\n{sections}"
    );
    std::fs::write(folder.join("p.toml"), text).unwrap();
}

pub(crate) fn verb(folder: &Path, arguments: &[&str]) -> crate::command::Ran {
    posthaste(folder, &[arguments, &["--config", "p.toml"]].concat())
}

pub(crate) fn wait_until_ready(folder: &Path) {
    let ran = verb(folder, &["ping", "--wait", "30s"]);
    let log = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    assert_eq!(ran.code, 0, "{ran:?}\n{}", log());
}

pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn connect(port: u16) -> Option<BufReader<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Some(BufReader::new(stream))
}

fn line(session: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    // A connection that broke has no more to say.
    let _ = session.read_line(&mut line);
    line
}

/// Sends one message; the reply that ended it.
pub(crate) fn hand_in(port: u16, octets: usize) -> String {
    let Some(mut session) = connect(port) else { return String::new() };
    let greeting = line(&mut session);
    if !greeting.starts_with("220") {
        return greeting;
    }
    for command in ["HELO c.example", "MAIL FROM:<a@c.example>", "RCPT TO:<b@b.example>", "DATA"] {
        if session.get_mut().write_all(format!("{command}\r\n").as_bytes()).is_err() {
            return String::new();
        }
        let said = line(&mut session);
        if !said.starts_with(['2', '3']) {
            return said;
        }
    }
    let body = format!(
        "Subject: x\r\n\r\n{}.\r\n",
        format!("{}\r\n", "x".repeat(98)).repeat(octets / 100)
    );
    let _ = session.get_mut().write_all(body.as_bytes());
    line(&mut session)
}

/// A next hop that takes or refuses (550) all recipients, as it is told.
pub(crate) struct NextHop {
    pub(crate) port: u16,
    pub(crate) taken: Arc<AtomicU32>,
}

impl NextHop {
    pub(crate) fn start(takes: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (takes, taken) = (Arc::new(AtomicBool::new(takes)), Arc::new(AtomicU32::new(0)));
        let count = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (yes, count) = (Arc::clone(&takes), Arc::clone(&count));
                std::thread::spawn(move || serve(stream, &yes, &count));
            }
        });
        Self { port, taken }
    }

    pub(crate) fn route(&self) -> String {
        format!("[[route]]\nto = \"*\"\nvia = \"127.0.0.1:{}\"\n", self.port)
    }
}

fn serve(stream: TcpStream, takes: &AtomicBool, taken: &AtomicU32) {
    let mut session = BufReader::new(stream);
    let say = |session: &mut BufReader<TcpStream>, text: &str| {
        let _ = session.get_mut().write_all(format!("{text}\r\n").as_bytes());
    };
    say(&mut session, "220 b.example");
    loop {
        let command = line(&mut session).to_uppercase();
        match command.get(..4) {
            None => return,
            Some("RCPT") if !takes.load(Ordering::SeqCst) => {
                say(&mut session, "550 5.1.1 no such user");
            }
            Some("DATA") => {
                say(&mut session, "354 go on");
                loop {
                    match line(&mut session).as_str() {
                        "" => return,
                        ".\r\n" => break,
                        _ => {}
                    }
                }
                taken.fetch_add(1, Ordering::SeqCst);
                say(&mut session, "250 2.0.0 taken");
            }
            Some("QUIT") => return say(&mut session, "221 bye"),
            Some(_) => say(&mut session, "250 ok"),
        }
    }
}

#[test]
fn systemd_is_told_how_it_goes_and_gets_signs_of_life() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    settings(folder, free_port(), "", "");
    let path = folder.join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let variables = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "1000000")];
    let mut daemon = start(folder, "exec \"$@\"", &variables);
    let wait_for = |word: &str| loop {
        let mut buffer = [0; 4096];
        let length = manager.recv(&mut buffer).unwrap_or_else(|e| panic!("{word}: {e}"));
        let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if said.lines().any(|line| line.starts_with(word)) {
            break said;
        }
    };
    let ready = wait_for("READY=1");
    assert!(ready.contains("STATUS=accepting mail; 0 messages"), "{ready}");
    assert_eq!(verb(folder, &["ping"]).code, 0, "ready is ready");
    for _ in 0..3 {
        wait_for("WATCHDOG=1");
    }
    std::fs::write(folder.join("p.toml"), "nonsense").unwrap();
    let reload = format!("kill -HUP {}", daemon.0.id());
    assert!(Command::new("sh").args(["-c", &reload]).status().unwrap().success());
    let reloading = wait_for("RELOADING=1");
    let micros = reloading.lines().find_map(|l| l.strip_prefix("MONOTONIC_USEC=")).unwrap();
    assert!(micros.parse::<u64>().unwrap() > 0);
    wait_for("READY=1");
    let stop = format!("kill {}", daemon.0.id());
    assert!(Command::new("sh").args(["-c", &stop]).status().unwrap().success());
    wait_for("STOPPING=1");
    assert!(daemon.0.wait().unwrap().success());
}

#[test]
fn sockets_from_systemd_are_served_by_name_and_by_address() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [named, addressed, unused] = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let port = |socket: &TcpListener| socket.local_addr().unwrap().port();
    let ports = [port(&named), port(&addressed), port(&unused)];
    // The listener "door" has another address in the file: the name decides.
    let second = format!("[[listener]]\nname = \"two\"\naddress = \"127.0.0.1:{}\"\n", ports[1]);
    settings(folder, free_port(), "", &second);
    let descriptor = |socket: &TcpListener| std::os::fd::AsRawFd::as_raw_fd(socket);
    let all = [&named, &addressed, &unused];
    for socket in all {
        rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty()).unwrap();
    }
    let moves = all.map(descriptor);
    let shell = format!(
        // High numbers: low ones may be the sockets themselves.
        "exec 193<&{} 194<&{} 195<&{}; exec 3<&193 4<&194 5<&195; \
         LISTEN_PID=$$ LISTEN_FDS=3 LISTEN_FDNAMES=door:x.socket:y.socket exec \"$@\"",
        moves[0], moves[1], moves[2]
    );
    let _daemon = start(folder, &shell, &[]);
    wait_until_ready(folder);
    for port in [ports[0], ports[1]] {
        assert!(line(&mut connect(port).unwrap()).starts_with("220 a.example"), "{port}");
    }
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    assert!(log.contains("belongs to no [[listener]]") && log.contains("y.socket"), "{log}");
    assert_eq!(verb(folder, &["reload"]).code, 0);
    assert!(line(&mut connect(ports[0]).unwrap()).starts_with("220 a.example"), "it stays");
}

#[test]
fn maintenance_is_told_drains_and_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let port = free_port();
    let hop = NextHop::start(true);
    settings(folder, port, "", &hop.route());
    let daemon = start(folder, "exec \"$@\"", &[]);
    wait_until_ready(folder);
    assert!(hand_in(port, 100).starts_with("250"));
    let mut open = connect(port).unwrap();
    assert!(line(&mut open).starts_with("220"));
    let ran = verb(folder, &["maintenance", "on", "--reason", "new disk", "--wait", "20s"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("s (new disk); 0 messages"), "{ran:?}");
    assert_eq!(hop.taken.load(Ordering::SeqCst), 1);
    assert!(line(&mut open).starts_with("421 4.3.2 Service closed for maintenance"));
    assert!(line(&mut connect(port).unwrap()).starts_with("421 4.3.2 "));
    drop(daemon);
    let _daemon = start(folder, "exec \"$@\"", &[]);
    until("it answers", || verb(folder, &["status"]).code == 0);
    until("the door is open", || connect(port).is_some());
    assert!(line(&mut connect(port).unwrap()).starts_with("421 4.3.2 "));
    let ran = verb(folder, &["ping"]);
    assert_eq!(
        (ran.code, ran.stderr.contains("no mail is accepted: maintenance")),
        (1, true),
        "{ran:?}"
    );
    let ran = verb(folder, &["status", "--monitor"]);
    assert_eq!(ran.code, 1);
    let said = "WARNING - closed for maintenance (new disk) | messages=0;5000;50000 ";
    assert!(ran.stdout.starts_with(said), "{}", ran.stdout);
    assert_eq!(verb(folder, &["maintenance", "off"]).code, 0);
    assert!(hand_in(port, 100).starts_with("250"));
    let ran = verb(folder, &["status", "--monitor"]);
    assert_eq!((ran.code, ran.stdout.starts_with("OK - ")), (0, true), "{ran:?}");
    drop(_daemon);
    let ran = verb(folder, &["status", "--monitor"]);
    assert_eq!((ran.code, ran.stdout.starts_with("CRITICAL - no daemon")), (2, true), "{ran:?}");
}

#[test]
fn soft_fail_defers_what_would_bounce_until_it_is_off() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let port = free_port();
    let hop = NextHop::start(false);
    settings(folder, port, "soft_fail = true", &hop.route());
    let _daemon = start(folder, "exec \"$@\"", &[]);
    wait_until_ready(folder);
    let message = "Subject: x\n\nhello\n";
    let send = ["send", "--from", "a@c.example", "--to", "bob@b.example", "--config", "p.toml"];
    let id = fed(folder, &send, message).stdout.trim().to_owned();
    let recipient =
        || verb(folder, &["queue", "show", &id, "--json"]).json()["recipients"][0].clone();
    until("it was tried", || recipient()["attempts"] == 1);
    let bob = recipient();
    assert_eq!(bob["status"], "queued", "{bob}");
    assert_eq!(
        (&bob["last_error"]["code"], &bob["last_error"]["soft_fail"]),
        (&550.into(), &true.into())
    );
    let shown = verb(folder, &["status"]).stdout;
    assert!(shown.contains("accepting  yes; soft_fail is on"), "{shown}");
    settings(folder, port, "", &hop.route());
    let ran = verb(folder, &["reload", "--json"]);
    assert_eq!((ran.code, &ran.json()["due_now"]), (0, &1.into()), "{ran:?}");
    until("it failed", || verb(folder, &["queue", "show", &id]).code == 4);
    // The event log is written behind the mail.
    until("the log has it", || {
        let tracked = verb(folder, &["track", &id, "--json"]).json();
        tracked["messages"][0]["recipients"][0]["status"] == "failed"
    });
}

#[test]
fn with_few_descriptors_many_clients_are_turned_away_and_operators_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let port = free_port();
    let hop = NextHop::start(true);
    settings(folder, port, "", &hop.route());
    let _daemon = start(folder, "ulimit -n 64; exec \"$@\"", &[]);
    wait_until_ready(folder);
    let crowd: Vec<_> = (0..200).filter_map(|_| connect(port)).collect();
    assert_eq!(crowd.len(), 200);
    let mut greetings: Vec<String> = Vec::new();
    let mut kept = Vec::new();
    for mut session in crowd {
        greetings.push(line(&mut session));
        kept.push(session);
    }
    let served = greetings.iter().filter(|said| said.starts_with("220")).count();
    let turned = greetings.iter().filter(|said| said.starts_with("421 4.3.2")).count();
    assert!(
        (4..=14).contains(&served) && served + turned == 200,
        "{served} {turned} {greetings:?}"
    );
    let ran = verb(folder, &["status"]);
    assert_eq!(ran.code, 0, "the operator is served: {ran:?}");
    drop(kept);
    until("all is as before", || hand_in(port, 100).starts_with("250"));
    until("it is delivered", || hop.taken.load(Ordering::SeqCst) >= 1);
}

/// A file system of its own; nothing is mounted without the right to.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(at).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_mail_delivers_and_takes_mail_again_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let data = folder.join("disk");
    let Some(_disk) = SmallDisk::mount(&data) else { return };
    let port = free_port();
    let hop = NextHop::start(true);
    let paused = "127.0.0.1:1";
    let route = |via: &str| format!("[[route]]\nto = \"*\"\nvia = \"{via}\"\n");
    let top = "data = \"disk/data\"";
    settings(folder, port, top, &route(paused));
    let _daemon = start(folder, "exec \"$@\"", &[]);
    wait_until_ready(folder);
    // Somebody else fills the disk, and makes room.
    let mut foreign = std::fs::File::create(data.join("foreign")).unwrap();
    let block = vec![0; 1 << 16];
    while foreign.write_all(&block).is_ok() {}
    let mut accepted = 0;
    until("it is refused", || {
        let said = hand_in(port, 200_000);
        accepted += u32::from(said.starts_with("250"));
        said.starts_with("452 4.3.1 ")
    });
    std::fs::remove_file(data.join("foreign")).unwrap();
    drop(foreign);
    until("it is taken again", || hand_in(port, 100).starts_with("250"));
    accepted += 1;
    // Mail fills it.
    let refused = loop {
        let said = hand_in(port, 200_000);
        if !said.starts_with("250") {
            break said;
        }
        accepted += 1;
        assert!(accepted < 400, "the disk has 64 MiB");
    };
    assert!(refused.starts_with("452 4.3.1 "), "{refused}");
    assert!(accepted > 50, "{accepted}");
    // Where large mail has no room, small mail may have some.
    until("it is known", || {
        accepted += u32::from(hand_in(port, 10_000).starts_with("250"));
        verb(folder, &["ping"]).stderr.contains("no mail is accepted: disk")
    });
    let shown = verb(folder, &["status"]).stdout;
    assert!(shown.contains("accepting  NO: disk is used up"), "{shown}");
    assert_eq!(verb(folder, &["status", "--monitor"]).code, 2);
    assert!(hand_in(port, 100).starts_with("452 4.3.1 Not enough disk space"));
    settings(folder, port, top, &route(&format!("127.0.0.1:{}", hop.port)));
    assert_eq!(verb(folder, &["reload"]).code, 0);
    assert_eq!(verb(folder, &["queue", "retry", "--all"]).code, 0);
    until("all is delivered", || hop.taken.load(Ordering::SeqCst) >= accepted);
    until("mail is accepted again", || hand_in(port, 100).starts_with("250"));
    until("it is ready again", || verb(folder, &["ping"]).code == 0);
    let wanted = accepted + 1;
    until("nothing is lost", || hop.taken.load(Ordering::SeqCst) >= wanted);
}
