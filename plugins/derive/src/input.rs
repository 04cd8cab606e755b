//! What is known of the inputs, and how far a result can be relied on that is computed from them.

use curb_plugin::{Quality, Reason, Row, Value};

/// The newest reading of an input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latest {
    /// Hub time in nanoseconds.
    pub at: i64,
    /// Its number; 0 if the quality is bad.
    pub number: f64,
    /// How far it can be relied on.
    pub quality: Quality,
}

impl From<&Row<'_>> for Latest {
    #[expect(clippy::cast_precision_loss, reason = "expressions compute in floats")]
    fn from(row: &Row<'_>) -> Self {
        let number = match row.value {
            None => None,
            Some(Value::Bool(bit)) => Some(f64::from(u8::from(bit))),
            Some(Value::Number(number)) => Some(number),
            Some(Value::Signed(number)) => Some(number as f64),
            Some(Value::Unsigned(number)) => Some(number as f64),
            Some(Value::Text(_) | Value::Bytes(_)) => {
                return Self { at: row.at, number: 0.0, quality: Quality::bad(Reason::DECODE) };
            }
        };
        Self { at: row.at, number: number.unwrap_or(0.0), quality: row.quality }
    }
}

/// How far an input can be relied on at this time, in a result that must not rest on readings that are further than `max_age` from
/// it. `started` is since when the plugin has listened. `None`: it cannot be said yet, for it has not listened for long.
#[must_use]
pub fn quality(latest: Option<&Latest>, at: i64, max_age: i64, started: i64) -> Option<Quality> {
    match latest {
        None if at.saturating_sub(started) <= max_age => None,
        None => Some(Quality::bad(Reason::ABSENT)),
        // A bus that is read a little later may have come a little earlier: either side counts.
        Some(latest) if at.saturating_sub(latest.at).saturating_abs() > max_age => Some(Quality::bad(Reason::STALE)),
        Some(latest) => Some(latest.quality),
    }
}

/// The worse of two: bad before uncertain before good, and of two bad ones the one with the worse reason.
#[must_use]
pub fn worse(a: Quality, b: Quality) -> Quality {
    let weight = |quality: Quality| (u8::from(!quality.is_good()) + u8::from(quality.is_bad()), rank(quality.reason()));
    if weight(b) > weight(a) { b } else { a }
}

/// No contact is worse than an answer that makes no sense, that than an answer that says "no value", that than doubt.
fn rank(reason: Reason) -> u8 {
    match reason {
        Reason::NONE => 0,
        Reason::CLOCK => 1,
        Reason::RANGE => 2,
        Reason::STALE => 3,
        Reason::ABSENT => 4,
        Reason::DECODE => 5,
        // Exceptions, and what a later contract may add.
        Reason(_) if reason.0 > Reason::PORT.0 => 6,
        Reason::FRAMING => 7,
        Reason::CRC => 8,
        Reason::TIMEOUT => 9,
        Reason(_) => 10,
    }
}
