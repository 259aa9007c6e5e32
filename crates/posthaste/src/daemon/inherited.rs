//! Sockets that are open before there is a runtime: those that systemd opened for us (socket activation,
//! sd_listen_fds(3)), matched to listeners by `FileDescriptorName=` or by address, and ports below 1024 that we opened
//! as root, before we became somebody else.
//!
//! systemd's stay ours until the end, also while no listener uses them: a reload may bring it back. Our own are closed
//! with their listener. Not here: sockets we open when they are wanted (`doors`).

use super::doors;
use anyhow::{Context as _, Result};
use posthaste_io::Listener as Socket;
use posthaste_reception::Listener;
use std::env;
use std::net::{SocketAddr, TcpListener};

/// Ports below it are root's.
const FIRST_FREE_PORT: u16 = 1024;
/// More are not looked at.
const MAX_SOCKETS: usize = 256;

/// What was handed over, in order.
#[derive(Default)]
pub(crate) struct Inherited(Vec<Handed>);

struct Handed {
    /// As systemd names it; without `FileDescriptorName=` that is the name of the socket unit. `None`: it is our own.
    name: Option<String>,
    socket: TcpListener,
    address: SocketAddr,
}

impl Inherited {
    /// Those of the environment; once per process.
    ///
    /// # Errors
    /// A descriptor that is no listening TCP socket: the unit says something else than was meant.
    pub(crate) fn found() -> Result<Self> {
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
            all.push(Handed { name: Some(name), socket, address });
        }
        Ok(Self(all))
    }

    /// Opens the ports that only root may open and that nobody has handed over.
    ///
    /// # Errors
    /// Names the first address that cannot be had.
    pub(super) fn open_low(&mut self, listeners: &[Listener]) -> Result<()> {
        for listener in listeners {
            let address = listener.address;
            let is_low = (1..FIRST_FREE_PORT).contains(&address.port());
            if !is_low || self.find(listener).is_some() {
                continue;
            }
            let socket = posthaste_io_tokio::bind(address, doors::BACKLOG);
            let socket = socket.map_err(|why| doors::cannot_listen(address, &why))?;
            self.0.push(Handed { name: None, socket, address });
        }
        Ok(())
    }

    /// Closes what we opened for listeners that are wanted no more.
    pub(super) fn close_others(&mut self, wanted: &[Listener]) {
        self.0.retain(|handed| {
            handed.name.is_some() || wanted.iter().any(|l| l.address == handed.address)
        });
    }

    /// The socket for a listener, if one was handed over for it.
    pub(super) fn for_listener(&self, listener: &Listener) -> Result<Option<Box<dyn Socket>>> {
        let Some(handed) = self.find(listener) else { return Ok(None) };
        let adopt = || posthaste_io_tokio::adopt(handed.socket.try_clone()?);
        adopt().map(Some).with_context(|| {
            format!("the open socket for the listener \"{}\" cannot be used", listener.name)
        })
    }

    fn find(&self, listener: &Listener) -> Option<&Handed> {
        let named =
            self.0.iter().find(|handed| handed.name.as_deref() == Some(listener.name.as_str()));
        named.or_else(|| self.0.iter().find(|handed| handed.address == listener.address))
    }

    /// Says which sockets no listener uses: mail that comes there would wait for ever.
    pub(super) fn tell_unused(&self, listeners: &[Listener]) {
        let is_used = |handed: &&Handed| {
            listeners.iter().any(|l| {
                handed.name.as_deref() == Some(l.name.as_str()) || l.address == handed.address
            })
        };
        for handed in self.0.iter().filter(|handed| !is_used(handed)) {
            tracing::warn!(
                name = handed.name.as_deref().unwrap_or_default(),
                address = %handed.address,
                "a socket from systemd belongs to no [[listener]]: nobody answers there; give it \
                 FileDescriptorName= with the name of a listener, or the address of one"
            );
        }
    }
}
