//! What a notice about a message would say now: nothing is stored, counted or sent.

use super::kept::is_kept;
use super::{About, News, ground, header};
use crate::content::InHand;
use crate::{Dispatch, Inner};
use posthaste_evidence::{Fault, NoticeKind, Withheld};
use posthaste_mail::{Body, QueueId};
use posthaste_message::dsn::{self, rules};
use posthaste_queue::life::{CRASHES_TO_POISON, Life};
use posthaste_spool::{Live, ReadFault};
use std::sync::Arc;

/// There is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum PreviewFault {
    /// The message is not in the queue.
    #[error("it is not in the queue")]
    Unknown,
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] ReadFault),
    /// No such notice would be sent about any of its recipients.
    #[error("its sender is not owed such a notice: {}", .0.name())]
    Withheld(Withheld),
}

impl Dispatch {
    /// What a notice of this kind about a message would say now, of all its live recipients of whom one is owed; of a
    /// failure, as if their time were over, unless it has ended them already. In `language`, or in the one that the
    /// message prefers.
    ///
    /// # Errors
    /// [`PreviewFault`]
    pub async fn preview(
        &self,
        id: QueueId,
        kind: NoticeKind,
        language: Option<&str>,
    ) -> Result<dsn::Composed, PreviewFault> {
        let inner = &self.inner;
        let live = inner.spool.find(id).await?.ok_or(PreviewFault::Unknown)?;
        let (in_hand, original) = inner.to_quote(&live).await;
        let now = inner.world.wall();
        let about = About { now, envelope: &in_hand.envelope, original: &original };
        let history = inner.spool.history(id).await?;
        let settings = inner.settings();
        let header = header(&about);
        let ground = ground(&settings, about.envelope, &header);
        let (mut news, mut withheld) = (Vec::new(), None);
        for (number, state) in (0u32..).zip(&live.states).filter(|(_, s)| s.life.is_live()) {
            if let Err(why) = rules::owed(kind, &live.envelope, number, &ground) {
                withheld = Some(why);
                continue;
            }
            let told = inner.waiting_news(now, &live.envelope, (number, state), &history);
            // What kept it to its end is told, not what it waits for now.
            let waits = told.waits.filter(|w| kind != NoticeKind::Failed || is_kept(w.reason));
            let fault = match kind {
                NoticeKind::Failed if state.life == Life::Failing => told.fault.clone(),
                NoticeKind::Failed => Some(Fault::Expired),
                NoticeKind::Delayed => told.fault.clone(),
                NoticeKind::Delivered | NoticeKind::Relayed | NoticeKind::AllClear => None,
            };
            news.push(News { fault, waits, ..told });
        }
        if news.is_empty() {
            return Err(withheld.map_or(PreviewFault::Unknown, PreviewFault::Withheld));
        }
        news.truncate(dsn::MAX_REPORTED);
        // The name that it would have, were it made at the beginning of this second: none is used up.
        let name = (QueueId::first_at(now), language);
        Ok(inner.compose(&settings, &about, kind, &news, name))
    }
}

impl Inner {
    /// A message and the beginning of its content, for a notice. A content that cannot be read, or may have brought the
    /// process down, does not keep its notice back: that goes without.
    pub(crate) async fn to_quote(&self, live: &Live) -> (InHand, Body) {
        let parked = live.states.iter().any(|state| state.crashes >= CRASHES_TO_POISON);
        match self.in_hand(live.envelope.id).await {
            Ok(Some(in_hand)) if !parked => {
                let original = self.beginning(&in_hand.content).await;
                (in_hand, original)
            }
            _ => {
                let content = posthaste_spool::Content::Inline(Body::default());
                (InHand { envelope: Arc::new(live.envelope.clone()), content }, Body::default())
            }
        }
    }
}
