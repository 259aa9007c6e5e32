//! How the relay under test asks next hops for recipients: as the daemon does, over its dispatcher.

use posthaste_delivery::probe::Probed;
use posthaste_dispatch::Dispatch;
use posthaste_io::Task;
use posthaste_mail::Mailbox;
use posthaste_reception::Verifier;
use posthaste_reception::recipients::Answer;
use std::sync::{Arc, Mutex, PoisonError};

/// Asks over the dispatcher, and notes what it is told.
pub(crate) struct NextHops {
    dispatch: Dispatch,
    everybody: Arc<Mutex<Vec<String>>>,
}

impl NextHops {
    pub(crate) const fn new(dispatch: Dispatch, everybody: Arc<Mutex<Vec<String>>>) -> Self {
        Self { dispatch, everybody }
    }
}

impl Verifier for NextHops {
    fn next_hop(&self, mailbox: &Mailbox) -> String {
        self.dispatch.probed_at(mailbox)
    }

    fn ask(&self, mailbox: Mailbox) -> Task<'static, Answer> {
        let dispatch = self.dispatch.clone();
        Box::pin(async move {
            match dispatch.probe(&mailbox).await {
                Probed::Taken => Answer::Exists,
                Probed::Refused(reply) => Answer::Unknown(reply),
                Probed::Undecided(fault) => Answer::Unreachable(fault),
            }
        })
    }

    fn takes_everybody(&self, domain: &str) {
        let mut told = self.everybody.lock().unwrap_or_else(PoisonError::into_inner);
        told.push(domain.to_owned());
    }
}
