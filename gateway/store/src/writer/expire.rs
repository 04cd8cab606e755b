//! What is too old leaves: before it would be handed out, before it would be written, and each minute of what is on the
//! disk, a bounded part at a time. A gap record tells how much.

use std::time::Duration;

use tokio::time::Instant;

use super::{CHUNK, Writer};
use crate::disk::{Error, Stored};
use crate::queue::Leaves;

/// How often the disk is looked through. What is handed out meanwhile is looked at then.
const EVERY: Duration = Duration::from_secs(60);

/// How soon it goes on where one look was not enough: a back-log of days goes within minutes, and nobody waits long for
/// the writer.
const GOES_ON: Duration = Duration::from_secs(1);

/// Messages that are looked up at once. Mostly the first is young enough, and nothing more is read.
const STEP: usize = 64;

impl Writer {
    /// What is in memory and too old is never written.
    pub(super) fn expire_in_memory(&mut self) {
        if !self.queue.can_expire() {
            return;
        }
        let now = self.clock.now();
        let rows = self.queue.changes.rows.iter().map(|new| &new.stored);
        let expired: Vec<Stored> = rows.filter(|row| self.queue.is_expired(row, now)).cloned().collect();
        self.expire(&expired);
    }

    /// Takes rows out.
    pub(super) fn expire(&mut self, rows: &[Stored]) {
        rows.iter().for_each(|row| self.queue.remove(row, Leaves::Expired));
    }

    /// Looks through some of the disk, if it is time.
    pub(super) fn expire_on_disk(&mut self, now: Instant) -> Result<(), Error> {
        if self.due.expire > now {
            return Ok(());
        }
        self.due.expire = now + EVERY;
        if self.drained || !self.disk.is_open() {
            return Ok(());
        }
        let (at, mut room) = (self.clock.now(), CHUNK);
        for stream in self.queue.expiring() {
            loop {
                // In the order of their numbers they are in the order of their age.
                let rows = self.disk.up_to(stream, u64::MAX, &self.queue.changes.gone, STEP)?;
                let looked_at = rows.len();
                let expired: Vec<Stored> = rows.into_iter().take_while(|row| self.queue.is_expired(row, at)).collect();
                self.expire(&expired);
                room = room.saturating_sub(expired.len());
                if room == 0 {
                    self.due.expire = now + GOES_ON;
                    return Ok(());
                }
                if expired.len() < looked_at || looked_at == 0 {
                    break;
                }
            }
        }
        Ok(())
    }
}
