//! How long to wait for a server, by stage (RFC 5321 section 4.5.3.2).

use super::Stage;
use std::time::Duration;

/// Time limits. Defaults are those of the RFC; RSET and QUIT, for which it has none, are short.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// The greeting: 5 min.
    pub greeting: Duration,
    /// EHLO, HELO and LHLO: 5 min.
    pub hello: Duration,
    /// AUTH, each of its answers: 2 min.
    pub auth: Duration,
    /// STARTTLS, for which no RFC has a limit: 2 min.
    pub starttls: Duration,
    /// The TLS handshake, from its first octet to its last: 1 min.
    pub handshake: Duration,
    /// MAIL: 5 min.
    pub mail: Duration,
    /// Each RCPT: 5 min.
    pub rcpt: Duration,
    /// DATA, up to its 354: 2 min.
    pub data: Duration,
    /// Each block of content to be taken by the network: 3 min.
    pub block: Duration,
    /// The reply to the final dot, each of several: 10 min. Shorter risks duplicates (RFC 1047).
    pub eod: Duration,
    /// RSET: 20 s.
    pub rset: Duration,
    /// QUIT: 5 s. Nothing depends on it.
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Self {
            greeting: minutes(5),
            hello: minutes(5),
            auth: minutes(2),
            starttls: minutes(2),
            handshake: minutes(1),
            mail: minutes(5),
            rcpt: minutes(5),
            data: minutes(2),
            block: minutes(3),
            eod: minutes(10),
            rset: Duration::from_secs(20),
            quit: Duration::from_secs(5),
        }
    }
}

impl Timeouts {
    /// The limit of a stage. [`Stage::Idle`] has that of QUIT: nothing is waited for there.
    #[must_use]
    pub const fn of(&self, stage: Stage) -> Duration {
        match stage {
            Stage::Banner => self.greeting,
            Stage::Ehlo | Stage::Helo | Stage::Lhlo => self.hello,
            Stage::Auth => self.auth,
            Stage::StartTls => self.starttls,
            Stage::Mail => self.mail,
            Stage::Rcpt(_) => self.rcpt,
            Stage::Data => self.data,
            Stage::Content => self.block,
            Stage::Eod | Stage::EodOf(_) => self.eod,
            Stage::Rset => self.rset,
            Stage::Quit | Stage::Idle => self.quit,
        }
    }
}
