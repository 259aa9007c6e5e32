//! Group B: what is broken at the recipient's domain. All domains are in one tree, asked through Unbound and BIND by one
//! daemon; each has a twin with the fault off.
//!
//! Not here: the domains themselves (`domains`), our own resolvers (`ours`).

use std::thread::{scope, sleep};
use std::time::Duration;

use crate::domains::{Case, Expected, Scene};
use crate::mta::{Fate, Mta, Outcome, Seen};
use crate::row::{Names, Row, asked, concluded, held_up};

const PATIENCE: Duration = Duration::from_secs(30);

/// Makes the rows of group B.
pub(crate) fn rows() -> Vec<Row> {
    let scene = Scene::set();
    let mut rows: Vec<Row> = Vec::new();
    // Those with a limit one after the other: they must not wait for each other's share of the processor.
    let (timed, others): (Vec<&Case>, Vec<&Case>) = scene.cases.iter().partition(|c| c.is_timed());
    for case in timed {
        let twin = sent(&scene.mta, &case.twin);
        let twin = scene.mta.end(&twin, PATIENCE);
        let own = sent(&scene.mta, &case.domain);
        let mut own = scene.mta.outcome(&own, PATIENCE);
        let told = own.as_mut().is_some_and(|o| scene.mta.with_both_families(o, &case.domain));
        let mut row = row(case, own.as_ref(), twin.as_ref(), &scene.names);
        if !told {
            row.wrong.push("no line in the DNS log for A and AAAA".to_owned());
        }
        rows.push(row);
    }
    let under_way: Vec<_> = others
        .into_iter()
        .map(|case| (case, sent(&scene.mta, &case.domain), sent(&scene.mta, &case.twin)))
        .collect();
    for (case, own, twin) in under_way {
        let own = scene.mta.outcome(&own, PATIENCE);
        let twin = scene.mta.end(&twin, PATIENCE);
        rows.push(row(case, own.as_ref(), twin.as_ref(), &scene.names));
    }
    check(&mut rows, &scene);
    rows.extend([undelegated(&scene), changed(&scene)]);
    rows.sort_by_key(|row| row.case[1..].parse::<u32>().expect("a letter and a number"));
    rows
}

/// All at once: a check of dead servers takes seconds.
fn check(rows: &mut [Row], scene: &Scene) {
    let domain =
        |row: &Row| scene.cases.iter().find(|case| case.id == row.case).map(|c| &*c.domain);
    scope(|threads| {
        for row in rows {
            let domain = domain(row).expect("made of a case");
            threads.spawn(move || row.add_check(&scene.mta, domain));
        }
    });
}

fn sent(mta: &Mta, domain: &str) -> String {
    mta.send(domain).0
}

fn row(case: &Case, own: Option<&Outcome>, twin: Option<&Outcome>, names: &Names) -> Row {
    let mut wrong = Vec::new();
    if let Some(reason) = own.map_or(Some("nothing in time".into()), |o| amiss(case, o)) {
        wrong.push(reason);
    }
    let fine = twin.is_some_and(|t| t.fate == Fate::Delivered && t.attempts == 1);
    if !fine {
        wrong.push(format!("the twin: {}", concluded(twin)));
    }
    Row {
        case: case.id,
        broken: case.broken,
        servers: case.servers,
        asked: asked(own, names),
        concluded: concluded(own),
        held_up: held_up(own),
        control: format!("{} {}", case.twin, held_up(twin)),
        check: String::new(),
        wrong,
    }
}

/// What is not as expected.
fn amiss(case: &Case, own: &Outcome) -> Option<String> {
    let said = |word: &str| own.said.iter().any(|s| s.outcome.contains(word));
    let right = match case.expected {
        Expected::Delivered { later } => {
            let in_time = own.lost.is_some_and(|lost| lost <= later);
            own.fate == Fate::Delivered && own.attempts == 1 && in_time
        }
        Expected::Waits { stage, says } => {
            own.fate == Fate::Waits && own.kind == stage && said(says)
        }
        Expected::Unanswered { all_say } => {
            let fits = |s: &Seen| s.stage == "dns-mx" && s.outcome == all_say;
            let all = !own.said.is_empty() && own.said.iter().all(fits);
            own.fate == Fate::Waits && own.kind == "dns-mx" && all
        }
        Expected::WaitsFor { stage, text } => {
            own.fate == Fate::Waits && own.kind == stage && own.text.contains(text)
        }
        Expected::Fails { kind, status } => {
            own.fate == Fate::Failed && own.kind == kind && own.status == status
        }
    };
    (!right).then(|| format!("expected {:?}, got {own:?}", case.expected))
}

/// B6: delivered to, then gone from its parent zone.
fn undelegated(scene: &Scene) -> Row {
    let before = scene.mta.end(&sent(&scene.mta, "b6.moved"), PATIENCE);
    scene.undelegate_b6();
    // The resolvers and Posthaste forget: records of 1 s, kept for 5 s.
    sleep(Duration::from_secs(7));
    let own = scene.mta.outcome(&sent(&scene.mta, "b6.moved"), PATIENCE);
    let mut wrong = Vec::new();
    let doubted = |o: &Outcome| {
        let vanished = |s: &Seen| s.stage == "dns-mx" && s.outcome == "vanished";
        o.fate == Fate::Waits && o.status == "4.4.4" && o.said.iter().any(vanished)
    };
    if !own.as_ref().is_some_and(doubted) {
        wrong.push(format!("expected to wait because the domain vanished, got {own:?}"));
    }
    if before.as_ref().is_none_or(|o| o.fate != Fate::Delivered) {
        wrong.push(format!("before: {before:?}"));
    }
    Row {
        case: "B6",
        broken: "the parent no longer delegates a domain that mail was delivered to",
        servers: "scripted parent and domain behind Unbound and BIND",
        asked: asked(own.as_ref(), &scene.names),
        concluded: concluded(own.as_ref()),
        held_up: held_up(own.as_ref()),
        control: format!("before: {}", concluded(before.as_ref())),
        check: String::new(),
        wrong,
    }
}

/// B26: the address changes after the first attempt.
fn changed(scene: &Scene) -> Row {
    let id = sent(&scene.mta, "b26.test");
    let first = scene.mta.outcome(&id, PATIENCE);
    scene.move_b26();
    sleep(Duration::from_secs(6));
    scene.mta.posthaste.verb(&["queue", "retry", &id]);
    let second = scene.mta.end(&id, PATIENCE);
    let mut wrong = Vec::new();
    if first.as_ref().is_none_or(|o| o.fate != Fate::Waits || o.kind != "connect") {
        wrong.push(format!("first: {first:?}"));
    }
    if second.as_ref().is_none_or(|o| o.fate != Fate::Delivered) {
        wrong.push(format!("second: {second:?}"));
    }
    Row {
        case: "B26",
        broken: "the mail host moves while mail waits (TTL 0)",
        servers: "scripted behind Unbound and BIND",
        asked: asked(first.as_ref(), &scene.names),
        concluded: format!("{}; then {}", concluded(first.as_ref()), concluded(second.as_ref())),
        held_up: "until the next attempt".to_owned(),
        control: "the second attempt".to_owned(),
        check: String::new(),
        wrong,
    }
}
