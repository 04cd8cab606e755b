//! What one device is asked at one due time, and what it has taught us about its registers. Pure.
//!
//! A device refuses a whole block for one register that it lacks. Such a block is halved at once, where it has a hole if
//! there is one, and the halves are asked instead, until each part has its own answer. Two things come out of it and are
//! kept: a point that is refused alone, and a place between two points whose sides are answered but not both together (a
//! hole that the device does not read along, or a limit on a read's length that nobody knew of). Whatever else was parted
//! on the way is joined again.
//!
//! ```text
//! [a b c d . e f]  refused     [a b c d] answered   [e f] refused     [e] refused   [f] answered
//! kept: e alone                next round: [a b c d]   [f]   and e now and then
//! ```
//!
//! A refused point is bad with the device's own code at each due time, but is asked only now and then, in turn with others
//! like it: a profile that does not fit its device costs one request a round and not one for each point.
//!
//! Deliberately absent: judging by other exceptions. "Illegal function" is true of every part of a block, and "busy" of none.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use super::{Block, blocks};
use crate::config::ModbusDevice;

/// Modbus exception: an address that the device does not have.
const ILLEGAL_ADDRESS: u8 = 2;

/// Modbus exception: a value that does not fit. Devices say so of a read that is too long, some of a missing address.
const ILLEGAL_VALUE: u8 = 3;

/// How many blocks may be halved in one round: so much longer a round gets when a device has something to teach, at 9,600
/// baud about half a second. Enough to find one missing register among 125; what is left waits for the next round.
const MOST_HALVED: u8 = 8;

/// How often a point is refused alone before it rests. Twice, because an exception carries no address: one that comes late
/// may have been meant for another request.
const SURE: u8 = 2;

/// How long a refused point rests at least before it is asked again. Chosen: some devices refuse a register while what it
/// measures is off, and a minute is what an installer waits.
const REST: Duration = Duration::from_secs(60);

/// How long it is remembered where blocks are parted. A day, in which a device may get another firmware.
const MEMORY: Duration = Duration::from_secs(24 * 3600);

/// What an answer says about a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It brought what was asked for.
    Data,
    /// The device answered with this exception.
    Exception(u8),
    /// No answer.
    Unknown,
}

/// What has become of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It was asked, and its points have readings.
    Done,
    /// Smaller ones stand in its place, and are to be asked.
    Halved,
}

/// What one device is asked at one due time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) period: Duration,
    /// To be asked one after the other.
    pub(crate) blocks: Vec<Block>,
    /// The device's points that are due together, by table and address. What is learnt is about places in this list, and
    /// so there is never more of it than there are points.
    order: Vec<usize>,
    /// Places before which a block ends.
    cuts: BTreeSet<usize>,
    /// Places whose point is refused alone.
    refused: BTreeMap<usize, Refusal>,
    /// When the oldest of this was learnt.
    since: Option<Duration>,
    trial: Trial,
    halved: u8,
    /// The blocks no longer follow from what is known.
    stale: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Refusal {
    code: u8,
    /// When it was last refused.
    at: Duration,
    times: u8,
}

/// What is found out about refused blocks at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Trial {
    /// Each a refused block, and the place at which it was parted.
    halved: Vec<(Range<usize>, usize)>,
    /// What was refused: blocks, and points alone.
    refused: Vec<Range<usize>>,
}

impl Round {
    pub(super) fn new(device: &ModbusDevice, period: Duration, mut order: Vec<usize>) -> Self {
        order.sort_by_key(|&index| (device.points[index].table, device.points[index].span()));
        let mut round = Self {
            period,
            blocks: Vec::new(),
            order,
            cuts: BTreeSet::new(),
            refused: BTreeMap::new(),
            since: None,
            trial: Trial::default(),
            halved: 0,
            stale: true,
        };
        round.begin(device, Duration::ZERO);
        round
    }

    /// Gets ready to be asked at `now`.
    pub(crate) fn begin(&mut self, device: &ModbusDevice, now: Duration) {
        self.halved = 0;
        if self.since.is_some_and(|since| now.saturating_sub(since) >= MEMORY) {
            self.forget();
        }
        if self.trial.halved.is_empty() && (self.stale || !self.refused.is_empty()) {
            self.rebuild(device, now);
        }
    }

    /// Notes what came of the block at `index`.
    pub(crate) fn note(&mut self, device: &ModbusDevice, index: usize, verdict: Verdict, now: Duration) -> Noted {
        let block = &mut self.blocks[index];
        let (range, code) = match verdict {
            Verdict::Data => {
                block.on_trial = false;
                self.stale |= self.refused.remove(&block.first).is_some();
                return Noted::Done;
            }
            Verdict::Exception(code @ (ILLEGAL_ADDRESS | ILLEGAL_VALUE)) => (block.range(), code),
            Verdict::Exception(_) | Verdict::Unknown => return Noted::Done,
        };
        if range.len() > 1 {
            return if self.halved < MOST_HALVED { self.halve(device, index) } else { Noted::Done };
        }
        block.on_trial = false;
        let refusal = self.refused.entry(range.start).or_insert(Refusal { code, at: now, times: 0 });
        *refusal = Refusal { code, at: now, times: refusal.times.saturating_add(1) };
        if !self.trial.halved.is_empty() {
            self.trial.refused.push(range);
        }
        self.since.get_or_insert(now);
        self.stale = true;
        Noted::Done
    }

    /// The round is over: draws the conclusion when every part of what was refused has its own answer.
    pub(crate) fn end(&mut self, now: Duration) {
        if self.trial.halved.is_empty() || self.blocks.iter().any(|block| block.on_trial) {
            return;
        }
        let Trial { halved, refused } = std::mem::take(&mut self.trial);
        let is_whole =
            |half: Range<usize>| !refused.iter().any(|part| half.start <= part.start && part.end <= half.end);
        for (block, at) in halved {
            if is_whole(block.start..at) && is_whole(at..block.end) {
                self.cuts.insert(at);
            }
        }
        self.since.get_or_insert(now);
        self.stale = true;
    }

    /// Forgets what it has learnt: the device may be another, or have another firmware.
    pub(crate) fn forget(&mut self) {
        self.cuts.clear();
        self.refused.clear();
        self.since = None;
        self.trial = Trial::default();
        self.stale = true;
    }

    /// The points that are due but not among the blocks, because they were refused lately: each with its exception.
    pub(crate) fn resting(&self) -> impl Iterator<Item = (usize, u8)> {
        let asked = |place: &usize| self.blocks.iter().any(|block| block.range().contains(place));
        self.refused
            .iter()
            .filter(move |(place, _)| !asked(place))
            .map(|(&place, refusal)| (self.order[place], refusal.code))
    }

    /// The points of which it is certain that the device refuses them, and which were so found at `now`.
    pub(crate) fn found(&self, now: Duration) -> impl Iterator<Item = usize> {
        let new = move |refusal: &Refusal| refusal.times == SURE && refusal.at == now;
        self.refused.iter().filter(move |(_, refusal)| new(refusal)).map(|(&place, _)| self.order[place])
    }

    fn rebuild(&mut self, device: &ModbusDevice, now: Duration) {
        let live = (0..self.order.len()).filter(|place| !self.refused.contains_key(place));
        let mut planned = blocks(device, &self.order, live, |place| self.cuts.contains(&place));
        let (sure, doubtful): (Vec<_>, Vec<_>) = self.refused.iter().partition(|(_, refusal)| refusal.times >= SURE);
        let idle = planned.is_empty() && doubtful.is_empty();
        let turn = sure.into_iter().min_by_key(|(_, refusal)| refusal.at);
        // Where nothing else is asked, one is: else nobody would know whether the unit is there.
        let turn = turn.filter(|(_, refusal)| idle || now.saturating_sub(refusal.at) >= REST);
        let again = doubtful.into_iter().chain(turn).map(|(&place, _)| place);
        planned.extend(blocks(device, &self.order, again, |_| true));
        self.blocks = planned;
        self.stale = false;
    }

    /// Parts a refused block of several points.
    fn halve(&mut self, device: &ModbusDevice, index: usize) -> Noted {
        let range = self.blocks[index].range();
        let at = self.middle(device, &range);
        let half = |half: Range<usize>| blocks(device, &self.order, half, |place| self.cuts.contains(&place));
        let halves = half(range.start..at).into_iter().chain(half(at..range.end));
        let halves: Vec<Block> = halves.map(|block| Block { on_trial: true, ..block }).collect();
        self.blocks.splice(index..=index, halves);
        self.trial.refused.push(range.clone());
        self.trial.halved.push((range, at));
        self.halved += 1;
        Noted::Halved
    }

    /// Where to part it: at the hole next to its middle, because a hole is what nobody knows of the device; else at the
    /// middle.
    fn middle(&self, device: &ModbusDevice, range: &Range<usize>) -> usize {
        let span = |place: usize| device.points[self.order[place]].span();
        let middle = range.start + range.len() / 2;
        let mut end = 0;
        let holes = range.clone().filter(|&place| {
            let (address, span) = span(place);
            let is_hole = place > range.start && u32::from(address) > end;
            end = end.max(u32::from(address) + u32::from(span));
            is_hole
        });
        holes.min_by_key(|place| place.abs_diff(middle)).unwrap_or(middle)
    }
}
