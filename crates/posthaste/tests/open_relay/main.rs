//! The classic tricks by which strangers try to send through a mail server that should not let them, against a real
//! daemon in several configurations. Nothing may leave for the victim: asserted by a sink that stands for the rest of
//! the world, by every reply to RCPT, and by what the spool holds.
//!
//! The same suite runs against configurations that are wrong on purpose: it must find them. `--nocapture` prints tables.
//! Not here: the wording of refusals, and mail that is ours to take (`real_mail`, `reception`).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may fail loudly; the tables are for reading"
)]

mod attempt;
mod scene;
mod sink;
mod tricks;

use attempt::Seen;
use scene::Scene;
use tricks::{May, Trick};

/// What a trick achieved.
#[derive(Debug)]
struct Outcome {
    trick: Trick,
    seen: Seen,
    /// It came to the sink that stands for the rest of the world.
    left: bool,
}

impl Outcome {
    /// The trick got somewhere.
    fn works(&self) -> bool {
        let taken = self.trick.may == May::Nothing && self.seen.taken;
        taken || self.left
    }

    fn row(&self) -> String {
        let verdict = if self.works() { "RELAYED" } else { "refused" };
        let verdict = if !self.works() && self.seen.taken { "ours" } else { verdict };
        format!("{verdict:8} {:55} {} [{}]", self.trick.name, self.seen.said, self.seen.codes)
    }
}

/// Every trick, and what became of it once nothing is under way any more.
fn run(scene: &Scene) -> Vec<Outcome> {
    let tried: Vec<(Trick, Seen)> = tricks::all()
        .into_iter()
        .enumerate()
        .map(|(number, trick)| {
            let seen = attempt::run(&scene.target(), &trick, &mark(number));
            (trick, seen)
        })
        .collect();
    scene.settle();
    let world = scene.world().messages();
    let mut outcomes = Vec::new();
    for (number, (trick, seen)) in tried.into_iter().enumerate() {
        let left = world.iter().any(|message| message.content.contains(&mark(number)));
        outcomes.push(Outcome { trick, seen, left });
    }
    outcomes
}

/// Stands in the message of this trick.
fn mark(number: usize) -> String {
    format!("trick-{number}-of-the-suite")
}

fn print(title: &str, outcomes: &[Outcome]) {
    let works = outcomes.iter().filter(|o| o.works()).count();
    println!("\n{title}: {} tricks, {works} get somewhere", outcomes.len());
    outcomes.iter().for_each(|outcome| println!("{}", outcome.row()));
}

#[test]
fn nothing_of_a_strangers_leaves_for_the_rest_of_the_world() {
    for (title, settings) in scene::CLOSED {
        let scene = Scene::new(settings);
        let outcomes = run(&scene);
        print(title, &outcomes);
        for outcome in &outcomes {
            assert!(!outcome.works(), "{title}: {}", outcome.row());
            let expected = outcome.trick.codes().filter(|_| title.starts_with("mx"));
            let codes = outcome.seen.codes.as_str();
            assert_eq!(expected.unwrap_or(codes), codes, "{title}: {}", outcome.row());
        }
        assert_eq!(scene.world().connections(), 0, "{title}: nobody is even connected to");
        let all = scene.ours().messages();
        for message in &all {
            for recipient in &message.recipients {
                let may = |o: &Outcome| matches!(o.trick.may, May::Reach(to) if to == recipient);
                let known = outcomes.iter().any(may);
                assert!(known, "{title}: {recipient} came to our next hop");
            }
        }
        assert_eq!(scene.live_recipients(), Vec::<String>::new(), "{title}");
        let ours = outcomes.iter().filter(|o| o.seen.taken).count();
        assert!(ours > 0 || title.contains("submission"), "{title}: honest mail gets in");
    }
}

#[test]
fn the_suite_finds_relays_that_are_open() {
    for (title, settings, least, most) in scene::OPEN {
        let scene = Scene::new(settings);
        let outcomes = run(&scene);
        print(title, &outcomes);
        let works = outcomes.iter().filter(|o| o.works()).count();
        let left = outcomes.iter().filter(|o| o.left).count();
        assert!((*least..=*most).contains(&works), "{title}: {works}");
        assert!(left > 0, "{title}: the sink sees it as well");
    }
}
