//! TLS of a session: the handshake after STARTTLS (RFC 3207) or before the greeting (RFC 8314 section 3.3), and what a
//! client's certificate is good for.
//!
//! Not here: the handshake itself (`io`), what the protocol forgets with it (`smtp`).

use super::Conversation;
use super::wire::Wire;
use crate::places::{Amid, Place, Progress};
use crate::policy::{self, Trust};
use crate::settings::{Certified, ListenerTls};
use posthaste_evidence::{Ended, Shown, TlsFault, TlsReceived};
use posthaste_io::{Identity, Net, Offer};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

impl Conversation {
    /// Before the greeting, where the door wants it. False when the session is over.
    pub(super) async fn secure_first(&mut self) -> bool {
        if self.door.listener.tls != ListenerTls::Implicit || self.trust == Trust::Local {
            return true;
        }
        match self.house.identities() {
            Some(identities) => self.handshake(identities).await,
            None => {
                self.failed(&TlsFault::NoIdentity);
                false
            }
        }
    }

    /// After STARTTLS. False when the session is over.
    pub(super) async fn start_tls(&mut self) -> bool {
        let Some(identities) = self.house.identities() else {
            self.smtp.reject(&policy::no_tls());
            return true;
        };
        self.smtp.accept();
        if !self.flush().await {
            return false;
        }
        // What came behind STARTTLS came in clear, perhaps from somebody else: it is not even looked at.
        self.house.counters.injected.add(u64::from(!self.wire.input.is_empty()));
        self.wire.input.clear();
        self.handshake(identities).await
    }

    async fn handshake(&mut self, identities: Arc<[Identity]>) -> bool {
        let most = self.policy.settings.limits.handshake_timeout.min(self.command_limit());
        let left = self.over_at - self.wire.now();
        let clients = self.door.listener.clients.clone();
        let offer = Offer { identities, clients, limit: most.min(left) };
        let net = Arc::clone(&self.house.world.net);
        match self.wire.secure(&*net, offer, &self.place).await {
            None => {
                self.recorder.end(Ended::Closed);
                false
            }
            Some(Err(fault)) => {
                self.failed(&fault);
                false
            }
            Some(Ok(facts)) => {
                self.smtp.secured(&mut self.wire.input);
                self.begin_anew();
                self.take_certificate(facts.client.as_ref());
                self.house.counters.secured.one();
                self.recorder.secured(&facts);
                self.tls = Some(facts);
                true
            }
        }
    }

    /// What was said in clear is forgotten; what counts against the client goes on counting.
    fn begin_anew(&mut self) {
        self.helo = String::new();
        self.extended = false;
        self.transaction = None;
        self.command_since = None;
        self.comes(Progress::Nothing);
    }

    fn failed(&mut self, fault: &TlsFault) {
        self.house.counters.handshakes_failed.one();
        self.recorder.not_secured(fault);
        let late = *fault == TlsFault::TimedOut;
        self.recorder.end(if late { Ended::TimedOut } else { Ended::Lost });
    }

    /// A stranger whose certificate is listed may send to anywhere.
    fn take_certificate(&mut self, shown: Option<&Shown>) {
        let listed = &self.door.listener.relay_certificates;
        if self.trust == Trust::Stranger && shown.is_some_and(|shown| is_listed(shown, listed)) {
            self.trust = Trust::Relay;
        }
    }
}

/// Names count only when somebody who is trusted vouches for them; a key speaks for itself.
fn is_listed(shown: &Shown, listed: &[Certified]) -> bool {
    let Some(own) = shown.chain.first() else { return false };
    listed.iter().any(|certified| match certified {
        Certified::Key(key) => own.key == *key,
        Certified::Name(name) => {
            let common = own.subject.split(',').filter_map(|part| part.trim().strip_prefix("CN="));
            let mut names = own.names.iter().map(String::as_str).chain(common);
            shown.verified.is_ok() && names.any(|other| other.eq_ignore_ascii_case(name))
        }
    })
}

impl Wire {
    /// Puts TLS over the stream. `None`: the session is to end. The stream is gone unless it succeeds.
    async fn secure(
        &mut self,
        net: &dyn Net,
        offer: Offer,
        place: &Place,
    ) -> Option<Result<TlsReceived, TlsFault>> {
        let stream = self.stream.take()?;
        let mut handshake = net.receive(stream, offer);
        let ended = poll_fn(|cx| {
            if let Poll::Ready(ended) = handshake.as_mut().poll(cx) {
                return Poll::Ready(Some(ended));
            }
            if place.poll_closing(Amid::Nothing, cx).is_some() {
                return Poll::Ready(None);
            }
            place.waits(true);
            Poll::Pending
        });
        let ended = ended.await;
        place.waits(false);
        Some(ended?.map(|received| {
            self.stream = Some(received.stream);
            received.facts
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_evidence::{Certificate, Untrusted};
    use posthaste_mail::Timestamp;

    #[test]
    fn names_need_somebody_who_vouches_for_them_and_keys_do_not() {
        let shown = |verified| Shown {
            chain: vec![Certificate {
                subject: "O=Us, CN=mail.client.example".into(),
                names: vec!["smtp.client.example".into()],
                issuer: "CN=A".into(),
                not_before: Timestamp::EPOCH,
                not_after: Timestamp::EPOCH,
                key: [7; 32],
            }],
            verified,
        };
        let name = |name: &str| vec![Certified::Name(name.into())];
        for (listed, verified, relays) in [
            (name("SMTP.client.example"), Ok(()), true),
            (name("mail.client.example"), Ok(()), true),
            (name("Us"), Ok(()), false),
            (name("client.example"), Ok(()), false),
            (name("smtp.client.example"), Err(Untrusted::UnknownIssuer), false),
            (vec![Certified::Key([7; 32])], Err(Untrusted::UnknownIssuer), true),
            (vec![Certified::Key([8; 32])], Ok(()), false),
            (vec![], Ok(()), false),
        ] {
            assert_eq!(is_listed(&shown(verified), &listed), relays, "{listed:?} {verified:?}");
        }
        let nothing = Shown { chain: Vec::new(), verified: Ok(()) };
        assert!(!is_listed(&nothing, &name("")));
    }
}
