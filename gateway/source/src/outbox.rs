//! The way out of a bus: what was read is handed on, or told of as dropped.
//!
//! The channel to the pipeline is bounded. While it is full a Modbus bus waits: its polls come late or are skipped, and
//! nothing that was read is lost. A talker cannot wait, and neither bus waits for ever; what finds no room is counted in
//! the next batch of its stream as dropped, so that the ledger closes.

use std::collections::BTreeMap;
use std::time::Duration;

use curb_model::{Batch, Class, Dropped, GapReason, HubClock, Reading, Stream};
use tokio::sync::mpsc;

/// How long a bus waits for room. Chosen: the pipeline answers within a second or restarts its host, which takes two; a
/// bus that stands still for longer than this is worse than a gap that is told of.
const WAIT: Duration = Duration::from_secs(5);

/// The pipeline is gone: there is nobody to read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

/// The sending end, and what could not be sent.
#[derive(Debug)]
pub(crate) struct Outbox {
    clock: HubClock,
    /// Weak: the source holds the other, and says when it is over.
    out: mpsc::WeakSender<Batch>,
    /// Counts without readings, for the next batch of each stream. Bounded by the number of devices.
    unsent: BTreeMap<Stream, Batch>,
}

impl Outbox {
    pub(crate) fn new(clock: HubClock, out: mpsc::WeakSender<Batch>) -> Self {
        Self { clock, out, unsent: BTreeMap::new() }
    }

    /// Hands on what one poll of a device brought. Waits for room.
    ///
    /// # Cancel safety
    /// Not to be dropped half way: the readings would be lost.
    pub(crate) async fn wait_and_send(&mut self, stream: &Stream, readings: Vec<Reading>) -> Result<(), Closed> {
        for batch in self.batches(stream, readings) {
            self.send_within(batch, WAIT).await?;
        }
        Ok(())
    }

    /// Hands on what a talker said, if there is room now.
    pub(crate) fn send_or_drop(&mut self, stream: &Stream, readings: Vec<Reading>) -> Result<(), Closed> {
        for batch in self.batches(stream, readings) {
            let batch = self.with_unsent(batch);
            match self.out.upgrade().ok_or(Closed)?.try_send(batch) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(batch)) => self.keep(batch),
                Err(mpsc::error::TrySendError::Closed(_)) => return Err(Closed),
            }
        }
        Ok(())
    }

    /// Hands on the counts that are still here. The bus is about to end.
    pub(crate) async fn finish(&mut self) {
        while let Some((_, batch)) = self.unsent.pop_first() {
            let (stream, count) = (batch.stream.clone(), batch.counts.read);
            if self.send_within(batch, WAIT).await.is_err() || self.unsent.contains_key(&stream) {
                tracing::error!(%stream, count, "readings were dropped, and the pipeline does not take the count");
                return;
            }
        }
    }

    async fn send_within(&mut self, batch: Batch, wait: Duration) -> Result<(), Closed> {
        let batch = self.with_unsent(batch);
        match self.out.upgrade().ok_or(Closed)?.send_timeout(batch, wait).await {
            Ok(()) => {}
            Err(mpsc::error::SendTimeoutError::Timeout(batch)) => self.keep(batch),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => return Err(Closed),
        }
        Ok(())
    }

    /// Data and alarms are batches of their own.
    fn batches(&self, stream: &Stream, readings: Vec<Reading>) -> impl Iterator<Item = Batch> + use<> {
        let offset = self.clock.offset();
        let stream = stream.clone();
        let is_data = |reading: &Reading| reading.point.class == Class::Data;
        // Most devices have no alarm, and their readings need not be moved.
        let (data, alarms): (Vec<_>, Vec<_>) =
            if readings.iter().all(is_data) { (readings, Vec::new()) } else { readings.into_iter().partition(is_data) };
        [(Class::Alarm, alarms), (Class::Data, data)]
            .into_iter()
            .filter(|(_, readings)| !readings.is_empty())
            .map(move |(class, readings)| Batch::read(stream.clone(), class, offset, readings))
    }

    fn with_unsent(&mut self, mut batch: Batch) -> Batch {
        if let Some(unsent) = self.unsent.remove(&batch.stream) {
            batch.counts.add(unsent.counts);
            for dropped in unsent.dropped {
                merge(&mut batch.dropped, dropped);
            }
        }
        batch
    }

    fn keep(&mut self, mut batch: Batch) {
        let had = batch.dropped.len();
        batch.drop_readings(GapReason::Overload);
        for dropped in batch.dropped.split_off(had) {
            merge(&mut batch.dropped, dropped);
        }
        if had == 0 {
            tracing::warn!(stream = %batch.stream, word = "overload", "the pipeline is full; readings are dropped and counted");
        }
        self.unsent.insert(batch.stream.clone(), batch);
    }
}

/// Adds to the entry of the same reason, so that the list stays as short as there are reasons.
fn merge(all: &mut Vec<Dropped>, more: Dropped) {
    match all.iter_mut().find(|dropped| dropped.reason == more.reason) {
        Some(dropped) => {
            dropped.count += more.count;
            dropped.from = dropped.from.min(more.from);
            dropped.to = dropped.to.max(more.to);
        }
        None => all.push(more),
    }
}

#[cfg(test)]
mod tests;
