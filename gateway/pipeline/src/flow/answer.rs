//! What the host says, and what it means for the batch and the plugin.

use std::sync::Arc;

use curb_model::{Batch, Stream};
use tokio::time::Instant;

use crate::chain::{self, Grant};
use crate::flow::Flow;
use crate::lane::{Job, Lane};
use crate::link::{Declared, FromHost, Metric, Refusal};
use crate::stage::{BadPoint, Phase};
use crate::state::Saved;

impl Flow {
    /// The host says something.
    pub(crate) fn heard(&mut self, message: FromHost, now: Instant) {
        let slot = match &message {
            FromHost::Ready { slot, .. }
            | FromHost::Refused { slot, .. }
            | FromHost::Done { slot, .. }
            | FromHost::Declined { slot, .. }
            | FromHost::Trapped { slot, .. }
            | FromHost::Unrestored { slot, .. }
            | FromHost::Snapshot { slot, .. }
            | FromHost::Log { slot, .. } => *slot,
        };
        // A plugin that was unloaded meanwhile.
        let Some(place) = self.stages.iter().position(|stage| stage.slot == slot) else {
            return;
        };
        let phase = &self.stages[place].phase;
        let (starting, busy) = (matches!(phase, Phase::Starting { .. }), matches!(phase, Phase::Busy { .. }));
        let saving = matches!(phase, Phase::Saving { .. });
        let asked = match &message {
            FromHost::Ready { .. } | FromHost::Refused { .. } | FromHost::Unrestored { .. } => starting,
            FromHost::Done { .. } | FromHost::Declined { .. } => busy,
            FromHost::Snapshot { .. } => saving,
            FromHost::Trapped { .. } => starting || busy || saving,
            FromHost::Log { .. } => true,
        };
        if !asked {
            tracing::warn!(plugin = %self.stages[place].name(), "the host answers what it was not asked");
            return;
        }
        match message {
            FromHost::Ready { declared, stateful, .. } => match self.declare(place, declared) {
                Ok(()) => {
                    self.stages[place].stateful = stateful;
                    let stage = &self.stages[place];
                    let points = stage.own.values().map(Arc::clone).collect();
                    self.board.plugin(stage.name(), |sheet| sheet.points = points);
                    self.set(place, Phase::Idle);
                    self.feed(place, now);
                }
                Err(error) => self.fail(place, "plugin-failed", error.to_string(), now),
            },
            FromHost::Refused { refusal, text, .. } => {
                let word = match refusal {
                    Refusal::Component => "plugin-failed",
                    Refusal::Settings => "plugin-settings",
                };
                self.fail(place, word, text, now);
            }
            FromHost::Unrestored { text, .. } => {
                self.forget(place, &text, now);
                self.reset(place, now);
            }
            FromHost::Snapshot { state, .. } => {
                self.remember(place, state, now);
                self.write_states(now);
                self.set(place, Phase::Idle);
                self.feed(place, now);
            }
            FromHost::Done { emission, metrics, state, .. } => self.done(place, *emission, metrics, state, now),
            FromHost::Declined { text, .. } => self.declined(place, &text, now),
            FromHost::Trapped { text, .. } => self.trapped(place, &text, now),
            FromHost::Log { level, text, .. } => {
                let stage = &mut self.stages[place];
                stage.lines.log(&stage.config.name, level, &text, now);
            }
        }
    }

    fn declare(&mut self, place: usize, declared: Vec<Declared>) -> Result<(), BadPoint> {
        let ids = self.ids.entry(self.stages[place].name().clone()).or_default();
        self.stages[place].declare(declared, ids)
    }

    fn done(
        &mut self,
        place: usize,
        emission: chain::Emission,
        metrics: Vec<Metric>,
        state: Option<Saved>,
        now: Instant,
    ) {
        self.state_moves(place, now);
        if self.stages[place].stateful && state.is_none() && emission.lets_out() {
            return self.trapped(place, "readings came out without the state behind them", now);
        }
        let Some(stream) = self.answered(place) else {
            return self.go_on(place, now);
        };
        let stage = &self.stages[place];
        let job = self.lanes.get_mut(&stream).and_then(Lane::head).expect("who is in a call heads a lane");
        let selection = job.selection.as_ref().expect("it was made for the call");
        let grant = Grant { points: &stage.own, rows_out: stage.config.limits.rows_out, now: job.now };
        match chain::apply(&mut job.batch, selection, emission, grant) {
            Ok((own, tally)) => {
                let name = stage.name().clone();
                job.pass(name.clone());
                job.batch.commit_first |= state.is_some();
                let (at, commit_first) = (job.now, state.is_some());
                self.board.plugin(&name, |sheet| sheet.health.count(tally, metrics));
                self.stages[place].failures = 0;
                self.state_works(place);
                // Ahead of everything that was let out.
                if let Some(state) = state {
                    self.remember(place, state, now);
                    self.write_state(&name);
                }
                self.go_on(place, now);
                for batch in own {
                    self.enqueue(Job::new(Batch { commit_first, ..batch }, at), now);
                }
                self.advance(&stream, now);
            }
            Err(breach) => {
                self.stages[place].phase = Phase::Busy { stream: Some(stream), deadline: now };
                self.trapped(place, &breach.to_string(), now);
            }
        }
    }

    /// The answer that a plugin owed is here; whose batch it was, if anybody still waits for it.
    pub(super) fn answered(&mut self, place: usize) -> Option<Stream> {
        match &mut self.stages[place].phase {
            Phase::Busy { stream, .. } => stream.take(),
            Phase::Down
            | Phase::Starting { .. }
            | Phase::Idle
            | Phase::Saving { .. }
            | Phase::Resting { .. }
            | Phase::Failed => None,
        }
    }

    fn go_on(&mut self, place: usize, now: Instant) {
        if matches!(self.stages[place].phase, Phase::Busy { .. }) {
            self.set(place, Phase::Idle);
            self.feed(place, now);
        }
    }
}
