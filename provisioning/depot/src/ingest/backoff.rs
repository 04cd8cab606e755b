//! How long to wait before the broker is tried again. Pure: the random number is passed in.

use std::time::Duration;

/// The first wait is somewhere up to here.
const FIRST: Duration = Duration::from_secs(1);
/// No wait is longer: there is one ingester, and ten thousand hubs wait for it.
const LONGEST: Duration = Duration::from_secs(15);
/// A session that lasted this long was a good one, and the next failure starts from the beginning.
const GOOD_SESSION: Duration = Duration::from_secs(30);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after a session that lasted `lasted`; `random` is in 0..1 (full jitter).
    pub(super) fn after(&mut self, lasted: Duration, random: f64) -> Duration {
        if lasted >= GOOD_SESSION {
            self.failures = 0;
        }
        let ceiling = FIRST.saturating_mul(1 << self.failures.min(8)).min(LONGEST);
        self.failures += 1;
        ceiling.mul_f64(random.clamp(0.0, 1.0))
    }
}
