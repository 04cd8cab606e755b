//! Spikes: values far from the middle of those before them, that do not stay. Pure.
//!
//! The scale is the median absolute deviation, which one spike cannot stretch as it would a standard deviation.

use crate::window::Window;

/// From the median absolute deviation of normal noise to its standard deviation.
const TO_SIGMA: f64 = 1.4826;

/// What a spike is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// A value is an outlier if it is farther from the median than this many scales.
    pub k: f64,
    /// The least scale, in the unit of the point: a quiet sensor's first wiggle is no spike.
    pub floor: f64,
    /// How many values are looked back at.
    pub window: usize,
    /// So many outliers in a row at one level are a step: the last of them passes, and the level is the new one.
    pub accept: usize,
}

/// What is remembered of a point: at most `window` values twice, and `accept` of them.
#[derive(Debug, Default)]
pub struct Spike {
    window: Window,
    /// Outliers in a row at one level.
    run: Vec<f64>,
    /// Outliers in a row at any level.
    outliers: usize,
}

impl Spike {
    /// Whether this value is a spike. In this order:
    ///
    /// 1. Until the window is half full, nothing is.
    /// 2. A value no farther than k × max(1.4826 × MAD, floor) from the median is none, and goes into the window.
    /// 3. The `accept`-th outlier in a row at one level is none: the window begins anew with them. At one level is what is
    ///    nearer to the first of them than half the way from there back to the median.
    /// 4. The `window`-th outlier in a row is none, wherever they lie: the point has become another one, and what was known
    ///    of it would mark it for ever. The window begins anew.
    /// 5. Everything else is.
    pub fn is_spike(&mut self, value: f64, limit: Limit) -> bool {
        let Some(median) = self.window.median().filter(|_| self.window.len() >= limit.window.div_ceil(2)) else {
            self.window.push(value, limit.window);
            return false;
        };
        let scale = (TO_SIGMA * self.window.deviation(median)).max(limit.floor);
        if (value - median).abs() <= limit.k * scale {
            self.run.clear();
            self.outliers = 0;
            self.window.push(value, limit.window);
            return false;
        }
        self.outliers += 1;
        if self.run.first().is_some_and(|level| (value - level).abs() > (level - median).abs() / 2.0) {
            self.run.clear();
        }
        self.run.push(value);
        if self.run.len() < limit.accept && self.outliers < limit.window {
            return true;
        }
        let level = std::mem::take(&mut self.run);
        self.outliers = 0;
        self.window.clear();
        for value in level {
            self.window.push(value, limit.window);
        }
        false
    }
}
