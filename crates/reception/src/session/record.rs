//! What of a session goes to the session log. Recording copies octets and nothing else; the journal makes text of it.
//!
//! The record is handed over when the session ends, however it does. Not here: which octets are secrets (`evidence`).

use crate::House;
use posthaste_evidence::session::{Ended, Refusal, Side, Tls};
use posthaste_evidence::{ConnectionId, Keep, Session, Stage, TlsFault, TlsReceived, Who};
use posthaste_io::{Instant, Stream};
use posthaste_mail::{QueueId, Reply};
use posthaste_smtp::server::{self, Refused, What};
use std::sync::Arc;

/// Records one session; nothing when the settings say so.
pub(crate) struct Recorder {
    house: Arc<House>,
    keep: Keep,
    began: Instant,
    /// When octets were last read.
    heard_at: Instant,
    session: Option<Box<Session>>,
}

impl Recorder {
    pub(crate) fn new(
        house: Arc<House>,
        keep: Keep,
        id: ConnectionId,
        listener: &str,
        stream: &dyn Stream,
    ) -> Self {
        let began = house.world.now();
        let session = keep.records().then(|| {
            let side = Side::In { listener: listener.to_owned() };
            let (peer, local) = (stream.peer(), stream.local());
            Box::new(Session::new(id, house.world.wall(), peer, local, side))
        });
        Self { house, keep, began, heard_at: began, session }
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.session.is_some()
    }

    /// Octets were read just now.
    pub(crate) fn read(&mut self) {
        if self.session.is_some() {
            self.heard_at = self.house.world.now();
        }
    }

    /// What the client said since the last time.
    pub(crate) fn hear(&mut self, smtp: &mut server::Session) {
        let Some(session) = &mut self.session else { return };
        if !smtp.heard().is_empty() {
            session.tape.push(self.heard_at - self.began, Who::They, smtp.heard());
            smtp.forget_heard();
        }
        if smtp.has_refused() {
            let (told, unlisted) = smtp.refused();
            told.into_iter().for_each(|refused| session.refuse(|| refusal(refused)));
            session.refused = session.refused.saturating_add(unlisted);
        }
    }

    /// What we say now.
    pub(crate) fn say(&mut self, output: &[u8]) {
        if let Some(session) = &mut self.session {
            session.tape.push(self.house.world.now() - self.began, Who::We, output);
        }
    }

    /// So much content has arrived; what the client said before it comes first.
    pub(crate) fn content(&mut self, smtp: &mut server::Session, size: u64) {
        self.hear(smtp);
        if let Some(session) = &mut self.session {
            session.tape.content(self.heard_at - self.began, Who::They, size);
        }
    }

    pub(crate) fn hello(&mut self, name: &str) {
        if let Some(session) = &mut self.session {
            session.helo = Some(name.to_owned());
        }
    }

    /// The stream is under TLS.
    pub(crate) fn secured(&mut self, facts: &TlsReceived) {
        if let Some(session) = &mut self.session {
            session.tls = Some(Tls {
                protocol: facts.version.name().to_owned(),
                cipher: facts.cipher.clone(),
                verified: None,
                asked: facts.asked.clone(),
                client: facts.client.clone(),
            });
        }
    }

    /// It is not, and why.
    pub(crate) fn not_secured(&mut self, fault: &TlsFault) {
        if let Some(session) = &mut self.session {
            session.tls_fault = Some(Box::new(fault.clone()));
        }
    }

    /// A message was accepted.
    pub(crate) fn carry(&mut self, id: QueueId) {
        if let Some(session) = &mut self.session {
            session.carry(id);
        }
    }

    /// How it ends; what is told first stands.
    pub(crate) fn end(&mut self, ended: Ended) {
        if let Some(session) = &mut self.session
            && session.ended == Ended::Lost
        {
            session.ended = ended;
        }
    }

    /// Nothing of this is worth telling, or another recorder does.
    pub(crate) fn forget(mut self) {
        self.session = None;
    }

    /// The whole session is this reply.
    pub(crate) fn turned_away(&mut self, line: &[u8], reply: &Reply) {
        self.say(line);
        self.end(Ended::TurnedAway);
        if let Some(session) = &mut self.session {
            let (stage, command, reply) = (Some(Stage::Banner), None, reply.clone());
            session.refuse(|| Refusal { stage, command, reply });
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let Some(mut session) = self.session.take() else { return };
        if self.keep.keeps(&session) {
            session.took = self.house.world.now() - self.began;
            self.house.world.journal.append_session(*session);
        }
    }
}

fn refusal(refused: Refused) -> Refusal {
    let stage = match refused.what {
        What::Session => Some(Stage::Banner),
        What::Hello | What::StartTls => Some(Stage::Ehlo),
        What::Auth => Some(Stage::Auth),
        What::Mail => Some(Stage::Mail),
        What::Rcpt => Some(Stage::Rcpt),
        What::Data => Some(Stage::Data),
        What::Content => Some(Stage::Eod),
        What::Command => None,
    };
    Refusal { stage, command: refused.command, reply: refused.reply }
}
