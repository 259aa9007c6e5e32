//! Before MAIL: greetings, EHLO and HELO, and what the host must offer.

use crate::words::*;
use posthaste_evidence::{Fault, Outcome};
use posthaste_io_sim::Link;
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_route::{EightBit, Pattern, Route, Table};
use posthaste_sim::{MailSystem, Plan};

fn reply(text: &str) -> Action {
    Action::Reply(text.into())
}

fn greeting(action: Action) -> Script {
    Script::default().always(Step::Greeting, action)
}

fn two_hosts(first: Script, second: Script) -> MailSystem {
    let system = up(Plan::domain("d.test", 2));
    peer(&system, "mx0.d.test").set(first);
    peer(&system, "mx1.d.test").set(second);
    system
}

#[test]
fn a_host_that_does_not_greet_well_is_passed_over() {
    let ehlo = |action| Script::default().always(Step::Ehlo, action);
    for first in [
        greeting(reply("554 5.3.2 no service here")),
        greeting(Action::ReplyAndClose("554 no".into())),
        greeting(Action::ReplyAndClose("421 4.3.2 too busy".into())),
        greeting(Action::Close),
        greeting(reply("hello there")),
        ehlo(reply("421 4.3.2 not now")),
        ehlo(reply("451 4.3.0 not now")),
        ehlo(Action::Close),
        ehlo(reply("550 5.5.1 no")).always(Step::Helo, reply("550 5.7.1 not you")),
    ] {
        let system = two_hosts(first.clone(), Script::default());
        send(&system, 1, &["r@d.test"]);
        let took = until_quiet(&system, MINUTE);
        assert!(took < AT_ONCE, "{first:?}: {took:?}");
        assert_eq!(taken(&system, "mx1.d.test"), ["r@d.test"], "{first:?}");
        assert_eq!(outcomes(&system, "r@d.test"), [Outcome::Delivered], "{first:?}");
    }
}

#[test]
fn only_when_every_host_says_5xx_the_mail_fails() {
    let no = || greeting(reply("554 5.7.1 you are not welcome"));
    let system = two_hosts(no(), no());
    send(&system, 1, &["r@d.test"]);
    assert!(until_quiet(&system, MINUTE) < AT_ONCE);
    let notice = the_notice(&system);
    assert_eq!(notice.status, ["5.7.1"]);
    assert!(notice.text.contains("you are not welcome"), "{}", notice.text);
    assert!(peer(&system, "mx1.d.test").connections() > 0, "it was asked");

    for second in
        [greeting(Action::ReplyAndClose("421 4.3.2 busy".into())), greeting(Action::Close)]
    {
        let system = two_hosts(no(), second.clone());
        send(&system, 1, &["r@d.test"]);
        system.pass(20 * MINUTE);
        assert_eq!(system.live().len(), 1, "{second:?}");
        peer(&system, "mx1.d.test").set(Script::default());
        until_quiet(&system, HOUR);
        assert_eq!(taken(&system, "mx1.d.test"), ["r@d.test"]);
        assert!(notices(&system).is_empty());
    }
    let system = two_hosts(no(), Script::default());
    system.sim.partition(&system.relay, &system.host("mx1.d.test").0, Link::Refuse);
    send(&system, 1, &["r@d.test"]);
    system.pass(2 * HOUR);
    assert_eq!(system.live().len(), 1, "the second could not be asked");
    system.sim.partition(&system.relay, &system.host("mx1.d.test").0, Link::Up);
    until_quiet(&system, 2 * HOUR);
    assert_eq!(taken(&system, "mx1.d.test"), ["r@d.test"]);
}

#[test]
fn a_421_greeting_of_all_defers_the_destination_for_a_minute() {
    let busy =
        || Script::default().first(1, Step::Greeting, Action::ReplyAndClose("421 busy".into()));
    let system = two_hosts(busy(), busy());
    send(&system, 1, &["r@d.test"]);
    let took = until_quiet(&system, HOUR);
    assert!(took > MINUTE * 8 / 10 && took < MINUTE * 12 / 10 + AT_ONCE, "{took:?}");
    assert_eq!(outcomes(&system, "r@d.test"), [Outcome::Delivered], "no try of the message's own");
}

#[test]
fn ehlo_refused_means_helo() {
    for code in ["500 5.5.1", "502 5.5.1", "550 5.7.1"] {
        let script = Script::default().always(Step::Ehlo, reply(&format!("{code} what?")));
        let system = two_hosts(script, greeting(Action::Close));
        send(&system, 1, &["r@d.test"]);
        assert!(until_quiet(&system, MINUTE) < AT_ONCE);
        assert_eq!(taken(&system, "mx0.d.test"), ["r@d.test"], "{code}");
        let dialogue = peer(&system, "mx0.d.test").dialogue();
        assert!(dialogue.contains(&"C: HELO relay.test".to_owned()), "{dialogue:#?}");
        assert!(
            dialogue.contains(&"C: MAIL FROM:<writer@sender.test>".to_owned()),
            "no parameters"
        );
    }
}

#[test]
fn a_message_over_the_announced_size_fails_without_being_sent() {
    let small = |limit: &str| Script::default().offering(&[&format!("SIZE {limit}")]);
    let system = two_hosts(small("1000"), small("2000"));
    hand_in(
        &system,
        posthaste_sim::Letter::new(1, "writer@sender.test", &strings(&["r@d.test"]), 5000),
    );
    assert!(until_quiet(&system, MINUTE) < AT_ONCE);
    assert_eq!(the_notice(&system).status, ["5.3.4"]);
    let mails = |host| peer(&system, host).mails();
    assert_eq!((mails("mx0.d.test"), mails("mx1.d.test")), (0, 0));
    assert!(tries(&system, "r@d.test")[0].fault == Some(Fault::OverPeersSize { limit: 2000 }));

    for (first, second, host) in [
        (small("1000"), Script::default(), "mx1.d.test"),
        (small("0"), greeting(Action::Close), "mx0.d.test"),
        (Script::default().offering(&["SIZE"]), greeting(Action::Close), "mx0.d.test"),
    ] {
        let system = two_hosts(first, second);
        hand_in(
            &system,
            posthaste_sim::Letter::new(1, "writer@sender.test", &strings(&["r@d.test"]), 5000),
        );
        assert!(until_quiet(&system, MINUTE) < AT_ONCE);
        assert_eq!(taken(&system, host), ["r@d.test"]);
    }
}

#[test]
fn smtputf8_fails_only_when_no_host_offers_it() {
    let plain = || Script::default().offering(&["8BITMIME", "PIPELINING"]);
    let letter = || letter(1, &["grün@d.test"]).with("SMTPUTF8", "");
    let system = two_hosts(plain(), Script::default());
    hand_in(&system, letter());
    assert!(until_quiet(&system, MINUTE) < AT_ONCE);
    assert_eq!(taken(&system, "mx1.d.test"), ["grün@d.test"]);

    let system = two_hosts(plain(), plain());
    hand_in(&system, letter());
    assert!(until_quiet(&system, MINUTE) < AT_ONCE);
    assert_eq!(the_notice(&system).status, ["5.6.7"]);
    assert!(peer(&system, "mx0.d.test").connections() > 0);
    assert!(peer(&system, "mx1.d.test").connections() > 0);
}

#[test]
fn a_host_that_lacks_smtputf8_is_not_down_for_other_mail() {
    let system = two_hosts(Script::default().offering(&["PIPELINING"]), Script::default());
    system.sim.partition(&system.relay, &system.host("mx1.d.test").0, Link::Refuse);
    hand_in(&system, letter(1, &["grün@d.test"]).with("SMTPUTF8", ""));
    system.pass(2 * SECOND);
    assert_eq!(
        outcomes(&system, "grün@d.test"),
        [Outcome::Deferred],
        "the host that has it was not asked"
    );
    send(&system, 2, &["r@d.test"]);
    system.pass(AT_ONCE);
    assert_eq!(taken(&system, "mx0.d.test"), ["r@d.test"], "others do not wait for that");
    system.sim.partition(&system.relay, &system.host("mx1.d.test").0, Link::Up);
    until_quiet(&system, HOUR);
    assert_eq!(taken(&system, "mx1.d.test"), ["grün@d.test"]);
}

#[test]
fn mail_with_needs_of_its_own_takes_another_connection_and_both_hosts_stay_usable() {
    let mut plan = Plan::domain("d.test", 2);
    plan.queue.limits.host = 2;
    let system = up(plan);
    peer(&system, "mx0.d.test").set(Script::default().offering(&["8BITMIME"]));
    for number in 0..12 {
        let plain = format!("r{number}@d.test");
        send(&system, 10 + number, &[&plain]);
        let named = format!("grün{number}@d.test");
        hand_in(&system, letter(100 + number, &[&named]).with("SMTPUTF8", ""));
    }
    assert!(until_quiet(&system, MINUTE) < 5 * SECOND);
    assert_eq!(
        peer(&system, "mx1.d.test").arrivals().iter().filter(|a| a.to[0].contains("grün")).count(),
        12
    );
    assert!(tries(&system, "r11@d.test").iter().all(|t| t.outcome == Outcome::Delivered));
}

#[test]
fn eight_bit_content_goes_as_it_is_or_fails_as_the_route_says() {
    let body = "Gr\u{fc}\u{df}e\r\n".as_bytes();
    let letter = || letter(1, &["r@d.test"]).with("BODY=8BITMIME", "").saying(body);
    for eight_bit in [EightBit::SendAsIs, EightBit::Fail] {
        let mut plan = Plan::domain("d.test", 1);
        let route = Route { eight_bit, ..Route::by_mx("r", vec![Pattern::Any]) };
        plan.routes = Table::new(vec![route]);
        let system = up(plan);
        for host in ["mx0.d.test", "mx0.sender.test"] {
            peer(&system, host).set(Script::default().offering(&["PIPELINING"]));
        }
        hand_in(&system, letter());
        assert!(until_quiet(&system, MINUTE) < AT_ONCE);
        if eight_bit == EightBit::Fail {
            // The sender's host takes no eight bits either, and gets seven, with what was written.
            let notice = the_notice(&system);
            assert_eq!(notice.status, ["5.6.3"]);
            assert!(
                notice.text.is_ascii() && notice.text.contains("Gr=C3=BC=C3=9Fe"),
                "{notice:?}"
            );
            continue;
        }
        let arrival = peer(&system, "mx0.d.test").arrivals().remove(0);
        assert!(arrival.content.ends_with(body));
        assert!(!arrival.from.contains("BODY"), "{}", arrival.from);
    }
}
