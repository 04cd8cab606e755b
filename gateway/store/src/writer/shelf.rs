//! What people at the hub ask for.

use curb_model::RowId;
use tokio::sync::oneshot;

use super::Writer;
use crate::disk::Error;
use crate::shelf::{self, Kept, Shelf};

impl Writer {
    pub(super) fn look(
        &mut self,
        shelf: Shelf,
        after: Option<RowId>,
        rows: usize,
        bytes: usize,
    ) -> Result<Vec<Kept>, Error> {
        // People see what is on the disk; what is in memory goes there first, once for all pages.
        if shelf == Shelf::Queue && after.is_none() && !self.queue.changes.rows.is_empty() && self.due.retry.is_none() {
            self.commit();
        }
        self.disk.look(shelf, after.map_or(i64::MIN, |row| row.0), rows, bytes)
    }

    pub(super) fn put_back(&mut self, rows: &[RowId], reply: oneshot::Sender<Vec<RowId>>) -> Result<(), Error> {
        let done = shelf::put_back(&self.disk, &mut self.queue, rows, self.clock.now())?;
        self.commit_and_tell(done, reply);
        Ok(())
    }

    pub(super) fn throw_away(&mut self, rows: &[RowId], reply: oneshot::Sender<Vec<RowId>>) -> Result<(), Error> {
        let done = shelf::throw_away(&self.disk, &mut self.queue, rows)?;
        self.commit_and_tell(done, reply);
        Ok(())
    }

    /// Tells what was done, once it is durable; else nothing, which says that the disk refuses.
    fn commit_and_tell(&mut self, done: Vec<RowId>, reply: oneshot::Sender<Vec<RowId>>) {
        if !self.queue.changes.no_longer_aside.is_empty() {
            self.commit();
        }
        if self.queue.changes.no_longer_aside.is_empty() {
            // The asker may have gone.
            reply.send(done).ok();
        }
    }
}
