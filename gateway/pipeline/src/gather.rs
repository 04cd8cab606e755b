//! Larger messages for lines that cost by the byte: batches of a stream are joined for as long as the operator lets them
//! wait. Pure; the last thing before the store.
//!
//! What is gathered is in memory only, and no queue knows it yet: a power cut costs it. So the wait is zero unless somebody
//! asked for another, by `core.linger` or by a budget of bytes that is not kept otherwise. Alarms never wait.
//!
//! Deliberately absent: thinning. Every reading leaves, later.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use curb_model::{Batch, Class, Stream};
use tokio::time::Instant;

use crate::leaving::Leaving;

/// Readings of one stream that wait at most: some 25 KB of JSON. More in a message save next to nothing, and what waits is
/// bounded by the number of streams.
const READINGS_MAX: usize = 500;

/// What waits to become larger, and what is ready.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    linger: Duration,
    open: HashMap<Stream, Open>,
    /// In the order of each stream.
    ready: VecDeque<Leaving>,
}

#[derive(Debug)]
struct Open {
    batch: Batch,
    since: Instant,
}

impl Gather {
    /// From here on batches wait for this long. What waits for longer than that already is ready.
    pub(crate) fn set(&mut self, linger: Duration, now: Instant) {
        self.linger = linger;
        self.tick(now);
    }

    /// Something comes in that waits for nothing, and holds nothing up.
    pub(crate) fn pass(&mut self, leaving: Leaving) {
        self.ready.push_back(leaving);
    }

    /// A batch comes in.
    pub(crate) fn take(&mut self, batch: Batch, now: Instant) {
        let waits = !self.linger.is_zero() && batch.class == Class::Data;
        let Some(mut open) = self.open.remove(&batch.stream) else {
            // Counts alone have nothing to save.
            if waits && !batch.readings.is_empty() {
                self.keep(Open { batch, since: now });
            } else {
                self.ready.push_back(Leaving::Batch(batch));
            }
            return;
        };
        // A message has one clock.
        if open.batch.offset == batch.offset || batch.readings.is_empty() {
            open.batch.append(batch);
            self.keep(open);
        } else {
            self.ready.push_back(Leaving::Batch(open.batch));
            self.take(batch, now);
        }
    }

    fn keep(&mut self, open: Open) {
        if open.batch.readings.len() >= READINGS_MAX {
            self.ready.push_back(Leaving::Batch(open.batch));
        } else {
            self.open.insert(open.batch.stream.clone(), open);
        }
    }

    /// What has waited for long enough is ready.
    pub(crate) fn tick(&mut self, now: Instant) {
        let linger = self.linger;
        let mut over: Vec<Open> =
            self.open.extract_if(|_, open| now >= open.since + linger).map(|(_, open)| open).collect();
        over.sort_by_key(|open| open.since);
        self.ready.extend(over.into_iter().map(|open| Leaving::Batch(open.batch)));
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.open.values().map(|open| open.since + self.linger).min()
    }

    /// Takes what is ready.
    pub(crate) fn next(&mut self) -> Option<Leaving> {
        self.ready.pop_front()
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.ready.is_empty()
    }
}

#[cfg(test)]
mod tests;
