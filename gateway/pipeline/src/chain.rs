//! Which readings a plugin sees, and what its answer does to a batch. Pure.
//!
//! A reading that no plugin names is neither copied nor encoded. What comes back is row numbers, so that a plugin cannot
//! forge a reading of a device; an answer against the contract changes nothing at all.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use curb_model::{Batch, Class, Dropped, GapReason, HubTime, Point, PointName, Reading, Stream, UtcOffset};

use crate::columns::{Columns, ColumnsError, remark};

/// What a plugin answers to a batch. Rows are those of the columns it was given.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Emission {
    /// Rows that pass unchanged, ascending.
    pub(crate) keep: Vec<u32>,
    /// New readings, on the plugin's own points.
    pub(crate) add: Columns,
    /// Rows that pass with another quality, ascending.
    pub(crate) remark: Vec<(u32, u8)>,
    /// Rows that the plugin refuses, and why.
    pub(crate) rejects: Vec<(u32, Box<str>)>,
}

impl Emission {
    /// Whether it lets anything out: what it says of state must be on disk before that is told.
    pub(crate) fn lets_out(&self) -> bool {
        !(self.keep.is_empty() && self.add.is_empty() && self.remark.is_empty())
    }
}

/// Why an answer is against the contract; handled as a trap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Breach {
    #[error("answer names row {row} of {rows}")]
    NoSuchRow { row: u32, rows: usize },
    #[error("answer names row {0} twice, or not in order")]
    RowOrder(u32),
    #[error("answer adds {rows} readings (limit {limit})")]
    TooManyRows { rows: usize, limit: u32 },
    #[error("answer adds a reading on point {0}, which the plugin did not declare")]
    ForeignPoint(u32),
    #[error("answer adds readings out of order, or later than now")]
    Time,
    #[error("answer has {0}")]
    Columns(#[from] ColumnsError),
}

/// The rows of a batch that a plugin sees.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Selection {
    /// The place of each row in the batch, ascending.
    places: Vec<usize>,
    pub(crate) columns: Columns,
}

impl Selection {
    /// `None` if the plugin sees none of it.
    pub(crate) fn of(batch: &Batch, inputs: &HashMap<PointName, u32>) -> Option<Self> {
        let mut selection = Self { places: Vec::new(), columns: Columns::default() };
        for (place, reading) in batch.readings.iter().enumerate() {
            if let Some(id) = inputs.get(&reading.point.name) {
                selection.places.push(place);
                selection.columns.push(*id, reading);
            }
        }
        (!selection.places.is_empty()).then_some(selection)
    }

    /// The place of a row in the batch.
    pub(crate) fn place(&self, row: u32) -> Option<usize> {
        usize::try_from(row).ok().and_then(|row| self.places.get(row)).copied()
    }

    pub(crate) const fn rows(&self) -> usize {
        self.places.len()
    }
}

/// What a plugin may add.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grant<'a> {
    /// Its own points, by id.
    pub(crate) points: &'a BTreeMap<u32, Arc<Point>>,
    /// Readings in one answer.
    pub(crate) rows_out: u32,
    /// No reading may be later.
    pub(crate) now: HubTime,
}

/// What an answer did, in readings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) kept: u64,
    pub(crate) remarked: u64,
    pub(crate) filtered: u64,
    pub(crate) rejected: u64,
    pub(crate) added: u64,
}

/// Applies an answer to the batch that it answers. Gives the plugin's own readings, a batch per stream and class.
///
/// # Errors
/// The answer is against the contract; the batch is as it was.
pub(crate) fn apply(
    batch: &mut Batch,
    selection: &Selection,
    mut emission: Emission,
    grant: Grant<'_>,
) -> Result<(Vec<Batch>, Tally), Breach> {
    let own = own_readings(std::mem::take(&mut emission.add), grant)?;
    let mut verdicts = vec![Verdict::Unseen; batch.readings.len()];
    for &place in &selection.places {
        verdicts[place] = Verdict::LeftOut;
    }
    let mut judge = Judge { selection, verdicts };
    judge.answer(&emission)?;
    for (reading, verdict) in batch.readings.iter().zip(&judge.verdicts) {
        if let Verdict::Marked(quality) = verdict {
            remark(reading.sample.clone(), *quality)?;
        }
    }
    let mut tally = carry_out(batch, &judge.verdicts);
    tally.added = own.len() as u64;
    Ok((batches(own, batch.offset), tally))
}

/// Whether an answer to so many rows keeps to the contract.
///
/// # Errors
/// It does not.
pub(crate) fn check(rows: usize, emission: &Emission, grant: Grant<'_>) -> Result<(), Breach> {
    own_readings(emission.add.clone(), grant)?;
    let selection = Selection { places: (0..rows).collect(), columns: Columns::default() };
    let mut judge = Judge { selection: &selection, verdicts: vec![Verdict::LeftOut; rows] };
    judge.answer(emission)
}

/// What a plugin says of itself, without a batch. Gives a batch per stream and class.
///
/// # Errors
/// The answer is against the contract.
pub(crate) fn added(add: Columns, offset: Option<UtcOffset>, grant: Grant<'_>) -> Result<(Vec<Batch>, Tally), Breach> {
    let own = own_readings(add, grant)?;
    let tally = Tally { added: own.len() as u64, ..Tally::default() };
    Ok((batches(own, offset), tally))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The plugin does not see it.
    Unseen,
    LeftOut,
    Kept,
    Marked(u8),
    Rejected,
}

struct Judge<'a> {
    selection: &'a Selection,
    verdicts: Vec<Verdict>,
}

impl Judge<'_> {
    fn answer(&mut self, emission: &Emission) -> Result<(), Breach> {
        self.all(emission.keep.iter().map(|row| (*row, Verdict::Kept)))?;
        self.all(emission.remark.iter().map(|(row, quality)| (*row, Verdict::Marked(*quality))))?;
        self.all(emission.rejects.iter().map(|(row, _)| (*row, Verdict::Rejected)))
    }

    fn all(&mut self, list: impl Iterator<Item = (u32, Verdict)>) -> Result<(), Breach> {
        let mut next = 0;
        for (row, verdict) in list {
            let rows = self.selection.places.len();
            let place = usize::try_from(row).ok().and_then(|row| self.selection.places.get(row));
            let place = *place.ok_or(Breach::NoSuchRow { row, rows })?;
            if row < next || self.verdicts[place] != Verdict::LeftOut {
                return Err(Breach::RowOrder(row));
            }
            self.verdicts[place] = verdict;
            next = row + 1;
        }
        Ok(())
    }
}

/// The verdicts are valid; nothing can fail any more.
fn carry_out(batch: &mut Batch, verdicts: &[Verdict]) -> Tally {
    let mut tally = Tally::default();
    let mut rejected: Option<Dropped> = None;
    let mut verdicts = verdicts.iter();
    batch.readings.retain_mut(|reading| {
        let verdict = *verdicts.next().expect("there is a verdict for each reading");
        match verdict {
            Verdict::Unseen => {}
            Verdict::Kept => tally.kept += 1,
            Verdict::Marked(quality) => {
                tally.kept += 1;
                tally.remarked += 1;
                reading.sample = remark(reading.sample.clone(), quality).expect("tried in apply");
            }
            Verdict::LeftOut => tally.filtered += 1,
            Verdict::Rejected => {
                tally.rejected += 1;
                count_dropped(&mut rejected, reading.at);
            }
        }
        !matches!(verdict, Verdict::LeftOut | Verdict::Rejected)
    });
    batch.counts.filtered += tally.filtered;
    batch.dropped.extend(rejected);
    tally
}

/// Drops the readings that a plugin was to see, because it cannot; the others stay. Gives how many.
pub(crate) fn drop_seen(batch: &mut Batch, inputs: &HashMap<PointName, u32>) -> u64 {
    let mut dropped: Option<Dropped> = None;
    batch.readings.retain(|reading| {
        let seen = inputs.contains_key(&reading.point.name);
        if seen {
            count_dropped(&mut dropped, reading.at);
        }
        !seen
    });
    let count = dropped.map_or(0, |dropped| dropped.count);
    batch.dropped.extend(dropped);
    count
}

fn count_dropped(dropped: &mut Option<Dropped>, at: HubTime) {
    let dropped = dropped.get_or_insert(Dropped { reason: GapReason::Plugin, count: 0, from: at, to: at });
    dropped.count += 1;
    dropped.to = at;
}

fn own_readings(add: Columns, grant: Grant<'_>) -> Result<Vec<Reading>, Breach> {
    if usize::try_from(grant.rows_out).is_ok_and(|limit| add.len() > limit) {
        return Err(Breach::TooManyRows { rows: add.len(), limit: grant.rows_out });
    }
    let readings = add.into_readings(|id| grant.points.get(&id).map(Arc::clone).ok_or(Breach::ForeignPoint(id)))?;
    let late = readings.last().is_some_and(|last| last.at > grant.now);
    if late || !readings.is_sorted_by_key(|reading| reading.at) {
        return Err(Breach::Time);
    }
    Ok(readings)
}

fn batches(own: Vec<Reading>, offset: Option<UtcOffset>) -> Vec<Batch> {
    let mut streams: BTreeMap<(Class, Stream), Vec<Reading>> = BTreeMap::new();
    for reading in own {
        streams.entry((reading.point.class, reading.point.stream.clone())).or_default().push(reading);
    }
    streams.into_iter().map(|((class, stream), readings)| Batch::read(stream, class, offset, readings)).collect()
}
