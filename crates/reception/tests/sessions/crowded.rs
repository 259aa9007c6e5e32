//! Attackers hold every place and come again as soon as they are sent away; somebody honest comes among them.

use crate::users::{RIGHT, WRONG};
use crate::world::Client;
use crate::{Duration, House, STRANGER, codes};
use posthaste_io::{Clock, Task, sleep};
use posthaste_io_sim::client_hello;
use posthaste_mail::Secret;
use posthaste_reception::{Account, Checked, FailedLogin, Standing, Users};
use posthaste_smtp::sasl::scram::Stored;
use std::sync::Arc;

/// More than there are places.
const ATTACKERS: usize = 44;
const PLACES: usize = 40;
/// How long the honest client's commands take to come.
const STEP: Duration = Duration::from_millis(50);
const HONEST: usize = 14;

/// Attackers from a network of its own each; who is sent away comes back from another.
struct Attack<'a> {
    house: &'a House,
    says: &'a [&'a [u8]],
    clients: Vec<Client>,
    /// What they say when they are refused.
    again: &'a str,
    refused: usize,
    came: usize,
}

impl<'a> Attack<'a> {
    fn begin(house: &'a House, says: &'a [&'a [u8]]) -> Self {
        let mut attack = Self { house, says, clients: Vec::new(), again: "", refused: 0, came: 0 };
        for _ in 0..ATTACKERS {
            let client = attack.come();
            attack.clients.push(client);
        }
        attack.go_on(Duration::from_secs(6));
        attack
    }

    fn come(&mut self) -> Client {
        self.came += 1;
        let client =
            self.house.port.connect(&format!("10.{}.{}.1", self.came / 250, self.came % 250));
        for said in self.says {
            client.send(said);
            self.house.world.run();
        }
        client
    }

    /// Time passes; whoever is gone comes again.
    fn go_on(&mut self, by: Duration) {
        self.house.world.advance(by);
        self.house.world.run();
        for at in 0..self.clients.len() {
            let said = self.clients[at].heard();
            if codes(&said).iter().any(|code| ["535", "454"].contains(code)) {
                self.refused += 1;
                self.clients[at].send(self.again);
            }
            if self.clients[at].is_closed() {
                self.clients[at] = self.come();
            }
        }
    }

    /// Somebody honest says this, a step at a time, and hears these codes.
    fn amid(&mut self, pause: Duration, says: &[(&[u8], &str)]) {
        for n in 0..HONEST {
            let honest = self.house.port.connect(&format!("198.51.{n}.1"));
            for (said, expected) in says {
                self.go_on(STEP);
                let answer = self.house.say(&honest, said);
                assert_eq!(codes(&answer).last(), Some(expected), "{n}: {answer}");
            }
            honest.close();
            self.go_on(pause);
        }
    }
}

fn crowded(s: &mut posthaste_reception::Settings) {
    s.limits.sessions = PLACES;
    s.limits.failed_logins_per_minute = 0;
}

#[test]
fn attackers_in_the_tarpit_do_not_keep_anybody_out() {
    let house = House::with(crowded);
    let garbage = "XXXX\r\n".repeat(20);
    let says: [&[u8]; 2] = [b"EHLO x\r\n", garbage.as_bytes()];
    let mut attack = Attack::begin(&house, &says);
    attack.amid(
        Duration::from_secs(1),
        &[
            (b"", "220"),
            (b"EHLO honest.example\r\n", "250"),
            (b"MAIL FROM:<h@honest.example>\r\n", "250"),
            (b"RCPT TO:<ann@example.org>\r\n", "250"),
            (b"DATA\r\n", "354"),
            (b"Subject: x\r\n\r\nhi\r\n.\r\n", "250"),
            (b"QUIT\r\n", "221"),
        ],
    );
    let counts = house.reception.counts();
    println!("{} came, {} made room", attack.came, counts.made_room);
    assert_eq!((counts.messages, counts.refused_sessions), (HONEST as u64, 0));
}

#[test]
fn attackers_in_the_delay_of_failed_logins_do_not_keep_anybody_out() {
    let (house, _) = crate::users::house(crowded);
    let hello = client_hello(Some("mx.example.org"), None);
    let says: [&[u8]; 3] = [&hello, b"EHLO x\r\n", WRONG.as_bytes()];
    let mut attack = Attack::begin(&house, &says);
    attack.amid(
        Duration::from_secs(21),
        &[
            (&hello, "220"),
            (b"EHLO honest.example\r\n", "250"),
            (RIGHT.as_bytes(), "235"),
            (b"MAIL FROM:<ann@example.org>\r\n", "250"),
            (b"RCPT TO:<b@elsewhere.example>\r\n", "250"),
            (b"DATA\r\n", "354"),
            (b"Subject: x\r\n\r\nhi\r\n.\r\n", "250"),
            (b"QUIT\r\n", "221"),
        ],
    );
    let counts = house.reception.counts();
    println!("{} came, {} made room", attack.came, counts.made_room);
    assert_eq!((counts.messages, counts.refused_sessions), (HONEST as u64, 0));
}

/// Takes half a second for each password.
struct Slow {
    users: Arc<dyn Users>,
    clock: Arc<dyn Clock>,
}

impl Users for Slow {
    fn has_keys(&self) -> bool {
        true
    }

    fn check(&self, name: &str, password: Secret) -> Task<'static, Checked> {
        let (clock, check) = (Arc::clone(&self.clock), self.users.check(name, password));
        Box::pin(async move {
            sleep(&*clock, Duration::from_millis(500)).await;
            check.await
        })
    }

    fn checks_at_once(&self) -> usize {
        4
    }

    fn keys(&self, name: &str) -> Stored {
        self.users.keys(name)
    }

    fn with_keys(&self, name: &str) -> Option<Arc<Account>> {
        self.users.with_keys(name)
    }

    fn generation(&self) -> u64 {
        self.users.generation()
    }

    fn standing(&self, account: &Account) -> Standing {
        self.users.standing(account)
    }

    fn tell(&self, failed: &FailedLogin<'_>) {
        self.users.tell(failed);
    }
}

#[test]
fn who_tries_passwords_from_many_addresses_does_not_keep_users_from_logging_in() {
    let (house, users) = crate::users::house(|s| s.limits.failed_logins_per_minute = 0);
    let clock = house.world.world().clock;
    house.reception.set_users(Arc::new(Slow { users, clock: Arc::clone(&clock) }));
    let known = crate::users::client(&house, STRANGER);
    house.say(&known, RIGHT);
    house.wait(1);
    assert_eq!(codes(&house.heard(&known)), ["235"]);
    known.close();
    let hello = client_hello(Some("mx.example.org"), None);
    let says: [&[u8]; 3] = [&hello, b"EHLO x\r\n", WRONG.as_bytes()];
    let mut attack = Attack::begin(&house, &says);
    attack.again = WRONG;
    let mut longest = [Duration::ZERO; 2];
    for n in 0..HONEST {
        let from = [STRANGER.to_owned(), format!("198.51.{n}.1")];
        for (longest, from) in longest.iter_mut().zip(from) {
            let client = crate::users::client(&house, &from);
            let began = clock.now();
            let mut said = house.say(&client, RIGHT);
            while said.is_empty() {
                attack.go_on(STEP);
                said = house.heard(&client);
            }
            assert_eq!(codes(&said), ["235"], "{n} {from}");
            *longest = (*longest).max(clock.now() - began);
            client.close();
        }
    }
    println!("{} refused; logged in after {longest:?} at most", attack.refused);
    assert!(longest[0] <= Duration::from_millis(1050) && longest[1] <= Duration::from_secs(3));
    assert!(attack.refused > ATTACKERS);
}

#[test]
fn one_address_has_a_share_of_checks_and_what_is_refused_counts() {
    let (house, users) = crate::users::house(|s| s.limits.failed_logins_per_minute = 20);
    let clock = house.world.world().clock;
    house.reception.set_users(Arc::new(Slow { users, clock }));
    let clients: Vec<_> = (0..10).map(|_| crate::users::client(&house, STRANGER)).collect();
    for client in &clients {
        assert_eq!(house.say(client, RIGHT), "", "not even a refusal comes at once");
    }
    house.wait(1);
    let said: Vec<_> = clients.iter().map(|client| client.heard()).collect();
    let said: Vec<_> = said.iter().flat_map(|said| codes(said)).collect();
    assert_eq!(said, [&["235"; 4][..], &["454"; 6]].concat());
    assert_eq!(house.reception.counts().refused_logins, 6);
}

#[test]
fn the_silent_go_before_those_who_talk_and_who_has_just_come_has_a_moment() {
    let house = House::with(|s| {
        s.limits.sessions = 4;
        s.limits.sessions_per_client = 1;
    });
    let from = |n: u8| house.client(&format!("198.51.{n}.1"));
    let (talked, silent, wrong) = (from(1), from(2), from(3));
    house.say(&talked, "EHLO a\r\n");
    house.wait(2);
    house.say(&wrong, "EHLO a\r\nX\r\n");
    let fresh = from(4);
    let next: Vec<_> = (5..8).map(from).collect();
    let gone = [&wrong, &silent, &talked, &fresh].map(|client| client.is_closed());
    assert_eq!(gone, [true, true, true, false]);
    let last = from(8);
    assert!(fresh.is_closed(), "all have just come: the first of them goes");
    assert!(!last.is_closed() && next.iter().all(|client| !client.is_closed()));
    assert!(wrong.heard().ends_with("try again later\r\n"));
}

#[test]
fn who_leaves_while_refusals_wait_frees_the_place_at_once() {
    let house = House::new();
    let client = house.client(STRANGER);
    house.say(&client, "EHLO a\r\n");
    house.say(&client, "X\r\n".repeat(10));
    assert_eq!(house.reception.open_sessions(), 1);
    client.close();
    house.world.run();
    assert_eq!(house.reception.open_sessions(), 0);

    let (house, _) = crate::users::house(|_| {});
    let client = crate::users::client(&house, STRANGER);
    assert_eq!(house.say(&client, WRONG), "");
    client.close();
    house.world.run();
    assert_eq!(house.reception.open_sessions(), 0);
    assert_eq!(house.reception.counts().failed_logins, 1);
}

#[test]
fn a_list_with_dead_recipients_is_not_slowed_unless_most_are_dead() {
    let house = House::new();
    let client = house.client(STRANGER);
    let (living, dead) = ("RCPT TO:<a@example.org>\r\n", "RCPT TO:<a@elsewhere.example>\r\n");
    house.say(&client, "EHLO a\r\nMAIL FROM:<>\r\n");
    for _ in 0..15 {
        let said = house.say(&client, format!("{living}{dead}"));
        assert_eq!(codes(&said), ["250", "550"]);
    }
    assert_eq!(house.reception.counts().tarpitted, 0);
    assert_eq!(codes(&house.say(&client, dead.repeat(4))), ["550"; 4]);
    assert_eq!(house.say(&client, dead), "", "most are dead");
    house.wait(1);
    assert_eq!(codes(&house.heard(&client)), ["550"]);
    assert_eq!(house.reception.counts().tarpitted, 1);
}
