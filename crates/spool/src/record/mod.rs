//! The record format: how every word that a store keeps becomes octets, and back.
//!
//! Mirror encodings of tagged fields ([`wire`]); unknown tags are skipped, so that a newer version's records
//! stay readable as far as they are known. Reading arbitrary octets never panics, and takes memory in
//! proportion to them. Not here: where records lie on a disk (`spool-local`).

mod acted;
mod attempt;
mod belief;
mod carried;
mod codes;
mod connection;
mod dns;
mod envelope;
mod fault;
mod ledger;
mod login;
mod observation;
mod reply;
mod settled;
mod state;
#[cfg(test)]
mod tests;
mod tls;
pub mod wire;

pub use attempt::MAX_ATTEMPT;
pub use carried::Carried;
pub use connection::MAX_CONNECTION;
pub use settled::{ActedOn, Settled};
pub use state::{read_states, write_states};
pub use wire::Damaged;

use posthaste_mail::Timestamp;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;
use wire::{Fields, Value, Writer};

/// What can be stored.
pub trait Record: Sized {
    /// Writes its fields.
    fn write(&self, w: &mut Writer);

    /// Reads its fields.
    ///
    /// # Errors
    /// [`Damaged`] when a field has no meaning or a necessary one is missing.
    fn read(fields: Fields<'_>) -> Result<Self, Damaged>;

    /// As octets.
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        self.write(&mut w);
        w.into_vec()
    }

    /// From octets.
    ///
    /// # Errors
    /// [`Damaged`] when they are no such record.
    fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        Self::read(Fields::new(bytes))
    }
}

fn put_duration(w: &mut Writer, tag: u32, duration: Duration) {
    w.number(tag, u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
}

fn get_duration(value: Value<'_>) -> Result<Duration, Damaged> {
    Ok(Duration::from_micros(value.number()?))
}

/// A time as its distance from another one that the reader knows.
fn put_time(w: &mut Writer, tag: u32, time: Timestamp, base: Timestamp) {
    w.signed(tag, time.as_micros().wrapping_sub(base.as_micros()));
}

fn get_time(value: Value<'_>, base: Timestamp) -> Result<Timestamp, Damaged> {
    Ok(Timestamp::from_micros(base.as_micros().wrapping_add(value.signed()?)))
}

fn put_ip(w: &mut Writer, tag: u32, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => w.bytes(tag, &v4.octets()),
        IpAddr::V6(v6) => w.bytes(tag, &v6.octets()),
    }
}

fn get_ip(value: Value<'_>) -> Result<IpAddr, Damaged> {
    ip_from(value.bytes()?).ok_or(Damaged("not an address"))
}

fn ip_from(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| Ipv6Addr::from(v6).into())
}

/// Address and port; for IPv6 also flow and scope when they are not 0 (link-local peers have a scope).
fn put_socket(w: &mut Writer, tag: u32, socket: SocketAddr) {
    let mut bytes = socket.port().to_be_bytes().to_vec();
    match socket {
        SocketAddr::V4(v4) => bytes.extend_from_slice(&v4.ip().octets()),
        SocketAddr::V6(v6) => {
            bytes.extend_from_slice(&v6.ip().octets());
            if (v6.flowinfo(), v6.scope_id()) != (0, 0) {
                bytes.extend_from_slice(&v6.flowinfo().to_be_bytes());
                bytes.extend_from_slice(&v6.scope_id().to_be_bytes());
            }
        }
    }
    w.bytes(tag, &bytes);
}

fn get_socket(value: Value<'_>) -> Result<SocketAddr, Damaged> {
    socket_from(value.bytes()?).ok_or(Damaged("not an endpoint"))
}

fn socket_from(bytes: &[u8]) -> Option<SocketAddr> {
    let (port, rest) = bytes.split_first_chunk::<2>()?;
    let port = u16::from_be_bytes(*port);
    if let Some(ip) = ip_from(rest) {
        return Some(SocketAddr::new(ip, port));
    }
    let (ip, rest) = rest.split_first_chunk::<16>()?;
    let (flow, rest) = rest.split_first_chunk::<4>()?;
    let scope = <[u8; 4]>::try_from(rest).ok()?;
    let (flow, scope) = (u32::from_be_bytes(*flow), u32::from_be_bytes(scope));
    Some(SocketAddrV6::new(Ipv6Addr::from(*ip), port, flow, scope).into())
}

fn need<T>(value: Option<T>, what: &'static str) -> Result<T, Damaged> {
    value.ok_or(Damaged(what))
}
