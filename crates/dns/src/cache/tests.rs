//! The cache by itself: how long, how much, what goes first, and what is used past its time.

use super::*;
use posthaste_evidence::Transport;

fn found(kind: AnswerKind, ttl: u32, agreed: bool) -> Arc<Found> {
    let answer = Answer { ttl, ..Answer::empty(kind, Transport::Udp) };
    Arc::new(Found { answer, next: None, agreed, by: None, observations: Vec::new() })
}

fn key(name: &str) -> Key {
    (name.to_owned(), RecordType::Mx)
}

const fn secs(n: u64) -> Instant {
    Instant(n * 1_000_000_000)
}

/// The sums that the cache keeps are those of its entries, and each key is in one line, once.
fn check(cache: &Cache, settings: &Settings) {
    let octets = |proven| {
        let of_line = cache.entries.values().filter(|e| e.proven == proven);
        of_line.map(|e| e.octets).sum::<usize>()
    };
    assert_eq!(cache.octets, octets(true) + octets(false));
    assert_eq!(cache.young_octets, octets(false));
    assert_eq!(cache.young.len() + cache.proven.len(), cache.entries.len());
    assert!(cache.young.iter().all(|key| !cache.entries[key].proven));
    assert!(cache.proven.iter().all(|key| cache.entries[key].proven));
    let kept = cache.kept();
    assert!(kept.entries <= settings.cache_entries && kept.octets <= settings.cache_octets);
}

#[test]
fn answers_are_kept_within_bounds() {
    let settings = Settings { failure_ttl: Duration::from_secs(300), ..Settings::default() };
    for (kind, ttl, expected) in [
        (AnswerKind::Answer, 0, 5),
        (AnswerKind::Answer, 300, 300),
        (AnswerKind::Answer, u32::MAX, 86_400),
        (AnswerKind::NoData, 0, 5),
        (AnswerKind::NxDomain, 86_400, 900),
        (AnswerKind::ServFail, 86_400, 30),
        (AnswerKind::Timeout, 0, 30),
    ] {
        let kept = kept_for(&found(kind, ttl, false).answer, &settings);
        assert_eq!(kept, Duration::from_secs(expected), "{kind:?} {ttl}");
    }
    let failure = Answer::empty(AnswerKind::Refused, Transport::Udp);
    assert_eq!(kept_for(&failure, &Settings::default()), Duration::from_secs(5));
}

#[test]
fn an_answer_ends_with_its_ttl_and_is_stale_for_a_day() {
    let mut cache = Cache::default();
    let settings = Settings::default();
    cache.put(key("a"), found(AnswerKind::Answer, 60, false), &settings, secs(100));
    let mut at = |n| cache.get(&key("a"), Agreement::All, secs(n));
    assert!(matches!(at(159), Some(Hit::Fresh(_, age)) if age == Duration::from_secs(59)));
    for n in [160, 160 + 86_399] {
        assert!(matches!(at(n), Some(Hit::Stale { instead: None, age, .. })
            if age == Duration::from_secs(n - 100)));
    }
    assert_eq!(at(160 + 86_400), None);
    assert_eq!(cache.get(&key("b"), Agreement::First, secs(100)), None);
}

#[test]
fn only_records_are_used_past_their_time() {
    let settings = Settings::default();
    for kind in [AnswerKind::NoData, AnswerKind::NxDomain, AnswerKind::ServFail] {
        let mut cache = Cache::default();
        cache.put(key("a"), found(kind, 60, true), &settings, secs(0));
        assert!(cache.get(&key("a"), Agreement::All, secs(4)).is_some());
        assert_eq!(cache.get(&key("a"), Agreement::First, secs(60)), None, "{kind:?}");
    }
    let mut cache = Cache::default();
    let never = Settings { stale_for: Duration::ZERO, ..settings };
    cache.put(key("a"), found(AnswerKind::Answer, 60, true), &never, secs(0));
    assert_eq!(cache.get(&key("a"), Agreement::First, secs(60)), None);
}

#[test]
fn a_failure_stands_beside_the_old_answer_and_a_denial_in_its_place() {
    let settings = Settings::default();
    let mut cache = Cache::default();
    let put = |cache: &mut Cache, kind, at| {
        let came_upon = cache.put(key("a"), found(kind, 60, false), &settings, secs(at));
        check(cache, &settings);
        came_upon
    };
    let get = |cache: &mut Cache, at| cache.get(&key("a"), Agreement::First, secs(at));
    assert!(!put(&mut cache, AnswerKind::Answer, 0));
    assert!(put(&mut cache, AnswerKind::Timeout, 100));
    assert!(put(&mut cache, AnswerKind::ServFail, 100));
    assert!(matches!(get(&mut cache, 104), Some(Hit::Stale { instead: Some(failed), found, .. })
        if failed.answer.kind == AnswerKind::ServFail && found.answer.kind == AnswerKind::Answer));
    assert!(matches!(get(&mut cache, 105), Some(Hit::Stale { instead: None, .. })), "asked again");

    assert!(put(&mut cache, AnswerKind::Bogus, 110));
    assert!(matches!(get(&mut cache, 111), Some(Hit::Fresh(bogus, age))
        if bogus.answer.kind == AnswerKind::Bogus && age == Duration::from_secs(1)));
    assert!(matches!(get(&mut cache, 115), Some(Hit::Stale { .. })));

    assert!(!put(&mut cache, AnswerKind::NxDomain, 120));
    assert!(matches!(get(&mut cache, 121), Some(Hit::Fresh(missing, _))
        if missing.answer.kind == AnswerKind::NxDomain));
    assert_eq!(get(&mut cache, 180), None);
    assert!(!put(&mut cache, AnswerKind::Timeout, 181), "a denial is not kept past its time");
}

#[test]
fn a_negative_answer_of_one_server_is_not_everyones() {
    let mut cache = Cache::default();
    let settings = Settings::default();
    for (agreed, expected) in [(false, false), (true, true)] {
        cache.put(key("a"), found(AnswerKind::NxDomain, 60, agreed), &settings, secs(0));
        assert!(cache.get(&key("a"), Agreement::First, secs(1)).is_some());
        assert_eq!(cache.get(&key("a"), Agreement::All, secs(1)).is_some(), expected);
    }
}

#[test]
fn a_flood_of_names_passes_by_those_that_are_asked_for_again() {
    let settings = Settings { cache_entries: 100, ..Settings::default() };
    let mut cache = Cache::default();
    let hot: Vec<Key> = (0..60).map(|i| key(&format!("hot{i}"))).collect();
    for key in &hot {
        cache.put(key.clone(), found(AnswerKind::Answer, 86_400, false), &settings, secs(0));
        assert!(cache.get(key, Agreement::First, secs(1)).is_some());
    }
    for i in 0..10_000 {
        let name = key(&format!("flood{i}"));
        let news = found(AnswerKind::Answer, 86_400, false);
        cache.put(name, news, &settings, secs(2));
        check(&cache, &settings);
    }
    for key in &hot {
        assert!(cache.get(key, Agreement::First, secs(3)).is_some(), "{key:?}");
    }
    assert_eq!(cache.kept().entries, 100);
    assert_eq!(cache.kept().evicted, 10_060 - 100);
}

#[test]
fn proven_ones_that_nobody_wants_any_more_make_room_in_time() {
    let settings = Settings { cache_entries: 100, ..Settings::default() };
    let mut cache = Cache::default();
    let mut times = |generation: u32, at: u64| {
        for round in 0..6 {
            for i in 0..90 {
                let name = key(&format!("g{generation}n{i}"));
                if cache.get(&name, Agreement::First, secs(at)).is_none() {
                    let news = found(AnswerKind::Answer, 86_400, false);
                    cache.put(name, news, &settings, secs(at));
                }
                check(&cache, &settings);
            }
            // What is left of this generation once it has been asked for often.
            let kept = cache.entries.keys().filter(|k| k.0.starts_with(&format!("g{generation}n")));
            if round == 5 {
                return kept.count();
            }
        }
        0
    };
    assert!(times(1, 1) >= 80);
    let second = times(2, 2);
    assert!(second >= 80, "the new ones get in: {second}");
}

#[test]
fn those_that_are_gone_go_first_and_octets_are_bounded() {
    let settings = Settings { cache_octets: 200_000, ..Settings::default() };
    let mut cache = Cache::default();
    let large = |kind, octets: usize| {
        let mut found = (*found(kind, 60, false)).clone();
        let data = RecordData::Txt("x".repeat(octets));
        found.answer.records = vec![Record { name: "n".into(), ttl: 60, data }].into();
        Arc::new(found)
    };
    for i in 0..500 {
        let news = large(AnswerKind::Answer, 4_000);
        cache.put(key(&format!("n{i}")), news, &settings, secs(0));
        check(&cache, &settings);
    }
    assert!(cache.kept().entries >= 40, "{:?}", cache.kept());
    assert!(cache.kept().octets > 180_000);
    let before = cache.kept().entries;
    cache.put(key("monster"), large(AnswerKind::Answer, 13_000), &settings, secs(0));
    assert_eq!(cache.get(&key("monster"), Agreement::First, secs(1)), None, "too large a part");
    assert_eq!(cache.kept().entries, before);
    // A failure with much to tell counts, too.
    let last = key("n499");
    cache.put(last, large(AnswerKind::ServFail, 4_000), &settings, secs(30));
    check(&cache, &settings);
}

#[test]
fn a_name_is_forgotten_with_all_below_it() {
    let settings = Settings::default();
    let mut cache = Cache::default();
    for name in ["d.test", "mx.d.test", "a.b.d.test", "bad.test", "d.test.example", "test", ""] {
        cache.put(key(name), found(AnswerKind::Answer, 60, false), &settings, secs(0));
    }
    assert_eq!(cache.forget(Some("d.test")), 3);
    check(&cache, &settings);
    assert!(cache.get(&key("bad.test"), Agreement::First, secs(1)).is_some());
    assert_eq!(cache.forget(Some("nowhere")), 0);
    assert_eq!(cache.forget(Some("")), 4, "the root: all");
    cache.put(key("d.test"), found(AnswerKind::Answer, 60, false), &settings, secs(0));
    assert_eq!(cache.forget(None), 1);
    check(&cache, &settings);
    assert_eq!(cache.kept().entries, 0);
}

#[test]
fn one_name_is_forgotten_for_its_own_sake_however_much_is_kept() {
    let settings = Settings { cache_entries: 20, ..Settings::default() };
    let mut cache = Cache::default();
    let put = |cache: &mut Cache, key: Key, at| {
        cache.put(key, found(AnswerKind::Answer, 60, false), &settings, at);
        check(cache, &settings);
    };
    for kind in [RecordType::A, RecordType::Mx, RecordType::Rrsig] {
        put(&mut cache, ("com".to_owned(), kind), secs(0));
    }
    for name in ["d.com", "com.test", "co", "comx"] {
        put(&mut cache, key(name), secs(0));
    }
    assert_eq!(cache.forget_exactly("com", secs(1)), 3);
    check(&cache, &settings);
    assert_eq!(cache.forget_exactly("com", secs(1)), 0, "it is forgotten already");
    assert_eq!(cache.forget_exactly("nowhere", secs(1)), 0);
    assert_eq!(
        cache.get(&key("com"), Agreement::First, secs(1)),
        None,
        "nor is it used as an old answer"
    );
    for name in ["d.com", "com.test", "co", "comx"] {
        assert!(cache.get(&key(name), Agreement::First, secs(1)).is_some(), "{name}");
    }
    put(&mut cache, key("com"), secs(2));
    assert!(matches!(cache.get(&key("com"), Agreement::First, secs(3)), Some(Hit::Fresh(..))));
    for i in 0..100 {
        put(&mut cache, key(&format!("n{i}")), secs(4));
    }
}
