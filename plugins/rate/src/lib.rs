//! Rate: how fast a counter counts, and how much, over roll-overs and new beginnings.
//!
//! Settings are read in [`settings`]; `plugins/README.md` explains them to operators. What was counted from one reading to the
//! next is decided in [`rule`], and [`state`] is what outlives the plugin. In here is what goes in and comes out.
//!
//! Deliberately absent: guesses. Where it is not known what was counted, there is no rate. And smoothing: `every` makes a rate
//! calmer, `window` behind this plugin more so.

pub mod rule;
pub mod settings;
pub mod state;
#[cfg(test)]
mod tests;

use curb_plugin::{
    Class, Filter, Now, Out, Passed, PointId, Quality, Reason, Row, Rows, Saved, Setup, Stateful, Timeline, Value,
    counter_add, join,
};

use crate::rule::{Counter, Last, Step};
use crate::settings::{Per, Raw, What, Wishes};

/// What is told of a value that a counter cannot show.
const IMPOSSIBLE: Quality = Quality::bad(Reason::RANGE);

/// What a difference says that has a gap or a new beginning in it: more may have been counted.
const PARTIAL: Quality = Quality::uncertain(Reason::STALE);

/// The plugin.
#[derive(Debug)]
pub struct Rate {
    per: Per,
    raw: Raw,
    timeline: Timeline,
    /// By id.
    points: Vec<Watched>,
}

/// A point that the plugin sees.
#[derive(Debug)]
struct Watched {
    id: PointId,
    counter: Counter,
    /// What is told of it, and where.
    own: Vec<(What, PointId)>,
    memory: Memory,
}

/// What is remembered of a counter.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Memory {
    /// Its last good reading; `None`: there was none.
    pub last: Option<Last>,
    /// Its last reading was bad, and that was told.
    pub is_failing: bool,
}

/// What a call has counted, for `curb status`.
#[derive(Debug, Default)]
struct Counts {
    late: u64,
    bad: u64,
    gaps: u64,
    resets: u64,
}

impl Watched {
    /// Takes a reading in and says what there is to say at its time.
    fn take(&mut self, per: Per, row: &Row<'_>, value: Result<f64, Quality>, counts: &mut Counts, out: &mut Out) {
        let value = match value {
            Ok(value) if self.counter.shows(value) => value,
            found => {
                counts.bad += 1;
                // Of a device that does not answer, the first time-out is news.
                if !self.memory.is_failing {
                    self.memory.is_failing = true;
                    let quality = found.err().unwrap_or(IMPOSSIBLE);
                    self.own.iter().for_each(|(_, point)| out.add(*point, row.at, None, quality));
                }
                return;
            }
        };
        let doubt = if row.quality.is_good() { 0 } else { row.quality.0 };
        let Some(last) = &mut self.memory.last else {
            self.memory = Memory { last: Some(Last::new(row.at, value, doubt)), is_failing: false };
            return;
        };
        let step = last.step(&self.counter, row.at, value, doubt);
        self.memory.is_failing &= step == Step::Late;
        let (rate, counted, quality) = match step {
            Step::Quiet => return,
            Step::Late => {
                counts.late += 1;
                return;
            }
            Step::Rate { rate, counted, doubt } => (Some(rate * per.seconds()), Some(counted), Quality(doubt)),
            Step::Break { counted, is_reset } => {
                *(if is_reset { &mut counts.resets } else { &mut counts.gaps }) += 1;
                (None, counted, PARTIAL)
            }
        };
        self.tell(row.at, rate, counted, quality, out);
    }

    fn tell(&self, at: i64, rate: Option<f64>, counted: Option<f64>, quality: Quality, out: &mut Out) {
        for (what, point) in &self.own {
            let value = if *what == What::Rate { rate } else { counted };
            if let Some(value) = value {
                let (value, quality) = if value.is_finite() { (Some(value), quality) } else { (None, IMPOSSIBLE) };
                out.add(*point, at, value.map(Value::Number), quality);
            }
        }
    }
}

impl Rate {
    /// Brings what is remembered from before a restart to the time of now.
    fn pass(&mut self, now: Now) {
        let passed = self.timeline.pass(now);
        for last in self.points.iter_mut().filter_map(|point| point.memory.last.as_mut()) {
            match passed {
                Passed::Steady => return,
                Passed::Slept(nanos) => last.shift(nanos),
                Passed::Unknown => last.forget_time(),
            }
        }
    }
}

impl Filter for Rate {
    fn init(setup: &Setup) -> Result<Self, String> {
        let inputs = setup.inputs().map(|(id, input, _)| (id, input));
        let Wishes { per, whats, counters, raw, output, mut names } = settings::wishes(setup.settings()?, inputs)?;
        let mut points = Vec::new();
        for ((id, input, unit), (_, counter)) in setup.inputs().zip(counters) {
            let mut own = Vec::new();
            for what in &whats {
                let name = names.give(input, what.word())?;
                let per_unit = rate_unit(unit.unwrap_or("1"), per);
                let unit = if *what == What::Rate { Some(per_unit.as_str()) } else { unit };
                own.push((*what, setup.declare(&name, unit, &output, Class::Data)?));
            }
            let place = points.partition_point(|point: &Watched| point.id < id);
            points.insert(place, Watched { id, counter, own, memory: Memory::default() });
        }
        names.finish()?;
        Ok(Self { per, raw, timeline: Timeline::default(), points })
    }

    fn process(&mut self, now: Now, rows: Rows<'_>, out: &mut Out) -> Result<(), String> {
        self.pass(now);
        let mut counts = Counts::default();
        for row in rows {
            let value = row.value.map_or(Some(Err(row.quality)), |value| value.number().map(Ok));
            // What is no number is no counter's, and passes.
            if value.is_none() || self.raw == Raw::Keep {
                out.keep(&row);
            }
            let place = self.points.binary_search_by_key(&row.point, |point| point.id);
            if let (Some(value), Ok(place)) = (value, place) {
                self.points[place].take(self.per, &row, value, &mut counts, out);
            }
        }
        let Counts { late, bad, gaps, resets } = counts;
        for (name, count) in [("late", late), ("bad", bad), ("gaps", gaps), ("resets", resets)] {
            if count > 0 {
                counter_add(name, count);
            }
        }
        Ok(())
    }

    fn finish(&mut self, now: Now, out: &mut Out) -> Result<(), String> {
        for point in &self.points {
            let untold = point.memory.last.and_then(|last| last.untold());
            point.tell(now.time, None, untold, PARTIAL, out);
        }
        Ok(())
    }
}

impl Stateful for Rate {
    fn snapshot(&self) -> Result<Saved, String> {
        Ok(state::save(self.timeline, self.points.iter().map(|point| (point.id, point.memory))))
    }

    fn restore(&mut self, saved: Saved) -> Result<(), String> {
        let (timeline, points) = state::load(&saved)?;
        self.timeline = timeline;
        for (id, memory) in points {
            if let Ok(place) = self.points.binary_search_by_key(&id, |point| point.id) {
                self.points[place].memory = memory;
            }
        }
        Ok(())
    }
}

/// The unit of a rate: kW for kWh in an hour, m3/h for m3, 1/h for what has none.
fn rate_unit(unit: &str, per: Per) -> String {
    const BY_HOUR: [&str; 4] = ["Wh", "VAh", "varh", "Ah"];
    match unit.strip_suffix('h') {
        Some(by_hour) if per == Per::Hour && BY_HOUR.iter().any(|known| unit.ends_with(known)) => by_hour.to_owned(),
        Some(_) | None => join(&[unit, "/", per.word()]),
    }
}

#[cfg(target_arch = "wasm32")]
curb_plugin::export_stateful!(Rate);

curb_plugin::manifest!("../settings.json");
