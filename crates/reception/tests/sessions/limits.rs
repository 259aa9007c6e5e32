//! Every limit has its reply, and holds.

use crate::{FRIEND, House, STRANGER, UP_TO_DATA, codes};

#[test]
fn sessions_are_limited_in_all_and_per_client() {
    let house = House::with(|s| {
        s.limits.sessions = 5;
        s.limits.sessions_per_client = 2;
        s.limits.sessions_per_relay_client = 3;
    });
    let strangers = [house.client(STRANGER), house.client(STRANGER)];
    let third = house.port.connect(STRANGER);
    assert!(house.heard(&third).starts_with("421 4.7.0 "));
    assert!(third.is_closed());
    let friends = [house.client(FRIEND), house.client(FRIEND), house.client(FRIEND)];
    let _sixth = house.client("198.51.100.1");
    let gone = house.heard(&strangers[0]);
    assert!(
        gone.starts_with("421 4.3.2 Too many sessions, and others have come further"),
        "{gone}"
    );
    let fourth_friend = house.port.connect(FRIEND);
    assert!(house.heard(&fourth_friend).starts_with("421 4.7.0 "));
    assert_eq!(codes(&house.say(&friends[0], "QUIT\r\n")), ["221"]);
    let _seventh = house.client("198.51.100.1");
    let counts = house.reception.counts();
    assert_eq!((counts.refused_sessions, counts.refused_client_sessions), (0, 2));
    assert_eq!((counts.sessions, counts.made_room, house.reception.open_sessions()), (7, 1, 5));
}

#[test]
fn a_user_of_this_machine_shuts_out_neither_others_nor_the_network() {
    let house = House::with(|s| {
        s.limits.sessions = 64;
        s.limits.sessions_per_relay_client = 64;
    });
    let _idle = [house.local_client(), house.local_client()];
    let third = house.local_program(33);
    assert_eq!(
        house.heard(&third),
        "421 4.7.0 Too many sessions of your user, try again later\r\n"
    );
    assert!(third.is_closed());
    let others: Vec<_> = (34..40).map(|user| house.local_program(user)).collect();
    assert!(others.iter().all(|other| house.heard(other).starts_with("220 ")));
    let ninth = house.local_program(40);
    assert!(house.heard(&ninth).starts_with("421 4.3.2 "));
    let _clients: Vec<_> = (0..64).map(|_| house.client(FRIEND)).collect();
    let one_more = house.port.connect(FRIEND);
    assert!(house.heard(&one_more).starts_with("421 "));
    assert_eq!(codes(&house.say(&others[0], "QUIT\r\n")), ["221"]);
    assert!(house.heard(&house.local_program(41)).starts_with("220 "));
}

#[test]
fn recipients_commands_and_errors_are_limited() {
    let house = House::with(|s| {
        s.limits.recipients = 2;
        s.limits.errors = 3;
    });
    let client = house.client(FRIEND);
    house.say(&client, "EHLO a\r\nMAIL FROM:<>\r\n");
    let said = house.say(&client, "RCPT TO:<a@b>\r\n".repeat(3));
    assert_eq!(codes(&said), ["250", "250", "452"]);
    assert_eq!(codes(&house.say(&client, "X\r\n".repeat(9))), ["500", "500", "500", "421"]);
    assert!(client.is_closed());

    let house = House::with(|s| s.limits.commands = 5);
    let client = house.client(FRIEND);
    let said = house.say(&client, "NOOP\r\n".repeat(9));
    assert_eq!(codes(&said), ["250", "250", "250", "250", "250", "421"]);
    assert!(client.is_closed());
}

#[test]
fn silent_and_dripping_clients_are_left() {
    let house = House::new();
    let client = house.client(FRIEND);
    house.say(&client, "EHLO a\r\n");
    house.wait(299);
    assert_eq!(codes(&house.say(&client, "NOOP\r\n")), ["250"], "in time");
    for _ in 0..299 {
        assert_eq!(house.say(&client, "x"), "", "dripping is not talking");
        house.wait(1);
    }
    house.wait(1);
    assert!(client.heard().starts_with("421 4.4.2 "));
    assert!(client.is_closed());
    client.close();
    house.wait(0);
    assert_eq!((house.reception.counts().timeouts, house.reception.open_sessions()), (1, 0));
}

#[test]
fn a_message_has_time_per_piece_and_in_all() {
    let house = House::with(|s| s.limits.min_rate = 0);
    let stuck = house.client(FRIEND);
    house.say(&stuck, UP_TO_DATA);
    house.say(&stuck, "A: b\r\n");
    house.wait(179);
    assert_eq!(stuck.heard(), "");
    house.wait(1);
    assert!(stuck.heard().starts_with("421 4.4.2 "));

    let endless = house.client(FRIEND);
    house.say(&endless, UP_TO_DATA);
    for _ in 0..35 {
        assert_eq!(house.say(&endless, "x\r\n"), "");
        house.wait(100);
    }
    house.wait(101);
    assert!(endless.heard().starts_with("421 4.4.2 "));
    assert!(house.stored().is_empty());
}

#[test]
fn a_client_that_takes_no_replies_is_left() {
    let house = House::new();
    let client = house.client(FRIEND);
    client.stop_taking();
    house.say(&client, "NOOP\r\n".repeat(5000));
    assert_eq!(house.reception.open_sessions(), 1);
    house.wait(301);
    assert_eq!(house.reception.open_sessions(), 0);
}

#[test]
fn a_long_line_costs_no_memory_and_one_reply() {
    let house = House::new();
    let client = house.client(FRIEND);
    for _ in 0..100 {
        assert_eq!(house.say(&client, "x".repeat(50_000)), "");
    }
    assert_eq!(codes(&house.say(&client, "\r\nNOOP\r\n")), ["500", "250"]);
}

#[test]
fn settings_that_are_loaded_anew_hold_for_new_sessions_only() {
    let house = House::new();
    let old = house.client(STRANGER);
    house.say(&old, "EHLO a\r\nMAIL FROM:<>\r\n");
    let trusted = || vec![STRANGER.parse().expect("a network")];
    house.reception.reload(crate::settings(|s| s.relay_networks = trusted()));
    assert_eq!(codes(&house.say(&old, "RCPT TO:<a@new.example>\r\n")), ["550"]);
    let new = house.client(STRANGER);
    house.say(&new, "EHLO a\r\nMAIL FROM:<>\r\n");
    assert_eq!(codes(&house.say(&new, "RCPT TO:<a@new.example>\r\n")), ["250"]);
    house.reception.reload(crate::settings(|s| s.listeners.clear()));
    let nobody = house.port.connect(STRANGER);
    assert_eq!(house.heard(&nobody), "");
    assert!(nobody.is_closed());
    assert_eq!(codes(&house.say(&old, "RCPT TO:<a@example.org>\r\n")), ["250"]);
}
