//! What systemd is told: ready, reloading, stopping, a line of status, and that the daemon is alive (sd_notify(3)).
//!
//! "Alive" is checked, not assumed: the watchdog is fed only while the store's thread and the dispatcher's clock task
//! answer. Without a service manager nothing is sent. Not here: sockets from systemd (`inherited`).

use super::Daemon;
use posthaste_admin::desk::Desk as _;
use rustix::time::{ClockId, clock_gettime};
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// How often the line of status is renewed, when nothing else is said.
const STATUS_EVERY: Duration = Duration::from_secs(30);
/// The watchdog is fed this often within its time.
const FEEDS: u32 = 2;

/// The service manager, or nobody.
pub(super) struct Manager {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// How long it waits for a sign of life.
    watchdog: Option<Duration>,
}

impl Manager {
    /// Who started this process, as the environment says.
    pub(super) fn found() -> Self {
        let watched = own("WATCHDOG_PID") != Some(false);
        let micros = env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
        let watchdog = micros.filter(|micros| watched && *micros > 0).map(Duration::from_micros);
        let to = env::var_os("NOTIFY_SOCKET").and_then(|path| match open(&path) {
            Ok(to) => Some(to),
            Err(error) => {
                tracing::warn!("the service manager cannot be told anything: {error}");
                None
            }
        });
        Self { to, watchdog }
    }

    /// All listeners are bound and recovery is done.
    pub(super) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// Settings are being reread; `ready` follows.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=rereading the settings"));
    }

    pub(super) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=finishing what is under way");
    }

    fn send(&self, message: &str) {
        let Some((socket, address)) = &self.to else { return };
        // It never blocks; what does not fit is said again soon.
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            tracing::debug!("the service manager was not told: {error}");
        }
    }
}

/// Renews the line of status and feeds the watchdog, as long as the daemon lives.
pub(super) async fn keep(daemon: Daemon) {
    let manager = &daemon.manager;
    if manager.to.is_none() {
        return;
    }
    let every = manager.watchdog.map_or(STATUS_EVERY, |time| (time / FEEDS).min(STATUS_EVERY));
    let mut next = Instant::now();
    loop {
        sleep_until(next).await;
        next += every;
        let status = daemon.status_line();
        match manager.watchdog {
            None => manager.send(&format!("STATUS={status}")),
            Some(_) if daemon.is_alive(every).await => {
                manager.send(&format!("WATCHDOG=1\nSTATUS={status}"));
            }
            // Two signs in a row must fail before the manager acts.
            Some(_) => {
                tracing::error!("the store or the clock does not answer: no sign of life is given")
            }
        }
    }
}

impl Daemon {
    /// The store's thread answers and the dispatcher's clock ticks.
    async fn is_alive(&self, limit: Duration) -> bool {
        let readiness = self.readiness();
        if !readiness.recovered || readiness.stopping {
            // Reading a large spool and finishing have limits of their own.
            return true;
        }
        timeout(limit, self.dispatch.heartbeat()).await.is_ok()
    }

    /// One line for `systemctl status`.
    pub(super) fn status_line(&self) -> String {
        let (messages, connections) = self.dispatch.load();
        let sessions = self.reception.open_sessions();
        let accepting = match self.refusing() {
            None => "accepting mail".to_owned(),
            Some(why) => format!("NOT accepting mail: {why}"),
        };
        format!("{accepting}; {messages} messages, {sessions} sessions, {connections} connections")
    }
}

/// Whether a variable names this process; `None` when it is not set.
fn own(variable: &str) -> Option<bool> {
    env::var(variable).ok().map(|pid| pid.parse() == Ok(std::process::id()))
}

/// A path, or with `@` a name of the abstract kind.
fn open(path: &OsString) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(path)?,
        _ => return Err(io::Error::other("NOTIFY_SOCKET is neither a path nor begins with @")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}
