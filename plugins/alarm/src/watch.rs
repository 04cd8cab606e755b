//! When an alarm is raised and cleared: delays, the least time on, the latch, and what nobody has confirmed. Pure.
//!
//! A watch decides by the times of readings. A call that says how late it is changes *when* something is told, and never what, or
//! with which time: a delay ends when it ends, not when somebody looks. All but readings that come late, of which the watch
//! has decided the time already: they count as of then.

/// What a reading says of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It is beyond the threshold.
    Over,
    /// It is between the threshold and where the alarm clears: nothing changes.
    Between,
    /// It is where the alarm clears.
    Under,
    /// It cannot be relied on, or is none that the rule can compare.
    Nothing,
}

/// The times of a rule, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// What the rule waits for.
    pub cause: Cause,
    /// How long the cause must last until the alarm is raised.
    pub after: i64,
    /// How long it must be away until the alarm is cleared.
    pub clear_after: i64,
    /// How long the alarm is on at least.
    pub min_on: i64,
    /// For how long a reading tells what is; an older one neither raises nor clears.
    pub stale_after: i64,
    /// Whether it stays on until it is [released](Watch::release).
    pub latch: bool,
}

/// What raises an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A value.
    Value,
    /// That there is none: each reading that can be relied on is [`Seen::Under`].
    Absence,
}

/// An alarm that was raised or cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// When.
    pub at: i64,
    /// Whether it is on now.
    pub on: bool,
}

/// What must be known of a rule to go on. Times are hub time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watch {
    /// Since when the alarm is on.
    pub raised: Option<i64>,
    /// Since when the readings say what the alarm does not: the cause while it is off, its absence while it is on.
    pub turning: Option<i64>,
    /// The newest reading that could be relied on.
    pub confirmed: Option<i64>,
    /// When the latch was let go, while the alarm was about to clear.
    pub released: Option<i64>,
    /// Up to when everything is decided.
    pub reached: Option<i64>,
    /// When the state was told last.
    pub told: Option<i64>,
}

impl Watch {
    /// A reading.
    pub fn see(&mut self, at: i64, seen: Seen, timing: &Timing, turns: &mut Vec<Turn>) {
        let at = self.reach(at, timing, turns);
        if seen == Seen::Nothing {
            // Contact must be back without a break to be back.
            if timing.cause == Cause::Absence && self.raised.is_some() {
                self.turning = None;
            }
            return self.pass(at, timing, turns);
        }
        let against = if self.raised.is_some() { seen == Seen::Under } else { seen == Seen::Over };
        if !against {
            (self.turning, self.released) = (None, None);
        } else if self.turning.is_none() || !self.is_fresh(at, timing) {
            (self.turning, self.released) = (Some(at), None);
        }
        self.confirmed = Some(at);
        self.rest(at, timing);
        self.pass(at, timing, turns);
    }

    /// Time has passed: ends the delays that end by then.
    pub fn pass(&mut self, to: i64, timing: &Timing, turns: &mut Vec<Turn>) {
        let to = self.reached.map_or(to, |reached| reached.max(to));
        if self.turning.is_none() {
            self.rest(to, timing);
        }
        while let Some(due) = self.due(timing).filter(|due| *due <= to && self.is_known(*due, timing)) {
            // Not before what was told: after a change of settings a delay may have ended long ago.
            let at = self.told.map_or(due, |told| told.max(due));
            let on = self.raised.is_none();
            self.raised = on.then_some(at);
            (self.turning, self.released, self.told) = (None, None, Some(at));
            self.rest(self.confirmed.unwrap_or(at), timing);
            turns.push(Turn { at, on });
        }
        self.reached = Some(to);
    }

    /// Somebody lets the latch go. Counts from when the cause is away until it is back.
    pub fn release(&mut self, at: i64, timing: &Timing, turns: &mut Vec<Turn>) {
        let at = self.reach(at, timing, turns);
        if self.raised.is_some() && self.turning.is_some() && self.is_fresh(at, timing) {
            self.released = self.released.or(Some(at));
        }
        self.pass(at, timing, turns);
    }

    /// Nobody watched for this long, until now: it was no silence of the device, and a delay whose value nobody has confirmed
    /// meanwhile begins anew.
    pub fn skip(&mut self, away: i64, now: i64, timing: &Timing) {
        if timing.cause == Cause::Absence && self.raised.is_none() {
            self.turning = self.turning.map(|since| since.saturating_add(away));
        } else if !self.is_fresh(now, timing) {
            (self.turning, self.released) = (None, None);
        }
    }

    /// The state once more, as of when everything is decided, if it is known and was told `every` before that or earlier; and
    /// whether a reading still says so.
    pub fn again(&mut self, every: i64, timing: &Timing) -> Option<(Turn, bool)> {
        let known = self.confirmed.max(self.raised)?;
        let now = self.reached?.max(known);
        if self.told.is_some_and(|told| now.saturating_sub(told) < every) {
            return None;
        }
        self.told = Some(now);
        let fresh = timing.cause == Cause::Absence || self.is_fresh(now, timing);
        Some((Turn { at: now, on: self.raised.is_some() }, fresh))
    }

    /// Ends the delays that end before this reading, which may yet deny one that ends with it. Gives as of when it counts.
    fn reach(&mut self, at: i64, timing: &Timing, turns: &mut Vec<Turn>) -> i64 {
        let Some(reached) = self.reached else {
            return at;
        };
        self.pass(at.saturating_sub(1), timing, turns);
        reached.max(at)
    }

    /// While all is well, a silence may begin at any time.
    fn rest(&mut self, at: i64, timing: &Timing) {
        if timing.cause == Cause::Absence && self.raised.is_none() {
            self.turning = Some(at);
        }
    }

    /// When the alarm turns if nothing else is read.
    fn due(&self, timing: &Timing) -> Option<i64> {
        let turning = self.turning?;
        let Some(raised) = self.raised else {
            return Some(turning.saturating_add(timing.after));
        };
        let due = turning.saturating_add(timing.clear_after).max(raised.saturating_add(timing.min_on));
        if timing.latch { Some(due.max(self.released?)) } else { Some(due) }
    }

    /// Whether it can be known that it turns then.
    fn is_known(&self, due: i64, timing: &Timing) -> bool {
        match timing.cause {
            Cause::Value => self.is_fresh(due, timing),
            Cause::Absence => self.raised.is_none() || self.is_fresh(due, timing),
        }
    }

    fn is_fresh(&self, at: i64, timing: &Timing) -> bool {
        self.confirmed.is_some_and(|confirmed| at.saturating_sub(confirmed) <= timing.stale_after)
    }
}
