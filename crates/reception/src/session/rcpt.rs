//! RCPT: whether this client may send to this recipient, and whether there is one (RFC 5321 sections 3.3, 3.6).

use super::Conversation;
use super::auth::Own;
use crate::places::Progress;
use crate::policy::{self, Trust};
use crate::rates::Deed;
use crate::recipients::envelope::TooMany;
use crate::recipients::{Answer, Judged};
use posthaste_mail::{Mailbox, Recipient, Reply};
use posthaste_smtp::server::{ForwardPath, RcptParams};
use posthaste_spool::Refused;

/// Recipients since the last message that was accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Balance {
    taken: u32,
    refused: u32,
}

impl Balance {
    /// What counts of so many refusals, those of recipients among them: an old list has dead recipients, but fewer than
    /// living ones.
    pub(super) fn errors(self, refusals: u32) -> u32 {
        refusals.saturating_sub(self.refused.min(self.taken))
    }
}

impl Conversation {
    /// False when the client is gone.
    pub(super) async fn rcpt(&mut self, path: ForwardPath, params: RcptParams) -> bool {
        if let Some(refusal) = self.over_own_limit(Own::Recipient) {
            return self.refuse(&refusal);
        }
        if !self.may(Deed::Recipient) {
            return self.refuse(&policy::too_many_recipients_a_minute());
        }
        let Some(transaction) = &self.transaction else {
            return self.refuse(&policy::refused(Refused::Unhealthy));
        };
        let relay = self.trust() != Trust::Stranger;
        let added = match transaction.directory.judge(path, relay) {
            Judged::Elsewhere(mailbox) if relay => self.take(mailbox, params),
            Judged::Elsewhere(_) => {
                self.house.counters.refused_relay.one();
                return self.refuse_recipient(&policy::relay_denied());
            }
            Judged::Known(mailbox, _) => self.take(mailbox, params),
            Judged::Alias(written, found) => self.take_alias(written, found, params),
            Judged::Routed => {
                self.house.counters.refused_relay.one();
                return self.refuse_recipient(&policy::routed());
            }
            Judged::Unknown => {
                self.house.counters.refused_unknown.one();
                return self.refuse_recipient(&policy::unknown_recipient());
            }
            Judged::Troubled(why) => {
                self.house.counters.deferred_recipients.one();
                return self.refuse_recipient(&policy::aliases_at_fault(why));
            }
            Judged::Ask(mailbox) => match self.verify(&mailbox).await {
                Some(Ok(())) => self.take(mailbox, params),
                Some(Err(reply)) => return self.refuse_recipient(&reply),
                None => return false,
            },
        };
        match added {
            Ok(()) => {
                self.smtp.accept();
                self.recipients.taken = self.recipients.taken.saturating_add(1);
                self.comes(Progress::Commands);
                true
            }
            Err(TooMany) => self.refuse_recipient(&policy::too_many_recipients()),
        }
    }

    /// With `soft_fail` no refusal of a recipient is permanent.
    fn refuse_recipient(&mut self, reply: &Reply) -> bool {
        self.recipients.refused = self.recipients.refused.saturating_add(1);
        let said = self.policy.recipient_refusal(reply.clone());
        self.refuse(&said)
    }

    /// `None` when the client is gone.
    async fn verify(&mut self, mailbox: &Mailbox) -> Option<Result<(), Reply>> {
        let answer = match self.house.verification.remembered(mailbox) {
            Some(answer) => answer,
            // No stranger: a refusal by the next hop comes to it as a notice.
            None if self.trust == Trust::Local => return Some(Ok(())),
            None => {
                // Replies that wait here, to a message that was accepted above all, do not wait for the next hop.
                if !self.flush().await {
                    return None;
                }
                self.house.verification.ask(mailbox).await
            }
        };
        let counters = &self.house.counters;
        Some(match answer {
            Answer::Exists => Ok(()),
            Answer::Unknown(said) => {
                counters.refused_unknown.one();
                Err(policy::unknown_by_next_hop(&said))
            }
            Answer::Unreachable(fault) => {
                counters.deferred_recipients.one();
                Err(policy::cannot_verify(&fault))
            }
        })
    }

    fn take(&mut self, mailbox: Mailbox, params: RcptParams) -> Result<(), TooMany> {
        let transaction = self.transaction.as_mut().ok_or(TooMany)?;
        let RcptParams { notify, orcpt, .. } = params;
        transaction.recipients.add(Recipient { mailbox, orcpt, notify })
    }

    fn take_alias(
        &mut self,
        written: Mailbox,
        found: Vec<Mailbox>,
        params: RcptParams,
    ) -> Result<(), TooMany> {
        let transaction = self.transaction.as_mut().ok_or(TooMany)?;
        transaction.recipients.add_alias(written, found, params.orcpt, params.notify)
    }
}
