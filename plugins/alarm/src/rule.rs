//! What a rule looks for in a value. Pure.

use curb_plugin::{PointId, Row, Value};

use crate::watch::{Seen, Timing};

/// A rule, as the operator wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name, and that of the point that tells its state.
    pub name: String,
    /// The point that it watches.
    pub point: PointId,
    /// What it looks for.
    pub test: Test,
    /// Its delays.
    pub timing: Timing,
    /// The point that lets the latch go, if it has one.
    pub latch: Option<PointId>,
    /// How often the state is told although it has not changed, in nanoseconds.
    pub repeat: Option<i64>,
    /// Whether uncertain readings are relied on like good ones.
    pub uncertain: bool,
}

/// What a rule looks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Values greater than `limit`; it clears at `clear` and below.
    Above {
        /// The threshold.
        limit: f64,
        /// Where it clears, no greater than `limit`.
        clear: f64,
    },
    /// Values less than `limit`; it clears at `clear` and above.
    Below {
        /// The threshold.
        limit: f64,
        /// Where it clears, no less than `limit`.
        clear: f64,
    },
    /// This number, or a bit as 0 or 1.
    Number(f64),
    /// This text.
    Text(String),
    /// Any value: the rule looks for silence.
    Anything,
}

impl Rule {
    /// What a reading says of this rule. `None`: its value is none that the rule can compare.
    #[must_use]
    pub fn seen(&self, row: &Row<'_>) -> Option<Seen> {
        let Some(value) = row.value.filter(|_| row.quality.is_good() || self.uncertain) else {
            return Some(Seen::Nothing);
        };
        self.test.compare(value)
    }
}

impl Test {
    fn compare(&self, value: Value<'_>) -> Option<Seen> {
        let (over, under) = match (self, value) {
            (Self::Anything, _) => (false, true),
            (Self::Text(wanted), Value::Text(text)) => (wanted == text, wanted != text),
            (Self::Above { limit, clear }, value) => number(value).map(|n| (n > *limit, n <= *clear))?,
            (Self::Below { limit, clear }, value) => number(value).map(|n| (n < *limit, n >= *clear))?,
            (Self::Number(wanted), value) => number(value).map(|n| (n == *wanted, n != *wanted))?,
            (Self::Text(_), _) => return None,
        };
        Some(match (over, under) {
            (true, _) => Seen::Over,
            (false, true) => Seen::Under,
            (false, false) => Seen::Between,
        })
    }
}

/// A bit is 0 or 1; wide integers are rounded.
pub(crate) fn number(value: Value<'_>) -> Option<f64> {
    if let Value::Bool(bit) = value { Some(f64::from(u8::from(bit))) } else { value.number() }
}
