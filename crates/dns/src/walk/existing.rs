//! Whether a name exists, by those who must know: asked before a bounce.
//!
//! One server's word that it does not exist is not enough: all of its zone are asked, and each again for another
//! type, because some servers deny names to questions they do not understand (RFC 4074 section 4.2).

use super::Existence;
use super::descent::Path;
use super::limits::MAX_SERVERS;
use super::reading::{self, Step};
use super::walker::{Question, Said, Walker};
use super::zones::Zone;
use futures_util::future::join_all;
use posthaste_evidence::RecordType;
use std::net::SocketAddr;

/// The types asked for, in order: the most common one, and that of mail.
const KINDS: [RecordType; 2] = [RecordType::A, RecordType::Mx];

/// What one server says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Exists(SocketAddr),
    Missing(SocketAddr),
    Nothing,
}

impl Walker {
    /// The whole question, and the zone at which the way ended in silence.
    pub(super) async fn exists(&self, name: &str) -> (Existence, Option<String>) {
        let path = Path::to(name);
        let descent = self.descend(name, KINDS[0], &path, true).await;
        let zone = descent.zone();
        let existence = match &descent.said {
            None => return (Existence::Unreachable, Some(zone.name.clone())),
            Some(said) if said.step == Step::NxDomain => {
                self.all_agree(zone, name, &path, said).await
            }
            Some(said) => Existence::Exists { zone: zone.name.clone(), by: said.by },
        };
        (existence, None)
    }

    /// The control: who denies a name must know the zone that it denies it in. Something on the way that says the
    /// same of every name denies the zone, too.
    async fn knows_apex(&self, zone: &Zone, by: SocketAddr) -> bool {
        let apex = Question::plain(by, &zone.name, &zone.name, RecordType::Soa);
        self.ask(apex).await.is_some_and(|said| said.step == Step::Answer)
    }

    /// Asks every server of the zone; `denial` is the first one's word that the name is missing.
    pub(super) async fn all_agree(
        &self,
        zone: &Zone,
        name: &str,
        path: &Path<'_>,
        denial: &Said,
    ) -> Existence {
        let first = denial.by;
        if !reading::denies(&denial.heard, &zone.name) || !self.knows_apex(zone, first).await {
            return Existence::Unreachable;
        }
        let servers = self.all_servers(zone, path).await;
        let mut missing = None;
        for group in servers.chunks(MAX_SERVERS) {
            let words = group.iter().map(|server| self.word(server, &zone.name, name, first));
            let words = join_all(words).await;
            for word in &words {
                match *word {
                    Word::Exists(by) => return Existence::Exists { zone: zone.name.clone(), by },
                    Word::Missing(by) => missing = missing.or(Some(by)),
                    Word::Nothing => {}
                }
            }
            // The others are the same servers by their IPv6 addresses.
            if missing.is_some() {
                break;
            }
        }
        match missing {
            Some(by) => Existence::Missing { zone: zone.name.clone(), by },
            None => Existence::Unreachable,
        }
    }

    /// One server's word, by the first of its addresses that answers.
    async fn word(&self, server: &[SocketAddr], zone: &str, name: &str, first: SocketAddr) -> Word {
        for &to in server {
            let mut word = Word::Nothing;
            for kind in KINDS {
                if to == first && kind == KINDS[0] {
                    word = Word::Missing(to);
                    continue;
                }
                let Some(said) = self.ask(Question::plain(to, zone, name, kind)).await else {
                    return word;
                };
                match said.step {
                    Step::NxDomain if reading::denies(&said.heard, zone) => {
                        word = Word::Missing(to);
                    }
                    Step::NxDomain => {}
                    Step::Failed(_) => {}
                    _ => return Word::Exists(to),
                }
                if word == Word::Nothing {
                    break;
                }
            }
            if word != Word::Nothing {
                return word;
            }
        }
        Word::Nothing
    }
}
