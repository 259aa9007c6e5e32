//! What of a connection goes to the session log. Recording copies octets and nothing else; the journal makes text of it.
//!
//! The record is handed over when the connection ends, however it does. Not here: which octets are secrets (`evidence`).

use crate::talk::stage_of;
use posthaste_evidence::{Ended, Keep, Refusal, Session, Tls, TlsFacts, Who};
use posthaste_io::{Instant, World};
use posthaste_mail::{QueueId, Reply};
use posthaste_smtp::client::Stage;

/// RFC 5321 section 3.8: the server closes, whatever was asked.
const CLOSING: u16 = 421;

/// Records one connection; nothing when the settings say so.
pub(crate) struct Recorder {
    world: World,
    keep: Keep,
    began: Instant,
    session: Option<Box<Session>>,
}

impl Recorder {
    /// `make` is called when there is something to record.
    pub(crate) fn new(world: &World, keep: Keep, make: impl FnOnce() -> Session) -> Self {
        let session = keep.records().then(|| Box::new(make()));
        Self { world: world.clone(), keep, began: world.now(), session }
    }

    pub(crate) fn push(&mut self, who: Who, octets: &[u8]) {
        if let Some(session) = &mut self.session
            && !octets.is_empty()
        {
            session.tape.push(self.world.now() - self.began, who, octets);
        }
    }

    /// All of the content went out.
    pub(crate) fn content(&mut self, size: u64) {
        if let Some(session) = &mut self.session {
            session.tape.content(self.world.now() - self.began, Who::We, size);
        }
    }

    /// The host replied; what it refuses is told.
    pub(crate) fn reply(&mut self, stage: Stage, reply: &Reply) {
        let Some(session) = &mut self.session else { return };
        if matches!(reply.code / 100, 4 | 5) {
            session.refuse(|| Refusal {
                stage: Some(stage_of(stage)),
                command: None,
                reply: reply.shortened(),
            });
        }
        if reply.code == CLOSING {
            self.end(Ended::Closed);
        }
    }

    /// From here on it is encrypted; the host is known by this name, if it is believed.
    pub(crate) fn secured(&mut self, facts: &TlsFacts, name: &str) {
        if let Some(session) = &mut self.session {
            session.tls = Some(Tls {
                protocol: facts.version.name().to_owned(),
                cipher: facts.cipher.clone(),
                verified: facts.verified.is_ok().then(|| name.to_owned()),
                asked: None,
                client: None,
            });
        }
    }

    /// A message is to be handed over.
    pub(crate) fn carry(&mut self, message: QueueId) {
        if let Some(session) = &mut self.session {
            session.carry(message);
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
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let Some(mut session) = self.session.take() else { return };
        if self.keep.keeps(&session) {
            session.took = self.world.now() - self.began;
            self.world.journal.append_session(*session);
        }
    }
}
