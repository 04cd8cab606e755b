//! What is known of the readings between two ends: enough for every statistic, and it can be joined. Pure.

use crate::tail::Tail;

/// A statistic that a window can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// The least value.
    Min,
    /// The sum by the count: each reading counts the same, however long it stood.
    Mean,
    /// The greatest value.
    Max,
    /// The 95th percentile by nearest rank; see [`Tail`] for how exact.
    P95,
    /// How many readings.
    Count,
    /// The sum.
    Sum,
}

impl Statistic {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Min, Self::Mean, Self::Max, Self::P95, Self::Count, Self::Sum];

    /// Its word in settings and names.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Mean => "mean",
            Self::Max => "max",
            Self::P95 => "p95",
            Self::Count => "count",
            Self::Sum => "sum",
        }
    }
}

/// The readings of one point between two ends; at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The later of the two ends, in nanoseconds of hub time.
    pub end: i64,
    /// How many readings.
    pub count: u32,
    /// The least value.
    pub min: f64,
    /// The greatest value.
    pub max: f64,
    /// The sum of the values.
    pub sum: f64,
    /// 0: all can be relied on; else the greatest quality code of those that cannot quite.
    pub doubt: u8,
    /// The greatest values; empty unless the 95th percentile is wanted.
    pub tail: Tail,
}

impl Part {
    /// The part that ends at `end`, without readings yet.
    #[must_use]
    pub fn new(end: i64, doubt: u8) -> Self {
        Self { end, count: 0, min: f64::INFINITY, max: f64::NEG_INFINITY, sum: 0.0, doubt, tail: Tail::default() }
    }

    /// Takes a reading in.
    pub fn take(&mut self, value: f64, doubt: u8, with_tail: bool) {
        self.count = self.count.saturating_add(1);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.sum += value;
        self.doubt = self.doubt.max(doubt);
        if with_tail {
            self.tail.insert(value);
        }
    }

    /// Takes in all readings of another part.
    pub fn join(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.doubt = self.doubt.max(other.doubt);
        self.tail.join(&other.tail);
    }

    /// A statistic of these readings; `None`: no float holds it, or it was not collected.
    #[must_use]
    pub fn statistic(&self, statistic: Statistic) -> Option<f64> {
        let value = match statistic {
            Statistic::Min => self.min,
            Statistic::Mean => self.sum / f64::from(self.count),
            Statistic::Max => self.max,
            // The middle of a sixteenth may lie beyond all that was read.
            Statistic::P95 => self.tail.p95(self.count)?.max(self.min).min(self.max),
            Statistic::Count => f64::from(self.count),
            Statistic::Sum => self.sum,
        };
        value.is_finite().then_some(value)
    }
}
