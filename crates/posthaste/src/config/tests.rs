//! The configuration as an operator meets it: what is wrong with a file, in full; what a file comes to.

mod care;
mod notices;
mod resolver;
mod route_tls;
mod routes;

use super::domains::Source;
use super::file::{Config, Good, Surroundings, read};
use super::kinds::{AdminAddress, NextHop, Via};
use super::resolver::{Server, Servers};
use super::show::as_toml;
use posthaste_reception::ListenerKind;
use posthaste_route::Pattern;
use posthaste_smtp::server::BareNewline;
use std::path::PathBuf;
use std::time::Duration;

fn around() -> Surroundings {
    Surroundings {
        allow_clock_scale: false,
        machine_name: "machine.example".into(),
        folder: PathBuf::from("/etc/posthaste"),
    }
}

fn good(text: &str) -> Config {
    read("p.toml", text, &around()).unwrap_or_else(|e| panic!("{e}")).config
}

fn complaints(text: &str) -> String {
    read("p.toml", text, &around()).map(|_| ()).expect_err(text).to_string()
}

#[test]
fn without_a_file_it_is_a_relay_for_this_machine() {
    let config = good("");
    assert_eq!(config.hostname.0, "machine.example");
    assert_eq!(config.data, PathBuf::from("/etc/posthaste/posthaste-data"));
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.listeners[0].address.to_string(), "127.0.0.1:2525");
    assert_eq!(config.listeners[0].kind, ListenerKind::Relay);
    assert_eq!(config.listeners[0].bare_newline, None);
    let relays = |ip: &str| config.relay_networks.iter().any(|n| n.contains(ip.parse().unwrap()));
    assert!(relays("127.0.0.1") && relays("::1") && !relays("192.0.2.1") && !relays("10.0.0.1"));
    assert_eq!(config.routes.len(), 1);
    assert_eq!(config.routes[0].to, [Pattern::Any]);
    assert_eq!(config.routes[0].via, Via::Mx);
    assert_eq!(config.resolver.servers, Servers::System);
    assert_eq!(config.retry.expire_after, Duration::from_secs(5 * 86_400));
    let AdminAddress::At(admin) = config.admin.address else { panic!("it listens") };
    assert_eq!(admin.to_string(), "127.0.0.1:2580");
    assert_eq!(config.admin.socket, config.data.join("control.sock"));
}

/// Something in every section.
const WHOLE: &str = r#"
hostname = "Mail.Example.org"
data = "/var/spool/posthaste"
profile = "exchange"
postmaster = "admin@example.org"

[[domain]]
name = ["Example.org", "münchen.example"]
recipients = "file:lists/recipients"

[[domain]]
name = "example.net"
recipients = "verify"

[[listener]]
address = "[::]:25"
kind = "mx"
bare_newline = "normalize"

[[listener]]
name = "inside"
address = "10.0.0.1:25"

[[route]]
to = ["example.org"]
via = ["10.0.0.5", "[2001:db8::5]:2526"]
port = 2525
expire_after = "1d"

[[route]]
to = ["*.partner.example", "[192.0.2.1]"]
eight_bit = "fail"
source = ["192.0.2.9", "2001:db8::9"]
retry.later = ["1h"]

[retry]
glitch = { times = 2, every = "30s" }
jitter = 0

[resolver]
servers = ["127.0.0.1:5353", "::1"]

[admin]
address = "off"
socket = "run/control.sock"
"#;

#[test]
fn a_whole_file_is_read() {
    let config = good(WHOLE);
    assert_eq!(config.hostname.0, "mail.example.org");
    let domains: Vec<_> =
        config.own.domains.iter().map(|d| (d.name.as_str(), &d.recipients)).collect();
    let list = Source::File("/etc/posthaste/lists/recipients".into());
    let expected = [
        ("example.org", &list),
        ("xn--mnchen-3ya.example", &list),
        ("example.net", &Source::Verify),
    ];
    assert_eq!(domains, expected);
    assert_eq!(config.listeners[0].name, "mx");
    assert_eq!(config.listeners[0].kind, ListenerKind::Inbound);
    assert_eq!(config.listeners[0].bare_newline, Some(BareNewline::Normalize));
    assert_eq!(config.listeners[1].name, "inside");
    assert_eq!(config.retry.expire_after, Duration::from_secs(2 * 86_400), "profile exchange");
    assert_eq!(config.retry.later, [Duration::from_secs(600)], "profile exchange");
    assert_eq!((config.retry.glitch.times, config.retry.jitter), (2, 0));
    let [first, second, last] = &config.routes[..] else { panic!("two and the default") };
    assert_eq!(first.name, "example.org");
    let hop = |host: &str, port| NextHop { host: host.into(), port };
    assert_eq!(first.via, Via::Hosts(vec![hop("10.0.0.5", None), hop("2001:db8::5", Some(2526))]));
    assert!(first.allow_private);
    assert_eq!(first.expire_after, Some(Duration::from_secs(86_400)));
    let own = second.retry.as_ref().expect("it has its own schedule");
    assert_eq!((own.glitch.times, own.later.as_slice()), (2, &[Duration::from_secs(3600)][..]));
    assert!(!second.allow_private);
    assert_eq!(last.to, [Pattern::Any]);
    let Servers::These(servers) = &config.resolver.servers else { panic!("two servers") };
    assert_eq!(servers[1].0.address.to_string(), "[::1]:53");
    assert_eq!(config.admin.address, AdminAddress::Off);
    assert_eq!(config.admin.socket, PathBuf::from("/etc/posthaste/run/control.sock"));
}

#[test]
fn one_string_stands_for_a_list_of_one() {
    let route =
        |via: &str| format!("[[route]]\nto = \"b.example\"\nsource = \"192.0.2.9\"\nvia = {via}\n");
    let text = |via| {
        format!("relay_networks = \"10.0.0.0/8\"\n{}[resolver]\nservers = \"::1\"", route(via))
    };
    let config = good(&text("\"10.0.0.5:25\""));
    assert_eq!(config.relay_networks.len(), 1);
    assert_eq!(config.routes[0].to, ["b.example".parse::<Pattern>().expect("a pattern")]);
    assert_eq!(config.routes[0].source.len(), 1);
    let hop = NextHop { host: "10.0.0.5".into(), port: Some(25) };
    assert_eq!(config.routes[0].via, Via::Hosts(vec![hop]));
    let Servers::These(servers) = &config.resolver.servers else { panic!("one server") };
    assert_eq!(servers[0].0.address.to_string(), "[::1]:53");
    assert_eq!(good(&text("\"MX\"")).routes[0].via, Via::Mx, "no host is called so");
}

/// A file, and everything that is said about it.
const WRONG: &[(&str, &str)] = &[
    ("hostnme = \"x\"", "p.toml:1:1: unknown setting `hostnme`; did you mean `hostname`?"),
    (
        "[[listener]]\nadress = \"127.0.0.1:25\"",
        "p.toml:2:1: unknown setting `adress` in [[listener]]; did you mean `address`?",
    ),
    (
        "[limits]\nzzz = 1",
        "p.toml:2:1: unknown setting `zzz` in [limits]; known here: message_size, recipients, \
             sessions, sessions_per_client, sessions_per_relay_client, sessions_per_network, connections_per_minute, \
             messages_per_minute, recipients_per_minute, relay_connections_per_minute, relay_messages_per_minute, \
             relay_recipients_per_minute, user_messages_per_minute, user_recipients_per_minute, user_recipients_per_day, \
             sessions_per_user, failed_logins, failed_logins_per_minute, commands, errors, tarpit_after, tarpit_delay, command_timeout, data_timeout, handshake_timeout, message_timeout, \
             min_rate, session_time, store_timeout, receive_memory, hops, own_hops",
    ),
    (
        "expire_after = 5",
        "p.toml:1:16: `expire_after`: expected a duration such as \"30s\", \"5 min\" or \"2d\", \
             found an integer",
    ),
    (
        "expire_after = \"5 dayz\"",
        "p.toml:1:16: `expire_after`: unknown unit `dayz`; units are us, ms, s, min, h and d; \
             expected a duration such as \"30s\", \"5 min\" or \"2d\"",
    ),
    ("expire_after = \"1s\"", "p.toml:1:16: `expire_after` must be from \"1 min\" to \"30d\""),
    (
        "profile = \"exchnage\"",
        "p.toml:1:11: `profile`: \"exchnage\" is not allowed; did you mean \"exchange\"?",
    ),
    (
        "[[listener]]\nkind = \"both\"",
        "p.toml:2:8: `listener.kind`: \"both\" is not allowed; allowed: \"relay\" or \"mx\" or \"submission\"",
    ),
    (
        "relay_networks = [\"10.0.0.0/8\", \"10.0.0.1/8\"]",
        "p.toml:1:33: `relay_networks`: \"10.0.0.1/8\": the address has bits behind its prefix; the network is 10.0.0.0/8; \
             expected a network such as \"192.0.2.0/24\" or \"2001:db8::/32\"",
    ),
    (
        "[admin]\naddress = \"0.0.0.0:2580\"",
        "p.toml:2:11: `admin.address`: 0.0.0.0 is not a loopback address, and this interface has no \
             passwords yet; expected a loopback address and port such as \"127.0.0.1:2580\", or \"off\"",
    ),
    (
        "clock_scale = 60",
        "p.toml:1:15: `clock_scale` is for tests; give --allow-clock-scale to use it",
    ),
    (
        "[listener]\naddress = \"127.0.0.1:25\"",
        "p.toml:1:1: there may be several `listener`; write [[listener]]",
    ),
    ("limits = 5", "p.toml:1:10: `limits` is a section, not an integer; write [limits]"),
    (
        "[[route]]\nto = [\"example.org\"]\nvia = 25",
        "p.toml:3:7: `route.via`: expected \"mx\", \"discard\", \"fail\", \"hold\" or a list of \
             next hops such as [\"relay.example.org:25\"], found an integer",
    ),
    (
        "[resolver]\nservers = \"sytem\"",
        "p.toml:2:11: `resolver.servers`: \"sytem\" is not an address; expected a DNS server such as \
             \"192.0.2.1\", \"127.0.0.1:5353\" or \"tls://192.0.2.1#dns.example.org\"",
    ),
    (
        "[limits]\nstore_timeout = \"1h\"",
        "p.toml:2:17: `limits.store_timeout` must be from \"1s\" to \"10 min\"",
    ),
    (
        "[[route]]\nvia = \"mx\"",
        "p.toml:1:1: `route.to` is missing; write to = [\"example.org\"], or another condition: from, listener, \
             user, size",
    ),
    (
        "[[route]]\nto = [\"*\"]\n[[route]]\nto = [\"example.org\"]",
        "p.toml:4:6: `example.org` never comes here: the route \"default\" above matches it first",
    ),
    (
        "[[listener]]\naddress = \"127.0.0.1:25\"\n[[listener]]\naddress = \"127.0.0.1:25\"",
        "p.toml:4:11: two listeners have the address 127.0.0.1:25",
    ),
    (
        "[[listener]]\nkind = \"submission\"\nauth = false",
        "p.toml:3:8: users log in at a listener of the kind \"submission\"; for one without AUTH write kind = \"relay\"",
    ),
    (
        "[[listener]]\nkind = \"submission\"\ntls = \"off\"",
        "p.toml:3:7: AUTH is done under TLS only: nobody could log in here, and nobody else may send; write tls = \"starttls\" or tls = \"implicit\"",
    ),
    (
        "[[listener]]\nauth = true\ntls = \"off\"",
        "p.toml:2:8: AUTH is done under TLS only: nobody can log in here; write tls = \"starttls\", or auth = false",
    ),
    (
        "[[listener]]\nproxy_from = \"0.0.0.0/0\"",
        "p.toml:2:14: `listener.proxy_from`: \"0.0.0.0/0\" is everybody: they could then claim any address; write those of your balancers",
    ),
    (
        "refuse_networks = [\"192.0.2.0/24\", \"0.0.0.0/1\"]\nrelay_networks = \"10.0.0.0/8\"",
        "p.toml:1:36: `refuse_networks`: \"0.0.0.0/1\" holds 127.0.0.0/8, which is this machine; refuse smaller networks",
    ),
    (
        "refuse_networks = \"10.0.0.0/8\"\nrelay_networks = \"10.1.0.0/16\"",
        "p.toml:1:19: `refuse_networks`: \"10.0.0.0/8\" holds 10.1.0.0/16, which is in `relay_networks`; refuse smaller networks",
    ),
    (
        "[[listener]]\nwithout_auth = \"10.0.0.0/8\"",
        "p.toml:2:16: `listener.without_auth` is for the kind \"submission\"; elsewhere nobody needs AUTH",
    ),
    (
        "[retry]\nglitch = { times = 4, evry = \"1 min\" }",
        "p.toml:2:23: `retry.glitch`: unknown setting `evry`; expected a step such as \
             { times = 4, every = \"1 min\" }",
    ),
    (
        "[delivery]\ndestination_start = 50",
        "p.toml:2:21: `delivery.destination_start` must not be over `delivery.destination_max`",
    ),
    (
        "[limits]\nmessage_size = -1",
        "p.toml:2:16: `limits.message_size`: -1 is below zero; expected a \
          size such as \"36MB\" or \"256KiB\"",
    ),
    (
        "[resolver]\nservers = \"0.0.0.0:0\"",
        "p.toml:2:11: `resolver.servers`: nobody can be asked at \"0.0.0.0:0\"; expected a DNS server such as \
             \"192.0.2.1\", \"127.0.0.1:5353\" or \"tls://192.0.2.1#dns.example.org\"",
    ),
    (
        "[pressure]\nmemory_slow = 0.95",
        "p.toml:2:15: `pressure.memory_slow` must not be over `pressure.memory_refuse`",
    ),
    (
        "[pressure]\ndisk_refuse = \"1GiB\"",
        "p.toml:1:1: `pressure.disk_slow` must not be below `pressure.disk_refuse`",
    ),
    ("data = \"", "p.toml:1:9: invalid basic string, expected `\"`"),
    (
        "domains = [\"example.org\"]",
        "p.toml:1:1: `domains` does not say who is a recipient; write a section [[domain]] with name = [\"example.org\"] \
             and recipients = \"file:PATH\", \"verify\" or \"any\"",
    ),
    (
        "[[domain]]\nname = \"example.org\"\nrecipients = \"verify\"",
        "p.toml:1:1: `postmaster` is missing: who reads mail to postmaster, abuse and root; write \
             postmaster = \"admin@example.org\"",
    ),
    (
        "postmaster = \"a@b.example\"\n[[domain]]\nname = \"example.org\"",
        "p.toml:2:1: `domain.recipients` is missing: who is a recipient; write recipients = \"file:PATH\", \"verify\" \
             (ask the next hop) or \"any\" (what the next hop refuses is bounced)",
    ),
    (
        "postmaster = \"a@b.example\"\n[[domain]]\nrecipients = \"verify\"",
        "p.toml:2:1: `domain.name` is missing; write name = \"example.org\"",
    ),
    (
        "postmaster = \"a@b.example\"\n[[domain]]\nname = \"b.example\"\nrecipients = \"list.txt\"",
        "p.toml:4:14: `domain.recipients`: \"list.txt\" is not allowed; expected \"file:PATH\", \"verify\" or \"any\"",
    ),
    (
        "postmaster = \"a@b.example\"\n[[domain]]\nname = [\"münchen.example\", \"xn--mnchen-3ya.example\"]\nrecipients = \"verify\"",
        "p.toml:3:8: the domain xn--mnchen-3ya.example stands in two places",
    ),
    (
        "postmaster = \"admin\"",
        "p.toml:1:14: `postmaster`: \"admin\": an address has the form local-part@domain; expected an address such as \
             \"admin@example.org\"",
    ),
    (
        "recipient_delimiter = \"@\"",
        "p.toml:1:23: `recipient_delimiter`: \"@\" is none of + - = _ # ! % / ^ ~; expected one character such as \"+\"",
    ),
];

#[test]
fn every_error_has_its_place_and_says_what_to_do() {
    for (text, expected) in WRONG {
        assert_eq!(complaints(text), *expected, "{text}");
    }
}

#[test]
fn all_errors_are_listed_at_once_in_order() {
    let text = "hostnme = \"x\"\n[limits]\nrecipients = \"many\"\n[retry]\njitter = 2\n";
    assert_eq!(
        complaints(text),
        "p.toml:1:1: unknown setting `hostnme`; did you mean `hostname`?\n\
         p.toml:3:14: `limits.recipients`: expected a whole number, found a string\n\
         p.toml:5:10: `retry.jitter` must be from 0.0 to 0.9"
    );
}

#[test]
fn what_is_shown_reads_as_the_same_settings_and_names_its_origin() {
    let text = "hostname = \"a.example\"\n[[route]]\nto = [\"b.example\"]\nvia = [\"10.0.0.1\"]\n\
                retry.later = [\"2h\"]\n[limits]\nrecipients = 500\n[retry]\njitter = 0.1\n";
    let Good { config, shown, .. } = read("p.toml", text, &around()).expect("it is good");
    let toml = as_toml(&shown, "p.toml");
    for line in [
        "hostname = \"a.example\"                           # p.toml:1",
        "recipients = 500                                 # p.toml:7",
        "sessions = 1000                                  # default",
        "allow_private = true                             # default: default of fixed next hops",
        "# expire_after is not set                        # default: as for all mail",
        "to = [\"*\"]                                       # default: what no other route matches",
    ] {
        assert!(toml.lines().any(|l| l == line), "{line}\nis not in\n{toml}");
    }
    let again = read("p.toml", &toml, &around()).unwrap_or_else(|e| panic!("{e}\n{toml}"));
    assert_eq!(again.config, config, "{toml}");
}

#[test]
fn what_is_allowed_and_probably_a_mistake_is_warned_of() {
    let warnings = |text: &str| -> Vec<String> {
        let good = read("p.toml", text, &around()).unwrap_or_else(|e| panic!("{e}"));
        good.warnings.iter().map(|w| format!("{}: {}", w.place_in("p.toml"), w.what)).collect()
    };
    assert!(warnings("").is_empty());
    let any = "postmaster = \"a@b.example\"\n[[domain]]\nname = \"b.example\"\nrecipients = \"any\"\n[[route]]\nto = \"b.example\"";
    for (text, expected) in [
        (
            any,
            "p.toml:4:14: recipients = \"any\": mail to unknown recipients is accepted and then bounced to senders who \
             are often forged (backscatter); a list or \"verify\" prevents it",
        ),
        (
            "hostname = \"mail\"",
            "p.toml:1:12: `hostname`: \"mail\" is not a full name such as \"mail.example.org\"; many hosts refuse mail \
             from it",
        ),
        (
            "hostname = \"mail_1.example.org\"",
            "p.toml:1:12: `hostname`: \"mail_1.example.org\" has an underscore, which is not allowed in the name of a \
             host; many hosts refuse mail from it",
        ),
        (
            "[[listener]]\nkind = \"mx\"\nauth = true",
            "p.toml:3:8: users log in at the door that everybody on the Internet comes to, and that is where passwords are \
             tried; better a listener of its own with kind = \"submission\"",
        ),
        (
            "[[listener]]\nkind = \"submission\"\ntls = \"off\"\nwithout_auth = \"10.0.0.7\"",
            "p.toml:3:7: AUTH is done under TLS only: nobody can log in here, only clients of `without_auth` send",
        ),
    ] {
        assert_eq!(warnings(text), [expected], "{text}");
    }
    assert_eq!(
        good("hostname = \"Mail.München.example\"").hostname.0,
        "mail.xn--mnchen-3ya.example"
    );
}
