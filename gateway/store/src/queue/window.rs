//! Messages that are in memory only, for as long as the commit deadline lets them. Pure.
//!
//! A message that is delivered from here is never written. What stays longer goes to disk with the next commit, which
//! takes everything here at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use curb_model::HubTime;

use super::Waiting;
use crate::disk::Stored;

/// What a message takes in memory beside its payload: its columns, its node in the tree. A guess, on the high side.
const ROW_MEMORY: usize = 256;

/// A message that the disk does not know yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewRow {
    /// What will stand on the disk beside the payload.
    pub(crate) stored: Stored,
    /// When it came in.
    pub(crate) since: HubTime,
    pub(crate) payload: Arc<[u8]>,
}

impl NewRow {
    pub(crate) fn cost(&self) -> Waiting {
        Waiting::of(self.stored.lane, 1, self.stored.len, u64::from(self.stored.readings))
    }

    fn memory(&self) -> usize {
        self.payload.len() + ROW_MEMORY
    }
}

/// The messages, by row: those below zero wait for the clock.
#[derive(Debug, Default)]
pub(crate) struct Window {
    rows: BTreeMap<i64, NewRow>,
    memory: usize,
}

impl Window {
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of memory, about.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    pub(crate) fn insert(&mut self, new: NewRow) {
        self.memory += new.memory();
        let before = self.rows.insert(new.stored.row, new);
        debug_assert!(before.is_none(), "two messages in one row");
    }

    pub(crate) fn get(&self, row: i64) -> Option<&NewRow> {
        self.rows.get(&row)
    }

    pub(crate) fn remove(&mut self, row: i64) -> Option<NewRow> {
        let removed = self.rows.remove(&row)?;
        self.memory -= removed.memory();
        Some(removed)
    }

    /// New bytes for a message that is here; whether it is.
    pub(crate) fn rewrite(&mut self, row: i64, payload: &Arc<[u8]>) -> bool {
        let Some(mut new) = self.remove(row) else { return false };
        new.stored.len = payload.len() as u64;
        new.payload = Arc::clone(payload);
        self.insert(new);
        true
    }

    /// In the order of their rows.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &NewRow> {
        self.rows.values()
    }

    /// What may go out behind the row `after`, in order.
    pub(crate) fn behind(&self, after: i64) -> impl Iterator<Item = &NewRow> {
        self.rows.range(after.max(0) + 1..).map(|(_, new)| new)
    }

    /// What of a stream is here.
    pub(crate) fn waiting(&self, stream: i64) -> Waiting {
        let mut waiting = Waiting::default();
        self.rows.values().filter(|new| new.stored.stream == stream).for_each(|new| waiting.add(new.cost()));
        waiting
    }

    /// When the one that is here longest came in.
    pub(crate) fn oldest(&self) -> Option<HubTime> {
        // Rows are taken in order on both sides of zero.
        let first =
            |mut rows: std::collections::btree_map::Range<'_, i64, NewRow>| rows.next().map(|(_, new)| new.since);
        [first(self.rows.range(..0)), first(self.rows.range(0..))].into_iter().flatten().min()
    }

    /// The time of the oldest reading.
    pub(crate) fn oldest_reading(&self) -> Option<HubTime> {
        self.rows.values().filter(|new| new.stored.readings > 0).map(|new| new.stored.first).min()
    }
}

impl FromIterator<NewRow> for Window {
    fn from_iter<T: IntoIterator<Item = NewRow>>(rows: T) -> Self {
        let mut window = Self::default();
        rows.into_iter().for_each(|new| window.insert(new));
        window
    }
}
