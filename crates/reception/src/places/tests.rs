//! Places: how many there are, who makes room, and that all are counted right.

use super::*;
use std::time::Duration;

fn from(ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse().expect("an address"), 4000)
}

const fn seats(all: usize, per_client: usize, per_network: usize) -> Seats {
    Seats { all, per_client, per_network, stranger: true }
}

fn at(seconds: u64) -> Instant {
    Instant::default() + Duration::from_secs(seconds)
}

#[test]
fn places_are_limited_in_all_and_per_client() {
    let places = Arc::new(Places::default());
    let take = |ip: &str| places.take(from(ip), seats(4, 2, 3), at(0)).map(|(place, _)| place);
    let first = take("192.0.2.1").expect("free");
    let _second = take("::ffff:192.0.2.1").expect("free");
    assert_eq!(take("192.0.2.1").err(), Some(NoPlace::Client));
    let _third = take("2001:db8::1").expect("free");
    let _fourth = take("2001:db8::ffff").expect("free");
    assert_eq!(take("2001:db8:0:1::2").err(), Some(NoPlace::Soon), "none has begun");
    drop(first);
    assert_eq!(take("2001:db8::3").err(), Some(NoPlace::Client));
    assert!(take("192.0.2.1").is_ok());
}

#[test]
fn a_network_has_its_limit_whoever_is_in_it() {
    let places = Arc::new(Places::default());
    let take = |ip: &str| places.take(from(ip), seats(100, 100, 2), at(0)).map(|(place, _)| place);
    for (first, second, third, other) in [
        ("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.3.1"),
        ("2001:db8:1:1::1", "2001:db8:1:2::1", "2001:db8:1:3::1", "2001:db8:2::1"),
    ] {
        let first = take(first).expect("free");
        let _second = take(second).expect("free");
        assert_eq!(take(third).err(), Some(NoPlace::Network));
        assert!(take(other).is_ok());
        drop(first);
        assert!(take(third).is_ok());
    }
}

#[test]
fn programs_on_this_machine_and_clients_do_not_shut_each_other_out() {
    let places = Arc::new(Places::default());
    let program = |user| places.take_local(Some(user), 4, 2);
    let _first = program(33).expect("free");
    let second = program(33).expect("free");
    assert_eq!(program(33).err(), Some(NoPlace::User));
    let _others = [program(34).expect("free"), program(35).expect("free")];
    assert_eq!(program(36).err(), Some(NoPlace::Full));
    let client = || places.take(from("192.0.2.1"), seats(2, 9, 9), at(0));
    let _clients = [client().expect("free"), client().expect("free")];
    assert_eq!(client().err(), Some(NoPlace::Soon));
    assert_eq!(places.count(), 6);
    drop(second);
    let again = program(33).expect("free");
    assert_eq!(client().err(), Some(NoPlace::Soon));
    drop((again, places.take_local(None, 9, 9)));
    assert_eq!(places.taken.lock().users.len(), 3);
}

#[test]
fn a_client_that_left_is_forgotten() {
    let places = Arc::new(Places::default());
    drop(places.take(from("192.0.2.1"), seats(1, 1, 1), at(0)));
    assert!(places.take(from("192.0.2.2"), seats(1, 0, 1), at(0)).is_err());
    drop(places.take_unknown(1, at(0)));
    assert_eq!(places.strangers.load(Ordering::Relaxed), 0);
    let taken = places.taken.lock();
    assert!(taken.clients.is_empty() && taken.networks.is_empty() && taken.sessions.is_empty());
    assert!(taken.order.is_empty());
}

/// Four places, taken by strangers who wait; each has come as far as said, at the second said.
fn four(came: [(Progress, u64); 4]) -> (Arc<Places>, Vec<Place>) {
    let places = Arc::new(Places::default());
    let take = |(i, (progress, since)): (usize, (Progress, u64))| {
        let peer = SocketAddr::from(([192, 0, 2, u8::try_from(i).expect("few")], 4000));
        let (place, _) = places.take(peer, seats(4, 9, 9), at(0)).expect("free");
        place.waits(true);
        match progress {
            Progress::Errors => place.errs(at(since)),
            progress => place.comes(progress, at(since)),
        }
        place
    };
    let four = came.into_iter().enumerate().map(take).collect();
    (places, four)
}

#[test]
fn who_has_come_least_far_makes_room_and_of_these_who_stood_still_longest() {
    use Progress::{Commands, Content, Errors, Mail, Nothing};
    for (came, expected) in [
        ([(Nothing, 3), (Nothing, 2), (Commands, 1), (Mail, 0)], vec![1, 0, 2, 3]),
        ([(Mail, 1), (Content, 1), (Commands, 9), (Nothing, 10)], vec![3, 2, 1, 0]),
        ([(Commands, 5), (Commands, 4), (Commands, 3), (Commands, 10)], vec![2, 1, 0, 3]),
        ([(Content, 95), (Mail, 97), (Content, 80), (Mail, 80)], vec![2, 3, 0, 1]),
        ([(Nothing, 1), (Errors, 99), (Commands, 1), (Errors, 98)], vec![3, 1, 0, 2]),
        ([(Nothing, 100), (Commands, 100), (Content, 95), (Mail, 20)], vec![3, 2, 0, 1]),
        ([(Content, 100), (Mail, 100), (Content, 99), (Content, 100)], vec![2]),
    ] {
        let (places, four) = four(came);
        let mut went = Vec::new();
        let mut newcomers = Vec::new();
        while let Ok((newcomer, made)) = places.take(from("198.51.100.1"), seats(4, 9, 9), at(100))
        {
            assert!(made, "{came:?}");
            newcomers.push(newcomer);
            let gone = |i: &usize| four[*i].closing(Amid::Content) == Some(Closing::MakingRoom);
            went.extend((0..4).filter(|i| !went.contains(i)).filter(gone).collect::<Vec<_>>());
        }
        assert_eq!(went, expected, "{came:?}");
        assert_eq!(places.taken.lock().leaving, went.len());
        drop(four);
        let held = places.taken.lock().sessions.len();
        assert_eq!((places.taken.lock().leaving, held), (0, newcomers.len()));
        drop(newcomers);
        assert_eq!(places.strangers.load(Ordering::Relaxed), 0);
        assert!(places.taken.lock().order.is_empty());
    }
}

#[test]
fn who_is_at_work_or_trusted_makes_no_room_and_the_trusted_have_a_reserve() {
    let places = Arc::new(Places::default());
    let stranger = || places.take(from("192.0.2.1"), seats(20, 99, 99), at(1));
    let friend = || {
        let friend = Seats { stranger: false, ..seats(20, 99, 99) };
        places.take(from("127.0.0.1"), friend, at(1))
    };
    let mut strangers: Vec<Place> = (0..18).map(|_| stranger().expect("free").0).collect();
    assert_eq!(stranger().err(), Some(NoPlace::Soon), "the rest is the reserve");
    assert!(places.is_stressed(20) && !places.is_stressed(30));
    let friends = [friend().expect("reserved").0, friend().expect("reserved").0];
    assert_eq!(friend().err(), Some(NoPlace::Soon));
    strangers[7].waits(true);
    let (third, made) = friend().expect("one waits");
    assert!(made && strangers[7].closing(Amid::Content) == Some(Closing::MakingRoom));
    strangers[8].waits(true);
    strangers[8].trust();
    assert_eq!(friend().err(), Some(NoPlace::Soon), "it is trusted now");
    drop(strangers.remove(8));
    assert_eq!(places.strangers.load(Ordering::Relaxed), 16);
    drop((friends, third, strangers));
    assert_eq!((places.count(), places.strangers.load(Ordering::Relaxed)), (0, 0));
}

#[test]
fn behind_a_proxy_the_client_counts_and_not_the_proxy() {
    let places = Arc::new(Places::default());
    let unknown = || places.take_unknown(9, at(0)).expect("free").0;
    let ip = |text: &str| text.parse().expect("an address");
    let mut first = unknown();
    assert_eq!(first.identify(ip("203.0.113.1"), seats(9, 1, 9)), Ok(()));
    assert_eq!(unknown().identify(ip("203.0.113.1"), seats(9, 1, 9)), Err(NoPlace::Client));
    assert_eq!(unknown().identify(ip("203.0.113.2"), seats(9, 1, 9)), Ok(()));
    assert_eq!(places.strangers.load(Ordering::Relaxed), 1);
    let friend = Seats { stranger: false, ..seats(9, 9, 9) };
    let mut second = unknown();
    assert_eq!(second.identify(ip("203.0.113.3"), friend), Ok(()));
    assert_eq!(places.strangers.load(Ordering::Relaxed), 1, "a friend is no stranger");
    assert_eq!(places.count(), 2);
}
