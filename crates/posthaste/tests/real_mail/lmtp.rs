//! Mail handed over by LMTP (RFC 2033) to Postfix's `smtp-sink -L`: one reply for each recipient, none of them a 250 for
//! all.
//!
//! Not here: replies that differ by recipient, which smtp-sink does not make (crate `sim`, `lmtp`).

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;
use crate::loopback;
use crate::posthaste::Posthaste;
use crate::process::until;
use crate::sink::Sink;
use crate::stories::queued_as;

const PATIENCE: Duration = Duration::from_secs(30);
const MESSAGE: &str = "Subject: store\r\n\r\nhello\r\n.dot\r\n";

struct Scene {
    posthaste: Posthaste,
    listener: SocketAddr,
    store: Sink,
    _dir: TempDir,
}

impl Scene {
    fn set(options: &[&str]) -> Self {
        let store = Sink::start_at(24, &[&["-L"], options].concat());
        let dir = tempfile::tempdir().expect("a temporary folder");
        let listener = loopback::address(2525);
        let config = format!(
            "hostname = \"mta.sender.test\"\ndata = \"{}\"\n\
             [[listener]]\naddress = \"{listener}\"\n\
             [resolver]\nservers = [\"127.0.0.1:9\"]\nroots = []\n\
             [admin]\naddress = \"off\"\n\
             [[route]]\nto = [\"*\"]\nvia = [\"{}\"]\nprotocol = \"lmtp\"\n",
            dir.path().join("data").display(),
            store.address().ip(),
        );
        let posthaste = Posthaste::start(&config, dir.path());
        Self { posthaste, listener, store, _dir: dir }
    }

    /// Hands in one message for all of these; answers its id.
    fn send(&self, to: &[&str]) -> String {
        let mut client = Client::connect(self.listener).expect("it is up");
        queued_as(&client.send("a@sender.test", to, MESSAGE).expect("a reply"))
    }

    /// The recipients of a message once each has been tried, as `queue show` has them.
    fn tried(&self, id: &str) -> Vec<Value> {
        let mut seen = Vec::new();
        let all = until(PATIENCE, || {
            let shown = self.posthaste.json(&["queue", "show", id]);
            seen = shown["recipients"].as_array().cloned().unwrap_or_default();
            seen.iter().all(|recipient| !recipient["last_error"].is_null())
        });
        assert!(all, "{seen:#?}\n{}", self.posthaste.log());
        seen
    }
}

#[test]
fn a_store_takes_mail_for_each_recipient() {
    let scene = Scene::set(&[]);
    let told = scene.posthaste.json(&["route", "bob@store.test"]);
    assert_eq!(told["via"], format!("lmtp:{}", scene.store.address()), "{told:#}");
    let to = ["bob@store.test", "eve@store.test", "joe@other.test"];
    let ids = [scene.send(&to), scene.send(&to[..1])];
    let empty = || {
        let listed = scene.posthaste.json(&["queue", "messages"]);
        listed["messages"].as_array().is_some_and(Vec::is_empty)
    };
    assert!(until(PATIENCE, empty), "{}\n{}", scene.posthaste.log(), scene.store.log());
    let taken = scene.store.messages();
    assert_eq!(taken.len(), 2);
    assert!(taken.iter().all(|message| message.protocol == "LMTP"), "{taken:?}");
    let most = taken.iter().map(|message| message.recipients.len()).max();
    assert_eq!(most, Some(3));
    assert!(taken.iter().all(|message| message.content.ends_with(b"\nhello\n.dot\n")));
    let log = scene.store.log();
    assert!(log.contains("LHLO mta.sender.test") && !log.contains("EHLO"), "{log}");
    // The event log is a second behind.
    let told = || {
        let tracked = scene.posthaste.json(&["track", &ids[0]]);
        tracked["messages"][0]["recipients"].as_array().is_some_and(|all| {
            all.len() == 3 && all.iter().all(|r| r["status"] == "delivered" && r["attempts"] == 1)
        })
    };
    assert!(until(PATIENCE, told), "{:#}", scene.posthaste.json(&["track", &ids[0]]));
}

#[test]
fn a_store_that_refuses_after_the_dot_is_believed_for_each_recipient() {
    let scene = Scene::set(&["-r", "."]);
    let id = scene.send(&["bob@store.test", "eve@store.test"]);
    for recipient in scene.tried(&id) {
        let error = &recipient["last_error"];
        assert_eq!(
            (&error["stage"], &error["code"]),
            (&"eod".into(), &450.into()),
            "{recipient:#}"
        );
    }
}

#[test]
fn a_store_that_hangs_up_after_the_dot_leaves_doubt() {
    let scene = Scene::set(&["-q", "."]);
    let id = scene.send(&["bob@store.test", "eve@store.test"]);
    for recipient in scene.tried(&id) {
        assert_eq!(recipient["last_error"]["stage"], "eod", "{recipient:#}");
    }
    let shown = scene.posthaste.json(&["queue", "show", &id]);
    let attempts = shown["attempts"].to_string();
    assert!(attempts.contains("indeterminate"), "{attempts}");
}

#[test]
fn a_server_of_smtp_is_no_store() {
    let smtp = Sink::start_at(24, &[]);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let listener = loopback::address(2525);
    let config = format!(
        "hostname = \"mta.sender.test\"\ndata = \"{}\"\n[[listener]]\naddress = \"{listener}\"\n\
         [resolver]\nservers = [\"127.0.0.1:9\"]\nroots = []\n[admin]\naddress = \"off\"\n\
         [[route]]\nto = [\"sender.test\"]\nvia = \"hold\"\n\
         [[route]]\nto = [\"*\"]\nvia = [\"{}\"]\nprotocol = \"lmtp\"\n",
        dir.path().join("data").display(),
        smtp.address(),
    );
    let posthaste = Posthaste::start(&config, dir.path());
    let mut client = Client::connect(listener).expect("it is up");
    let id = queued_as(&client.send("a@sender.test", &["b@c.test"], MESSAGE).expect("a reply"));
    let failed = || {
        let tracked = posthaste.verb(&["track", &id, "--json"]); // the event log is a second behind
        String::from_utf8_lossy(&tracked.stdout).contains("\"lhlo\"")
    };
    assert!(until(PATIENCE, failed), "{}\n{}", posthaste.log(), smtp.log());
    assert_eq!(smtp.count(), 0);
}
