//! The last step of every way in: look for loops, write the envelope, make it durable.

use crate::House;
use crate::incoming::Arrived;
use crate::settings::Settings;
use posthaste_mail::envelope::Ret;
use posthaste_mail::{
    BodyType, ContentFacts, Envelope, QueueId, Recipient, ReversePath, Source, Summary,
};
use posthaste_message::dkim::{Signing, Unsigned};
use posthaste_message::{summary, trace};
use posthaste_queue::{Life, RecipientState};
use posthaste_smtp::content::with_signature;
use posthaste_spool::{NewMail, Refused};

/// A message that has arrived whole.
pub(crate) struct Message {
    pub(crate) id: QueueId,
    pub(crate) reverse_path: ReversePath,
    pub(crate) recipients: Vec<Recipient>,
    /// So many of them, the last ones, are nobody: they fail at once, with the notice that is owed.
    pub(crate) refused: usize,
    pub(crate) ret: Option<Ret>,
    pub(crate) envid: Option<String>,
    pub(crate) body_type: BodyType,
    pub(crate) smtputf8: bool,
    pub(crate) facts: ContentFacts,
    pub(crate) source: Source,
    pub(crate) arrived: Arrived,
    /// Length of our trace field.
    pub(crate) trace: usize,
    /// Has seen the content go by, and signs it.
    pub(crate) signing: Option<Signing>,
}

/// The message was not accepted, and nothing of it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotAccepted {
    Looping,
    Store(Refused),
}

/// `Ok` means durable.
pub(crate) async fn accept(
    house: &House,
    settings: &Settings,
    mut message: Message,
) -> Result<QueueId, NotAccepted> {
    let header = message.arrived.header(&message.facts, message.trace);
    if loops(settings, &message.facts, &header) {
        house.counters.refused_loops.one();
        return Err(NotAccepted::Looping);
    }
    let mut summary = summary(&header);
    drop(header);
    sign(house, &mut message, &mut summary);
    let spilled = message.arrived.is_spilled();
    let (content, share) = message.arrived.finish().await.map_err(|why| refused(house, why))?;
    let (recipients, octets) = (message.recipients.len(), message.facts.size);
    let envelope = Envelope {
        id: message.id,
        received: house.world.wall(),
        reverse_path: message.reverse_path,
        recipients: message.recipients,
        ret: message.ret,
        envid: message.envid,
        body_type: message.body_type,
        smtputf8: message.smtputf8,
        facts: message.facts,
        summary,
        source: message.source,
        route: None,
        redirected_from: None,
    };
    let mut states = vec![RecipientState::default(); recipients];
    for state in states.iter_mut().rev().take(message.refused) {
        state.life = Life::Refused;
    }
    let stored = house.spool.accept(NewMail { envelope, content, states }).await;
    drop(share);
    stored.map_err(|why| refused(house, why))?;
    house.counters.messages.one();
    house.counters.recipients.add(recipients as u64);
    house.counters.octets.add(octets);
    house.counters.spilled.add(u64::from(spilled));
    Ok(message.id)
}

/// Puts signatures in front, when the message is ours to sign.
fn sign(house: &House, message: &mut Message, summary: &mut Summary) {
    let Some(signing) = message.signing.take() else { return };
    let signed = signing.finish(house.world.wall());
    house.counters.unsigned.add(u64::from(signed.unsigned.is_some_and(Unsigned::is_a_pity)));
    if signed.by.is_empty() {
        return;
    }
    house.counters.signed.one();
    message.facts = with_signature(&message.facts, &signed.fields);
    message.arrived.prepend(signed.fields);
    summary.signed_by = signed.by;
}

fn refused(house: &House, why: Refused) -> NotAccepted {
    house.counters.refused(why);
    NotAccepted::Store(why)
}

/// RFC 5321 section 6.3. Our own field, which the facts count, does not count here.
fn loops(settings: &Settings, facts: &ContentFacts, header: &[u8]) -> bool {
    let before_ours = facts.received.saturating_sub(1);
    let limits = &settings.limits;
    before_ours > limits.hops
        || (before_ours > limits.own_hops
            && trace::received_by(header, &settings.hostname) > limits.own_hops)
}
