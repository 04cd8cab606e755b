//! A reading that crosses and comes back is the same reading.

use std::sync::Arc;

use curb_model::{HubTime, Reading, Reason, Sample, Value};
use proptest::prelude::*;

use super::{point, samples};
use crate::columns::{Columns, ColumnsError, remark};

/// Integers come back signed where both types hold them.
fn same_number(sample: Sample) -> Sample {
    let signed = |value| {
        if let Value::U64(n @ ..=0x20_0000_0000_0000) = value { Value::I64(n.try_into().unwrap()) } else { value }
    };
    match sample {
        Sample::Good(value) => Sample::Good(signed(value)),
        Sample::Uncertain(value, reason) => Sample::Uncertain(signed(value), reason),
        Sample::Bad(reason) => Sample::Bad(reason),
    }
}

proptest! {
    #[test]
    fn what_crosses_comes_back_the_same(samples in prop::collection::vec(samples(), 0..20)) {
        let point = point("meter/a");
        let mut columns = Columns::default();
        let readings: Vec<Reading> = (0..).zip(samples).map(|(at, sample)| {
            Reading { point: Arc::clone(&point), at: HubTime::from_nanos(at), sample }
        }).collect();
        for reading in &readings {
            columns.push(7, reading);
        }
        let back = columns.into_readings(|id| {
            assert_eq!(id, 7);
            Ok::<_, ColumnsError>(Arc::clone(&point))
        });
        let expected: Vec<Reading> =
            readings.into_iter().map(|reading| Reading { sample: same_number(reading.sample.clone()), ..reading }).collect();
        prop_assert_eq!(back, Ok(expected));
    }
}

#[test]
fn columns_against_the_contract_are_refused() {
    let whole = || Columns {
        points: vec![0],
        times: vec![0],
        values: vec![1.5],
        kinds: vec![3],
        quality: vec![0],
        others: vec![],
    };
    let check = |columns: Columns, error: ColumnsError| {
        let read = columns.clone().into_readings(|_| Ok::<_, ColumnsError>(point("meter/a")));
        assert_eq!(read, Err(error), "{columns:?}");
    };
    use crate::columns::Other::Signed;
    check(Columns { times: vec![], ..whole() }, ColumnsError::Length);
    check(Columns { quality: vec![0, 0], ..whole() }, ColumnsError::Length);
    check(Columns { kinds: vec![7], ..whole() }, ColumnsError::Kind(7));
    check(Columns { kinds: vec![0], ..whole() }, ColumnsError::Presence);
    check(Columns { kinds: vec![4], ..whole() }, ColumnsError::Others);
    check(Columns { kinds: vec![4], others: vec![(1, Signed(1))], ..whole() }, ColumnsError::Others);
    check(Columns { others: vec![(0, Signed(1))], ..whole() }, ColumnsError::Others);
    check(Columns { kinds: vec![5], others: vec![(0, Signed(1))], ..whole() }, ColumnsError::Value);
    check(Columns { kinds: vec![1], ..whole() }, ColumnsError::Value);
    check(Columns { kinds: vec![2], ..whole() }, ColumnsError::Value);
    check(Columns { values: vec![f64::NAN], ..whole() }, ColumnsError::Value);
    check(Columns { quality: vec![3], ..whole() }, ColumnsError::Quality(3));
    check(Columns { quality: vec![1], ..whole() }, ColumnsError::Quality(1));
    check(Columns { quality: vec![20 << 2 | 1], ..whole() }, ColumnsError::Quality(20 << 2 | 1));
    check(Columns { quality: vec![1 << 2 | 2], ..whole() }, ColumnsError::Presence);
}

#[test]
fn a_mark_never_invents_a_value() {
    let good = || Sample::Good(Value::Bool(true));
    assert_eq!(remark(good(), 5 << 2 | 1), Ok(Sample::Uncertain(Value::Bool(true), Reason::Range)));
    assert_eq!(remark(good(), 7 << 2 | 2), Ok(Sample::Bad(Reason::Stale)));
    assert_eq!(remark(Sample::Bad(Reason::Crc), 7 << 2 | 2), Ok(Sample::Bad(Reason::Stale)));
    assert_eq!(remark(Sample::Bad(Reason::Crc), 0), Err(ColumnsError::Presence));
    assert_eq!(remark(Sample::Bad(Reason::Crc), 5 << 2 | 1), Err(ColumnsError::Presence));
}
