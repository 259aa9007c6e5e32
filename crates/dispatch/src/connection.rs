//! One connection's life: it belongs to a destination and pulls work from it until there is none.
//!
//! Not here: how a host is reached and a message handed over (`delivery`), and which message is next (`queue`).

use crate::content::InHand;
use crate::decided::decided;
use crate::destination::{self, Destination, NO_ROUTE};
use crate::hosts::TicketHosts;
use crate::settle::{Pending, Told, all_alike, wait_for};
use crate::{Inner, belief, lock};
use futures_util::future::{Either, select};
use posthaste_delivery::{Line, Needs, Parcel, Reached, Target, Transfer, Unreached};
use posthaste_evidence::{Connection, ConnectionId, Fault, FaultClass, LoginFault, Outcome};
use posthaste_io::Instant;
use posthaste_mail::Timestamp;
use posthaste_queue::{ConnectTicket, DestinationState, Pulled, Work};
use posthaste_route::{Route, Table};
use posthaste_spool::{LedgerEntry, LedgerKey, ReadFault, Started};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::Notify;

/// Serves one ticket to its end.
pub(crate) async fn run(inner: Arc<Inner>, ticket: ConnectTicket) {
    let wake = inner.lines().get(&ticket.id).cloned().unwrap_or_default();
    let mut connection = Serving {
        route: None,
        table: None,
        line: None,
        unsettled: None,
        verdict: None,
        hosts_down: Vec::new(),
        named: None,
        spent: false,
        unproven: false,
        noted: None,
        inner: Arc::clone(&inner),
        ticket,
        wake,
    };
    connection.serve().await;
    connection.end().await;
    if let Some(id) = connection.named {
        lock(&inner.settling).forget_host(id);
    }
    inner.lines().remove(&ticket.id);
    inner.kick();
}

/// A connection at work.
struct Serving {
    inner: Arc<Inner>,
    ticket: ConnectTicket,
    wake: Arc<Notify>,
    route: Option<(Destination, Route)>,
    /// The routes that it was last compared with.
    table: Option<Arc<Table>>,
    line: Option<Line>,
    /// The settlement before this transaction: durable before the next content is sent, so that after a
    /// crash at most one transaction per connection is in doubt.
    unsettled: Option<Pending>,
    /// A final answer about the destination: it holds for all that this connection is given.
    verdict: Option<Fault>,
    /// Hosts that went down while this one was looked for, not yet in the ledger.
    hosts_down: Vec<(SocketAddr, DestinationState)>,
    /// The connection that events may name.
    named: Option<ConnectionId>,
    /// The scheduler has taken the ticket back.
    spent: bool,
    /// The host wanted us to log in the last time: whether the destination is up shows in a transaction.
    unproven: bool,
    /// The day whose first delivery here has been noted, counted from 1970.
    noted: Option<i64>,
}

/// Whether to pull again.
#[derive(PartialEq, Eq)]
enum Then {
    Go,
    Stop,
}

impl Serving {
    async fn serve(&mut self) {
        let Some(found) = self.find_route() else { return };
        self.route = Some(found);
        loop {
            match self.pull() {
                Pulled::Work(work) => {
                    self.inner.counters.taken(work.recipients.len());
                    let then = self.work(&work).await;
                    self.inner.counters.given_back(work.recipients.len());
                    if then == Then::Stop {
                        return;
                    }
                }
                Pulled::Enough => return,
                Pulled::Empty | Pulled::Later(_) => {
                    if self.line.is_none() || !self.idle().await {
                        return;
                    }
                }
            }
        }
    }

    /// What the scheduler gives, which may also move the time at which it is to be asked again.
    fn pull(&self) -> Pulled {
        let inner = &self.inner;
        let (now, limit) = (inner.world.wall(), inner.settings().recipients_per_transaction);
        let mut scheduler = inner.scheduler();
        let pulled = scheduler.pull(now, &self.ticket, limit);
        inner.arm_for(&scheduler, now);
        pulled
    }

    fn find_route(&self) -> Option<(Destination, Route)> {
        let names = self
            .inner
            .scheduler()
            .destination_name(self.ticket.destination)
            .map(|(name, route)| (name.to_owned(), route.to_owned()));
        let (name, route) = names?;
        let found = self.inner.routes().by_name(&route).map(|(_, r)| r.clone());
        // A route that is gone from the settings, or never was: its mail waits where it is.
        let fallback = || Route::by_mx(NO_ROUTE, Vec::new());
        Some((Destination { name, route }, found.unwrap_or_else(fallback)))
    }

    /// The settings were read again, and say otherwise how this route reaches its hosts: what the line was opened with, its
    /// TLS above all, may not be what is demanded now.
    fn has_moved(&mut self) -> bool {
        let now = self.inner.routes();
        if self.table.as_ref().is_some_and(|table| Arc::ptr_eq(table, &now)) {
            return false;
        }
        let Some((destination, route)) = &self.route else { return false };
        let moved = match now.by_name(&destination.route) {
            Some((_, fresh)) => route.name == NO_ROUTE || !route.same_path(fresh),
            None => route.name != NO_ROUTE,
        };
        self.table = Some(now);
        moved
    }

    /// Waits for work on an open line; false when it has waited long enough.
    async fn idle(&mut self) -> bool {
        self.settled().await;
        let limit = self.inner.settings().idle_line;
        let mut timer = self.inner.world.clock.timer();
        timer.as_mut().set(self.inner.world.now() + limit);
        let wake = std::pin::pin!(self.wake.notified());
        matches!(select(wake, timer).await, Either::Left(_)) && self.inner.is_running()
    }

    async fn work(&mut self, work: &Work) -> Then {
        let in_hand = match self.inner.in_hand(work.message).await {
            Ok(Some(in_hand)) => in_hand,
            Ok(None) => return self.unreadable(work, false).await,
            Err(fault) => {
                let damaged = matches!(fault, ReadFault::Damaged(_));
                return self.unreadable(work, damaged).await;
            }
        };
        if self.has_moved() {
            return self.not_on_this_line();
        }
        let (destination, route) = self.route.clone().expect("set before work is pulled");
        if destination.route == NO_ROUTE || route.name == NO_ROUTE {
            return self.no_host(work, &in_hand, Fault::NoRoute, None).await;
        }
        // Notices quote what they are about, and nobody would be told of one that failed.
        let is_notice = in_hand.envelope.source.kind == posthaste_mail::SourceKind::Notice;
        let size = if is_notice { 0 } else { in_hand.envelope.facts.size };
        if let Some(fault) = decided(&route, size) {
            self.inner.scheduler().turn_not_needed(&self.ticket);
            return self.no_host(work, &in_hand, fault, None).await;
        }
        if let Some(verdict) = self.verdict.clone() {
            return self.no_host(work, &in_hand, verdict, None).await;
        }
        let needs = Needs::of(&in_hand.envelope, route.eight_bit);
        let began = self.inner.world.now();
        match &self.line {
            // Another host may offer it: the message goes there on a connection of its own.
            Some(line) if line.unmet(&needs).is_some() => return self.not_on_this_line(),
            Some(_) => {}
            None => match self.reach(&destination, &route, needs).await {
                Ok(line) => self.line = Some(line),
                Err(Some(unreached)) => return self.unreached(work, &in_hand, *unreached).await,
                // A stop: the message goes back untouched.
                Err(None) => return Then::Stop,
            },
        }
        self.hand_over(work, &in_hand, &route, began).await
    }

    /// The message goes back untouched, to be given to a fresh connection at once: a ticket stands for one
    /// connection to one host.
    fn not_on_this_line(&self) -> Then {
        let now = self.inner.world.wall();
        self.inner.scheduler().put_back(now, &self.ticket);
        Then::Stop
    }

    async fn reach(
        &mut self,
        destination: &Destination,
        route: &Route,
        needs: Needs,
    ) -> Result<Line, Option<Box<Unreached>>> {
        let inner = Arc::clone(&self.inner);
        let hosts = TicketHosts::new(&inner, self.ticket);
        let target = Target {
            id: inner.connection_id(),
            destination: &destination.name,
            host: destination::host_of(&destination.name),
            route,
            needs,
        };
        let reached = {
            let reaching = pin!(inner.courier.reach(&target, &hosts));
            match select(reaching, pin!(inner.closed())).await {
                Either::Left((reached, _)) => reached,
                Either::Right(((), _)) => return Err(None),
            }
        };
        self.hosts_down = hosts.take_down();
        match reached {
            Reached::Line(line) => {
                inner.counters.connection(true);
                self.note_hosts_down(None);
                self.name(&line);
                self.recovered(&line, destination);
                Ok(*line)
            }
            Reached::Nobody(unreached) => {
                inner.counters.connection(false);
                Err(Some(unreached))
            }
        }
    }

    /// Events will name this host.
    fn name(&mut self, line: &Line) {
        let mut settling = lock(&self.inner.settling);
        if let Some(old) = self.named.replace(line.id()) {
            settling.forget_host(old);
        }
        settling.remember_host(line.id(), line.host(), line.peer());
    }

    /// The host took our EHLO: what was down is up again.
    fn recovered(&mut self, line: &Line, destination: &Destination) {
        let inner = Arc::clone(&self.inner);
        let now = inner.world.wall();
        let own = destination::ledger_key(&destination.name, &destination.route);
        if lock(&inner.outages).wants_login(&own) {
            self.unproven = true;
            if inner.scheduler().host_stood(now, &self.ticket, line.peer()).host {
                let entry = lock(&inner.outages).recovered(LedgerKey::NextHop(line.peer()));
                inner.note_ledger(Vec::new(), entry.into_iter().collect());
            }
            return;
        }
        let recovered = inner.scheduler().host_connected(now, &self.ticket, line.peer());
        // What failed before is no longer why anything waits, whether it had a ledger entry or not.
        let mut ledger = vec![own];
        if recovered.host {
            ledger.push(LedgerKey::NextHop(line.peer()));
        }
        let mut entries: Vec<LedgerEntry> =
            ledger.into_iter().filter_map(|key| lock(&inner.outages).recovered(key)).collect();
        entries.extend(self.exists());
        inner.note_ledger(Vec::new(), entries);
        inner.kick();
    }

    /// `began`: when the attempt did, connection included.
    async fn hand_over(
        &mut self,
        work: &Work,
        in_hand: &InHand,
        route: &Route,
        began: Instant,
    ) -> Then {
        let inner = Arc::clone(&self.inner);
        let recipients: Vec<u32> = work.recipients.iter().map(|(number, _)| *number).collect();
        let mut line = self.line.take().expect("reached before handing over");
        inner.spool.started(Started {
            message: work.message,
            recipients: recipients.clone(),
            peer: Some(line.peer()),
        });
        let parcel = Parcel {
            envelope: &in_hand.envelope,
            recipients: &recipients,
            content: &in_hand.content,
            spool: &*inner.spool,
            eight_bit: route.eight_bit,
        };
        let settled = wait_for(&inner, self.unsettled.take());
        let limit = inner.courier.settings().attempt_limit;
        let left = limit.saturating_sub(inner.world.now() - began);
        let at = inner.world.wall();
        let ended = {
            let transfer = line.transfer(&parcel, settled);
            let in_time = pin!(posthaste_io::within(&*inner.world.clock, left, transfer));
            match select(in_time, pin!(inner.closed())).await {
                Either::Left((in_time, _)) => in_time.ok_or(Fault::AttemptTooLong),
                Either::Right(((), _)) => Err(Fault::Interrupted),
            }
        };
        let transfer = ended.unwrap_or_else(|fault| line.cut_off(&parcel, at, fault));
        if transfer.stale {
            return self.not_on_this_line();
        }
        self.settle_transfer(work, in_hand, line, transfer).await
    }

    async fn settle_transfer(
        &mut self,
        work: &Work,
        in_hand: &InHand,
        mut line: Line,
        transfer: Transfer,
    ) -> Then {
        let answered = transfer.results.iter().any(|result| result.reply.is_some());
        // Another connection may come under TLS: this one is of no use for anything.
        let over = transfer.wants_tls() && self.inner.courier.wants_tls(line.peer());
        let told = Told {
            at: transfer.at,
            took: transfer.took,
            connection: Some(line.id()),
            record: line.take_record(),
            host: Some(line.host().to_owned()),
            results: transfer.results,
            observations: transfer.observations,
            handover: Some(transfer.handover),
        };
        let inner = Arc::clone(&self.inner);
        inner.hold_if_damaged(work, in_hand, &told.results).await;
        let noted = self.note_delivered(&told);
        let ledger = noted.into_iter().collect();
        let pending = inner.settle(&self.ticket, work, in_hand, told, ledger).await;
        self.unsettled = Some(pending);
        inner.arm(inner.world.wall());
        if let Some(barred) = &transfer.barred {
            return self.barred(line, barred);
        }
        self.proven(answered);
        if over {
            self.leave(line);
            return Then::Stop;
        }
        if transfer.usable {
            self.line = Some(line);
            return Then::Go;
        }
        Then::Stop
    }

    /// The host wants us to log in, whatever message comes: the destination is down.
    fn barred(&mut self, line: Line, fault: &LoginFault) -> Then {
        if let Some(connection) = line.barred(fault) {
            self.went_down(connection, &[], None);
        }
        self.leave(line);
        Then::Stop
    }

    /// Nobody waits for its last words.
    fn leave(&self, line: Line) {
        let quit = Box::pin(async move { line.quit().await });
        self.inner.world.spawn.spawn("quit", quit);
    }

    /// A transaction came to an end of its own: a destination of which that was not sure is up again.
    fn proven(&mut self, answered: bool) {
        if !answered || !std::mem::take(&mut self.unproven) {
            return;
        }
        let inner = &self.inner;
        inner.scheduler().destination_works(inner.world.wall(), &self.ticket);
        let Some((destination, _)) = &self.route else { return };
        let key = destination::ledger_key(&destination.name, &destination.route);
        let entry = lock(&inner.outages).recovered(key);
        inner.note_ledger(Vec::new(), entry.into_iter().collect());
        inner.kick();
    }

    /// No host is ready for this message.
    async fn unreached(&mut self, work: &Work, in_hand: &InHand, mut unreached: Unreached) -> Then {
        let ruling = match &self.route {
            Some((_, route)) => self.inner.rule(route, &mut unreached).await,
            None => None,
        };
        let led_somewhere = !(unreached.failed.is_empty()
            && unreached.insecure.is_empty()
            && unreached.barred.is_empty()
            && unreached.blocked.is_empty());
        let claim = if led_somewhere && ruling.is_none() { self.exists() } else { None };
        self.inner.note_ledger(Vec::new(), claim.into_iter().collect());
        let not_before = ruling.and_then(|r| r.not_before);
        if unreached.only_blocked() && not_before.is_none() {
            let now = self.inner.world.wall();
            let inner = &self.inner;
            inner.scheduler().connection_blocked(now, &self.ticket, &unreached.blocked);
            let (destination, route) =
                (&unreached.connection.destination, &unreached.connection.route);
            let key = destination::ledger_key(destination, route);
            lock(&inner.outages).waits_behind(key, &unreached.blocked);
            self.spent = true;
            return Then::Stop;
        }
        if unreached.concerns_everybody() && !unreached.fault.is_permanent() {
            self.down(unreached, not_before);
            return Then::Stop;
        }
        let record = Some(unreached.connection);
        self.no_host(work, in_hand, unreached.fault, record).await
    }

    /// DNS led to hosts: what was said against the destination is forgotten.
    fn exists(&self) -> Option<LedgerEntry> {
        let (destination, route) = self.route.as_ref()?;
        self.inner.exists(route, &destination.name)
    }

    /// The first delivery of a day over this connection may be the destination's first.
    fn note_delivered(&mut self, told: &Told) -> Option<LedgerEntry> {
        const DAY: i64 = 86_400_000_000;
        let today = told.at.as_micros() / DAY;
        if self.noted == Some(today) || !belief::any_delivered(&told.results) {
            return None;
        }
        self.noted = Some(today);
        let (destination, route) = self.route.as_ref()?;
        self.inner.delivered(route, &destination.name)
    }

    /// The destination is down: one ledger entry, however many messages wait. Its next trial comes at a step of the
    /// schedule, but not before a time that is given.
    fn down(&mut self, unreached: Unreached, not_before: Option<Timestamp>) {
        self.went_down(unreached.connection, &unreached.failed, not_before);
    }

    fn went_down(
        &mut self,
        failure: Connection,
        failed: &[SocketAddr],
        not_before: Option<Timestamp>,
    ) {
        let inner = Arc::clone(&self.inner);
        let now = inner.world.wall();
        let down = {
            let mut scheduler = inner.scheduler();
            let mut down = scheduler.connection_failed(now, &self.ticket, failed);
            if let Some(until) = not_before.filter(|_| down.destination.is_some()) {
                let later = scheduler.postpone(now, self.ticket.destination, until);
                down.destination = later.or(down.destination);
            }
            down
        };
        self.spent = true;
        self.hosts_down.extend(down.hosts);
        let key = destination::ledger_key(&failure.destination, &failure.route);
        self.note_hosts_down(Some(&failure));
        let entry = {
            let mut outages = lock(&inner.outages);
            outages.remember(&key, failure);
            down.destination.map(|state| outages.went_down(key, state))
        };
        inner.note_ledger(Vec::new(), entry.into_iter().collect());
    }

    /// Hosts that went down on the way, and the connection that shows it: their ledger entries.
    fn note_hosts_down(&mut self, failure: Option<&Connection>) {
        let mut ledger = Vec::new();
        {
            let mut outages = lock(&self.inner.outages);
            // A host told of twice has its later state.
            let down: BTreeMap<_, _> = self.hosts_down.drain(..).collect();
            for (host, state) in down {
                let host = LedgerKey::NextHop(host);
                if let Some(failure) = failure {
                    outages.remember(&host, failure.clone());
                }
                ledger.push(outages.went_down(host, state));
            }
        }
        self.inner.note_ledger(Vec::new(), ledger);
    }

    /// What was said concerns this message, or is final for all of the destination's: each is settled by
    /// itself, since each may owe a notice.
    async fn no_host(
        &mut self,
        work: &Work,
        in_hand: &InHand,
        fault: Fault,
        record: Option<Connection>,
    ) -> Then {
        let inner = Arc::clone(&self.inner);
        let permanent = fault.is_permanent();
        if permanent && fault.class() == FaultClass::Destination && self.verdict.is_none() {
            self.verdict = Some(fault.clone());
            let now = inner.world.wall();
            let recovered = inner.scheduler().destination_failed(now, &self.ticket);
            if let (true, Some((destination, _))) = (recovered.destination, &self.route) {
                let key = destination::ledger_key(&destination.name, &destination.route);
                let entry = lock(&inner.outages).recovered(key);
                inner.note_ledger(Vec::new(), entry.into_iter().collect());
            }
        }
        let outcome = match &fault {
            Fault::RouteDiscards { .. } => Outcome::Discarded,
            _ if permanent => Outcome::Failed,
            _ => Outcome::Deferred,
        };
        let told = Told {
            at: record.as_ref().map_or_else(|| inner.world.wall(), |r| r.at),
            took: record.as_ref().map_or(std::time::Duration::ZERO, |r| r.took),
            connection: record.as_ref().map(|r| r.id),
            host: record.as_ref().and_then(|r| r.host.clone()),
            record,
            results: all_alike(work, outcome, &fault),
            observations: Vec::new(),
            handover: None,
        };
        self.settled().await;
        let pending = inner.settle(&self.ticket, work, in_hand, told, Vec::new()).await;
        self.unsettled = Some(pending);
        inner.arm(inner.world.wall());
        if permanent { Then::Go } else { Then::Stop }
    }

    /// Our own store does not give the message: it waits. What is damaged is listed by the store and held: the next
    /// attempt would find the same.
    async fn unreadable(&mut self, work: &Work, damaged: bool) -> Then {
        let found = self.inner.spool.find(work.message).await;
        let now = self.inner.world.wall();
        match found {
            Ok(Some(live)) => {
                let content = posthaste_spool::Content::Inline(posthaste_mail::Body::default());
                let in_hand = InHand { envelope: Arc::new(live.envelope), content };
                if damaged {
                    self.inner.hold_damaged(work);
                }
                self.no_host(work, &in_hand, Fault::StoreFault, None).await
            }
            // It has ended, or the store has quarantined and listed it. Not ours to retry.
            Ok(None) | Err(ReadFault::Damaged(_)) => {
                let mut scheduler = self.inner.scheduler();
                scheduler.settle(now, &self.ticket, work.message, &[]);
                scheduler.remove(now, work.message, None);
                Then::Go
            }
            // Nothing can be stored about it now; in memory it waits for its next turn.
            Err(ReadFault::Disk(_)) => {
                self.inner.scheduler().settle(now, &self.ticket, work.message, &[]);
                Then::Stop
            }
        }
    }

    /// The settlement before is durable.
    async fn settled(&mut self) {
        wait_for(&self.inner, self.unsettled.take()).await;
    }

    async fn hang_up(&mut self) {
        self.settled().await;
        if let Some(line) = self.line.take() {
            // A stop does not wait for the answer to a good-bye.
            select(pin!(line.quit()), pin!(self.inner.closed())).await;
        }
    }

    async fn end(&mut self) {
        self.note_hosts_down(None);
        self.hang_up().await;
        if !self.spent {
            let now = self.inner.world.wall();
            self.inner.scheduler().connection_ended(now, &self.ticket);
        }
    }
}

impl Inner {
    pub(crate) fn is_running(&self) -> bool {
        self.running.load(std::sync::atomic::Ordering::SeqCst)
    }
}
