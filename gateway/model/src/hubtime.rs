//! Time that never steps or goes back.
//!
//! A hub has no battery clock. [`HubTime`] counts on from a persisted high-water mark, so it grows over reboots too; what
//! the wall clock says is a separate [`UtcOffset`], known only while the clock is trusted. The wall clock jumping changes
//! the offset of later readings and nothing that was read before.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// Nanoseconds of hub time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct HubTime(i64);

impl HubTime {
    /// The first moment.
    pub const ZERO: Self = Self(0);

    /// From nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// In nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Later by `duration`; stays at the end of time (292 years) instead of wrapping.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier`; zero if it is not after.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// UTC in milliseconds since 1970.
    #[must_use]
    pub const fn utc_millis(self, offset: UtcOffset) -> i64 {
        self.0.saturating_add(offset.0).div_euclid(1_000_000)
    }
}

impl fmt::Display for HubTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0.div_euclid(1_000_000_000), self.0.rem_euclid(1_000_000_000) / 1_000_000)
    }
}

/// UTC = hub time + this many nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UtcOffset(i64);

impl UtcOffset {
    /// From nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// In nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }
}

/// The hub's running clock. Clones share it: the daemon's clock task sets the offset, everybody reads.
#[derive(Debug, Clone)]
pub struct HubClock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    anchor: Instant,
    base: HubTime,
    /// `NO_OFFSET` while the clock is not trusted.
    offset: AtomicI64,
}

const NO_OFFSET: i64 = i64::MIN;

impl HubClock {
    /// A clock that shows `base` now, and trusts no wall clock yet.
    #[must_use]
    pub fn starting_at(base: HubTime) -> Self {
        Self::anchored(base, Instant::now())
    }

    /// A clock that shows `base` at `anchor`, and trusts no wall clock yet.
    #[must_use]
    pub fn anchored(base: HubTime, anchor: Instant) -> Self {
        Self(Arc::new(Inner { anchor, base, offset: AtomicI64::new(NO_OFFSET) }))
    }

    /// Hub time now.
    #[must_use]
    pub fn now(&self) -> HubTime {
        self.at(Instant::now())
    }

    /// Hub time at that moment; for one before the clock was started, when it was.
    #[must_use]
    pub fn at(&self, moment: Instant) -> HubTime {
        self.0.base.plus(moment.saturating_duration_since(self.0.anchor))
    }

    /// What to add to get UTC; `None` while the clock is not trusted.
    #[must_use]
    pub fn offset(&self) -> Option<UtcOffset> {
        match self.0.offset.load(Ordering::Relaxed) {
            NO_OFFSET => None,
            nanos => Some(UtcOffset(nanos)),
        }
    }

    /// Says what the wall clock is worth from now on.
    pub fn set_offset(&self, offset: Option<UtcOffset>) {
        self.0.offset.store(offset.map_or(NO_OFFSET, UtcOffset::as_nanos), Ordering::Relaxed);
    }
}
