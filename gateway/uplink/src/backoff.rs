//! When to connect again. Pure: durations and the random number are passed in.
//!
//! After a power cut a whole city comes back in the same second, and a broker that restarts loses all its hubs at once;
//! a hub cannot tell that from trouble of its own. So each try comes at a random moment of the spread, the first one as
//! well. Only a daemon that has just been started on a hub that is long up goes at once: an installer waits for it.

use std::time::Duration;

/// A hub that has been up for this long has not come back with the city.
const UP: Duration = Duration::from_secs(120);
/// A connection that stood for this long was good: the spread begins anew. One that breaks sooner is a core in trouble.
const LASTED: Duration = Duration::from_secs(60);
/// The spread grows to this.
const SPREAD_MAX: Duration = Duration::from_secs(300);

/// Counts the tries since the last good connection.
#[derive(Debug)]
pub(crate) struct Backoff {
    spread: Duration,
    tries: u32,
    /// Nothing has been tried in this life of the daemon.
    first: bool,
}

impl Backoff {
    pub(crate) const fn new(spread: Duration) -> Self {
        Self { spread, tries: 0, first: true }
    }

    /// How long to wait now. `up`: the hub's uptime. `lasted`: how long the last connection stood, from CONNACK; none
    /// if there was none. `random`: from 0 to 1.
    pub(crate) fn wait(&mut self, up: Duration, lasted: Option<Duration>, random: f64) -> Duration {
        let first = std::mem::take(&mut self.first);
        if lasted.is_some_and(is_good) {
            self.tries = 0;
        }
        if first && up >= UP {
            return Duration::ZERO;
        }
        let spread = doubled(self.spread, self.tries, SPREAD_MAX.max(self.spread));
        self.tries = self.tries.saturating_add(1);
        spread.mul_f64(random.clamp(0.0, 1.0))
    }
}

/// Whether a connection that stood for this long was a good one.
pub(crate) fn is_good(lasted: Duration) -> bool {
    lasted >= LASTED
}

/// `base` doubled `times`, at most `limit`.
pub(crate) fn doubled(base: Duration, times: u32, limit: Duration) -> Duration {
    base.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(limit)
}

#[cfg(test)]
mod tests;
