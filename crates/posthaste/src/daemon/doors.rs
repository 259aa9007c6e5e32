//! The doors: listeners' sockets, bound at the start, opened and closed by a reload. Sessions outlive their door.
//!
//! Not here: what happens behind a door (`reception`).

use super::inherited::Inherited;
use anyhow::{Result, anyhow};
use posthaste_io::{Listener as Socket, World};
use posthaste_reception::{Listener, Reception};
use std::io;
use std::net::SocketAddr;
use tokio::task::JoinHandle;

/// Connections that may wait to be accepted.
pub(super) const BACKLOG: u32 = 1024;

/// A listener with its socket, not yet served.
pub(super) type Bound = (Listener, Box<dyn Socket>);

/// The listeners that are served, and the sockets that were open before us.
#[derive(Default)]
pub(super) struct Doors(Vec<Door>, Inherited);

struct Door {
    listener: Listener,
    serving: JoinHandle<()>,
}

async fn bind(world: &World, inherited: &Inherited, listeners: &[Listener]) -> Result<Vec<Bound>> {
    let mut bound = Vec::new();
    for listener in listeners {
        let socket = match inherited.for_listener(listener)? {
            Some(socket) => socket,
            None => {
                let socket = world.net.listen(listener.address, BACKLOG).await;
                socket.map_err(|why| cannot_listen(listener.address, &why))?
            }
        };
        tracing::info!(listener = listener.name, address = %socket.local(), "listening");
        bound.push((listener.clone(), socket));
    }
    Ok(bound)
}

/// What, where, and what to do about it.
pub(super) fn cannot_listen(address: SocketAddr, why: &io::Error) -> anyhow::Error {
    let advice = match why.kind() {
        io::ErrorKind::AddrInUse => {
            format!("; another program has it: `ss -ltnp sport = :{}` names it", address.port())
        }
        io::ErrorKind::PermissionDenied => {
            "; a port below 1024 is opened at the start, as root or from a systemd socket unit: restart the daemon that way, \
             or give it CAP_NET_BIND_SERVICE (AmbientCapabilities= in its unit)"
                .to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "; no interface of this machine has this address".to_owned()
        }
        _ => String::new(),
    };
    anyhow!("cannot listen on {address}: {why}{advice}")
}

impl Doors {
    /// Takes over what is open already.
    pub(super) fn inherit(&mut self, inherited: Inherited) {
        self.1 = inherited;
    }

    /// Binds listeners, or takes the sockets that are there for them; all or none.
    ///
    /// # Errors
    /// Names the first address that cannot be had.
    pub(super) async fn bind(&self, world: &World, listeners: &[Listener]) -> Result<Vec<Bound>> {
        bind(world, &self.1, listeners).await
    }

    /// Accepts mail on these sockets from now on.
    pub(super) fn open(&mut self, reception: &Reception, sockets: Vec<Bound>) {
        for (listener, socket) in sockets {
            let (reception, name) = (reception.clone(), listener.name.clone());
            let serving = tokio::spawn(async move {
                reception.serve(socket, &name).await;
            });
            self.0.push(Door { listener, serving });
        }
    }

    /// The wanted listeners that have no door: those that can be bound beside the doors there are, and those that
    /// need the port of a door that goes.
    pub(super) fn missing(&self, wanted: &[Listener]) -> (Vec<Listener>, Vec<Listener>) {
        let stays = |door: &&Door| wanted.iter().any(|listener| same(listener, &door.listener));
        let (stay, go): (Vec<&Door>, Vec<&Door>) = self.0.iter().partition(stays);
        let absent = |l: &&Listener| !stay.iter().any(|door| same(l, &door.listener));
        let port = |l: &Listener| l.address.port();
        let beside =
            |l: &Listener| port(l) == 0 || !go.iter().any(|door| port(&door.listener) == port(l));
        wanted.iter().filter(absent).cloned().partition(beside)
    }

    /// Closes the doors that are not wanted any more, so that their ports are free afterwards.
    pub(super) async fn close_others(&mut self, wanted: &[Listener]) {
        let all = std::mem::take(&mut self.0);
        for door in all {
            if wanted.iter().any(|listener| same(listener, &door.listener)) {
                self.0.push(door);
                continue;
            }
            door.serving.abort();
            // Ended either way; only then is the socket gone.
            let _ended = door.serving.await;
            let (name, address) = (&door.listener.name, door.listener.address);
            tracing::info!(listener = %name, %address, "listening no more");
        }
        self.1.close_others(wanted);
    }
}

/// What else is set of a listener is taken up by the next session.
fn same(a: &Listener, b: &Listener) -> bool {
    a.name == b.name && a.address == b.address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(name: &str, address: &str) -> Listener {
        Listener::new(name, address.parse().expect("an address"))
    }

    #[tokio::test]
    async fn only_what_changed_is_bound_and_only_a_port_in_use_waits() {
        let mut doors = Doors::default();
        for (name, address) in [("a", "127.0.0.1:2525"), ("b", "127.0.0.1:2526")] {
            let serving = tokio::spawn(std::future::pending());
            doors.0.push(Door { listener: listener(name, address), serving });
        }
        let wanted = [
            listener("a", "127.0.0.1:2525"),
            listener("new", "127.0.0.1:2527"),
            listener("renamed", "127.0.0.1:2526"),
            listener("any", "127.0.0.1:0"),
        ];
        let (beside, after) = doors.missing(&wanted);
        let names = |all: &[Listener]| all.iter().map(|l| l.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&beside), ["new", "any"]);
        assert_eq!(names(&after), ["renamed"]);
        doors.close_others(&wanted).await;
        let left: Vec<&str> = doors.0.iter().map(|door| door.listener.name.as_str()).collect();
        assert_eq!(left, ["a"]);
    }
}
