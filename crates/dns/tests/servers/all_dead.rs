//! When no server lives: who is asked, how soon their return is noticed, and that askers do not pile up.

use crate::*;

/// The longest rest while none lives, up to a tenth longer.
const LONGEST_REST_OF_ALL: Duration = Duration::from_millis(16_500);

#[test]
fn all_dead_and_back_again_is_noticed_at_once() {
    let mut lab = Lab::new(2, 0);
    assert_eq!(lab.ask().0.verdict(), AnswerKind::Answer);
    for place in [0, 1] {
        lab.link(place, Link::Drop);
    }
    let (lookup, took) = lab.ask();
    assert_eq!(lookup.verdict(), AnswerKind::Timeout);
    assert!(took < 7 * SECOND, "{took:?}");
    for _ in 0..60 {
        lab.wait(7 * SECOND);
        let (lookup, took) = lab.ask();
        assert_eq!((lookup.verdict(), lookup.permanent), (AnswerKind::Timeout, false));
        assert_eq!(said(&lookup).len(), 2, "both are asked, once");
        assert!(took < 4 * SECOND, "{took:?}");
    }
    assert_eq!(lab.recoveries(), 0);
    lab.link(1, Link::Up);
    let name = format!("d{}.test", lab.questions);
    let (kept, _) = lab.ask_for(&name, Agreement::First);
    assert_eq!(kept.verdict(), AnswerKind::Timeout, "a failure is kept for a moment");
    let (lookup, took) = lab.ask();
    assert_eq!(lookup.verdict(), AnswerKind::Answer);
    assert!(took <= 500 * MS, "by the question, before any health question: {took:?}");
    assert_eq!(lab.recoveries(), 1);
    let (again, _) = lab.ask_for(&name, Agreement::First);
    assert_eq!(again.verdict(), AnswerKind::Answer, "failures of the outage went with it");

    lab.link(1, Link::Drop);
    let _ = lab.ask();
    for place in [0, 1] {
        lab.link(place, Link::Up);
    }
    lab.wait(LONGEST_REST + SECOND);
    assert_eq!(lab.recoveries(), 2, "by health questions alone, and once for both");
    assert!(lab.resolver().servers().iter().all(|health| !health.is_dead()));
}

#[test]
fn with_all_dead_a_thousand_askers_do_not_pile_up() {
    let lab = Lab::new(2, 0);
    for place in [0, 1] {
        lab.behave(place, Behaviour::Drop);
    }
    let (resolver, began) = (lab.resolver().clone(), lab.sim.now());
    lab.sim.block_on(&lab.us, async move {
        let asks = (0..1_000)
            .map(|i| (resolver.clone(), format!("d{}.test", i % 5)))
            .map(|(r, name)| async move { r.ask(&name, RecordType::Mx, Agreement::First).await });
        for lookup in futures_util::future::join_all(asks).await {
            assert_eq!(lookup.verdict(), AnswerKind::Timeout);
        }
    });
    assert!(lab.sim.now() - began < 7 * SECOND);
    let asked = [0, 1].map(|place| lab.asked(place));
    assert!(
        asked.iter().all(|n| *n <= 16),
        "five names, three times each, and the root: {asked:?}"
    );
}

#[test]
fn when_the_last_one_dies_too_the_return_of_one_long_dead_is_noticed_soon() {
    // Each finds the one that is long dead at another moment of its rest of a minute.
    for into_its_rest in (0..60).step_by(6) {
        let mut lab = Lab::new(2, 0);
        lab.link(0, Link::Drop);
        let _ = lab.ask();
        lab.wait(400 * SECOND + into_its_rest * SECOND);
        assert!(lab.ask_many(3).1 && lab.health(0).is_dead() && !lab.health(1).is_dead());
        lab.link(1, Link::Drop);
        assert_eq!(lab.ask().0.verdict(), AnswerKind::Timeout);
        assert!(lab.health(1).is_dead());
        let due = lab.health(0).next_health.unwrap().since(lab.us.world().wall());
        assert!(due <= LONGEST_REST_OF_ALL, "what is told of it is so, too: {due:?}");
        lab.link(0, Link::Up);
        let began = lab.sim.now();
        while lab.recoveries() == 0 && lab.sim.now() - began < 2 * LONGEST_REST {
            lab.wait(SECOND / 2);
        }
        let took = lab.sim.now() - began;
        assert!(took <= LONGEST_REST_OF_ALL + 4 * SECOND, "{into_its_rest}: {took:?}");
    }
}

#[test]
fn the_last_one_that_dies_again_and_again_does_not_put_off_the_health_questions_to_the_other() {
    let mut lab = Lab::new(2, 0);
    lab.behave(0, Behaviour::Drop);
    let _ = lab.ask();
    lab.wait(400 * SECOND);
    // Only health questions are about the root, every second one.
    let about_root = |lab: &Lab| {
        let asked = lab.servers[0].asked();
        asked.iter().filter(|asked| asked.name.is_empty()).count()
    };
    let (before, began) = (about_root(&lab), lab.sim.now());
    while lab.sim.now() - began < 180 * SECOND {
        lab.link(1, Link::Refuse);
        let _ = lab.ask();
        assert!(lab.health(1).is_dead());
        lab.link(1, Link::Up);
        lab.wait(6 * SECOND);
        assert!(!lab.health(1).is_dead());
    }
    assert!(about_root(&lab) - before >= 3, "{}", about_root(&lab) - before);
}
