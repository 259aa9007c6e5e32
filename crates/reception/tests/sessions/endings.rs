//! Clients that go away, and a service that shuts down.

use crate::{FRIEND, House, UP_TO_DATA, codes};
use std::time::Duration;

const MESSAGE: &str = "A: b\r\n\r\nbody\r\n.\r\n";

#[test]
fn a_client_may_vanish_at_any_octet() {
    let whole = format!("{UP_TO_DATA}{MESSAGE}QUIT\r\n");
    let durable_from = whole.len() - "QUIT\r\n".len();
    for reset in [false, true] {
        for sent in 0..whole.len() {
            let house = House::new();
            let client = house.client(FRIEND);
            house.say(&client, &whole[..sent]);
            if reset {
                client.reset()
            } else {
                client.close()
            }
            house.wait(3);
            let stored = house.stored().len();
            assert_eq!(stored, usize::from(sent >= durable_from), "after {sent} octets");
            assert_eq!(house.reception.open_sessions(), 0, "after {sent} octets");
            let in_content = sent >= UP_TO_DATA.len() && sent < durable_from;
            assert_eq!(house.reception.counts().lost_messages, u64::from(in_content));
        }
    }
}

#[test]
fn what_was_acknowledged_is_there_however_the_octets_are_cut() {
    let whole =
        format!("{UP_TO_DATA}{MESSAGE}MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n{MESSAGE}");
    for piece in 1..40 {
        let house = House::new();
        let client = house.client(FRIEND);
        let mut replies = String::new();
        for piece in whole.as_bytes().chunks(piece) {
            replies += &house.say(&client, piece);
        }
        assert_eq!(replies.matches("250 2.0.0 queued as ").count(), 2, "{replies}");
        assert_eq!(
            codes(&replies),
            ["250", "250", "250", "354", "250", "250", "250", "354", "250"]
        );
        assert_eq!(house.stored().len(), 2);
    }
}

#[test]
fn a_client_that_vanishes_after_the_dot_leaves_its_message() {
    let house = House::new();
    let client = house.client(FRIEND);
    house.say(&client, UP_TO_DATA);
    house.store.hold();
    house.say(&client, MESSAGE);
    client.reset();
    house.store.go_on();
    house.wait(1);
    assert_eq!((house.stored().len(), house.reception.open_sessions()), (1, 0));
    assert_eq!(house.reception.counts().messages, 1);
}

#[test]
fn idle_sessions_are_told_and_messages_under_way_may_finish() {
    let house = House::new();
    let idle = house.client(FRIEND);
    let between = house.client(FRIEND);
    house.say(&between, "EHLO a\r\nMAIL FROM:<>\r\n");
    let busy = house.client(FRIEND);
    house.say(&busy, UP_TO_DATA);
    house.say(&busy, "A: b\r\n");
    let storing = house.client(FRIEND);
    house.say(&storing, UP_TO_DATA);
    house.store.hold();
    house.say(&storing, MESSAGE);

    let reception = house.reception.clone();
    let drain = async move { assert_eq!(reception.drain(Duration::from_secs(10)).await, 0) };
    drop(house.world.world().spawn.spawn("drain", Box::pin(drain)));
    for client in [&idle, &between] {
        assert!(house.heard(client).starts_with("421 4.3.2 "));
        assert!(client.is_closed());
        client.close();
    }
    let late = house.port.connect(FRIEND);
    assert_eq!(house.heard(&late), "", "the door is shut");
    assert_eq!(house.heard(&busy), "");
    house.store.go_on();
    assert_eq!(codes(&house.say(&busy, "\r\nbody\r\n.\r\nMAIL FROM:<>\r\n")), ["250", "421"]);
    assert_eq!(codes(&house.heard(&storing)), ["250", "421"]);
    busy.close();
    storing.close();
    house.world.run();
    assert_eq!((house.reception.open_sessions(), house.stored().len()), (0, 2));
}

#[test]
fn who_does_not_finish_is_cut_off() {
    let house = House::new();
    let stuck = house.client(FRIEND);
    house.say(&stuck, UP_TO_DATA);
    let reception = house.reception.clone();
    let cut = house.world.finish(async move { reception.drain(Duration::from_secs(10)).await });
    assert_eq!(cut, 1);
    house.world.run();
    assert!(stuck.is_closed() && house.reception.open_sessions() == 0);
    let reception = house.reception.clone();
    let again = house.world.finish(async move { reception.drain(Duration::from_secs(10)).await });
    assert_eq!(again, 0);
}
