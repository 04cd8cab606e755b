//! The last word of a plugin that goes: another configuration takes effect between two batches, when all who go have had it.
//!
//! A plugin whose successor has its name and takes state gives its state out. Every other one gives out what it has held back;
//! what it remembers is not kept then, for it would be told twice if the plugin came back. Who does not answer in time, traps,
//! or is not in the host has no last word. Batches wait meanwhile, as they do behind a call.

use curb_model::PointSet;
use tokio::time::Instant;

use crate::flow::configure::is_same;
use crate::flow::{Flow, Part};
use crate::leaving::Leaving;
use crate::link::ToHost;
use crate::stage::Phase;

impl Flow {
    /// Changes to other plugins; what does not differ goes on undisturbed.
    pub(crate) fn configure(&mut self, parts: Vec<Part>, points: &PointSet, now: Instant) {
        let inputs: Vec<_> = parts.iter().map(|part| self.inputs(&part.config, points)).collect();
        for stage in &mut self.stages {
            stage.going = !parts.iter().zip(&inputs).any(|(part, inputs)| is_same(stage, part, inputs));
        }
        self.next = Some((parts, points.clone()));
        self.change(now);
        // Who was to go, and may stay after all.
        for place in 0..self.stages.len() {
            self.feed(place, now);
        }
    }

    /// Takes the next configuration, if there is one and nobody who goes has still to say something.
    pub(super) fn change(&mut self, now: Instant) {
        if self.next.is_none() {
            return;
        }
        let mut is_time = true;
        for place in 0..self.stages.len() {
            let stage = &self.stages[place];
            if !stage.going {
                continue;
            }
            match stage.phase {
                // A batch that it has seen half of is its own to the end.
                Phase::Idle if self.is_searching(place) => {
                    self.feed(place, now);
                    is_time = false;
                }
                Phase::Idle => {
                    self.ask_last_word(place, now);
                    is_time = false;
                }
                Phase::Busy { .. }
                | Phase::Ticking { .. }
                | Phase::Replaying { .. }
                | Phase::Saving { .. }
                | Phase::Ending { .. } => is_time = false,
                Phase::Starting { .. } if self.is_searching(place) => is_time = false,
                Phase::Down
                | Phase::Compiling
                | Phase::Starting { .. }
                | Phase::Ended
                | Phase::Resting { .. }
                | Phase::Failed => {}
            }
        }
        if is_time && let Some((parts, points)) = self.next.take() {
            self.forget_the_finished();
            self.configure_now(parts, &points, now);
        }
    }

    /// Whoever can is asked for its last word now, and stays what it is: for a runner that ends with its input.
    pub(crate) fn finish(&mut self, now: Instant) {
        for place in 0..self.stages.len() {
            if self.stages[place].phase == Phase::Idle {
                self.ask_last_word(place, now);
            }
        }
    }

    fn ask_last_word(&mut self, place: usize, now: Instant) {
        let stage = &self.stages[place];
        let has_heir = self.next.iter().any(|(parts, _)| parts.iter().any(|part| part.config.name == *stage.name()));
        let (slot, deadline, stateful) = (stage.slot, stage.call_deadline(now), stage.stateful);
        let question = if stateful && has_heir {
            ToHost::Snapshot { slot }
        } else {
            let (at, offset) = (self.clock.at(now.into_std()), self.clock.offset());
            ToHost::Finish { slot, now: self.tell_time(place, at, offset) }
        };
        self.send(&question);
        let stage = &mut self.stages[place];
        (stage.phase, stage.asked_last) = (Phase::Ending { deadline }, true);
    }

    /// Whoever has given out what it held back remembers nothing any more.
    fn forget_the_finished(&mut self) {
        let finished = self.stages.iter().filter(|stage| stage.finished);
        let names: Vec<_> = finished.map(|stage| stage.name().clone()).collect();
        for name in names {
            if self.states.remove(&name).is_some() {
                self.outbox.push_back(Leaving::Forget { plugin: name });
            }
        }
    }
}
