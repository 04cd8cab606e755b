//! Crowd: counts of people, told so that no one person can be followed.
//!
//! Readings of people sensors go in, and no reading ever comes out: they are counted in periods of hub time, and what a period
//! comes to is told once, on a point of the plugin's own, when it is over. How it is told is a point's `mode`: with a floor
//! (`floor`), rounded (`round`) or with noise (`noise`). The rule stands in [`rule::Rule::tell`], the noise in [`noise`], what
//! restarts cannot change in [`memory::Memory`], the settings in `settings.rs` and the plugins' README.
//!
//! Every period in which the plugin ran is told, at the same time behind its end, whether somebody was there or not: a row that
//! comes only when somebody came would tell that somebody came.
//!
//! Deliberately absent: [`Out::keep`], [`Out::remark`] and [`Out::reject`], the ways by which a reading would leave, or lie in a
//! file of refused rows. `finish` tells nothing either: a period that is not over would be told twice if the plugin came back.

pub mod memory;
pub mod noise;
pub mod rule;
mod settings;
mod state;
#[cfg(test)]
mod tests;

use curb_plugin::{
    Class, Filter, Now, Out, PointId, Quality, Reason, Row, Rows, Saved, Setup, Stateful, Value, counter_add, dashed,
    join,
};

use crate::memory::Memory;
use crate::noise::{Noise, Place};
use crate::rule::{Kind, Mode, Rule, Telling};
use crate::settings::Draft;
use crate::state::{Kept, Last, Reader, Writer};

/// Periods are told this late at most, behind their `wait`, in milliseconds.
const TICK_MS: u32 = 1_000;
/// Not called for longer than this, in nanoseconds, the plugin has missed readings. Ticks come each second; a hub under load, or
/// one that waits for its card, is late by some tens.
const AWAY: i64 = 150_000_000_000;
/// A reading of more people than this is a broken sensor: 65,535 and 2³² − 1 are what many say when they have nothing to say.
const MOST_PEOPLE: u64 = 50_000;
/// A running total goes up to what a float holds exactly.
const MOST_TOTAL: u64 = 1 << 53;

/// A point that is counted.
#[derive(Debug)]
struct Point {
    input: PointId,
    name: String,
    output: PointId,
    rule: Rule,
    /// `None` until the first call: before it, there is no time.
    memory: Option<Memory>,
}

/// What `curb status` shows: said when a period is told, not when it happens, so that no reading shows in them.
#[derive(Debug, Default)]
struct Untold {
    bad: u64,
    late: u64,
}

/// The plugin.
#[derive(Debug)]
pub struct Crowd {
    /// By input.
    points: Vec<Point>,
    noise: Option<Noise>,
    last: Option<Last>,
    untold: Untold,
}

impl Crowd {
    /// Time has come to now: opens what begins, and doubts what was missed.
    fn arrive(&mut self, now: Now) {
        let utc = now.utc_offset.map(|offset| now.time.saturating_add(offset));
        let away = self.last.is_some_and(|last| {
            let by_hub = now.time.saturating_sub(last.time) > AWAY;
            // A hub that is off does not count its time on; the time of the world does.
            by_hub || utc.zip(last.utc).is_some_and(|(now, then)| now.saturating_sub(then) > AWAY)
        });
        for Point { rule, memory, .. } in &mut self.points {
            let memory = memory.get_or_insert_with(|| Memory::begin(rule, now.time));
            if away {
                memory.doubt(Reason::ABSENT, rule, now.time);
            } else {
                memory.tally(rule, now.time);
            }
        }
        self.last = Some(Last { time: now.time, utc });
    }

    fn take(&mut self, row: &Row<'_>, now: i64) {
        let Ok(place) = self.points.binary_search_by_key(&row.point, |point| point.input) else {
            return;
        };
        let Point { rule, memory: Some(memory), .. } = &mut self.points[place] else {
            return;
        };
        let people = number(row).and_then(|number| match rule.kind {
            Kind::Sum | Kind::Max | Kind::Mean => Ok((whole(number, MOST_PEOPLE)?, row.quality.reason())),
            Kind::Total => {
                let rise = memory.rise(whole(number, MOST_TOTAL)?);
                if rise.0 <= MOST_PEOPLE { Ok(rise) } else { Err(Reason::RANGE) }
            }
        });
        match (memory.tally(rule, row.at.min(now)), people) {
            (None, _) => self.untold.late += 1,
            (Some(tally), Ok((people, doubt))) => {
                tally.count(people);
                tally.doubt(doubt);
                tally.doubt(row.quality.reason());
            }
            (Some(tally), Err(reason)) => {
                tally.fail(reason);
                self.untold.bad += 1;
            }
        }
    }

    /// Tells the periods that are over.
    fn tell(&mut self, now: i64, out: &mut Out) {
        let mut told: Vec<(i64, PointId, Option<i64>, Quality)> = Vec::new();
        for Point { name, output, rule, memory, .. } in &mut self.points {
            let Some(memory) = memory else { continue };
            while let Some((period, tally)) = memory.close(rule, now) {
                let Untold { bad, late } = std::mem::take(&mut self.untold);
                counter_add("bad-readings", bad);
                counter_add("late-readings", late);
                // With the budget spent nothing is told at all, not even that a sensor has failed.
                if !memory.affords(rule, period) {
                    counter_add("withheld", 1);
                    continue;
                }
                let place = Place { point: name, length: rule.length, period };
                let Telling { count, quality } = rule.tell(&tally, place, self.noise.as_ref());
                if count.is_some() {
                    memory.pay(rule);
                }
                let end = rule.start(period.saturating_add(1));
                // In the order of time over points with periods of other lengths; a sort of std would be 4 KB.
                told.insert(told.partition_point(|(at, ..)| *at <= end), (end, *output, count, quality));
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "no street has 2⁵³ people")]
        for (at, point, count, quality) in told {
            out.add(point, at, count.map(|count| Value::Number(count as f64)), quality);
        }
    }
}

impl Crowd {
    /// `None`: these are no bytes of its own, and part of them may have been believed.
    fn remember(&mut self, mut state: Reader<'_>) -> Option<()> {
        if state.0.is_empty() {
            return Some(());
        }
        let last = state.last()?;
        self.last = Some(last);
        while !state.0.is_empty() {
            let Kept { id, kind, length, mut memory } = state.point()?;
            // A point that was taken out of the configuration is forgotten; should it come back, its first day is a careful one.
            let Some(point) = self.points.iter_mut().find(|point| u64::from(point.input.0) == id) else { continue };
            if (length, kind) != (point.rule.length, point.rule.kind as u64) {
                memory.change(length, &point.rule, last.time);
            }
            point.memory = Some(memory);
        }
        Some(())
    }
}

/// The number that a reading says; the reason if it says none.
#[expect(clippy::cast_precision_loss, reason = "what is that large does not count")]
fn number(row: &Row<'_>) -> Result<f64, Reason> {
    match row.value {
        None => Err(row.quality.reason()),
        Some(Value::Bool(bit)) => Ok(f64::from(u8::from(bit))),
        Some(Value::Number(number)) => Ok(number),
        Some(Value::Signed(number)) => Ok(number as f64),
        Some(Value::Unsigned(number)) => Ok(number as f64),
        Some(Value::Text(_) | Value::Bytes(_)) => Err(Reason::DECODE),
    }
}

/// To the nearest whole number: sensors that scale say 2.9999.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 and 2⁵³, as checked")]
#[expect(clippy::cast_precision_loss, reason = "the bounds are exact")]
fn whole(number: f64, most: u64) -> Result<u64, Reason> {
    let whole = (number + 0.5).floor();
    if (0.0..=most as f64).contains(&whole) { Ok(whole as u64) } else { Err(Reason::RANGE) }
}

impl Filter for Crowd {
    fn init(setup: &Setup) -> Result<Self, String> {
        let mut settings = setup.settings()?;
        let mut own = settings.table("points")?.unwrap_or_default();
        let all = Draft::default().read(&mut settings)?;
        settings.finish()?;
        let noise = Noise::new(setup.seed());
        let mut points: Vec<Point> = Vec::new();
        for (input, name, unit) in setup.inputs() {
            let mut add = || {
                let mut own = own.table(name)?.unwrap_or_default();
                let output = own.text("name")?.unwrap_or_else(|| dashed(name));
                let rule = all.read(&mut own)?.rule()?;
                own.finish()?;
                if noise.is_none() && matches!(rule.mode, Mode::Noise { .. }) {
                    return Err("mode: \"noise\" needs the secret seed of a hub, and this one gives none".to_owned());
                }
                let output = setup.declare(&output, unit, "counts", Class::Data)?;
                if points.iter().any(|point| point.output == output) {
                    return Err("name: another point is told under this one".to_owned());
                }
                let place = points.partition_point(|point| point.input < input);
                points.insert(place, Point { input, name: name.to_owned(), output, rule, memory: None });
                Ok(())
            };
            add().map_err(|error: String| join(&["points: ", name, ": ", &error]))?;
        }
        match own.names().next() {
            Some(name) => Err(join(&["points: ", name, " is not among the points that this plugin sees"])),
            None => Ok(Self { points, noise, last: None, untold: Untold::default() }),
        }
    }

    fn process(&mut self, now: Now, rows: Rows<'_>, out: &mut Out) -> Result<(), String> {
        self.arrive(now);
        for row in rows {
            self.take(&row, now.time);
        }
        self.tell(now.time, out);
        Ok(())
    }

    fn tick_ms(&self) -> u32 {
        TICK_MS
    }

    fn tick(&mut self, now: Now, out: &mut Out) -> Result<(), String> {
        self.arrive(now);
        self.tell(now.time, out);
        Ok(())
    }
}

impl Stateful for Crowd {
    fn snapshot(&self) -> Result<Saved, String> {
        let mut state = Writer::default();
        if let Some(last) = self.last {
            state.last(last);
            for Point { input, rule, memory, .. } in &self.points {
                if let Some(memory) = memory {
                    state.point(input.0, rule, memory);
                }
            }
        }
        Ok(Saved { version: state::VERSION, data: state.bytes })
    }

    fn restore(&mut self, saved: Saved) -> Result<(), String> {
        if saved.version != state::VERSION {
            return Err("found a state of another version than 1".to_owned());
        }
        self.remember(Reader(&saved.data)).ok_or_else(|| {
            self.points.iter_mut().for_each(|point| point.memory = None);
            self.last = None;
            "found a state that is cut off, or of another plugin".to_owned()
        })
    }
}

#[cfg(target_arch = "wasm32")]
curb_plugin::export_stateful!(Crowd);

curb_plugin::manifest!("../settings.json", withholds);
