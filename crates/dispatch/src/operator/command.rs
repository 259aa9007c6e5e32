//! A command: checked, numbered, written down; small ones are done before they are answered.

use super::slice::{Job, SLICE};
use crate::{Dispatch, Inner, lock};
use posthaste_evidence::{Act, Order};
use posthaste_mail::{Mailbox, QueueId};
use posthaste_spool::decision::{Command, DecisionView, MAX_NAMED, MAX_WORDS, OrderFault, Which};
use posthaste_spool::{Decision, Hold, LedgerEntry, LedgerKey, NewPlace, Stage, Target};
use std::sync::Arc;
use std::time::Duration;

impl Dispatch {
    /// Takes a command. It is durable when this answers: a small one is done, a large one goes on by itself (see
    /// [`Self::finished`]). Messages that are not here are passed over, and named in the answer.
    ///
    /// # Errors
    /// [`OrderFault`]; nothing has been done then.
    pub async fn order(
        &self,
        command: Command,
    ) -> Result<(DecisionView, Vec<QueueId>), OrderFault> {
        let inner = &self.inner;
        if !inner.is_running() {
            return Err(OrderFault::NotNow);
        }
        inner.check(&command)?;
        let (target, lifts) = inner.target(&command.which)?;
        let mut decision = inner.decision(command, target);
        let number = decision.order.decision.expect("it was given just now");
        // Holds that are lifted go with the commit that has the decision: never one without the other.
        let (ledger, lifted) = match decision.act {
            Act::Release => inner.lift(&decision, lifts),
            _ => (Vec::new(), false),
        };
        let mut missing = Vec::new();
        match &decision.target {
            Target::Destination(_) if decision.act == Act::Hold || lifted => {
                // One flag for all that waits there and will: no message is touched.
                decision.stage = Stage::Done;
                inner.hold_destination(decision, ledger).await?;
            }
            Target::Messages(ids) if ids.len() <= SLICE => {
                missing = inner.act_at_once(decision).await?;
            }
            _ => inner.begin(decision, ledger).await?,
        }
        inner.kick();
        let view = inner.decision_view(number).ok_or(OrderFault::Store)?;
        Ok((view, missing))
    }

    /// Waits until a decision is over, at most so long; answers how it stands.
    pub async fn finished(&self, number: u64, limit: Duration) -> Option<DecisionView> {
        let inner = &self.inner;
        let mut progress = inner.operator.progress.subscribe();
        let until = inner.world.now() + limit;
        loop {
            let view = inner.decision_view(number)?;
            let left = until - inner.world.now();
            if view.decision.stage != Stage::Going || left.is_zero() {
                return Some(view);
            }
            let moved = std::pin::pin!(progress.changed());
            let timer = posthaste_io::sleep(&*inner.world.clock, left);
            futures_util::future::select(moved, std::pin::pin!(timer)).await;
        }
    }
}

impl Inner {
    fn check(&self, command: &Command) -> Result<(), OrderFault> {
        let wrong = |words: &str| Err(OrderFault::Wrong(words.to_owned()));
        for words in [&command.reason, &command.text].into_iter().flatten() {
            if words.len() > MAX_WORDS || words.chars().any(char::is_control) {
                return Err(OrderFault::Wrong(format!(
                    "a reason or text is one line of at most {MAX_WORDS} octets"
                )));
            }
        }
        if command.text.is_some() && command.act != Act::Bounce {
            return wrong("a text for the sender goes with a bounce only");
        }
        match (&command.act, &command.to) {
            (Act::Redirect, Some(NewPlace::Address(address))) => {
                let read = Mailbox::parse(address, true);
                read.map_err(|error| OrderFault::Wrong(format!("`{address}`: {error}")))?;
            }
            (Act::Redirect, Some(NewPlace::Route(name))) => {
                let known = self.routes().by_name(name).is_some();
                let absent = || OrderFault::Wrong(format!("there is no route `{name}`"));
                known.then_some(()).ok_or_else(absent)?;
            }
            (Act::Redirect, None) => return wrong("a redirection needs an address or a route"),
            (_, Some(_)) => return wrong("only a redirection has somewhere to go"),
            _ => {}
        }
        match &command.which {
            Which::Messages(ids) if ids.is_empty() || ids.len() > MAX_NAMED => {
                Err(OrderFault::Wrong(format!("name 1 to {MAX_NAMED} messages, or use a filter")))
            }
            Which::Hold(_) if command.act != Act::Release => wrong("a hold can only be released"),
            _ => Ok(()),
        }
    }

    /// The target, and the number of the hold that is named.
    fn target(&self, which: &Which) -> Result<(Target, Option<u64>), OrderFault> {
        Ok(match which {
            Which::Messages(ids) => {
                let mut ids = ids.clone();
                ids.sort_unstable();
                ids.dedup();
                (Target::Messages(ids), None)
            }
            Which::Filter(text) => {
                let mesh = self.sieve().read(text).map_err(OrderFault::Wrong)?;
                (Target::Filter(mesh.text()), None)
            }
            Which::Destination(name) => (Target::Destination(name.to_lowercase()), None),
            Which::All => (Target::All, None),
            Which::Hold(number) => {
                let book = lock(&self.operator.book);
                let held = book.holds.get(number);
                let held =
                    held.ok_or_else(|| OrderFault::NotHere(format!("there is no hold {number}")))?;
                (held.hold.target.clone(), Some(*number))
            }
        })
    }

    fn decision(&self, command: Command, target: Target) -> Decision {
        let now = self.world.wall();
        let number = lock(&self.operator.book).number();
        let Command { act, to, text, by, reason, .. } = command;
        Decision {
            act,
            target,
            to,
            text,
            order: Order { by, reason, decision: Some(number) },
            at: now,
            last: QueueId::MIN,
            cursor: QueueId::MIN,
            messages: 0,
            recipients: 0,
            in_flight: Vec::new(),
            stage: Stage::Going,
            fault: None,
            since: now,
        }
    }

    /// Writes it down; the runner does it. A filter that holds is a rule for later mail from here on.
    async fn begin(
        &self,
        mut decision: Decision,
        mut ledger: Vec<LedgerEntry>,
    ) -> Result<(), OrderFault> {
        let number = decision.order.decision.expect("it has a number");
        if decision.act == Act::Hold && matches!(decision.target, Target::Filter(_)) {
            ledger.push(self.add_hold(&decision));
        }
        // Later mail is the rule's: it is there before the last id is taken.
        decision.last = self.spool.mint(decision.at);
        let pending = {
            let mut book = lock(&self.operator.book);
            book.decisions.insert(number, decision);
            ledger.extend(book.entries(number));
            self.spool.settle(self.settlement(ledger))
        };
        pending.await.map_err(|_| OrderFault::Store)?;
        self.operator.work.notify_one();
        Ok(())
    }

    /// A few messages by name: done and durable with one commit. Those in flight are left to the runner.
    async fn act_at_once(&self, mut decision: Decision) -> Result<Vec<QueueId>, OrderFault> {
        let Target::Messages(ids) = decision.target.clone() else { return Ok(Vec::new()) };
        let (mut chosen, mut missing) = (Vec::new(), Vec::new());
        for id in ids {
            let found = self.spool.find(id).await;
            match found.map_err(|_| OrderFault::Store)? {
                Some(live) => chosen.extend(super::slice::Chosen::all(live)),
                None => missing.push(id),
            }
        }
        if chosen.is_empty() && !missing.is_empty() {
            let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
            let what = format!("not in the queue: {}", names.join(" "));
            return Err(OrderFault::NotHere(what));
        }
        decision.cursor = QueueId::from_u64(u64::MAX);
        decision.last = decision.cursor;
        let number = decision.order.decision.expect("it has a number");
        let job = Job::of(&decision);
        lock(&self.operator.book).decisions.insert(number, decision);
        self.act_on(&job, chosen, None).await.map_err(|_| OrderFault::Store)?;
        self.conclude(number).await;
        self.operator.work.notify_one();
        Ok(missing)
    }

    async fn hold_destination(
        &self,
        decision: Decision,
        mut ledger: Vec<LedgerEntry>,
    ) -> Result<(), OrderFault> {
        let Target::Destination(name) = &decision.target else { return Ok(()) };
        let number = decision.order.decision.expect("it has a number");
        if decision.act == Act::Hold {
            let known = lock(&self.operator.book).holds_of(&decision.target);
            if known.is_empty() {
                ledger.push(self.add_hold(&decision));
            }
            self.scheduler().hold_destination(decision.at, name, true);
        }
        let pending = {
            let mut book = lock(&self.operator.book);
            book.decisions.insert(number, decision);
            ledger.extend(book.entries(number));
            self.spool.settle(self.settlement(ledger))
        };
        pending.await.map_err(|_| OrderFault::Store)?;
        Ok(())
    }

    /// Lifts the holds that a release concerns: the one named, or those with the same target. Answers the ledger entries
    /// to be written with it, and whether a destination goes on by it.
    fn lift(&self, decision: &Decision, named: Option<u64>) -> (Vec<LedgerEntry>, bool) {
        let numbers = match named {
            Some(number) => vec![number],
            None => lock(&self.operator.book).holds_of(&decision.target),
        };
        let (mut ledger, mut goes_on) = (Vec::new(), false);
        for number in numbers {
            let gone: Option<Hold> =
                lock(&self.operator.book).holds.remove(&number).map(|held| held.hold);
            if let Some(Hold { target: Target::Destination(name), .. }) = gone {
                self.scheduler().hold_destination(decision.at, &name, false);
                goes_on = true;
            }
            ledger.push(posthaste_spool::store::forget(LedgerKey::Hold(number)));
        }
        if !ledger.is_empty() {
            self.renew_rules();
        }
        (ledger, goes_on)
    }

    fn add_hold(&self, decision: &Decision) -> LedgerEntry {
        let number = decision.order.decision.expect("it has a number");
        let hold = Hold {
            target: decision.target.clone(),
            order: decision.order.clone(),
            at: decision.at,
            caught: 0,
        };
        let entry = super::book::hold_entry(number, &hold);
        lock(&self.operator.book).hold(number, hold);
        self.renew_rules();
        entry
    }

    pub(super) fn sieve(&self) -> Arc<dyn super::Sieve> {
        Arc::clone(&lock(&self.operator.sieve))
    }
}
