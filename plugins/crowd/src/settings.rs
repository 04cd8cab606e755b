//! Settings, as the operator writes them, and the rules they mean.
//!
//! What is a decision about people has no default: what is counted (`kind`), how it is told (`mode`), and what a day may cost
//! (`epsilon`, `budget`). The sum of an occupancy, taken by mistake, would count one person a hundred times, and protect nobody.

use std::ops::RangeInclusive;

use curb_plugin::{Settings, join};

use crate::memory::DAY;
use crate::noise::PARTS;
use crate::rule::{Below, Kind, Mode, Rule, Silence};

const SECOND: i64 = 1_000_000_000;
/// Shorter periods would show a person's way from one sensor to the next.
const SHORTEST: i64 = 60 * SECOND;
/// Floors and multiples: 1 would tell each count as it is.
const STEPS: RangeInclusive<f64> = 2.0..=1_000.0;

/// How the value of a setting is written. All become whole numbers, so that one loop reads them: a component is small.
enum Shape {
    /// One of these words, and all of them for an error; its place among them.
    Word(&'static [&'static str], &'static str),
    /// A whole number.
    Step,
    /// ε within these bounds, and the same in words: in [`PARTS`], since what is added up over a day must add up exactly.
    Epsilon(RangeInclusive<f64>, &'static str),
    /// Nanoseconds.
    Duration,
}

const FIELDS: [(&str, Shape); 10] = [
    ("kind", Shape::Word(&["sum", "total", "max", "mean"], "sum, total, max, mean")),
    ("mode", Shape::Word(&["floor", "round", "noise"], "floor, round, noise")),
    ("k", Shape::Step),
    ("below", Shape::Word(&["zero", "absent"], "zero, absent")),
    ("round_to", Shape::Step),
    // Less does not tell a crowd from nobody; more, e^ε says, protects nobody.
    ("epsilon", Shape::Epsilon(0.01..=10.0, "0.01 to 10, to three places at most")),
    // More than any protection is worth, and far from any overflow.
    ("budget", Shape::Epsilon(0.01..=10_000.0, "0.01 to 10000, to three places at most")),
    ("silence", Shape::Word(&["absent", "zero"], "absent, zero")),
    ("period", Shape::Duration),
    ("wait", Shape::Duration),
];

/// Settings as they stand, by their places in [`FIELDS`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Draft([Option<u64>; FIELDS.len()]);

impl Draft {
    /// Takes what stands in these settings in the place of what is there.
    ///
    /// # Errors
    /// A value does not fit. The text names the setting.
    pub(crate) fn read(mut self, settings: &mut Settings) -> Result<Self, String> {
        for ((name, shape), value) in FIELDS.iter().zip(&mut self.0) {
            if let Some(new) = shape.read(name, settings)? {
                *value = Some(new);
            }
        }
        Ok(self)
    }

    /// What they mean.
    ///
    /// # Errors
    /// Something is missing, or does not fit together. The text names the setting.
    pub(crate) fn rule(&self) -> Result<Rule, String> {
        let [kind, mode, k, below, round_to, epsilon, budget, silence, period, wait] = self.0;
        let kind = match kind.ok_or("kind: expected \"sum\", \"total\", \"max\" or \"mean\": what its readings are")? {
            0 => Kind::Sum,
            1 => Kind::Total,
            2 => Kind::Max,
            _ => Kind::Mean,
        };
        let mode = match mode.ok_or("mode: expected \"floor\", \"round\" or \"noise\"")? {
            0 => Mode::Floor { k: k.unwrap_or(5), below: if below == Some(1) { Below::Absent } else { Below::Zero } },
            1 => Mode::Round { to: round_to.unwrap_or(5) },
            _ => {
                let epsilon = epsilon.ok_or("epsilon: expected what a period costs, such as 0.5")?;
                let budget = budget.ok_or("budget: expected what a day may cost, such as 12")?;
                if budget < epsilon {
                    return Err("budget: expected epsilon or more, else nothing is ever told".to_owned());
                }
                Mode::Noise { epsilon, budget }
            }
        };
        let silence = if silence == Some(1) { Silence::Zero } else { Silence::Absent };
        if silence == Silence::Zero && kind != Kind::Sum {
            return Err(
                "silence: \"zero\" is for kind \"sum\": other sensors have a count to tell at any time".to_owned()
            );
        }
        let length = period.map_or(15 * SHORTEST, u64::cast_signed);
        if !(SHORTEST..=DAY).contains(&length) || DAY % length != 0 {
            return Err("period: expected 1min to 24h, an even part of a day".to_owned());
        }
        let wait = wait.map_or(10 * SECOND, u64::cast_signed);
        if wait > length {
            return Err("wait: expected the period or less".to_owned());
        }
        Ok(Rule { kind, mode, silence, length, wait })
    }
}

impl Shape {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within bounds, as checked")]
    fn read(&self, name: &str, settings: &mut Settings) -> Result<Option<u64>, String> {
        let (parts, range, expected) = match self {
            Self::Duration => return Ok(settings.duration(name)?.map(i64::cast_unsigned)),
            Self::Word(words, all) => {
                let Some(text) = settings.text(name)? else {
                    return Ok(None);
                };
                let place = (0..).zip(*words).find(|(_, word)| **word == text).map(|(place, _)| place);
                return place.map(Some).ok_or_else(|| join(&[name, ": found \"", &text, "\", expected one of ", all]));
            }
            Self::Step => (1.0, STEPS, "a whole number from 2 to 1000"),
            Self::Epsilon(range, expected) => (f64::from(PARTS), range.clone(), *expected),
        };
        let Some(number) = settings.number(name)? else {
            return Ok(None);
        };
        let fits = range.contains(&number);
        let number = number * parts;
        let whole = (number + 0.5).floor();
        if fits && (number - whole).abs() < 1e-6 {
            Ok(Some(whole as u64))
        } else {
            Err(join(&[name, ": expected ", expected]))
        }
    }
}
