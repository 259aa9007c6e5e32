//! AUTH: who the client is (RFC 4954). Failures are slowed, told in the log, and end the session when they are many.
//!
//! Not here: the mechanisms (`smtp`), the users and their passwords (whoever keeps them), what a user may do then.

use super::Conversation;
use super::rcpt::Balance;
use super::wire::Rested;
use crate::checks::Rank;
use crate::logins::{Attempt, Failures, Seat, Trying};
use crate::places::Closing;
use crate::policy;
use crate::users::{Account, Checked, FailedLogin, Standing, Users};
use posthaste_evidence::Ended;
use posthaste_mail::{Reply, Secret};
use posthaste_smtp::sasl::Mechanism;
use posthaste_smtp::sasl::scram::{NONCE, nonce};
use posthaste_smtp::server::Ask;
use std::sync::Arc;
use std::time::Duration;

/// How often who waits for other logins of the same client looks whether they are checked.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long at most.
const LONGEST_TURN: Duration = Duration::from_secs(30);
/// An address from which somebody has logged in may fail so often before it is like others that fail.
const KNOWN_MAY_FAIL: u32 = 10;

/// Somebody who has shown who he is. It holds while the session says so.
pub(super) struct Login {
    pub(super) account: Arc<Account>,
    /// The users' generation in which it was looked at last; `None`: not since.
    generation: Option<u64>,
    /// One of the user's sessions.
    _seat: Seat,
}

impl Conversation {
    /// Who is logged in.
    pub(super) fn login(&self) -> Option<&Login> {
        self.login.as_ref().filter(|_| self.smtp.is_authenticated())
    }

    /// False when the client is gone.
    pub(super) async fn auth(&mut self, ask: Ask) -> bool {
        let Some(users) = self.house.users() else {
            return self.refuse(&policy::login_later());
        };
        let trying = match self.try_login().await {
            Ok(trying) => trying,
            Err(refusal) => {
                self.house.counters.refused_logins.one();
                return self.refuse(&refusal);
            }
        };
        match ask {
            Ask::Keys { user } => {
                let mine = self.nonce();
                self.smtp.give_keys(users.keys(&user), &mine);
                true
            }
            Ask::Password { user, password } => {
                // Replies that wait here do not wait for the check.
                if !self.flush().await {
                    return false;
                }
                match self.check(&*users, &user, password).await {
                    None => self.refuse_to_close(),
                    Some(Checked::Right(account)) => self.let_in(account),
                    Some(Checked::Wrong) => self.login_failed(&user, trying).await,
                    Some(Checked::Busy) => {
                        drop(trying);
                        self.too_busy().await
                    }
                }
            }
            Ask::Proof { user, valid } => match users.with_keys(&user).filter(|_| valid) {
                Some(account) => self.let_in(account),
                None => self.login_failed(&user, trying).await,
            },
            Ask::OtherIdentity { user } => self.login_failed(&user, trying).await,
        }
    }

    /// A login is checked when it may still fail. While others of this client's are checked that could use up what is left,
    /// it waits for them.
    async fn try_login(&mut self) -> Result<Trying, Reply> {
        let limit = self.policy.settings.limits.failed_logins_per_minute;
        let by = self.wire.now() + LONGEST_TURN;
        loop {
            match Failures::attempt(&self.house.failures, self.client, limit, self.wire.now()) {
                Attempt::Now(trying) => return Ok(trying),
                Attempt::Never => return Err(policy::too_many_failed_logins()),
                Attempt::Later if self.wire.now() >= by => return Err(policy::login_later()),
                Attempt::Later => match self
                    .wire
                    .rest(self.wire.now() + LOOK_AGAIN, self.amid(), &self.place)
                    .await
                {
                    Rested::Enough => {}
                    Rested::Left => return Err(policy::login_later()),
                    Rested::Closing => return Err(policy::closing(Closing::MakingRoom)),
                },
            }
        }
    }

    /// False when he who has logged in has been removed or disabled since, or has another password. What he may do now is
    /// in force from here on.
    pub(super) fn still_stands(&mut self) -> bool {
        let users = self.house.users();
        let authenticated = self.smtp.is_authenticated();
        let Some(login) = self.login.as_mut().filter(|_| authenticated) else { return true };
        let Some(users) = users else { return false };
        // Asked first: what changes in between is looked at the next time.
        let generation = Some(users.generation());
        if generation == login.generation {
            return true;
        }
        let Standing::Good(account) = users.standing(&login.account) else { return false };
        (login.account, login.generation) = (account, generation);
        true
    }

    fn let_in(&mut self, account: Arc<Account>) -> bool {
        let most = self.policy.settings.limits.sessions_per_user;
        // An exchange that was cancelled at its end may have left one.
        self.login = None;
        let Some(seat) = self.house.doings.seat(&account.name, most) else {
            self.house.counters.refused_logins.one();
            return self.refuse(&policy::too_many_of_user());
        };
        self.house.counters.logins.one();
        self.house.checks.knows(self.client);
        self.login = Some(Login { account, generation: None, _seat: seat });
        self.smtp.accept();
        self.recipients = Balance::default();
        true
    }

    /// The same for a wrong password and a user who does not exist.
    async fn login_failed(&mut self, user: &str, trying: Trying) -> bool {
        let limits = &self.policy.settings.limits;
        let (per_minute, most) = (limits.failed_logins_per_minute, limits.failed_logins);
        self.house.counters.failed_logins.one();
        self.failed_logins = self.failed_logins.saturating_add(1);
        let mechanism = self.smtp.mechanism().unwrap_or(Mechanism::Plain);
        if let Some(users) = self.house.users() {
            let listener = self.door.listener.name.as_str();
            users.tell(&FailedLogin { client: self.client, listener, mechanism, user });
        }
        let now = self.wire.now();
        let delay = self.house.failures.note(trying, user, per_minute, now);
        self.place.errs(now);
        if !self.flush().await {
            return false;
        }
        if !self.delay(delay).await {
            return false;
        }
        if self.place.closing(self.amid()).is_some() {
            return self.refuse_to_close();
        }
        let reply = match self.failed_logins >= most {
            true => policy::too_many_failed_logins(),
            false => policy::login_failed(),
        };
        self.refuse(&reply)
    }

    /// In its turn. `None`: the session is to end.
    async fn check(&mut self, users: &dyn Users, user: &str, password: Secret) -> Option<Checked> {
        let failed = self.house.failures.count(self.client, self.wire.now());
        let rank = match failed {
            0..KNOWN_MAY_FAIL if self.house.checks.is_known(self.client) => Rank::Known,
            0 => Rank::New,
            _ => Rank::Failing,
        };
        let turn = self.house.checks.join(self.client, rank, users.checks_at_once());
        let Some(turn) = turn else { return Some(Checked::Busy) };
        let check = async {
            match turn.comes().await {
                true => users.check(user, password).await,
                false => Checked::Busy,
            }
        };
        self.wire.in_line(&self.place, check).await
    }

    /// Too much waits to be checked. That counts, and takes time: or whoever fills the line could go on at once.
    async fn too_busy(&mut self) -> bool {
        self.house.counters.refused_logins.one();
        let limit = self.policy.settings.limits.failed_logins_per_minute;
        let delay = self.house.failures.overrun(self.client, limit, self.wire.now());
        if !self.delay(delay).await {
            return false;
        }
        if self.place.closing(self.amid()).is_some() {
            return self.refuse_to_close();
        }
        self.refuse(&policy::login_later())
    }

    /// Lets time pass; who asks for the place ends it. False when the client has left: it is not told what it did not wait
    /// for.
    async fn delay(&mut self, delay: Duration) -> bool {
        let until = self.wire.now() + delay;
        self.wire.rest(until, self.amid(), &self.place).await != Rested::Left
    }

    /// The session is to end.
    fn refuse_to_close(&mut self) -> bool {
        let why = self.place.closing(self.amid()).unwrap_or(Closing::MakingRoom);
        self.recorder.end(Ended::Closed);
        self.refuse(&policy::closing(why))
    }

    fn nonce(&self) -> String {
        let mut octets = [0; NONCE];
        for part in octets.chunks_mut(8) {
            let random = self.house.world.random.next().to_le_bytes();
            part.copy_from_slice(&random[..part.len()]);
        }
        nonce(&octets)
    }

    /// Why this user may not do it now.
    pub(super) fn over_own_limit(&self, what: Own) -> Option<Reply> {
        let login = self.login()?;
        let rates = login.account.rates.or(&self.policy.settings.limits.user_rates);
        let (name, now, doings) = (&login.account.name, self.wire.now(), &self.house.doings);
        let (may, refusal) = match what {
            Own::Message => (doings.message(name, &rates, now), policy::user_too_many_messages()),
            Own::Recipient => {
                (doings.recipient(name, &rates, now), policy::user_too_many_recipients())
            }
        };
        self.house.counters.refused_rates.add(u64::from(!may));
        (!may).then_some(refusal)
    }
}

/// What a user does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Own {
    Message,
    Recipient,
}
