//! Readings that are not worth sending any more. Pure.
//!
//! Age is hub time. It does not say how long the hub was off between two runs, so that what an earlier run has read ages from
//! the beginning of this one: it goes too late rather than too early.

use std::collections::BTreeMap;
use std::time::Duration;

use curb_model::{HubTime, Lane, Stream};

use super::{Queue, Stored};

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
        let read = if stream.run == self.run { row.last } else { self.expiry.began.map_or(now, |at| row.last.max(at)) };
        now.since(read) > *after
    }
}
