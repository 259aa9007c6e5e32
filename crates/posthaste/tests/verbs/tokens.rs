//! Token commands of a real daemon that was started as root, became another user and is confined: it logs in by XOAUTH2
//! though it can run no program any more, and what runs them has nothing that they do not need.
//!
//! Needs root and landlock, as `privileges`. Not here: one command (`token_broker`), logging in (crates `smtp`, `delivery`).

use crate::privileges::{Daemon, NOBODY, Scene, nobody};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A command may take 30 seconds.
const LIMIT: Duration = Duration::from_secs(45);
const SOON: Duration = Duration::from_secs(10);
/// `user=me^Aauth=Bearer open sesame^A^A`.
const INITIAL: &str = "dXNlcj1tZQFhdXRoPUJlYXJlciBvcGVuIHNlc2FtZQEB";

/// A smarthost that wants this token, then hands all on to the mail host of the scene.
struct SmartHost {
    port: u16,
    logins: Arc<Mutex<Vec<String>>>,
}

impl SmartHost {
    fn start(behind: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let logins = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&logins);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let heard = Arc::clone(&heard);
                std::thread::spawn(move || talk(stream, behind, &heard));
            }
        });
        Self { port, logins }
    }

    fn route(&self, command: &str) -> String {
        format!(
            "[[route]]\nto = \"c.example\"\nvia = \"127.0.0.1:{}\"\ntls = \"none\"\nauth_in_clear = true\n\
             auth = {{ user = \"me\", token_command = [\"{command}\", \"smtp\"] }}\n",
            self.port
        )
    }
}

/// EHLO and AUTH are answered here, the rest behind.
fn talk(stream: TcpStream, behind: u16, heard: &Mutex<Vec<String>>) -> Option<()> {
    let mut client = BufReader::new(stream);
    let mut host = BufReader::new(TcpStream::connect(("127.0.0.1", behind)).ok()?);
    let mut reply = String::new();
    host.read_line(&mut reply).ok()?;
    client.get_mut().write_all(reply.as_bytes()).ok()?;
    let (mut line, mut in_content, mut is_in) = (String::new(), false, false);
    while client.read_line(&mut line).is_ok_and(|octets| octets > 0) {
        reply.clear();
        if in_content && line != ".\r\n" {
            host.get_mut().write_all(line.as_bytes()).ok()?;
        } else if line.starts_with("EHLO") {
            reply += "250-c.example\r\n250 AUTH XOAUTH2\r\n";
        } else if let Some(login) = line.strip_prefix("AUTH ") {
            is_in = login.trim_end() == format!("XOAUTH2 {INITIAL}");
            heard.lock().unwrap().push(login.trim_end().to_owned());
            reply += if is_in { "235 2.7.0 welcome\r\n" } else { "535 5.7.8 no\r\n" };
        } else if !is_in && line.starts_with("MAIL") {
            reply += "530 5.7.0 log in\r\n";
        } else {
            in_content = line.starts_with("DATA");
            host.get_mut().write_all(line.as_bytes()).ok()?;
            host.read_line(&mut reply).ok()?;
        }
        client.get_mut().write_all(reply.as_bytes()).ok()?;
        line.clear();
    }
    None
}

/// A process, by what /proc tells of it.
#[derive(Clone, Debug)]
struct Process {
    id: u32,
    parent: u32,
    state: char,
}

impl Process {
    fn all() -> Vec<Self> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.filter_map(Self::of).collect()
    }

    fn of(id: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (_, after_name) = stat.rsplit_once(") ")?;
        let mut words = after_name.split(' ');
        let state = words.next()?.chars().next()?;
        Some(Self { id, parent: words.next()?.parse().ok()?, state })
    }

    fn children(parent: u32) -> Vec<Self> {
        Self::all().into_iter().filter(|process| process.parent == parent).collect()
    }

    fn lives(id: u32) -> bool {
        Self::of(id).is_some_and(|process| process.state != 'Z')
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.id)).unwrap()
    }

    fn status(&self, name: &str) -> Vec<String> {
        let text = self.file("status");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.expect(name).split_whitespace().map(str::to_owned).collect()
    }
}

fn broker(daemon: &Daemon) -> Process {
    let children = Process::children(daemon.id());
    assert_eq!(children.len(), 1, "{children:?}");
    children[0].clone()
}

fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A program that prints the token; while the file `hang` is there, it hangs, and so does what it has started.
fn token_program(scene: &Scene) -> String {
    let (path, hang) = (scene.path("print-token"), scene.path("hang"));
    let hanging = format!("if [ -e {} ]; then sleep 1000 & sleep 1000; fi", hang.display());
    fs::write(&path, format!("#!/bin/sh\n{hanging}\necho open sesame\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[test]
fn a_confined_daemon_logs_in_with_tokens_that_another_process_fetches() {
    let scene = Scene::new();
    let host = SmartHost::start(scene.next_hop);
    let process = format!("user = \"{NOBODY}\"");
    scene.settings(&process, &host.route(&token_program(&scene)));
    let daemon = scene.start();
    let confined = scene.verb(&["status", "--json"]).json()["process"].clone();
    let expected = serde_json::json!({ "user": NOBODY, "files": "confined", "calls": "confined" });
    assert_eq!(confined, expected);
    for subject in ["with a token", "with the same token"] {
        scene.hand_in(subject);
        scene.arrives(subject);
    }
    let expected = format!("XOAUTH2 {INITIAL}");
    assert!(host.logins.lock().unwrap().iter().all(|login| *login == expected));

    let broker = broker(&daemon);
    let uid = nobody().to_string();
    assert_eq!(broker.status("Uid"), vec![uid.clone(); 4]);
    assert!(!broker.status("Gid").contains(&"0".to_owned()));
    assert!(!broker.status("Groups").contains(&"0".to_owned()));
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(broker.status(set), ["0000000000000000"], "{set}");
    }
    assert_eq!(broker.status("NoNewPrivs"), ["1"]);
    let environment = broker.file("environ");
    let home = nix::unistd::User::from_name(NOBODY).unwrap().unwrap().dir;
    assert_eq!(environment, format!("HOME={}\0", home.display()), "not root's");
    let pipe_of = |fd: &str| fs::read_link(format!("/proc/{}/fd/{fd}", broker.id)).unwrap();
    let open = fs::read_dir(format!("/proc/{}/fd", broker.id)).unwrap().flatten();
    for fd in open.map(|fd| fd.file_name().into_string().unwrap()) {
        // The last one is its own copy of standard output.
        let is_own = ["0", "1", "2"].contains(&fd.as_str()) || pipe_of(&fd) == pipe_of("1");
        assert!(is_own, "what the daemon was started with is not handed on: {:?}", pipe_of(&fd));
    }
    // Another process of its user neither reads its memory nor writes into its pipes.
    let maps = fs::metadata(format!("/proc/{}/maps", broker.id)).unwrap();
    assert_eq!(maps.uid(), 0);
    let mut other = Command::new("/bin/sh");
    other.args(["-c", &format!("echo 0 > /proc/{}/fd/1", broker.id)]);
    assert!(!other.uid(nobody()).gid(nobody()).output().unwrap().status.success());
    // Nothing that has ended is left.
    assert!(Process::children(broker.id).is_empty());

    daemon.stop(&scene);
    until("the broker ends with the daemon", SOON, || (!Process::lives(broker.id)).then_some(()));
}

#[test]
fn a_command_that_hangs_is_ended_and_so_is_all_when_the_daemon_is_killed() {
    let scene = Scene::new();
    let host = SmartHost::start(scene.next_hop);
    let process = format!("user = \"{NOBODY}\"");
    scene.settings(&process, &host.route(&token_program(&scene)));
    fs::write(scene.path("hang"), "").unwrap();
    let daemon = scene.start();
    scene.hand_in("waits");
    let broker = broker(&daemon);
    let hanging = || Process::children(broker.id).first().map(|command| command.id);
    let command = until("the command runs", SOON, hanging);
    let sleeping = until("it has begun more", SOON, || {
        let children = Process::children(command);
        (children.len() == 2).then_some(children)
    });
    until("it is ended after its limit", LIMIT, || (!Process::lives(command)).then_some(()));
    for process in sleeping {
        until("so is what it began", SOON, || (!Process::lives(process.id)).then_some(()));
    }
    until("the mail waits for it", SOON, || {
        let queue = scene.verb(&["queue", "--json"]).stdout;
        queue.contains("route.smarthost-auth").then_some(())
    });
    assert!(host.logins.lock().unwrap().is_empty());
    fs::remove_file(scene.path("hang")).unwrap();
    let ran = scene.verb(&["queue", "retry", "--all"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    scene.arrives("waits");
    daemon.stop(&scene);

    fs::write(scene.path("hang"), "").unwrap();
    let daemon = scene.start();
    scene.hand_in("waits again");
    let broker = self::broker(&daemon);
    let hanging = || Process::children(broker.id).first().map(|command| command.id);
    let command = until("the command runs", SOON, hanging);
    drop(daemon);
    for id in [command, broker.id] {
        until("it ends with the daemon", SOON, || (!Process::lives(id)).then_some(()));
    }
}
