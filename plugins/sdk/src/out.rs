//! What a plugin answers.

use crate::bindings::curb::plugin::types::{Columns, Emission, Mark, Other, OtherValue, Reject};
use crate::{PointId, Quality, Row, Value, glue};

/// What becomes of a batch. Each row is kept, marked or rejected at most once; a row that is not named is left out.
#[derive(Debug)]
pub struct Out {
    emission: Emission,
}

impl Default for Out {
    fn default() -> Self {
        Self { emission: Emission { keep: vec![], add: glue::no_rows(), remark: vec![], rejects: vec![] } }
    }
}

impl Out {
    /// The row passes unchanged.
    pub fn keep(&mut self, row: &Row<'_>) {
        insert(&mut self.emission.keep, row.number, |row| *row);
    }

    /// The row passes with another quality. Marked bad, it loses its value.
    pub fn remark(&mut self, row: &Row<'_>, quality: Quality) {
        insert(&mut self.emission.remark, Mark { row: row.number, quality: quality.0 }, |mark| mark.row);
    }

    /// The row is set aside, with the reason.
    pub fn reject(&mut self, row: &Row<'_>, reason: &str) {
        let reject = Reject { row: row.number, reason: reason.to_owned() };
        insert(&mut self.emission.rejects, reject, |reject| reject.row);
    }

    /// A new reading on a point that the plugin declared: not earlier than the one before, not later than now.
    /// Without a value it must be bad, with one it must not.
    // A plugin that adds bits or numbers alone carries nothing of text and bytes then: 700 bytes of its component.
    #[inline(always)]
    pub fn add(&mut self, point: PointId, at: i64, value: Option<Value<'_>>, quality: Quality) {
        let Columns { points, times, values, kinds, quality: qualities, others } = &mut self.emission.add;
        let row = u32::try_from(points.len()).unwrap_or(u32::MAX);
        let mut other = |value| others.push(Other { row, value });
        let (kind, number) = match value {
            None => (0, 0.0),
            Some(Value::Bool(b)) => (1, f64::from(u8::from(b))),
            Some(Value::Number(n)) => (3, n),
            Some(Value::Signed(n)) => {
                other(OtherValue::Signed(n));
                (4, 0.0)
            }
            Some(Value::Unsigned(n)) => {
                other(OtherValue::Unsigned(n));
                (4, 0.0)
            }
            Some(Value::Text(text)) => {
                other(OtherValue::Text(text.to_owned()));
                (5, 0.0)
            }
            Some(Value::Bytes(bytes)) => {
                other(OtherValue::Raw(bytes.to_vec()));
                (6, 0.0)
            }
        };
        points.push(point.0);
        times.push(at);
        values.push(number);
        kinds.push(kind);
        qualities.push(quality.0);
    }

    pub(crate) fn into_emission(self) -> Emission {
        self.emission
    }
}

/// The contract wants row numbers ascending; an author may name them in any order. Almost all do it in order, so this
/// is a push; a sort of std would be 4 KB of the component for each list.
fn insert<T>(list: &mut Vec<T>, item: T, number: impl Fn(&T) -> u32) {
    let place = match list.last() {
        Some(last) if number(last) > number(&item) => list.partition_point(|other| number(other) <= number(&item)),
        _ => list.len(),
    };
    list.insert(place, item);
}
