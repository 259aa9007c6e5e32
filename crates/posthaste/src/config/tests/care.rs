//! Mistakes that are warned of, and the one that is refused: an open relay.

use super::{around, read};

pub(super) fn warnings(text: &str) -> Vec<String> {
    let good = read("p.toml", text, &around()).unwrap_or_else(|e| panic!("{text}\n{e}"));
    good.warnings.iter().map(|w| format!("{}: {}", w.place_in("p.toml"), w.what)).collect()
}

#[test]
fn nobody_relays_for_the_whole_internet_without_being_told() {
    for all in ["0.0.0.0/0", "::/0"] {
        let text = format!("relay_networks = [\"127.0.0.0/8\", \"{all}\"]");
        let said = read("p.toml", &text, &around()).expect_err("an open relay").to_string();
        let expected =
            format!("p.toml:1:34: `relay_networks`: \"{all}\" is everybody: an open relay");
        assert!(said.starts_with(&expected), "{said}");
    }
    let outside = "relay_networks = \"64.0.0.0/2\"\n[[listener]]\naddress = \"0.0.0.0:25\"";
    let said = "p.toml:1:18: `relay_networks`: \"64.0.0.0/2\" is wider than /8 and holds strangers, who may send to \
                anywhere; AN OPEN RELAY for them: it listens on 0.0.0.0:25";
    assert_eq!(warnings(outside), [said]);
    for (network, wide) in [
        ("128.0.0.0/1", true),
        ("10.0.0.0/8", false),
        ("192.168.0.0/16", false),
        ("2000::/4", true),
        ("2001:db8::/32", false),
        ("fc00::/7", false),
        ("fe80::/10", false),
        ("f000::/4", true),
    ] {
        let said = warnings(&format!("relay_networks = [\"{network}\"]"));
        assert_eq!(said.len(), usize::from(wide), "{network} {said:?}");
        assert!(said.iter().all(|s| s.ends_with("no listener is reached from outside yet")));
    }
}

#[test]
fn nobody_is_trusted_for_being_anybody() {
    let submission = "[[listener]]\nkind = \"submission\"\naddress = \"0.0.0.0:587\"\n";
    let unicast: Vec<String> = (1..224).map(|n| format!("\"{n}.0.0.0/8\"")).collect();
    let public: Vec<&str> =
        unicast.iter().map(String::as_str).filter(|n| !n.contains("\"10.")).collect();
    for (networks, everybody) in [
        ("\"0.0.0.0/0\"", Some("\"0.0.0.0/0\" is everybody")),
        ("\"127.0.0.0/8\", \"::/0\"", Some("\"::/0\" is everybody")),
        ("\"2000::/3\"", Some("\"2000::/3\" is everybody")),
        ("\"0.0.0.0/1\", \"128.0.0.0/1\"", Some("these networks are together everybody")),
        (
            "\"128.0.0.0/2\", \"192.0.0.0/3\", \"0.0.0.0/1\"",
            Some("these networks are together everybody"),
        ),
        ("\"3000::/4\", \"2000::/4\"", Some("these networks are together everybody")),
        (&public.join(", "), Some("these networks are together everybody")),
        (&public[1..].join(", "), None),
        ("\"10.0.0.7\", \"192.0.2.0/24\", \"2001:db8::/32\"", None),
        ("", None),
    ] {
        for (before, key, name) in [
            ("", "relay_networks", "relay_networks"),
            (submission, "without_auth", "listener.without_auth"),
            ("[[listener]]\n", "proxy_from", "listener.proxy_from"),
        ] {
            let text = format!("{before}{key} = [{networks}]");
            let said = read("p.toml", &text, &around()).err().map(|error| error.to_string());
            match everybody {
                None => assert_eq!(said, None, "{text}"),
                Some(what) => {
                    let what = format!("`{name}`: {what}: ");
                    assert!(said.as_ref().is_some_and(|s| s.contains(&what)), "{text}: {said:?}");
                }
            }
        }
    }
    let wide = |text: &str| warnings(&format!("{submission}{text}"));
    let said = "p.toml:4:17: `listener.without_auth`: \"64.0.0.0/2\" is wider than /8 and holds strangers, who may send to \
                anywhere without a login; AN OPEN RELAY for them: it listens on 0.0.0.0:587";
    assert_eq!(wide("without_auth = [\"64.0.0.0/2\"]"), [said]);
    let said = "p.toml:4:14: `listener.proxy_from`: \"64.0.0.0/2\" is wider than /8 and holds strangers, who could claim any \
                address, also one of `relay_networks`";
    assert_eq!(wide("proxy_from = \"64.0.0.0/2\""), [said]);
}

#[test]
fn routes_that_reach_nobody_are_warned_of() {
    let route = |rest: &str| warnings(&format!("[[route]]\nto = \"*\"\n{rest}"));
    let families =
        |wanted: &str, via: &str| route(&format!("via = {via}\nfamilies = \"{wanted}\""));
    for (wanted, via, wrong) in [
        ("v6", "[\"192.0.2.1\", \"192.0.2.2:26\"]", true),
        ("v4", "\"2001:db8::1\"", true),
        ("v6", "[\"192.0.2.1\", \"2001:db8::1\"]", false),
        ("v6", "[\"192.0.2.1\", \"a.example\"]", false),
        ("prefer-v6", "\"192.0.2.1\"", false),
    ] {
        let said = families(wanted, via);
        assert_eq!(said.len(), usize::from(wrong), "{wanted} {via} {said:?}");
        let place =
            format!("p.toml:4:12: `route.families` is \"{wanted}\", and no address in `via`");
        assert!(said.iter().all(|s| s.starts_with(&place)), "{said:?}");
    }
    for (via, meant) in [("mxx", Some("mx")), ("discrad", Some("discard")), ("hub", None)] {
        let said = route(&format!("via = \"{via}\""));
        let expected = meant.map(|meant| {
            format!(
                "p.toml:3:7: `route.via`: \"{via}\" is a next hop, a host of this name; did you mean \"{meant}\"?"
            )
        });
        assert_eq!(said, Vec::from_iter(expected));
    }
    let said = route("source = [\"127.0.0.1\", \"192.0.2.77\"]");
    let foreign = "p.toml:3:24: `route.source`: 192.0.2.77 is not an address of this machine; nothing can be sent \
                   from it";
    assert_eq!(said, [foreign]);
}

#[test]
fn mail_of_our_own_domains_needs_a_route() {
    let with = |top: &str, routes: &str| {
        warnings(&format!(
            "postmaster = \"a@c.example\"\n{top}\n[[domain]]\nname = [\"b.example\", \"c.example\"]\n\
             recipients = \"verify\"\n{routes}"
        ))
    };
    let to = |to: &str, via: &str| format!("[[route]]\nto = \"{to}\"\nvia = \"{via}\"\n");
    let hosts =
        "write a [[route]] with to = [\"c.example\"] and via = [\"the host of its mailboxes\"]";
    let by_mx = format!(
        "p.toml:4:22: no [[route]] takes mail to c.example: it goes by MX, which is probably this machine; {hosts}"
    );
    let held = format!("p.toml:4:22: no [[route]] takes mail to c.example: it is held; {hosts}");
    let b = to("b.example", "192.0.2.1");
    for (top, routes, expected) in [
        ("", b.clone(), vec![by_mx.clone()]),
        ("", b.clone() + &to("*", "mx"), vec![by_mx]),
        ("unmatched = \"hold\"", b.clone(), vec![held]),
        ("", b.clone() + &to("*", "hub.example"), vec![]),
        ("", b.clone() + &to("C.example", "mx"), vec![]),
        ("", b.clone() + &to("*.example", "mx"), vec![]),
        ("", b + &to("ann@c.example", "192.0.2.2"), vec![]),
    ] {
        assert_eq!(with(top, &routes), expected, "{top} {routes}");
    }
}

#[test]
fn ports_that_clients_use_otherwise_are_warned_of() {
    let listener = |rest: &str| warnings(&format!("[[listener]]\naddress = \"127.0.0.1:{rest}"));
    for (rest, expected) in [
        ("465\"", Some("p.toml:2:11: at port 465 clients begin TLS with the first octet")),
        ("465\"\ntls = \"starttls\"", Some("p.toml:3:7: at port 465")),
        ("465\"\ntls = \"off\"", Some("write tls = \"implicit\", or take port 587")),
        ("465\"\ntls = \"implicit\"", None),
        ("25\"\ntls = \"implicit\"", Some("p.toml:3:7: at port 25 other mail servers")),
        ("25\"", None),
        ("587\"\ntls = \"implicit\"", Some("p.toml:3:7: at port 587")),
        ("2465\"", None),
    ] {
        let said = listener(rest);
        assert_eq!(said.len(), usize::from(expected.is_some()), "{rest}: {said:?}");
        assert!(said.iter().all(|said| said.contains(expected.unwrap_or_default())), "{said:?}");
    }
}
