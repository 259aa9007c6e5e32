//! The session log of a whole system: what came in and what went out can be read back, by the names the events give.

use crate::words::*;
use posthaste_evidence::session::Side;
use posthaste_evidence::{Ended, EventKind, Session, Stage, Who};
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_sim::Plan;

fn dialogue(session: &Session) -> String {
    let client = if matches!(session.side, Side::In { .. }) { Who::They } else { Who::We };
    let lines = session.tape.lines(client).into_iter();
    lines.map(|line| format!("{}\n", line.text)).collect()
}

#[test]
fn a_message_leads_to_the_sessions_it_came_and_went_in() {
    let system = up(Plan::domain("d.test", 2));
    let no = Action::Reply("554 5.3.2 not here".into());
    peer(&system, "mx0.d.test").set(Script::default().always(Step::Greeting, no));
    send(&system, 1, &["r@d.test"]);
    until_quiet(&system, MINUTE);
    // The idle line says good-bye.
    system.sim.run_for(MINUTE * 10);
    let events = system.relay.journal().events();
    let came = events.iter().find_map(|event| match &event.kind {
        EventKind::Received { session, .. } => *session,
        _ => None,
    });
    let went = events.iter().find_map(|event| match &event.kind {
        EventKind::Tried { session, .. } => *session,
        _ => None,
    });
    let sessions = system.relay.journal().sessions();
    let of = |id| sessions.iter().filter(|s| Some(s.id) == id).collect::<Vec<_>>();
    let [came] = of(came)[..] else { panic!("one came") };
    assert!(dialogue(came).contains("RCPT TO:<r@d.test>") && came.carried == 1);
    // The host that did not greet has its session too, in the same try.
    let [first, second] = of(went)[..] else { panic!("two went") };
    assert_eq!(first.refusals[0].stage, Some(Stage::Banner));
    assert!(dialogue(first).starts_with("554 5.3.2 not here"));
    let told = dialogue(second);
    assert!(told.contains("MAIL FROM:<") && told.contains("[content, "), "{told}");
    assert_eq!((second.ended, second.messages.clone()), (Ended::Quit, came.messages.clone()));
    assert!(!told.contains("Subject"), "{told}");
}
