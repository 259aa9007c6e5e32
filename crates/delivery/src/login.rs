//! Logging in at a fixed next hop (RFC 4954), once a connection, before the first MAIL.
//!
//! Not here: what the mechanisms say (`smtp`), where the secret comes from (`secrets`), that the mail waits (`dispatch`).

use crate::line::{Log, next_before};
use crate::secrets::Secrets;
use crate::talk::{Heard, Talk};
use posthaste_evidence::{Effect, Ended, Fault, LoginFault, Seen, Stage};
use posthaste_io::{Instant, World};
use posthaste_mail::{Mechanism, Reply, Secret};
use posthaste_route::{Login, Route, is_private};
use posthaste_smtp::client::Step;
use posthaste_smtp::sasl::client::{Exchange, ExchangeFault};
use posthaste_smtp::sasl::scram::{NONCE, ScramFault};
use std::net::IpAddr;

/// What logging in needs besides the line.
pub(crate) struct Desk<'a> {
    pub(crate) world: &'a World,
    pub(crate) secrets: &'a dyn Secrets,
    pub(crate) route: &'a Route,
    /// The host's address.
    pub(crate) host: IpAddr,
    pub(crate) deadline: Instant,
    /// The longest wait for the answer to QUIT to be written.
    pub(crate) quit: std::time::Duration,
}

impl Desk<'_> {
    /// Logs in, when the route says so. A host that does not let us in is left.
    pub(crate) async fn log_in(&self, talk: &mut Talk, log: &mut Log<'_>) -> Result<(), Fault> {
        let Some(login) = &self.route.auth else { return Ok(()) };
        let (exchange, secret) = match self.prepare(login, self.mechanism(login, talk)).await {
            Ok(prepared) => prepared,
            Err(fault) => {
                log.see(Stage::Auth, Seen::LoginFailed(fault.clone()), Effect::Degrading);
                self.leave(talk).await;
                return Err(self.fault(fault));
            }
        };
        let mechanism = exchange.mechanism();
        talk.session.log_in(exchange);
        let answer = self.hear(talk, log).await?;
        if talk.session.logged_in() {
            self.see(log, mechanism, answer, Effect::None);
            return Ok(());
        }
        let broken_off = talk.session.login_fault();
        if let Some(fault) = broken_off {
            let fault = broke_off(fault);
            log.see(Stage::Auth, Seen::LoginFailed(fault.clone()), Effect::Degrading);
            self.leave(talk).await;
            return Err(self.fault(fault));
        }
        let Some(reply) = answer else { return Err(Fault::Lost { stage: Stage::Auth }) };
        self.see(log, mechanism, Some(reply.clone()), Effect::Degrading);
        self.leave(talk).await;
        if !reply.is_permanent() {
            return Err(Fault::Reply { stage: Stage::Auth, reply });
        }
        self.secrets.refused(&login.secret, &secret);
        Err(self.fault(LoginFault::Refused { reply }))
    }

    /// How, if at all: found out before a word is said of it.
    fn mechanism(&self, login: &Login, talk: &Talk) -> Result<Mechanism, LoginFault> {
        let may_be_heard = !(talk.secured || login.in_clear && is_private(self.host));
        if may_be_heard {
            return Err(LoginFault::NeedsTls);
        }
        let offered = &talk.session.capabilities().auth;
        login.best_of(offered).ok_or(LoginFault::NoCommonMechanism)
    }

    async fn prepare(
        &self,
        login: &Login,
        mechanism: Result<Mechanism, LoginFault>,
    ) -> Result<(Exchange, Secret), LoginFault> {
        let mechanism = mechanism?;
        let left = self.deadline - self.world.now();
        let secret = self.secrets.secret(&login.secret);
        let secret = posthaste_io::within(&*self.world.clock, left, secret).await;
        let timed_out = posthaste_evidence::SecretFault::TimedOut;
        let secret = secret.unwrap_or(Err(timed_out)).map_err(LoginFault::Secret)?;
        let random = nonce(self.world);
        let exchange = Exchange::new(mechanism, &login.user, secret.clone(), &random);
        let exchange = exchange.map_err(broke_off)?;
        Ok((exchange, secret))
    }

    /// The host's last word; challenges are of no interest.
    async fn hear(&self, talk: &mut Talk, log: &mut Log<'_>) -> Result<Option<Reply>, Fault> {
        let mut last = None;
        loop {
            match next_before(self.world, talk, self.deadline).await {
                Heard::Step(Step::Reply(_, reply)) => {
                    last = (!reply.is_intermediate()).then(|| reply.shortened());
                }
                Heard::Step(Step::Gibberish(stage, _)) => return Err(log.gibberish(stage)),
                Heard::Broken(stage, broken) => return Err(log.broken(stage, broken)),
                Heard::Step(_) => return Ok(last),
            }
        }
    }

    fn see(&self, log: &mut Log<'_>, mechanism: Mechanism, reply: Option<Reply>, effect: Effect) {
        if let Some(reply) = reply {
            log.see(Stage::Auth, Seen::Login { mechanism, reply }, effect);
        }
    }

    fn fault(&self, fault: LoginFault) -> Fault {
        Fault::Login { route: self.route.name.clone(), fault }
    }

    /// A polite QUIT, which nobody waits for.
    async fn leave(&self, talk: &mut Talk) {
        if matches!(talk.session.stage(), posthaste_smtp::client::Stage::Idle)
            && !talk.session.is_closed()
        {
            talk.session.quit();
        }
        let _ = talk.flush(self.world, self.quit).await;
        talk.recorder.end(Ended::Quit);
    }
}

fn broke_off(fault: ExchangeFault) -> LoginFault {
    match fault {
        ExchangeFault::Unsuitable => {
            LoginFault::Secret(posthaste_evidence::SecretFault::Unsuitable)
        }
        ExchangeFault::Scram(ScramFault::ServerUnproven) => LoginFault::ServerUnproven,
        _ => LoginFault::Exchange,
    }
}

fn nonce(world: &World) -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    for part in nonce.chunks_mut(8) {
        let random = world.random.next().to_ne_bytes();
        part.copy_from_slice(&random[..part.len()]);
    }
    nonce
}
