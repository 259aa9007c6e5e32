//! What is signed (RFC 4033 to 4035): DS above, keys and signatures in the zone. Evidence, no validation.

use super::super::seen::{DomainSeen, SigningSeen};
use super::super::walker::{PLAIN, Question, Walker};
use super::super::zones::Zone;
use crate::exchange::Manner;
use crate::wire::Flags;
use futures_util::future::join3;
use posthaste_evidence::{RecordData, RecordType};
use std::net::SocketAddr;

const SIGNED: Manner = Manner { flags: Flags::WALKING, ..PLAIN };

impl Walker {
    /// Asks the zone above for DS, and when it vouches for a key, `to` for keys and signatures.
    pub(super) async fn signing(
        &self,
        zone: &Zone,
        name: &str,
        to: SocketAddr,
        seen: &DomainSeen,
    ) -> SigningSeen {
        let signed = |to, zone, name, kind| {
            self.ask(Question { manner: SIGNED, ..Question::plain(to, zone, name, kind) })
        };
        let above = seen.zones.iter().rev().find(|z| z.name == zone.name);
        let parent = above.and_then(|z| self.asked_at(z.referred?));
        let (Some(parent), Some(apex)) = (parent, zone.parent.as_deref()) else {
            return SigningSeen::default();
        };
        let own = zone.name.as_str();
        let ds = signed(parent, apex, own, RecordType::Ds).await.map(|said| said.seen);
        let vouched = |record: &posthaste_evidence::Record| {
            matches!(record.data, RecordData::Ds { .. }) && record.name == own
        };
        if !self.records_at(ds).iter().any(vouched) {
            return SigningSeen { ds, ..SigningSeen::default() };
        }
        let (dnskey, soa, mx) = join3(
            signed(to, own, own, RecordType::Dnskey),
            signed(to, own, own, RecordType::Soa),
            signed(to, own, name, RecordType::Mx),
        )
        .await;
        let [dnskey, soa, mx] = [dnskey, soa, mx].map(|said| said.map(|said| said.seen));
        SigningSeen { ds, dnskey, soa, mx }
    }
}
