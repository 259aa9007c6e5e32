//! The mail transaction: what the host says decides for each recipient, and content arrives as it was sent.

use crate::words::*;
use posthaste_evidence::Outcome::{Deferred, Delivered, Failed, Indeterminate};
use posthaste_evidence::{Fault, Outcome, Stage};
use posthaste_peers::mail::{Action, Rule, Script, Step};
use posthaste_sim::{Letter, MailSystem, Plan};

fn one_host(script: Script) -> MailSystem {
    let system = up(Plan::domain("d.test", 1));
    peer(&system, HOST).set(script);
    system
}

const HOST: &str = "mx0.d.test";
const PLAIN: &[&str] = &["SIZE"];
const PIPELINING: &[&str] = &["SIZE", "PIPELINING"];

fn reply(text: &str) -> Action {
    Action::Reply(text.into())
}

/// A rule that acts once for a recipient.
fn once_for(containing: &str, text: &str) -> Rule {
    Rule { at: Step::Rcpt, containing: containing.into(), times: Some(1), action: reply(text) }
}

#[test]
fn several_recipients_go_in_one_transaction_with_and_without_pipelining() {
    for keywords in [PLAIN, PIPELINING] {
        let system = one_host(Script::default().offering(keywords));
        send(&system, 1, &["a@d.test", "b@d.test", "c@d.test"]);
        assert!(until_quiet(&system, MINUTE) < AT_ONCE);
        assert_eq!(taken(&system, HOST), ["a@d.test", "b@d.test", "c@d.test"]);
        assert_eq!(peer(&system, HOST).mails(), 1, "{keywords:?}");
    }
}

#[test]
fn a_temporary_refusal_waits_and_a_permanent_one_ends_whatever_the_step() {
    for keywords in [PLAIN, PIPELINING] {
        for step in [Step::Mail, Step::Rcpt, Step::Data, Step::Dot] {
            let script = |text| Script::default().offering(keywords).first(1, step, reply(text));
            let system = one_host(script("451 4.7.1 greylisted"));
            send(&system, 1, &["r@d.test"]);
            let took = until_quiet(&system, HOUR);
            assert!(took > 4 * MINUTE && took < 6 * MINUTE + AT_ONCE, "{step:?}: {took:?}");
            assert_eq!(outcomes(&system, "r@d.test"), [Deferred, Delivered], "{step:?}");

            let system = one_host(script("550 5.7.1 never"));
            send(&system, 1, &["r@d.test"]);
            assert!(until_quiet(&system, MINUTE) < AT_ONCE);
            assert_eq!(outcomes(&system, "r@d.test"), [Failed], "{step:?}");
            let notice = the_notice(&system);
            assert_eq!(
                (notice.about, notice.status),
                (strings(&["r@d.test"]), strings(&["5.7.1"]))
            );
        }
    }
}

#[test]
fn each_recipient_gets_its_own_end() {
    for keywords in [PLAIN, PIPELINING] {
        let script = Script::default()
            .offering(keywords)
            .rule(once_for("later", "450 4.2.1 later"))
            .on(Step::Rcpt, "never", reply("550 5.1.1 no such user"));
        let system = one_host(script);
        send(&system, 1, &["later@d.test", "never@d.test", "now@d.test"]);
        system.pass(AT_ONCE);
        assert_eq!(taken(&system, HOST), ["now@d.test"]);
        assert_eq!(the_notice(&system).about, ["never@d.test"]);
        until_quiet(&system, HOUR);
        assert_eq!(taken(&system, HOST), ["now@d.test", "later@d.test"]);
        for (recipient, expected) in [
            ("now@d.test", &[Delivered][..]),
            ("never@d.test", &[Failed]),
            ("later@d.test", &[Deferred, Delivered]),
        ] {
            assert_eq!(outcomes(&system, recipient), expected, "{keywords:?}");
        }
        assert_eq!(told(&system, "done"), 2, "the message and its notice");
    }
}

#[test]
fn recipients_over_the_hosts_number_follow_at_once_in_a_transaction_of_their_own() {
    for (keywords, text) in [
        (PIPELINING, "452 4.5.3 too many recipients"),
        (PLAIN, "452 too many recipients"),
        (PIPELINING, "552 5.5.3 too many recipients"),
    ] {
        let script = Script::default()
            .offering(keywords)
            .rule(once_for("c@", text))
            .rule(once_for("d@", text))
            .rule(once_for("d@", text));
        let system = one_host(script);
        send(&system, 1, &["a@d.test", "b@d.test", "c@d.test", "d@d.test"]);
        let took = until_quiet(&system, MINUTE);
        assert!(took < 2 * AT_ONCE, "{text}: {took:?}");
        assert_eq!(taken(&system, HOST), ["a@d.test", "b@d.test", "c@d.test", "d@d.test"]);
        assert_eq!(peer(&system, HOST).arrived(), 3);
        assert_eq!(outcomes(&system, "d@d.test"), [Delivered], "no try was lost on it");
    }
}

#[test]
fn too_many_recipients_when_nobody_was_taken_is_a_deferral_like_any_other() {
    let system = one_host(Script::default().first(1, Step::Rcpt, reply("452 4.5.3 too many")));
    send(&system, 1, &["r@d.test"]);
    assert!(until_quiet(&system, HOUR) > 4 * MINUTE);
    assert_eq!(outcomes(&system, "r@d.test"), [Deferred, Delivered]);
}

#[test]
fn a_link_lost_after_the_final_dot_leaves_doubt_and_before_it_none() {
    let cases: [(Step, Action, Outcome, Stage); 6] = [
        (Step::Mail, Action::Close, Deferred, Stage::Mail),
        (Step::Rcpt, Action::Close, Deferred, Stage::Rcpt),
        (Step::Data, Action::Close, Deferred, Stage::Data),
        (Step::Dot, Action::Close, Indeterminate, Stage::Eod),
        (Step::Dot, Action::TakeAndClose, Indeterminate, Stage::Eod),
        (Step::Rcpt, Action::Silence, Deferred, Stage::Rcpt),
    ];
    for (step, action, outcome, stage) in cases {
        let system = one_host(Script::default().offering(PLAIN).first(1, step, action.clone()));
        send(&system, 1, &["r@d.test"]);
        until_quiet(&system, HOUR);
        assert_eq!(outcomes(&system, "r@d.test"), [outcome, Delivered], "{step:?} {action:?}");
        let fault = tries(&system, "r@d.test").remove(0).fault.expect("not delivered at first");
        assert_eq!(fault.stage(), stage, "{step:?} {action:?}: {fault:?}");
        let copies = taken(&system, HOST).len();
        assert_eq!(copies, if action == Action::TakeAndClose { 2 } else { 1 });
    }
}

#[test]
fn a_final_reply_that_never_comes_is_waited_for_ten_minutes() {
    let system = one_host(Script::default().first(1, Step::Dot, Action::Silence));
    send(&system, 1, &["r@d.test"]);
    system.pass(9 * MINUTE);
    assert!(tries(&system, "r@d.test").is_empty());
    system.pass(2 * MINUTE);
    assert_eq!(outcomes(&system, "r@d.test"), [Indeterminate]);
    until_quiet(&system, HOUR);
}

#[test]
fn an_attempt_ends_within_its_limit_whatever_the_hosts_do() {
    let mut plan = Plan::domain("d.test", 3);
    plan.delivery.attempt_limit = 12 * MINUTE;
    let system = up(plan);
    for host in ["mx0.d.test", "mx1.d.test", "mx2.d.test"] {
        let slow = Action::Delay(4 * MINUTE);
        let script = Script::default().always(Step::Greeting, Action::Silence);
        let patient = Script::default()
            .always(Step::Greeting, slow.clone())
            .always(Step::Ehlo, slow.clone())
            .always(Step::Mail, slow.clone())
            .always(Step::Rcpt, slow);
        peer(&system, host).set(if host == "mx0.d.test" { patient } else { script });
    }
    send(&system, 1, &["r@d.test"]);
    system.pass(12 * MINUTE + 5 * SECOND);
    let tried = tries(&system, "r@d.test");
    assert_eq!(tried[0].fault, Some(Fault::AttemptTooLong), "{tried:?}");
    assert_eq!(tried[0].outcome, Deferred, "nothing was sent that could arrive");

    peer(&system, "mx0.d.test").set(Script::default().always(Step::Greeting, Action::Silence));
    let dispatch = system.dispatch();
    system.pass(18 * MINUTE + 5 * SECOND);
    let failed = dispatch.failures("d.test", "default");
    assert_eq!(failed.len(), 1, "the next attempt met silence three times");
    assert!(failed[0].took <= 12 * MINUTE + SECOND, "{:?}", failed[0].took);
}

#[test]
fn a_host_that_refuses_during_the_content_is_heard() {
    for (text, outcome) in [("552 5.3.4 too big for me", Failed), ("451 4.3.0 disk", Deferred)] {
        for action in [reply(text), Action::ReplyAndClose(text.into())] {
            let system = one_host(Script::default().first(1, Step::Content, action.clone()));
            hand_in(
                &system,
                Letter::new(1, "writer@sender.test", &strings(&["r@d.test"]), 2_000_000),
            );
            until_quiet(&system, HOUR);
            assert_eq!(outcomes(&system, "r@d.test")[0], outcome, "{action:?}");
            let fault = tries(&system, "r@d.test").remove(0).fault;
            assert!(matches!(&fault, Some(Fault::Reply { .. })), "{action:?}: {fault:?}");
        }
    }
}

/// Content that arrived must be the client's, under one trace header of ours.
fn is_intact(system: &MailSystem, letter: &Letter) {
    let arrival = peer(system, HOST).arrivals().remove(0);
    let trace =
        arrival.content.strip_suffix(&letter.content[..]).expect("the client's content, untouched");
    let trace = String::from_utf8(trace.to_vec()).expect("ASCII");
    assert!(trace.starts_with("Received: from client.sender.test"), "{trace}");
    let folded = trace.trim_end().lines().skip(1).all(|line| line.starts_with([' ', '\t']));
    assert!(folded && trace.ends_with("\r\n"), "one field: {trace}");
}

#[test]
fn content_arrives_as_it_was_sent() {
    let long = format!("{}\r\n", "y".repeat(998));
    let ends_open = "no line end at the end of a line.";
    let bodies: [Vec<u8>; 9] = [
        b"".to_vec(),
        b".\r\n".to_vec(),
        b"..\r\n.\r\n...\r\n".to_vec(),
        b".leading\r\n\r\n\r\n.\r\n".to_vec(),
        long.into_bytes(),
        format!("{ends_open}\r\n").into_bytes(),
        (0..=255u8).filter(|b| !matches!(b, 0 | b'\r' | b'\n')).chain(*b"\r\n").collect(),
        b".0123456789\r\n".repeat(20_000),
        b"\r\n".repeat(10_000),
    ];
    for keywords in [PLAIN, &["PIPELINING", "8BITMIME", "SIZE"]] {
        for body in &bodies {
            let letter = letter(1, &["r@d.test"]).saying(body);
            let system = one_host(Script::default().offering(keywords));
            hand_in(&system, letter.clone());
            assert!(until_quiet(&system, MINUTE) < 10 * SECOND);
            is_intact(&system, &letter);
        }
    }
}

#[test]
fn large_content_that_was_spilled_arrives_as_it_was_sent() {
    let line: Vec<u8> = (0..990u32).map(|n| b'a' + u8::try_from(n % 26).unwrap()).collect();
    let body = [b".".as_slice(), &line, b"\r\n"].concat().repeat(1200);
    assert!(body.len() > 1024 * 1024);
    let letter = letter(1, &["r@d.test"]).saying(&body);
    let system = one_host(Script::default());
    hand_in(&system, letter.clone());
    until_quiet(&system, MINUTE);
    is_intact(&system, &letter);
}

#[test]
fn lines_longer_than_smtp_allows_are_folded_and_nothing_is_lost() {
    let body = format!("{}\r\nshort\r\n", "z".repeat(5000));
    let system = one_host(Script::default());
    hand_in(&system, letter(1, &["r@d.test"]).saying(body.as_bytes()));
    assert!(until_quiet(&system, MINUTE) < 5 * SECOND);
    let content = String::from_utf8(peer(&system, HOST).arrivals().remove(0).content).unwrap();
    assert!(content.lines().all(|line| line.len() <= 998));
    assert_eq!(content.matches('z').count(), 5000);
    assert!(content.ends_with("\r\nshort\r\n"));
}
