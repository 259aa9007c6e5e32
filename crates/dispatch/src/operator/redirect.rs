//! Redirection: in one commit the old recipients end and a new message with the same content begins.

use super::slice::{Chosen, Job, Sliced, flying};
use crate::notice::Tidings;
use crate::{Inner, lock};
use posthaste_io::Task;
use posthaste_mail::envelope::RedirectedFrom;
use posthaste_mail::{Envelope, Mailbox, QueueId, Recipient};
use posthaste_queue::{Changed, RecipientState};
use posthaste_spool::{Content, NewMail, NewPlace, Notice, SettleFault, SpilledBody};
use std::sync::Arc;

/// Octets of a large content copied at once.
const COPY: usize = 1 << 20;

/// A content that is ready for the new message.
struct Ready {
    id: QueueId,
    content: Content,
}

impl Inner {
    pub(super) async fn redirect(
        &self,
        job: &Job,
        chosen: Vec<Chosen>,
        cursor: Option<QueueId>,
    ) -> Result<Sliced, SettleFault> {
        let mut ready = Vec::with_capacity(chosen.len());
        for one in &chosen {
            let in_flight = flying(&self.scheduler(), self.world.wall(), one).len();
            // Nothing is copied for those who all have to be looked at again.
            let ready_now = in_flight < one.recipients.len();
            ready.push(if ready_now { self.ready(one).await } else { None });
        }
        let (mut sliced, mut all, mut acts, mut tidings) =
            (Sliced::default(), Vec::new(), Vec::new(), Tidings::default());
        for (one, ready) in chosen.iter().zip(ready) {
            let now = self.world.wall();
            let (changed, in_flight) = {
                let mut scheduler = self.scheduler();
                let mut in_flight = flying(&scheduler, now, one);
                if ready.is_none() {
                    // It could not be read or copied now: it stays, and is looked at again.
                    in_flight.clone_from(&one.recipients);
                }
                let mut changed: Vec<Changed> = Vec::new();
                for number in one.recipients.iter().filter(|n| !in_flight.contains(n)) {
                    changed.extend(scheduler.remove(now, one.envelope.id, Some(*number)));
                }
                if !changed.is_empty() {
                    let done = scheduler.message(now, one.envelope.id).is_none();
                    lock(&self.settling).begin(&one.envelope, done);
                }
                (changed, in_flight)
            };
            sliced.count(one, &changed, &in_flight);
            if changed.is_empty() {
                // They took off while it was copied.
                if let Some(Ready { content: Content::Spilled(body), .. }) = ready {
                    self.spool.discard(body);
                }
            } else if let Some(ready) = ready {
                acts.extend(changed.iter().map(|changed| job.acted(changed, Some(ready.id))));
                let mail = self.new_message(job, &one.envelope, &changed, ready);
                tidings.notices.push(Notice { about: one.envelope.id, kind: None, mail });
            }
            all.extend(changed);
        }
        self.store_slice(job, &sliced, &all, acts, tidings, cursor).await?;
        Ok(sliced)
    }

    /// The content under a new id; a large one has a file of its own, which is copied first.
    async fn ready(&self, one: &Chosen) -> Option<Ready> {
        let stored = self.spool.fetch(one.envelope.id).await.ok()??;
        let id = self.spool.mint(self.world.wall());
        let content = match stored.content {
            Content::Inline(body) => Content::Inline(body),
            Content::Spilled(body) => Content::Spilled(self.copy(id, body).await?),
        };
        Some(Ready { id, content })
    }

    fn copy(&self, id: QueueId, body: SpilledBody) -> Task<'_, Option<SpilledBody>> {
        Box::pin(async move {
            let mut spill = self.spool.spill(id).await.ok()?;
            let mut offset = 0;
            while offset < body.size {
                let part = self.spool.range(&body, offset, COPY).await.ok()?;
                if part.is_empty() {
                    return None;
                }
                offset += part.len() as u64;
                spill.write(part).await.ok()?;
            }
            spill.finish().await.ok()
        })
    }

    fn new_message(
        &self,
        job: &Job,
        old: &Arc<Envelope>,
        changed: &[Changed],
        ready: Ready,
    ) -> NewMail {
        let now = self.world.wall();
        let of = |changed: &Changed| &old.recipients[changed.recipient as usize];
        let mut recipients: Vec<Recipient> = Vec::new();
        let mut route = None;
        match &job.to {
            Some(NewPlace::Address(address)) => {
                let mailbox = Mailbox::parse(address, true).expect("the command was checked");
                // Several old recipients have one new address: it gets one copy.
                let first = changed.first().map(of).expect("somebody was redirected");
                recipients.push(Recipient { mailbox, ..with_orcpt(first) });
            }
            Some(NewPlace::Route(name)) => {
                route = Some(name.clone());
                recipients.extend(changed.iter().map(of).cloned());
            }
            None => unreachable!("the command was checked"),
        }
        // Its sender has been told of the delay, and is not told again at once.
        let warned = |changed: &Changed| changed.transition.state.warned;
        let most = changed.iter().map(warned).max().unwrap_or_default();
        let fresh = |warned| RecipientState { due: now, warned, ..Default::default() };
        let states = match route {
            Some(_) => changed.iter().map(|changed| fresh(warned(changed))).collect(),
            None => vec![fresh(most); recipients.len()],
        };
        let from = RedirectedFrom { id: old.id, received: old.lives_since() };
        let envelope = Envelope {
            id: ready.id,
            received: now,
            recipients,
            route,
            redirected_from: Some(from),
            ..(**old).clone()
        };
        NewMail { envelope, content: ready.content, states }
    }
}

/// The recipient with the address that the sender knows (RFC 3461 section 5.2.7.3, RFC 6533 section 3).
fn with_orcpt(old: &Recipient) -> Recipient {
    let kind = if old.mailbox.as_str().is_ascii() { "rfc822" } else { "utf-8" };
    let known = || format!("{kind};{}", old.mailbox.as_str());
    Recipient { orcpt: Some(old.orcpt.clone().unwrap_or_else(known)), ..old.clone() }
}
