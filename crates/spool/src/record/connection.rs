//! Connections: what DNS, connect, greeting, EHLO and TLS showed, stored once per connection.

use super::attempt::leave_out;
use super::observation;
use super::reply::Replies;
use super::wire::{Damaged, Fields, Writer};
use super::{Record, get_duration, get_socket, get_time, put_duration, put_socket, put_time};
use posthaste_evidence::{Connection, ConnectionId, Observation};
use posthaste_mail::Timestamp;
use std::time::Duration;

/// The most octets of one connection; observations are left out of the middle where necessary.
pub const MAX_CONNECTION: usize = 16 * 1024;

const ID: u32 = 1;
const DESTINATION: u32 = 2;
const ROUTE: u32 = 3;
const AT: u32 = 4;
const TOOK: u32 = 5;
const HOST: u32 = 6;
const PEER: u32 = 7;
const LOCAL: u32 = 8;
const OBSERVATION: u32 = 9;
const REPLY: u32 = 10;

impl Record for Connection {
    fn write(&self, w: &mut Writer) {
        let mut observations = self.observations.clone();
        let mut encoded = encode(self, &observations);
        while encoded.len() > MAX_CONNECTION && leave_out(&mut observations) {
            encoded = encode(self, &observations);
        }
        w.append(&encoded);
    }

    fn read(fields: Fields<'_>) -> Result<Self, Damaged> {
        let mut connection = empty();
        let mut replies = Replies::default();
        fields.each(|tag, value| {
            match tag {
                ID => connection.id = ConnectionId(value.number()?),
                DESTINATION => connection.destination = value.text()?,
                ROUTE => connection.route = value.text()?,
                AT => connection.at = get_time(value, Timestamp::EPOCH)?,
                TOOK => connection.took = get_duration(value)?,
                HOST => connection.host = Some(value.text()?),
                PEER => connection.peer = Some(get_socket(value)?),
                LOCAL => connection.local = Some(get_socket(value)?),
                REPLY => replies.add(value)?,
                _ => {}
            }
            Ok(())
        })?;
        let at = connection.at;
        fields.each(|tag, value| match tag {
            OBSERVATION => {
                observation::add(&mut connection.observations, value.fields()?, at, &replies)
            }
            _ => Ok(()),
        })?;
        Ok(connection)
    }
}

const fn empty() -> Connection {
    Connection {
        id: ConnectionId(0),
        destination: String::new(),
        route: String::new(),
        at: Timestamp::EPOCH,
        took: Duration::ZERO,
        host: None,
        peer: None,
        local: None,
        observations: Vec::new(),
    }
}

fn encode(connection: &Connection, observations: &[Observation]) -> Vec<u8> {
    let mut w = Writer::default();
    let mut replies = Replies::default();
    w.number(ID, connection.id.0);
    w.text(DESTINATION, &connection.destination);
    w.text(ROUTE, &connection.route);
    put_time(&mut w, AT, connection.at, Timestamp::EPOCH);
    put_duration(&mut w, TOOK, connection.took);
    w.maybe_text(HOST, connection.host.as_deref());
    if let Some(peer) = connection.peer {
        put_socket(&mut w, PEER, peer);
    }
    if let Some(local) = connection.local {
        put_socket(&mut w, LOCAL, local);
    }
    for o in observations {
        w.nested(OBSERVATION, |w| observation::write(w, o, connection.at, &mut replies));
    }
    replies.write(&mut w, REPLY);
    w.into_vec()
}
