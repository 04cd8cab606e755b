//! What may be told of a period, given what was counted in it. Pure: the whole of what protects people stands here and in `noise`.

use curb_plugin::{Quality, Reason};

use crate::noise::{Noise, Place};

/// What the readings of a point are, and so what a period of them comes to. The numbers stand in saved state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Each reading is a number of passages: the period has their sum.
    Sum = 0,
    /// Each reading is how many passages there ever were: the period has by how much it rose.
    Total = 1,
    /// Each reading is how many people are there: the period has the most.
    Max = 2,
    /// The same: the period has the mean of the readings, to whole persons.
    Mean = 3,
}

/// How a period without any reading is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// As bad (absent): a sensor that is polled has failed.
    Absent,
    /// As nobody: a sensor that speaks only when somebody passes was right to be silent.
    Zero,
}

/// What a count below the floor is told as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// As 0.
    Zero,
    /// As bad (absent).
    Absent,
}

/// How a count is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As it is, unless it is below `k`.
    Floor {
        /// The least count that is told; 2 or more.
        k: u64,
        /// What a smaller one is told as.
        below: Below,
    },
    /// To the nearest multiple, the greater of two that are as near.
    Round {
        /// Of this; 2 or more.
        to: u64,
    },
    /// With noise, until the budget of the day is spent.
    Noise {
        /// What a period costs, in [`PARTS`](crate::noise::PARTS) of ε.
        epsilon: u64,
        /// What a day may cost, likewise.
        budget: u64,
    },
}

/// All about one point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// What its readings are.
    pub kind: Kind,
    /// How its counts are told.
    pub mode: Mode,
    /// How a period without readings is told.
    pub silence: Silence,
    /// Length of a period in nanoseconds: a day is a multiple of it.
    pub length: i64,
    /// How long after its end a period is told, for readings that are late, in nanoseconds; `length` at most.
    pub wait: i64,
}

/// What was counted in a period. All of it is on the hub only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Readings with a value.
    pub readings: u64,
    /// Their sum.
    pub sum: u64,
    /// The greatest of them.
    pub most: u64,
    /// Whether there were readings without a value that counts.
    pub failed: bool,
    /// Why it is doubtful, if it is.
    pub doubt: Reason,
}

impl Tally {
    /// A reading.
    pub fn count(&mut self, people: u64) {
        self.readings += 1;
        self.sum = self.sum.saturating_add(people);
        self.most = self.most.max(people);
    }

    /// The first doubt stays.
    pub fn doubt(&mut self, reason: Reason) {
        if self.doubt == Reason::NONE {
            self.doubt = reason;
        }
    }

    /// A reading that does not count.
    pub fn fail(&mut self, reason: Reason) {
        self.failed = true;
        self.doubt(reason);
    }

    /// What it comes to: the number that one passage, or one person, changes by 1 at most. `None`: nothing is known.
    #[must_use]
    pub fn aggregate(&self, rule: &Rule) -> Option<u64> {
        if self.readings == 0 {
            return (rule.silence == Silence::Zero && !self.failed).then_some(0);
        }
        Some(match rule.kind {
            Kind::Sum | Kind::Total => self.sum,
            Kind::Max => self.most,
            // Half a person is a whole one: rounding keeps what differs by 1 at most from differing by 2.
            Kind::Mean => (self.sum.wrapping_mul(2) / self.readings).div_ceil(2),
        })
    }
}

/// What is told of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Telling {
    /// The count as it is told; with noise it may be negative. `None`: bad.
    pub count: Option<i64>,
    /// How far it can be relied on.
    pub quality: Quality,
}

impl Rule {
    /// What is told. It depends on the aggregate, the doubt, the place and the secret, and on no reading.
    #[must_use]
    pub fn tell(&self, tally: &Tally, place: Place<'_>, noise: Option<&Noise>) -> Telling {
        let count = tally.aggregate(self).and_then(|people| self.disguise(people, place, noise));
        let quality = match (count, tally.doubt) {
            (None, Reason::NONE) => Quality::bad(Reason::ABSENT),
            (None, doubt) => Quality::bad(doubt),
            (Some(_), Reason::NONE) => Quality::GOOD,
            (Some(_), doubt) => Quality::uncertain(doubt),
        };
        Telling { count, quality }
    }

    /// When a period begins. Without a check for overflow, which is 100 bytes each: hub time ends in 292 years.
    #[must_use]
    pub const fn start(&self, period: i64) -> i64 {
        period.wrapping_mul(self.length)
    }

    /// What a period costs, if telling it does.
    #[must_use]
    pub const fn cost(&self) -> Option<(u64, u64)> {
        match self.mode {
            Mode::Noise { epsilon, budget } => Some((epsilon, budget)),
            Mode::Floor { .. } | Mode::Round { .. } => None,
        }
    }

    fn disguise(&self, people: u64, place: Place<'_>, noise: Option<&Noise>) -> Option<i64> {
        let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        match self.mode {
            Mode::Floor { k, .. } if people >= k => Some(whole(people)),
            Mode::Floor { below, .. } => (below == Below::Zero).then_some(0),
            Mode::Round { to } => Some(whole((people.saturating_add(to / 2)) / to * to)),
            // Without the secret there is no noise, and without noise nothing is told.
            Mode::Noise { epsilon, .. } => Some(whole(people).saturating_add(noise?.at(place, epsilon))),
        }
    }
}
