//! The pure parts, by property. What takes a real host is in `tests/it`.

mod bisect;
mod bundle;
mod chain;
mod columns;
mod compile;
mod flow;
mod leave;
mod link;
mod manifest;
mod state;
mod wear;

use std::sync::Arc;

use curb_model::{Batch, Class, HubTime, Name, Point, PointName, Reading, Reason, Sample, Stream, Value, ValueType};
use proptest::prelude::*;

fn point(name: &str) -> Arc<Point> {
    let name = PointName::parse(name).unwrap();
    let stream = Stream::device(name.owner());
    Arc::new(Point { name, stream, class: Class::Data, unit: None, value_type: ValueType::F64, range: None })
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn reasons() -> impl Strategy<Value = Reason> {
    prop_oneof![
        Just(Reason::Timeout),
        Just(Reason::Crc),
        Just(Reason::Range),
        Just(Reason::Port),
        (0..31u8).prop_map(Reason::Exception)
    ]
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::I64),
        any::<u64>().prop_map(Value::U64),
        (-1e9..1e9f64).prop_map(|n| Value::from_f64(n).unwrap()),
        any::<String>().prop_map(|text| Value::Text(text.into())),
        any::<Vec<u8>>().prop_map(|bytes| Value::Bytes(bytes.into())),
    ]
}

fn samples() -> impl Strategy<Value = Sample> {
    prop_oneof![
        values().prop_map(Sample::Good),
        (values(), reasons()).prop_map(|(value, reason)| Sample::Uncertain(value, reason)),
        reasons().prop_map(Sample::Bad),
    ]
}

/// Batches of `meter`, whose points are `meter/a` to `meter/d`.
fn batches() -> impl Strategy<Value = Batch> {
    prop::collection::vec((0..4usize, samples()), 0..20).prop_map(|rows| {
        let points = ["meter/a", "meter/b", "meter/c", "meter/d"].map(point);
        let readings = (1..).zip(rows).map(|(at, (place, sample))| Reading {
            point: Arc::clone(&points[place]),
            at: HubTime::from_nanos(at),
            sample,
        });
        Batch::read(Stream::device(&name("meter")), Class::Data, None, readings.collect())
    })
}
