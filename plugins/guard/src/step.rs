//! Steps: values that change faster than the thing that is measured can. Pure.

/// What is remembered of a point: when it last made no step too large, and where it was.
#[derive(Debug, Default)]
pub struct Step {
    last: Option<(i64, f64)>,
}

impl Step {
    /// Whether it is farther from the last value that was not too far than `per_second` allows in the time between. The longer
    /// a point stays at its new level the more is allowed, so that each level is accepted in the end.
    pub fn is_too_large(&mut self, at: i64, value: f64, per_second: f64) -> bool {
        if let Some((then, before)) = self.last {
            // Late readings are not judged: what came behind them is known already.
            if at < then {
                return false;
            }
            if (value - before).abs() > per_second * seconds(at.saturating_sub(then)) {
                return true;
            }
        }
        self.last = Some((at, value));
        false
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact for 104 days, and then to a microsecond")]
fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}
