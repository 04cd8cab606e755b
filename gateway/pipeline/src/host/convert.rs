//! Between the contract's types and ours.

use crate::chain::Emission;
use crate::columns::{Columns, Other};
use crate::host::bindings::curb::plugin::types;
use crate::link::{Input, Now};

impl From<Now> for types::Now {
    fn from(now: Now) -> Self {
        Self { time: now.hub, utc_offset: now.utc_offset }
    }
}

pub(super) fn point(input: &Input) -> types::Point {
    types::Point { id: input.id, name: input.name.clone(), unit: input.unit.clone() }
}

impl From<Columns> for types::Columns {
    fn from(columns: Columns) -> Self {
        let Columns { points, times, values, kinds, quality, others } = columns;
        let others = others.into_iter().map(|(row, other)| {
            let value = match other {
                Other::Signed(n) => types::OtherValue::Signed(n),
                Other::Unsigned(n) => types::OtherValue::Unsigned(n),
                Other::Text(text) => types::OtherValue::Text(text.into()),
                Other::Raw(bytes) => types::OtherValue::Raw(bytes.into()),
            };
            types::Other { row, value }
        });
        Self { points, times, values, kinds, quality, others: others.collect() }
    }
}

impl From<types::Columns> for Columns {
    fn from(columns: types::Columns) -> Self {
        let types::Columns { points, times, values, kinds, quality, others } = columns;
        let others = others.into_iter().map(|types::Other { row, value }| {
            let other = match value {
                types::OtherValue::Signed(n) => Other::Signed(n),
                types::OtherValue::Unsigned(n) => Other::Unsigned(n),
                types::OtherValue::Text(text) => Other::Text(text.into()),
                types::OtherValue::Raw(bytes) => Other::Raw(bytes.into()),
            };
            (row, other)
        });
        Self { points, times, values, kinds, quality, others: others.collect() }
    }
}

impl From<types::Emission> for Emission {
    fn from(emission: types::Emission) -> Self {
        let types::Emission { keep, add, remark, rejects } = emission;
        Self {
            keep,
            add: add.into(),
            remark: remark.into_iter().map(|mark| (mark.row, mark.quality)).collect(),
            rejects: rejects.into_iter().map(|reject| (reject.row, reject.reason.into())).collect(),
        }
    }
}
