//! The rule: which readings say something new. Pure, and the whole of what the plugin decides.

use crate::{Held, Sample};

/// How far a value must move, and how long a point may be silent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// A number passes if it differs from the last one that passed by this much or more. 0: every number passes, unless `percent`
    /// says otherwise.
    pub threshold: f64,
    /// It must differ by this many hundredths of the last one that passed as well, and differ at all. 0: it need not.
    pub percent: f64,
    /// A reading passes if the last one that passed is this old or older, in nanoseconds. `None`: silence may last.
    pub max_silence: Option<i64>,
}

/// What passed last on a point, and when.
#[derive(Debug, Clone, PartialEq)]
struct Passed {
    at: i64,
    sample: Sample,
}

/// A sorted list by point: a plugin sees some tens of points, and the map types of std are 10 KB of a component each.
#[derive(Debug)]
pub struct Table<P, V>(Vec<(P, V)>);

impl<P, V> Default for Table<P, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<P: Ord, V> Table<P, V> {
    /// What stands for this point.
    #[must_use]
    pub fn get(&self, point: &P) -> Option<&V> {
        let place = self.0.binary_search_by(|(key, _)| key.cmp(point)).ok()?;
        Some(&self.0[place].1)
    }

    /// Puts `value` in the place of what stood for this point.
    pub fn insert(&mut self, point: P, value: V) {
        match self.0.binary_search_by(|(key, _)| key.cmp(&point)) {
            Ok(place) => self.0[place].1 = value,
            Err(place) => self.0.insert(place, (point, value)),
        }
    }
}

/// What passed last on each point that has been seen.
#[derive(Debug)]
pub struct Memory<P> {
    passed: Table<P, Passed>,
    /// Where the next reading's point stands, if readings come in the order of the last time, as those of a device do.
    next: usize,
}

impl<P> Default for Memory<P> {
    fn default() -> Self {
        Self { passed: Table::default(), next: 0 }
    }
}

impl<P: Ord> Memory<P> {
    /// Whether a reading passes, and if so remembers it as the last of its point that did. In this order:
    ///
    /// 1. The first reading of a point passes.
    /// 2. A bad reading passes, always: each is news of a failure, and "no change" must not look like "no contact".
    /// 3. A reading of another quality (good, uncertain, bad, or another reason) than the last that passed passes.
    /// 4. A reading passes if the last that passed is `max_silence` old or older.
    /// 5. A number passes if |it − the last number that passed| ≥ `threshold`, and with `percent` if it is also ≥ that share of
    ///    |the last number that passed| and not 0.
    /// 6. Anything else (bits, text, bytes, a value of another kind) passes if it differs from the last that passed.
    ///
    /// Differences are taken from the last reading that *passed*, so that a slow drift is never hidden.
    pub fn passes(&mut self, point: P, at: i64, sample: Sample, band: Band) -> bool {
        let passed = &mut self.passed.0;
        let is_next = passed.get(self.next).is_some_and(|(key, _)| *key == point);
        let found = if is_next { Ok(self.next) } else { passed.binary_search_by(|(key, _)| key.cmp(&point)) };
        let place = found.unwrap_or_else(|place| place);
        self.next = place + 1;
        if found.is_err() {
            passed.insert(place, (point, Passed { at, sample }));
            return true;
        }
        let last = &mut passed[place].1;
        let passes = is_news(last, at, &sample, band);
        if passes {
            *last = Passed { at, sample };
        }
        passes
    }
}

fn is_news(last: &Passed, at: i64, sample: &Sample, band: Band) -> bool {
    let Some(value) = &sample.value else {
        return true;
    };
    if sample.quality != last.sample.quality {
        return true;
    }
    if band.max_silence.is_some_and(|longest| at.saturating_sub(last.at) >= longest) {
        return true;
    }
    match (value, &last.sample.value) {
        (Held::Number(now), Some(Held::Number(then))) => {
            let change = (now - then).abs();
            // Next to 0 a share is nothing: there the threshold is the floor, and a meter that stays at 0 is silent without one.
            let is_share = band.percent == 0.0 || (change > 0.0 && change * 100.0 >= band.percent * then.abs());
            change >= band.threshold && is_share
        }
        (now, then) => Some(now) != then.as_ref(),
    }
}
