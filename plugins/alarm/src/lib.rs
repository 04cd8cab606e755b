//! Alarm: says at once when something is wrong, and again when it is right.
//!
//! It watches points by rules and passes all readings on unchanged. Each rule has a point of its own, of class alarm, on the stream
//! `NAME.alarm`: true when the alarm is raised, false when it is cleared, with the time at which the one or the other came about.
//! What a rule looks for stands in [`rule`], when that raises and clears in [`watch`]. Readings that cannot be relied on raise
//! nothing and clear nothing; a guard in front of it sees to that.
//!
//! Stateful: an alarm that is on is not raised again after a restart, its clearing is not forgotten, and a delay goes on where it
//! was. Time in which nobody called the plugin (a hub without power) is no silence of a device.
//!
//! Deliberately absent: rules over more than one point (that is what `derive` is for, in front of it), and words for people: what
//! an alarm means and who is woken is the core's affair.

pub mod rule;
mod settings;
mod state;
#[cfg(test)]
mod tests;
pub mod watch;

use curb_plugin::{
    Class, Filter, Now, Out, PointId, Quality, Reason, Row, Rows, Saved, Setup, Stateful, Value, counter_add,
    gauge_set, warn,
};

use crate::rule::{Rule, number};
use crate::watch::{Turn, Watch};

/// How often delays are looked at although nothing is read.
const TICK_MS: u32 = 1_000;

/// Readings that are on their way when a tick comes may yet say that a delay did not end: it waits so long for them. Guessed: a
/// bus with a dozen devices is read in this time.
const SETTLE: i64 = 2_000_000_000;

/// Calls this far apart had the plugin or the hub standing still between them, for ticks come each second.
const AWAY: i64 = 10_000_000_000;

/// Bad, because nobody watches.
const UNWATCHED: Quality = Quality::bad(Reason::ABSENT);

/// A rule, the point that tells of it, and where it stands.
#[derive(Debug)]
struct Watched {
    rule: Rule,
    tells: PointId,
    watch: Watch,
}

/// A reading of a point that tells of a rule; bad if nobody knows whether the alarm is on.
#[derive(Debug)]
struct Told {
    at: i64,
    tells: PointId,
    on: Option<bool>,
    quality: Quality,
}

/// What is told in one call, oldest first.
#[derive(Debug, Default)]
struct Word {
    told: Vec<Told>,
    /// Turns that are taken up by [`Word::turns`].
    turns: Vec<Turn>,
    raised: u64,
    cleared: u64,
    /// Readings that a rule could not compare.
    odd: u64,
}

impl Word {
    fn turns(&mut self, tells: PointId) {
        for Turn { at, on } in std::mem::take(&mut self.turns) {
            *(if on { &mut self.raised } else { &mut self.cleared }) += 1;
            self.tell(Told { at, tells, on: Some(on), quality: Quality::GOOD });
        }
    }

    fn tell(&mut self, told: Told) {
        let place = self.told.partition_point(|other| other.at <= told.at);
        self.told.insert(place, told);
    }
}

/// The plugin.
#[derive(Debug)]
pub struct Alarm {
    rules: Vec<Watched>,
    /// When it was called last.
    last: Option<i64>,
    /// Whether the gauge says what is so.
    shown: bool,
}

impl Alarm {
    fn called(&mut self, now: i64) {
        let away = self.last.map_or(0, |last| now.saturating_sub(last));
        if away > AWAY {
            for Watched { rule, watch, .. } in &mut self.rules {
                watch.skip(away, now, &rule.timing);
            }
        }
        self.last = Some(now);
    }

    fn see(&mut self, row: &Row<'_>, word: &mut Word) {
        for Watched { rule, tells, watch } in &mut self.rules {
            if rule.point == row.point {
                match rule.seen(row) {
                    Some(seen) => watch.see(row.at, seen, &rule.timing, &mut word.turns),
                    None => word.odd += 1,
                }
            }
            if rule.latch == Some(row.point) && releases(row) {
                watch.release(row.at, &rule.timing, &mut word.turns);
            }
            word.turns(*tells);
        }
    }

    fn give(&mut self, word: Word, now: i64, out: &mut Out) {
        for Told { at, tells, on, quality } in word.told {
            out.add(tells, at.min(now), on.map(Value::Bool), quality);
        }
        let counters = [("raised", word.raised), ("cleared", word.cleared), ("not-comparable", word.odd)];
        for (counter, count) in counters.into_iter().filter(|(_, count)| *count > 0) {
            counter_add(counter, count);
        }
        if word.raised + word.cleared > 0 || !self.shown {
            let on = self.rules.iter().filter(|rule| rule.watch.raised.is_some()).count();
            // At most 256 rules.
            gauge_set("on", f64::from(u32::try_from(on).unwrap_or(u32::MAX)));
            self.shown = true;
        }
    }
}

/// Whether this reading of a point that lets a latch go does so.
fn releases(row: &Row<'_>) -> bool {
    row.quality.is_good() && row.value.and_then(number).is_some_and(|number| number != 0.0)
}

impl Filter for Alarm {
    fn init(setup: &Setup) -> Result<Self, String> {
        let rules = settings::rules(setup.settings()?, setup.inputs().map(|(id, name, _)| (id, name)))?;
        let mut watched = Vec::with_capacity(rules.len());
        for rule in rules {
            let tells = setup.declare(&rule.name, None, "alarm", Class::Alarm);
            let tells = tells.map_err(|error| settings::of_rule(&rule.name, &error))?;
            watched.push(Watched { rule, tells, watch: Watch::default() });
        }
        Ok(Self { rules: watched, last: None, shown: false })
    }

    fn process(&mut self, now: Now, rows: Rows<'_>, out: &mut Out) -> Result<(), String> {
        self.called(now.time);
        let mut word = Word::default();
        for row in rows {
            out.keep(&row);
            self.see(&row, &mut word);
        }
        self.give(word, now.time, out);
        Ok(())
    }

    fn tick_ms(&self) -> u32 {
        let waits = |Watched { rule: Rule { timing, repeat, .. }, .. }: &Watched| {
            timing.after.max(timing.clear_after).max(timing.min_on) > 0 || repeat.is_some()
        };
        if self.rules.iter().any(waits) { TICK_MS } else { 0 }
    }

    fn tick(&mut self, now: Now, out: &mut Out) -> Result<(), String> {
        self.called(now.time);
        let mut word = Word::default();
        for Watched { rule, tells, watch } in &mut self.rules {
            watch.pass(now.time.saturating_sub(SETTLE), &rule.timing, &mut word.turns);
            word.turns(*tells);
            if let Some((Turn { at, on }, fresh)) = rule.repeat.and_then(|every| watch.again(every, &rule.timing)) {
                let quality = if fresh { Quality::GOOD } else { Quality::STALE };
                word.tell(Told { at, tells: *tells, on: Some(on), quality });
            }
        }
        self.give(word, now.time, out);
        Ok(())
    }

    /// An alarm that is on stays on at the core for ever, unless it is told that nobody watches any more.
    fn finish(&mut self, now: Now, out: &mut Out) -> Result<(), String> {
        let mut word = Word::default();
        for Watched { tells, .. } in self.rules.iter().filter(|rule| rule.watch.raised.is_some()) {
            word.told.push(Told { at: now.time, tells: *tells, on: None, quality: UNWATCHED });
        }
        self.give(word, now.time, out);
        Ok(())
    }
}

impl Stateful for Alarm {
    fn snapshot(&self) -> Result<Saved, String> {
        Ok(state::save(self.last, self.rules.iter().map(|Watched { rule, watch, .. }| (rule, watch))))
    }

    fn restore(&mut self, saved: Saved) -> Result<(), String> {
        let (last, kept) = state::load(&saved)?;
        self.last = last;
        for kept in kept {
            match self.rules.iter_mut().find(|watched| watched.rule.name == kept.name) {
                Some(watched) => watched.watch = kept.for_rule(&watched.rule),
                None if kept.watch.raised.is_some() => {
                    warn(&settings::of_rule(&kept.name, "was on when it was taken out of the settings"));
                }
                None => {}
            }
        }
        Ok(())
    }
}

#[cfg(target_arch = "wasm32")]
curb_plugin::export_stateful!(Alarm);

curb_plugin::manifest!("../settings.json");
