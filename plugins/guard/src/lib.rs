//! Guard: a reading that cannot be relied on is marked, so that nobody behind it is misled.
//!
//! It stands first in the order, ahead of what sums, compares and raises alarms. Every row that it sees passes, kept or marked:
//! it leaves out nothing, adds nothing, and makes no reading better than it was. Rows that are bad or uncertain already stay as
//! they are; bits, text and bytes are not its affair.
//!
//! Four checks, each off until it is set, for all points or for one (`points`): a range ([`Checks::min`]), a stuck sensor
//! ([`still`]), a spike ([`spike`]) and a step ([`step`]). They know nothing of each other; the first that complains, in this
//! order, gives the mark. The range also keeps a value from spike and step, so that no window learns it.
//!
//! Deliberately absent: state. A plugin with state has each batch that it lets out on the card before it is sent, together with
//! the windows of all points, and this one lets out every batch. What it forgets at a restart makes it trust: half a window of
//! readings, and a stuck sensor for `stuck_after` once more.

mod settings;
pub mod spike;
pub mod step;
pub mod still;
#[cfg(test)]
mod tests;
pub mod window;

use curb_plugin::{Filter, Now, Out, PointId, Quality, Row, Rows, Setup, counter_add};

use crate::spike::Spike;
use crate::step::Step;
use crate::still::Still;

/// What is checked of a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Checks {
    /// The least value that makes sense; −∞: each does.
    pub min: f64,
    /// The greatest value that makes sense; ∞: each does.
    pub max: f64,
    /// What a value outside is marked.
    pub outside: Quality,
    /// When it is stuck; `None`: it may be still for ever.
    pub still: Option<still::Limit>,
    /// What a spike is; `None`: nothing.
    pub spike: Option<spike::Limit>,
    /// By how much it can change in a second, in its unit; `None`: by anything.
    pub max_step: Option<f64>,
}

impl Checks {
    /// Whether there is no check at all.
    #[must_use]
    pub const fn nothing(&self) -> bool {
        let range = self.min > f64::NEG_INFINITY || self.max < f64::INFINITY;
        !range && self.still.is_none() && self.spike.is_none() && self.max_step.is_none()
    }
}

/// Why a reading is marked, in the order in which it is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Complaint {
    /// It lies outside the range.
    Range,
    /// The sensor does not move.
    Stuck,
    /// It lies far from those before it.
    Spike,
    /// It came there too fast.
    Step,
}

/// The counters of `curb status`, in the order of [`Complaint`].
const COUNTERS: [&str; 4] = ["marked-range", "marked-stuck", "marked-spike", "marked-step"];

/// A point and what is remembered of it.
#[derive(Debug)]
struct Watched {
    checks: Checks,
    still: Still,
    spike: Spike,
    step: Step,
}

impl Watched {
    fn new(checks: Checks) -> Self {
        Self { checks, still: Still::default(), spike: Spike::default(), step: Step::default() }
    }

    /// What is wrong with a value. Whether a sensor moves is seen by each of its values, the rest by those that are good.
    fn judge(&mut self, at: i64, value: f64, quality: Quality) -> Option<Complaint> {
        let checks = self.checks;
        let stuck = checks.still.is_some_and(|limit| self.still.is_stuck(at, value, limit));
        if !quality.is_good() {
            return None;
        }
        if !(checks.min..=checks.max).contains(&value) {
            return Some(Complaint::Range);
        }
        let spike = checks.spike.is_some_and(|limit| self.spike.is_spike(value, limit));
        let step = checks.max_step.is_some_and(|per_second| self.step.is_too_large(at, value, per_second));
        let found = [(stuck, Complaint::Stuck), (spike, Complaint::Spike), (step, Complaint::Step)];
        found.into_iter().find(|(is, _)| *is).map(|(_, complaint)| complaint)
    }
}

/// The plugin.
#[derive(Debug)]
pub struct Guard {
    /// Sorted by point.
    points: Vec<(PointId, Watched)>,
}

impl Guard {
    fn judge(&mut self, row: &Row<'_>) -> Option<(Complaint, Quality)> {
        // A bit has two values, both of which are right.
        let value = row.value?.number()?;
        let place = self.points.binary_search_by_key(&row.point, |(point, _)| *point).ok()?;
        let watched = &mut self.points[place].1;
        let complaint = watched.judge(row.at, value, row.quality)?;
        let quality = match complaint {
            Complaint::Range => watched.checks.outside,
            Complaint::Stuck => Quality::STALE,
            Complaint::Spike | Complaint::Step => Quality::OUT_OF_RANGE,
        };
        Some((complaint, quality))
    }
}

impl Filter for Guard {
    fn init(setup: &Setup) -> Result<Self, String> {
        let checks = settings::checks(setup.settings()?, setup.inputs().map(|(id, name, _)| (id, name)))?;
        Ok(Self { points: checks.into_iter().map(|(point, checks)| (point, Watched::new(checks))).collect() })
    }

    fn process(&mut self, _: Now, rows: Rows<'_>, out: &mut Out) -> Result<(), String> {
        let mut marked = [0; COUNTERS.len()];
        for row in rows {
            match self.judge(&row) {
                None => out.keep(&row),
                Some((complaint, quality)) => {
                    out.remark(&row, quality);
                    marked[complaint as usize] += 1;
                }
            }
        }
        for (counter, marked) in COUNTERS.into_iter().zip(marked).filter(|(_, marked)| *marked > 0) {
            counter_add(counter, marked);
        }
        Ok(())
    }
}

#[cfg(target_arch = "wasm32")]
curb_plugin::export!(Guard);

curb_plugin::manifest!("../settings.json");
