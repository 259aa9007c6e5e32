//! Sockets that systemd opened for us (socket activation, sd_listen_fds(3)): matched to listeners by
//! `FileDescriptorName=` or by address.
//!
//! They stay ours until the end, also while no listener uses them: a reload may bring it back. Not here: sockets we
//! open ourselves (`doors`).

use anyhow::{Context as _, Result};
use posthaste_io::Listener as Socket;
use posthaste_reception::Listener;
use std::env;
use std::net::{SocketAddr, TcpListener};

/// More are not looked at.
const MAX_SOCKETS: usize = 256;

/// What was handed over, in order.
#[derive(Default)]
pub(super) struct Inherited(Vec<Handed>);

struct Handed {
    /// As systemd names it; without `FileDescriptorName=` that is the name of the socket unit.
    name: String,
    socket: TcpListener,
    address: SocketAddr,
}

impl Inherited {
    /// Those of the environment; once per process.
    ///
    /// # Errors
    /// A descriptor that is no listening TCP socket: the unit says something else than was meant.
    pub(super) fn found() -> Result<Self> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').map(str::to_owned);
        let mut handed = listenfd::ListenFd::from_env();
        let mut all = Vec::new();
        for number in 0..handed.len().min(MAX_SOCKETS) {
            let name = names.next().unwrap_or_default();
            let what = || {
                format!(
                    "socket {} (\"{name}\") from systemd is no listening TCP socket; in the socket unit write \
                     ListenStream=ADDRESS:PORT",
                    number + 1
                )
            };
            let socket = handed.take_tcp_listener(number).with_context(what)?.with_context(what)?;
            let address = socket.local_addr().with_context(what)?;
            all.push(Handed { name, socket, address });
        }
        Ok(Self(all))
    }

    /// The socket for a listener, if one was handed over for it.
    pub(super) fn for_listener(&self, listener: &Listener) -> Result<Option<Box<dyn Socket>>> {
        let named = self.0.iter().find(|handed| handed.name == listener.name);
        let at = || self.0.iter().find(|handed| handed.address == listener.address);
        let Some(handed) = named.or_else(at) else { return Ok(None) };
        let adopt = || posthaste_io_tokio::adopt(handed.socket.try_clone()?);
        adopt().map(Some).with_context(|| {
            format!("the socket from systemd for the listener \"{}\" cannot be used", listener.name)
        })
    }

    /// Says which sockets no listener uses: mail that comes there would wait for ever.
    pub(super) fn tell_unused(&self, listeners: &[Listener]) {
        let is_used = |handed: &&Handed| {
            listeners.iter().any(|l| l.name == handed.name || l.address == handed.address)
        };
        for handed in self.0.iter().filter(|handed| !is_used(handed)) {
            tracing::warn!(
                name = handed.name,
                address = %handed.address,
                "a socket from systemd belongs to no [[listener]]: nobody answers there; give it \
                 FileDescriptorName= with the name of a listener, or the address of one"
            );
        }
    }
}
