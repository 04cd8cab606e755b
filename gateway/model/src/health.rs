//! The standing faults that a person should know of: one word each, the same in the log, in `curb status` and at the core.

use std::fmt;

/// Which part of the hub speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Room {
    /// Buses and devices.
    Source,
    /// Plugins.
    Pipeline,
    /// The queue on disk.
    Store,
    /// The connection to the core.
    Uplink,
    /// Key and certificates.
    Identity,
    /// Time.
    Clock,
    /// Settings.
    Config,
}

impl Room {
    /// The room's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Pipeline => "pipeline",
            Self::Store => "store",
            Self::Uplink => "uplink",
            Self::Identity => "identity",
            Self::Clock => "clock",
            Self::Config => "config",
        }
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A condition that lasts. It is raised once, shown while it stands, and cleared once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Who says so.
    pub room: Room,
    /// What it is about: `bus cabinet`, `device lamp`, `plugin quiet`, `core`.
    pub subject: String,
    /// One stable word, for programs: `port-gone`, `unit-silent`, `core-unreachable`, `not-authorised`.
    pub word: &'static str,
    /// What was seen and what to do, for people.
    pub detail: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({}): {}", self.room, self.subject, self.word, self.detail)
    }
}
