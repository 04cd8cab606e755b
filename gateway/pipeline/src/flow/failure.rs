//! What becomes of a batch that a plugin cannot handle, and of the plugin.

use curb_model::Stream;
use tokio::time::Instant;

use crate::chain::{self, Selection};
use crate::config::OnFailure;
use crate::flow::Flow;
use crate::health::Trouble;
use crate::lane::Lane;
use crate::stage::{Phase, rest};

/// Traps of one plugin on one batch, before `on_failure` decides: one, and one more on a fresh instance.
const TRAPS: u32 = 2;

/// Deaths of the host in a row, before plugins count as failing and nobody waits for it any more.
const HOST_DEATHS: u32 = 4;

/// Starts in a row in which a plugin hung the host, before it is left out: each costs everybody a restart.
const HANGS: u32 = 3;

impl Flow {
    pub(super) fn declined(&mut self, place: usize, text: &str, now: Instant) {
        self.state_moves(place, now);
        let stream = self.answered(place);
        let name = self.stages[place].name().clone();
        tracing::warn!(plugin = %name, reason = text, "plugin declined a batch");
        self.board.plugin(&name, |sheet| sheet.health.declined += 1);
        match stream {
            Some(stream) => self.failed_on_part(place, stream, text, false, now),
            None => self.go_on(place, now),
        }
    }

    /// The instance is gone, or as good as gone.
    pub(super) fn trapped(&mut self, place: usize, text: &str, now: Instant) {
        let name = self.stages[place].name().clone();
        tracing::warn!(plugin = %name, word = "plugin-trapped", reason = text, "plugin trapped");
        self.board.plugin(&name, |sheet| {
            sheet.health.traps += 1;
            sheet.trouble = Some(Trouble { word: "plugin-trapped", detail: text.to_owned(), over: Some(now) });
        });
        // A trap that is no batch's counts against the plugin alone.
        let alone = match self.stages[place].phase {
            Phase::Starting { .. } | Phase::Saving { .. } | Phase::Ticking { .. } | Phase::Replaying { .. } => true,
            // Its last word is lost, and nothing else: it is not started again.
            Phase::Ending { .. } => return self.set(place, Phase::Ended),
            Phase::Down
            | Phase::Compiling
            | Phase::Idle
            | Phase::Busy { .. }
            | Phase::Ended
            | Phase::Resting { .. }
            | Phase::Failed => false,
        };
        let Some(stream) = self.answered(place) else {
            self.state_trapped(place, false, now);
            if alone {
                self.stages[place].failures += 1;
            }
            return self.restart(place, now);
        };
        let head = self.head(&stream);
        head.traps += 1;
        let (is_first, is_search) = (head.traps < TRAPS, head.bisect.is_some());
        self.state_trapped(place, is_search, now);
        if is_first {
            self.stages[place].waiting.push_front(stream);
            self.reset(place, now);
        } else {
            self.failed_on_part(place, stream, text, true, now);
        }
    }

    /// It is the plugin that fails, not some of the readings. `is_dead`: its instance as well.
    pub(super) fn plugin_failed_on(&mut self, place: usize, stream: &Stream, text: &str, is_dead: bool, now: Instant) {
        let word = if is_dead { "plugin-trapped" } else { "plugin-declined" };
        let detail = self.keep_bundle(place, stream, word, text.to_owned(), now);
        if is_dead {
            let name = self.stages[place].name().clone();
            self.board.plugin(&name, |sheet| sheet.trouble = Some(Trouble { word, detail, over: Some(now) }));
        }
        // Decided before the next batch goes to it: it may have to rest.
        self.set(place, if is_dead { Phase::Down } else { Phase::Idle });
        self.failed_on(place, stream, text, now);
        if is_dead && self.stages[place].phase == Phase::Down {
            self.restart(place, now);
        }
        self.feed(place, now);
    }

    /// The host hangs over starting the plugin, and will be killed.
    pub(super) fn start_overdue(&mut self, place: usize, now: Instant) {
        let text = "the host gave no answer while starting it, and was killed";
        if self.stages[place].failures + 1 < HANGS {
            self.trapped(place, text, now);
        } else {
            self.fail(place, "plugin-failed", text.to_owned(), now);
        }
    }

    /// The plugin cannot handle the stream's first batch.
    pub(super) fn failed_on(&mut self, place: usize, stream: &Stream, text: &str, now: Instant) {
        let stage = &mut self.stages[place];
        stage.failures += 1;
        if stage.config.on_failure == OnFailure::Hold && self.closing.is_none() {
            // It waits at the head of the queue, and the plugin rests before it is asked again.
            stage.failures = stage.failures.max(2);
            stage.waiting.push_front(stream.clone());
            if let Some(head) = self.lanes.get_mut(stream).and_then(Lane::head) {
                head.traps = 0;
            }
            tracing::warn!(plugin = %stage.name(), %stream, reason = text, "plugin holds a stream");
            return self.restart(place, now);
        }
        self.give_up(place, stream, now);
    }

    /// A fresh instance, at once or after a rest.
    pub(super) fn restart(&mut self, place: usize, now: Instant) {
        match rest(self.stages[place].failures) {
            None => self.reset(place, now),
            Some(pause) => {
                self.set(place, Phase::Resting { until: now + pause });
                self.release_if_unable(place, now);
            }
        }
    }

    pub(super) fn fail(&mut self, place: usize, word: &'static str, text: String, now: Instant) {
        let name = self.stages[place].name().clone();
        tracing::error!(plugin = %name, word, reason = text, "plugin does not run");
        self.board.plugin(&name, |sheet| sheet.trouble = Some(Trouble { word, detail: text, over: None }));
        if let Some(stream) = self.answered(place) {
            self.stages[place].waiting.push_front(stream);
        }
        self.set(place, Phase::Failed);
        self.release_if_unable(place, now);
    }

    /// A lane is too long, or waiting has ended: its first batch does not wait for the plugin any longer.
    pub(super) fn shed(&mut self, stream: &Stream, now: Instant) {
        for place in 0..self.stages.len() {
            let stage = &mut self.stages[place];
            let queued = stage.waiting.iter().position(|waiting| waiting == stream);
            let mut at_hand = false;
            if let Phase::Busy { stream: called, .. } = &mut stage.phase {
                // Its answer will be to nobody.
                at_hand = called.take_if(|called| called == stream).is_some();
            }
            if let Some(queued) = queued {
                stage.waiting.remove(queued);
            }
            if queued.is_some() || at_hand {
                return self.give_up(place, stream, now);
            }
        }
        // Nobody has it: it can go on.
        self.advance(stream, now);
    }

    pub(super) fn give_up(&mut self, place: usize, stream: &Stream, now: Instant) {
        self.bypass(place, stream);
        self.advance(stream, now);
    }

    /// `on_failure` for the stream's first batch.
    pub(super) fn bypass(&mut self, place: usize, stream: &Stream) {
        let stage = &self.stages[place];
        let Some(job) = self.lanes.get_mut(stream).and_then(Lane::head) else {
            return;
        };
        let rows = job.selection.as_ref().map_or(0, Selection::rows) as u64;
        let (bypassed, dropped) = match stage.config.on_failure {
            OnFailure::Pass => (rows, 0),
            OnFailure::Drop | OnFailure::Hold => (0, chain::drop_seen(&mut job.batch, &stage.inputs)),
        };
        job.pass(stage.name().clone());
        self.board.plugin(stage.name(), |sheet| {
            sheet.health.bypassed += bypassed;
            sheet.health.dropped += dropped;
        });
    }

    /// Nobody is to wait for the plugin, unless the operator said so.
    pub(super) fn release_if_unable(&mut self, place: usize, now: Instant) {
        if !self.is_unable(place) || self.holds(place) {
            return;
        }
        for stream in std::mem::take(&mut self.stages[place].waiting) {
            self.give_up(place, &stream, now);
        }
    }

    pub(super) fn is_unable(&self, place: usize) -> bool {
        match self.stages[place].phase {
            Phase::Failed | Phase::Resting { .. } => true,
            Phase::Down => self.host_deaths >= HOST_DEATHS,
            Phase::Compiling
            | Phase::Starting { .. }
            | Phase::Idle
            | Phase::Busy { .. }
            | Phase::Ticking { .. }
            | Phase::Replaying { .. }
            | Phase::Saving { .. }
            | Phase::Ending { .. }
            | Phase::Ended => false,
        }
    }

    pub(super) fn holds(&self, place: usize) -> bool {
        self.stages[place].config.on_failure == OnFailure::Hold && self.closing.is_none()
    }
}
