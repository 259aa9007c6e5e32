//! What a power cut leaves: for every unsynced change a choice of lost, landed or torn.
//!
//! The rules are those of a page cache over a disk with atomic sectors. A sector holds one of the states it
//! passed through since the last sync: an older write never lands over a newer one within a sector, but
//! sectors, files and names are free of each other until a sync orders them.

use super::content::Content;
use super::state::{Inode, PendingName, State};
use crate::rng::Rng;
use std::collections::BTreeMap;

/// How the power goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// Nothing unsynced is left.
    Lost,
    /// All that was written is there (also what the end of a mere process leaves).
    Landed,
    /// The seed chooses among all that is permitted: prefixes, suffixes, single writes, single sectors.
    Seeded(u64),
}

/// The sector whose writing is atomic, octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sector {
    /// 512: the harshest that disks are.
    #[default]
    Octets512,
    /// 4096: Advanced Format and NVMe.
    Octets4096,
}

impl Sector {
    const fn octets(self) -> u64 {
        match self {
            Self::Octets512 => 512,
            Self::Octets4096 => 4096,
        }
    }
}

/// Chance 1 in this many that an unlanded write still lengthened its file (with zeros).
const LENGTHENED_ANYWAY: u64 = 4;

/// One way for unsynced changes to land. Draws are made per change, so that a style covers many images.
#[derive(Clone, Copy)]
enum Style {
    Lost,
    Landed,
    /// In order up to this operation, which is torn.
    UpTo(u64),
    /// Only what came after this operation.
    From(u64),
    /// Each change by itself, whole.
    Whole,
    /// Each sector by itself.
    Sectors,
}

/// The disk after the cut: all of it durable, nothing pending.
pub(super) fn cut(state: &State, cut: Cut, sector: Sector) -> State {
    let (mut rng, style) = match cut {
        Cut::Lost => (Rng::new(0), Style::Lost),
        Cut::Landed => (Rng::new(0), Style::Landed),
        Cut::Seeded(seed) => {
            let mut rng = Rng::new(seed);
            let style = pick_style(state, &mut rng);
            (rng, style)
        }
    };
    let names = cut_names(state, style, &mut rng);
    let files = state
        .files
        .iter()
        .filter(|(id, _)| names.values().any(|named| named == *id))
        .map(|(id, inode)| (*id, cut_file(inode, style, sector, &mut rng)))
        .collect();
    State {
        files,
        durable_names: names.clone(),
        names,
        pending_names: Vec::new(),
        next_file: state.next_file,
        order: state.order,
    }
}

/// A failed sync: some pending sectors landed, the rest is gone from the cache's list of dirty ones.
pub(super) fn fail_sync(inode: &mut Inode, seed: u64) {
    let mut rng = Rng::new(seed);
    inode.durable = landed(inode, Style::Sectors, Sector::default(), &mut rng);
    inode.pending.clear();
}

fn pick_style(state: &State, rng: &mut Rng) -> Style {
    let writes = state.files.values().flat_map(|f| f.pending.iter().map(|w| w.order));
    let orders = || writes.clone().chain(state.pending_names.iter().map(|n| n.order));
    let (Some(first), Some(last)) = (orders().min(), orders().max()) else {
        return Style::Lost;
    };
    let somewhere = first + rng.below(last - first + 1);
    match rng.below(12) {
        0 => Style::Lost,
        1 => Style::Landed,
        2..=5 => Style::UpTo(somewhere),
        6..=7 => Style::From(somewhere),
        8..=9 => Style::Whole,
        _ => Style::Sectors,
    }
}

fn cut_names(state: &State, style: Style, rng: &mut Rng) -> BTreeMap<String, u64> {
    let mut names = state.durable_names.clone();
    for PendingName { order, change } in &state.pending_names {
        let lands = match style {
            Style::Lost => false,
            Style::Landed => true,
            Style::UpTo(at) => *order < at || (*order == at && rng.chance(1, 2)),
            Style::From(at) => *order >= at,
            Style::Whole | Style::Sectors => rng.chance(1, 2),
        };
        if lands {
            change.apply(&mut names);
        }
    }
    names
}

fn cut_file(inode: &Inode, style: Style, sector: Sector, rng: &mut Rng) -> Inode {
    let content = landed(inode, style, sector, rng);
    Inode { current: content.clone(), durable: content, pending: Vec::new() }
}

fn landed(inode: &Inode, style: Style, sector: Sector, rng: &mut Rng) -> Content {
    let mut content = inode.durable.clone();
    if matches!(style, Style::Lost) {
        return content;
    }
    let newest = newest_landed(inode, style, sector, rng);
    let size = sector.octets();
    for (index, write) in inode.pending.iter().enumerate() {
        for at in sectors(write.offset, write.end(), size) {
            if newest.get(&at).is_some_and(|&newest| index <= newest) {
                let from = write.offset.max(at * size);
                let to = write.end().min((at + 1) * size);
                let part = slice(&write.data, from - write.offset, to - write.offset);
                content.write(from, part);
            }
        }
        if rng.chance(1, LENGTHENED_ANYWAY) && !matches!(style, Style::UpTo(at) if write.order > at)
        {
            content.extend_to(write.end());
        }
    }
    content
}

/// For every sector that a landed write touched: the last such write.
fn newest_landed(
    inode: &Inode,
    style: Style,
    sector: Sector,
    rng: &mut Rng,
) -> BTreeMap<u64, usize> {
    let mut newest = BTreeMap::new();
    for (index, write) in inode.pending.iter().enumerate() {
        let whole = match style {
            Style::Lost => Some(false),
            Style::Landed => Some(true),
            Style::UpTo(at) if write.order == at => None,
            Style::UpTo(at) => Some(write.order < at),
            Style::From(at) => Some(write.order >= at),
            Style::Whole => Some(rng.chance(1, 2)),
            Style::Sectors => None,
        };
        for at in sectors(write.offset, write.end(), sector.octets()) {
            if whole.unwrap_or_else(|| rng.chance(1, 2)) {
                newest.insert(at, index);
            }
        }
    }
    newest
}

fn sectors(from: u64, to: u64, size: u64) -> std::ops::Range<u64> {
    if from == to { 0..0 } else { from / size..to.div_ceil(size) }
}

fn slice(data: &[u8], from: u64, to: u64) -> &[u8] {
    let index = |n: u64| usize::try_from(n).expect("within a slice in memory");
    &data[index(from)..index(to)]
}
