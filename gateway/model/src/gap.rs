//! Why readings that were made will never arrive.

use std::fmt;
use std::str::FromStr;

/// The reason in a gap record. Every reading that is lost is counted under one of these, here and at the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GapReason {
    /// The store's byte limit was reached; the oldest rows went.
    Full,
    /// Older than the core wants.
    Expired,
    /// The data policy refuses the point.
    Policy,
    /// The broker refused the message for what it is (PUBACK 0x90, 0x95, 0x99); it is set aside on the hub.
    SetAside,
    /// A plugin failed on it; set aside, or held until the bound.
    Plugin,
    /// A queue inside the hub was full.
    Overload,
    /// The store was damaged and put aside.
    Damaged,
}

impl GapReason {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 7] =
        [Self::Full, Self::Expired, Self::Policy, Self::SetAside, Self::Plugin, Self::Overload, Self::Damaged];

    /// The word in gap records, in the ledger and in `curb status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Expired => "expired",
            Self::Policy => "policy",
            Self::SetAside => "set-aside",
            Self::Plugin => "plugin",
            Self::Overload => "overload",
            Self::Damaged => "damaged",
        }
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for GapReason {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or(())
    }
}
