//! Cuts the power somewhere in a recorded run and looks at what the store makes of it.

use crate::model::View;
use crate::workload::{self, Mark, Plan, Run, settings};
use posthaste_io_sim::{Cut, SimDisk};
use posthaste_spool_local::{LocalSpool, Log, Sabotage};

/// A run and what had been promised at each point of it.
pub(crate) struct Recorded {
    run: Run,
    sabotage: Option<Sabotage>,
    pub(crate) recycled: u32,
}

impl Recorded {
    pub(crate) fn of(plan: &Plan) -> Self {
        let run = workload::run(plan);
        let recycled = run.recycled;
        Self { run, sabotage: plan.sabotage, recycled }
    }

    /// The `n`th of `count` cuts, which are spread evenly over the run; the way of each is seeded by `n`, but
    /// now and then nothing, or everything, of what was not synced is left.
    pub(crate) fn check_cut(&self, n: usize, count: usize) -> Result<(), String> {
        let at = self.run.recording.len() * n / count;
        let how = match n % 16 {
            7 => Cut::Lost,
            15 => Cut::Landed,
            _ => Cut::Seeded(n as u64),
        };
        self.check(at, how).map_err(|violation| format!("at {at} ({how:?}): {violation}"))
    }

    fn check(&self, at: usize, how: Cut) -> Result<(), String> {
        let disk = self.run.recording.cut_by(at, how);
        let (first, disk) = self.open_and_read(disk, false)?;
        self.is_what_was_promised(at, &first)?;
        // What the start has made of it is durable, and stays so while garbage is collected.
        let (second, disk) = self.open_and_read(disk.power_cut(Cut::Lost), true)?;
        same(&second, &first, "opened again")?;
        let (third, _) = self.open_and_read(disk.power_cut(Cut::Seeded(n_of(at))), false)?;
        same(&third, &first, "opened after garbage collection")
    }

    fn open_and_read(&self, disk: SimDisk, collect: bool) -> Result<(View, SimDisk), String> {
        let opened = Log::open(disk.clone(), settings(self.sabotage));
        let (mut log, _) = opened.map_err(|e| format!("cannot be opened: {e}"))?;
        if collect {
            log.gc_all().map_err(|e| format!("cannot be collected: {e}"))?;
        }
        let view = View::of(&LocalSpool::in_place(log))?;
        Ok((view, disk))
    }

    /// A prefix of the requests, no shorter than what was acknowledged, no longer than what was begun.
    fn is_what_was_promised(&self, at: usize, found: &View) -> Result<(), String> {
        let before = self.run.marks.partition_point(|mark| mark.position <= at);
        let Some(Mark { begun, acknowledged, .. }) =
            before.checked_sub(1).map(|index| self.run.marks[index])
        else {
            return same(found, &View::default(), "before anything was accepted");
        };
        let permitted = &self.run.views[acknowledged..=begun];
        if permitted.iter().any(|view| **view == *found) {
            return Ok(());
        }
        let difference = found.difference(&permitted[0]);
        Err(format!("neither of {} permitted states: {difference}", permitted.len()))
    }
}

fn same(found: &View, wanted: &View, when: &str) -> Result<(), String> {
    if found == wanted {
        return Ok(());
    }
    Err(format!("{when}: {}", found.difference(wanted)))
}

fn n_of(at: usize) -> u64 {
    at as u64
}
