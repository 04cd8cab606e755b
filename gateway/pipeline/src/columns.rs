//! Readings as columns, the form in which they cross to a plugin, and back.
//!
//! The codes here are those of `plugins/wit`. Nothing here trusts what comes back: columns become readings only through
//! [`Columns::into_readings`], which checks every row.

use std::collections::HashMap;
use std::sync::Arc;

use curb_model::{HubTime, Point, Reading, Reason, Sample, Value};

/// Lists of equal length, one row per reading, but `others`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Columns {
    pub(crate) points: Vec<u32>,
    pub(crate) times: Vec<i64>,
    pub(crate) values: Vec<f64>,
    pub(crate) kinds: Vec<u8>,
    pub(crate) quality: Vec<u8>,
    /// Sorted by row; exactly one for each row of kind 4 to 6.
    pub(crate) others: Vec<(u32, Other)>,
}

/// A value that no float holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Other {
    Signed(i64),
    Unsigned(u64),
    Text(Box<str>),
    Raw(Box<[u8]>),
}

/// Why columns are against the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ColumnsError {
    #[error("columns of unequal length")]
    Length,
    #[error("unknown kind {0}")]
    Kind(u8),
    #[error("unknown quality {0}")]
    Quality(u8),
    #[error("a value that is not finite, or no value of its kind")]
    Value,
    #[error("a value where there should be none, or none where there should be one")]
    Presence,
    #[error("others out of step with the rows")]
    Others,
}

const NONE: u8 = 0;
const BOOL: u8 = 1;
const INTEGER: u8 = 2;
const FLOAT: u8 = 3;
const WIDE: u8 = 4;
const TEXT: u8 = 5;
const BYTES: u8 = 6;

/// Integers up to here are exact as floats.
const EXACT: u64 = 1 << 53;

impl Columns {
    /// Adds the rows of another one.
    pub(crate) fn append(&mut self, mut next: Self) {
        let base = u32::try_from(self.len()).unwrap_or(u32::MAX);
        self.points.append(&mut next.points);
        self.times.append(&mut next.times);
        self.values.append(&mut next.values);
        self.kinds.append(&mut next.kinds);
        self.quality.append(&mut next.quality);
        self.others.extend(next.others.into_iter().map(|(row, other)| (base.saturating_add(row), other)));
    }

    /// Puts the rows into the order of their times; those of one time keep theirs.
    pub(crate) fn sort_by_time(&mut self) {
        if self.times.is_sorted() {
            return;
        }
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by_key(|row| self.times[*row]);
        let mut others: HashMap<u32, Other> = std::mem::take(&mut self.others).into_iter().collect();
        let row_number = |row: usize| u32::try_from(row).unwrap_or(u32::MAX);
        let numbered = order.iter().enumerate();
        self.others =
            numbered.filter_map(|(new, old)| Some((row_number(new), others.remove(&row_number(*old))?))).collect();
        self.points = order.iter().map(|row| self.points[*row]).collect();
        self.values = order.iter().map(|row| self.values[*row]).collect();
        self.kinds = order.iter().map(|row| self.kinds[*row]).collect();
        self.quality = order.iter().map(|row| self.quality[*row]).collect();
        self.times = order.iter().map(|row| self.times[*row]).collect();
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    pub(crate) const fn len(&self) -> usize {
        self.points.len()
    }

    /// Adds a reading of the point that the plugin knows as `id`.
    pub(crate) fn push(&mut self, id: u32, reading: &Reading) {
        let row = u32::try_from(self.points.len()).expect("a batch has fewer than 2^32 readings");
        let mut other = |other| self.others.push((row, other));
        let (kind, number) = match reading.sample.value() {
            None => (NONE, 0.0),
            Some(Value::Bool(b)) => (BOOL, f64::from(u8::from(*b))),
            Some(value @ Value::I64(n)) if n.unsigned_abs() <= EXACT => (INTEGER, value.as_f64().unwrap_or_default()),
            Some(value @ Value::U64(n)) if *n <= EXACT => (INTEGER, value.as_f64().unwrap_or_default()),
            Some(Value::F64(number)) => (FLOAT, number.get()),
            Some(Value::I64(n)) => {
                other(Other::Signed(*n));
                (WIDE, 0.0)
            }
            Some(Value::U64(n)) => {
                other(Other::Unsigned(*n));
                (WIDE, 0.0)
            }
            Some(Value::Text(text)) => {
                other(Other::Text(text.clone()));
                (TEXT, 0.0)
            }
            Some(Value::Bytes(bytes)) => {
                other(Other::Raw(bytes.clone()));
                (BYTES, 0.0)
            }
        };
        self.points.push(id);
        self.times.push(reading.at.as_nanos());
        self.values.push(number);
        self.kinds.push(kind);
        self.quality.push(quality_code(&reading.sample));
    }

    /// Turns the columns of a plugin's own points into readings, in their order; `point` finds the point of an id.
    ///
    /// # Errors
    /// The columns are against the contract. A point that is not found is the caller's to report, by its own error.
    pub(crate) fn into_readings<E: From<ColumnsError>>(
        self,
        mut point: impl FnMut(u32) -> Result<Arc<Point>, E>,
    ) -> Result<Vec<Reading>, E> {
        let rows = self.points.len();
        if [self.times.len(), self.values.len(), self.kinds.len(), self.quality.len()] != [rows; 4] {
            return Err(ColumnsError::Length.into());
        }
        let mut others = self.others.into_iter();
        let mut readings = Vec::with_capacity(rows);
        for row in 0..rows {
            let value = match self.kinds[row] {
                NONE => None,
                kind @ (BOOL | INTEGER | FLOAT) => Some(narrow(kind, self.values[row])?),
                kind @ (WIDE | TEXT | BYTES) => {
                    let (at, other) = others.next().ok_or(ColumnsError::Others)?;
                    if usize::try_from(at) != Ok(row) {
                        return Err(ColumnsError::Others.into());
                    }
                    Some(wide(kind, other)?)
                }
                kind => return Err(ColumnsError::Kind(kind).into()),
            };
            let sample = sample(value, self.quality[row])?;
            readings.push(Reading {
                point: point(self.points[row])?,
                at: HubTime::from_nanos(self.times[row]),
                sample,
            });
        }
        if others.next().is_some() {
            return Err(ColumnsError::Others.into());
        }
        Ok(readings)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a whole number within ±2^53, as checked")]
fn narrow(kind: u8, number: f64) -> Result<Value, ColumnsError> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match kind {
        BOOL if number == 0.0 || number == 1.0 => Ok(Value::Bool(number == 1.0)),
        INTEGER if number.fract() == 0.0 && number.abs() <= EXACT => Ok(Value::I64(number as i64)),
        FLOAT => Value::from_f64(number).ok_or(ColumnsError::Value),
        _ => Err(ColumnsError::Value),
    }
}

fn wide(kind: u8, other: Other) -> Result<Value, ColumnsError> {
    match (kind, other) {
        (WIDE, Other::Signed(n)) => Ok(Value::I64(n)),
        (WIDE, Other::Unsigned(n)) => Ok(Value::U64(n)),
        (TEXT, Other::Text(text)) => Ok(Value::Text(text)),
        (BYTES, Other::Raw(bytes)) => Ok(Value::Bytes(bytes)),
        _ => Err(ColumnsError::Value),
    }
}

/// The sample that a value and a quality code make.
///
/// # Errors
/// Bad with a value, anything else without one, or an unknown code.
fn sample(value: Option<Value>, quality: u8) -> Result<Sample, ColumnsError> {
    match (quality & 3, reason_of(quality), value) {
        (0, None, Some(value)) => Ok(Sample::Good(value)),
        (1, Some(reason), Some(value)) => Ok(Sample::Uncertain(value, reason)),
        (2, Some(reason), None) => Ok(Sample::Bad(reason)),
        (0, None, None) | (1, Some(_), None) | (2, Some(_), Some(_)) => Err(ColumnsError::Presence),
        _ => Err(ColumnsError::Quality(quality)),
    }
}

/// The sample, with another quality. Marked bad, it loses its value.
///
/// # Errors
/// An unknown code, or a sample without a value that should be anything but bad.
pub(crate) fn remark(sample_before: Sample, quality: u8) -> Result<Sample, ColumnsError> {
    let value = match sample_before {
        Sample::Good(value) | Sample::Uncertain(value, _) => Some(value),
        Sample::Bad(_) => None,
    };
    sample(value.filter(|_| quality & 3 != 2), quality)
}

/// Bits 0-1: good 0, uncertain 1, bad 2. Bits 2-7: the reason.
fn quality_code(sample: &Sample) -> u8 {
    match sample {
        Sample::Good(_) => 0,
        Sample::Uncertain(_, reason) => reason_code(*reason) << 2 | 1,
        Sample::Bad(reason) => reason_code(*reason) << 2 | 2,
    }
}

fn reason_code(reason: Reason) -> u8 {
    match reason {
        Reason::Timeout => 1,
        Reason::Crc => 2,
        Reason::Framing => 3,
        Reason::Decode => 4,
        Reason::Range => 5,
        Reason::Absent => 6,
        Reason::Stale => 7,
        Reason::Clock => 8,
        Reason::Port => 9,
        Reason::Exception(code) => 32 + code.min(31),
    }
}

fn reason_of(quality: u8) -> Option<Reason> {
    Some(match quality >> 2 {
        1 => Reason::Timeout,
        2 => Reason::Crc,
        3 => Reason::Framing,
        4 => Reason::Decode,
        5 => Reason::Range,
        6 => Reason::Absent,
        7 => Reason::Stale,
        8 => Reason::Clock,
        9 => Reason::Port,
        63 => Reason::Exception(u8::MAX),
        code @ 32.. => Reason::Exception(code - 32),
        _ => return None,
    })
}
