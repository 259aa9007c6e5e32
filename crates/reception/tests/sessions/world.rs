//! A world small enough to see through: one thread, a clock that is moved by hand, pipes instead of sockets. Nothing
//! happens but in [`TestWorld::run`], so that a test can look between any two steps.

use posthaste_evidence::{ConnectFault, Event, Session, TlsFault};
use posthaste_io::net::AnswerDatagram;
use posthaste_io::{
    Clock, Datagram, Dial, DialError, Instant, Journal, Listener, Net, Offer, Random, Received,
    Secure, Secured, Spawn, Stream, Task, TaskHandle, Timer, Unanswered, Vitals, World,
};
use posthaste_mail::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// The wall clock at the start: 21 November 2026.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_795_243_984);
/// More turns than any test needs: beyond, something spins.
const MAX_TURNS: usize = 200_000;

#[derive(Clone, Default)]
pub(crate) struct TestWorld {
    tasks: Arc<Mutex<Vec<Running>>>,
    time: Arc<Mutex<Time>>,
    pub(crate) sessions: Arc<Sessions>,
    /// Of the largest session, octets of its task.
    pub(crate) largest: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Time {
    now: Instant,
    next: u64,
    timers: BTreeMap<(Instant, u64), Waker>,
}

struct Running {
    task: Option<Task<'static, ()>>,
    flag: Arc<Flag>,
}

#[derive(Default)]
struct Flag {
    woken: AtomicBool,
    aborted: AtomicBool,
    finished: AtomicBool,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
    }
}

impl TestWorld {
    pub(crate) fn world(&self) -> World {
        World {
            clock: Arc::new(self.clone()),
            random: Arc::new(Counting::default()),
            net: Arc::new(NoNet(self.clone())),
            spawn: Arc::new(self.clone()),
            journal: Arc::clone(&self.sessions) as Arc<dyn Journal>,
        }
    }

    /// Lets every task go on until all of them wait.
    pub(crate) fn run(&self) {
        for _ in 0..MAX_TURNS {
            let Some((at, mut task, flag)) = self.take_woken() else { return };
            let waker = Waker::from(Arc::clone(&flag));
            let ended = flag.aborted.load(Ordering::SeqCst)
                || task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
            if ended {
                flag.finished.store(true, Ordering::SeqCst);
                drop(task);
                self.tasks.lock().expect("no test panics with it").remove(at);
            } else {
                self.tasks.lock().expect("no test panics with it")[at].task = Some(task);
            }
        }
        panic!("the tasks do not come to rest");
    }

    fn take_woken(&self) -> Option<(usize, Task<'static, ()>, Arc<Flag>)> {
        let mut tasks = self.tasks.lock().expect("no test panics with it");
        for (at, running) in tasks.iter_mut().enumerate() {
            let woken = running.flag.woken.swap(false, Ordering::SeqCst);
            if let Some(task) = woken.then(|| running.task.take()).flatten() {
                return Some((at, task, Arc::clone(&running.flag)));
            }
        }
        None
    }

    /// Moves the clock, stopping at every timer on the way.
    pub(crate) fn advance(&self, by: Duration) {
        let end = self.time.lock().expect("no test panics with it").now + by;
        loop {
            self.run();
            let mut time = self.time.lock().expect("no test panics with it");
            let Some((&(due, id), _)) = time.timers.first_key_value().filter(|(k, _)| k.0 <= end)
            else {
                time.now = end;
                return;
            };
            time.now = time.now.max(due);
            let waker = time.timers.remove(&(due, id));
            drop(time);
            waker.expect("it was there a moment ago").wake();
        }
    }

    /// Runs a future to its end; the clock moves when nothing else can.
    pub(crate) fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let slot = Arc::new(Mutex::new(None));
        let result = Arc::clone(&slot);
        drop(self.spawn(
            "test",
            Box::pin(
                async move { *result.lock().expect("no test panics with it") = Some(work.await) },
            ),
        ));
        for _ in 0..1000 {
            self.run();
            if let Some(value) = slot.lock().expect("no test panics with it").take() {
                return value;
            }
            self.advance(Duration::from_secs(1));
        }
        panic!("the work does not end");
    }
}

impl Clock for TestWorld {
    fn now(&self) -> Instant {
        self.time.lock().expect("no test panics with it").now
    }

    fn wall(&self) -> Timestamp {
        START.plus(self.now() - Instant::default())
    }

    fn timer(&self) -> Pin<Box<dyn Timer>> {
        Box::pin(TestTimer { time: Arc::clone(&self.time), due: None, entry: None })
    }
}

struct TestTimer {
    time: Arc<Mutex<Time>>,
    due: Option<Instant>,
    entry: Option<(Instant, u64)>,
}

impl Timer for TestTimer {
    fn set(mut self: Pin<&mut Self>, at: Instant) {
        self.forget();
        self.due = Some(at);
    }
}

impl TestTimer {
    fn forget(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.time.lock().expect("no test panics with it").timers.remove(&entry);
        }
    }
}

impl Drop for TestTimer {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Future for TestTimer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.forget();
        let Some(due) = self.due else { return Poll::Pending };
        let mut time = self.time.lock().expect("no test panics with it");
        if time.now >= due {
            return Poll::Ready(());
        }
        time.next += 1;
        let entry = (due, time.next);
        time.timers.insert(entry, cx.waker().clone());
        drop(time);
        self.entry = Some(entry);
        Poll::Pending
    }
}

impl Spawn for TestWorld {
    fn spawn(&self, name: &'static str, task: Task<'static, ()>) -> Box<dyn TaskHandle> {
        if name == "smtp session" {
            self.largest.fetch_max(size_of_val(&*task), Ordering::Relaxed);
        }
        let flag = Arc::new(Flag::default());
        flag.woken.store(true, Ordering::SeqCst);
        let running = Running { task: Some(task), flag: Arc::clone(&flag) };
        self.tasks.lock().expect("no test panics with it").push(running);
        Box::new(Handle(flag))
    }
}

struct Handle(Arc<Flag>);

impl TaskHandle for Handle {
    fn abort(&self) {
        self.0.aborted.store(true, Ordering::SeqCst);
        self.0.woken.store(true, Ordering::SeqCst);
    }

    fn is_finished(&self) -> bool {
        self.0.finished.load(Ordering::SeqCst)
    }
}

#[derive(Default)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn next(&self) -> u64 {
        self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}

/// Keeps sessions, and nothing else.
#[derive(Default)]
pub(crate) struct Sessions(pub(crate) Mutex<Vec<Session>>);

impl Journal for Sessions {
    fn append(&self, _event: Event) {}

    fn append_session(&self, session: Session) {
        self.0.lock().expect("nobody panicked").push(session);
    }

    fn dropped_sessions(&self) -> u64 {
        0
    }

    fn dropped(&self) -> u64 {
        0
    }

    fn safe_commit(&self) -> u64 {
        0
    }
}

/// Reception opens no socket by itself. Handshakes are those of the simulator.
struct NoNet(TestWorld);

impl Net for NoNet {
    fn dial(&self, _dial: Dial) -> Task<'_, Result<Box<dyn Stream>, DialError>> {
        Box::pin(async { Err(DialError(ConnectFault::NetworkUnreachable)) })
    }

    fn listen(&self, _at: SocketAddr, _backlog: u32) -> Task<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    fn datagram(&self, _datagram: Datagram) -> Task<'_, Result<Vec<u8>, Unanswered>> {
        Box::pin(async { Err(Unanswered::TimedOut) })
    }

    fn secure(
        &self,
        _stream: Box<dyn Stream>,
        _how: Secure,
    ) -> Task<'_, Result<Secured, TlsFault>> {
        Box::pin(async { Err(TlsFault::NotTls) })
    }

    fn receive(
        &self,
        stream: Box<dyn Stream>,
        offer: Offer,
    ) -> Task<'_, Result<Received, TlsFault>> {
        Box::pin(posthaste_io_sim::receive(&self.0, stream, offer))
    }

    fn serve_datagrams(&self, _at: SocketAddr, _answer: AnswerDatagram) -> Task<'_, io::Error> {
        Box::pin(async { io::ErrorKind::Unsupported.into() })
    }
}

/// Where clients come in.
#[derive(Clone, Default)]
pub(crate) struct Port {
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    streams: VecDeque<Box<dyn Stream>>,
    waker: Option<Waker>,
}

impl Port {
    pub(crate) fn connect(&self, from: &str) -> Client {
        self.connect_as(SocketAddr::new(from.parse().expect("an address"), 40_000), None)
    }

    /// From a process of this user on the same machine.
    pub(crate) fn connect_locally(&self, user: u32) -> Client {
        self.connect_as(SocketAddr::from(([127, 0, 0, 1], 0)), Some(user))
    }

    fn connect_as(&self, peer: SocketAddr, user: Option<u32>) -> Client {
        let (to_server, to_client) = (Arc::new(Pipe::default()), Arc::new(Pipe::default()));
        let stream =
            PipeStream { peer, user, from: Arc::clone(&to_server), to: Arc::clone(&to_client) };
        let mut waiting = self.waiting.lock().expect("no test panics with it");
        waiting.streams.push_back(Box::new(stream));
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
        Client { to: to_server, from: to_client }
    }
}

impl Listener for Port {
    fn accept(&self) -> Task<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(poll_fn(|cx| {
            let mut waiting = self.waiting.lock().expect("no test panics with it");
            waiting.waker = Some(cx.waker().clone());
            waiting.streams.pop_front().map_or(Poll::Pending, |stream| Poll::Ready(Ok(stream)))
        }))
    }

    fn local(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 25))
    }
}

/// One direction of a connection.
#[derive(Default)]
struct Pipe {
    state: Mutex<PipeState>,
}

#[derive(Default)]
struct PipeState {
    octets: VecDeque<u8>,
    ended: bool,
    reset: bool,
    full: bool,
    writes: usize,
    waker: Option<Waker>,
}

impl Pipe {
    fn change(&self, change: impl FnOnce(&mut PipeState)) {
        let mut state = self.state.lock().expect("no test panics with it");
        change(&mut state);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

struct PipeStream {
    peer: SocketAddr,
    user: Option<u32>,
    from: Arc<Pipe>,
    to: Arc<Pipe>,
}

impl Stream for PipeStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.from.state.lock().expect("no test panics with it");
        if state.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let here = buf.len().min(state.octets.len());
        if here == 0 && !state.ended {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        for (slot, octet) in buf.iter_mut().zip(state.octets.drain(..here)) {
            *slot = octet;
        }
        Poll::Ready(Ok(here))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.to.state.lock().expect("no test panics with it");
        if state.reset {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if state.full {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.writes += 1;
        bufs.iter().for_each(|buf| state.octets.extend(buf.iter()));
        Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()))
    }

    fn poll_shutdown(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.to.change(|state| state.ended = true);
        Poll::Ready(Ok(()))
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn local(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 25))
    }

    fn vitals(&self) -> Option<Vitals> {
        None
    }

    fn user(&self) -> Option<u32> {
        self.user
    }
}

impl Drop for PipeStream {
    fn drop(&mut self) {
        self.to.change(|state| state.ended = true);
    }
}

/// The other end of a session.
pub(crate) struct Client {
    to: Arc<Pipe>,
    from: Arc<Pipe>,
}

impl Client {
    pub(crate) fn send(&self, octets: impl AsRef<[u8]>) {
        self.to.change(|state| state.octets.extend(octets.as_ref()));
    }

    /// What the server has said since the last time.
    pub(crate) fn heard(&self) -> String {
        let octets: Vec<u8> =
            self.from.state.lock().expect("no test panics with it").octets.drain(..).collect();
        String::from_utf8(octets).expect("replies are UTF-8")
    }

    /// Writes of the server so far.
    pub(crate) fn writes(&self) -> usize {
        self.from.state.lock().expect("no test panics with it").writes
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.from.state.lock().expect("no test panics with it").ended
    }

    /// Closes in order.
    pub(crate) fn close(&self) {
        self.to.change(|state| state.ended = true);
    }

    /// Breaks the connection.
    pub(crate) fn reset(&self) {
        self.to.change(|state| state.reset = true);
        self.from.change(|state| state.reset = true);
    }

    /// Takes nothing more from the server.
    pub(crate) fn stop_taking(&self) {
        self.from.change(|state| state.full = true);
    }
}
