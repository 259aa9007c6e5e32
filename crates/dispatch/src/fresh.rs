//! Content of mail that was just accepted, kept in memory until it is delivered or the budget is spent.

use posthaste_mail::QueueId;
use posthaste_spool::{Content, NewMail};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a message costs beside its content, octets; an estimate on the safe side.
const OVERHEAD: usize = 1024;

/// The hand-over from acceptance to delivery.
pub(crate) struct Fresh {
    budget: usize,
    used: usize,
    mails: BTreeMap<QueueId, Arc<NewMail>>,
}

impl Fresh {
    /// Nothing kept yet.
    pub(crate) const fn new(budget: usize) -> Self {
        Self { budget, used: 0, mails: BTreeMap::new() }
    }

    /// Keeps a message if there is room.
    pub(crate) fn keep(&mut self, mail: &Arc<NewMail>) {
        let cost = cost(mail);
        if self.used + cost <= self.budget
            && self.mails.insert(mail.envelope.id, Arc::clone(mail)).is_none()
        {
            self.used += cost;
        }
    }

    /// The message, if it is kept.
    pub(crate) fn get(&self, id: QueueId) -> Option<Arc<NewMail>> {
        self.mails.get(&id).cloned()
    }

    /// Forgets what came before this id: it waits for longer than a hand-over takes, and must not keep later
    /// mail out.
    pub(crate) fn sweep(&mut self, before: QueueId) {
        let kept = self.mails.split_off(&before);
        for mail in std::mem::replace(&mut self.mails, kept).values() {
            self.used -= cost(mail);
        }
    }

    /// It has been tried: the store has it, should it be needed again.
    pub(crate) fn forget(&mut self, id: QueueId) {
        if let Some(mail) = self.mails.remove(&id) {
            self.used -= cost(&mail);
        }
    }
}

fn cost(mail: &NewMail) -> usize {
    let content = match &mail.content {
        Content::Inline(body) => body.len(),
        Content::Spilled(_) => 0,
    };
    content + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::tests::mail;

    #[test]
    fn the_budget_holds_and_is_given_back() {
        let mut fresh = Fresh::new(2 * OVERHEAD + 100);
        let (a, b, c) = (mail(1, 40), mail(2, 40), mail(3, 40));
        for m in [&a, &b, &c, &a] {
            fresh.keep(m);
        }
        assert!(fresh.get(a.envelope.id).is_some() && fresh.get(b.envelope.id).is_some());
        assert!(fresh.get(c.envelope.id).is_none(), "over the budget");
        fresh.forget(a.envelope.id);
        fresh.forget(a.envelope.id);
        fresh.keep(&c);
        assert!(fresh.get(c.envelope.id).is_some());
        fresh.sweep(c.envelope.id);
        assert!(fresh.get(b.envelope.id).is_none() && fresh.get(c.envelope.id).is_some());
        fresh.sweep(QueueId::from_u64(u64::MAX));
        assert_eq!((fresh.used, fresh.mails.len()), (0, 0));
    }
}
