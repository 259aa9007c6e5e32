//! A door: accepts connections and gives each a session, or a refusal.

use crate::House;
use crate::places::{NoPlace, Place, Seats};
use crate::policy::{self, Door, Policy, Trust};
use crate::pressure::Pressure;
use crate::proxy::{self, Introduced, Missing, Unproxied};
use crate::rates::Deed;
use crate::session::{Conversation, Recorder};
use crate::settings::ListenerTls;
use futures_util::future::{Either, select};
use futures_util::task::AtomicWaker;
use posthaste_io::{Listener, Stream};
use posthaste_mail::Reply;
use std::future::poll_fn;
use std::io::IoSlice;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Programs on this machine may have one session for so many of the network's, beside those.
const LOCAL_SHARE: usize = 8;
/// One user may have this part of them.
const USER_SHARE: usize = 4;
/// How long a door waits for a place that is free soon: who was told to make room only has a reply to send, and does not
/// wait for the client to take it.
const SOON: Duration = Duration::from_millis(250);

/// Why a door accepts no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The service shuts down.
    Draining,
    /// No listener of this name is set any more.
    NotSet,
}

/// Which door.
#[derive(Clone, Copy)]
pub(crate) enum Which<'a> {
    /// One of the listeners.
    Named(&'a str),
    /// The one for programs on this machine.
    Local,
}

pub(crate) async fn serve(house: &Arc<House>, listener: &dyn Listener, which: Which<'_>) -> Ended {
    let waker = house.places.door();
    loop {
        let draining = poll_fn(|cx| {
            waker.register(cx.waker());
            if house.places.is_draining() { Poll::Ready(()) } else { Poll::Pending }
        });
        let stream = match select(pin!(draining), listener.accept()).await {
            Either::Left(((), _)) => return Ended::Draining,
            Either::Right((Ok(stream), _)) => stream,
            // The listener has rested already; what is wrong (no descriptors, say) is seen in the count.
            Either::Right((Err(_), _)) => {
                house.counters.accept_errors.one();
                continue;
            }
        };
        if !begin(house, stream, which, &waker).await {
            return Ended::NotSet;
        }
    }
}

/// False when the door is not set any more.
async fn begin(
    house: &Arc<House>,
    stream: Box<dyn Stream>,
    which: Which<'_>,
    waker: &AtomicWaker,
) -> bool {
    let policy = house.policy();
    let (door, trust) = match which {
        Which::Named(name) => {
            let Some(door) = policy.door(name) else { return false };
            let trust = policy.trust(&door, stream.peer().ip());
            (door, trust)
        }
        Which::Local => (policy.local_door(), Trust::Local),
    };
    let balancer = stream.peer().ip();
    if door.listener.proxy_from.iter().any(|network| network.contains(balancer)) {
        begin_behind(house, policy, door, stream, waker).await;
        return true;
    }
    if house.places.is_paused() {
        house.counters.refused_maintenance.one();
        let recorder = record(house, &policy, &door, &*stream);
        turn_away(stream, &door, &policy::maintenance(), recorder).await;
        return true;
    }
    let (rates, now) = (policy.rates(trust), house.world.clock.now());
    if !house.rates.allows(rates, Deed::Connection, stream.peer().ip(), now) {
        house.counters.refused_rates.one();
        let recorder = record(house, &policy, &door, &*stream);
        turn_away(stream, &door, &policy::too_many_connections(), recorder).await;
        return true;
    }
    let (peer, user) = (stream.peer(), stream.user());
    match soon(house, waker, || take_place(house, &policy, trust, peer, user)).await {
        Ok(place) => {
            house.counters.sessions.one();
            let number = place.number();
            let session = Conversation::new(Arc::clone(house), policy, door, trust, place, stream);
            let task = house.world.spawn.spawn("smtp session", Box::pin(session.run()));
            house.places.occupy(number, task);
        }
        Err(none) => {
            let recorder = record(house, &policy, &door, &*stream);
            turn_away(stream, &door, &no_place(house, none), recorder).await;
        }
    }
    true
}

/// Takes a place, and waits for one that is free soon.
async fn soon<T>(
    house: &House,
    waker: &AtomicWaker,
    take: impl Fn() -> Result<T, NoPlace>,
) -> Result<T, NoPlace> {
    let taken = take();
    if !matches!(taken, Err(NoPlace::Soon)) {
        return taken;
    }
    let taken = poll_fn(|cx| {
        waker.register(cx.waker());
        house.places.hold_up();
        match take() {
            Err(NoPlace::Soon) if !house.places.is_draining() => Poll::Pending,
            taken => Poll::Ready(taken),
        }
    });
    let taken = posthaste_io::within(&*house.world.clock, SOON, taken).await;
    taken.unwrap_or(Err(NoPlace::Full))
}

/// The client is known once the balancer has told: until then it has a place that counts for nobody.
async fn begin_behind(
    house: &Arc<House>,
    policy: Arc<Policy>,
    door: Arc<Door>,
    stream: Box<dyn Stream>,
    waker: &AtomicWaker,
) {
    let all = seats(house, &policy, Trust::Stranger).all;
    match soon(house, waker, || house.places.take_unknown(all, house.world.now())).await {
        Ok((place, made_room)) => {
            house.counters.made_room.add(u64::from(made_room));
            let number = place.number();
            let session = behind(Arc::clone(house), policy, door, place, stream);
            let task = house.world.spawn.spawn("smtp session", Box::pin(session));
            house.places.occupy(number, task);
        }
        Err(none) => {
            let recorder = record(house, &policy, &door, &*stream);
            turn_away(stream, &door, &no_place(house, none), recorder).await;
        }
    }
}

/// A session behind a balancer.
async fn behind(
    house: Arc<House>,
    policy: Arc<Policy>,
    door: Arc<Door>,
    mut place: Place,
    stream: Box<dyn Stream>,
) {
    let unknown = record(&house, &policy, &door, &*stream);
    let balancer = stream.peer().ip();
    let stream = match proxy::read(&*house.world.clock, stream, &place).await {
        Ok(Introduced::Client(stream)) => {
            unknown.forget();
            let trust = policy.trust(&door, stream.peer().ip());
            if let Some(refusal) = refusal_behind(&house, &policy, trust, &mut place, &*stream) {
                let recorder = record(&house, &policy, &door, &*stream);
                return turn_away(stream, &door, &refusal, recorder).await;
            }
            stream
        }
        Ok(Introduced::Itself(stream)) => {
            unknown.forget();
            stream
        }
        Err(missing) => return unproxied(&house, (balancer, &door), missing, unknown),
    };
    house.counters.sessions.one();
    let trust = policy.trust(&door, stream.peer().ip());
    Conversation::new(house, policy, door, trust, place, stream).run().await;
}

/// Why a client behind a balancer is turned away: what [`begin`] asks of others before they have a place.
fn refusal_behind(
    house: &House,
    policy: &Policy,
    trust: Trust,
    place: &mut Place,
    stream: &dyn Stream,
) -> Option<Reply> {
    let ip = stream.peer().ip();
    if house.places.is_paused() {
        house.counters.refused_maintenance.one();
        return Some(policy::maintenance());
    }
    if !house.rates.allows(policy.rates(trust), Deed::Connection, ip, house.world.now()) {
        house.counters.refused_rates.one();
        return Some(policy::too_many_connections());
    }
    let identified = place.identify(ip, seats(house, policy, trust));
    identified.err().map(|none| no_place(house, none))
}

/// A balancer that closes without a word only looked whether anybody listens.
fn unproxied(
    house: &House,
    (balancer, door): (IpAddr, &Door),
    missing: Missing,
    mut recorder: Recorder,
) {
    let reason = match missing {
        Missing::Gone => return recorder.forget(),
        Missing::Late => proxy::LATE.to_owned(),
        Missing::Bad(fault) => fault.to_string(),
    };
    house.counters.refused_proxies.one();
    recorder.turned_away(b"", &policy::no_proxy_header(&reason));
    let listener = door.listener.name.clone();
    *house.unproxied.lock() = Some(Unproxied { balancer, listener, reason });
}

/// Counts the refusal and words it.
pub(crate) fn no_place(house: &House, none: NoPlace) -> Reply {
    let counters = &house.counters;
    match none {
        NoPlace::Full | NoPlace::Soon => counters.refused_sessions.one(),
        NoPlace::Client | NoPlace::Network | NoPlace::User => {
            counters.refused_client_sessions.one();
        }
    }
    match none {
        NoPlace::Full | NoPlace::Soon => policy::too_many_sessions(),
        NoPlace::Client => policy::too_many_of_client(),
        NoPlace::Network => policy::too_many_of_network(),
        NoPlace::User => policy::too_many_of_user(),
    }
}

/// Programs on this machine have a share of their own, so that no user of it shuts out the others or the network.
fn take_place(
    house: &Arc<House>,
    policy: &Policy,
    trust: Trust,
    peer: SocketAddr,
    user: Option<u32>,
) -> Result<Place, NoPlace> {
    let seats = seats(house, policy, trust);
    if trust == Trust::Local {
        let share = seats.all.div_ceil(LOCAL_SHARE);
        return house.places.take_local(user, share, share.div_ceil(USER_SHARE));
    }
    let (place, made_room) = house.places.take(peer, seats, house.world.now())?;
    house.counters.made_room.add(u64::from(made_room));
    Ok(place)
}

/// How many places there are for a client of this trust.
pub(crate) fn seats(house: &House, policy: &Policy, trust: Trust) -> Seats {
    let limits = &policy.settings.limits;
    let all = match house.pressure.get() {
        Pressure::None => limits.sessions,
        Pressure::Slow(_) | Pressure::Refuse(_) => limits.sessions.div_ceil(2),
    };
    let (per_client, per_network) = match trust {
        Trust::Relay => (limits.sessions_per_relay_client, usize::MAX),
        _ => (limits.sessions_per_client, limits.sessions_per_network),
    };
    Seats { all, per_client, per_network, stranger: trust == Trust::Stranger }
}

/// Sessions that are refused before their greeting are told too.
fn record(house: &Arc<House>, policy: &Policy, door: &Door, stream: &dyn Stream) -> Recorder {
    let (keep, id) = (policy.settings.sessions, house.mint_session());
    Recorder::new(Arc::clone(house), keep, id, &door.listener.name, stream)
}

/// One write that is not waited for: a client refused for being one too many must not hold up the door. Where TLS comes
/// before the greeting, nothing is said: in clear it would be taken for broken TLS, and a handshake costs what is lacking.
async fn turn_away(
    mut stream: Box<dyn Stream>,
    door: &Door,
    reply: &Reply,
    mut recorder: Recorder,
) {
    let line = match door.listener.tls {
        ListenerTls::Implicit => String::new(),
        ListenerTls::Off | ListenerTls::StartTls => format!("{reply}\r\n"),
    };
    recorder.turned_away(line.as_bytes(), reply);
    poll_fn(|cx| {
        if !line.is_empty() {
            let _unsent_is_no_matter = stream.poll_write(cx, &[IoSlice::new(line.as_bytes())]);
        }
        let _nor_is_this = stream.poll_shutdown(cx);
        Poll::Ready(())
    })
    .await;
}
