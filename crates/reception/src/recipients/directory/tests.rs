//! Addresses, and what the operator's domains, lists and aliases say of each.

use super::*;

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text, true).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn setup(aliases: &str) -> Setup {
    let list = List::parse("bob@example.org\nann\nabuse@example.net\n@catch.example\n".as_bytes());
    let list = Recipients::Listed(Arc::new(list.expect("good")));
    Setup {
        hostname: "mx.example.org".into(),
        origin: "users.example".into(),
        domains: vec![
            ("Example.org".into(), list.clone()),
            ("example.net".into(), list.clone()),
            ("catch.example".into(), list),
            ("münchen.example".into(), Recipients::Any),
            ("ask.example".into(), Recipients::Verify),
        ],
        aliases: Arc::new(Aliases::parse(aliases.as_bytes()).expect("good")),
        postmaster: Some(mailbox("admin@ops.example")),
        delimiter: None,
    }
}

/// What is decided, in a few words.
fn said(directory: &Directory, to: &str, relay: bool) -> String {
    let path = match to {
        "postmaster" => ForwardPath::Postmaster,
        _ => ForwardPath::Mailbox(mailbox(to)),
    };
    match directory.judge(path, relay) {
        Judged::Elsewhere(_) => "elsewhere".into(),
        Judged::Known(mailbox, by) => format!("{by:?} {mailbox}"),
        Judged::Alias(_, found) => found.iter().map(Mailbox::as_str).collect::<Vec<_>>().join(" "),
        Judged::Routed => "routed".into(),
        Judged::Unknown => "unknown".into(),
        Judged::Ask(mailbox) => format!("ask {mailbox}"),
        Judged::Troubled(why) => why.to_string(),
    }
}

#[test]
fn strangers_may_not_ask_our_next_hop_to_send_on() {
    let list = List::parse("bob%odd@example.org\nbob\n@catch.example\n".as_bytes());
    let list = Recipients::Listed(Arc::new(list.expect("good")));
    let mut setup = Setup { delimiter: Some('+'), ..setup("sales: bob\n") };
    setup.domains.push(("listed.example".into(), list.clone()));
    setup.domains[0].1 = list.clone();
    setup.domains[2].1 = list;
    let directory = Directory::new(setup);
    for (to, stranger, friend) in [
        ("u%v.example@ask.example", "routed", "ask u%v.example@ask.example"),
        ("v.example!u@ask.example", "routed", "ask v.example!u@ask.example"),
        ("\"u@v.example\"@münchen.example", "routed", "Any \"u@v.example\"@münchen.example"),
        ("u\u{ff05}v@münchen.example", "routed", "Any u\u{ff05}v@münchen.example"),
        ("bob%odd@example.org", "List bob%odd@example.org", "List bob%odd@example.org"),
        ("bob+x%v.example@example.org", "routed", "List bob+x%v.example@example.org"),
        ("u%v.example@catch.example", "routed", "List u%v.example@catch.example"),
        ("sales+u%v.example@example.org", "bob@example.org", "bob@example.org"),
        (
            "srs0=a=b=v.example=u@ask.example",
            "ask srs0=a=b=v.example=u@ask.example",
            "ask srs0=a=b=v.example=u@ask.example",
        ),
    ] {
        assert_eq!(said(&directory, to, false), stranger, "{to}");
        assert_eq!(said(&directory, to, true), friend, "{to}");
    }
}

#[test]
fn every_address_is_decided() {
    let aliases = "sales: ann, eve@elsewhere.example\nroot@example.net: bob@example.org\n\
                   all@ask.example: sales@example.org, \\ann, x\nann2: ann2, ANN\nlist: sales, bob\n";
    let directory = Directory::new(setup(aliases));
    assert_eq!(
        directory.check(),
        Ok(vec![Doubt::UnlistedTarget {
            line: 4,
            alias: "ann2".into(),
            target: mailbox("ann2@example.org"),
        }])
    );
    for (to, expected) in [
        ("eve@elsewhere.example", "elsewhere"),
        ("eve@sub.example.org", "elsewhere"),
        ("bob@example.org", "List bob@example.org"),
        ("\"BOB\"@EXAMPLE.org", "List \"BOB\"@EXAMPLE.org"),
        ("bob@example.net", "unknown"),
        ("ann@example.net", "List ann@example.net"),
        ("bob+x@example.org", "unknown"),
        ("who@catch.example", "List who@catch.example"),
        ("who@münchen.example", "Any who@münchen.example"),
        ("who@xn--mnchen-3ya.example", "Any who@xn--mnchen-3ya.example"),
        ("WHO@MÜNCHEN.example", "Any WHO@MÜNCHEN.example"),
        ("who@ask.example", "ask who@ask.example"),
        ("Sales@example.org", "ann@example.org eve@elsewhere.example"),
        ("sales@münchen.example", "ann@münchen.example eve@elsewhere.example"),
        ("all@ask.example", "ann@example.org eve@elsewhere.example ann@ask.example x@ask.example"),
        ("ann2@example.org", "ann2@example.org ANN@example.org"),
        ("list@example.org", "ann@example.org eve@elsewhere.example bob@example.org"),
        ("postmaster", "admin@ops.example"),
        ("PostMaster@catch.example", "admin@ops.example"),
        ("postmaster@ask.example", "admin@ops.example"),
        ("root@example.org", "admin@ops.example"),
        ("root@example.net", "bob@example.org"),
        ("abuse@example.org", "admin@ops.example"),
        ("abuse@example.net", "List abuse@example.net"),
        ("postmaster@mx.example.org", "admin@ops.example"),
        ("who@mx.example.org", "elsewhere"),
        ("who@[192.0.2.1]", "elsewhere"),
    ] {
        assert_eq!(said(&directory, to, true), expected, "{to}");
    }
    // What this machine's own users are called is nothing to strangers.
    for (to, expected) in [
        ("sales@mx.example.org", "elsewhere"),
        ("root@mx.example.org", "elsewhere"),
        ("postmaster@users.example", "elsewhere"),
        ("postmaster@mx.example.org", "admin@ops.example"),
        ("sales@example.org", "ann@example.org eve@elsewhere.example"),
    ] {
        assert_eq!(said(&directory, to, false), expected, "{to}");
    }
    for here in ["root@mx.example.org", "root@users.example"] {
        assert_eq!(said(&directory, here, true), "admin@ops.example");
    }
    let sales = "ann@mx.example.org eve@elsewhere.example";
    assert_eq!(said(&directory, "sales@mx.example.org", true), sales);
}

#[test]
fn a_detail_is_cut_off_where_the_operator_says_so() {
    let with = Setup { delimiter: Some('+'), ..setup("sales: eve@elsewhere.example\n") };
    let directory = Directory::new(with);
    for (to, expected) in [
        ("bob+news@example.org", "List bob+news@example.org"),
        ("sales+x+y@example.org", "eve@elsewhere.example"),
        ("+bob@example.org", "unknown"),
        ("eve+news@example.org", "unknown"),
        ("a+b@ask.example", "ask a+b@ask.example"),
    ] {
        assert_eq!(said(&directory, to, false), expected, "{to}");
    }
}

#[test]
fn postmaster_has_a_home_without_any_setting() {
    let bare = Directory::new(Setup { hostname: "mx.example.org".into(), ..Setup::default() });
    assert!(bare.has_no_domains());
    let expected = "Postmaster postmaster@mx.example.org";
    assert_eq!(said(&bare, "postmaster", false), expected);
    assert_eq!(said(&bare, "a@b.example", true), "elsewhere");
    let own = Setup { postmaster: Some(mailbox("Postmaster@Example.ORG")), ..setup("") };
    let own = Directory::new(own);
    for (to, expected) in [
        ("postmaster", "Postmaster postmaster@example.org"),
        ("postmaster@example.org", "Postmaster postmaster@example.org"),
        ("abuse@example.org", "Postmaster@Example.ORG"),
        ("root@ask.example", "Postmaster@Example.ORG"),
    ] {
        assert_eq!(said(&own, to, false), expected, "{to}");
    }
}

#[test]
fn aliases_that_lead_nowhere_are_found_and_never_followed_for_ever() {
    let chain: String = (0..MAX_STEPS + 1).map(|n| format!("c{n}: c{}\n", n + 1)).collect();
    let mesh: String = (0..18).map(|n| format!("m{n}: m{0}, m{0}\n", n + 1)).collect();
    let wide: String = (0..3)
        .map(|n| {
            format!("w{n}: {}\n", (0..600).map(|t| format!("u{n}x{t}@x, ")).collect::<String>())
        })
        .collect();
    let wide = format!("{wide}w: w0, w1, w2\n");
    for (aliases, to, line, expected) in [
        ("a: b\nb: c, x\nc: a\n", "b", 1, "aliases lead in a circle: a -> b -> c -> a"),
        (
            "postmaster: root\nroot: abuse\nabuse: postmaster\n",
            "abuse",
            1,
            "aliases lead in a circle: postmaster -> root -> abuse -> postmaster",
        ),
        (&chain, "c0", 1, "`c0` leads to more than 1000 recipients or over more than 20 steps"),
        (&mesh, "m0", 1, "`m0` leads to more than 1000 recipients or over more than 20 steps"),
        (&wide, "w", 4, "`w` leads to more than 1000 recipients or over more than 20 steps"),
    ] {
        let directory = Directory::new(setup(aliases));
        let faults = directory.check().expect_err(expected);
        assert_eq!((faults[0].line, faults[0].what.to_string().as_str()), (line, expected));
        let judged = said(&directory, &format!("{to}@example.org"), false);
        assert!(judged.starts_with("its aliases lead"), "{judged}");
    }
    // The postmaster's own address is an alias that comes back to it.
    let back =
        Setup { postmaster: Some(mailbox("root@example.org")), ..setup("root: postmaster\n") };
    let faults = Directory::new(back).check().expect_err("a circle");
    let expected = "aliases lead in a circle: root -> postmaster -> root";
    assert_eq!(faults[0].what.to_string(), expected);
}

#[test]
fn what_is_probably_a_mistake_is_told() {
    let odd = Setup {
        postmaster: Some(mailbox("nobody@example.org")),
        ..setup("x: bob, carl, who@ask.example\n")
    };
    let doubts = Directory::new(odd).check().expect("no circle");
    let said: Vec<String> = doubts.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "line 1: `x` leads to carl@example.org, which is not on the list of its domain",
            "the postmaster's address nobody@example.org is not on the list of its domain",
        ]
    );
}
