//! What strangers who mean no good get: no service, refusals that wait, a place that others need more.

use crate::{FRIEND, House, STRANGER, codes};
use std::sync::atomic::Ordering;

const HELLO: &str = "EHLO a\r\n";
const UP_TO_DATA: &str = "MAIL FROM:<>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n";

#[test]
fn who_is_refused_by_network_is_told_at_once_and_may_say_quit() {
    let house = House::with(|s| s.refuse_networks = vec!["192.0.2.0/24".parse().unwrap()]);
    let client = house.port.connect(STRANGER);
    let greeting = "554 5.7.1 mx.example.org gives no service to your network\r\n";
    assert_eq!(house.heard(&client), greeting);
    let tries = ["EHLO a\r\n", "MAIL FROM:<>\r\nRCPT TO:<ann@example.org>\r\n", "X\r\n"];
    for (tried, expected) in tries.into_iter().zip([1, 2, 1]) {
        assert_eq!(codes(&house.say(&client, tried)), vec!["503"; expected], "{tried}");
    }
    assert_eq!(codes(&house.say(&client, "QUIT\r\n")), ["221"]);
    assert!(client.is_closed());

    let chatter = house.port.connect(STRANGER);
    let said = house.say(&chatter, "NOOP\r\n".repeat(20));
    assert_eq!(codes(&said), ["554"], "from the fifth on they wait");
    house.wait(29);
    let said = house.heard(&chatter);
    assert_eq!(codes(&said), [&["503"; 10][..], &["421"]].concat());
    let silent = house.port.connect(STRANGER);
    house.wait(31);
    assert!(codes(&house.heard(&silent)).contains(&"421") && silent.is_closed());
    let counts = house.reception.counts();
    assert_eq!((counts.refused_networks, counts.messages), (3, 0));
    let friend = house.client(FRIEND);
    assert_eq!(codes(&house.say(&friend, HELLO)), ["250"]);
    let told = house.world.sessions.0.lock().unwrap().remove(0);
    assert_eq!(told.ended.name(), "turned-away");
    assert_eq!(told.refusals[0].reply.code, 554);
}

#[test]
fn refusals_of_a_stranger_wait_and_nobody_else_does() {
    let house = House::new();
    let wrong = |client: &_, times: usize| codes(&house.say(client, "X\r\n".repeat(times))).len();
    let stranger = house.client(STRANGER);
    assert_eq!(wrong(&stranger, 4), 4);
    for seconds in [1, 2, 3] {
        assert_eq!(wrong(&stranger, 1), 0);
        house.wait(seconds - 1);
        assert_eq!(house.heard(&stranger), "");
        let other = house.client("198.51.100.1");
        assert_eq!(codes(&house.say(&other, HELLO)), ["250"], "nobody else waits");
        house.wait(1);
        assert_eq!(codes(&house.heard(&stranger)), ["500"]);
    }
    let more = format!("{HELLO}{UP_TO_DATA}Subject: x\r\n\r\nx\r\n.\r\n");
    assert_eq!(codes(&house.say(&stranger, more)), ["250", "250", "250", "354", "250"]);
    assert_eq!(wrong(&stranger, 4), 4, "a message makes good for it");
    let friend = house.client(FRIEND);
    assert_eq!(wrong(&friend, 20), 20);
    assert_eq!(house.reception.counts().tarpitted, 3);
}

#[test]
fn a_session_that_waits_in_the_tarpit_is_over_in_time_and_ends_with_the_service() {
    let house = House::with(|s| {
        s.limits.session_time = std::time::Duration::from_secs(60);
        s.limits.tarpit_delay = std::time::Duration::from_secs(50);
    });
    let client = house.client(STRANGER);
    house.say(&client, "X\r\n".repeat(10));
    house.wait(59);
    assert_eq!(house.heard(&client), "");
    house.wait(2);
    assert!(codes(&house.heard(&client)).contains(&"421") && client.is_closed());
    let client = house.client(STRANGER);
    house.say(&client, "X\r\n".repeat(10));
    let reception = house.reception.clone();
    let cut =
        house.world.finish(async move { reception.drain(crate::Duration::from_secs(5)).await });
    assert_eq!(cut, 0);
    assert!(client.heard().ends_with("421 4.3.2 Service shutting down, try again later\r\n"));
}

#[test]
fn when_all_places_are_taken_who_has_come_least_far_goes() {
    let house = House::with(|s| {
        s.limits.sessions = 4;
        s.limits.sessions_per_client = 1;
    });
    let from = |n: u8| house.client(&format!("198.51.{n}.1"));
    let (in_content, talked, silent, carried) = (from(1), from(2), from(3), from(4));
    house.say(&in_content, format!("{HELLO}{UP_TO_DATA}Subject: x\r\n"));
    house.say(&talked, HELLO);
    house.say(&carried, format!("{HELLO}{UP_TO_DATA}x: y\r\n\r\n.\r\n"));
    house.wait(1);
    let first = from(5);
    assert!(house.heard(&silent).starts_with("421 4.3.2 ") && silent.is_closed());
    house.say(&first, HELLO);
    let second = from(6);
    assert!(house.heard(&talked).starts_with("421 4.3.2 ") && talked.is_closed());
    assert_eq!(codes(&house.say(&second, HELLO)), ["250"]);
    assert_eq!(codes(&house.say(&first, UP_TO_DATA)), ["250", "250", "354"]);
    house.say(&in_content, "Cc: x\r\n");
    house.say(&carried, format!("{UP_TO_DATA}x: y\r\n\r\n.\r\n"));
    let third = from(7);
    assert!(house.heard(&second).starts_with("421 4.3.2 "), "the first is in content that flows");
    house.say(&third, format!("{HELLO}{UP_TO_DATA}a: b\r\n"));
    let fourth = house.port.connect("198.51.8.1");
    assert!(house.heard(&fourth).starts_with("421 4.3.2 "), "all others are at work");
    assert_eq!(codes(&house.say(&in_content, "\r\nx\r\n.\r\n")), ["250"]);
    assert_eq!(codes(&house.say(&carried, "NOOP\r\n")), ["250"]);
    let counts = house.reception.counts();
    assert_eq!((counts.made_room, counts.refused_sessions, counts.messages), (3, 1, 3));
}

#[test]
fn of_many_who_come_at_once_nobody_is_refused_as_long_as_somebody_can_make_room() {
    let house = House::with(|s| {
        s.limits.sessions = 20;
        s.limits.sessions_per_client = 1;
    });
    let from = |n: usize| house.port.connect(&format!("198.51.{n}.1"));
    let silent: Vec<_> = (0..18).map(from).collect();
    house.world.run();
    let at_once: Vec<_> = (18..100).map(from).collect();
    house.world.run();
    let all = silent.iter().chain(&at_once);
    let said: Vec<String> = all.map(super::world::Client::heard).collect();
    assert!(said.iter().all(|said| said.starts_with("220 ")), "{said:?}");
    let counts = house.reception.counts();
    assert_eq!((counts.made_room, counts.refused_sessions), (82, 0));
    assert_eq!(house.reception.open_sessions(), 18);
}

#[test]
fn a_session_takes_little_memory() {
    let house = behind_a_balancer();
    let _direct = house.client("198.51.100.1");
    let direct = house.world.largest.load(Ordering::Relaxed);
    house.port.connect("192.0.2.1");
    house.world.run();
    let behind = house.world.largest.load(Ordering::Relaxed);
    println!("{direct} octets, behind a balancer {behind}");
    assert!(direct <= 4608 && behind <= 4608, "{direct} {behind}");
}

#[test]
fn places_that_are_full_of_content_which_stands_still_are_no_refusal() {
    let house = House::with(|s| {
        s.limits.sessions = 10;
        s.limits.sessions_per_client = 1;
    });
    let from = |n: usize| house.client(&format!("198.51.{n}.1"));
    let stalled: Vec<_> = (0..9).map(from).collect();
    for client in &stalled {
        house.say(client, format!("{HELLO}{UP_TO_DATA}Subject: x\r\n"));
    }
    house.wait(1);
    house.say(&stalled[0], "x: y\r\n");
    let honest = from(9);
    let message = format!("{HELLO}{UP_TO_DATA}x: y\r\n\r\n.\r\n");
    assert_eq!(codes(&house.say(&honest, message)), ["250", "250", "250", "354", "250"]);
    assert!(!stalled[0].is_closed() && stalled[1].is_closed());
}

#[test]
fn a_client_that_takes_nothing_and_one_whose_content_stands_still_make_room_too() {
    let house = House::with(|s| s.limits.sessions = 2);
    let (deaf, stalled) = (house.client(STRANGER), house.client(STRANGER));
    house.say(&stalled, format!("{HELLO}{UP_TO_DATA}Subject: x\r\n"));
    house.say(&deaf, HELLO);
    deaf.stop_taking();
    house.say(&deaf, "HELP\r\n".repeat(10));
    let first = house.client(STRANGER);
    assert!(deaf.is_closed());
    house.say(&first, format!("{HELLO}{UP_TO_DATA}"));
    house.wait(9);
    house.say(&first, "x: y\r\n");
    house.wait(2);
    let second = house.client(STRANGER);
    assert!(stalled.is_closed() && !first.is_closed() && !second.is_closed());
    assert_eq!(house.reception.octets_in_memory(), 0);
}

#[test]
fn while_most_places_are_taken_strangers_get_less_time() {
    let house = House::with(|s| s.limits.sessions = 10);
    let calm = house.client(STRANGER);
    house.wait(100);
    assert_eq!(codes(&house.say(&calm, HELLO)), ["250"], "there is time");
    let silent: Vec<_> = (0..7).map(|_| house.client(STRANGER)).collect();
    let friend = house.client(FRIEND);
    house.wait(11);
    assert!(silent.iter().all(super::world::Client::is_closed), "the first command takes too long");
    assert_eq!(codes(&house.say(&calm, "NOOP\r\n")), ["250"]);
    let others: Vec<_> = (0..7).map(|_| house.client(STRANGER)).collect();
    for _ in 0..7 {
        house.say(&calm, "N");
        house.wait(3);
        others.iter().for_each(|other| drop(house.say(other, HELLO)));
    }
    assert!(calm.is_closed(), "an octet now and then is no command");
    assert_eq!(codes(&house.say(&friend, "NOOP\r\n")), ["250"], "friends have the time they had");
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A PROXY header for a client at 203.0.113.`n`.
fn proxied(n: u8) -> Vec<u8> {
    let addresses = [203, 0, 113, n, 192, 0, 2, 25, 0x9c, 0x40, 0, 25];
    [SIGNATURE, &[0x21, 0x11, 0, 12], &addresses].concat()
}

fn behind_a_balancer() -> House {
    House::with(|s| {
        s.listeners[0].proxy_from = vec!["192.0.2.1".parse().expect("an address")];
        s.relay_networks = vec!["203.0.113.77".parse().expect("an address")];
        s.refuse_networks = vec!["203.0.113.66".parse().expect("an address")];
        s.limits.sessions_per_client = 2;
    })
}

#[test]
fn behind_a_balancer_the_client_counts_for_trust_limits_logs_and_trace() {
    let house = behind_a_balancer();
    let many: Vec<_> = (1..30).map(|_| house.port.connect("192.0.2.1")).collect();
    for (n, client) in many.iter().enumerate() {
        let said = house.say(client, proxied(u8::try_from(n).unwrap()));
        assert!(said.starts_with("220 "), "the balancer has no limit: {said}");
    }
    let client = house.port.connect("192.0.2.1");
    let hello = [&proxied(3)[..], HELLO.as_bytes(), UP_TO_DATA.as_bytes()].concat();
    assert_eq!(codes(&house.say(&client, hello)), ["220", "250", "250", "250", "354"]);
    assert_eq!(codes(&house.say(&client, "x: y\r\n\r\n.\r\n")), ["250"]);
    let third = house.port.connect("192.0.2.1");
    assert!(house.say(&third, proxied(3)).starts_with("421 4.7.0 Too many sessions from your"));
    let stored = house.stored().remove(0);
    assert!(stored.contains("[203.0.113.3]") && !stored.contains("192.0.2.1]"), "{stored}");
    let friend = house.port.connect("192.0.2.1");
    let relays = [&proxied(77)[..], b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@remote.example>\r\n"];
    assert_eq!(codes(&house.say(&friend, relays.concat())), ["220", "250", "250", "250"]);
    let refused = house.port.connect("192.0.2.1");
    assert!(house.say(&refused, proxied(66)).starts_with("554 5.7.1 "));
    client.close();
    house.world.run();
    let told = house.world.sessions.0.lock().unwrap().pop().unwrap();
    assert_eq!(told.peer.to_string(), "203.0.113.3:40000");
    let dripped = house.port.connect("192.0.2.1");
    let (last, first) = (proxied(200).pop().unwrap(), proxied(200));
    for octet in &first[..first.len() - 1] {
        assert_eq!(house.say(&dripped, [*octet]), "", "nothing is said before the header");
    }
    assert!(house.say(&dripped, [last]).starts_with("220 "));
}

#[test]
fn a_balancer_that_says_nothing_sound_gets_nothing_and_others_may_not_introduce_anybody() {
    let house = behind_a_balancer();
    for (said, reason) in [
        (&b"PROXY TCP4 203.0.113.77 192.0.2.25 4000 25\r\nEHLO a\r\n"[..], "version 1"),
        (b"EHLO a\r\n", "sends no PROXY header"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c0123456789ab", "no TCP connection"),
    ] {
        let client = house.port.connect("192.0.2.1");
        assert_eq!(house.say(&client, said), "");
        assert!(client.is_closed());
        let told = house.world.sessions.0.lock().unwrap().pop().unwrap();
        let text = told.refusals[0].reply.text();
        assert!(text.contains(reason) && told.ended.name() == "turned-away", "{text}");
        let unproxied = house.reception.unproxied().unwrap();
        assert_eq!(unproxied.balancer.to_string(), "192.0.2.1");
        assert!(text.ends_with(&unproxied.reason), "{unproxied:?}");
    }
    let slow = house.port.connect("192.0.2.1");
    house.say(&slow, &proxied(1)[..20]);
    house.wait(6);
    assert!(slow.is_closed());
    let late = house.reception.unproxied().unwrap();
    assert!(late.reason.contains("send-proxy-v2"), "{late:?}");
    let looking = house.port.connect("192.0.2.1");
    looking.close();
    house.world.run();
    assert_eq!(house.reception.unproxied(), None);
    assert_eq!(house.reception.counts().refused_proxies, 4, "who only looks is not counted");
    let check = house.port.connect("192.0.2.1");
    let local = [SIGNATURE, &[0x20, 0, 0, 0], b"EHLO a\r\nQUIT\r\n"].concat();
    assert_eq!(codes(&house.say(&check, local)), ["220", "250", "221"]);
    let told = house.world.sessions.0.lock().unwrap().pop().unwrap();
    assert_eq!(told.peer.ip().to_string(), "192.0.2.1", "a check has the balancer's address");

    let stranger = house.client("198.51.100.1");
    let said = house.say(&stranger, [&proxied(77)[..], b"\r\n"].concat());
    assert!(codes(&said).iter().all(|code| code.starts_with('5')), "{said}");
    let relays = "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@remote.example>\r\n";
    assert_eq!(house.say(&stranger, relays), "", "the fifth refusal waits");
    house.wait(1);
    assert_eq!(codes(&house.heard(&stranger)), ["250", "250", "550"]);
    assert_eq!(house.reception.open_sessions(), 1);
}
