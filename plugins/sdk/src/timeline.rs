//! Times that are remembered over a restart, in the hub time of now.
//!
//! Hub time never goes back, but from one life of the hub to the next it does not grow by what has passed: it stands while the
//! hub is off, and leaps ahead when it starts (by ten minutes at most). UTC tells what has passed, where the hub knew it before
//! and knows it now. A plugin that takes the difference of times from before and behind a restart needs this; within one life
//! hub time is right, and UTC may be stepped.

use crate::{Now, Pack, Unpack};

/// UTC may go back so far over a restart and be believed all the same, in nanoseconds: it is slewed, and the restart of a
/// plugin alone takes no time.
const SLEWED: i64 = 1_000_000_000;

/// How time was at the newest call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Nanoseconds of hub time.
    time: i64,
    /// The last UTC offset of this life of the hub that was known.
    offset: Option<i64>,
    is_restored: bool,
}

/// What is to become of times that are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// They are right.
    Steady,
    /// There was a restart: so many nanoseconds are to be added to them.
    Slept(i64),
    /// There was a restart, and nobody knows how long ago they are.
    Unknown,
}

impl Timeline {
    /// To be called at the beginning of each call.
    pub fn pass(&mut self, now: Now) -> Passed {
        let before = *self;
        let offset = if before.is_restored { now.utc_offset } else { now.utc_offset.or(before.offset) };
        *self = Self { time: now.time, offset, is_restored: false };
        if !before.is_restored {
            return Passed::Steady;
        }
        let moved = before.offset.zip(now.utc_offset).map(|(before, now)| before.saturating_sub(now));
        let ago = now.time.saturating_sub(before.time);
        match moved {
            Some(moved) if moved <= ago.saturating_add(SLEWED) => Passed::Slept(moved.min(ago)),
            Some(_) | None => Passed::Unknown,
        }
    }

    /// Writes it, 17 bytes.
    pub fn save(&self, pack: &mut Pack) {
        pack.i64(self.time).u8(u8::from(self.offset.is_some())).i64(self.offset.unwrap_or_default());
    }

    /// Reads it: what was remembered with it is from before a restart.
    #[must_use]
    pub fn load(from: &mut Unpack<'_>) -> Self {
        let (time, is_known, offset) = (from.i64(), from.u8() == 1, from.i64());
        Self { time, offset: is_known.then_some(offset), is_restored: true }
    }
}
