//! How long readings linger: what the operator says, and longer while the budget of the line is not kept otherwise. Pure.
//!
//! Larger messages cost less for each reading. So while data has to wait for the budget the wait before the queue doubles, up
//! to a minute, and when there is room for the smaller messages again it halves, down to what the config says. Only what a
//! minute of gathering cannot save waits in the queue.

use std::time::Duration;

use tokio::time::Instant;

/// What a power cut may cost of a hub that is short of air time, at most.
const LONGEST: Duration = Duration::from_secs(60);
/// The first step from none at all: some poll rounds.
const FIRST: Duration = Duration::from_secs(5);
/// A look at least this often tells nothing: messages go out in bursts.
const LOOK: Duration = Duration::from_secs(30);
/// Below this share of the budget there is room for half the wait, which costs more bytes, but never twice as many: the
/// readings stay as many as they are. If it was too much, data waits, and the wait doubles again.
const ROOM: f64 = 0.6;

/// What the uplink has counted since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Bytes on the line.
    pub(crate) bytes: u64,
    /// How often data had to wait for the budget.
    pub(crate) waited: u64,
    /// Whether there is a line at all.
    pub(crate) connected: bool,
}

/// The wait as it is now.
#[derive(Debug)]
pub(crate) struct Pace {
    linger: Duration,
    looked: Instant,
    seen: Seen,
}

impl Pace {
    pub(crate) const fn new(linger: Duration, now: Instant) -> Self {
        Self { linger, looked: now, seen: Seen { bytes: 0, waited: 0, connected: false } }
    }

    pub(crate) const fn linger(&self) -> Duration {
        self.linger
    }

    /// The wait from here on. `least` is what the operator says, `per_second` what the line may carry.
    pub(crate) fn look(&mut self, least: Duration, per_second: Option<f64>, seen: Seen, now: Instant) -> Duration {
        let Some(per_second) = per_second else {
            self.linger = least;
            return least;
        };
        self.linger = self.linger.max(least);
        let passed = now.saturating_duration_since(self.looked);
        if passed < LOOK.max(self.linger * 2) {
            return self.linger;
        }
        if !seen.connected {
            // Nothing was sent, and that is not for want of readings: what waits now is sent later, and costs then.
            (self.looked, self.seen) = (now, seen);
            return self.linger;
        }
        let bytes = seen.bytes.saturating_sub(self.seen.bytes);
        let waited = seen.waited != self.seen.waited;
        if waited {
            self.linger = (self.linger * 2).max(FIRST).min(LONGEST.max(least));
        } else if (bytes as f64) < per_second * passed.as_secs_f64() * ROOM {
            self.linger = if self.linger <= FIRST { least } else { (self.linger / 2).max(least) };
        }
        (self.looked, self.seen) = (now, seen);
        self.linger
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    /// The wait after so many seconds on a line that takes `per_second` bytes, of a hub whose messages have 300 bytes and
    /// 40 for each second of readings in them; and the bytes of the last hour.
    fn settle(least: Duration, per_second: u32, seconds: u32) -> (Duration, u64) {
        let start = Instant::now();
        let mut pace = Pace::new(least, start);
        let (mut linger, mut level, mut last_hour) = (least, 0_i64, 0);
        let mut seen = Seen { connected: true, ..Seen::default() };
        let (mut queue, mut due) = (VecDeque::new(), 0);
        for second in 0..seconds {
            let now = start + S * second;
            if second >= due {
                let round = linger.max(S).as_secs();
                queue.push_back(300 + 40 * round);
                due = second + u32::try_from(round).unwrap();
            }
            level = (level + i64::from(per_second)).min(i64::from(per_second) * 3_600);
            while !queue.is_empty() {
                if level <= 0 {
                    seen.waited += 1;
                    break;
                }
                let bytes: u64 = queue.pop_front().unwrap();
                level -= bytes.cast_signed();
                seen.bytes += bytes;
                if second + 3_600 > seconds {
                    last_hour += bytes;
                }
            }
            linger = pace.look(least, Some(f64::from(per_second)), seen, now);
        }
        (linger, last_hour)
    }

    #[test]
    fn a_line_with_room_has_messages_as_the_operator_says() {
        assert_eq!(settle(Duration::ZERO, 1_000, 86_400).0, Duration::ZERO);
        assert_eq!(settle(5 * S, 1_000, 86_400).0, 5 * S);
    }

    #[test]
    fn a_tight_line_has_larger_messages_and_no_queue() {
        // 340 bytes/s without a wait, 60 with 15 s, 45 with a minute.
        let (linger, last_hour) = settle(Duration::ZERO, 90, 2 * 86_400);
        assert!((FIRST..LONGEST).contains(&linger), "{linger:?}");
        assert!(last_hour <= 90 * 3_600 * 11 / 10, "{last_hour}");
    }

    #[test]
    fn a_line_that_no_message_can_be_large_enough_for_has_the_longest_wait_and_no_longer_one() {
        assert_eq!(settle(Duration::ZERO, 20, 86_400).0, LONGEST);
    }

    #[test]
    fn without_the_core_messages_stay_as_large_as_they_are() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::ZERO, start);
        let mut seen = Seen { bytes: 1_000, waited: 1, connected: true };
        assert_eq!(pace.look(Duration::ZERO, Some(100.0), seen, start + 60 * S), FIRST);
        seen.connected = false;
        for minute in 2..120 {
            assert_eq!(pace.look(Duration::ZERO, Some(100.0), seen, start + 60 * minute * S), FIRST);
        }
        seen.connected = true;
        assert_eq!(pace.look(Duration::ZERO, Some(100.0), seen, start + 7_260 * S), Duration::ZERO);
    }

    #[test]
    fn without_a_budget_only_the_operator_counts() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::ZERO, start);
        let seen = Seen { bytes: 1 << 30, waited: 7, connected: true };
        assert_eq!(pace.look(3 * S, None, seen, start + 1_000 * S), 3 * S);
        assert_eq!(pace.look(Duration::ZERO, None, seen, start + 2_000 * S), Duration::ZERO);
    }
}
