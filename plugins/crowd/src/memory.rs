//! What a point remembers: the periods that are open, which ones are over for good, and what the day has cost.
//!
//! Two promises are kept here, whatever restarts, power cuts and lost states do, as long as hub time does not go back: no period
//! is told twice, since two tellings of two counts with the same noise would tell the difference; and no day costs more than its
//! budget. A memory that is lost is taken for the worst that it could have been.

use curb_plugin::Reason;

use crate::rule::{Rule, Tally};

/// A day of hub time, in nanoseconds: 24 hours of the hub being on, begun at no particular time of the street's day.
pub const DAY: i64 = 86_400_000_000_000;

/// What is remembered of one point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// The first period that may still be told.
    pub next: i64,
    /// The day that `spent` belongs to.
    pub day: i64,
    /// What telling has cost on that day.
    pub spent: u64,
    /// The last reading of a running total.
    pub total: Option<u64>,
    /// Periods that are not told yet, by number, ascending: two at most while time goes on evenly.
    pub open: Vec<(i64, Tally)>,
}

impl Memory {
    /// The memory of a point of which nothing is known. Each period of the day before this one counts as told: it may have been, by
    /// an earlier life whose memory is lost. This one has begun without us, so it will be uncertain.
    #[must_use]
    pub fn begin(rule: &Rule, now: i64) -> Self {
        let next = now.div_euclid(rule.length);
        let day = now.div_euclid(DAY);
        let before = next - day * (DAY / rule.length);
        let spent = rule.cost().map_or(0, |(cost, _)| cost * u64::try_from(before).unwrap_or(0));
        let mut memory = Self { next, day, spent, total: None, open: Vec::new() };
        memory.doubt(Reason::ABSENT, rule, now);
        memory
    }

    /// What is counted in the period of this time; `None`: it is over.
    pub fn tally(&mut self, rule: &Rule, at: i64) -> Option<&mut Tally> {
        let period = at.div_euclid(rule.length);
        if period < self.next {
            return None;
        }
        let place = match self.open.binary_search_by_key(&period, |(number, _)| *number) {
            Ok(place) => place,
            Err(place) => {
                self.open.insert(place, (period, Tally::default()));
                place
            }
        };
        Some(&mut self.open[place].1)
    }

    /// Something is missing from each period that is open, and from the one of now.
    pub fn doubt(&mut self, reason: Reason, rule: &Rule, now: i64) {
        let _now = self.tally(rule, now);
        self.open.iter_mut().for_each(|(_, tally)| tally.doubt(reason));
    }

    /// By how much a running total has risen to `now`, and what makes that doubtful. One that has fallen began anew at 0.
    pub fn rise(&mut self, now: u64) -> (u64, Reason) {
        match self.total.replace(now) {
            None => (0, Reason::ABSENT),
            Some(then) if then <= now => (now - then, Reason::NONE),
            Some(_) => (now, Reason::RANGE),
        }
    }

    /// The oldest period that is over, and closes all that are: call it until there is none. A period of which nothing was heard and nobody was there to hear (the hub was
    /// off, or time went ahead) closes without a word.
    pub fn close(&mut self, rule: &Rule, now: i64) -> Option<(i64, Tally)> {
        let running = now.saturating_sub(rule.wait).div_euclid(rule.length);
        let over = self.open.first().is_some_and(|(period, _)| *period < running);
        self.next = self.next.max(running);
        over.then(|| self.open.remove(0))
    }

    /// Whether telling this period is within the budget of its day.
    pub fn affords(&mut self, rule: &Rule, period: i64) -> bool {
        let day = rule.start(period).div_euclid(DAY);
        if day > self.day {
            (self.day, self.spent) = (day, 0);
        }
        rule.cost().is_none_or(|(cost, budget)| self.spent.saturating_add(cost) <= budget)
    }

    /// It is told.
    pub fn pay(&mut self, rule: &Rule) {
        self.spent = self.spent.saturating_add(rule.cost().map_or(0, |(cost, _)| cost));
    }

    /// The same memory under a rule with other periods, or another kind. What is open cannot be told any more; the period of `now`,
    /// when the old rule was called last, has begun under that and is uncertain under this.
    pub fn change(&mut self, old_length: i64, rule: &Rule, now: i64) {
        self.open.clear();
        self.total = None;
        self.next = self.next.wrapping_mul(old_length).div_euclid(rule.length);
        self.doubt(Reason::ABSENT, rule, now);
    }
}
