//! The deadband's rule, in the judge's own words: a reading is passed on if it is news.

use crate::judge::accepted::Value;

/// What was passed on last of one point.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Last {
    /// Nothing yet, in this life of the hub.
    Nothing,
    /// A reading without a value.
    Bad,
    /// This value.
    Good(Value),
}

impl Last {
    /// Whether this value is news. A first value is, and so is one after a bad reading; a number must have moved by the
    /// threshold since the last one that was passed on, anything else must have changed.
    pub(super) fn is_news(&self, value: &Value, threshold: f64) -> bool {
        match (self, value) {
            (Self::Good(Value::Number(last)), Value::Number(now)) => (now - last).abs() >= threshold,
            (Self::Good(last), now) => last != now,
            (Self::Nothing | Self::Bad, _) => true,
        }
    }
}
