//! DNS as an operator meets it: servers and what is wrong with them, questions, forgetting, resolv.conf that changes under
//! a running daemon, and the hosts file.
//!
//! Not here: what the resolver does with servers that misbehave (crate `dns`).

use crate::command::{Ran, fed};
use crate::life::{Daemon, NextHop, free_port, start, until, verb, wait_until_ready};
use posthaste_io::World;
use posthaste_io_tokio::NullJournal;
use posthaste_peers::dns::{Behaviour, DnsServer, Zone};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tempfile::TempDir;

const ZONE: &str = "
b.example         300 MX 10 mx.b.example
b.example         300 MX 20 lost.b.example
mx.b.example      300 A 127.0.0.1
lost.b.example    300 AAAA ::1
plain.example     300 A 127.0.0.1
1.2.0.192.in-addr.arpa 300 PTR host.b.example
host.b.example    300 A 192.0.2.1
2.2.0.192.in-addr.arpa 300 PTR mx.b.example
";
/// Nobody is there.
const NOBODY: &str = "127.0.0.1:1";

/// A scripted server in a runtime of its own.
struct Scripted {
    server: DnsServer,
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Scripted {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
        let server = DnsServer::new(Zone::parse(ZONE).unwrap());
        let at = runtime.block_on(async {
            let world: World = posthaste_io_tokio::world(Arc::new(NullJournal));
            server.start(&world, "127.0.0.1:0".parse().unwrap()).await.unwrap()
        });
        Self { server, address: at, _runtime: runtime }
    }
}

fn settings(folder: &Path, resolver: &str, routes: &str) {
    let text = format!(
        "hostname = \"a.example\"\n[[listener]]\nname = \"door\"\naddress = \"127.0.0.1:{}\"\n\
         [resolver]\nroots = []\ntry_limit = \"500ms\"\ntries = 1\n{resolver}\n\
         [admin]\naddress = \"off\"\n{routes}",
        free_port()
    );
    fs::write(folder.join("p.toml"), text).unwrap();
}

fn serve(resolver: &str, routes: &str) -> (TempDir, Daemon) {
    let folder = tempfile::tempdir().unwrap();
    settings(folder.path(), resolver, routes);
    let daemon = start(folder.path(), "exec \"$@\"", &[]);
    wait_until_ready(folder.path());
    (folder, daemon)
}

fn ask(folder: &TempDir, arguments: &[&str]) -> Ran {
    verb(folder.path(), &[&["dns", "ask"], arguments].concat())
}

fn hand_in(folder: &Path, to: &str) {
    let send = ["send", "--from", "<>", "--to", to, "--config", "p.toml"];
    let ran = fed(folder, &send, "Subject: x\n\nhello\n");
    assert_eq!(ran.code, 0, "{ran:?}");
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

#[test]
fn a_dead_server_is_named_and_monitoring_is_told() {
    let (silent, good) = (Scripted::start(), Scripted::start());
    silent.server.behave("*", None, Behaviour::Drop);
    let servers = format!("servers = [\"{}\", \"{}\"]", silent.address, good.address);
    let (folder, _daemon) = serve(&servers, "");
    let look = |arguments: &[&str]| verb(folder.path(), arguments);
    let unused = look(&["dns", "servers", "--json"]).json();
    assert_eq!(unused["servers"][0]["state"], "unused", "{unused}");
    let mut asked = 0;
    until("the silent server is dead", || {
        asked += 1;
        let ran = ask(&folder, &[&format!("n{asked}.b.example"), "A"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        look(&["dns", "servers", "--json"]).json()["servers"][0]["state"] == "dead"
    });
    let told = look(&["dns", "servers", "--json"]).json();
    let (dead, alive) = (&told["servers"][0], &told["servers"][1]);
    assert_eq!((&dead["list"], &alive["state"]), (&"primary".into(), &"good".into()), "{told}");
    assert!(dead["failures"]["timed-out"].as_u64() > Some(0), "{told}");
    assert!(alive["smoothed_ms"].as_f64() > Some(0.0), "{told}");
    let words = format!("{} is dead since ", silent.address);
    let ran = look(&["dns", "servers"]);
    assert!(ran.code == 0 && ran.stdout.contains(&words), "{ran:?}");
    assert!(
        ran.stdout.contains("\ncache: ") && told["caches"][0]["put"] == asked,
        "{ran:?} {told}"
    );
    assert_eq!(look(&["dns", "servers", "--check"]).code, 5);
    let ran = look(&["status"]);
    assert!(ran.stdout.contains(&format!("to do      see to a DNS server: {words}")), "{ran:?}");
    let ran = look(&["status", "--monitor"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.starts_with(&format!("WARNING - DNS: {words}")), "{ran:?}");
    assert!(ran.stdout.contains(&format!(" dns_{}_failed=", silent.address)), "{ran:?}");

    good.server.behave("*", None, Behaviour::Drop);
    until("both are dead", || {
        asked += 1;
        ask(&folder, &[&format!("n{asked}.b.example"), "A"]);
        look(&["status", "--monitor"]).code == 2
    });
}

#[test]
fn a_question_is_asked_as_mail_asks_it_and_every_answer_is_told() {
    let scripted = Scripted::start();
    let (folder, _daemon) = serve(&format!("servers = \"{}\"", scripted.address), "");

    let told = ask(&folder, &["B.Example", "--json"]).json();
    let questions = told["questions"].as_array().unwrap();
    let asked = |q: &serde_json::Value| format!("{} {}", q["type"], q["name"]).replace('"', "");
    assert_eq!(
        questions.iter().map(asked).collect::<Vec<_>>(),
        [
            "MX b.example",
            "A mx.b.example",
            "AAAA mx.b.example",
            "A lost.b.example",
            "AAAA lost.b.example"
        ]
    );
    assert_eq!(
        (&questions[0]["outcome"], &questions[0]["from"]),
        (&"answer".into(), &"servers".into())
    );
    assert_eq!(questions[0]["answers"][0]["server"], scripted.address.to_string());
    assert_eq!(questions[0]["answers"][0]["transport"], "udp");
    assert_eq!(questions[2]["outcome"], "nodata", "{told}");
    let kept = ask(&folder, &["b.example", "mx", "--json"]).json();
    assert_eq!(kept["questions"][0]["from"], "cache", "{kept}");
    let fresh = ask(&folder, &["b.example", "mx", "--json", "--fresh"]).json();
    assert_eq!(fresh["questions"][0]["from"], "servers", "{fresh}");
    let ran = ask(&folder, &["plain.example"]);
    assert!(ran.stdout.contains("MX plain.example: nodata"), "{ran:?}");
    assert!(ran.stdout.contains("    plain.example 300 A 127.0.0.1"), "{ran:?}");

    let (code, text) = (22, "at delegation b.example".to_owned());
    scripted.server.behave("c.example", None, Behaviour::Extended { rcode: 2, code, text });
    let ran = ask(&folder, &["c.example", "MX"]);
    assert!(ran.stdout.contains("MX c.example: servfail"), "{ran:?}");
    assert!(
        ran.stdout.contains("EDE 22 No Reachable Authority \"at delegation b.example\""),
        "{ran:?}"
    );
}

#[test]
fn addresses_routes_servers_and_mistakes_have_answers_of_their_own() {
    let scripted = Scripted::start();
    let route = format!("[[route]]\nto = \"inside.example\"\nresolvers = \"{NOBODY}\"\n");
    let (folder, _daemon) = serve(&format!("servers = \"{}\"", scripted.address), &route);
    for (address, naming) in
        [("192.0.2.1", "confirmed"), ("192.0.2.2", "mismatch"), ("192.0.2.3", "no-ptr")]
    {
        let told = ask(&folder, &[address, "--json"]).json();
        assert_eq!(told["naming"], naming, "{told}");
    }
    let told = ask(&folder, &["b.example", "MX", "--route", "inside.example", "--json"]).json();
    assert_eq!(told["questions"][0]["outcome"], "unreachable", "{told}");
    let server = scripted.address.to_string();
    let told = ask(&folder, &["b.example", "MX", "--server", &server, "--json"]).json();
    assert_eq!(
        (&told["questions"][0]["from"], &told["asked"]),
        (&"servers".into(), &format!("server {server}").into())
    );

    let long = "x".repeat(64);
    for (arguments, code, words) in [
        (
            &["b.example", "MXX"][..],
            2,
            "`MXX` is not a type that can be asked for; there are: A, AAAA, MX",
        ),
        (&["b..example"], 2, "DNS cannot hold the name `b..example`"),
        (&[long.as_str()], 2, "DNS cannot hold the name"),
        (&["b.example", "--server", "ns.example"], 2, "`server`: \"ns.example\" is not an address"),
        (
            &["b.example", "--route", "nowhere"],
            4,
            "no route has the name `nowhere`; there are: inside.example",
        ),
        (&["b.example", "--route", "x", "--server", "::1"], 2, "cannot be used with"),
        (&[], 2, "NAME"),
    ] {
        let ran = ask(&folder, arguments);
        assert!(ran.code == code && ran.stderr.contains(words), "{arguments:?} {ran:?}");
    }
}

#[test]
fn what_is_kept_is_forgotten_by_name_or_whole() {
    let scripted = Scripted::start();
    let (folder, mut daemon) = serve(&format!("servers = \"{}\"", scripted.address), "");
    ask(&folder, &["b.example"]);
    ask(&folder, &["plain.example", "A"]);
    let flush = |arguments: &[&str]| verb(folder.path(), &[&["dns", "flush"], arguments].concat());
    let ran = flush(&["mx.b.example"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "forgotten: 2 answers of mx.b.example and names below it\n")
    );
    let told = flush(&["--json"]).json();
    assert_eq!((&told["forgotten"], &told["name"]), (&4.into(), &serde_json::Value::Null));
    assert_eq!(flush(&[]).stdout, "forgotten: 0 answers\n");
    let ran = flush(&["a..b"]);
    assert!(ran.code == 2 && ran.stderr.contains("DNS cannot hold the name `a..b`"), "{ran:?}");
    daemon.0.kill().unwrap();
    daemon.0.wait().unwrap();
    for verb_ in [&["dns", "servers"][..], &["dns", "ask", "b.example"], &["dns", "flush"]] {
        assert_eq!(verb(folder.path(), verb_).code, 3, "no daemon");
    }
}

#[test]
fn what_strangers_write_into_answers_cannot_act_on_the_terminal() {
    const WRITTEN: &str = "\u{1b}[2Jgone\u{7}\u{9b}2J\u{202e}";
    let scripted = Scripted::start();
    let zone = format!("{ZONE}\nevil.example 300 TXT {WRITTEN}");
    scripted.server.set_zone(Zone::parse(&zone).unwrap());
    let fails = Behaviour::Extended { rcode: 2, code: 7, text: WRITTEN.into() };
    scripted.server.behave("bad.example", None, fails);
    let (folder, _daemon) = serve(&format!("servers = \"{}\"", scripted.address), "");
    for (words, code) in [
        (&["dns", "ask", "bad.example"][..], 0),
        (&["dns", "ask", "evil.example", "txt"], 0),
        (&["check", "domain", "bad.example"], 5),
    ] {
        let ran = verb(folder.path(), words);
        assert!(ran.stdout.contains("gone"), "{words:?}: {ran:?}");
        let acts = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!ran.stdout.contains(acts), "{words:?}: {ran:?}");
        assert_eq!(ran.code, code, "{words:?}: {ran:?}");
        let json = verb(folder.path(), &[words, &["--json"]].concat());
        let raw = |c: char| c.is_ascii_control() && c != '\n';
        assert!(!json.stdout.contains(raw), "{words:?}: {json:?}");
    }
}

#[test]
fn a_resolv_conf_that_changes_is_followed_and_mail_that_waited_goes() {
    let (hop, scripted) = (NextHop::start(true), Scripted::start());
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = folder.join("resolv.conf");
    fs::write(&file, "search office.example\nnameserver [127.0.0.1]:1\noptions ndots:5\n").unwrap();
    let route = format!(
        "[[route]]\nto = \"*\"\nport = {}\nallow_private = true\n\
         [retry]\nglitch = {{ times = 9, every = \"1h\" }}\n",
        hop.port
    );
    settings(
        folder,
        &format!("servers = \"system\"\nresolv_conf = \"{}\"", file.display()),
        &route,
    );
    let shown = verb(folder, &["config", "show"]);
    let servers = format!("# DNS servers: 127.0.0.1:1 (trusted) # {}\n", file.display());
    assert!(shown.stdout.contains(&servers), "{}", shown.stdout);
    let _daemon = start(folder, "exec \"$@\"", &[]);
    wait_until_ready(folder);
    assert!(log(folder).contains("`search` is not used for mail"), "{}", log(folder));
    hand_in(folder, "bob@b.example");
    let waits =
        || verb(folder, &["queue", "--json"]).json()["destinations"][0]["status"] == "retry";
    until("it waits for DNS", waits);

    // Gone for a moment, as while it is replaced: nothing changes.
    fs::remove_file(&file).unwrap();
    until("it is missed", || log(folder).contains("is gone; its servers are asked as before"));
    assert!(waits());
    let fresh = folder.join("fresh");
    fs::write(&fresh, format!("nameserver [127.0.0.1]:{}\n", scripted.address.port())).unwrap();
    std::os::unix::fs::symlink(&fresh, &file).unwrap();
    until("it arrives", || hop.taken.load(Ordering::SeqCst) == 1);
    let said = log(folder);
    assert!(said.contains("have changed"), "{said}");
    assert!(said.contains(&format!("127.0.0.1:{}", scripted.address.port())), "{said}");
    let told = verb(folder, &["dns", "servers", "--json"]).json();
    assert_eq!(told["servers"][0]["server"], scripted.address.to_string(), "{told}");
}

#[test]
fn the_hosts_file_is_for_named_next_hops_and_for_nobody_else() {
    let (hop, scripted) = (NextHop::start(true), Scripted::start());
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = folder.join("hosts");
    fs::write(&file, "127.0.0.1 elsewhere.example\n").unwrap();
    let routes = format!(
        "[[route]]\nto = \"b.example\"\nvia = \"hub.example:{}\"\n\
         [[route]]\nto = \"*\"\nport = {}\nallow_private = true\n\
         [retry]\nglitch = {{ times = 9, every = \"1h\" }}\n",
        hop.port, hop.port
    );
    let resolver =
        format!("servers = \"{}\"\nhosts_file = \"{}\"", scripted.address, file.display());
    settings(folder, &resolver, &routes);
    scripted.server.behave("hub.example", None, Behaviour::Rcode(2));
    let _daemon = start(folder, "exec \"$@\"", &[]);
    wait_until_ready(folder);
    hand_in(folder, "bob@b.example");
    until("DNS does not know the next hop", || {
        verb(folder, &["queue", "--json"]).json()["destinations"][0]["status"] == "retry"
    });
    fs::write(&file, "127.0.0.1 elsewhere.example hub.example\n").unwrap();
    until("it arrives", || hop.taken.load(Ordering::SeqCst) == 1);
    let route = verb(folder, &["route", "bob@b.example"]);
    assert!(route.stdout.contains("A 127.0.0.1 from the hosts file"), "{}", route.stdout);
    let route = verb(folder, &["route", "bob@elsewhere.example"]);
    assert!(!route.stdout.contains("from the hosts file"), "{}", route.stdout);
    assert!(route.stdout.contains("nxdomain"), "{}", route.stdout);
}
