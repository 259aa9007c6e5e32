//! A message in hand: from memory when it was just accepted, else from the store.

use crate::{Inner, lock};
use posthaste_mail::{Body, Envelope, QueueId};
use posthaste_spool::{Content, ReadFault};
use std::sync::Arc;

/// Octets of an original that a notice may carry.
const NOTICE_ORIGINAL: usize = 1024 * 1024;

/// An envelope with its content.
pub(crate) struct InHand {
    pub(crate) envelope: Arc<Envelope>,
    pub(crate) content: Content,
}

impl Inner {
    /// The message, to be delivered; `None` when the store does not have it any more.
    pub(crate) async fn in_hand(&self, id: QueueId) -> Result<Option<InHand>, ReadFault> {
        let fresh = lock(&self.fresh).get(id);
        if let Some(mail) = fresh {
            let envelope = Arc::new(mail.envelope.clone());
            return Ok(Some(InHand { envelope, content: mail.content.clone() }));
        }
        let stored = self.spool.fetch(id).await?;
        Ok(stored.map(|s| InHand { envelope: s.envelope, content: s.content }))
    }

    /// The beginning of a content, for a notice.
    pub(crate) async fn beginning(&self, content: &Content) -> Body {
        match content {
            Content::Inline(body) => body.clone(),
            Content::Spilled(body) => {
                let length = NOTICE_ORIGINAL.min(usize::try_from(body.size).unwrap_or(usize::MAX));
                match self.spool.range(body, 0, length).await {
                    Ok(range) => Body::new(vec![range]),
                    // The notice is owed all the same, without the original.
                    Err(_) => Body::default(),
                }
            }
        }
    }
}
