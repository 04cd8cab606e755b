//! What the disk has lost: the whole file, or messages that should be in it. Pure.

use std::collections::BTreeSet;

use curb_model::{GapReason, HubTime, Lane, RunId, Stream};
use curb_wire::record::Gap;

use super::{Queue, Waiting};

impl Queue {
    /// The disk is lost, but not what the next commit was to write, nor what plugins must not forget. Gap records tell what
    /// went with it; the rest is written to the next file.
    pub(crate) fn lose_disk(&mut self) {
        self.settle();
        let lost_changes = std::mem::take(&mut self.changes);
        self.changes.rows = lost_changes.replaced.into_values().chain(lost_changes.rows.iter().cloned()).collect();
        self.changes.commit_first =
            lost_changes.commit_first || self.changes.rows.iter().any(|new| new.stored.lane != Lane::Data);
        self.changes.plugins = self.plugins.clone();
        self.changes.behind_state = (!self.plugins.is_empty()).then_some(0);
        self.changes.runs = self.runs.iter().map(|run| run.id).collect();
        self.counts = None;
        let kept_rows: BTreeSet<i64> = self.changes.rows.iter().map(|new| new.stored.row).collect();
        self.held = kept_rows.first().copied().filter(|row| *row < 0).zip(kept_rows.range(..0).last().copied());
        if self.released {
            self.release_held();
        }
        self.lose_rows(|to, lost| (to + 1).saturating_sub(lost).max(1));
        self.gaps.tell_again_except(&kept_rows);
    }

    /// The disk holds nothing, whatever the counters say. Gap records tell what is missing; how many messages.
    pub(crate) fn vanish(&mut self) -> u64 {
        let before = self.waiting.rows;
        // Any of them: of the others the core knows.
        self.lose_rows(|_, _| 1);
        let kept_rows = self.changes.rows.iter().map(|new| new.stored.row).collect();
        self.gaps.tell_again_except(&kept_rows);
        before.saturating_sub(self.waiting.rows)
    }

    /// What waits is what is in memory. Tells the rest as lost: of each stream the messages from `first` on, which is given the
    /// last number that is not in memory and how many are lost.
    fn lose_rows(&mut self, first: impl Fn(u64, u64) -> u64) {
        self.waiting = Waiting::default();
        for stream in self.streams.values_mut() {
            let mut kept = Waiting::default();
            let rows = self.changes.rows.iter().filter(|new| new.stored.stream == stream.id);
            rows.for_each(|new| kept.add(new.cost()));
            let mut lost = std::mem::replace(&mut stream.waiting, kept);
            lost.take(kept);
            self.waiting.add(kept);
            self.changes.streams.insert(stream.id);
            stream.untold |= stream.run == self.run;
            let records = stream.name.as_str().starts_with('_');
            // Of messages that were put back a gap tells already.
            if lost.rows > 0 && (records || lost.readings > 0) {
                // What is kept is the newest, what was delivered the oldest. Of records all numbers are named: some may
                // be kept in between, and what arrives beats the gap.
                let to = stream.counts.seq.saturating_sub(if records { 0 } else { kept.rows });
                let from = if records { 1 } else { first(to, lost.rows) };
                self.gaps.add(Gap {
                    run: stream.run,
                    stream: stream.name.to_string(),
                    reason: GapReason::Damaged,
                    from: Some(from),
                    to: Some(to),
                    from_ht: stream.at,
                    to_ht: stream.at,
                    count: lost.readings,
                });
            }
        }
    }

    /// Tells that an earlier run's rows are lost, and nobody knows which.
    pub(crate) fn lost_unseen(&mut self, run: RunId, at: HubTime) {
        let stream = Stream::run().to_string();
        let (from, to, count) = (None, None, 0);
        self.gaps.add(Gap { run, stream, reason: GapReason::Damaged, from, to, from_ht: at, to_ht: at, count });
    }
}
