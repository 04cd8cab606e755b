//! Readings that are not worth sending any more. Pure.
//!
//! Age is hub time, without the leap that it makes at each start. It does not say how long the hub was off between two runs; UTC
//! does, where a clock was trusted in both. Of the two the greater holds: neither is more than the true age, so that a reading
//! goes too late rather than too early.

use std::collections::BTreeMap;
use std::time::Duration;

use curb_model::{HubTime, Lane, RunId, Stream};

use super::{Queue, Stored};
use crate::mark::MARGIN;

/// After how long, by stream; and when this run began.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    after: BTreeMap<Stream, Duration>,
    began: Option<HubTime>,
}

impl Queue {
    /// From here on readings of these streams go when they are so old.
    pub(crate) fn expire_after(&mut self, after: BTreeMap<Stream, Duration>) {
        self.expiry.after = after;
    }

    pub(super) const fn began(&mut self, at: HubTime) {
        self.expiry.began = Some(at);
    }

    /// Whether anything can expire.
    pub(crate) fn can_expire(&self) -> bool {
        !self.expiry.after.is_empty()
    }

    /// Ids of streams of which something waits that can expire.
    pub(crate) fn expiring(&self) -> Vec<i64> {
        let expires =
            |stream: &&super::StreamState| stream.waiting.rows > 0 && self.expiry.after.contains_key(&stream.name);
        self.streams.values().filter(expires).map(|stream| stream.id).collect()
    }

    /// Whether a message is too old. Records and alarms never are, nor what somebody has put back.
    pub(crate) fn is_expired(&self, row: &Stored, now: HubTime) -> bool {
        if row.lane != Lane::Data || row.is_released() {
            return false;
        }
        let Some(stream) = self.streams.get(&row.stream) else { return false };
        let Some(after) = self.expiry.after.get(&stream.name) else { return false };
        let age = if stream.run == self.run { now.since(row.last) } else { self.age(stream.run, row.last, now) };
        age > *after
    }

    /// How long ago an earlier run has read something, at least.
    fn age(&self, run: RunId, read: HubTime, now: HubTime) -> Duration {
        let starts = u32::try_from(self.run.counter.saturating_sub(run.counter)).unwrap_or(u32::MAX);
        let counted = now.since(read).saturating_sub(MARGIN.saturating_mul(starts));
        // A damaged time may be later than the start of this run.
        let here = self.expiry.began.map_or(Duration::ZERO, |began| now.since(began.max(read)));
        let offset = |of: RunId| self.runs.iter().find(|known| known.id == of).and_then(|known| known.offset);
        let by_utc = offset(self.run).zip(offset(run)).map_or(Duration::ZERO, |(today, then)| {
            let nanos = now.as_nanos().saturating_add(today.as_nanos());
            HubTime::from_nanos(nanos).since(HubTime::from_nanos(read.as_nanos().saturating_add(then.as_nanos())))
        });
        counted.max(here).max(by_utc)
    }
}
