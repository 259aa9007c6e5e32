//! Notices: to whom one is owed, when, and that none is ever caused by another.

mod crashes;
mod loops;
mod robots;
mod table;
mod times;
mod truth;

use crate::words::*;
use posthaste_evidence::Outcome;
use posthaste_io_sim::Link;
use posthaste_mail::envelope::Notify;
use posthaste_mail::{Body, BodyType, Mailbox, Recipient, ReversePath, SourceKind};
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_reception::{Submission, Unknown};
use posthaste_sim::client::subject;
use posthaste_sim::notices::Read;
use posthaste_sim::{Letter, MailSystem, Plan};
use posthaste_smtp::content::ContentScan;
use posthaste_spool::{Content, testing};

const HOST: &str = "mx0.d.test";
/// A domain of ours.
const OWN: &str = "own.test";

/// The notice gives back the message of this number.
fn by_subject(notice: &Read, number: u32) -> bool {
    notice.whole.contains(&format!("\r\nSubject: {}\r\n", subject(number)))
}

fn recipients(letter: &Letter) -> Vec<Recipient> {
    let notify = letter.rcpt_parameters.strip_prefix("NOTIFY=").map(|wishes| {
        let lists = |wish| wishes.split(',').any(|word| word == wish);
        let (success, failure, delay) = (lists("SUCCESS"), lists("FAILURE"), lists("DELAY"));
        Notify { success, failure, delay }
    });
    let mailbox = |to: &String| Mailbox::parse(to, false).expect("valid");
    let recipient = |to| Recipient { mailbox: mailbox(to), orcpt: None, notify };
    letter.to.iter().map(recipient).collect()
}

/// Hands a letter in on this machine, or puts it into the store as a door for users would.
fn put_in(system: &MailSystem, kind: SourceKind, letter: &Letter) {
    let running = system.running().expect("it is up");
    let from = ReversePath::Mailbox(Mailbox::parse(&letter.from, false).expect("valid"));
    let recipients = recipients(letter);
    if kind == SourceKind::Local {
        let submission = Submission {
            reverse_path: from,
            recipients,
            message: letter.content.clone(),
            listener: "send".into(),
            user: None,
            id: None,
            written: None,
            ret: None,
            envid: None,
            replayed: false,
            unknown: Unknown::Refuse,
        };
        let taken = async move { running.reception.submit(submission).await };
        assert!(system.sim.block_on(&system.relay, taken).is_ok());
        return;
    }
    let now = system.relay.world().wall();
    let mut mail = testing::mail(running.spool.mint(now), recipients.len(), 10);
    let mut scan = ContentScan::new();
    scan.feed(&letter.content);
    mail.content = Content::Inline(Body::from(letter.content.clone()));
    let envelope = &mut mail.envelope;
    (envelope.received, envelope.reverse_path) = (now, from);
    (envelope.recipients, envelope.facts) = (recipients, scan.facts());
    (envelope.ret, envelope.body_type) = (None, BodyType::SevenBit);
    envelope.summary = posthaste_message::header::summary(&letter.content);
    (envelope.source.kind, envelope.source.user) = (kind, Some("writer".into()));
    mail.states.iter_mut().for_each(|state| state.due = now);
    let taken = async move { running.spool.accept(mail).await };
    assert!(system.sim.block_on(&system.relay, taken).is_ok());
}

fn refusing(plan: Plan) -> MailSystem {
    let system = up(plan);
    let no = Action::Reply("550 5.1.1 no such user".into());
    peer(&system, HOST).set(Script::default().always(Step::Rcpt, no));
    system
}

#[test]
fn the_sender_is_told_at_once_in_one_notice_of_all_that_failed() {
    let system = refusing(Plan::domain("d.test", 1));
    send(&system, 7, &["a@d.test", "b@d.test"]);
    assert!(until_quiet(&system, MINUTE) < AT_ONCE);
    let notice = the_notice(&system);
    assert_eq!(notice.about, ["a@d.test", "b@d.test"]);
    assert_eq!(notice.status, ["5.1.1", "5.1.1"]);
    assert!(notice.text.contains("m-7-"), "the original comes back");
    let arrival = peer(&system, "mx0.sender.test").arrivals().remove(0);
    assert_eq!(arrival.header("Auto-Submitted").as_deref(), Some("auto-replied"));
}

#[test]
fn nobody_is_told_who_did_not_ask() {
    let to = strings(&["r@d.test"]);
    for letter in [
        Letter::new(1, "", &to, 100),
        Letter::new(1, "writer@sender.test", &to, 100).with("", "NOTIFY=NEVER"),
        Letter::new(1, "writer@sender.test", &to, 100).with("", "NOTIFY=SUCCESS"),
        Letter::new(1, "writer@sender.test", &to, 100).with("", "NOTIFY=DELAY"),
    ] {
        let system = refusing(Plan::domain("d.test", 1));
        hand_in(&system, letter.clone());
        until_quiet(&system, MINUTE);
        system.pass(MINUTE);
        assert!(notices(&system).is_empty(), "{letter:?}");
        assert_eq!((told(&system, "notice"), told(&system, "no_notice")), (0, 1), "{letter:?}");
        assert_eq!(outcomes(&system, "r@d.test"), [Outcome::Failed]);
    }
    let system = refusing(Plan::domain("d.test", 1));
    hand_in(&system, letter(1, &["r@d.test"]).with("", "NOTIFY=FAILURE,DELAY"));
    until_quiet(&system, MINUTE);
    assert_eq!(notices(&system).len(), 1);
}

#[test]
fn a_notice_that_cannot_be_delivered_causes_no_other() {
    for dead in [true, false] {
        let mut plan = Plan::domain("d.test", 1);
        plan.queue.schedule.expire_after = HOUR;
        let system = refusing(plan);
        let sender = system.host("mx0.sender.test");
        if dead {
            system.sim.partition(&system.relay, &sender.0, Link::Refuse);
        } else {
            let no = Action::Reply("550 5.1.1 no such user".into());
            sender.1.set(Script::default().always(Step::Rcpt, no));
        }
        send(&system, 1, &["r@d.test"]);
        until_quiet(&system, 3 * HOUR);
        assert_eq!((told(&system, "notice"), told(&system, "no_notice")), (1, 1), "{dead}");
        assert_eq!(told(&system, "done"), 2, "{dead}");
    }
}

#[test]
fn a_notice_waits_for_the_senders_host_and_arrives() {
    let system = refusing(Plan::domain("d.test", 1));
    system.sim.partition(&system.relay, &system.host("mx0.sender.test").0, Link::Refuse);
    send(&system, 1, &["r@d.test"]);
    system.pass(20 * MINUTE);
    system.sim.partition(&system.relay, &system.host("mx0.sender.test").0, Link::Up);
    until_quiet(&system, HOUR);
    assert_eq!(the_notice(&system).about, ["r@d.test"]);
}
