//! A message with everything that is remembered of it, but for its content: how it goes from one spool to another.

use super::wire::{Damaged, Fields, Writer, push};
use super::{Record, read_states, write_states};
use crate::{History, Live, Started};
use posthaste_evidence::{Attempt, Connection};
use posthaste_mail::Envelope;

/// A live message and the attempts that are remembered of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Carried {
    /// Envelope, states, and what was in hand when the store was opened.
    pub live: Live,
    /// Its attempts.
    pub history: History,
}

const ENVELOPE: u32 = 1;
const STATES: u32 = 2;
const IN_HAND: u32 = 3;
const ATTEMPT: u32 = 4;
const CONNECTION: u32 = 5;

impl Record for Carried {
    fn write(&self, w: &mut Writer) {
        let Live { envelope, states, in_hand, in_hand_with } = &self.live;
        w.nested(ENVELOPE, |w| envelope.write(w));
        let mut packed = Vec::new();
        write_states(&mut packed, states);
        w.bytes(STATES, &packed);
        if !in_hand.is_empty() {
            let (recipients, peer) = (in_hand.clone(), *in_hand_with);
            let started = Started { message: envelope.id, recipients, peer };
            w.nested(IN_HAND, |w| started.write(w));
        }
        for attempt in &self.history.attempts {
            w.nested(ATTEMPT, |w| attempt.write(w));
        }
        for connection in &self.history.connections {
            w.nested(CONNECTION, |w| connection.write(w));
        }
    }

    fn read(fields: Fields<'_>) -> Result<Self, Damaged> {
        let (mut envelope, mut states, mut started) = (None, Vec::new(), None);
        let mut history = History::default();
        fields.each(|tag, value| {
            match tag {
                ENVELOPE => envelope = Some(Envelope::read(value.fields()?)?),
                STATES => states = read_states(value.bytes()?)?,
                IN_HAND => started = Some(Started::read(value.fields()?)?),
                ATTEMPT => push(&mut history.attempts, Attempt::read(value.fields()?)?)?,
                CONNECTION => push(&mut history.connections, Connection::read(value.fields()?)?)?,
                _ => {}
            }
            Ok(())
        })?;
        let envelope = super::need(envelope, "a message without envelope")?;
        if envelope.recipients.is_empty() || states.len() != envelope.recipients.len() {
            return Err(Damaged("a message that has not as many states as recipients"));
        }
        let (in_hand, in_hand_with) =
            started.map_or((Vec::new(), None), |s| (s.recipients, s.peer));
        Ok(Self { live: Live { envelope, states, in_hand, in_hand_with }, history })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use posthaste_mail::QueueId;

    #[test]
    fn everything_makes_the_round_trip_and_octets_that_are_none_are_refused() {
        let mail = testing::mail(QueueId::from_u64(77), 3, 100);
        let id = mail.envelope.id;
        let attempts = vec![testing::deferred(id, 4), testing::delivered(id, 2, 5)];
        let history =
            History { attempts, connections: vec![testing::connection(4), testing::connection(5)] };
        let live = Live {
            envelope: mail.envelope,
            states: mail.states,
            in_hand: vec![0, 1],
            in_hand_with: Some(testing::peer()),
        };
        let carried = Carried { live, history };
        let octets = carried.encode();
        assert_eq!(Carried::decode(&octets).as_ref(), Ok(&carried));
        assert!(Carried::decode(&octets[..octets.len() - 1]).is_err());
        assert!(Carried::decode(b"").is_err());
        let short = Live { states: Vec::new(), ..carried.live.clone() };
        let short = Carried { live: short, history: History::default() };
        assert!(Carried::decode(&short.encode()).is_err());
    }
}
