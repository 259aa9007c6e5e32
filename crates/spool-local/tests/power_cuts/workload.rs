//! A seeded life of a store: mail of all sizes, transactions, deferrals, deliveries, failures with notices, the
//! ledger, garbage collection, and now and then the end of the process.

use crate::lying::{Lie, LyingDisk};
use crate::model::View;
use posthaste_io_sim::{DiskFault, Recording, Rng, SimDisk};
use posthaste_mail::QueueId;
use posthaste_queue::life::Life;
use posthaste_queue::{DestinationState, RecipientState};
use posthaste_spool::testing::{self, NOON};
use posthaste_spool::{
    Change, LedgerEntry, LedgerKey, LedgerValue, Notice, Settlement, Started, Tenure,
};
use posthaste_spool_local::{Answer, Group, LocalSpool, Log, Request, Sabotage, Settings};
use std::sync::Arc;
use std::time::Duration;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Commits.
    pub(crate) steps: usize,
    pub(crate) lie: Lie,
    pub(crate) sabotage: Option<Sabotage>,
}

impl Plan {
    /// Syncs fail in it: not where what follows would show the broken rule in the run itself already.
    fn fails(&self) -> bool {
        self.lie == Lie::Nothing && self.sabotage != Some(Sabotage::NoTombstoneRule)
    }
}

/// What was done, and what had been promised when.
pub(crate) struct Run {
    pub(crate) recording: Recording,
    /// The store's content after so many requests.
    pub(crate) views: Vec<Arc<View>>,
    /// How many requests were begun, and how many acknowledged, from a position of the recording on.
    pub(crate) marks: Vec<Mark>,
    /// How often a segment was used again.
    pub(crate) recycled: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) position: usize,
    pub(crate) begun: usize,
    pub(crate) acknowledged: usize,
}

pub(crate) fn settings(sabotage: Option<Sabotage>) -> Settings {
    Settings { segment_size: 64 * 1024, events_hold: 0, salt: 99, sabotage, ..Settings::default() }
}

/// Live messages around which the workload moves.
const CROWD: usize = 40;

struct Life_<'a> {
    rng: Rng,
    plan: &'a Plan,
    disk: LyingDisk,
    log: Log<LyingDisk>,
    now: View,
    run: Run,
    connection: u64,
    /// The connection belongs to this run of the process.
    connected: bool,
}

pub(crate) fn run(plan: &Plan) -> Run {
    let disk = LyingDisk { disk: SimDisk::new(), lie: plan.lie };
    disk.disk.start_recording();
    let (log, _) = Log::open(disk.clone(), settings(plan.sabotage)).expect("opens");
    let recording = SimDisk::new().stop_recording();
    let run = Run { recording, views: vec![Arc::default()], marks: Vec::new(), recycled: 0 };
    let rng = Rng::new(plan.seed);
    let mut life =
        Life_ { rng, plan, disk, log, now: View::default(), run, connection: 0, connected: false };
    life.mark(0);
    for _ in 0..plan.steps {
        life.step();
    }
    life.run.recycled = u32::try_from(life.sequence()).expect("small");
    life.run.recording = life.disk.disk.stop_recording();
    life.run
}

impl Life_<'_> {
    fn step(&mut self) {
        match self.rng.below(40) {
            0 => self.end_of_process(),
            1 if self.plan.fails() => self.failing_commit(),
            2..=14 => {
                self.log.gc_step(16 * 1024).expect("the disk works");
            }
            _ => self.commit(),
        }
    }

    /// Segments taken so far, less those there are.
    fn sequence(&self) -> u64 {
        let files = self.log.segments().len() as u64;
        self.log.segments_taken().saturating_sub(files)
    }

    fn mark(&mut self, acknowledged: usize) {
        let position = self.disk.disk.position();
        let begun = self.run.views.len() - 1;
        self.run.marks.push(Mark { position, begun, acknowledged });
    }

    fn end_of_process(&mut self) {
        self.disk.disk = self.disk.disk.process_end();
        let settings = settings(self.plan.sabotage);
        self.log = Log::open(self.disk.clone(), settings).expect("opens").0;
        self.connected = false;
    }

    /// A sync fails, as on a disk that loses what it could not write though it still shows it; the process
    /// starts again. What it finds then it acts upon: from then on it must not be lost.
    fn failing_commit(&mut self) {
        let before = self.run.views.len() - 1;
        let mut group = self.group();
        self.mark(before);
        self.disk.disk.inject(DiskFault::SyncFails { name: None, after: 0 });
        self.log.commit(&mut group).expect_err("its sync fails");
        self.end_of_process();
        let found = {
            let settings = settings(self.plan.sabotage);
            let (log, _) = Log::open(self.disk.clone(), settings).expect("opens");
            View::of(&LocalSpool::in_place(log)).expect("readable")
        };
        self.end_of_process();
        let possible = &self.run.views[before..];
        assert!(possible.iter().any(|view| **view == found), "all of a request, or nothing");
        self.now = found;
        self.run.views.push(Arc::new(self.now.clone()));
        self.mark(self.run.views.len() - 1);
    }

    fn group(&mut self) -> Group {
        let mut group = Group::default();
        for _ in 0..=self.rng.below(4) {
            let request = self.request();
            self.now.apply(&request);
            self.run.views.push(Arc::new(self.now.clone()));
            group.requests.push(request);
        }
        group
    }

    fn commit(&mut self) {
        let before = self.run.views.len() - 1;
        let mut group = self.group();
        self.mark(before);
        self.log.commit(&mut group).expect("the disk works");
        for answer in &group.answers {
            let fine =
                matches!(answer, Answer::Accepted(Ok(_)) | Answer::Settled(Ok(_)) | Answer::Noted);
            assert!(fine, "{answer:?}");
        }
        self.mark(self.run.views.len() - 1);
    }

    fn request(&mut self) -> Request {
        let crowd = self.now.messages.len();
        let accept = crowd < 3 || self.rng.below(2 * CROWD as u64) > crowd as u64;
        if accept {
            return Request::Accept(Arc::new(self.mail()));
        }
        match self.rng.below(8) {
            0 => {
                let (message, recipients) = self.pick();
                let recipient = self.rng.below(recipients as u64) as u32;
                let peer = Some(testing::peer());
                Request::Started(Started { message, recipients: vec![recipient], peer })
            }
            1 => self.settlement(|life, s| s.ledger.push(life.ledger())),
            2 | 3 => self.settlement(Self::deferral),
            4 => self.settlement(Self::failure),
            5 => self.settlement(Self::hold),
            _ => self.settlement(Self::delivery),
        }
    }

    fn mail(&mut self) -> posthaste_spool::NewMail {
        let recipients = 1 + self.rng.below(3) as usize;
        let size = match self.rng.below(12) {
            0 => 17_000 + self.rng.below(30_000),
            1..=3 => 4_000 + self.rng.below(9_000),
            _ => self.rng.below(1_500),
        };
        testing::mail(self.log.mint(NOON), recipients, size as usize)
    }

    fn settlement(&mut self, fill: impl Fn(&mut Self, &mut Settlement)) -> Request {
        let mut s = Settlement {
            tenure: Tenure { shard: 0, epoch: self.log.epoch() },
            at: NOON,
            connections: vec![],
            attempts: vec![],
            changes: vec![],
            withheld: Vec::new(),
            notices: vec![],
            ledger: vec![],
            acts: Vec::new(),
        };
        for _ in 0..=self.rng.below(2) {
            fill(self, &mut s);
        }
        Request::Settle(Arc::new(s))
    }

    /// A live message and how many recipients it has; an old one more often than not.
    fn pick(&mut self) -> (QueueId, usize) {
        let count = self.now.messages.len() as u64;
        let index = if self.rng.chance(1, 3) {
            self.rng.below(count)
        } else {
            self.rng.below(count / 2 + 1)
        };
        let (id, message) = self.now.messages.iter().nth(index as usize).expect("within the crowd");
        (*id, message.states.len())
    }

    fn connect(&mut self, s: &mut Settlement) -> u64 {
        // Connections carry several messages: some are old ones.
        if !self.connected || self.rng.chance(1, 2) {
            self.connection += 1;
            self.connected = true;
            s.connections.push(testing::connection(self.connection));
        }
        self.connection
    }

    fn deferral(&mut self, s: &mut Settlement) {
        let (message, _) = self.pick();
        let connection = self.connect(s);
        s.attempts.push(testing::deferred(message, connection));
        let failures = self.rng.below(50) as u32;
        let due = NOON.plus(Duration::from_secs(self.rng.below(10_000)));
        let state = RecipientState { attempts: failures, failures, due, ..Default::default() };
        s.changes.push(Change { message, recipient: 0, state });
    }

    fn delivery(&mut self, s: &mut Settlement) {
        let (message, recipients) = self.pick();
        let connection = self.connect(s);
        for recipient in 0..recipients as u32 {
            s.attempts.push(testing::delivered(message, recipient, connection));
            let state = RecipientState { life: Life::Delivered, attempts: 1, ..Default::default() };
            s.changes.push(Change { message, recipient, state });
        }
    }

    fn failure(&mut self, s: &mut Settlement) {
        let (message, recipients) = self.pick();
        for recipient in 0..recipients as u32 {
            let state = RecipientState { life: Life::Failed, attempts: 1, ..Default::default() };
            s.changes.push(Change { message, recipient, state });
        }
        s.notices.push(Notice {
            about: message,
            kind: Some(posthaste_evidence::NoticeKind::Failed),
            mail: self.mail(),
        });
    }

    fn hold(&mut self, s: &mut Settlement) {
        let (message, recipients) = self.pick();
        let life = if self.rng.chance(1, 2) { Life::Held } else { Life::Queued };
        let recipient = self.rng.below(recipients as u64) as u32;
        let state = RecipientState { life, ..Default::default() };
        s.changes.push(Change { message, recipient, state });
    }

    fn ledger(&mut self) -> LedgerEntry {
        let key = LedgerKey::Destination(format!("d{}.example", self.rng.below(6)));
        if self.rng.chance(1, 3) {
            return LedgerEntry { key, value: None };
        }
        let failures = self.rng.below(5) as u32;
        let state = DestinationState { since: NOON, failures, next_trial: NOON };
        let failures = (0..u64::from(failures)).map(testing::connection).collect();
        LedgerEntry { key, value: Some(LedgerValue::Down { state, failures }) }
    }
}
