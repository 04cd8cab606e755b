//! The wall clock: the only place that reads it.

use std::time::{SystemTime, UNIX_EPOCH};

/// UTC now, in milliseconds since 1970. Simulators and hub run on one machine, so their wall clocks agree.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
