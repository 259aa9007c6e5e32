//! What `dkim check` says of what DNS has.

use crate::{free_port, json_of, make_keys, settings, verb};
use posthaste_io::World;
use posthaste_io_tokio::NullJournal;
use posthaste_peers::dns::{DnsServer, Zone};
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

/// A DNS server with this zone, as long as the runtime lives.
fn dns(zone: &str) -> (SocketAddr, tokio::runtime::Runtime) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().unwrap();
    let server = DnsServer::new(Zone::parse(zone).unwrap());
    let address = runtime.block_on(async {
        let world: World = posthaste_io_tokio::world(Arc::new(NullJournal));
        server.start(&world, "127.0.0.1:0".parse().unwrap()).await.unwrap()
    });
    (address, runtime)
}

#[test]
fn dns_is_asked_for_the_keys_and_what_is_wrong_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let port = free_port();
    fs::write(folder.join("p.toml"), settings(port, "127.0.0.1:1", "hold", "")).unwrap();
    let (keys, records) = make_keys(folder, "sender.test");
    let record = |at: usize| format!("{} 300 TXT {}\n", records[at].0, records[at].1);
    let good = record(0) + &record(1);
    let rsa = &records[0].0;
    for (zone, state, code) in [
        (good.clone(), "good", 0),
        (good.replace("k=rsa", "t=y; k=rsa"), "testing", 0),
        (record(1), "missing", 5),
        (format!("{}{rsa} 300 TXT v=DKIM1; k=rsa; p=\n", record(1)), "revoked", 5),
        (format!("{}{rsa} 300 TXT {}\n", record(1), records[1].1), "other-key", 5),
        (format!("{}{rsa} 300 TXT v=spf1 -all\n", record(1)), "no-record", 5),
        (format!("{}{good}{rsa} 300 TXT another\n", ""), "several", 5),
        (
            format!(
                "{}{rsa} 300 CNAME k.provider.test\nk.provider.test 300 TXT {}\n",
                record(1),
                records[0].1
            ),
            "good",
            0,
        ),
    ] {
        let (address, _runtime) = dns(&zone);
        let text = settings(port, &address.to_string(), "hold", &keys);
        fs::write(folder.join("p.toml"), &text).unwrap();
        let checked = verb(folder, &["dkim", "check", "--json"]);
        let object = json_of(&checked);
        assert_eq!(object["keys"][0]["state"], state, "{object}");
        assert_eq!(object["keys"][1]["state"], "good", "{object}");
        assert_eq!(checked.status.code(), Some(code), "{state}");
        assert_eq!(object["blocking"], code == 5, "{state}");
        let told = verb(folder, &["dkim", "check", "sender.test"]);
        let told = String::from_utf8(told.stdout).unwrap();
        assert_eq!(told.contains("publish: "), code == 5, "{told}");
        // A key that does not sign yet may be missing.
        fs::write(
            folder.join("p.toml"),
            text.replace("selector = \"s1\"\n", "selector = \"s1\"\nsign = false\n"),
        )
        .unwrap();
        assert_eq!(verb(folder, &["dkim", "check"]).status.code(), Some(0), "{state}");
    }
    // Nobody answers: that says nothing of the key.
    fs::write(folder.join("p.toml"), settings(port, "127.0.0.1:1", "hold", &keys)).unwrap();
    let checked = verb(folder, &["dkim", "check", "--json"]);
    assert_eq!(
        (checked.status.code(), json_of(&checked)["keys"][0]["state"].as_str()),
        (Some(1), Some("cannot-tell"))
    );
    assert_eq!(verb(folder, &["dkim", "check", "other.test"]).status.code(), Some(4));
}

#[test]
fn a_key_is_private_never_replaced_and_shown_with_its_record() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("p.toml"), settings(free_port(), "127.0.0.1:1", "hold", "")).unwrap();
    let (keys, records) = make_keys(folder, "sender.test");
    let file = folder.join("posthaste-data/dkim/sender.test/s1.pem");
    let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let before = fs::read(&file).unwrap();
    let again = verb(folder, &["dkim", "new", "sender.test", "--selector", "s1"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("a key is never replaced"));
    assert_eq!(fs::read(&file).unwrap(), before);
    let text = settings(free_port(), "127.0.0.1:1", "hold", &keys);
    fs::write(folder.join("p.toml"), text).unwrap();
    let shown = json_of(&verb(folder, &["dkim", "show", "--json"]));
    assert_eq!(shown["keys"][0]["record"], records[0].1.as_str());
    assert_eq!(shown["keys"][1]["algorithm"], "ed25519-sha256");
    let told = String::from_utf8(verb(folder, &["dkim", "show"]).stdout).unwrap();
    assert!(told.contains("s1._domainkey.sender.test. 3600 IN TXT \"v=DKIM1; k=rsa; p="), "{told}");
    for text in [told, shown.to_string()] {
        assert!(!text.contains("PRIVATE"), "{text}");
    }
    std::os::unix::fs::symlink(folder, folder.join("posthaste-data/dkim/link.test")).unwrap();
    let astray = verb(folder, &["dkim", "new", "link.test"]);
    assert_eq!(astray.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&astray.stderr).contains("is no folder"), "{astray:?}");
    fs::write(&file, "broken").unwrap();
    let checked = verb(folder, &["config", "check"]);
    assert_eq!(checked.status.code(), Some(2), "{checked:?}");
}
