//! The wall clock: the only place that reads it. All that is measured runs on one machine, so all wall clocks agree.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Since 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A moment as a register holds it: tenths of milliseconds, going round every 6.5 s.
#[expect(clippy::cast_possible_truncation, reason = "documented: it goes round")]
pub(crate) fn stamp(since_1970: Duration) -> u16 {
    (since_1970.as_micros() / 100) as u16
}

/// How long ago a stamp was at the moment `now`; anything up to 6.5 s.
pub(crate) fn age(stamp_then: u16, now: Duration) -> Duration {
    Duration::from_micros(100) * u32::from(stamp(now).wrapping_sub(stamp_then))
}
