//! A reading, and why it may not be good.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{HubTime, Point, Value};

/// One point, read once.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What was read.
    pub point: Arc<Point>,
    /// When: for a poll, the moment its answer was complete, or was given up.
    pub at: HubTime,
    /// What came.
    pub sample: Sample,
}

/// What came of reading a point. A bad sample has no value: nothing can keep a "last value" and send it as new.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// A value that can be relied on.
    Good(Value),
    /// A value, with a doubt.
    Uncertain(Value, Reason),
    /// No value, and why.
    Bad(Reason),
}

impl Sample {
    /// The value, where there is one.
    #[must_use]
    pub const fn value(&self) -> Option<&Value> {
        match self {
            Self::Good(value) | Self::Uncertain(value, _) => Some(value),
            Self::Bad(_) => None,
        }
    }

    /// The doubt or fault, where there is one.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Good(_) => None,
            Self::Uncertain(_, reason) | Self::Bad(reason) => Some(*reason),
        }
    }

    /// Whether the value can be relied on.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Good(_))
    }
}

/// Why a sample is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// No answer in time.
    Timeout,
    /// The device answered with a Modbus exception of this code.
    Exception(u8),
    /// The check sum did not fit.
    Crc,
    /// The frame had the wrong shape: length, unit id, function.
    Framing,
    /// The frame was right, but the bytes are no value of the point's type.
    Decode,
    /// The value lies outside the point's range.
    Range,
    /// The device says that it has no value (its "not available" number).
    Absent,
    /// The value is older than it should be.
    Stale,
    /// The clock was not trusted when the reading was taken.
    Clock,
    /// The port or connection is gone.
    Port,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("timeout"),
            Self::Exception(code) => write!(f, "exception-{code}"),
            Self::Crc => f.write_str("crc"),
            Self::Framing => f.write_str("framing"),
            Self::Decode => f.write_str("decode"),
            Self::Range => f.write_str("range"),
            Self::Absent => f.write_str("absent"),
            Self::Stale => f.write_str("stale"),
            Self::Clock => f.write_str("clock"),
            Self::Port => f.write_str("port"),
        }
    }
}

/// A text that is no [`Reason`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no reason for a reading's quality")]
pub struct ParseReasonError(Box<str>);

impl FromStr for Reason {
    type Err = ParseReasonError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let reason = match text {
            "timeout" => Self::Timeout,
            "crc" => Self::Crc,
            "framing" => Self::Framing,
            "decode" => Self::Decode,
            "range" => Self::Range,
            "absent" => Self::Absent,
            "stale" => Self::Stale,
            "clock" => Self::Clock,
            "port" => Self::Port,
            _ => {
                let code = text.strip_prefix("exception-").and_then(|code| code.parse().ok());
                Self::Exception(code.ok_or_else(|| ParseReasonError(text.into()))?)
            }
        };
        Ok(reason)
    }
}
