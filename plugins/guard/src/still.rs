//! Stuck sensors: values that do not move for too long. Pure.

/// When a point is stuck.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// A value that has not moved for longer than this is stuck, in nanoseconds.
    pub after: i64,
    /// A value moves if it is farther than this from where it came to rest, in the unit of the point.
    pub band: f64,
    /// Where it may rest for ever (within `band`): a lamp by day draws 0 W.
    pub rest: Option<f64>,
}

/// Where a point is still, and since when.
#[derive(Debug)]
struct Anchor {
    value: f64,
    since: i64,
    seen: i64,
}

/// What is remembered of a point.
#[derive(Debug, Default)]
pub struct Still {
    anchor: Option<Anchor>,
}

impl Still {
    /// Whether a point is stuck with this value, whatever its quality. Time in which nothing was read for longer than `after`
    /// does not count: nobody knows that the sensor did not move meanwhile.
    pub fn is_stuck(&mut self, at: i64, value: f64, limit: Limit) -> bool {
        let near = |place: f64| (value - place).abs() <= limit.band;
        if limit.rest.is_some_and(near) {
            self.anchor = None;
        } else {
            match &mut self.anchor {
                Some(anchor) if near(anchor.value) && at.saturating_sub(anchor.seen) <= limit.after => anchor.seen = at,
                anchor => *anchor = Some(Anchor { value, since: at, seen: at }),
            }
        }
        self.anchor.as_ref().is_some_and(|anchor| at.saturating_sub(anchor.since) > limit.after)
    }
}
