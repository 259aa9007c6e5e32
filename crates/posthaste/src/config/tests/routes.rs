//! `[[route]]` as an operator meets it: what may be matched and done, and every error with its place.

use super::care::warnings;
use super::{complaints, good};
use crate::config::kinds::Via;
use crate::config::routes::RouteRule;
use posthaste_mail::{Mailbox, ReversePath};
use posthaste_route::{Facts, Families, Order, Protocol};

/// The rule of a file with one route and the one for the rest.
fn rule(text: &str) -> RouteRule {
    good(text).routes.swap_remove(0)
}

#[test]
fn a_route_may_demand_and_do_much() {
    let route = rule(
        r#"
        [[listener]]
        name = "internet"
        [[route]]
        to = ["example.org", "abuse@*"]
        from = ["*.example.com", "<>"]
        listener = "internet"
        user = ["*"]
        size = { over = "1MB", up_to = "20MB" }
        via = ["10.0.0.5", "10.0.0.6:2400"]
        order = "shared"
        source = ["192.0.2.8", "192.0.2.9", "2001:db8::9"]
        ehlo = "Out.Example.org"
        families = "v4"
        resolvers = ["127.0.0.1:5353", "::1"]
        connections = 3
        messages_per_minute = 60
        message_size = "10MB"
        "#,
    );
    let when = &route.when;
    assert_eq!((route.to.len(), when.from.len(), when.listener.len()), (2, 2, 1));
    assert_eq!((when.over, when.up_to), (Some(1_000_000), Some(20_000_000)));
    assert_eq!((route.order, route.port), (Order::Shared, 25));
    assert_eq!(route.source.len(), 3);
    assert_eq!(route.ehlo.expect("set").0, "out.example.org");
    assert_eq!(route.families, Families::OnlyV4);
    assert_eq!(route.resolvers[1].0.address.to_string(), "[::1]:53");
    assert_eq!((route.connections, route.messages_per_minute), (Some(3), Some(60)));
    assert_eq!(route.message_size.expect("set").0, 10_000_000);
}

#[test]
fn what_is_not_said_is_not_demanded() {
    let route = rule("[[route]]\nfrom = \"<>\"\nvia = \"discard\"");
    assert_eq!((route.name.as_str(), route.via), ("from <>", Via::Discard));
    assert_eq!(route.to.len(), 1, "everybody");
    let route = rule("[[route]]\nto = \"a.example\"\nvia = \"fail\"\ntext = \"closed\"");
    assert_eq!((route.text.as_str(), route.status.0.to_string().as_str()), ("closed", "5.7.1"));
    let route = rule("[[route]]\nsize.over = \"10MB\"\nvia = \"hold\"");
    assert_eq!((route.name.as_str(), route.via), ("size", Via::Hold));
}

#[test]
fn lmtp_has_a_port_of_its_own() {
    let route = |text: &str| rule(&format!("[[route]]\nto = \"a.example\"\n{text}"));
    for (text, protocol, port) in [
        ("via = \"h.example\"", Protocol::Smtp, 25),
        ("via = \"h.example\"\nprotocol = \"lmtp\"", Protocol::Lmtp, 24),
        ("via = \"h.example\"\nprotocol = \"lmtp\"\nport = 2400", Protocol::Lmtp, 2400),
        ("via = \"h.example:2003\"\nprotocol = \"lmtp\"", Protocol::Lmtp, 24),
    ] {
        let route = route(text);
        assert_eq!((route.protocol, route.port), (protocol, port), "{text}");
    }
}

#[test]
fn what_no_route_matches_goes_by_mx_or_waits() {
    let names = |text: &str| -> Vec<String> {
        good(text).routes.into_iter().map(|route| route.name).collect()
    };
    let one = "[[route]]\nto = [\"a.example\"]\n";
    assert_eq!(names(one), ["a.example", "default"]);
    assert_eq!(names(&format!("unmatched = \"mx\"\n{one}")), ["a.example", "default"]);
    assert_eq!(names(&format!("unmatched = \"hold\"\n{one}")), ["a.example"]);
    assert!(names("unmatched = \"hold\"").is_empty());
    // Everybody, but only of one sender: there is a rest.
    assert_eq!(names("[[route]]\nfrom = [\"<>\"]\n"), ["from <>", "default"]);
    assert_eq!(names("[[route]]\nto = [\"*\"]\n"), ["default"]);
}

#[test]
fn a_route_is_missed_only_when_an_earlier_one_takes_all_that_it_could_match() {
    for (earlier, later) in [
        ("to = \"*\"\nfrom = \"a.example\"", "to = \"b.example\""),
        ("to = \"user@b.example\"", "to = \"b.example\""),
        ("to = \"a.b.example\"", "to = \"*.b.example\""),
        ("to = \"b.example\"\nsize.over = \"1MB\"", "to = \"b.example\"\nname = \"rest\""),
        ("listener = \"relay\"", "listener = \"local\""),
    ] {
        good(&format!("[[route]]\n{earlier}\n[[route]]\n{later}\n"));
    }
    for (earlier, later, missed, by) in [
        ("to = \"b.example\"", "to = \"user@b.example\"", "user@b.example", "b.example"),
        ("to = \"*.b.example\"", "to = \"a.b.example\"", "a.b.example", "*.b.example"),
        ("from = \"*\"", "from = \"a.example\"\nto = \"b.example\"", "b.example", "from *"),
        ("size.over = \"1MB\"", "size.over = \"2MB\"\nname = \"x\"", "*", "size"),
    ] {
        let said = complaints(&format!("[[route]]\n{earlier}\n[[route]]\n{later}\n"));
        let what =
            format!("`{missed}` never comes here: the route \"{by}\" above matches it first");
        assert!(said.contains(&what), "{said}");
    }
}

#[test]
fn every_error_of_a_route_has_its_place_and_says_what_to_do() {
    for (text, expected) in [
        ("families = \"only-v4\"", "3:12: `route.families`: \"only-v4\" is written \"v4\" now"),
        (
            "from = [\"a.example\", \"a b\"]",
            "3:22: `route.from`: \"a b\" is not a pattern of senders; expected \"example.org\", \
             \"*.example.org\", \"user@example.org\", \"*\", or \"<>\" for notices",
        ),
        (
            "listener = \"internet\"",
            "3:12: no listener has the name \"internet\"; there are: relay, local, pickup, notice",
        ),
        ("via = \"fail\"", "1:1: `route.text` is missing: what the sender is told"),
        (
            "via = \"fail\"\ntext = \"x\"\nstatus = \"4.7.1\"",
            "5:10: `route.status`: \"4.7.1\" is not a permanent status; expected an enhanced status of class 5 \
             such as \"5.7.1\"",
        ),
        (
            "via = \"discard\"\nsource = \"192.0.2.9\"",
            "4:10: `route.source` means nothing: this route sends nothing",
        ),
        ("order = \"shared\"", "3:9: `route.order` is for fixed next hops, not for MX"),
        ("protocol = \"lmtp\"", "3:12: `route.protocol` is for fixed next hops, not for MX"),
        (
            "via = \"discard\"\nprotocol = \"lmtp\"",
            "4:12: `route.protocol` means nothing: this route sends nothing",
        ),
        (
            "via = \"h.example\"\nprotocol = \"uucp\"",
            "4:12: `route.protocol`: \"uucp\" is not allowed; allowed: \"smtp\" or \"lmtp\"",
        ),
        (
            "via = \"h.example:25\"\nprotocol = \"lmtp\"",
            "3:7: LMTP is never spoken at port 25, which is for SMTP (RFC 2033 section 5); say which port",
        ),
        (
            "via = \"h.example\"\nprotocol = \"lmtp\"\nport = 25",
            "5:8: LMTP is never spoken at port 25, which is for SMTP (RFC 2033 section 5); say which port",
        ),
        (
            "size = { over = \"2MB\", up_to = \"1MB\" }",
            "3:32: `route.size.up_to` is not more than `route.size.over`: no mail fits",
        ),
        ("size.ovr = 1", "3:6: unknown setting `ovr` in [route.size]; did you mean `over`?"),
        ("connections = 0", "3:15: `route.connections` must be from 1 to 100000"),
        (
            "resolvers = [\"ns.example\"]",
            "3:14: `route.resolvers`: \"ns.example\" is not an address",
        ),
        ("text = \"x\"", "3:8: `route.text` is for via = \"fail\""),
    ] {
        let said = complaints(&format!("[[route]]\nto = \"a.example\"\n{text}"));
        assert!(said.starts_with(&format!("p.toml:{expected}")), "{text}: {said}");
    }
}

#[test]
fn the_worked_example_of_a_content_filter_sends_each_message_through_it_once() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/content-filter.md");
    let page = std::fs::read_to_string(page).expect("it is part of the repository");
    let text = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let config = good(text.expect("it has one example"));
    let routes = config.lower(&Default::default()).routes;
    let to = Mailbox::parse("someone@example.org", false).expect("an address");
    for (listener, route, destination) in [
        ("internet", "filter", "127.0.0.1:10025"),
        ("reinject", "mailboxes", "10.0.0.5:25"),
        ("notice", "mailboxes", "10.0.0.5:25"),
    ] {
        let facts = Facts { listener, ..Facts::between(&ReversePath::Null, &to) };
        let (_, found) = routes.find(&facts).expect("a route matches");
        assert_eq!(
            (found.name.as_str(), found.destination(to.host())),
            (route, destination.into())
        );
    }
    let reinject = config.listeners.iter().find(|l| l.name == "reinject").expect("there");
    assert!(reinject.address.ip().is_loopback());
}

#[test]
fn how_a_route_logs_in() {
    use posthaste_evidence::TlsLevel;
    use posthaste_mail::Mechanism;
    use posthaste_route::SecretSource;
    let route = |rest: &str| format!("[[route]]\nto = [\"*\"]\nvia = \"10.0.0.1:587\"\n{rest}\n");
    let auth = |text: &str| good(&route(text)).routes[0].auth.clone().expect("it logs in");
    let file = auth("auth = { user = \"me@a.example\", password_file = \"hub.password\" }");
    assert_eq!(file.secret, SecretSource::File("/etc/posthaste/hub.password".into()));
    assert_eq!(file.mechanisms, [Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login]);
    assert!(!file.in_clear);
    let token =
        auth("auth_in_clear = true\nauth.user = \"me\"\nauth.token_command = [\"/bin/t\", \"x\"]");
    assert_eq!((token.mechanisms, token.in_clear), (vec![Mechanism::XOAuth2], true));
    let plain = auth("auth = { user = \"me\", password_env = \"P\", mechanisms = [\"PLAIN\"] }");
    assert_eq!(plain.mechanisms, [Mechanism::Plain]);
    let tls = |text: &str| good(&route(text)).routes[0].tls.policy().level();
    let with_auth = "auth = { user = \"me\", password_env = \"P\" }\n";
    for (more, level) in [
        ("", TlsLevel::Verify),
        ("auth_in_clear = true", TlsLevel::Opportunistic),
        ("tls = \"require\"", TlsLevel::Require),
        ("tls = \"opportunistic\"", TlsLevel::Opportunistic),
        ("tls = \"none\"\nauth_in_clear = true", TlsLevel::None),
    ] {
        assert_eq!(tls(&format!("{with_auth}{more}")), level, "{more}");
    }
    let none = complaints(&route(&format!("{with_auth}tls = \"none\"")));
    assert!(none.contains("nobody logs in without TLS"), "{none}");
    assert!(warnings(&route(with_auth)).iter().all(|said| !said.contains("in between")));
    for (via, more, expected) in [
        ("10.0.0.1", "tls = \"opportunistic\"", Some("gets the password")),
        ("hub.example", "auth_in_clear = true", Some("gets the password")),
        ("hub.example", "auth_in_clear = true\ntls = \"none\"", Some("has a private address")),
        ("10.0.0.1", "auth_in_clear = true\ntls = \"none\"", None),
        ("127.0.0.1", "auth_in_clear = true", None),
        ("hub.example", "tls = \"require\"", None),
    ] {
        let said =
            warnings(&format!("[[route]]\nto = [\"*\"]\nvia = \"{via}:587\"\n{with_auth}{more}"));
        let said: Vec<_> = said.iter().filter(|said| !said.contains("variable")).collect();
        assert_eq!(said.len(), usize::from(expected.is_some()), "{via} {more}: {said:?}");
        assert!(said.iter().all(|said| said.contains(expected.unwrap_or_default())), "{said:?}");
    }
}

#[test]
fn what_is_wrong_with_how_a_route_logs_in() {
    let route = |rest: &str| format!("[[route]]\nto = [\"*\"]\nvia = \"10.0.0.1:587\"\n{rest}\n");
    for (text, what) in [
        ("auth = { user = \"me\", password = \"x\" }", "no secret stands in this file"),
        ("auth = { user = \"me\" }", "exactly one of password_file"),
        ("auth = { user = \"me\", password_file = \"a\", password_env = \"B\" }", "exactly one of"),
        ("auth = { password_env = \"B\" }", "`route.auth.user` is missing"),
        ("auth = { user = \"me\", token_command = [\"token\"] }", "its whole path"),
        (
            "auth = { user = \"me\", password_env = \"B\", mechanisms = [\"XOAUTH2\"] }",
            "write token_command",
        ),
        (
            "auth = { user = \"me\", token_command = [\"/t\"], mechanisms = [\"PLAIN\"] }",
            "\"XOAUTH2\" and nothing else",
        ),
        (
            "auth = { user = \"me\", password_env = \"B\", mechanisms = [\"CRAM-MD5\"] }",
            "not allowed",
        ),
        ("auth_in_clear = true", "means nothing without `auth`"),
    ] {
        let said = complaints(&route(text));
        assert!(said.contains(what), "{text}: {said}");
    }
    for pasted in ["my secret", "hunter2!", "2hunter", "a=b", "p\u{e4}ss"] {
        let text = format!("auth = {{ user = \"me\", password_env = \"{pasted}\" }}");
        let said = complaints(&route(&text));
        assert!(said.contains("is the name of a variable, not its value"), "{said}");
        assert!(!said.contains(pasted), "{said}");
    }
    let looked_at =
        |secret: &str| warnings(&route(&format!("auth = {{ user = \"me\", {secret} }}")));
    let unset = looked_at("password_env = \"hunter2hunter2\"").join("\n");
    assert!(unset.contains("is not set here") && !unset.contains("hunter2"), "{unset}");
    for (program, expected) in [
        ("/no/such/program", Some("/no/such/program cannot be run: No such file")),
        ("/etc", Some("/etc is no program")),
        ("/etc/passwd", Some("write: chmod 755 /etc/passwd")),
        ("/bin/sh", None),
    ] {
        let said = looked_at(&format!("token_command = [\"{program}\"]")).join("\n");
        assert_eq!(said.contains("mail waits until it can be run"), expected.is_some(), "{said}");
        assert!(said.contains(expected.unwrap_or_default()), "{said}");
    }
    let by_mx = "[[route]]\nto = [\"a.example\"]\nauth = { user = \"me\", password_env = \"B\" }";
    assert!(complaints(by_mx).contains("`route.auth` is for fixed next hops"), "never by MX");
}
