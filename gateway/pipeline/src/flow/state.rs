//! The state of plugins: asked for, kept in memory, written with the output that it belongs to.
//!
//! An answer that lets readings out comes with the state behind it, and both leave the pipeline, the state first: so no output is
//! ever ahead of the state on disk, and nothing is told twice. After other calls a plugin is asked once a second; if it traps, it
//! sees once more what came behind that. What has changed without output is written each `state_every`, and at the end.

use std::time::Duration;

use curb_model::Name;
use tokio::time::Instant;

use crate::flow::Flow;
use crate::health::Trouble;
use crate::leaving::Leaving;
use crate::link::ToHost;
use crate::stage::{Past, Phase};
use crate::state::{Saved, to_bytes};
use crate::wear::HOURLY;

/// How long calls may be without a snapshot in memory.
pub(super) const SNAPSHOT_EVERY: Duration = Duration::from_secs(1);

/// Rows that are kept for a plugin to see once more; with so many it is asked for a snapshot before its time. Half a megabyte.
const PAST_ROWS: usize = 4_096;

/// Traps in a row of a plugin with state, before it starts without: what it remembers may be what kills it. More than a bad
/// batch costs under any `on_failure` but `hold`.
const TRAPS: u32 = 8;

/// The newest state of a plugin.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) saved: Saved,
    /// Since when it differs from what was written.
    pub(super) unwritten: Option<Instant>,
    /// Traps since it last handled a batch.
    pub(super) traps: u32,
}

impl Flow {
    /// What a fresh instance starts from.
    pub(super) fn start_state(&self, place: usize) -> Option<Saved> {
        self.states.get(self.stages[place].name()).map(|memory| memory.saved.clone())
    }

    /// The plugin was in a call: what it remembers may be another thing now.
    pub(super) fn state_moves(&mut self, place: usize, now: Instant) {
        let stage = &mut self.stages[place];
        if stage.stateful {
            stage.dirty.get_or_insert(now);
        }
    }

    /// The plugin has given its state out.
    pub(super) fn remember(&mut self, place: usize, saved: Saved, now: Instant) {
        self.stages[place].is_clean();
        let name = self.stages[place].name().clone();
        self.board.plugin(&name, |sheet| sheet.health.state_bytes = saved.data.len() as u64);
        match self.states.get_mut(&name) {
            Some(memory) if memory.saved == saved => {}
            Some(memory) => {
                memory.saved = saved;
                memory.unwritten.get_or_insert(now);
            }
            None => drop(self.states.insert(name, Memory { saved, unwritten: Some(now), traps: 0 })),
        }
    }

    /// The plugin has handled a batch: what it remembers does not kill it.
    pub(super) fn state_works(&mut self, place: usize) {
        if let Some(memory) = self.states.get_mut(self.stages[place].name()) {
            memory.traps = 0;
        }
    }

    /// The plugin has trapped on a batch, or on nothing at all, and begins anew from its last snapshot. `is_search`: a part of a
    /// batch is tried, of which some must fail.
    pub(super) fn state_trapped(&mut self, place: usize, is_search: bool, now: Instant) {
        let stage = &mut self.stages[place];
        stage.dirty = None;
        if matches!(stage.phase, Phase::Replaying { .. } | Phase::Starting { .. }) {
            // What it has seen before kills it now: that is lost.
            stage.is_clean();
        }
        if is_search {
            return;
        }
        let Some(memory) = self.states.get_mut(self.stages[place].name()) else { return };
        memory.traps += 1;
        if memory.traps >= TRAPS {
            self.forget(place, "it trapped again and again", now);
        }
    }

    /// The plugin starts without state from here on.
    pub(super) fn forget(&mut self, place: usize, why: &str, now: Instant) {
        let name = self.stages[place].name().clone();
        self.states.remove(&name);
        self.stages[place].is_clean();
        let detail = format!("starts without what it remembered: {why}");
        tracing::error!(plugin = %name, word = "plugin-state", reason = why, "plugin starts without its state");
        self.board.plugin(&name, |sheet| {
            (sheet.health.state_bytes, sheet.health.states_lost) = (0, sheet.health.states_lost + 1);
            sheet.trouble = Some(Trouble { word: "plugin-state", detail, over: Some(now) });
        });
    }

    /// Sends what has changed on its way to the disk.
    pub(super) fn write_state(&mut self, name: &Name, now: Instant) {
        let Some(memory) = self.states.get_mut(name) else { return };
        if memory.unwritten.take().is_none() {
            return;
        }
        let bytes = to_bytes(&memory.saved, self.ids.entry(name.clone()).or_default());
        if let Some(stage) = self.stages.iter_mut().find(|stage| stage.name() == name) {
            stage.wear.write(bytes.len(), now);
        }
        self.outbox.push_back(Leaving::State { plugin: name.clone(), bytes });
        self.board.plugin(name, |sheet| sheet.health.states_written += 1);
    }

    /// Writes what has changed for long enough; at the end, all of it.
    pub(super) fn write_states(&mut self, now: Instant) {
        let (every, closing) = (self.state_every, self.closing.is_some());
        let is_due = |memory: &Memory| memory.unwritten.is_some_and(|since| closing || now >= since + every);
        let due: Vec<Name> = self.states.iter().filter(|(_, m)| is_due(m)).map(|(name, _)| name.clone()).collect();
        due.iter().for_each(|name| self.write_state(name, now));
    }

    /// Whether an idle plugin has written so much of its state that it is asked nothing for a while. At the end, and on its way out,
    /// nobody waits for that.
    pub(super) fn is_worn(&mut self, place: usize, now: Instant) -> bool {
        let stage = &mut self.stages[place];
        let is_last = self.closing.is_some() || stage.going;
        stage.worn_until = if is_last { None } else { stage.wear.rests_until(now) };
        let Some(until) = stage.worn_until else {
            return false;
        };
        let detail =
            format!("writes more than {} MiB of state an hour: its readings wait for the next round", HOURLY >> 20);
        let name = stage.name().clone();
        self.board.plugin(&name, |sheet| {
            // Once, and not with each round.
            if sheet.trouble.as_ref().is_none_or(|trouble| trouble.word != "plugin-wear") {
                tracing::warn!(plugin = %name, word = "plugin-wear", detail, pause = ?(until - now), "plugin writes too much");
            }
            sheet.trouble = Some(Trouble { word: "plugin-wear", detail, over: Some(now) });
        });
        true
    }

    /// A fresh instance is there: what it has seen since the snapshot that it started from it sees once more, and its answers are
    /// not heard. So it is as if it had never trapped.
    pub(super) fn replay(&mut self, place: usize, next: usize, now: Instant) {
        let stage = &mut self.stages[place];
        let Some(past) = stage.past.get(next).cloned() else {
            self.set(place, Phase::Idle);
            return self.feed(place, now);
        };
        let (slot, deadline) = (stage.slot, stage.call_deadline(now));
        stage.phase = Phase::Replaying { next, deadline };
        stage.dirty.get_or_insert(now);
        self.send(&match past {
            Past::Batch(time, columns) => ToHost::Process { slot, now: time, columns },
            Past::Tick(time) => ToHost::Tick { slot, now: time },
        });
    }

    /// Whether an idle plugin has to give its state out before its next batch; at the end, behind its last one.
    pub(super) fn snapshot_is_due(&self, place: usize, now: Instant) -> bool {
        let stage = &self.stages[place];
        let long = |since| now >= since + SNAPSHOT_EVERY || stage.past_rows >= PAST_ROWS;
        stage.dirty.is_some_and(|since| if self.closing.is_some() { stage.waiting.is_empty() } else { long(since) })
    }

    pub(super) fn ask_snapshot(&mut self, place: usize, now: Instant) {
        let stage = &self.stages[place];
        let (slot, deadline) = (stage.slot, stage.call_deadline(now));
        self.send(&ToHost::Snapshot { slot });
        self.stages[place].phase = Phase::Saving { deadline };
    }

    /// When something of this is due.
    pub(super) fn state_wake(&self) -> Option<Instant> {
        let idle = self.stages.iter().filter(|stage| stage.phase == Phase::Idle);
        let snapshots = idle.filter_map(|stage| stage.dirty).map(|since| since + SNAPSHOT_EVERY);
        let writes = self.states.values().filter_map(|memory| memory.unwritten).map(|since| since + self.state_every);
        snapshots.chain(writes).min()
    }

    /// Whether a plugin has yet to give out what it remembers, at the end.
    pub(super) fn owes_state(&self) -> bool {
        self.stages.iter().any(|stage| stage.dirty.is_some())
    }
}
