//! What the session log records: one SMTP session, in or out, from the greeting to its end.
//!
//! Data only. The dialogue is a [`Tape`]: octets as they went over the wire, but no content; secrets are left out when
//! it is read. Not here: who records (`reception`, `delivery`), where it is written (`io::Journal`).

use crate::observation::Stage;
use crate::tape::Tape;
use crate::tls::{Shown, TlsFault};
use posthaste_mail::{ConnectionId, QueueId, Reply, Timestamp};
use std::net::SocketAddr;
use std::time::Duration;

/// Messages of one session that are named; more are only counted.
pub const MAX_MESSAGES: usize = 100;
/// Refusals of one session that are told; more are only counted.
pub const MAX_REFUSALS: usize = 20;

/// Which sessions are recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Keep {
    /// Every one.
    #[default]
    All,
    /// Those in which either side refused something.
    Refused,
    /// None.
    Off,
}

/// One SMTP session, whole.
#[derive(Clone, PartialEq, Debug)]
pub struct Session {
    /// Its name. Of ours: that of the connection.
    pub id: ConnectionId,
    /// When the connection stood.
    pub at: Timestamp,
    /// Until its end.
    pub took: Duration,
    /// The other side's endpoint.
    pub peer: SocketAddr,
    /// Ours.
    pub local: SocketAddr,
    /// Who opened it, and for what.
    pub side: Side,
    /// What the client called itself in HELO or EHLO.
    pub helo: Option<String>,
    /// How it was secured; `None` for plain text.
    pub tls: Option<Tls>,
    /// Why it was not secured, though it was tried.
    pub tls_fault: Option<Box<TlsFault>>,
    /// How it ended.
    pub ended: Ended,
    /// What was refused in it with 4yz or 5yz, at most [`MAX_REFUSALS`].
    pub refusals: Vec<Refusal>,
    /// How many refusals there were in all.
    pub refused: u32,
    /// The messages that were accepted or tried in it, at most [`MAX_MESSAGES`].
    pub messages: Vec<QueueId>,
    /// How many messages there were in all.
    pub carried: u32,
    /// The dialogue.
    pub tape: Tape,
}

/// Who opened a session, and for what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Side {
    /// A client.
    In {
        /// The listener's name.
        listener: String,
    },
    /// We.
    Out {
        /// The destination it was opened for.
        destination: String,
        /// The route.
        route: String,
        /// The host's name.
        host: String,
    },
}

/// How a session was secured (RFC 3207).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tls {
    /// `TLSv1.3`, say.
    pub protocol: String,
    /// The cipher suite.
    pub cipher: String,
    /// The name that the other side's certificate was checked against.
    pub verified: Option<String>,
    /// The host name that the client asked for (SNI).
    pub asked: Option<String>,
    /// What a client showed of itself.
    pub client: Option<Shown>,
}

/// How a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// In order, by QUIT.
    Quit,
    /// It was turned away instead of being greeted.
    TurnedAway,
    /// The side that serves closed: too many errors, no sense in what came, a stop of the service.
    Closed,
    /// The connection broke, or the other side closed without a word.
    Lost,
    /// One waited too long for the other.
    TimedOut,
}

/// One thing refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// At which step; `None` for a command that belongs to none, or came at the wrong time.
    pub stage: Option<Stage>,
    /// The command line, where one was refused.
    pub command: Option<String>,
    /// What was replied.
    pub reply: Reply,
}

impl Keep {
    /// Whether a session must be recorded while it lasts.
    #[must_use]
    pub const fn records(self) -> bool {
        !matches!(self, Self::Off)
    }

    /// Whether a session that has ended is kept.
    #[must_use]
    pub const fn keeps(self, session: &Session) -> bool {
        match self {
            Self::All => true,
            Self::Refused => session.refused > 0,
            Self::Off => false,
        }
    }
}

impl Session {
    /// A session that begins now, with nothing said.
    #[must_use]
    pub const fn new(
        id: ConnectionId,
        at: Timestamp,
        peer: SocketAddr,
        local: SocketAddr,
        side: Side,
    ) -> Self {
        Self {
            id,
            at,
            took: Duration::ZERO,
            peer,
            local,
            side,
            helo: None,
            tls: None,
            tls_fault: None,
            ended: Ended::Lost,
            refusals: Vec::new(),
            refused: 0,
            messages: Vec::new(),
            carried: 0,
            tape: Tape::new(),
        }
    }

    /// Notes a refusal; `make` is called for those that are told.
    pub fn refuse(&mut self, make: impl FnOnce() -> Refusal) {
        self.refused = self.refused.saturating_add(1);
        if self.refusals.len() < MAX_REFUSALS {
            self.refusals.push(make());
        }
    }

    /// Notes a message.
    pub fn carry(&mut self, message: QueueId) {
        if self.messages.last() == Some(&message) {
            return;
        }
        self.carried = self.carried.saturating_add(1);
        if self.messages.len() < MAX_MESSAGES {
            self.messages.push(message);
        }
    }
}

impl Ended {
    /// The name in the outside interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quit => "quit",
            Self::TurnedAway => "turned-away",
            Self::Closed => "closed",
            Self::Lost => "lost",
            Self::TimedOut => "timed-out",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        let at = SocketAddr::from(([192, 0, 2, 7], 4000));
        let side = Side::In { listener: "relay".into() };
        Session::new(ConnectionId(1), Timestamp::EPOCH, at, at, side)
    }

    #[test]
    fn lists_are_bounded_and_counted() {
        let mut session = session();
        for n in 0..300 {
            session.carry(QueueId::from_u64(n));
            if n == 0 {
                session.carry(QueueId::from_u64(n));
            }
            session.refuse(|| Refusal {
                stage: Some(Stage::Rcpt),
                command: None,
                reply: Reply::new(550, None, "no"),
            });
        }
        assert_eq!((session.messages.len(), session.carried), (MAX_MESSAGES, 300));
        assert_eq!((session.refusals.len(), session.refused), (MAX_REFUSALS, 300));
    }

    #[test]
    fn what_is_kept_follows_the_setting() {
        let calm = session();
        let refused = Session { refused: 1, ..session() };
        for (keep, of_calm, of_refused) in
            [(Keep::All, true, true), (Keep::Refused, false, true), (Keep::Off, false, false)]
        {
            assert_eq!((keep.keeps(&calm), keep.keeps(&refused)), (of_calm, of_refused));
            assert_eq!(keep.records(), keep != Keep::Off);
        }
    }
}
