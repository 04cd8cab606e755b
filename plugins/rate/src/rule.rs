//! The rule: what a counter has counted since the reading before, and when that is not known. Pure.

/// Before any reading, in nanoseconds of hub time, and far enough from the end of numbers to take differences.
const LONG_AGO: i64 = i64::MIN / 4;

/// What is known of a counter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counter {
    /// The greatest value that it shows; `None`: it does not roll over.
    pub max: Option<f64>,
    /// What it counts in a second at most; `None`: not known.
    pub max_rate: Option<f64>,
    /// Readings that are farther apart give no rate, in nanoseconds.
    pub max_gap: i64,
    /// From one rate to the next at least, in nanoseconds. 0: one for each reading.
    pub every: i64,
}

/// Without a greatest rate: of what a counter can show, as much may pass in one roll-over.
const ROLL_OVER_SHARE: f64 = 0.1;

/// What a counter can show after the decimal point at most.
const DECIMALS: usize = 6;

impl Counter {
    /// What it counts before it shows the same again: `max` and one step, which is one in its last decimal place: 4294967296
    /// for 4294967295, 1000000 for 999999.9.
    #[must_use]
    pub fn turn(&self) -> Option<f64> {
        let max = self.max?;
        let mut scale = 1.0;
        for _ in 0..=DECIMALS {
            let scaled = max * scale;
            let whole = scaled.round_ties_even();
            if (scaled - whole).abs() <= scaled * 1e-12 {
                return Some((whole + 1.0) / scale);
            }
            scale *= 10.0;
        }
        Some(max)
    }

    /// Whether it can show this.
    #[must_use]
    pub fn shows(&self, value: f64) -> bool {
        value.is_finite() && self.max.is_none_or(|max| (0.0..=max).contains(&value))
    }

    /// What it has counted from one value to the next, so many seconds later. In this order:
    ///
    /// 1. A greater or equal value: the difference.
    /// 2. A smaller one of a counter without `max`: it began anew.
    /// 3. A smaller one of a counter with `max`: it rolled over once, if what it counted then is plausible: no faster than
    ///    `max_rate`, or, where that is not known, no more than a tenth of a turn. Else it began anew.
    /// 4. What is faster than `max_rate` is no count in any case: the meter was exchanged, or misread.
    ///
    /// `None`: it began anew, and what it counted is not known.
    #[must_use]
    pub fn counted(&self, before: f64, value: f64, seconds: f64) -> Option<f64> {
        let (counted, plausible) = if value >= before {
            (value - before, f64::INFINITY)
        } else {
            let turn = self.turn()?;
            (value - before + turn, turn * ROLL_OVER_SHARE)
        };
        let plausible = self.max_rate.map_or(plausible, |rate| rate * seconds);
        (counted <= plausible).then_some(counted)
    }

    /// Whether this long a silence hides what was counted: it is longer than `max_gap`, or the counter may have rolled over
    /// more than once in it.
    #[must_use]
    pub fn is_gap(&self, nanos: i64) -> bool {
        let turns = |(rate, turn): (f64, f64)| rate * seconds(nanos) >= turn;
        nanos > self.max_gap || self.max_rate.zip(self.turn()).is_some_and(turns)
    }
}

/// What is remembered of a counter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Last {
    /// The time of its last good reading, in nanoseconds.
    pub at: i64,
    /// The value of that.
    pub value: f64,
    /// The time up to which all was told.
    pub since: i64,
    /// What it has counted from then to `at`.
    pub counted: f64,
    /// 0: all of that can be relied on; else the greatest quality code of what cannot quite.
    pub doubt: u8,
}

/// What a reading tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// Nothing: it is the first, or the next rate is not due.
    Quiet,
    /// Nothing: it is not newer than the last.
    Late,
    /// What was counted since the last step that told something, and how fast.
    Rate {
        /// By second.
        rate: f64,
        /// In the unit of the counter.
        counted: f64,
        /// 0, or the quality code.
        doubt: u8,
    },
    /// There was a gap, or the counter began anew.
    Break {
        /// What was counted for certain until then; `None`: nothing that was not told.
        counted: Option<f64>,
        /// The counter is not where it was: it began anew.
        is_reset: bool,
    },
}

impl Last {
    /// The first reading of a counter.
    #[must_use]
    pub const fn new(at: i64, value: f64, doubt: u8) -> Self {
        Self { at, value, since: at, counted: 0.0, doubt }
    }

    /// Takes in the next reading of it.
    pub fn step(&mut self, counter: &Counter, at: i64, value: f64, doubt: u8) -> Step {
        if at <= self.at {
            return Step::Late;
        }
        let passed = at - self.at;
        let counted = counter.counted(self.value, value, seconds(passed));
        let is_gap = counter.is_gap(passed);
        // Over a gap a roll-over cannot be told from a new beginning.
        let counted = counted.filter(|_| !is_gap || value >= self.value);
        let Some(counted) = counted.filter(|_| !is_gap) else {
            let has_untold = self.since < self.at || counted.is_some();
            let untold = has_untold.then_some(self.counted + counted.unwrap_or_default());
            *self = Self::new(at, value, doubt);
            return Step::Break { counted: untold, is_reset: counted.is_none() };
        };
        (self.at, self.value) = (at, value);
        self.counted += counted;
        self.doubt = self.doubt.max(doubt);
        if at - self.since < counter.every {
            return Step::Quiet;
        }
        let step =
            Step::Rate { rate: self.counted / seconds(at - self.since), counted: self.counted, doubt: self.doubt };
        *self = Self::new(at, value, doubt);
        step
    }

    /// All of its times are so much later, in nanoseconds.
    pub const fn shift(&mut self, nanos: i64) {
        self.at += nanos;
        self.since += nanos;
    }

    /// Nobody knows how long ago it was: so the next reading comes behind a gap.
    pub const fn forget_time(&mut self) {
        self.shift(LONG_AGO - self.at);
    }

    /// Nothing comes any more: what was counted and not told.
    #[must_use]
    pub fn untold(&self) -> Option<f64> {
        (self.since < self.at).then_some(self.counted)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a time between readings")]
fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}
