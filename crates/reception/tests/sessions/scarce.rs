//! When the house has little left, is closed, or a client wants too much: what is said, and that it passes.

use crate::submit::{submission, submit};
use crate::{FRIEND, House, STRANGER, UP_TO_DATA, codes};
use posthaste_reception::{Pressure, Rates, Resource, SubmitError};

const HELLO: &str = "EHLO a\r\nMAIL FROM:<a@b.example>\r\n";

#[test]
fn what_is_used_up_is_said_and_mail_is_taken_again_by_itself() {
    let house = House::new();
    for (resource, words) in [
        (Resource::Disk, "disk space"),
        (Resource::Memory, "memory"),
        (Resource::Files, "file descriptors"),
        (Resource::Queue, "room in the queue"),
    ] {
        house.reception.set_pressure(Pressure::Refuse(resource));
        for client in [FRIEND, STRANGER] {
            let client = house.client(client);
            let said = house.say(&client, HELLO);
            let expected = format!("452 4.3.1 Not enough {words} on this server, try again later");
            assert_eq!(said.lines().last(), Some(expected.as_str()));
            assert!(!client.is_closed());
        }
        assert_eq!(submit(&house, submission("x")), Err(SubmitError::Scarce(resource)));
    }
    let client = house.client(FRIEND);
    house.reception.set_pressure(Pressure::None);
    assert_eq!(codes(&house.say(&client, UP_TO_DATA)), ["250", "250", "250", "354"]);
    house.reception.set_pressure(Pressure::Refuse(Resource::Disk));
    assert_eq!(codes(&house.say(&client, "x\r\n.\r\n")), ["250"], "what was begun may end");
    assert_eq!(house.reception.counts().refused_pressure, 12);
}

#[test]
fn what_gets_scarce_makes_mail_slow_and_sessions_few() {
    let house = House::with(|s| s.limits.sessions = 4);
    house.reception.set_pressure(Pressure::Slow(Resource::Memory));
    let first = house.client(FRIEND);
    house.say(&first, "EHLO a\r\n");
    assert_eq!(house.say(&first, "MAIL FROM:<>\r\n"), "", "it waits");
    house.wait(1);
    assert_eq!(codes(&first.heard()), ["250"]);
    let _second = house.client(FRIEND);
    let third = house.port.connect(FRIEND);
    assert!(house.heard(&third).starts_with("421 4.3.2 "), "half as many");
    house.reception.set_pressure(Pressure::None);
    let third = house.client(FRIEND);
    assert_eq!(codes(&house.say(&third, HELLO)), ["250", "250"], "at once");
}

#[test]
fn in_maintenance_transactions_end_and_nothing_begins() {
    let house = House::new();
    let (idle, within, greeted) =
        (house.client(FRIEND), house.client(FRIEND), house.client(STRANGER));
    house.say(&within, UP_TO_DATA);
    house.say(&greeted, HELLO);
    house.reception.set_maintenance(true);
    assert!(house.heard(&idle).starts_with("421 4.3.2 Service closed for maintenance"));
    assert!(idle.is_closed());
    assert_eq!(codes(&house.say(&greeted, "RSET\r\n")), ["250", "421"]);
    let said = house.say(&within, "x\r\n.\r\nMAIL FROM:<>\r\n");
    assert_eq!(codes(&said), ["250", "421"]);
    assert_eq!(house.stored().len(), 1);
    let late = house.port.connect(FRIEND);
    assert!(house.heard(&late).starts_with("421 4.3.2 Service closed for maintenance"));
    assert!(late.is_closed());
    assert_eq!(submit(&house, submission("x")), Err(SubmitError::Maintenance));
    house.reception.set_maintenance(false);
    house.client(FRIEND);
    assert!(submit(&house, submission("x")).is_ok());
    assert_eq!(house.reception.counts().refused_maintenance, 3);
}

#[test]
fn a_client_has_its_share_of_a_minute() {
    let rates = Rates { connections: 2, messages: 3, recipients: 4 };
    let house = House::with(|s| s.limits.rates = rates);
    let first = house.client(STRANGER);
    let said = house.say(&first, "EHLO a\r\n".to_owned() + &"MAIL FROM:<>\r\nRSET\r\n".repeat(4));
    assert_eq!(codes(&said), ["250", "250", "250", "250", "250", "250", "250", "451", "250"]);
    assert!(said.contains("451 4.7.0 Too many messages a minute"), "{said}");
    house.wait(20);
    let more = "RCPT TO:<a@example.org>\r\n".repeat(5);
    let said = house.say(&first, format!("MAIL FROM:<>\r\n{more}"));
    assert_eq!(codes(&said), ["250", "250", "250", "250", "250", "451"]);
    let _second = house.client(STRANGER);
    let third = house.port.connect(STRANGER);
    let _fourth_is_the_fourth_in_a_minute = house.heard(&third);
    let fourth = house.port.connect(STRANGER);
    assert!(house.heard(&fourth).starts_with("421 4.7.0 Too many connections a minute"));
    for _ in 0..10 {
        house.client(FRIEND);
    }
    house.wait(60);
    house.client(STRANGER);
}

#[test]
fn a_network_has_its_share_of_the_sessions() {
    let house = House::with(|s| s.limits.sessions_per_network = 2);
    let _strangers = [house.client("192.0.2.1"), house.client("192.0.2.2")];
    let third = house.port.connect("192.0.2.3");
    assert!(house.heard(&third).starts_with("421 4.7.0 Too many sessions from your network"));
    house.client("192.0.3.1");
    let _friends =
        [house.client("127.0.0.1"), house.client("127.0.0.2"), house.client("127.0.0.3")];
}

#[test]
fn content_that_drips_is_cut_off_and_content_that_flows_is_not() {
    let house = House::with(|s| s.limits.min_rate = 10);
    let (dripping, flowing) = (house.client(FRIEND), house.client(FRIEND));
    for client in [&dripping, &flowing] {
        house.say(client, UP_TO_DATA);
    }
    for minute in 0..10 {
        if minute < 3 {
            assert_eq!(house.say(&dripping, "drop\r\n"), "", "{minute}");
        }
        assert_eq!(house.say(&flowing, format!("{}\r\n", "x".repeat(700))), "", "{minute}");
        house.wait(60);
    }
    assert!(dripping.heard().starts_with("421 4.4.2 The message comes too slowly"));
    assert_eq!(codes(&house.say(&flowing, ".\r\n")), ["250"]);
    assert_eq!(house.stored().len(), 1);
}

#[test]
fn a_session_has_an_end_between_commands_and_not_within_a_message() {
    let house = House::with(|s| s.limits.session_time = std::time::Duration::from_secs(600));
    let (talking, sending) = (house.client(FRIEND), house.client(FRIEND));
    for _ in 0..5 {
        house.wait(119);
        assert_eq!(codes(&house.say(&talking, "NOOP\r\n")), ["250"]);
        house.say(&sending, "NOOP\r\n");
    }
    house.say(&sending, UP_TO_DATA);
    house.wait(6);
    assert!(talking.heard().starts_with("421 4.4.2 The session has lasted too long"));
    assert_eq!(codes(&house.say(&sending, "x\r\n.\r\nMAIL FROM:<>\r\n")), ["250", "421"]);
}

#[test]
fn with_soft_fail_a_stranger_is_refused_for_now_and_relays_nothing() {
    let house = House::with(|s| s.soft_fail = true);
    let client = house.client(STRANGER);
    house.say(&client, HELLO);
    let said = house.say(&client, "RCPT TO:<a@elsewhere.example>\r\nDATA\r\n");
    assert!(said.starts_with("450 4.7.1 Relaying denied"), "{said}");
    assert_eq!(codes(&said), ["450", "554"], "soft, and still no recipient");
}
