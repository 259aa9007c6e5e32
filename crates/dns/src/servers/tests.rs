//! Servers ranked, dying and coming back, on a clock of the table's own.

use super::*;
use crate::meaning::Meaning;
use posthaste_evidence::{RecordType, Transport};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Some servers and a clock of their own.
struct Table {
    servers: Servers,
    now: Instant,
}

impl Table {
    fn of(primaries: u8, fallback: u8) -> Self {
        let named = |n: u8| NameServer::from(SocketAddr::from(([192, 0, 2, n], 53)));
        Self::with(&Settings {
            servers: (0..primaries).map(named).collect(),
            fallback: (100..100 + fallback).map(named).collect(),
            ..Settings::default()
        })
    }

    fn with(settings: &Settings) -> Self {
        Self { servers: Servers::new(settings), now: Instant(0) }
    }

    fn at(&self) -> (Instant, Timestamp) {
        (self.now, Timestamp::EPOCH.plus(self.now - Instant(0)))
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// A server is asked and says this after so long.
    fn says(&mut self, place: usize, kind: AnswerKind, took: Duration) -> Turns {
        self.says_of("example.org", place, kind, took)
    }

    fn says_of(&mut self, name: &str, place: usize, kind: AnswerKind, took: Duration) -> Turns {
        let manner = self.servers.asking(place, self.now).unwrap().1;
        let (began, heard) = (self.now, heard(kind));
        self.wait(took);
        let question = (name.to_owned(), RecordType::Mx);
        let lesson =
            Lesson { question: &question, manner, began, heard: &heard, contradicted: false };
        self.servers.learn(place, &lesson, self.at()).0
    }

    /// A silent server is asked whether it is there, and says this after so long.
    fn is_checked(&mut self, place: usize, kind: AnswerKind, took: Duration) -> Turns {
        let (_, manner, question) = self.servers.check_question(place, self.now).unwrap();
        assert_eq!(question, (String::new(), RecordType::Ns));
        let (began, heard) = (self.now, heard(kind));
        self.wait(took);
        let lesson =
            Lesson { question: &question, manner, began, heard: &heard, contradicted: false };
        self.servers.checked(place, &lesson, self.at()).0
    }

    fn line(&self) -> Vec<usize> {
        self.servers.order(self.now).line
    }

    fn states(&self) -> String {
        let letter = |health: &ServerHealth| match health.state {
            ServerState::Good => 'g',
            ServerState::Slow => 's',
            ServerState::Dead { .. } => 'd',
        };
        self.servers.health(self.now).iter().map(letter).collect()
    }
}

fn heard(kind: AnswerKind) -> Heard {
    let silent = matches!(kind, AnswerKind::Timeout | AnswerKind::Unreachable);
    let meaning = Meaning { legible: !silent, ..Meaning::failure(kind, Transport::Udp) };
    Heard { meaning, reply: None, strangers: 0, folds_case: false }
}

#[test]
fn the_configured_order_counts_among_near_equals() {
    for (times, line, story) in [
        ([5, 5, 5], [0, 1, 2], "equals"),
        ([20, 2, 4], [0, 1, 2], "within 20 ms"),
        ([23, 2, 4], [1, 2, 0], "more than 20 ms and twice as slow"),
        ([150, 80, 90], [0, 1, 2], "less than twice as slow"),
        ([170, 80, 400], [1, 0, 2], "more than that"),
    ] {
        let mut table = Table::of(3, 0);
        assert_eq!(table.line(), [0, 1, 2], "nothing is known");
        for (place, time) in times.into_iter().enumerate() {
            table.says(place, AnswerKind::Answer, time * MS);
        }
        assert_eq!(table.line(), line, "{story}");
    }
    let mut table = Table::of(2, 0);
    table.says(0, AnswerKind::Answer, 250 * MS);
    assert_eq!(table.line(), [0, 1], "the other one is not known to be quicker");
    let mut table = Table::of(2, 0);
    for _ in 0..9 {
        table.says(0, AnswerKind::Answer, 2 * MS);
        table.says(1, AnswerKind::Answer, 2 * MS);
    }
    table.says(0, AnswerKind::Answer, 2_900 * MS);
    for _ in 0..6 {
        table.says(0, AnswerKind::Answer, 2 * MS);
    }
    assert_eq!(table.line(), [0, 1], "one very slow name is soon forgotten");
}

#[test]
fn a_slow_server_is_asked_beside_the_quick_one_until_it_is_quick_again() {
    let mut table = Table::of(2, 0);
    table.says(0, AnswerKind::Answer, 200 * MS);
    table.says(1, AnswerKind::Answer, 2 * MS);
    assert_eq!((table.line(), table.states().as_str()), (vec![1, 0], "sg"));
    let mut shadows = 0;
    for _ in 0..1_000 {
        table.wait(SECOND);
        let order = table.servers.order(table.now);
        if order.line[0] == 0 {
            break;
        }
        shadows += order.shadows.len();
        for place in order.shadows {
            assert!(!order.line.contains(&place));
            table.says(place, AnswerKind::Answer, 2 * MS);
        }
        table.says(1, AnswerKind::Answer, 2 * MS);
    }
    assert_eq!((table.line(), table.states().as_str()), (vec![0, 1], "gg"));
    assert!((10..30).contains(&shadows), "each ten seconds: {shadows}");
}

#[test]
fn a_server_that_fails_now_and_then_comes_after_one_that_does_not() {
    let mut table = Table::of(2, 0);
    for round in 0..40 {
        table.says(1, AnswerKind::Answer, 2 * MS);
        table.says(0, AnswerKind::Answer, 2 * MS);
        if round % 4 == 0 {
            // Silent to one question, while it answers others: not dead.
            let manner = table.servers.asking(0, table.now).unwrap().1;
            let (began, question) = (table.now, ("slow.example".to_owned(), RecordType::Mx));
            table.says(0, AnswerKind::Answer, 2 * MS);
            table.wait(3 * SECOND);
            let meaning = Meaning::failure(AnswerKind::Timeout, Transport::Udp);
            let heard = Heard { meaning, reply: None, strangers: 0, folds_case: false };
            let lesson =
                Lesson { question: &question, manner, began, heard: &heard, contradicted: false };
            assert_eq!(table.servers.learn(0, &lesson, table.at()).0, Turns::default());
        }
    }
    assert_eq!((table.line(), table.states().as_str()), (vec![1, 0], "sg"));
}

#[test]
fn a_silent_server_is_dead_and_rests_longer_and_longer() {
    let mut table = Table::of(2, 1);
    let turns = table.says(0, AnswerKind::Timeout, 3 * SECOND);
    assert_eq!(turns, Turns { doubted: true, ..Turns::default() }, "it may be the name's");
    assert!(!table.servers.all_silent());
    let again = table.says(0, AnswerKind::Timeout, 3 * SECOND);
    assert_eq!(again, Turns::default(), "it is being asked already");
    assert_eq!(table.is_checked(0, AnswerKind::Timeout, SECOND).died, Some(1));
    assert_eq!(table.is_checked(0, AnswerKind::Timeout, SECOND), Turns::default());
    assert_eq!(table.states(), "dgg");
    let order = table.servers.order(table.now);
    let expected = Order { line: vec![1], fallback: vec![2], dead: vec![0], shadows: Vec::new() };
    assert_eq!(order, expected);
    let mut rests = Vec::new();
    for jitter in [500, 500, 500, 500, 500, 0, 1_000] {
        let rest = table.servers.rest(0, 1, jitter, table.at().1).unwrap();
        rests.push(u64::try_from(rest.as_millis()).unwrap());
        let names = |q: &Option<(NameServer, Manner, Key)>| q.clone().unwrap().2.0;
        let question = table.servers.health_question(0, 1, table.now);
        let expected = if rests.len() % 2 == 0 { "example.org" } else { "" };
        assert_eq!(names(&question), expected);
        let told = table.says_of(expected, 0, AnswerKind::Timeout, 3 * SECOND);
        assert_eq!(told, Turns::default());
    }
    assert_eq!(rests, [5_000, 10_000, 20_000, 40_000, 60_000, 54_000, 66_000]);
    let turns = table.says(0, AnswerKind::ServFail, MS);
    assert_eq!(turns, Turns { revived: true, ..Turns::default() }, "what it says does not matter");
    assert_eq!(table.servers.rest(0, 1, 0, table.at().1), None);
    assert!(table.servers.health_question(0, 1, table.now).is_none());
    assert_eq!((table.line(), table.states().as_str()), (vec![0, 1], "ggg"));
    assert_eq!(table.says(0, AnswerKind::Unreachable, MS).died, Some(2), "another death");
}

#[test]
fn a_silent_server_that_says_anything_to_the_question_about_no_name_lives() {
    for (kind, dies) in [
        (AnswerKind::Answer, false),
        (AnswerKind::NxDomain, false),
        (AnswerKind::ServFail, false),
        (AnswerKind::Refused, false),
        (AnswerKind::FormErr, false),
        (AnswerKind::Timeout, true),
        (AnswerKind::Unreachable, true),
    ] {
        let mut table = Table::of(1, 0);
        for round in 1..=4 {
            let turns = table.says(0, AnswerKind::Timeout, 3 * SECOND);
            assert!(turns.doubted && table.servers.all_silent() && !table.servers.all_dead());
            let turns = table.is_checked(0, kind, MS);
            assert_eq!(turns.died.is_some(), dies, "{kind:?}, {round}");
            assert_eq!(table.servers.all_silent(), dies);
            if dies {
                let failed = ("example.org".to_owned(), RecordType::Mx);
                let asked =
                    |table: &mut Table| table.servers.health_question(0, 1, table.now).unwrap().2;
                assert_eq!((asked(&mut table).0.as_str(), asked(&mut table)), ("", failed));
                break;
            }
        }
    }
    let mut table = Table::of(1, 0);
    assert!(table.says(0, AnswerKind::Timeout, 3 * SECOND).doubted);
    table.says_of("good.example", 0, AnswerKind::Answer, MS);
    let turns = table.is_checked(0, AnswerKind::Timeout, SECOND);
    assert_eq!(turns, Turns::default(), "it answered another question meanwhile");
}

#[test]
fn when_all_are_dead_the_first_to_answer_is_a_recovery() {
    let mut table = Table::of(2, 1);
    for place in 0..3 {
        assert!(!table.servers.all_dead());
        table.says(place, AnswerKind::Unreachable, MS);
    }
    assert!(table.servers.all_dead());
    let order = table.servers.order(table.now);
    assert_eq!((order.line.len(), order.fallback.len(), order.dead), (0, 0, vec![0, 1, 2]));
    let question = ("example.org".to_owned(), RecordType::Mx);
    let mut recovered = Vec::new();
    for place in [1, 0] {
        let meaning = Meaning::failure(AnswerKind::NxDomain, Transport::Udp);
        let heard = Heard { meaning, reply: None, strangers: 0, folds_case: false };
        let (manner, began) = (Manner::default(), table.now);
        let lesson =
            Lesson { question: &question, manner, began, heard: &heard, contradicted: false };
        recovered.push(table.servers.learn(place, &lesson, table.at()).1);
    }
    assert_eq!(recovered, [true, false]);
    assert_eq!(table.servers.order(table.now).line, [0, 1]);
}

#[test]
fn what_others_answer_speaks_against_who_does_not() {
    let question = ("example.org".to_owned(), RecordType::Mx);
    for (kind, needed) in [
        (AnswerKind::Refused, Some(1)),
        (AnswerKind::NotImp, Some(1)),
        (AnswerKind::Lame, Some(1)),
        (AnswerKind::ServFail, Some(3)),
        (AnswerKind::OtherRcode(9), Some(3)),
        (AnswerKind::Bogus, None),
    ] {
        let mut table = Table::of(2, 0);
        let times = (1..20).find(|_| {
            table.says(0, kind, MS);
            let at = table.at().1;
            table.servers.contradict(0, kind, &question, at).died.is_some()
                || table.servers.health(table.now)[0].is_dead()
        });
        assert_eq!(times, needed, "{kind:?}");
    }
    let mut table = Table::of(2, 0);
    for _ in 0..100 {
        table.says(0, AnswerKind::ServFail, MS);
        let at = table.at().1;
        assert_eq!(table.servers.contradict(0, AnswerKind::ServFail, &question, at).died, None);
        for _ in 0..4 {
            table.says_of("good.example", 0, AnswerKind::Answer, MS);
        }
    }
    assert_eq!(table.states(), "gg", "one bad name among five is not the server's fault");
}

#[test]
fn a_server_dead_by_servfail_must_have_an_answer_to_be_back() {
    let mut table = Table::of(2, 0);
    let question = ("example.org".to_owned(), RecordType::Mx);
    for _ in 0..3 {
        table.says(0, AnswerKind::ServFail, MS);
        let _ = table.servers.contradict(0, AnswerKind::ServFail, &question, table.at().1);
    }
    assert_eq!(table.states(), "dg");
    for _ in 0..4 {
        let asked = table.servers.health_question(0, 1, table.now).unwrap();
        assert_eq!(asked.2, question, "the question that it failed, each time");
        assert!(!table.says(0, AnswerKind::ServFail, MS).revived);
    }
    assert!(table.says(0, AnswerKind::NoData, MS).revived);
    table.says(0, AnswerKind::ServFail, MS);
    assert_eq!(
        table.servers.contradict(0, AnswerKind::ServFail, &question, table.at().1).died,
        None
    );
}

#[test]
fn refusals_nobody_contradicts_are_believed_to_be_the_servers_after_three() {
    let mut table = Table::of(1, 0);
    let died: Vec<bool> =
        (0..4).map(|_| table.says(0, AnswerKind::Refused, MS).died.is_some()).collect();
    assert_eq!(died, [false, false, true, false]);
    let health = &table.servers.health(table.now)[0];
    assert_eq!(health.failures, [(AnswerKind::Refused, 4)]);
    assert_eq!((health.asked, health.answered, health.failed()), (4, 0, 4));
}

#[test]
fn servers_of_equal_standing_take_turns() {
    let named = |n: u8| NameServer::from(SocketAddr::from(([192, 0, 2, n], 53)));
    let servers = (0..3).map(named).collect();
    let mut table = Table::with(&Settings { servers, rotate: true, ..Settings::default() });
    let first = |table: &Table| table.line()[0];
    assert_eq!([first(&table), first(&table), first(&table), first(&table)], [0, 1, 2, 0]);
    table.says(1, AnswerKind::Unreachable, MS);
    let firsts: Vec<usize> = (0..4).map(|_| first(&table)).collect();
    assert!(firsts.windows(2).all(|pair| pair[0] != pair[1]) && !firsts.contains(&1));
}

#[test]
fn kinds_of_failure_are_counted_within_bounds() {
    let mut health = ServerHealth::unknown(&SocketAddr::from(([192, 0, 2, 1], 53)).into(), false);
    for code in 0..100 {
        health.count(AnswerKind::OtherRcode(code));
        health.count(AnswerKind::Timeout);
    }
    assert_eq!((health.failures.len(), health.failed()), (MAX_KINDS, 200));
    assert!(health.failures.contains(&(AnswerKind::Timeout, 100)));
}
