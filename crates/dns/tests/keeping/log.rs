//! What the DNS log is told: every question put to servers, with every server's answer; nothing of the cache's.

use crate::lab::{Lab, SECOND, address};
use posthaste_dns::Agreement;
use posthaste_evidence::{AnswerKind, DnsQuestion, Effect, KeepDns, Purpose, RecordType, Seen};
use posthaste_io_sim::Link;
use posthaste_peers::dns::Behaviour;

const ZONE: &str = "d.test 60 MX 10 mx.d.test\nmx.d.test A 192.0.2.80\nalias.test CNAME d.test";

fn told(lab: &Lab) -> Vec<DnsQuestion> {
    lab.us.journal().questions()
}

fn recording(keep: KeepDns) -> Lab {
    let lab = Lab::new(ZONE);
    lab.us.journal().keep_dns(keep);
    lab
}

#[test]
fn a_question_is_told_once_with_every_servers_answer() {
    let lab = recording(KeepDns::All);
    lab.servers[0].behave("*", None, Behaviour::Rcode(2));
    for _ in 0..5 {
        lab.ask("d.test", RecordType::Mx);
    }
    let [question] = &told(&lab)[..] else { panic!("{:?}", told(&lab)) };
    assert_eq!((question.name.as_str(), question.kind), ("d.test", RecordType::Mx));
    assert_eq!((question.answer.kind, question.by), (AnswerKind::Answer, Some(address(2))));
    assert_eq!((question.purpose, question.askers, question.stale), (Purpose::Answer, 1, false));
    assert!(question.took > std::time::Duration::ZERO && !question.secure);
    let said: Vec<AnswerKind> = question
        .observations
        .iter()
        .filter_map(|o| match &o.seen {
            Seen::Answer(answer) => Some(answer.kind),
            _ => None,
        })
        .collect();
    assert_eq!(said, [AnswerKind::ServFail, AnswerKind::Answer]);
}

#[test]
fn a_stale_answer_a_confirmation_and_a_health_question_are_said() {
    let lab = recording(KeepDns::All);
    lab.ask("d.test", RecordType::Mx);
    lab.run(|r| async move { r.ask("none.test", RecordType::Mx, Agreement::All).await });
    lab.wait(SECOND * 61);
    lab.link(Link::Drop);
    assert!(lab.ask("d.test", RecordType::Mx).0.answer.stale);
    lab.wait(SECOND * 60);
    let questions = told(&lab);
    let of = |purpose| questions.iter().filter(move |q| q.purpose == purpose);
    let [confirmed] = of(Purpose::Confirmation).collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!((confirmed.answer.kind, confirmed.observations.len()), (AnswerKind::NxDomain, 2));
    let stale: Vec<bool> = of(Purpose::Answer).map(|q| q.stale).collect();
    assert_eq!(stale, [false, true]);
    assert!(of(Purpose::Health).count() >= 2);
    assert!(of(Purpose::Health).all(|q| q.answer.kind == AnswerKind::Timeout));
    let failed = of(Purpose::Answer).next_back().unwrap();
    assert!(failed.observations.iter().all(|o| o.effect == Effect::Degrading));
}

#[test]
fn the_setting_says_what_is_told() {
    for (keep, expected) in [(KeepDns::All, 2), (KeepDns::Failed, 1), (KeepDns::Off, 0)] {
        let lab = recording(keep);
        lab.ask("d.test", RecordType::Mx);
        lab.servers.iter().for_each(|server| server.behave("*", None, Behaviour::Rcode(2)));
        lab.ask("mx.d.test", RecordType::A);
        assert_eq!(told(&lab).len(), expected, "{keep:?}");
    }
    let lab = Lab::new(ZONE);
    lab.ask("d.test", RecordType::Mx);
    assert_eq!(told(&lab), [], "none unless somebody says so");
}
