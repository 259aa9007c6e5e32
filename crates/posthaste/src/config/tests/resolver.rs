//! `[resolver]` and the resolvers of routes: forms of a server, what is wrong, what is hardly meant.

use super::super::lower::Machine;
use super::super::setting::Text;
use super::*;
use posthaste_dns::ResolvConf;
use posthaste_evidence::NameServer;

fn lowered(text: &str) -> posthaste_dns::Settings {
    with_system(text, "nameserver 192.0.2.53\n", "")
}

fn with_system(text: &str, resolv_conf: &str, hosts: &str) -> posthaste_dns::Settings {
    let resolv_conf = ResolvConf::read(resolv_conf, &|_| None);
    let machine = Machine { resolv_conf, hosts: hosts.to_owned(), ..Machine::default() };
    good(text).lower(&machine).dns
}

#[test]
fn the_systems_options_hold_where_the_file_says_nothing_and_its_servers_are_asked() {
    let system = "nameserver 192.0.2.53\noptions timeout:1 attempts:4 rotate use-vc trust-ad\n";
    let dns = with_system("", system, "");
    assert_eq!((dns.try_limit, dns.tries), (Duration::from_secs(1), 4));
    assert!(dns.rotate && dns.tcp_only && dns.servers[0].trusted);
    let text = "[resolver]\ntry_limit = \"2s\"\ntries = 1\nrotate = false\ntcp_only = false\n";
    let dns = with_system(text, system, "");
    assert_eq!((dns.try_limit, dns.tries), (Duration::from_secs(2), 1));
    assert!(!dns.rotate && !dns.tcp_only);
    let dns = with_system("[resolver]\nservers = \"192.0.2.1\"\n", system, "");
    assert_eq!((dns.try_limit, dns.tries), (Duration::from_secs(3), 2));
    assert!(!dns.rotate && !dns.tcp_only && !dns.servers[0].trusted);
}

#[test]
fn the_hosts_file_counts_for_named_next_hops_only() {
    let hosts = "192.0.2.1 hub.example\n192.0.2.2 b.example\n192.0.2.3 mx.b.example\n";
    let dns =
        with_system("[[route]]\nto = \"b.example\"\nvia = [\"Hub.example:587\"]\n", "", hosts);
    let names: Vec<&str> = dns.hosts.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["hub.example"]);
    let wrong = complaints("[resolver]\nhosts_file = \"hosts\"");
    assert!(
        wrong.starts_with("p.toml:2:14: `resolver.hosts_file`: \"hosts\" is not a path that"),
        "{wrong}"
    );
}

#[test]
fn a_server_is_written_in_many_ways() {
    for (text, address, tls, shown) in [
        ("192.0.2.1", "192.0.2.1:53", None, "192.0.2.1:53"),
        ("192.0.2.1:5353", "192.0.2.1:5353", None, "192.0.2.1:5353"),
        ("2001:db8::1", "[2001:db8::1]:53", None, "[2001:db8::1]:53"),
        ("[2001:db8::1]", "[2001:db8::1]:53", None, "[2001:db8::1]:53"),
        ("[2001:db8::1]:5353", "[2001:db8::1]:5353", None, "[2001:db8::1]:5353"),
        ("tls://192.0.2.1", "192.0.2.1:853", Some("192.0.2.1"), "tls://192.0.2.1:853"),
        (
            "tls://192.0.2.1#Dns.Example.org",
            "192.0.2.1:853",
            Some("dns.example.org"),
            "tls://192.0.2.1:853#dns.example.org",
        ),
        (
            "tls://[2001:db8::1]:8853#dns.example.org",
            "[2001:db8::1]:8853",
            Some("dns.example.org"),
            "tls://[2001:db8::1]:8853#dns.example.org",
        ),
    ] {
        let server = Server::from_text(text).expect(text);
        let tls = tls.map(str::to_owned);
        let expected = NameServer { address: address.parse().unwrap(), tls, trusted: false };
        assert_eq!(server.0, expected, "{text}");
        assert_eq!(server.to_text(), shown);
        assert_eq!(Server::from_text(shown), Ok(server), "it reads as what it is");
    }
    for (text, why) in [
        ("", "\"\" is not an address"),
        ("dns.example.org", "\"dns.example.org\" is not an address"),
        ("192.0.2.1:0", "nobody can be asked at \"192.0.2.1:0\""),
        ("::", "nobody can be asked at \"::\""),
        ("224.0.0.251", "nobody can be asked at \"224.0.0.251\""),
        ("https://192.0.2.1", "\"https://192.0.2.1\": only tls:// may stand before an address"),
        (
            "192.0.2.1#a.example",
            "\"192.0.2.1#a.example\": a name after # is for servers with tls://",
        ),
        ("tls://192.0.2.1#a b", "\"a b\" is not the name of a server"),
        ("tls://192.0.2.1#", "\"\" is not the name of a server"),
        ("fe80::1%eth0", "\"fe80::1%eth0\" is not an address"),
    ] {
        assert_eq!(Server::from_text(text), Err(why.to_owned()));
    }
}

#[test]
fn the_settings_reach_the_resolver() {
    let dns = lowered("");
    assert_eq!(dns.servers, ["192.0.2.53:53".parse::<std::net::SocketAddr>().unwrap().into()]);
    assert_eq!(dns.roots.len(), 26, "the root servers of the Internet");
    let base = posthaste_dns::Settings::default();
    assert_eq!(base.roots, [], "nobody gets them unawares");
    assert_eq!(
        dns,
        posthaste_dns::Settings { servers: dns.servers.clone(), roots: dns.roots.clone(), ..base }
    );

    let dns = lowered(
        "[resolver]\nservers = [\"192.0.2.1\", \"127.0.0.1:5353\"]\nfallback = \"tls://192.0.2.9#dns.example\"\n\
         trusted = [\"192.0.2.1\"]\nroots = []\ntries = 3\nrotate = true\ntcp_only = true\nstale_for = \"0s\"\n\
         cache_size = \"2MiB\"\nrace_after = \"500ms\"\ntry_limit = \"1s\"\ntotal_limit = \"9s\"\n",
    );
    let trusted: Vec<bool> = dns.servers.iter().map(|server| server.trusted).collect();
    assert_eq!(trusted, [true, true], "named, and on loopback");
    assert_eq!(dns.fallback[0].tls.as_deref(), Some("dns.example"));
    assert!(!dns.fallback[0].trusted);
    assert_eq!(dns.cache_octets, 2 << 20);
    assert_eq!((dns.roots.len(), dns.tries, dns.rotate, dns.tcp_only), (0, 3, true, true));
    assert_eq!((dns.stale_for, dns.race_after), (Duration::ZERO, Duration::from_millis(500)));
    assert_eq!((dns.try_limit, dns.total_limit), (Duration::from_secs(1), Duration::from_secs(9)));

    let text = "[resolver]\nroots = [\"127.0.0.1:5300\", \"::1\"]\ntrusted = \"192.0.2.7\"\n\
                [[route]]\nto = \"a.example\"\nresolvers = [\"192.0.2.7\", \"tls://192.0.2.8\"]\n";
    let lowered = good(text).lower(&Machine::default());
    let roots: Vec<String> = lowered.dns.roots.iter().map(ToString::to_string).collect();
    assert_eq!(roots, ["127.0.0.1:5300", "[::1]:53"]);
    let (_, route) = lowered.routes.iter().next().expect("a route");
    assert!(route.resolvers[0].trusted && !route.resolvers[1].trusted);
    assert_eq!(route.resolvers[1].tls.as_deref(), Some("192.0.2.8"));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, expected) in [
        (
            "roots = \"builtin\"",
            "2:9: `resolver.roots`: \"builtin\" is not an address; expected the address of a root",
        ),
        (
            "roots = [\"tls://192.0.2.1\"]",
            "2:10: `resolver.roots`: \"tls://192.0.2.1\" is not an address",
        ),
        (
            "roots = 5",
            "2:9: `resolver.roots`: expected \"built-in\" or a list of addresses such as [\"192.0.2.1\"]; [] never",
        ),
        ("servers = []", "2:11: `resolver.servers`: the list is empty"),
        ("fallback = [\"192.0.2.1\", \"x\"]", "2:26: `resolver.fallback`: \"x\" is not an address"),
        (
            "trusted = [\"192.0.2.0/24\"]",
            "2:12: `resolver.trusted`: \"192.0.2.0/24\" is not an address",
        ),
        ("tries = 0", "2:9: `resolver.tries` must be from 1 to 10"),
        ("stale_for = \"2d\"", "2:13: `resolver.stale_for` must be from \"0s\" to \"1d\""),
        ("try_limit = \"9s\"\ntotal_limit = \"5s\"", "2:13: `resolver.try_limit` must not be over"),
        ("race_after = \"1ms\"", "2:14: `resolver.race_after` must be from \"20ms\" to \"1 min\""),
        ("rotate = \"yes\"", "2:10: `resolver.rotate`: expected true or false, found a string"),
    ] {
        let said = complaints(&format!("[resolver]\n{text}"));
        assert!(said.starts_with(&format!("p.toml:{expected}")), "{text}: {said}");
    }
}

#[test]
fn what_is_hardly_meant_is_warned_of() {
    for (text, expected) in [
        (
            "servers = [\"192.0.2.1\", \"192.0.2.2\", \"192.0.2.1:53\"]",
            &["2:38: `resolver.servers`: \"192.0.2.1:53\" is listed twice"][..],
        ),
        (
            "servers = \"192.0.2.1\"\nfallback = \"192.0.2.1\"",
            &["3:12: `resolver.fallback`: \"192.0.2.1\" is in `servers` too"],
        ),
        (
            "roots = [\"192.0.2.1\", \"192.0.2.1:53\"]",
            &["2:23: `resolver.roots`: \"192.0.2.1:53\" is listed twice"],
        ),
        (
            "servers = \"tls://192.0.2.1\"",
            &[
                "2:11: `resolver.servers`: \"tls://192.0.2.1\" has no name: its certificate must be for the address 192.0.2.1",
            ],
        ),
        (
            "servers = \"tls://192.0.2.1:53#a.example\"",
            &[
                "2:11: `resolver.servers`: \"tls://192.0.2.1:53#a.example\": port 53 is DNS without TLS",
            ],
        ),
        (
            "servers = \"192.0.2.1:853\"",
            &["2:11: `resolver.servers`: \"192.0.2.1:853\": port 853 is DNS over TLS"],
        ),
        (
            "servers = \"192.0.2.1\"\ntrusted = \"192.0.2.2\"",
            &["3:11: `resolver.trusted`: \"192.0.2.2\" is none of the servers asked"],
        ),
        ("trusted = \"192.0.2.2\"", &[]),
        (
            "servers = \"192.0.2.1\"\nresolv_conf = \"/run/resolv.conf\"",
            &["3:15: `resolver.resolv_conf` is of no effect"],
        ),
        ("race_after = \"3s\"", &["2:14: `resolver.race_after` is not under `try_limit`"]),
        (
            "[[route]]\nto = \"a.example\"\nresolvers = [\"::1\", \"[::1]:53\"]",
            &["4:21: `route.resolvers`: \"[::1]:53\" is listed twice"],
        ),
    ] {
        let text = format!("[resolver]\n{text}");
        let said =
            read("p.toml", &text, &around()).unwrap_or_else(|e| panic!("{text}\n{e}")).warnings;
        let said: Vec<String> =
            said.iter().map(|w| format!("{}: {}", w.place_in("p.toml"), w.what)).collect();
        assert_eq!(said.len(), expected.len(), "{text}: {said:?}");
        for (said, expected) in said.iter().zip(expected) {
            assert!(said.starts_with(&format!("p.toml:{expected}")), "{text}: {said}");
        }
    }
}
