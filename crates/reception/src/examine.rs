//! What would become of a recipient, for the operator who asks.

use crate::House;
use crate::policy;
use crate::recipients::{Answer, By, Judged};
use posthaste_mail::{Mailbox, Reply};
use posthaste_smtp::server::ForwardPath;

/// What would become of a recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Examined {
    /// None of ours: clients who may relay send to it, strangers do not.
    Elsewhere,
    /// Taken as it stands.
    Known(By),
    /// Taken for these.
    Alias(Vec<Mailbox>),
    /// Its next hop takes it.
    Verified {
        /// The next hop takes recipients that cannot exist, too.
        takes_everybody: bool,
    },
    /// Refused or put off with this reply.
    Refused(Reply),
}

pub(crate) async fn examine(house: &House, mailbox: Mailbox) -> Examined {
    match house.directory().judge(ForwardPath::Mailbox(mailbox), true) {
        Judged::Elsewhere(_) => Examined::Elsewhere,
        Judged::Known(_, by) => Examined::Known(by),
        Judged::Alias(_, found) => Examined::Alias(found),
        Judged::Routed => Examined::Refused(policy::routed()),
        Judged::Unknown => Examined::Refused(policy::unknown_recipient()),
        Judged::Troubled(why) => Examined::Refused(policy::aliases_at_fault(why)),
        Judged::Ask(mailbox) => match house.verification.ask(&mailbox).await {
            Answer::Exists => {
                let everybody = house.verification.take_everybody();
                let domain = crate::recipients::verify::domain_of(&mailbox);
                Examined::Verified { takes_everybody: everybody.contains(&domain) }
            }
            Answer::Unknown(said) => Examined::Refused(policy::unknown_by_next_hop(&said)),
            Answer::Unreachable(fault) => Examined::Refused(policy::cannot_verify(&fault)),
        },
    }
}
