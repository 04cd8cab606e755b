//! What the host says, and what it means for the batch and the plugin.

use std::sync::Arc;
use std::time::Duration;

use curb_model::{Batch, Stream, UtcOffset};
use tokio::time::Instant;

use crate::chain::{self, Emission, Grant};
use crate::columns::Columns;
use crate::flow::Flow;
use crate::host::TICK_LEAST_MS;
use crate::lane::{Job, Lane};
use crate::link::{Declared, FromHost, Metric, Now, Refusal};
use crate::stage::{BadPoint, Past, Phase};
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
            | FromHost::Added { slot, .. }
            | FromHost::Snapshot { slot, .. }
            | FromHost::Log { slot, .. } => *slot,
        };
        // A plugin that was unloaded meanwhile.
        let Some(place) = self.stages.iter().position(|stage| stage.slot == slot) else {
            return;
        };
        let phase = &self.stages[place].phase;
        let (starting, busy) = (matches!(phase, Phase::Starting { .. }), matches!(phase, Phase::Busy { .. }));
        let (saving, ending) = (matches!(phase, Phase::Saving { .. }), matches!(phase, Phase::Ending { .. }));
        let ticking = matches!(phase, Phase::Ticking { .. });
        let replaying = if let Phase::Replaying { next, .. } = phase { Some(*next) } else { None };
        let asked = match &message {
            FromHost::Ready { .. } | FromHost::Refused { .. } | FromHost::Unrestored { .. } => starting,
            FromHost::Done { .. } | FromHost::Declined { .. } => busy || replaying.is_some(),
            FromHost::Added { .. } => ticking || ending || replaying.is_some(),
            FromHost::Snapshot { .. } => saving || ending,
            FromHost::Trapped { .. } => starting || busy || saving || ticking || ending || replaying.is_some(),
            FromHost::Log { .. } => true,
        };
        if !asked {
            tracing::warn!(plugin = %self.stages[place].name(), "the host answers what it was not asked");
            return;
        }
        match message {
            FromHost::Done { .. } | FromHost::Declined { .. } | FromHost::Added { .. } if replaying.is_some() => {
                self.replay(place, replaying.map_or(0, |next| next + 1), now);
            }
            FromHost::Ready { declared, stateful, tick_ms, .. } => match self.declare(place, declared) {
                Ok(()) => {
                    let tick = Duration::from_millis(u64::from(tick_ms.max(TICK_LEAST_MS)));
                    self.stages[place].tick = (tick_ms > 0).then_some((tick, now));
                    self.stages[place].stateful = stateful;
                    let stage = &self.stages[place];
                    let points = stage.own.values().map(Arc::clone).collect();
                    self.board.plugin(stage.name(), |sheet| sheet.points = points);
                    self.replay(place, 0, now);
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
                self.set(place, if ending { Phase::Ended } else { Phase::Idle });
                self.feed(place, now);
            }
            FromHost::Added { added, metrics, state, .. } => self.added(place, added, metrics, state, now),
            FromHost::Done { emission, metrics, state, .. } => self.done(place, *emission, metrics, state, now),
            FromHost::Declined { text, .. } => self.declined(place, &text, now),
            FromHost::Trapped { text, .. } => self.trapped(place, &text, now),
            FromHost::Log { level, text, .. } => {
                let stage = &mut self.stages[place];
                stage.lines.log(&stage.config.name, level, &text, now);
            }
        }
        self.change(now);
    }

    fn declare(&mut self, place: usize, declared: Vec<Declared>) -> Result<(), BadPoint> {
        let ids = self.ids.entry(self.stages[place].name().clone()).or_default();
        self.stages[place].declare(declared, ids)
    }

    fn done(&mut self, place: usize, emission: Emission, metrics: Vec<Metric>, state: Option<Saved>, now: Instant) {
        self.state_moves(place, now);
        if self.stages[place].stateful && state.is_none() && emission.lets_out() {
            return self.trapped(place, "readings came out without the state behind them", now);
        }
        let Some(stream) = self.answered(place) else {
            return self.go_on(place, now);
        };
        if self.head(&stream).bisect.is_some() {
            return self.done_with_part(place, stream, emission, (metrics, state), now);
        }
        let past = self.call_of(place, &stream);
        self.apply(place, stream, emission, metrics, Some((past, state)), now);
    }

    /// The call that the plugin is in, with this stream's first batch; of one without state nobody wants to know.
    pub(super) fn call_of(&mut self, place: usize, stream: &Stream) -> Option<Past> {
        let stage = &self.stages[place];
        let hub = stage.stateful.then(|| stage.told.as_nanos())?;
        let job = self.head(stream);
        Some(Past::Batch(Now { hub, utc_offset: job.batch.offset.map(UtcOffset::as_nanos) }, job.columns()))
    }

    /// The batch that heads the lane of a stream which somebody has in hand.
    pub(super) fn head(&mut self, stream: &Stream) -> &mut Job {
        self.lanes.get_mut(stream).and_then(Lane::head).expect("who is in a call heads a lane")
    }

    /// The answer to a batch does what it says. `call`: what was asked, and the state behind the answer, if this is one answer.
    pub(super) fn apply(
        &mut self,
        place: usize,
        stream: Stream,
        emission: Emission,
        metrics: Vec<Metric>,
        call: Option<(Option<Past>, Option<Saved>)>,
        now: Instant,
    ) {
        let stage = &self.stages[place];
        let job = self.lanes.get_mut(&stream).and_then(Lane::head).expect("who is in a call heads a lane");
        let selection = job.selection.as_ref().expect("it was made for the call");
        // What parts of a batch have added was checked with each.
        let rows_out = if job.bisect.is_some() { u32::MAX } else { stage.config.limits.rows_out };
        let grant = Grant { points: &stage.own, rows_out, now: stage.told };
        let lets_out = emission.lets_out();
        match chain::apply(&mut job.batch, selection, emission, grant) {
            Ok((own, tally)) => {
                let name = stage.name().clone();
                job.pass(name.clone());
                self.board.plugin(&name, |sheet| sheet.health.count(tally, metrics));
                if let Some((past, state)) = call {
                    self.has_answered(place, past, state, now);
                }
                let let_out = self.worked(place, own, lets_out, now);
                self.go_on(place, now);
                let_out.into_iter().for_each(|job| self.enqueue(job, now));
                self.advance(&stream, now);
            }
            Err(breach) => {
                self.stages[place].phase = Phase::Busy { stream: Some(stream), deadline: now };
                self.trapped(place, &breach.to_string(), now);
            }
        }
    }

    /// What a plugin says at a tick, or as its last word.
    fn added(&mut self, place: usize, added: Columns, metrics: Vec<Metric>, state: Option<Saved>, now: Instant) {
        self.state_moves(place, now);
        if self.stages[place].stateful && state.is_none() && !added.is_empty() {
            return self.trapped(place, "readings came out without the state behind them", now);
        }
        let stage = &self.stages[place];
        let grant = Grant { points: &stage.own, rows_out: stage.config.limits.rows_out, now: stage.told };
        match chain::added(added, self.clock.offset(), grant) {
            Ok((own, tally)) => {
                self.board.plugin(stage.name(), |sheet| sheet.health.count(tally, metrics));
                let is_last = matches!(stage.phase, Phase::Ending { .. });
                let told = stage.told.as_nanos();
                let time = Now { hub: told, utc_offset: self.clock.offset().map(UtcOffset::as_nanos) };
                self.has_answered(place, Some(Past::Tick(time)), state, now);
                let let_out = self.worked(place, own, true, now);
                self.stages[place].finished |= is_last;
                self.set(place, if is_last { Phase::Ended } else { Phase::Idle });
                self.feed(place, now);
                let_out.into_iter().for_each(|job| self.enqueue(job, now));
            }
            Err(breach) => self.trapped(place, &breach.to_string(), now),
        }
    }

    /// A plugin has answered this well, with this state behind it.
    pub(super) fn has_answered(&mut self, place: usize, past: Option<Past>, state: Option<Saved>, now: Instant) {
        if let Some(past) = past {
            self.stages[place].has_answered(past);
        }
        if let Some(state) = state {
            self.remember(place, state, now);
        }
    }

    /// A plugin has answered well. Its state goes ahead of everything that it has let out; gives its own readings.
    fn worked(&mut self, place: usize, own: Vec<Batch>, lets_out: bool, now: Instant) -> Vec<Job> {
        let (name, at) = (self.stages[place].name().clone(), self.stages[place].told);
        self.stages[place].failures = 0;
        self.state_works(place);
        if lets_out {
            self.write_state(&name, now);
        }
        own.into_iter().map(|batch| Job::new(batch, at)).collect()
    }

    /// The answer that a plugin owed is here; whose batch it was, if anybody still waits for it.
    pub(super) fn answered(&mut self, place: usize) -> Option<Stream> {
        match &mut self.stages[place].phase {
            Phase::Busy { stream, .. } => stream.take(),
            Phase::Down
            | Phase::Compiling
            | Phase::Starting { .. }
            | Phase::Idle
            | Phase::Ticking { .. }
            | Phase::Replaying { .. }
            | Phase::Saving { .. }
            | Phase::Ending { .. }
            | Phase::Ended
            | Phase::Resting { .. }
            | Phase::Failed => None,
        }
    }

    pub(super) fn go_on(&mut self, place: usize, now: Instant) {
        if matches!(self.stages[place].phase, Phase::Busy { .. }) {
            self.set(place, Phase::Idle);
            self.feed(place, now);
        }
    }
}
