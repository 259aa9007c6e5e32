//! Asks the next hop of an address whether it takes the recipient, over the route that a notice would go.
//!
//! Not here: the asking (`delivery`), what is remembered of the answer (`reception`).

use crate::{Dispatch, destination};
use posthaste_delivery::{Needs, Probed, Target};
use posthaste_evidence::Fault;
use posthaste_mail::{Mailbox, ReversePath};
use posthaste_route::Facts;

impl Dispatch {
    /// Asks. Nothing is sent, and the queue does not notice.
    pub async fn probe(&self, mailbox: &Mailbox) -> Probed {
        let inner = &self.inner;
        let routes = inner.routes();
        let facts = Facts::between(&ReversePath::Null, mailbox);
        let Some((_, route)) = routes.find(&facts) else {
            return Probed::Undecided(Fault::NoRoute);
        };
        let to = destination::of_facts(&routes, &facts);
        let target = Target {
            id: inner.connection_id(),
            destination: &to.name,
            host: mailbox.host(),
            route,
            needs: Needs { smtputf8: !mailbox.as_str().is_ascii(), ..Needs::default() },
        };
        inner.courier.probe(&target, mailbox).await
    }

    /// The next hop that [`Self::probe`] asks: destination and route.
    #[must_use]
    pub fn probed_at(&self, mailbox: &Mailbox) -> String {
        let facts = Facts::between(&ReversePath::Null, mailbox);
        let to = destination::of_facts(&self.inner.routes(), &facts);
        format!("{} {}", to.name, to.route)
    }
}
