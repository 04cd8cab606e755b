//! How long a unit is waited for. Pure.
//!
//! The time-out of the config has to fit the slowest unit on its worst day. A unit that has answered many times is known
//! better: it is given three times the longest that it took. When it fails, the time-out of the config holds again, until
//! it has answered as often once more, and twice as often after each time that it failed a learnt one: a unit that is slow
//! now and then ends up with what the config says.
//!
//! Learnt on serial lines only, where a time-out holds up others. A network is late for reasons of its own.

use std::time::Duration;

/// Answers before anything is believed to be known.
const ENOUGH: u32 = 50;

/// Where doubling them ends: at a poll each second this is a day.
const MOST: u32 = 100_000;

/// A learnt time-out is so many times the longest answer so far.
const MARGIN: u32 = 3;

/// And never shorter than this: what a busy hub may be late by itself.
const LEAST: Duration = Duration::from_millis(100);

/// What is known of one unit's answers.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    /// What the config says; never exceeded.
    timeout: Duration,
    /// The longest that an answer took, of those counted in `answers`.
    longest: Duration,
    answers: u32,
    needed: u32,
}

impl Patience {
    pub(super) const fn new(timeout: Duration) -> Self {
        Self { timeout, longest: Duration::ZERO, answers: 0, needed: ENOUGH }
    }

    pub(super) fn timeout(&self) -> Duration {
        if self.is_learnt() { (self.longest * MARGIN).max(LEAST).min(self.timeout) } else { self.timeout }
    }

    /// It began to answer after `delay`.
    pub(super) fn heard(&mut self, delay: Duration) {
        self.longest = self.longest.max(delay);
        self.answers = self.answers.saturating_add(1);
    }

    /// It failed.
    pub(super) fn failed(&mut self) {
        if self.is_learnt() {
            self.needed = self.needed.saturating_mul(2).min(MOST);
        }
        (self.answers, self.longest) = (0, Duration::ZERO);
    }

    const fn is_learnt(&self) -> bool {
        self.answers >= self.needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Checks the time-out of a unit whose config says `timeout`, after `answers` of these delays in turn.
    fn check(timeout: Duration, delays: &[u64], answers: usize, expected: Duration) {
        let mut patience = Patience::new(timeout);
        delays.iter().cycle().take(answers).for_each(|&delay| patience.heard(ms(delay)));
        assert_eq!(patience.timeout(), expected, "{delays:?} × {answers}");
    }

    #[test]
    fn a_time_out_is_learnt_from_many_answers_and_never_above_the_configured() {
        check(ms(300), &[5], 49, ms(300));
        check(ms(300), &[5], 50, ms(100));
        check(ms(500), &[5, 60, 7], 50, ms(180));
        check(ms(300), &[5, 120], 50, ms(300));
        check(ms(50), &[5], 50, ms(50));
    }

    #[test]
    fn a_failure_brings_the_configured_time_out_back_and_learning_takes_twice_as_long() {
        let mut patience = Patience::new(ms(300));
        for needed in [50, 100, 200, 400] {
            (1..needed).for_each(|_| patience.heard(ms(4)));
            assert_eq!(patience.timeout(), ms(300));
            patience.heard(ms(4));
            assert_eq!(patience.timeout(), ms(100));
            patience.failed();
            assert_eq!(patience.timeout(), ms(300));
            patience.failed();
        }
    }
}
