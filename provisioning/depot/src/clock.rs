//! The one place where the depot reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;

const MS_PER_DAY: i64 = 86_400_000;

/// The day of a moment, in days since 1970 (UTC).
pub(crate) const fn day(ms: i64) -> i64 {
    ms.div_euclid(MS_PER_DAY)
}

/// Now, in UTC.
#[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
pub(crate) fn now() -> OffsetDateTime {
    SystemTime::now().into()
}

/// Now, in milliseconds since 1970; 0 for a clock before that.
#[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
