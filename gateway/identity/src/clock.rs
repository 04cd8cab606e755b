//! The time by which the core's certificate is judged.
//!
//! A hub has no battery clock and may start in 1970, when no certificate is valid yet. Its own certificate was issued
//! before it started, so the time cannot be before that: this is the floor.

use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// The wall clock, but never before the floor.
#[derive(Debug)]
pub(crate) struct FlooredClock {
    floor: UnixTime,
}

impl FlooredClock {
    /// `floor` in seconds since 1970.
    pub(crate) fn new(floor: i64) -> Self {
        Self { floor: UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(floor).unwrap_or(0))) }
    }

    /// Whether this time is the floor itself: the wall clock says something that cannot be.
    pub(crate) fn is_floor(&self, time: UnixTime) -> bool {
        time <= self.floor
    }
}

impl TimeProvider for FlooredClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::now().max(self.floor))
    }
}
