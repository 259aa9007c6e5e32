//! Other ways than a fixed host after STARTTLS: TLS with the first octet, by MX, LMTP, a host that insists, an old OpenSSL; and
//! what holds when a route comes to demand more, or another one demanded less of the same host.
//!
//! Not here: the table of attempts against every policy (`main`).

use crate::client::Client;
use crate::host::{Authorities, Behaviour, Host, Own};
use crate::loopback;
use crate::posthaste::Posthaste;
use crate::process::{Process, until};
use crate::scripted::Scripted;
use crate::{Clear, Encrypted, PATIENCE, Waits, Went, fate};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A Posthaste whose routes a test makes.
struct Scene {
    posthaste: Posthaste,
    port: u16,
    head: String,
    dir: TempDir,
}

impl Scene {
    /// `dns` is the one server that is asked.
    fn set(dir: TempDir, dns: SocketAddr, routes: &str) -> Self {
        let port = loopback::free_port(Ipv4Addr::LOCALHOST);
        let head = format!(
            "hostname = \"relay.test\"\ndata = \"{}\"\nunmatched = \"hold\"\n\
             [[listener]]\nname = \"in\"\naddress = \"127.0.0.1:{port}\"\n\
             [admin]\naddress = \"off\"\n[resolver]\nservers = [\"{dns}\"]\nroots = []\n",
            dir.path().join("data").display()
        );
        let posthaste = Posthaste::start(&format!("{head}{routes}"), dir.path());
        Self { posthaste, port, head, dir }
    }

    fn reload(&self, routes: &str) {
        let file = self.dir.path().join("posthaste.toml");
        std::fs::write(file, format!("{}{routes}", self.head)).expect("ours");
        let reloaded = self.posthaste.verb(&["reload"]);
        assert!(reloaded.status.success(), "{reloaded:?}");
    }

    /// Hands in a message for these recipients of a domain; its id.
    fn send(&self, to: &[&str], domain: &str) -> String {
        let server = (Ipv4Addr::LOCALHOST, self.port).into();
        let mut client = Client::connect(server).expect("it listens");
        let to: Vec<String> = to.iter().map(|to| format!("<{to}@{domain}>")).collect();
        let said = client.transact("<w@relay.test>", &to, b"Subject: s\r\n\r\nx\r\n");
        let said = said.expect("it answers");
        assert!(said.starts_with("250"), "{said}");
        said.rsplit(' ').next().expect("an id").to_owned()
    }

    /// What became of a message to the host's domain.
    fn fate(&self, host: &Host, domain: &str) -> Went {
        let id = self.send(&["ok", "later"], domain);
        let mut found = None;
        until(PATIENCE, || {
            found = fate(&self.posthaste, host, &id);
            found.is_some()
        });
        let (went, attempt) =
            found.unwrap_or_else(|| panic!("{domain}: nothing\n{}", self.posthaste.log()));
        println!("{domain:20} {went:?}  {}", attempt["tls"]["text"].as_str().unwrap_or("-"));
        went
    }
}

fn nobody() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 9).into()
}

fn route(domain: &str, host: &Host, more: &str) -> String {
    format!("[[route]]\nto = \"{domain}\"\nvia = \"{}\"\n{more}\n", host.address())
}

fn assert_went(domain: &str, went: Went, expected: Went) {
    let fits = match (went, expected) {
        (Waits(said), Waits(why)) => said.contains(why),
        (went, expected) => went == expected,
    };
    assert!(fits, "{domain}: {went:?} instead of {expected:?}");
}

#[test]
fn by_other_ways_the_policy_holds_too() {
    let authorities = Authorities::new();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let roots = dir.path().join("roots.pem");
    std::fs::write(&roots, authorities.ours()).expect("ours");
    let verify = format!("tls = \"verify\"\ntls_roots = \"{}\"", roots.display());
    let wrapped = "tls_wrap = true";
    let lmtp = "protocol = \"lmtp\"";
    let (good, require) = (Behaviour::Tls(Own::Good), "tls = \"require\"");
    let wrong = Waits("its certificate is for other names");
    let rows = [
        ("wrapped.test", Behaviour::Wrapped(Own::Good), format!("{verify}\n{wrapped}"), Encrypted),
        ("wrapped-any.test", Behaviour::Wrapped(Own::Expired), wrapped.to_owned(), Encrypted),
        (
            "wrapped-wrong.test",
            Behaviour::Wrapped(Own::WrongName),
            format!("{verify}\n{wrapped}"),
            wrong,
        ),
        ("lmtp.test", good, format!("{require}\n{lmtp}"), Encrypted),
        ("lmtp-verify.test", good, format!("{verify}\n{lmtp}"), Encrypted),
        (
            "lmtp-clear.test",
            Behaviour::NoStartTls,
            format!("{require}\n{lmtp}"),
            Waits("does not offer it"),
        ),
        (
            "insists.test",
            Behaviour::InsistsOnTls,
            "tls = \"none\"".to_owned(),
            Waits("takes no mail without TLS: 530"),
        ),
    ];
    let mut text = String::new();
    let mut scenes = Vec::new();
    for (domain, behaviour, more, expected) in rows {
        let host = Host::start(behaviour, &authorities);
        text += &route(domain, &host, &more);
        scenes.push((domain, host, expected));
    }
    let scene = Scene::set(dir, nobody(), &text);
    for (domain, host, expected) in &scenes {
        assert_went(domain, scene.fate(host, domain), *expected);
    }
}

/// Whoever forges the MX record names a host of his own, whose certificate is perfect.
#[test]
fn by_mx_the_name_of_the_host_proves_nothing() {
    const HOST: &str = "mx.provider.test";
    let authorities = Authorities::new();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let roots = dir.path().join("roots.pem");
    std::fs::write(&roots, authorities.ours()).expect("ours");
    let of_host =
        Host::start_at(loopback::address(25), Behaviour::Tls(Own::For(HOST)), &authorities);
    let own = Behaviour::Tls(Own::For("own.test"));
    let of_domain = Host::start_at(loopback::address(25), own, &authorities);
    let (provider, own) = (of_host.address().ip(), of_domain.address().ip());
    let mx = |domain: &str, host: &str| format!("{domain} MX 10 {host}\n");
    let zone = format!(
        "{HOST} A {provider}\nmx.own.test A {own}\n{}{}{}{}",
        mx("forged.test", HOST),
        mx("listed.test", HOST),
        mx("trusting.test", HOST),
        mx("own.test", "mx.own.test"),
    );
    let dns = Scripted::of(&[("test", &zone)]);
    let verify = format!(
        "via = \"mx\"\nallow_private = true\ntls = \"verify\"\ntls_roots = \"{}\"\n",
        roots.display()
    );
    let routes = format!(
        "[[route]]\nto = [\"forged.test\", \"own.test\"]\n{verify}\
         [[route]]\nto = \"listed.test\"\n{verify}tls_names = \"*.provider.test\"\n\
         [[route]]\nto = \"trusting.test\"\n{verify}tls_names = \"hostname\"\n"
    );
    let scene = Scene::set(dir, dns.address, &routes);
    let wrong = Waits("its certificate is for other names");
    assert_went("forged.test", scene.fate(&of_host, "forged.test"), wrong);
    assert_went("own.test", scene.fate(&of_domain, "own.test"), Encrypted);
    assert_went("listed.test", scene.fate(&of_host, "listed.test"), Encrypted);
    let id = scene.send(&["ok"], "trusting.test");
    assert!(until(PATIENCE, || of_host.taken() == [true, true]), "{id}: {}", scene.posthaste.log());
}

#[test]
fn a_kept_connection_is_not_used_when_its_route_has_come_to_demand_more() {
    let authorities = Authorities::new();
    let host = Host::start(Behaviour::Tls(Own::Good), &authorities);
    let clear = route("a.test", &host, "tls = \"none\"");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let scene = Scene::set(dir, nobody(), &clear);
    let sent = |expected: &[bool]| {
        scene.send(&["ok"], "a.test");
        let taken = until(PATIENCE, || host.taken() == expected);
        assert!(taken, "{:?} instead of {expected:?}", host.taken());
    };
    sent(&[false]);
    sent(&[false, false]);
    assert_eq!(host.connections(), 1, "it is kept for a moment");
    scene.reload(&route("a.test", &host, "tls = \"require\""));
    sent(&[false, false, true]);
    assert_eq!(host.connections(), 2);
}

#[test]
fn that_tls_was_broken_for_one_route_is_no_leave_for_a_stricter_one() {
    let authorities = Authorities::new();
    let host = Host::start(Behaviour::Garbage, &authorities);
    let routes = route("any.test", &host, "") + &route("strict.test", &host, "tls = \"require\"");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let scene = Scene::set(dir, nobody(), &routes);
    assert_went("any.test", scene.fate(&host, "any.test"), Clear);
    let id = scene.send(&["ok"], "strict.test");
    let mut said = String::new();
    let tried = until(PATIENCE, || {
        let message = scene.posthaste.json(&["queue", "show", &id]);
        let text = message["recipients"][0]["last_error"]["text"].as_str();
        said = text.unwrap_or_default().to_owned();
        text.is_some()
    });
    assert!(tried && said.contains("what came is no TLS"), "{said}");
    assert_eq!(host.taken(), [false], "nothing but the first");
}

#[test]
fn an_openssl_that_knows_tls_1_1_and_nothing_later_gets_mail_in_clear_or_none() {
    const OLD: [&str; 3] = ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"];
    let authorities = Authorities::new();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (chain, key) = authorities.certified();
    let [chain_file, key_file] = ["chain.pem", "key.pem"].map(|name| dir.path().join(name));
    std::fs::write(&chain_file, chain).expect("ours");
    std::fs::write(&key_file, key).expect("ours");
    let port = loopback::free_port(Ipv4Addr::LOCALHOST);
    let mut server = Command::new("openssl");
    server.args(["s_server", "-accept", &format!("127.0.0.1:{port}"), "-quiet"]).args(OLD);
    server.arg("-cert").arg(&chain_file).arg("-key").arg(&key_file);
    let _server = Process::spawn(server, &dir.path().join("s_server"));
    assert!(until(PATIENCE, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()));
    // It does speak, to those who speak as it does.
    let mut control = Command::new("openssl");
    control.args(["s_client", "-connect", &format!("127.0.0.1:{port}")]).args(OLD);
    let control = control.stdin(Stdio::null()).output().expect("it just ran");
    let shown = String::from_utf8_lossy(&control.stdout).into_owned();
    assert!(shown.contains("TLSv1.1"), "{shown}");

    let any = Host::start(Behaviour::PassesOn(port), &authorities);
    let strict = Host::start(Behaviour::PassesOn(port), &authorities);
    let routes = route("any.test", &any, "") + &route("strict.test", &strict, "tls = \"require\"");
    let scene = Scene::set(dir, nobody(), &routes);
    assert_went("any.test", scene.fate(&any, "any.test"), Clear);
    let refused = Waits("the TLS handshake was refused, alert 70");
    assert_went("strict.test", scene.fate(&strict, "strict.test"), refused);
}
