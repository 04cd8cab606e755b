//! The messages of a hub, with its daemon or without: the same questions, the same rules.
//!
//! The policy of now decides what may leave by hand: a message with a reading that it denies is neither copied out nor put
//! back. (It is not taken apart: its bytes are frozen.) `drop` is free.

use curb_model::RowId;
use curb_pipeline::Policy;
use curb_store::{Kept, Shelf, Store, StreamWaiting, Undone, Workbench};
use curb_wire::senml;

use super::form::{Change, Changed, Depth, Exported, RowLine, Shown, has_readings};

/// Read at once.
const ROWS: usize = 64;
const BYTES: usize = 256 << 10;

/// Where the messages are.
#[derive(Debug)]
pub(crate) enum Shelves {
    /// The daemon's own queue.
    Live(Store),
    /// A queue that no daemon has.
    Alone(Box<Workbench>),
}

/// Why they cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Live(#[from] Undone),
    #[error(transparent)]
    Alone(#[from] curb_store::Error),
}

impl Shelves {
    async fn look(&mut self, shelf: Shelf, after: Option<RowId>, rows: usize) -> Result<Vec<Kept>, Error> {
        match self {
            Self::Live(store) => Ok(store.look(shelf, after, rows, BYTES).await?),
            Self::Alone(bench) => Ok(bench.look(shelf, after, rows, BYTES)?),
        }
    }

    async fn waiting(&mut self) -> Result<Vec<StreamWaiting>, Error> {
        match self {
            Self::Live(store) => Ok(store.waiting().await?),
            Self::Alone(bench) => Ok(bench.waiting()?),
        }
    }

    async fn apply(&mut self, change: Change, rows: Vec<RowId>) -> Result<Vec<RowId>, Error> {
        match (self, change) {
            (Self::Live(store), Change::Release) => Ok(store.put_back(rows).await?),
            (Self::Live(store), Change::Drop) => Ok(store.throw_away(rows).await?),
            (Self::Alone(bench), Change::Release) => Ok(bench.put_back(&rows)?),
            (Self::Alone(bench), Change::Drop) => Ok(bench.throw_away(&rows)?),
        }
    }

    /// What is set aside, and what waits.
    ///
    /// # Errors
    /// The queue cannot be read.
    ///
    /// # Cancel safety
    /// Nothing is changed.
    pub(crate) async fn show(&mut self) -> Result<Shown, Error> {
        let mut aside = Vec::new();
        let mut pages = Pages::of(Shelf::Aside);
        while let Some(page) = pages.next(self).await? {
            aside.extend(page.iter().map(|kept| RowLine::new(kept, Depth::Head)));
        }
        let waiting = self.waiting().await?.into_iter().map(Into::into).collect();
        Ok(Shown { v: 1, aside, waiting })
    }

    /// Reads messages in full.
    pub(crate) fn export(&mut self, what: Exported, policy: Policy) -> Export<'_> {
        let shelves: &[Shelf] = match what {
            Exported::All => &[Shelf::Aside, Shelf::Queue],
            Exported::Aside => &[Shelf::Aside],
        };
        Export { shelves: self, left: shelves.iter().map(|shelf| Pages::of(*shelf)).collect(), policy, denied: 0 }
    }

    /// Puts back or deletes what is set aside of `rows`, or all of it.
    ///
    /// # Errors
    /// The queue cannot be read or written; some may be done.
    ///
    /// # Cancel safety
    /// Some may be done. It may be done again.
    pub(crate) async fn change(
        &mut self,
        change: Change,
        rows: Option<&[i64]>,
        policy: &Policy,
    ) -> Result<Changed, Error> {
        let mut changed = Changed { v: 1, ..Changed::default() };
        let Some(rows) = rows else {
            // What is refused once more while this goes on is not released once more.
            let mut last = None;
            let mut pages = Pages::of(Shelf::Aside);
            while let Some(page) = pages.next(self).await? {
                last = page.last().map(|kept| kept.row).or(last);
            }
            let mut pages = Pages::of(Shelf::Aside);
            while let Some(page) = pages.next(self).await? {
                let page: Vec<Kept> = page.into_iter().filter(|kept| Some(kept.row) <= last).collect();
                if page.is_empty() {
                    break;
                }
                self.change_some(change, &page, policy, &mut changed).await?;
            }
            return Ok(changed);
        };
        for row in rows {
            let found = self.look(Shelf::Aside, row.checked_sub(1).map(RowId), 1).await?;
            let found: Vec<Kept> = found.into_iter().filter(|kept| kept.row.0 == *row).collect();
            if found.is_empty() {
                changed.absent.push(*row);
            }
            self.change_some(change, &found, policy, &mut changed).await?;
        }
        Ok(changed)
    }

    async fn change_some(
        &mut self,
        change: Change,
        page: &[Kept],
        policy: &Policy,
        changed: &mut Changed,
    ) -> Result<(), Error> {
        let stays = |kept: &Kept| change == Change::Release && denies(policy, kept);
        changed.denied.extend(page.iter().filter(|kept| stays(kept)).map(|kept| kept.row.0));
        let rows: Vec<RowId> = page.iter().filter(|kept| !stays(kept)).map(|kept| kept.row).collect();
        if !rows.is_empty() {
            let done = self.apply(change, rows.clone()).await?;
            changed.absent.extend(rows.iter().filter(|row| !done.contains(row)).map(|row| row.0));
            changed.done.extend(done.iter().map(|row| row.0));
        }
        Ok(())
    }
}

/// An export under way.
#[derive(Debug)]
pub(crate) struct Export<'a> {
    shelves: &'a mut Shelves,
    left: Vec<Pages>,
    policy: Policy,
    /// Messages left out so far.
    pub(crate) denied: u64,
}

impl Export<'_> {
    /// Some more messages, perhaps none; `None` when these were all.
    ///
    /// # Errors
    /// The queue cannot be read.
    ///
    /// # Cancel safety
    /// Not safe: what was read is lost.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<RowLine>>, Error> {
        while let Some(pages) = self.left.first_mut() {
            let Some(page) = pages.next(self.shelves).await? else {
                self.left.remove(0);
                continue;
            };
            let (denied, rows): (Vec<&Kept>, Vec<&Kept>) = page.iter().partition(|kept| denies(&self.policy, kept));
            self.denied += denied.len() as u64;
            return Ok(Some(rows.into_iter().map(|kept| RowLine::new(kept, Depth::Payload)).collect()));
        }
        Ok(None)
    }
}

/// How far a shelf has been read.
#[derive(Debug)]
struct Pages {
    shelf: Shelf,
    after: Option<RowId>,
}

impl Pages {
    const fn of(shelf: Shelf) -> Self {
        Self { shelf, after: None }
    }

    async fn next(&mut self, shelves: &mut Shelves) -> Result<Option<Vec<Kept>>, Error> {
        let page = shelves.look(self.shelf, self.after, ROWS).await?;
        let last = page.last().map(|kept| kept.row);
        self.after = last.or(self.after);
        Ok(last.map(|_| page))
    }
}

/// Whether the policy denies a reading of this message. What cannot be read may hold anything.
fn denies(policy: &Policy, kept: &Kept) -> bool {
    if !has_readings(kept) || *policy == Policy::default() {
        return false;
    }
    let permitted = |record: &senml::Record| policy.permits(&record.point, record.sample.value());
    senml::decode(&kept.payload).map_or(true, |pack| !pack.records.iter().all(permitted))
}
