//! How one unit is doing, and when it may be asked again. Pure.
//!
//! ```text
//!            answer                     no answer                    no answer
//! New ────────────────► Answering ◄───────────────► Missed ───────────────────► Lost ──┐ no answer: rests longer,
//!  │                        ▲          answer                                    ▲ │    │ 0.5 s, 10 s, 60 s
//!  └── no answer ───────────┼────────────────────────────────────────────────────┘ │◄───┘
//!                           └───────────────── answer ─────────────────────────────┘
//! ```
//!
//! A single lost answer is ordinary: a unit is asked again after half a second, at nobody's expense, if it had been heard
//! for so long without a failure that this one costs the line no more than the share of the silent. One that fails more
//! often, every second time perhaps, pays out of that share like one that is dead.

use std::time::Duration;

use super::SHARE;
use super::patience::Patience;

/// How long a unit is left alone after its first, second and every further failure in a row. The first is short because a
/// single lost answer is ordinary; with the last, a lamp that gets its power back is read within a minute, if there are not
/// many like it.
const BACK_OFF: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(10), Duration::from_secs(60)];

/// Garbled answers in a row after which a unit is treated as one that does not answer: they cost the line as much. Single
/// ones are noise, and the next poll is the retry.
const GARBLED_LIMIT: u32 = 3;

/// What came of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The unit answered, be it with an exception.
    Answered,
    /// Something came, but no answer.
    Garbled,
    /// Nothing came in time.
    Silent,
    /// The unit could not be asked: says nothing about it.
    NotAsked,
}

/// What a person should hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It has failed twice in a row, and is asked less often from now on.
    Lost,
    /// It answers again.
    Back,
}

/// What an outcome meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) change: Option<Change>,
    /// The time that it took counts against the share of the silent.
    pub(super) is_rationed: bool,
}

/// One unit of a bus.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub(super) patience: Patience,
    /// It has answered since the bus was started.
    known: bool,
    /// Failed rounds in a row.
    failures: usize,
    /// Garbled rounds in a row.
    garbled: u32,
    /// Not asked before.
    rests_until: Duration,
    /// Its next failure is pardoned from then on.
    pardon: Duration,
    /// Its last failure was pardoned.
    pardoned: bool,
    /// When its last round ended.
    last_turn: Duration,
}

impl Unit {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            patience: Patience::new(timeout),
            known: false,
            failures: 0,
            garbled: 0,
            rests_until: Duration::ZERO,
            pardon: Duration::ZERO,
            pardoned: false,
            last_turn: Duration::ZERO,
        }
    }

    /// It has answered its last round, or was forgiven that it did not.
    pub(super) const fn is_answering(&self) -> bool {
        self.known && self.failures == 0
    }

    /// It has not answered yet, and has not failed either.
    pub(super) const fn is_new(&self) -> bool {
        !self.known && self.failures == 0
    }

    /// It failed when it was last asked.
    pub(super) const fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// It has failed twice or more in a row.
    pub(super) const fn is_lost(&self) -> bool {
        self.failures > 1
    }

    /// Whether it may be asked whatever the silent have used up.
    pub(super) const fn is_free(&self) -> bool {
        self.is_answering() || self.pardoned
    }

    pub(super) const fn rests_until(&self) -> Duration {
        self.rests_until
    }

    pub(super) const fn last_turn(&self) -> Duration {
        self.last_turn
    }

    /// Notes what came of a round that ended `now`.
    pub(super) fn note(&mut self, now: Duration, outcome: Outcome) -> Noted {
        match outcome {
            Outcome::NotAsked => return Noted::default(),
            Outcome::Answered => {
                self.last_turn = now;
                let was_lost = self.is_lost();
                if !self.is_answering() {
                    self.pardon = now + self.patience.timeout() * SHARE;
                }
                (self.known, self.failures, self.garbled, self.pardoned) = (true, 0, 0, false);
                self.rests_until = Duration::ZERO;
                return Noted { change: was_lost.then_some(Change::Back), is_rationed: false };
            }
            Outcome::Silent => {}
            Outcome::Garbled => {
                self.garbled += 1;
                if self.garbled < GARBLED_LIMIT && self.failures == 0 {
                    self.last_turn = now;
                    return Noted::default();
                }
            }
        }
        self.last_turn = now;
        self.pardoned = self.is_answering() && now >= self.pardon;
        self.rests_until = now + BACK_OFF[self.failures.min(BACK_OFF.len() - 1)];
        self.failures += 1;
        self.patience.failed();
        let change = (self.failures == 2).then_some(Change::Lost);
        Noted { change, is_rationed: !self.pardoned }
    }
}

#[cfg(test)]
mod tests;
