//! A probe: an attempt that stops before the content, to learn whether a next hop takes a recipient.
//!
//! No mail is sent, and the null reverse-path is given, so that nothing can come back (RFC 5321 section 4.5.5).

use crate::courier::Courier;
use crate::hosts::AllHosts;
use crate::line::Line;
use crate::reach::{Reached, Target};
use crate::talk::{Heard, stage_of};
use posthaste_evidence::{Fault, Stage};
use posthaste_mail::{Mailbox, Recipient, Reply, ReversePath};
use posthaste_smtp::client::{End, Report, Step, Transaction};

/// What a next hop said of a recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Probed {
    /// It takes mail for it.
    Taken,
    /// It refuses the recipient for good.
    Refused(Reply),
    /// It could not be asked, or did not decide about the recipient.
    Undecided(Fault),
}

impl Courier {
    /// Asks the first host that is ready. A refusal of us, or of the null reverse-path, says nothing about the recipient.
    pub async fn probe(&self, target: &Target<'_>, recipient: &Mailbox) -> Probed {
        let mut line = match self.reach(target, &AllHosts).await {
            Reached::Line(line) => line,
            Reached::Nobody(unreached) => return Probed::Undecided(unreached.fault),
        };
        let probed = line.probe(recipient).await;
        // Good manners that nobody waits for.
        let quit = Box::pin(async move { line.quit().await });
        self.world().spawn.spawn("quit", quit);
        probed
    }
}

impl Line {
    async fn probe(&mut self, recipient: &Mailbox) -> Probed {
        let recipient = Recipient { mailbox: recipient.clone(), orcpt: None, notify: None };
        let transaction = Transaction {
            reverse_path: &ReversePath::Null,
            recipients: vec![&recipient],
            size: 0,
            eight_bit: false,
            smtputf8: !recipient.mailbox.as_str().is_ascii(),
            ret: None,
            envid: None,
        };
        if !matches!(self.talk.next(&self.world).await, Heard::Step(Step::Ready)) {
            return Probed::Undecided(Fault::Lost { stage: Stage::Mail });
        }
        self.talk.session.begin_probe(&transaction);
        let mut report = None;
        loop {
            match self.talk.next(&self.world).await {
                Heard::Step(Step::Reply(..)) => {}
                Heard::Step(Step::Finished(finished)) => report = Some(finished),
                Heard::Step(Step::Gibberish(stage, _)) => {
                    return Probed::Undecided(Fault::Gibberish { stage: stage_of(stage) });
                }
                Heard::Step(_) => return report.map_or_else(lost, judge),
                Heard::Broken(stage, broken) => {
                    return Probed::Undecided(broken.fault(stage_of(stage)));
                }
            }
        }
    }
}

fn judge(report: Report) -> Probed {
    let refused = report.refused.into_iter().flatten().next();
    match (refused, report.end) {
        (Some(reply), _) => {
            if says_unknown(&reply) {
                return Probed::Refused(reply.shortened());
            }
            Probed::Undecided(Fault::Reply { stage: Stage::Rcpt, reply: reply.shortened() })
        }
        (None, End::Stopped) => Probed::Taken,
        (None, End::Refused(stage, reply)) => {
            let stage = stage_of(stage);
            Probed::Undecided(Fault::Reply { stage, reply: reply.shortened() })
        }
        (None, _) => lost(),
    }
}

/// The recipient itself is refused for good: its address (RFC 3463 section 3.2), or a mailbox that is closed (section
/// 3.3). A full mailbox exists, policy speaks of who asks, and a protocol error of nobody. Without a code that says more,
/// the replies that RFC 5321 section 4.2.3 has for mailboxes.
fn says_unknown(reply: &Reply) -> bool {
    let about = reply.enhanced.map_or((0, 0), |status| (status.subject, status.detail));
    reply.is_permanent()
        && match about {
            (1, _) | (2, 1) => true,
            (0, _) => matches!(reply.code, 550 | 551 | 553),
            _ => false,
        }
}

const fn lost() -> Probed {
    Probed::Undecided(Fault::Lost { stage: Stage::Rcpt })
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_mail::EnhancedStatus;

    #[test]
    fn only_what_is_said_of_the_recipient_counts() {
        let coded = |code, (subject, detail)| {
            Reply::new(code, Some(EnhancedStatus::new(5, subject, detail)), "words")
        };
        for (reply, unknown) in [
            (coded(550, (1, 1)), true),
            (coded(501, (1, 3)), true),
            (coded(550, (2, 1)), true),
            (coded(550, (0, 0)), true),
            (Reply::new(550, None, "No such user"), true),
            (Reply::new(553, None, "Name not allowed"), true),
            (coded(552, (2, 2)), false),
            (coded(550, (7, 1)), false),
            (coded(503, (5, 1)), false),
            (Reply::new(503, None, "MAIL first"), false),
            (Reply::new(554, None, "Transaction failed"), false),
            (Reply::new(450, None, "Later"), false),
        ] {
            assert_eq!(says_unknown(&reply), unknown, "{reply:?}");
        }
    }
}
