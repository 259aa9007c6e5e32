//! A real daemon started as root: what is left of root's rights when it serves, and that all it does works without them.
//!
//! Needs root and landlock, as `real_mail` needs root. Not here: each system call (`daemon::privileges::calls`).

use crate::command::{Ran, posthaste};
use crate::daemon::session;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The user it becomes, and one who is neither that nor root.
pub(crate) const NOBODY: &str = "nobody";
const SOMEBODY_ELSE: u32 = 1;
const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Scene {
    folder: tempfile::TempDir,
    /// Below 1024: nobody but root may open it.
    port: u16,
    pub(crate) next_hop: u16,
    delivered: Receiver<String>,
}

pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Scene {
    pub(crate) fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "these tests start the daemon as root");
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let (next_hop, delivered) = mail_host();
        Self { folder, port: low_port(), next_hop, delivered }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A configuration with programs' doors outside of `data`, as an administrator has them.
    pub(crate) fn settings(&self, process: &str, more: &str) {
        let text = format!(
            "hostname = \"a.example\"\ndata = \"data\"\npostmaster = \"ann@b.example\"\n{more}\n\
             [[listener]]\nname = \"low\"\naddress = \"127.0.0.1:{}\"\n\
             [[route]]\nto = \"*\"\nvia = \"127.0.0.1:{}\"\n\
             [resolver]\nservers = \"127.0.0.1:1\"\nroots = []\n[admin]\naddress = \"off\"\n\
             [submission]\nsocket = \"run/submit.sock\"\npickup = \"drop\"\n[process]\n{process}\n",
            self.port, self.next_hop
        );
        fs::write(self.path("p.toml"), text).unwrap();
    }

    fn serve(&self) -> Daemon {
        let log = self.path("log");
        // What is open at 9 is handed down.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec 9< p.toml; exec \"$0\" serve --config p.toml"]);
        command.arg(env!("CARGO_BIN_EXE_posthaste")).current_dir(self.folder.path());
        let said = fs::File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        Daemon { child: command.spawn().unwrap(), log }
    }

    pub(crate) fn start(&self) -> Daemon {
        let daemon = self.serve();
        let ran = self.verb(&["ping", "--wait", "20s"]);
        assert_eq!(ran.code, 0, "{ran:?}\n{}", fs::read_to_string(&daemon.log).unwrap());
        daemon
    }

    /// It does not start; what it says then.
    fn refused(&self) -> String {
        let mut daemon = self.serve();
        let code = daemon.child.wait().unwrap().code();
        assert!(matches!(code, Some(1 | 2)), "{code:?}");
        fs::read_to_string(&daemon.log).unwrap()
    }

    pub(crate) fn verb(&self, arguments: &[&str]) -> Ran {
        posthaste(self.folder.path(), &[arguments, &["--config", "p.toml"]].concat())
    }

    fn process(&self) -> serde_json::Value {
        self.verb(&["status", "--json"]).json()["process"].clone()
    }

    /// A client on the low port hands in a message with this subject.
    pub(crate) fn hand_in(&self, subject: &str) {
        let mut client = session(self.port).expect("it greets");
        let message = format!("Subject: {subject}\r\n\r\nhello\r\n.\r\n");
        for (line, code) in [
            ("EHLO c.example\r\n", "250"),
            ("MAIL FROM:<ann@a.example>\r\n", "250"),
            ("RCPT TO:<bob@c.example>\r\n", "250"),
            ("DATA\r\n", "354"),
            (&message, "250"),
        ] {
            client.get_mut().write_all(line.as_bytes()).unwrap();
            let mut reply = String::from("-");
            while reply.as_bytes().get(3) == Some(&b'-') || reply == "-" {
                reply.clear();
                client.read_line(&mut reply).unwrap();
            }
            assert!(reply.starts_with(code), "{line}: {reply}");
        }
    }

    pub(crate) fn arrives(&self, subject: &str) {
        let message =
            self.delivered.recv_timeout(SOON).unwrap_or_else(|e| panic!("{subject}: {e}"));
        assert!(message.contains(&format!("Subject: {subject}\r\n")), "{subject}: {message}");
    }

    /// `sendmail` as a user of the machine calls it.
    fn sendmail(&self, subject: &str) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_posthaste"));
        command.current_dir("/").uid(SOMEBODY_ELSE).gid(SOMEBODY_ELSE);
        command.env("POSTHASTE_CONFIG", self.path("p.toml")).arg0("sendmail");
        command.args(["-i", "bob@c.example"]).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let letter = format!("Subject: {subject}\n\nhello\n");
        child.stdin.take().unwrap().write_all(letter.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{subject}");
    }
}

impl Daemon {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }

    /// The values of a line of `/proc/PID/status`.
    fn status(&self, name: &str) -> Vec<String> {
        let text = self.proc("status");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.expect(name).split_whitespace().map(str::to_owned).collect()
    }

    pub(crate) fn stop(mut self, scene: &Scene) {
        assert_eq!(scene.verb(&["stop"]).code, 0);
        assert!(self.child.wait().unwrap().success());
    }
}

/// A mail host that takes everything, one connection after the other, and tells each message.
fn mail_host() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let tell = tell.clone();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream);
                let _ = lines.get_mut().write_all(b"220 c.example\r\n");
                let (mut line, mut message) = (String::new(), None::<String>);
                while lines.read_line(&mut line).is_ok_and(|octets| octets > 0) {
                    let reply = match &mut message {
                        Some(text) if line == ".\r\n" => {
                            let _ = tell.send(std::mem::take(text));
                            message = None;
                            "250 ok\r\n"
                        }
                        Some(text) => {
                            *text += &line;
                            ""
                        }
                        None if line.starts_with("DATA") => {
                            message = Some(String::new());
                            "354 go\r\n"
                        }
                        None => "250 ok\r\n",
                    };
                    let _ = lines.get_mut().write_all(reply.as_bytes());
                    line.clear();
                }
            });
        }
    });
    (port, told)
}

/// One that nobody has, another one each time.
fn low_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(700);
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut ports = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::SeqCst));
    ports.by_ref().take(300).find(free).expect("one of these ports is free")
}

pub(crate) fn nobody() -> u32 {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line =
        passwd.lines().find(|line| line.starts_with("nobody:")).expect("every system has it");
    line.split(':').nth(2).unwrap().parse().unwrap()
}

#[test]
fn it_opens_its_port_becomes_the_user_for_good_and_mail_flows() {
    let scene = Scene::new();
    fs::write(scene.path("lists"), "ann@b.example\n").unwrap();
    let domain = "[[domain]]\nname = \"b.example\"\nrecipients = \"file:lists\"\n";
    let process = format!("user = \"{NOBODY}\"");
    scene.settings(&process, domain);
    let daemon = scene.start();
    let uid = nobody().to_string();
    assert_eq!(daemon.status("Uid"), vec![uid.clone(); 4]);
    assert!(!daemon.status("Groups").contains(&"0".to_owned()), "{:?}", daemon.status("Groups"));
    assert!(!daemon.status("Gid").contains(&"0".to_owned()));
    for (line, value) in [
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
    ] {
        assert_eq!(daemon.status(line), [value], "{line}");
    }
    let limits = daemon.proc("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).collect::<Vec<_>>(), ["0", "0", "bytes"]);
    assert_eq!(
        scene.process(),
        serde_json::json!({ "user": NOBODY, "files": "confined", "calls": "confined" })
    );
    // What tells of memory is root's alone: not even another process of the same user may look.
    let maps = fs::metadata(format!("/proc/{}/maps", daemon.child.id())).unwrap();
    assert_eq!(maps.uid(), 0);

    scene.hand_in("over the low port");
    scene.arrives("over the low port");
    scene.sendmail("by a program");
    scene.arrives("by a program");
    let ran = scene.verb(&["reload"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "reloaded\n"), "{ran:?}");
    scene.hand_in("after a reload");
    scene.arrives("after a reload");
    daemon.stop(&scene);
    scene.sendmail("while it is down");
    let again = scene.start();
    scene.arrives("while it is down");
    again.stop(&scene);
}

#[test]
fn others_see_nothing_of_its_files_and_it_sees_nothing_of_theirs() {
    let scene = Scene::new();
    let process = format!("user = \"{NOBODY}\"");
    scene.settings(&process, "");
    let daemon = scene.start();
    scene.hand_in("secret");
    scene.arrives("secret");
    for (name, mode) in [("data", 0o700), ("data/spool", 0o700), ("data/events", 0o700)] {
        let found = fs::metadata(scene.path(name)).unwrap();
        assert_eq!((found.mode() & 0o7777, found.uid()), (mode, nobody()), "{name}");
    }
    for folder in ["data/spool", "data/events"] {
        for file in fs::read_dir(scene.path(folder)).unwrap().flatten() {
            let mode = file.metadata().unwrap().mode() & 0o7777;
            assert_eq!(mode & 0o077, 0, "{:?} {mode:o}", file.path());
        }
    }
    let mut other = Command::new("/bin/ls");
    let other = other.arg(scene.path("data/spool")).uid(SOMEBODY_ELSE).gid(SOMEBODY_ELSE).output();
    assert!(!other.unwrap().status.success(), "another user lists the spool");

    // Everybody may read it, but it lies where the daemon never had to look.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::set_permissions(elsewhere.path(), Permissions::from_mode(0o755)).unwrap();
    let list = elsewhere.path().join("list");
    fs::write(&list, "ann@b.example\n").unwrap();
    fs::set_permissions(&list, Permissions::from_mode(0o644)).unwrap();
    let named =
        format!("[[domain]]\nname = \"b.example\"\nrecipients = \"file:{}\"\n", list.display());
    scene.settings(&process, &named);
    let ran = scene.verb(&["reload"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    let said = "list: cannot be read: it lies outside of the folders that the daemon may read since its start; restart it";
    assert!(ran.stderr.contains(said), "{ran:?}");
    scene.hand_in("the old settings hold");
    scene.arrives("the old settings hold");
    // A start asks for it.
    daemon.stop(&scene);
    let daemon = scene.start();
    assert_eq!(scene.verb(&["reload"]).code, 0);

    // A port that only root may open.
    let door = format!("[[listener]]\nname = \"more\"\naddress = \"127.0.0.1:{}\"\n", low_port());
    scene.settings(&process, &(named + &door));
    let ran = scene.verb(&["reload"]);
    assert!(ran.code == 2 && ran.stderr.contains("restart the daemon that way"), "{ran:?}");
    scene.hand_in("the old door is open");
    scene.arrives("the old door is open");
    daemon.stop(&scene);
}

#[test]
fn what_is_missing_at_the_start_is_told_with_the_command_that_mends_it() {
    let scene = Scene::new();
    scene.settings("user = \"no-such-user\"", "");
    let said = scene.refused();
    assert!(said.contains("there is no user `no-such-user`") && said.contains("useradd"), "{said}");

    // A folder of root's.
    let process = format!("user = \"{NOBODY}\"");
    scene.settings(&process, "");
    fs::create_dir(scene.path("data")).unwrap();
    fs::set_permissions(scene.path("data"), Permissions::from_mode(0o755)).unwrap();
    let said = scene.refused();
    let advice = "it belongs to `root`. With the daemon stopped: `chown -R nobody: data`";
    assert!(said.contains("the user `nobody` cannot use data") && said.contains(advice), "{said}");

    // Given to it, it works, and is closed to others.
    chown(scene.path("data"), Some(nobody()), None).unwrap();
    scene.start().stop(&scene);
    assert_eq!(fs::metadata(scene.path("data")).unwrap().mode() & 0o777, 0o700);

    // What root left in the spool would be found missing under mail.
    let left = scene.path("data/spool/segment-000009");
    fs::write(&left, "").unwrap();
    fs::set_permissions(&left, Permissions::from_mode(0o600)).unwrap();
    let said = scene.refused();
    assert!(said.contains("segment-000009") && said.contains("chown -R nobody: "), "{said}");
    fs::remove_file(&left).unwrap();

    // What only root can read could not be reread.
    fs::write(scene.path("list"), "ann@b.example\n").unwrap();
    fs::set_permissions(scene.path("list"), Permissions::from_mode(0o600)).unwrap();
    scene.settings(&process, "[[domain]]\nname = \"b.example\"\nrecipients = \"file:list\"\n");
    let said = scene.refused();
    assert!(said.contains("list: cannot be read: Permission denied"), "{said}");
    scene.settings(&process, "");
    fs::set_permissions(scene.path("p.toml"), Permissions::from_mode(0o600)).unwrap();
    let said = scene.refused();
    assert!(said.contains("(read as the user `nobody`)"), "{said}");
}

#[test]
fn without_a_user_root_is_warned_of_and_confined_and_all_of_it_can_be_off() {
    let scene = Scene::new();
    scene.settings("", "");
    let daemon = scene.start();
    let said = fs::read_to_string(&daemon.log).unwrap();
    assert!(said.contains("the daemon runs as root") && said.contains("useradd"), "{said}");
    assert_eq!(daemon.status("Seccomp"), ["2"]);
    assert_eq!(scene.process()["files"], "confined");
    scene.hand_in("as root");
    scene.arrives("as root");
    daemon.stop(&scene);

    scene.settings("sandbox = \"off\"", "");
    let daemon = scene.start();
    assert_eq!(daemon.status("Seccomp"), ["0"]);
    assert_eq!(daemon.status("NoNewPrivs"), ["1"], "that needs no kernel of today");
    let open = serde_json::json!({ "user": "root", "files": "open", "calls": "open" });
    assert_eq!(scene.process(), open);
    daemon.stop(&scene);
}

#[test]
fn what_root_prepares_before_the_first_start_is_the_users() {
    let scene = Scene::new();
    let process = format!("user = \"{NOBODY}\"");
    scene.settings(&process, "users = \"logins/users\"");
    for arguments in [
        &["user", "add", "ann", "--generate"][..],
        &["user", "add", "bob", "--generate"],
        &["dkim", "new", "b.example", "--selector", "s"],
        &["dkim", "new", "c.example", "--selector", "s", "--folder", "keys"],
    ] {
        let ran = scene.verb(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
    }
    for (name, mode) in [
        ("data", 0o700),
        ("data/dkim", 0o700),
        ("data/dkim/b.example", 0o700),
        ("data/dkim/b.example/s.pem", 0o600),
        ("keys", 0o700),
        ("keys/s.pem", 0o600),
        ("logins", 0o700),
        ("logins/users", 0o600),
        ("logins/users.lock", 0o600),
    ] {
        let found = fs::metadata(scene.path(name)).unwrap();
        assert_eq!((found.uid(), found.mode() & 0o7777), (nobody(), mode), "{name}");
    }
    let key = |domain: &str, file: &str| {
        format!("[[dkim]]\ndomain = \"{domain}\"\nselector = \"s\"\nkey = \"{file}\"\n")
    };
    let keys = key("b.example", "data/dkim/b.example/s.pem") + &key("c.example", "keys/s.pem");
    scene.settings(&process, &format!("users = \"logins/users\"\n{keys}"));
    let checked = scene.verb(&["config", "check"]);
    assert!(checked.code == 0 && !checked.stderr.contains("cannot"), "{checked:?}");
    let daemon = scene.start();
    scene.hand_in("prepared");
    scene.arrives("prepared");
    daemon.stop(&scene);
    // A user that is not there yet: nothing is made that somebody else would have to give away.
    let early = Scene::new();
    early.settings("user = \"no-such-user\"", "");
    for arguments in [&["user", "add", "ann", "--generate"][..], &["dkim", "new", "b.example"]] {
        let ran = early.verb(arguments);
        assert!(ran.code == 1 && ran.stderr.contains("there is no user `no-such-user`"), "{ran:?}");
    }
    assert!(!early.path("data").exists());
}

/// A certificate and its key, as `NAME.pem` and `NAME.key`.
fn certificate(folder: &Path, name: &str, host: &str) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
    let own = params.self_signed(&key).unwrap();
    fs::write(folder.join(format!("{name}.pem")), own.pem()).unwrap();
    fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    let key = folder.join(format!("{name}.key"));
    fs::set_permissions(key, Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn the_check_sees_what_the_user_could_not_use_and_how_that_is_mended() {
    let scene = Scene::new();
    let process = format!("user = \"{NOBODY}\"");
    let certified = "[[certificate]]\nchain = \"closed/c.pem\"\nkey = \"closed/c.key\"\n";
    let warned = || {
        let ran = scene.verb(&["config", "check", "--json"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let json = ran.json();
        let all = json["warnings"].as_array().unwrap().iter();
        let all = all
            .map(|w| format!("{}: {}", w["at"].as_str().unwrap(), w["message"].as_str().unwrap()));
        all.filter(|said| said.contains("process.user")).collect::<Vec<_>>()
    };
    fs::create_dir(scene.path("closed")).unwrap();
    certificate(&scene.path("closed"), "c", "a.example");
    fs::set_permissions(scene.path("closed"), Permissions::from_mode(0o700)).unwrap();
    fs::create_dir(scene.path("data")).unwrap();
    scene.settings("", certified);
    assert_eq!(warned(), Vec::<String>::new(), "it stays root");
    scene.settings(&process, certified);
    let said = warned();
    for (place, what) in [
        (
            "/closed: ",
            "get through it to closed/c.pem: it belongs to `root` (mode 0700); run: chgrp ",
        ),
        ("closed/c.key: ", "cannot read it: it belongs to `root` (mode 0600); run: chgrp "),
        ("data: ", "run: chown -R nobody: data"),
    ] {
        let there = said.iter().filter(|said| said.contains(place) && said.contains(what)).count();
        assert_eq!(there, 1, "{place}{what}: {said:#?}");
    }
    assert_eq!(said.len(), 3, "{said:#?}");
    // What it says to run is run.
    for said in said {
        let (_, command) = said.split_once("; run: ").unwrap();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]).current_dir(scene.folder.path());
        assert!(shell.status().unwrap().success(), "{command}");
    }
    assert_eq!(warned(), Vec::<String>::new());
    scene.start().stop(&scene);

    for (process, missing) in [
        ("user = \"no-such-user\"", "there is no user `no-such-user`, whom `process.user` names"),
        ("user = \"nobody\"\ngroup = \"no-such-group\"", "there is no group `no-such-group`"),
    ] {
        scene.settings(process, "");
        let ran = scene.verb(&["config", "check"]);
        assert!(ran.code == 2 && ran.stderr.contains(missing), "{ran:?}");
    }
}

/// As Let's Encrypt's programs keep them: `live/` has links to numbered files in `archive/`.
#[test]
fn a_certificate_is_renewed_through_links_while_the_daemon_is_confined() {
    let scene = Scene::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let at = |name: &str| elsewhere.path().join(name);
    fs::set_permissions(elsewhere.path(), Permissions::from_mode(0o755)).unwrap();
    for folder in ["live/mx", "archive/mx"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    let issue = |number: u32, host: &str| {
        certificate(&at("archive/mx"), &number.to_string(), host);
        let key = at(&format!("archive/mx/{number}.key"));
        chown(&key, None, Some(group_of_nobody())).unwrap();
        fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
        for ending in ["pem", "key"] {
            let fresh = at("live/mx/fresh");
            let target = format!("../../archive/mx/{number}.{ending}");
            std::os::unix::fs::symlink(target, &fresh).unwrap();
            fs::rename(&fresh, at(&format!("live/mx/mx.{ending}"))).unwrap();
        }
    };
    issue(1, "first.a.example");
    let live = at("live/mx");
    let certified = |folder: &Path| {
        let name = |ending| folder.join(format!("mx.{ending}")).display().to_string();
        format!("[[certificate]]\nchain = \"{}\"\nkey = \"{}\"\n", name("pem"), name("key"))
    };
    let process = format!("user = \"{NOBODY}\"");
    scene.settings(&process, &certified(&live));
    let checked = scene.verb(&["config", "check"]);
    assert!(checked.code == 0 && !checked.stderr.contains("cannot read"), "{checked:?}");
    let daemon = scene.start();
    assert_eq!(scene.process()["files"], "confined");
    let told = |host: &str| {
        let until = std::time::Instant::now() + SOON;
        while !fs::read_to_string(&daemon.log).unwrap().contains(host) {
            assert!(
                std::time::Instant::now() < until,
                "{host}: {}",
                fs::read_to_string(&daemon.log).unwrap()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    told("first.a.example");
    issue(2, "second.a.example");
    told("second.a.example");
    fs::remove_file(at("archive/mx/1.key")).unwrap();
    issue(3, "third.a.example");
    let ran = scene.verb(&["reload"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    told("third.a.example");
    scene.hand_in("after renewals");
    scene.arrives("after renewals");

    // A folder that nothing led to at the start.
    let other = tempfile::tempdir().unwrap();
    fs::set_permissions(other.path(), Permissions::from_mode(0o755)).unwrap();
    certificate(other.path(), "mx", "other.a.example");
    chown(other.path().join("mx.key"), Some(nobody()), None).unwrap();
    scene.settings(&process, &certified(other.path()));
    let ran = scene.verb(&["reload"]);
    assert!(ran.code == 2 && ran.stderr.contains("restart it"), "{ran:?}");
    assert!(!fs::read_to_string(&daemon.log).unwrap().contains("other.a.example"));
    daemon.stop(&scene);
}

fn group_of_nobody() -> u32 {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("nobody:")).unwrap();
    line.split(':').nth(3).unwrap().parse().unwrap()
}
