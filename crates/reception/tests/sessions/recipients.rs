//! RCPT for domains of ours: lists, aliases, and next hops that are slow, silent, or take everybody.

use crate::submit::{submission, submit};
use crate::{FRIEND, House, STRANGER, codes};
use posthaste_evidence::{ConnectFault, Fault};
use posthaste_io::Task;
use posthaste_mail::{EnhancedStatus, Mailbox, Recipient, Reply, ReversePath};
use posthaste_queue::Life;
use posthaste_reception::recipients::{Aliases, Answer, List, Recipients, Setup};
use posthaste_reception::{Directory, Examined, SubmitError, Unknown, Verifier};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

/// A next hop whose answers are told by the test.
#[derive(Default)]
struct NextHop {
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    /// By address; whoever is not here is unknown.
    answers: BTreeMap<String, Answer>,
    /// It takes everybody.
    everybody: bool,
    /// It does not answer until it is let go.
    silent: bool,
    waiting: Vec<Waker>,
    asked: Vec<String>,
    told: Vec<String>,
}

impl NextHop {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().expect("no test panics with it")
    }

    fn answer(&self, address: &str, answer: Answer) {
        self.said().answers.insert(address.to_owned(), answer);
    }

    fn go_on(&self) {
        let mut said = self.said();
        said.silent = false;
        said.waiting.drain(..).for_each(Waker::wake);
    }

    /// Who was asked for since the last time, but for controls.
    fn asked(&self) -> Vec<String> {
        let asked = std::mem::take(&mut self.said().asked);
        asked.into_iter().filter(|address| address.find('@') != Some(16)).collect()
    }
}

struct Asking(Arc<NextHop>);

impl Verifier for Asking {
    fn next_hop(&self, mailbox: &Mailbox) -> String {
        mailbox.domain_key()
    }

    fn ask(&self, mailbox: Mailbox) -> Task<'static, Answer> {
        let next_hop = Arc::clone(&self.0);
        next_hop.said().asked.push(mailbox.to_string());
        Box::pin(poll_fn(move |cx| {
            let mut said = next_hop.said();
            if said.silent {
                said.waiting.push(cx.waker().clone());
                return Poll::Pending;
            }
            let unknown = if said.everybody { Answer::Exists } else { unknown() };
            Poll::Ready(said.answers.get(mailbox.as_str()).cloned().unwrap_or(unknown))
        }))
    }

    fn takes_everybody(&self, domain: &str) {
        self.0.said().told.push(domain.to_owned());
    }
}

fn unknown() -> Answer {
    Answer::Unknown(Reply::new(550, Some(EnhancedStatus::new(5, 1, 1)), "no such user"))
}

fn down() -> Answer {
    Answer::Unreachable(Fault::Connect(ConnectFault::Refused))
}

/// A house with a list, a domain that verifies, aliases, and its next hop.
fn house() -> (House, Arc<NextHop>) {
    let house = House::new();
    house.reception.set_directory(directory("staff: bob, ann@ask.example, eve@remote.example\n"));
    let next_hop = Arc::new(NextHop::default());
    house.reception.set_verifier(Arc::new(Asking(Arc::clone(&next_hop))));
    for known in ["ann@ask.example", "Zoe@ask.example"] {
        next_hop.answer(known, Answer::Exists);
    }
    (house, next_hop)
}

fn directory(aliases: &str) -> Arc<Directory> {
    let list = List::parse(b"bob@list.example\ncarl@list.example\n").expect("good");
    Arc::new(Directory::new(Setup {
        hostname: "mx.example.org".into(),
        domains: vec![
            ("list.example".into(), Recipients::Listed(Arc::new(list))),
            ("ask.example".into(), Recipients::Verify),
        ],
        aliases: Arc::new(Aliases::parse(aliases.as_bytes()).expect("good")),
        postmaster: Mailbox::parse("admin@list.example", true).ok(),
        ..Setup::default()
    }))
}

fn rcpt(addresses: &[&str]) -> String {
    addresses.iter().map(|address| format!("RCPT TO:<{address}>\r\n")).collect()
}

const HELLO: &str = "EHLO a\r\nMAIL FROM:<x@stranger.example>\r\n";

/// Every message that was stored: its recipients with what they were called.
fn stored(house: &House) -> Vec<Vec<(String, Option<String>)>> {
    let pair = |r: &Recipient| (r.mailbox.to_string(), r.orcpt.clone());
    let messages = house.store.messages();
    messages.iter().map(|(live, _)| live.envelope.recipients.iter().map(pair).collect()).collect()
}

#[test]
fn friends_and_strangers_are_held_to_the_list() {
    let (house, _) = house();
    for (from, remote) in [(FRIEND, "250"), (STRANGER, "550")] {
        let client = house.client(from);
        house.say(&client, HELLO);
        let said = house.say(
            &client,
            rcpt(&["bob@list.example", "BOB@LIST.example", "eve@list.example", "x@remote.example"]),
        );
        assert_eq!(codes(&said), ["250", "250", "550", remote], "{said}");
        assert!(said.contains("550 5.1.1 Recipient unknown\r\n"), "{said}");
    }
    let counts = house.reception.counts();
    assert_eq!((counts.refused_unknown, counts.refused_relay), (2, 1));
}

#[test]
fn an_alias_is_spooled_as_what_it_stands_for() {
    let (house, _) = house();
    let client = house.client(STRANGER);
    let to = "RCPT TO:<Staff@list.example> NOTIFY=FAILURE\r\nRCPT TO:<bob@list.example> NOTIFY=NEVER\r\n\
              RCPT TO:<abuse@ask.example> ORCPT=rfc822;first@a.example\r\n";
    house.say(&client, format!("{HELLO}{to}DATA\r\n"));
    assert_eq!(codes(&house.say(&client, "A: b\r\n\r\n.\r\n")), ["250"]);
    let staff = Some("rfc822;Staff@list.example".to_owned());
    let expected = [
        ("bob@list.example".to_owned(), staff.clone()),
        ("ann@ask.example".to_owned(), staff.clone()),
        ("eve@remote.example".to_owned(), staff),
        ("admin@list.example".to_owned(), Some("rfc822;first@a.example".to_owned())),
    ];
    assert_eq!(stored(&house), [expected]);
    house.say(&client, format!("MAIL FROM:<>\r\n{}DATA\r\n", rcpt(&["staff@ask.example"])));
    house.say(&client, "A: b\r\n\r\n.\r\n");
    let content = house.stored().remove(1);
    assert!(content.contains("for <staff@ask.example>"), "not whom it stands for: {content}");
}

#[test]
fn a_list_that_has_grown_holds_from_the_next_mail_on() {
    let (house, _) = house();
    let client = house.client(STRANGER);
    house.say(&client, HELLO);
    assert_eq!(codes(&house.say(&client, rcpt(&["new@list.example"]))), ["550"]);
    house.reception.set_directory(directory("new: bob\n"));
    assert_eq!(codes(&house.say(&client, rcpt(&["new@list.example"]))), ["550"]);
    house.say(&client, "RSET\r\nMAIL FROM:<>\r\n");
    assert_eq!(codes(&house.say(&client, rcpt(&["new@list.example"]))), ["250"]);
}

#[test]
fn replies_keep_their_order_while_a_next_hop_is_slow() {
    let (house, next_hop) = house();
    next_hop.said().silent = true;
    let client = house.client(STRANGER);
    let addresses = ["bob@list.example", "ann@ask.example", "who@ask.example", "carl@list.example"];
    let all = format!("{HELLO}{}DATA\r\n", rcpt(&addresses));
    let said = house.say(&client, all);
    assert_eq!(codes(&said), ["250", "250", "250"], "what is known is not held back: {said}");
    house.wait(5);
    assert_eq!(client.heard(), "");
    next_hop.go_on();
    let said = house.heard(&client);
    assert_eq!(codes(&said), ["250", "550", "250", "354"], "{said}");
    let words = "550 5.1.1 Recipient unknown; its mail host says: 550 5.1.1 no such user\r\n";
    assert!(said.contains(words), "{said}");
    house.say(&client, "A: b\r\n\r\n.\r\n");
    assert_eq!(stored(&house)[0].len(), 3);
}

#[test]
fn an_accepted_message_is_acknowledged_before_a_next_hop_is_waited_for() {
    let (house, next_hop) = house();
    next_hop.said().silent = true;
    let client = house.client(STRANGER);
    house.say(&client, format!("{HELLO}{}DATA\r\n", rcpt(&["bob@list.example"])));
    let next = format!("A: b\r\n\r\n.\r\nMAIL FROM:<>\r\n{}", rcpt(&["ann@ask.example"]));
    assert_eq!(codes(&house.say(&client, next)), ["250", "250"]);
}

#[test]
fn who_cannot_be_asked_for_is_450_and_what_was_said_is_remembered() {
    let (house, next_hop) = house();
    let client = house.client(STRANGER);
    house.say(&client, HELLO);
    let say = |address: &str| house.say(&client, rcpt(&[address]));
    next_hop.answer("ann@ask.example", down());
    let said = say("ann@ask.example");
    assert!(said.starts_with("450 4.4.1 "), "{said}");
    assert!(say("zoe@ask.example").starts_with("450 4.4.1 "), "the next hop is left alone");
    assert_eq!(next_hop.asked(), ["ann@ask.example"]);
    house.wait(11);
    next_hop.answer("ann@ask.example", Answer::Exists);
    let say = |address: &str| house.say(&client, rcpt(&[address]));
    for (address, code, asked) in [
        ("ann@ask.example", "250", true),
        ("ANN@ask.example", "250", false),
        ("\"ann\"@ASK.example", "250", false),
        ("who@ask.example", "550", true),
        ("who@ask.example", "550", false),
    ] {
        assert_eq!(codes(&say(address)), [code], "{address}");
        assert_eq!(next_hop.asked().len(), usize::from(asked), "{address}");
    }
    house.wait(250);
    assert_eq!(codes(&house.say(&client, rcpt(&["who@ask.example"]))), ["550"]);
    assert!(next_hop.asked().is_empty());
    assert_eq!(house.reception.counts().deferred_recipients, 2);
}

#[test]
fn a_silent_next_hop_is_not_waited_for_for_ever_and_asked_once() {
    let (house, next_hop) = house();
    next_hop.said().silent = true;
    let clients: Vec<_> = (0..5).map(|_| house.client(STRANGER)).collect();
    for client in &clients {
        house.say(client, format!("{HELLO}{}", rcpt(&["ann@ask.example"])));
    }
    house.wait(19);
    assert!(clients.iter().all(|client| client.heard().is_empty()));
    house.wait(2);
    for client in &clients {
        let said = client.heard();
        assert!(said.starts_with("450 4.3.0 "), "{said}");
    }
    assert_eq!(next_hop.asked(), ["ann@ask.example"]);
    // The answer that came too late for them is there for the next.
    next_hop.go_on();
    house.world.run();
    assert_eq!(codes(&house.say(&clients[0], rcpt(&["ann@ask.example"]))), ["250"]);
    assert!(next_hop.asked().is_empty());
}

#[test]
fn what_is_known_is_refreshed_before_its_end_and_outlives_a_next_hop_that_is_down() {
    const HOUR: u64 = 3600;
    let (house, next_hop) = house();
    let rcpt = |house: &House| {
        let client = house.client(STRANGER);
        let said = house.say(&client, format!("{HELLO}{}QUIT\r\n", rcpt(&["ann@ask.example"])));
        codes(&said)[2].to_owned()
    };
    assert_eq!(rcpt(&house), "250");
    house.wait(17 * HOUR);
    assert_eq!((rcpt(&house).as_str(), next_hop.asked().len()), ("250", 1), "not yet");
    next_hop.answer("ann@ask.example", down());
    house.wait(2 * HOUR);
    assert_eq!((rcpt(&house).as_str(), next_hop.asked().len()), ("250", 1), "in the background");
    assert_eq!((rcpt(&house).as_str(), next_hop.asked().len()), ("250", 0), "not at once again");
    house.wait(HOUR);
    next_hop.answer("ann@ask.example", Answer::Exists);
    assert_eq!((rcpt(&house).as_str(), next_hop.asked().len()), ("250", 1));
    house.wait(10 * HOUR);
    assert_eq!((rcpt(&house).as_str(), next_hop.asked().len()), ("250", 0), "it was renewed");
    next_hop.answer("ann@ask.example", down());
    house.wait(30 * HOUR);
    assert_eq!(rcpt(&house), "450", "its time is over");
    house.reception.forget_verified();
    next_hop.answer("ann@ask.example", unknown());
    assert_eq!(rcpt(&house), "550", "routes have changed: nothing holds");
}

#[test]
fn a_next_hop_that_takes_everybody_is_found_out_once() {
    let (house, next_hop) = house();
    next_hop.said().everybody = true;
    let client = house.client(STRANGER);
    let said = house.say(&client, format!("{HELLO}{}", rcpt(&["a@ask.example", "b@ask.example"])));
    assert_eq!(codes(&said), ["250"; 4]);
    assert_eq!(next_hop.said().told, ["ask.example"]);
    let controls = next_hop.said().asked.iter().filter(|a| a.find('@') == Some(16)).count();
    assert_eq!(controls, 1);
    assert_eq!(house.reception.take_everybody(), ["ask.example"]);
    let (reception, ann) = (house.reception.clone(), Mailbox::parse("ann@ask.example", false));
    let examined = house.world.finish(async move { reception.examine(ann.expect("valid")).await });
    assert_eq!(examined, Examined::Verified { takes_everybody: true });
}

#[test]
fn aliases_at_fault_put_off_and_never_bounce() {
    let (house, _) = house();
    house.reception.set_directory(directory("a: b\nb: a\n"));
    let client = house.client(STRANGER);
    house.say(&client, HELLO);
    let said = house.say(&client, rcpt(&["a@list.example"]));
    assert!(said.starts_with("451 4.3.5 "), "{said}");
}

#[test]
fn what_is_handed_in_here_follows_the_same_names() {
    let (house, next_hop) = house();
    let to = |addresses: &[&str]| {
        let recipient = |text: &&str| Recipient {
            mailbox: Mailbox::parse(text, true).expect("valid"),
            orcpt: None,
            notify: None,
        };
        let recipients = addresses.iter().map(recipient).collect();
        posthaste_reception::Submission { recipients, ..submission("x\n") }
    };
    let handed_in = to(&["root@mx.example.org", "who@ask.example", "bob@list.example"]);
    submit(&house, handed_in).expect("a notice tells of who@ask.example");
    let names: Vec<_> = stored(&house)[0].iter().map(|(address, _)| address.clone()).collect();
    assert_eq!(names, ["admin@list.example", "who@ask.example", "bob@list.example"]);
    assert!(next_hop.asked().is_empty(), "no next hop is waited for");
    let refused = submit(&house, to(&["eve@list.example", "bob@list.example"]));
    let eve = Mailbox::parse("eve@list.example", true).expect("valid");
    assert_eq!(refused, Err(SubmitError::UnknownRecipient(eve.clone())));

    let bounced = |sender, addresses: &[&str]| posthaste_reception::Submission {
        reverse_path: sender,
        unknown: Unknown::Bounce,
        ..to(addresses)
    };
    let root = submission("x").reverse_path;
    let some = bounced(root.clone(), &["eve@list.example", "bob@list.example", "eve@list.example"]);
    let reception = house.reception.clone();
    let done = house.world.finish(async move { reception.submit(some).await }).expect("for bob");
    assert_eq!(done.refused.iter().map(|r| &r.mailbox).collect::<Vec<_>>(), [&eve]);
    let states = |house: &House| -> Vec<(String, Life)> {
        let messages = house.store.messages();
        let live = &messages.last().expect("stored").0;
        let names = live.envelope.recipients.iter().map(|r| r.mailbox.as_str().to_owned());
        names.zip(live.states.iter().map(|state| state.life)).collect()
    };
    let (bob, eve_s) = ("bob@list.example".to_owned(), eve.as_str().to_owned());
    assert_eq!(states(&house), [(bob, Life::Queued), (eve_s.clone(), Life::Refused)]);
    submit(&house, bounced(root.clone(), &["eve@list.example"])).expect("its sender is told");
    assert_eq!(states(&house), [(eve_s.clone(), Life::Refused)]);
    let nobody_to_tell = submit(&house, bounced(ReversePath::Null, &["eve@list.example"]));
    assert_eq!(nobody_to_tell, Err(SubmitError::UnknownRecipient(eve)));
}
