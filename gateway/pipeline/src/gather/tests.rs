use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use curb_model::{Batch, Class, HubTime, Point, PointName, Reading, Sample, Stream, UtcOffset, Value, ValueType};
use proptest::prelude::*;
use tokio::time::Instant;

use super::{Gather, READINGS_MAX};
use crate::leaving::Leaving;

/// Readings `from..to` of a stream: each has its number as value.
fn batch(stream: &str, class: Class, offset: Option<i64>, numbers: std::ops::Range<u64>) -> Batch {
    let stream = Stream::parse(stream).unwrap();
    let point = Arc::new(Point {
        name: PointName::parse(&format!("{}/n", stream.as_str())).unwrap(),
        stream: stream.clone(),
        class,
        unit: None,
        value_type: ValueType::U64,
        range: None,
    });
    let reading = |n: u64| Reading {
        point: Arc::clone(&point),
        at: HubTime::from_nanos(n.cast_signed()),
        sample: Sample::Good(Value::U64(n)),
    };
    let offset = offset.map(UtcOffset::from_nanos);
    Batch::read(stream, class, offset, numbers.map(reading).collect())
}

fn data(stream: &str, numbers: std::ops::Range<u64>) -> Batch {
    batch(stream, Class::Data, Some(0), numbers)
}

fn numbers(batch: &Batch) -> Vec<u64> {
    batch.readings.iter().map(|reading| reading.at.as_nanos().cast_unsigned()).collect()
}

fn all(gather: &mut Gather) -> impl Iterator<Item = Batch> {
    std::iter::from_fn(|| gather.next()).map(|leaving| match leaving {
        Leaving::Batch(batch) => batch,
        Leaving::State { .. } | Leaving::Forget { .. } | Leaving::Bundle(_) => panic!("there is none"),
    })
}

/// What is ready: stream and numbers.
fn ready(gather: &mut Gather) -> Vec<(String, Vec<u64>)> {
    all(gather).map(|batch| (batch.stream.to_string(), numbers(&batch))).collect()
}

#[test]
fn without_linger_each_batch_passes_at_once() {
    let (mut gather, now) = (Gather::default(), Instant::now());
    gather.take(data("meter", 0..2), now);
    gather.take(data("meter", 2..3), now);
    assert_eq!(ready(&mut gather), [("meter".into(), vec![0, 1]), ("meter".into(), vec![2])]);
    assert_eq!(gather.due(), None);
}

#[test]
fn batches_of_a_stream_leave_together_when_the_first_has_waited() {
    let (mut gather, now) = (Gather::default(), Instant::now());
    let second = Duration::from_secs(1);
    gather.set(5 * second, now);
    gather.take(data("meter", 0..2), now);
    gather.take(data("air", 0..1), now + second);
    gather.take(data("meter", 2..4), now + second);
    assert_eq!(gather.due(), Some(now + 5 * second));
    gather.tick(now + 4 * second);
    assert!(!gather.has_ready());
    gather.tick(now + 5 * second);
    assert_eq!(ready(&mut gather), [("meter".into(), vec![0, 1, 2, 3])]);
    gather.tick(now + 6 * second);
    assert_eq!(ready(&mut gather), [("air".into(), vec![0])]);
    assert!(gather.is_empty());
}

#[test]
fn an_alarm_does_not_wait() {
    let (mut gather, now) = (Gather::default(), Instant::now());
    gather.set(Duration::from_secs(60), now);
    gather.take(batch("door", Class::Alarm, Some(0), 0..1), now);
    assert_eq!(ready(&mut gather), [("door".into(), vec![0])]);
}

#[test]
fn a_message_has_one_clock_and_a_bounded_number_of_readings() {
    let (mut gather, now) = (Gather::default(), Instant::now());
    gather.set(Duration::from_secs(60), now);
    gather.take(batch("meter", Class::Data, None, 0..2), now);
    gather.take(data("meter", 2..3), now);
    assert_eq!(ready(&mut gather), [("meter".into(), vec![0, 1])]);
    gather.take(data("meter", 3..READINGS_MAX as u64 + 2), now);
    assert_eq!(ready(&mut gather), [("meter".into(), (2..READINGS_MAX as u64 + 2).collect())]);
}

#[test]
fn a_shorter_linger_counts_for_what_waits() {
    let (mut gather, now) = (Gather::default(), Instant::now());
    gather.set(Duration::from_secs(60), now);
    gather.take(data("meter", 0..2), now);
    gather.set(Duration::ZERO, now);
    assert_eq!(ready(&mut gather), [("meter".into(), vec![0, 1])]);
}

proptest! {
    /// Nothing is lost, doubled or out of order; nothing waits for longer than it may; every batch closes.
    #[test]
    fn all_leaves_in_order_and_in_time(
        steps in prop::collection::vec((0..3_usize, 0..5_u64, any::<bool>(), 0..40_u64, prop::option::of(0..9_u64)), 1..200),
    ) {
        let (mut gather, mut now) = (Gather::default(), Instant::now());
        let mut linger = Duration::ZERO;
        let (mut given, mut got) = (BTreeMap::<String, u64>::new(), BTreeMap::<String, Vec<u64>>::new());
        let mut arrived = BTreeMap::<(String, u64), Instant>::new();
        let mut leave = |gather: &mut Gather, now: Instant, linger: Duration, arrived: &BTreeMap<(String, u64), Instant>| {
            for batch in all(gather) {
                assert!(batch.closes());
                for number in numbers(&batch) {
                    let name = batch.stream.to_string();
                    assert!(now <= arrived[&(name.clone(), number)] + linger.max(Duration::from_secs(9)));
                    got.entry(name).or_default().push(number);
                }
            }
        };
        for (stream, count, dated, millis, set) in steps {
            if let Some(seconds) = set {
                linger = Duration::from_secs(seconds);
                gather.set(linger, now);
            }
            let name = ["meter", "air", "door"][stream];
            let next = given.entry(name.to_owned()).or_default();
            let from = *next;
            *next += count;
            arrived.extend((from..from + count).map(|number| ((name.to_owned(), number), now)));
            gather.take(batch(name, Class::Data, dated.then_some(0), from..from + count), now);
            leave(&mut gather, now, linger, &arrived);
            now += Duration::from_millis(millis * 100);
            // The task wakes when something is due.
            while let Some(due) = gather.due().filter(|due| *due <= now) {
                gather.tick(due);
                leave(&mut gather, due, linger, &arrived);
            }
        }
        gather.set(Duration::ZERO, now);
        leave(&mut gather, now, linger, &arrived);
        for (name, count) in given {
            prop_assert_eq!(got.remove(&name).unwrap_or_default(), (0..count).collect::<Vec<_>>());
        }
        prop_assert!(gather.is_empty());
    }
}
