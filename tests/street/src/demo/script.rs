//! What happens when, in the demo. Pure.

use std::str::FromStr;
use std::time::Duration;

/// The script's own length: long enough for all that happens, and for a table that can be read.
const SHORTEST_S: u64 = 60;

/// How long the demo goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// This many seconds, at least 60.
    Seconds(u64),
    /// Until Ctrl-C.
    Forever,
}

/// A text that is no length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected \"forever\" or a number of seconds, at least {SHORTEST_S}")]
pub struct ParseLengthError;

impl Default for Length {
    fn default() -> Self {
        Self::Seconds(SHORTEST_S)
    }
}

impl FromStr for Length {
    type Err = ParseLengthError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "forever" {
            return Ok(Self::Forever);
        }
        let seconds = text.parse().ok().filter(|seconds| *seconds >= SHORTEST_S);
        seconds.map(Self::Seconds).ok_or(ParseLengthError)
    }
}

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    CoreGoes,
    CoreReturns,
    Kill,
    End,
}

impl Step {
    pub(super) const fn describe(self) -> &'static str {
        match self {
            Self::CoreGoes => "the core goes away for 10 s: connections cut, port closed",
            Self::CoreReturns => "the core is back",
            Self::Kill => "curb is killed (SIGKILL) and started again",
            Self::End => "the end",
        }
    }
}

/// What is still to come.
#[derive(Debug)]
pub(super) struct Script {
    length: Length,
    next: Step,
    killed_at: Duration,
}

/// When the core goes, and when it returns.
const CORE_GOES: Duration = Duration::from_secs(20);
const CORE_RETURNS: Duration = Duration::from_secs(30);
/// The hub is killed once it has found the core again and had a moment to hand over what waited, or when it has not for
/// too long.
const KILL_EARLIEST: Duration = Duration::from_secs(42);
const KILL_LATEST: Duration = Duration::from_secs(70);
/// How long the demo goes on after the kill, at least.
const AFTER_KILL: Duration = Duration::from_secs(15);

impl Script {
    pub(super) const fn new(length: Length) -> Self {
        Self { length, next: Step::CoreGoes, killed_at: Duration::ZERO }
    }

    /// The next step, if its time has come.
    pub(super) fn due(&mut self, now: Duration, hub_is_connected: bool) -> Option<Step> {
        let (is_due, after) = match (self.next, self.length) {
            (Step::CoreGoes, _) => (now >= CORE_GOES, Step::CoreReturns),
            (Step::CoreReturns, _) => (now >= CORE_RETURNS, Step::Kill),
            (Step::Kill, _) => (now >= KILL_LATEST || (now >= KILL_EARLIEST && hub_is_connected), Step::End),
            (Step::End, Length::Forever) => (false, Step::End),
            (Step::End, Length::Seconds(seconds)) => {
                (now >= Duration::from_secs(seconds).max(self.killed_at + AFTER_KILL), Step::End)
            }
        };
        if !is_due {
            return None;
        }
        if self.next == Step::Kill {
            self.killed_at = now;
        }
        Some(std::mem::replace(&mut self.next, after))
    }
}
