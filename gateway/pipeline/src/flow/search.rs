//! The readings of a batch that a plugin cannot handle are looked for ([`crate::bisect`]), and the others are not lost with them.

use curb_model::Stream;
use tokio::time::Instant;

use crate::bisect::Verdict;
use crate::chain::{self, Emission, Grant, Selection};
use crate::config::OnFailure;
use crate::flow::Flow;
use crate::health::Trouble;
use crate::lane::Lane;
use crate::link::Metric;
use crate::stage::Phase;
use crate::state::Saved;

impl Flow {
    /// A part of a batch was handled.
    pub(super) fn done_with_part(
        &mut self,
        place: usize,
        stream: Stream,
        emission: Emission,
        (metrics, state): (Vec<Metric>, Option<Saved>),
        now: Instant,
    ) {
        let past = self.call_of(place, &stream);
        let rows = self.head(&stream).columns().len();
        let stage = &self.stages[place];
        let grant = Grant { points: &stage.own, rows_out: stage.config.limits.rows_out, now: stage.told };
        if let Err(breach) = chain::check(rows, &emission, grant) {
            return self.failed_on_part(place, stream, &breach.to_string(), true, now);
        }
        self.board.plugin(stage.name(), |sheet| sheet.health.count(chain::Tally::default(), metrics));
        self.has_answered(place, past, state, now);
        self.state_works(place);
        let bisect = self.head(&stream).bisect.as_mut().expect("a part is of a batch that was taken apart");
        match bisect.handled(emission) {
            Verdict::GoOn => self.next_part(place, stream, now),
            Verdict::Done | Verdict::GiveUp => self.found(place, stream, now),
        }
    }

    /// A batch, or a part of one, was not handled. `is_dead`: nor can the instance handle anything else.
    pub(super) fn failed_on_part(&mut self, place: usize, stream: Stream, text: &str, is_dead: bool, now: Instant) {
        let on_failure = self.stages[place].config.on_failure;
        let head = self.head(&stream);
        let verdict = match &mut head.bisect {
            Some(bisect) => bisect.failed(on_failure, text),
            None => {
                self.collect(place, &stream, now);
                let head = self.head(&stream);
                head.bisect = crate::bisect::Bisect::of(head.selection.as_ref().map_or(0, Selection::rows));
                if head.bisect.is_some() { Verdict::GoOn } else { Verdict::GiveUp }
            }
        };
        if verdict == Verdict::GiveUp {
            self.head(&stream).bisect = None;
            return self.plugin_failed_on(place, &stream, text, is_dead, now);
        }
        if is_dead {
            self.reset(place, now);
        }
        match verdict {
            Verdict::GoOn => self.next_part(place, stream, now),
            Verdict::Done | Verdict::GiveUp => self.found(place, stream, now),
        }
    }

    /// Whether the plugin has a batch of which it has seen a part.
    pub(super) fn is_searching(&self, place: usize) -> bool {
        let first = self.stages[place].waiting.front();
        first.and_then(|stream| self.lanes.get(stream)).is_some_and(Lane::is_taken_apart)
    }

    fn next_part(&mut self, place: usize, stream: Stream, now: Instant) {
        self.stages[place].waiting.push_front(stream);
        self.go_on(place, now);
    }

    /// All parts were tried: the batch goes on, without what the plugin cannot handle or with it, as the operator says.
    fn found(&mut self, place: usize, stream: Stream, now: Instant) {
        let head = self.head(&stream);
        let (emission, poison, why) = head.bisect.clone().expect("it was searched").finish();
        let rows = head.selection.as_ref().map_or(0, Selection::rows);
        let stage = &self.stages[place];
        let grant = Grant { points: &stage.own, rows_out: u32::MAX, now: stage.told };
        // Each part kept to the contract, and so does the whole; if it did not, asking again would not mend it.
        if let Err(breach) = chain::check(rows, &emission, grant) {
            self.head(&stream).bisect = None;
            let is_dead = matches!(self.stages[place].phase, Phase::Starting { .. });
            return self.plugin_failed_on(place, &stream, &breach.to_string(), is_dead, now);
        }
        let head = self.head(&stream);
        let places = head.selection.as_ref().expect("it was made for the call");
        let points: Vec<String> = poison
            .iter()
            .filter_map(|row| places.place(*row))
            .map(|place| head.batch.readings[place].point.name.to_string())
            .collect();
        let stage = &self.stages[place];
        let name = stage.name().clone();
        if !poison.is_empty() {
            let count = poison.len() as u64;
            let detail = format!(
                "cannot handle {count} readings of {}, and handles those beside them: {why}",
                points.join(", ")
            );
            let detail = self.keep_bundle(place, &stream, "plugin-poison", detail, now);
            tracing::warn!(plugin = %name, word = "plugin-poison", %stream, detail, "plugin cannot handle readings");
            self.board.plugin(&name, |sheet| {
                sheet.health.poison += count;
                sheet.trouble = Some(Trouble { word: "plugin-poison", detail, over: Some(now) });
            });
        }
        let passes = self.stages[place].config.on_failure == OnFailure::Pass;
        self.apply(place, stream, emission, Vec::new(), None, now);
        if passes {
            let count = poison.len() as u64;
            self.board.plugin(&name, |sheet| {
                sheet.health.bypassed += count;
                sheet.health.kept = sheet.health.kept.saturating_sub(count);
            });
        }
    }
}
