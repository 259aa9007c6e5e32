//! Users at a door for submission: they log in under TLS, send as themselves and within their limits; who fails is slowed,
//! told and in the end not listened to.

use crate::{FRIEND, House, STRANGER, codes};
use posthaste_evidence::Who;
use posthaste_io::{Clock, Identity, Task, sleep};
use posthaste_io_sim::client_hello;
use posthaste_mail::{Secret, SourceKind};
use posthaste_reception::{
    Account, Checked, FailedLogin, ListenerKind, ListenerTls, OwnRates, Settings, Standing, Users,
};
use posthaste_smtp::sasl::scram::{ClientFinal, ClientFirst, SaltedPassword, ServerFirst, Stored};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One user, by either form of password.
#[derive(Default)]
pub(crate) struct One {
    told: Mutex<Vec<String>>,
    checked: Mutex<u32>,
    /// Since the first login the file has changed so often; and what it says then.
    changed: Mutex<(u64, Option<Account>)>,
    /// A check takes so long, when a clock is given.
    slow: Mutex<Option<Arc<dyn Clock>>>,
}

const SALT: &[u8] = b"some salt";

fn ann() -> Arc<Account> {
    let senders = vec!["ann@example.org".parse().expect("a pattern")];
    let rates = OwnRates { messages_per_minute: Some(3), ..OwnRates::default() };
    Arc::new(Account { name: "ann@example.org".into(), senders, password: 1, rates })
}

impl Users for One {
    fn has_keys(&self) -> bool {
        true
    }

    fn check(&self, name: &str, password: Secret) -> Task<'static, Checked> {
        *self.checked.lock().expect("no test panics with it") += 1;
        let right = name == "ann@example.org" && password == Secret::new("open sesame");
        let slow = self.slow.lock().expect("no test panics with it").clone();
        Box::pin(async move {
            if let Some(clock) = slow {
                sleep(&*clock, Duration::from_secs(1)).await;
            }
            if right { Checked::Right(ann()) } else { Checked::Wrong }
        })
    }

    fn keys(&self, name: &str) -> Stored {
        let password = if name == "ann@example.org" { "open sesame" } else { "nobody's" };
        Stored::of(&Secret::new(password), SALT, 4096)
    }

    fn with_keys(&self, name: &str) -> Option<Arc<Account>> {
        (name == "ann@example.org").then(ann)
    }

    fn generation(&self) -> u64 {
        self.changed.lock().expect("no test panics with it").0
    }

    fn standing(&self, account: &Account) -> Standing {
        let changed = self.changed.lock().expect("no test panics with it");
        match &*changed {
            (0, _) => Standing::Good(Arc::new(account.clone())),
            (_, Some(now)) if now.password == account.password => {
                Standing::Good(Arc::new(now.clone()))
            }
            _ => Standing::Gone,
        }
    }

    fn tell(&self, failed: &FailedLogin<'_>) {
        self.told.lock().expect("no test panics with it").push(failed.to_string());
    }
}

pub(crate) fn house(change: impl FnOnce(&mut Settings)) -> (House, Arc<One>) {
    let house = House::with(|settings| {
        settings.listeners[0].kind = ListenerKind::Submission;
        settings.listeners[0].tls = ListenerTls::Implicit;
        change(settings);
    });
    let identity = Identity { chain: "".into(), key: Secret::default() };
    house.reception.set_identities(Arc::from([identity]));
    let users = Arc::new(One::default());
    house.reception.set_users(Arc::clone(&users) as Arc<dyn Users>);
    (house, users)
}

pub(crate) fn client(house: &House, from: &str) -> crate::world::Client {
    let client = house.port.connect(from);
    let said = house.say(&client, client_hello(Some("mx.example.org"), None));
    assert!(said.contains("220 mx.example.org ESMTP"), "{said}");
    let ehlo = house.say(&client, "EHLO c.example\r\n");
    assert!(ehlo.contains("250-AUTH SCRAM-SHA-256 PLAIN LOGIN\r\n"), "{ehlo}");
    client
}

/// `\0ann@example.org\0open sesame`.
pub(crate) const RIGHT: &str = "AUTH PLAIN AGFubkBleGFtcGxlLm9yZwBvcGVuIHNlc2FtZQ==\r\n";
/// `\0ann@example.org\0wrong`.
pub(crate) const WRONG: &str = "AUTH PLAIN AGFubkBleGFtcGxlLm9yZwB3cm9uZw==\r\n";
/// `\0nobody\0wrong`.
const NOBODY: &str = "AUTH PLAIN AG5vYm9keQB3cm9uZw==\r\n";
const TO_ANYWHERE: &str = "RCPT TO:<b@elsewhere.example>\r\n";

#[test]
fn who_has_logged_in_sends_to_anywhere_as_himself_and_so_it_is_recorded() {
    let (house, _) = house(|_| {});
    for from in [FRIEND, STRANGER] {
        let client = client(&house, from);
        let mail = "MAIL FROM:<ann@example.org>\r\n";
        assert_eq!(codes(&house.say(&client, mail)), ["530"], "loopback neither");
        assert_eq!(house.say(&client, RIGHT), "235 2.7.0 Authentication succeeded\r\n");
        let other = house.say(&client, "MAIL FROM:<boss@example.org>\r\n");
        assert_eq!(other, "553 5.7.1 Sender address not allowed for this user\r\n");
        assert_eq!(codes(&house.say(&client, "MAIL FROM:<>\r\n")), ["553"]);
        let said = house.say(&client, format!("{mail}{TO_ANYWHERE}DATA\r\n"));
        assert_eq!(codes(&said), ["250", "250", "354"]);
        assert_eq!(
            codes(&house.say(&client, "Subject: s\r\n\r\nbody\r\n.\r\nQUIT\r\n")),
            ["250", "221"]
        );
        client.close();
    }
    let [(live, _), ..] = &house.store.messages()[..] else { panic!("two") };
    let source = &live.envelope.source;
    assert_eq!(
        (source.kind, source.user.as_deref()),
        (SourceKind::Submission, Some("ann@example.org"))
    );
    assert!(house.stored()[0].contains(" with ESMTPSA id "), "{}", house.stored()[0]);
    house.world.run();
    let sessions = house.world.sessions.0.lock().expect("no test panics with it");
    let told = format!("{:?}", sessions[0].tape.lines(Who::They));
    assert!(!told.contains("AGFub") && told.contains("AUTH PLAIN"), "{told}");
    let counts = house.reception.counts();
    assert_eq!((counts.logins, counts.failed_logins, counts.refused_senders), (2, 0, 4));
}

#[test]
fn a_user_writes_as_himself_in_the_header_too() {
    let (house, _) = house(|_| {});
    let (forged, unseen) = (
        "550 5.7.1 The From field names somebody whom this user may not send as\r\n",
        "550 5.7.1 The header section is too long for its From field to be checked\r\n",
    );
    let long = format!("X: {}\r\n", "y".repeat(900)).repeat(80);
    for (header, expected) in [
        ("From: Ann <ann@example.org>\r\n".to_owned(), "250 2.0.0 queued"),
        ("From: boss@example.org\r\n".to_owned(), forged),
        ("From: ann@example.org\r\nFrom: boss@example.org\r\n".to_owned(), forged),
        (format!("{long}From: boss@example.org\r\n"), unseen),
    ] {
        let client = client(&house, STRANGER);
        let begin = format!("{RIGHT}MAIL FROM:<ann@example.org>\r\n{TO_ANYWHERE}DATA\r\n");
        assert_eq!(codes(&house.say(&client, begin)), ["235", "250", "250", "354"]);
        let said = house.say(&client, format!("{header}\r\nbody\r\n.\r\n"));
        assert!(said.starts_with(expected), "{said}");
        assert_eq!(codes(&house.say(&client, "NOOP\r\n")), ["250"], "the session goes on");
        client.close();
        house.wait(60);
    }
    assert_eq!((house.store.messages().len(), house.reception.counts().refused_senders), (1, 3));

    let (house, _) = self::house(|settings| settings.listeners[0].check_from = false);
    let client = self::client(&house, STRANGER);
    let begin = format!("{RIGHT}MAIL FROM:<ann@example.org>\r\n{TO_ANYWHERE}DATA\r\n");
    house.say(&client, begin);
    assert_eq!(codes(&house.say(&client, "From: boss@example.org\r\n\r\n.\r\n")), ["250"]);
}

#[test]
fn scram_takes_one_answer_more_and_the_server_proves_itself() {
    let (house, _) = house(|_| {});
    let client = client(&house, STRANGER);
    for (password, user, ends) in [
        ("wrong", "ann@example.org", "535"),
        ("nobody's", "nobody", "535"),
        ("open sesame", "ann@example.org", "235"),
    ] {
        let first = ClientFirst::new(user, "abc");
        let begin = format!("AUTH SCRAM-SHA-256 {}\r\n", base64(first.text().as_bytes()));
        let challenge = house.say(&client, begin);
        let challenge = unbase64(challenge.trim_end().strip_prefix("334 ").expect("a challenge"));
        let server = ServerFirst::read(&challenge, &first).expect("sound");
        let salted =
            SaltedPassword::derive(&Secret::new(password), server.salt(), server.iterations());
        let last = ClientFinal::new(&first, &server, &salted.client_key());
        let mut said = house.say(&client, format!("{}\r\n", base64(last.text().as_bytes())));
        if ends == "235" {
            assert!(said.starts_with("334 dj"), "v=: {said}");
            let early = house.reception.counts();
            assert_eq!(early.logins, 1);
            said = house.say(&client, "\r\n");
        } else {
            house.wait(10);
            said += &house.heard(&client);
        }
        assert_eq!(codes(&said), [ends], "{user} {password}");
    }
    assert_eq!(codes(&house.say(&client, "MAIL FROM:<ann@example.org>\r\n")), ["250"]);
}

#[test]
fn failures_are_alike_slower_each_time_told_and_end_the_session() {
    let (house, users) = house(|settings| settings.limits.failed_logins = 3);
    let client = client(&house, STRANGER);
    let mut replies = Vec::new();
    for (line, after) in [(WRONG, 1), (NOBODY, 2), (WRONG, 4)] {
        assert_eq!(house.say(&client, line), "", "not at once");
        house.wait(after - 1);
        assert_eq!(house.heard(&client), "", "{after} s");
        house.wait(1);
        replies.push(house.heard(&client));
    }
    assert_eq!(replies[0], replies[1], "a wrong password and nobody");
    assert!(replies[0].starts_with("535 5.7.8 "), "{replies:?}");
    assert_eq!(replies[2], "421 4.7.0 Too many failed logins, try again later\r\n");
    assert!(client.is_closed());
    let told = users.told.lock().expect("no test panics with it").clone();
    assert_eq!(
        told[1],
        "authentication failed: client=192.0.2.9 listener=relay mechanism=PLAIN user=\"nobody\""
    );
    assert_eq!((told.len(), house.reception.counts().failed_logins), (3, 3));
}

#[test]
fn who_fails_often_is_not_even_checked_while_others_are() {
    let (house, users) = house(|settings| settings.limits.failed_logins_per_minute = 2);
    let bad = client(&house, STRANGER);
    for _ in 0..2 {
        house.say(&bad, WRONG);
        house.wait(2);
        assert_eq!(codes(&house.heard(&bad)), ["535"]);
    }
    assert_eq!(codes(&house.say(&bad, RIGHT)), ["421"], "and without a check");
    assert_eq!(*users.checked.lock().expect("no test panics with it"), 2);
    let good = client(&house, "198.51.100.1");
    assert_eq!(codes(&house.say(&good, RIGHT)), ["235"]);
    house.wait(60);
    let again = client(&house, STRANGER);
    assert_eq!(codes(&house.say(&again, RIGHT)), ["235"], "forgiven");
}

#[test]
fn a_user_has_limits_wherever_the_sessions_come_from() {
    let (house, _) = house(|settings| settings.limits.sessions_per_user = 2);
    let clients = [client(&house, STRANGER), client(&house, "198.51.100.1")];
    for client in &clients {
        assert_eq!(codes(&house.say(client, RIGHT)), ["235"]);
    }
    let third = client(&house, "203.0.113.1");
    assert_eq!(codes(&house.say(&third, RIGHT)), ["421"], "sessions");
    let mail = "MAIL FROM:<ann@example.org>\r\nRSET\r\n";
    for (client, code) in [(0, "250"), (1, "250"), (0, "250"), (1, "451")] {
        assert_eq!(codes(&house.say(&clients[client], mail)), [code, "250"]);
    }
}

#[test]
fn nothing_of_a_user_is_signed_for_somebody_else_also_where_from_is_not_checked() {
    for (check_from, header, code, signed) in [
        (true, "From: ann@example.org\r\n", "250", true),
        (true, "From: ceo@example.org\r\n", "550", false),
        (true, "From: ann@example.org\r\nSender: ceo@example.org\r\n", "250", false),
        (true, "From: \"ceo@example.org\" <ann@example.org>\r\n", "250", false),
        (false, "From: \"Ann\" <ann@example.org>\r\n", "250", true),
        (false, "From: ceo@example.org\r\n", "250", false),
        (false, "From: ann@example.org, ceo@example.org\r\n", "250", false),
        (false, "From: ann@example.org\r\nFrom: ceo@example.org\r\n", "250", false),
        (false, "From: =?utf-8?q?ceo=40example.org?= <ann@example.org>\r\n", "250", false),
    ] {
        let (house, _) = house(|settings| {
            settings.listeners[0].check_from = check_from;
            settings.dkim = crate::signed::ring().0;
        });
        let client = client(&house, STRANGER);
        house.say(&client, format!("{RIGHT}MAIL FROM:<ann@example.org>\r\n{TO_ANYWHERE}DATA\r\n"));
        let said = house.say(&client, format!("{header}\r\nbody\r\n.\r\n"));
        assert_eq!(codes(&said), [code], "{header}");
        let counts = house.reception.counts();
        let unsigned = u64::from(code == "250" && !signed);
        assert_eq!((counts.signed, counts.unsigned), (u64::from(signed), unsigned), "{header}");
        for text in house.stored() {
            assert_eq!(text.starts_with("DKIM-Signature:"), signed, "{header}");
        }
    }
}

#[test]
fn what_becomes_of_a_user_holds_for_open_sessions() {
    let (house, users) = house(|settings| settings.limits.user_rates.messages_per_minute = 0);
    let client = client(&house, STRANGER);
    let becomes = |account: Option<Account>| {
        let mut changed = users.changed.lock().expect("no test panics with it");
        *changed = (changed.0 + 1, account);
    };
    let says = |line: &str| {
        house.say(&client, format!("{line}\r\nRSET\r\n")).get(..3).unwrap_or_default().to_owned()
    };
    let (ann_mail, sales_mail) = ("MAIL FROM:<ann@example.org>", "MAIL FROM:<sales@example.org>");
    assert_eq!(codes(&house.say(&client, RIGHT)), ["235"]);
    assert_eq!((&*says(ann_mail), &*says(sales_mail)), ("250", "553"));
    let senders = vec!["sales@example.org".parse().expect("a pattern")];
    let rates = OwnRates { messages_per_minute: Some(1), ..OwnRates::default() };
    becomes(Some(Account { senders, rates, ..(*ann()).clone() }));
    assert_eq!(says(ann_mail), "553", "no more");
    assert_eq!(says(sales_mail), "451", "one a minute, and there was one");
    becomes(Some(Account { password: 2, ..(*ann()).clone() }));
    let said = house.say(&client, format!("{ann_mail}\r\n"));
    assert_eq!(said, "421 4.7.0 Your login does not hold any more, log in again\r\n");
    assert!(client.is_closed());

    let removed = self::client(&house, STRANGER);
    house.say(&removed, RIGHT);
    becomes(None);
    assert_eq!(codes(&house.say(&removed, format!("{ann_mail}\r\n"))), ["421"]);
    assert!(removed.is_closed());
}

#[test]
fn many_logins_at_once_are_not_all_checked() {
    let (house, users) = house(|settings| {
        settings.limits.failed_logins_per_minute = 3;
        settings.limits.failed_logins = 1;
    });
    *users.slow.lock().expect("no test panics with it") = Some(Arc::new(house.world.clone()));
    let clients: Vec<_> = (0..10).map(|_| client(&house, STRANGER)).collect();
    for client in &clients {
        assert_eq!(house.say(client, WRONG), "");
    }
    house.wait(60);
    assert_eq!(*users.checked.lock().expect("no test panics with it"), 3);
    assert!(clients.iter().all(|client| codes(&house.heard(client)) == ["421"]));
    let others: Vec<_> = (0..6).map(|_| client(&house, "198.51.100.1")).collect();
    for client in &others {
        assert_eq!(house.say(client, RIGHT), "");
    }
    house.wait(5);
    assert!(others.iter().all(|client| codes(&house.heard(client)) == ["235"]), "in turn");
}

#[test]
fn without_auth_only_those_send_who_are_said_to() {
    let (house, _) = house(|settings| {
        settings.listeners[0].without_auth = vec!["192.0.2.0/24".parse().expect("a network")];
    });
    for (from, code) in [(STRANGER, "250"), (FRIEND, "530")] {
        let client = client(&house, from);
        assert_eq!(codes(&house.say(&client, "MAIL FROM:<x@y.example>\r\n")), [code], "{from}");
    }
}

fn base64(octets: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in octets.chunks(3) {
        let bits =
            (0..3).fold(0_u32, |bits, at| bits << 8 | u32::from(*part.get(at).unwrap_or(&0)));
        for at in 0..4 {
            let index = usize::try_from(bits >> (18 - 6 * at) & 63).expect("six bits");
            text.push(if at <= part.len() { char::from(LETTERS[index]) } else { '=' });
        }
    }
    text
}

fn unbase64(text: &str) -> Vec<u8> {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut octets, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for letter in text.chars().filter(|letter| *letter != '=') {
        let value = LETTERS.find(letter).expect("base64");
        bits = bits << 6 | u32::try_from(value).expect("six bits");
        held += 6;
        if held >= 8 {
            held -= 8;
            octets.push(u8::try_from(bits >> held & 255).expect("eight bits"));
        }
    }
    octets
}
