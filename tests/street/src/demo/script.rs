//! What happens when, in the demo. Pure.

use std::collections::VecDeque;
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
            Self::CoreReturns => "the core is back, and remembers nothing",
            Self::Kill => "curb is killed (SIGKILL) and started again",
            Self::End => "the end",
        }
    }
}

/// The steps that are still to come.
#[derive(Debug)]
pub(super) struct Script(VecDeque<(Duration, Step)>);

impl Script {
    pub(super) fn new(length: Length) -> Self {
        let at = Duration::from_secs;
        let mut steps = VecDeque::from([(at(20), Step::CoreGoes), (at(30), Step::CoreReturns), (at(42), Step::Kill)]);
        if let Length::Seconds(seconds) = length {
            steps.push_back((at(seconds), Step::End));
        }
        Self(steps)
    }

    /// The next step, if its time has come.
    pub(super) fn due(&mut self, now: Duration) -> Option<Step> {
        self.0.pop_front_if(|(at, _)| *at <= now).map(|(_, step)| step)
    }
}
