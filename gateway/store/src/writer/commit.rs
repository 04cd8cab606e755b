//! The commit: what goes over the limit, what is done when the disk is full, refuses or is damaged, and who is told.

use curb_model::Lane;

use super::due::RETRY;
use super::tell::{chain, damage_detail};
use super::{CHUNK, Writer};
use crate::disk::{Error, Kind, Part, Scope};
use crate::mark::Mark;
use crate::queue::Leaves;

/// Audit records may take one part in so many of the limit while there is data to keep: of 256 MiB, some 130,000 commands.
const AUDIT_SHARE: u64 = 4;

impl Writer {
    /// Writes what has changed; on success tells everybody who waits for it.
    pub(crate) fn commit(&mut self) {
        self.commit_as(Scope::All);
    }

    pub(super) fn commit_as(&mut self, scope: Scope) {
        let mut result = self.try_commit(scope);
        if is_full(&result) && self.write_log_back().is_ok() {
            result = self.try_commit(scope);
        }
        // Not for what is new alone: that would only fill the disk further.
        if is_full(&result) && !self.queue.changes.gone.is_empty() && self.disk.release_reserve() {
            result = self.try_commit(scope);
            // If the log cannot be written back now, the next commit that finds the disk full tries again.
            self.write_log_back().ok();
            self.disk.keep_reserve();
        }
        match result {
            Ok(()) => self.committed(),
            Err(error) => self.failed(&error),
        }
    }

    /// What is long delivered may lie in the log, and its room be all that a commit needs. What the file grows by is less
    /// than what the log gives back, so that there is room for the reserve again.
    fn write_log_back(&self) -> Result<(), Error> {
        let mut result = self.disk.checkpoint();
        if is_full(&result) && self.disk.release_reserve() {
            result = self.disk.checkpoint();
            self.disk.keep_reserve();
        }
        result
    }

    fn try_commit(&mut self, scope: Scope) -> Result<(), Error> {
        if !self.disk.is_open() {
            self.disk.open(None)?;
        }
        loop {
            self.evict()?;
            self.queue.settle();
            let changes = &self.queue.changes;
            if changes.is_empty() {
                return Ok(());
            }
            // What is over the limit can be evicted only from the disk.
            let is_over = self.queue.waiting.bytes > self.limit_bytes;
            let is_all = changes.is_urgent() || !self.waiting.is_empty() || is_over;
            let scope = if is_all { Scope::All } else { scope };
            self.disk.commit(scope, changes, &self.queue.runs, &self.queue.streams)?;
            self.commits += 1;
            self.due.pause = RETRY.0;
            let aside_changed = !changes.aside.is_empty() || !changes.no_longer_aside.is_empty();
            let new_rows = scope == Scope::All && !changes.rows.is_empty();
            if new_rows {
                self.payload_bytes += changes.rows.iter().map(|row| row.payload.len() as u64).sum::<u64>();
                self.drained = false;
            }
            self.queue.committed(scope);
            if aside_changed {
                self.aside = self.disk.count_aside()?;
                self.tell_aside();
            }
            if self.queue.waiting.bytes <= self.limit_bytes {
                return Ok(());
            }
            // Rows that are over the limit in their own commit can be evicted only from here on.
            if !new_rows {
                self.queue.recount(&self.disk.count()?);
                return Ok(());
            }
        }
    }

    /// Takes the oldest rows out until the limit is kept with some room: one commit for many rows. Audit records go first
    /// as far as they have more than their share, so that whoever commands a hub without end does not cost it its data;
    /// then data, alarms, and the other audit records last. Records of runs, gaps and the clock stay: they are few.
    fn evict(&mut self) -> Result<(), Error> {
        if self.queue.waiting.bytes <= self.limit_bytes {
            return Ok(());
        }
        let aim = self.limit_bytes - self.limit_bytes / 64;
        let share = self.limit_bytes / AUDIT_SHARE;
        for (lane, keeps) in [(Lane::Audit, share), (Lane::Data, 0), (Lane::Alarm, 0), (Lane::Audit, 0)] {
            while self.is_over(aim, lane, keeps) {
                let rows = self.disk.oldest(lane, &self.queue.changes.gone, CHUNK)?;
                if rows.is_empty() {
                    break;
                }
                let what = if lane == Lane::Audit { "records of commands are" } else { "data is" };
                let detail = format!("the limit of {} bytes is reached; the oldest {what} dropped", self.limit_bytes);
                self.raise("full", detail);
                for row in &rows {
                    if !self.is_over(aim, lane, keeps) {
                        break;
                    }
                    self.queue.remove(row, Leaves::Evicted);
                }
            }
        }
        Ok(())
    }

    /// Whether more than `aim` waits, and of a lane that keeps some room more than that.
    fn is_over(&self, aim: u64, lane: Lane, keeps: u64) -> bool {
        self.queue.waiting.bytes > aim && (lane != Lane::Audit || self.queue.audit_bytes() > keeps)
    }

    fn committed(&mut self) {
        let run = self.queue.run();
        if self.wrote.replace(run) != Some(run) {
            self.write_mark();
        }
        self.due.acks = None;
        // What the counters say is believed only when the file says it, too.
        let in_memory = self.queue.changes.rows.len() as u64;
        self.drained |= self.queue.waiting.rows == in_memory && self.disk.is_empty().is_ok_and(|is_empty| is_empty);
        if self.due.retry.take().is_some() {
            self.clear("disk-full");
            self.clear("disk-error");
            self.disk.keep_reserve();
        }
        self.trouble.disk_works();
        if self.queue.waiting.bytes < self.limit_bytes / 4 * 3 {
            self.clear("full");
        }
        self.publish();
        // Before the answers: who is told that a run has ended lets the uplink go when nothing new is there.
        self.changed.send_modify(|count| *count += 1);
        // Who asked may have gone.
        self.waiting.drain(..).for_each(|reply| reply.send(()).unwrap_or_default());
    }

    /// A damaged file is replaced at once; everything else is tried again after a pause.
    pub(crate) fn failed(&mut self, error: &Error) {
        match error.kind() {
            // It was told when the file was moved aside, and the next commit makes a new one.
            _ if matches!(error, Error::Missing) => {}
            Kind::Damaged => self.replace_disk(error),
            Kind::Full => self.pause("disk-full", error),
            Kind::Locked => self.pause("disk-error", error),
            Kind::Other => {
                if !error.is_out_of_memory() {
                    self.trouble.begins();
                }
                self.pause("disk-error", error);
            }
        }
        self.publish();
    }

    fn pause(&mut self, word: &'static str, error: &Error) {
        self.raise(word, chain(error));
        self.due.retry_later();
    }

    fn replace_disk(&mut self, error: &Error) {
        self.trouble.begins();
        match self.disk.put_aside(Part::All) {
            Ok(aside) => {
                self.raise("damaged", damage_detail(error, aside.as_deref()));
                self.queue.lose_disk();
                self.drained = true;
                // Not at once: a card that damages each new file must not keep this thread busy.
                self.due.retry_later();
            }
            Err(aside) => self.pause("disk-error", &aside),
        }
    }

    /// A mark that names a run says that the database knows it. Before the very first commit there is nothing to mark.
    pub(super) fn write_mark(&mut self) {
        let Some(run) = self.wrote else { return };
        match self.mark.write(Mark { run, hub_time: self.clock.now() }) {
            Ok(()) => self.clear("mark-stale"),
            Err(error) => self.raise("mark-stale", chain(&error)),
        }
    }
}

fn is_full(result: &Result<(), Error>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == Kind::Full)
}
