//! Window: statistics over windows of time instead of each reading.
//!
//! Settings are read in [`settings`]; `plugins/README.md` explains them to operators. Time is cut by [`grid`], what a reading
//! does and when a window is closed stands in [`rule`], what is known of the readings in [`part`] and [`tail`], and [`state`] is
//! what outlives the plugin. In here is what goes in and comes out.
//!
//! Deliberately absent: weights. A mean is over readings, not over time: a bus polls evenly, and what a device sends by itself
//! stands for itself. And local time: a hub does not know it.

pub mod grid;
pub mod part;
pub mod rule;
pub mod settings;
pub mod state;
pub mod tail;
#[cfg(test)]
mod tests;

use curb_plugin::{
    Class, Filter, Now, Out, Passed, PointId, Quality, Reason, Row, Rows, Saved, Setup, Stateful, Timeline, Value,
    counter_add,
};

use crate::grid::Grid;
use crate::part::{Part, Statistic};
use crate::rule::{Entry, Plan, Room, Teller, Track};
use crate::settings::{Align, Raw, Wishes};
use crate::state::Kept;

/// Readings in one answer. A hub takes no more; what is beyond waits for the next call.
const ROWS: usize = 1_000;

/// Parts that are joined for one answer: some ten milliseconds, where a hub gives 250. A hub that comes back after an hour has an
/// hour of windows to close, and they may wait for the next calls.
const WORK: usize = 4_096;

/// What an empty window says.
const EMPTY: Quality = Quality::bad(Reason::ABSENT);

/// What a window says of a statistic that no float holds, or that was not collected yet.
const UNKNOWN: Quality = Quality::bad(Reason::RANGE);

/// The plugin.
#[derive(Debug)]
pub struct Window {
    plan: Plan,
    align: Align,
    raw: Raw,
    grid: Grid,
    timeline: Timeline,
    /// By id.
    points: Vec<Watched>,
}

/// A point that the plugin sees.
#[derive(Debug)]
struct Watched {
    id: PointId,
    /// What its windows tell, and where.
    own: Vec<(Statistic, PointId)>,
    track: Track,
}

/// What one call has to say.
#[derive(Default)]
struct Answer {
    /// How many parts a window has.
    parts: usize,
    /// How many were joined.
    work: usize,
    /// Ascending by time.
    readings: Vec<(i64, PointId, Option<f64>, Quality)>,
    late: u64,
    bad: u64,
    overload: u64,
}

impl Answer {
    fn new(plan: &Plan) -> Self {
        Self { parts: plan.parts as usize, ..Self::default() }
    }

    /// Whether there is room for a window of one more point.
    fn room(&self, own: &[(Statistic, PointId)]) -> Room {
        let is_full = self.readings.len() + own.len() > ROWS || self.work >= WORK;
        if is_full { Room::Full } else { Room::Left }
    }

    /// A window that ended there.
    fn tell(&mut self, end: i64, part: Option<&Part>, own: &[(Statistic, PointId)]) -> Room {
        self.work += self.parts;
        // Points are closed one after the other, each in the order of time.
        let place = self.readings.partition_point(|(other, ..)| *other <= end);
        for (place, (statistic, point)) in (place..).zip(own) {
            let value = part.and_then(|part| part.statistic(*statistic));
            let quality = match (part, value) {
                (None, _) => EMPTY,
                (Some(_), None) => UNKNOWN,
                (Some(part), Some(_)) => Quality(part.doubt),
            };
            self.readings.insert(place, (end, *point, value, quality));
        }
        self.room(own)
    }

    fn give(self, out: &mut Out) {
        for (at, point, value, quality) in self.readings {
            out.add(point, at, value.map(Value::Number), quality);
        }
        for (name, count) in [("late", self.late), ("bad", self.bad), ("overload", self.overload)] {
            if count > 0 {
                counter_add(name, count);
            }
        }
    }
}

impl Window {
    /// Says what is over at `now`, by one of [`Track`]'s ways to close windows, as far as there is room in one answer.
    fn say(&mut self, now: Now, out: &mut Out, close: fn(&mut Track, &Plan, &Grid, i64, &mut Teller<'_>)) {
        self.pass(now);
        let mut answer = Answer::new(&self.plan);
        for Watched { own, track, .. } in &mut self.points {
            if answer.room(own) == Room::Left {
                close(track, &self.plan, &self.grid, now.time, &mut |end, part| answer.tell(end, part, own));
            }
        }
        answer.give(out);
    }

    /// Brings what is remembered from before a restart to the time of now, and aligns windows to UTC if they are to be, and the
    /// hub knows it.
    fn pass(&mut self, now: Now) {
        let passed = self.timeline.pass(now);
        if let Passed::Slept(nanos) = passed {
            self.grid.shift(nanos);
        }
        for Watched { track, .. } in &mut self.points {
            match passed {
                Passed::Steady => break,
                Passed::Slept(nanos) => track.shift(nanos),
                Passed::Unknown => track.doubt(),
            }
        }
        let Some(offset) = now.utc_offset.filter(|_| self.align == Align::Utc) else { return };
        if self.points.iter().all(|point| point.track.closed.is_none()) {
            self.grid = Grid::new(self.plan.every, offset, None);
        } else {
            self.grid.follow(now.time, offset);
        }
    }

    fn take(&mut self, row: &Row<'_>, answer: &mut Answer) {
        let Ok(place) = self.points.binary_search_by_key(&row.point, |point| point.id) else { return };
        let Watched { own, track, .. } = &mut self.points[place];
        if answer.room(own) == Room::Left {
            track.close(&self.plan, &self.grid, row.at, &mut |end, part| answer.tell(end, part, own));
        }
        let Some(value) = row.value.and_then(number) else {
            answer.bad += 1;
            return;
        };
        let doubt = if row.quality.is_good() { 0 } else { row.quality.0 };
        match track.enter(&self.plan, &self.grid, row.at, value, doubt) {
            Entry::Taken => {}
            Entry::Late => answer.late += 1,
            Entry::Full => answer.overload += 1,
        }
    }
}

impl Filter for Window {
    fn init(setup: &Setup) -> Result<Self, String> {
        let Wishes { plan, statistics, align, raw, output, mut names } =
            settings::wishes(setup.settings()?, setup.inputs().count())?;
        let mut points = Vec::new();
        for (id, input, unit) in setup.inputs() {
            let mut own = Vec::new();
            for statistic in &statistics {
                let name = names.give(input, statistic.word())?;
                let unit = unit.filter(|_| *statistic != Statistic::Count);
                own.push((*statistic, setup.declare(&name, unit, &output, Class::Data)?));
            }
            let place = points.partition_point(|point: &Watched| point.id < id);
            points.insert(place, Watched { id, own, track: Track::default() });
        }
        names.finish()?;
        Ok(Self { plan, align, raw, grid: Grid::new(plan.every, 0, None), timeline: Timeline::default(), points })
    }

    fn process(&mut self, now: Now, rows: Rows<'_>, out: &mut Out) -> Result<(), String> {
        self.pass(now);
        let mut answer = Answer::new(&self.plan);
        for row in rows {
            let is_plain = matches!(row.value, Some(Value::Text(_) | Value::Bytes(_)));
            if is_plain || self.raw == Raw::Keep {
                out.keep(&row);
            }
            if !is_plain {
                self.take(&row, &mut answer);
            }
        }
        answer.give(out);
        Ok(())
    }

    /// A sixtieth of `every`, so that a window is told soon behind its end, and no more often than needed.
    fn tick_ms(&self) -> u32 {
        u32::try_from(self.plan.every / 60_000_000).unwrap_or(u32::MAX).clamp(100, 10_000)
    }

    fn tick(&mut self, now: Now, out: &mut Out) -> Result<(), String> {
        self.say(now, out, Track::close);
        Ok(())
    }

    fn finish(&mut self, now: Now, out: &mut Out) -> Result<(), String> {
        self.say(now, out, Track::finish);
        Ok(())
    }
}

impl Stateful for Window {
    fn snapshot(&self) -> Result<Saved, String> {
        Ok(state::save(self.timeline, self.grid, self.points.iter().map(|point| (point.id, &point.track))))
    }

    fn restore(&mut self, saved: Saved) -> Result<(), String> {
        let Kept { timeline, grid, tracks } = state::load(&saved)?;
        self.timeline = timeline;
        let (every, shift, _) = grid.into_parts();
        let is_same = every == self.plan.every;
        self.grid = if is_same { grid } else { Grid::new(self.plan.every, shift, None) };
        for (id, mut track) in tracks {
            // What was read in a window of another length goes into that of now in which the old one ends.
            if !is_same {
                track.doubt();
            }
            if let Ok(place) = self.points.binary_search_by_key(&id, |point| point.id) {
                self.points[place].track = track;
            }
        }
        Ok(())
    }
}

/// A value that there are statistics of; wide integers are rounded to 16 digits.
#[expect(clippy::cast_precision_loss, reason = "so are all statistics")]
fn number(value: Value<'_>) -> Option<f64> {
    let number = match value {
        Value::Bool(bit) => f64::from(u8::from(bit)),
        Value::Number(n) => n,
        Value::Signed(n) => n as f64,
        Value::Unsigned(n) => n as f64,
        Value::Text(_) | Value::Bytes(_) => return None,
    };
    number.is_finite().then_some(number)
}

#[cfg(target_arch = "wasm32")]
curb_plugin::export_stateful!(Window);

curb_plugin::manifest!("../settings.json");
