//! What a transaction came to, as notices: bad ends, and deliveries that their sender is to hear of.
//!
//! Not here: the settling itself (`settle`), ends without a transaction (`expiry`).

use super::{About, News, Tidings};
use crate::content::InHand;
use crate::last::LastTried;
use crate::operator::Landed;
use crate::settle::Told;
use crate::timeline::Timeline;
use crate::{Inner, lock};
use posthaste_evidence::{Fault, Handover, NoticeKind, Outcome};
use posthaste_mail::{Body, Timestamp};
use posthaste_queue::life::TransitionKind;
use posthaste_queue::{Changed, Work};
use posthaste_spool::History;
use posthaste_spool::events::Lookup;
use std::net::SocketAddr;

/// What notices may need of the store: read before the transaction is settled, since nothing waits then.
#[derive(Default)]
pub(crate) struct Before {
    original: Body,
    history: History,
}

impl Inner {
    /// Reads what notices about the end of this transaction may need; nothing when there cannot be any.
    pub(crate) async fn before(&self, work: &Work, in_hand: &InHand, told: &Told) -> Before {
        let over = self.world.wall() >= work.expires;
        let clears = self.settings().all_clear;
        let tells = told.results.iter().any(|r| match r.outcome {
            Outcome::Delivered => {
                let warned = work.recipients.iter().any(|(n, s)| *n == r.recipient && s.warned > 0);
                wants_success(in_hand, r.recipient) || (clears && warned)
            }
            Outcome::Discarded => false,
            Outcome::Failed => true,
            Outcome::Deferred | Outcome::Indeterminate => over,
        });
        if !tells && !self.is_ordered(work.message) {
            return Before::default();
        }
        let original = self.beginning(&in_hand.content).await;
        let tried_before = work.recipients.iter().any(|(_, state)| state.attempts > 0);
        self.catch_up(work.message, 0).await;
        let history = match tried_before {
            true => self.spool.history(work.message).await.unwrap_or_default(),
            false => History::default(),
        };
        Before { original, history }
    }

    /// What is told of the recipients that this transaction has ended.
    pub(crate) fn tidings(
        &self,
        now: Timestamp,
        in_hand: &InHand,
        before: &Before,
        told: &Told,
        changed: &[Changed],
        landed: &Landed,
    ) -> Tidings {
        let (mut failed, mut asked, mut cleared) = (Vec::new(), Vec::new(), Vec::new());
        for change in changed {
            let good = change.transition.kind == TransitionKind::Delivered;
            if let Some(fault) = fault(change, told) {
                failed.push((change, Some(fault)));
            } else if good && success(told).is_some() && wants_success(in_hand, change.recipient) {
                asked.push((change, None));
            } else if good && change.transition.state.warned > 0 && self.settings().all_clear {
                cleared.push((change, None));
            }
        }
        let mut tidings = Tidings::default();
        if failed.is_empty() && asked.is_empty() && cleared.is_empty() {
            return tidings;
        }
        let about = About { now, envelope: &in_hand.envelope, original: &before.original };
        let peer = told.connection.and_then(|id| lock(&self.settling).host(id)).map(|(_, at)| at);
        let news = |(change, fault): (&Changed, Option<Fault>)| News {
            recipient: change.recipient,
            fault,
            past: self.past(in_hand, before, told, (change, peer)),
            remark: landed.text(change.recipient),
            waits: None,
        };
        let success = success(told).unwrap_or(NoticeKind::Delivered);
        let kinds = [NoticeKind::Failed, success, NoticeKind::AllClear];
        for (kind, told) in kinds.into_iter().zip([failed, asked, cleared]) {
            tidings.add(self.tell_sender(&about, kind, told.into_iter().map(news).collect()));
        }
        tidings
    }

    fn past(
        &self,
        in_hand: &InHand,
        before: &Before,
        told: &Told,
        (change, peer): (&Changed, Option<SocketAddr>),
    ) -> Timeline {
        let (number, attempts) = (change.recipient, change.transition.state.attempts);
        let past = self.timeline(&in_hand.envelope, number, &before.history, attempts);
        let Some(result) = told.results.iter().find(|r| r.recipient == number) else {
            return past;
        };
        past.and(LastTried { at: told.at, host: told.host.clone(), peer, result: result.clone() })
    }
}

/// What ended a recipient; `None` when it has not ended badly.
fn fault(change: &Changed, told: &Told) -> Option<Fault> {
    match change.transition.kind {
        TransitionKind::Expired => Some(Fault::Expired),
        TransitionKind::Bounced => Some(Fault::Operator),
        TransitionKind::Failed => {
            let result = told.results.iter().find(|r| r.recipient == change.recipient);
            Some(result.and_then(|r| r.fault.clone()).unwrap_or(Fault::StoreFault))
        }
        _ => None,
    }
}

/// What we owe senders who want to be told of deliveries (RFC 3461 section 5.2); `None` when the host does.
const fn success(told: &Told) -> Option<NoticeKind> {
    match told.handover {
        Some(Handover::Final) => Some(NoticeKind::Delivered),
        Some(Handover::Relayed) => Some(NoticeKind::Relayed),
        Some(Handover::PassedOn) | None => None,
    }
}

fn wants_success(in_hand: &InHand, recipient: u32) -> bool {
    let known = in_hand.envelope.recipients.get(recipient as usize);
    known.and_then(|r| r.notify).is_some_and(|notify| notify.success)
}
