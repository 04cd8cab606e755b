//! Promises about what finds no room.

use std::sync::Arc;

use curb_model::{HubTime, Point, PointName, Sample, Value, ValueType};
use proptest::prelude::*;

use super::*;

fn reading(class: Class) -> Reading {
    let stream = Stream::parse("air").unwrap();
    let name = PointName::parse("air/pm25").unwrap();
    let point = Point { name, stream, class, unit: None, value_type: ValueType::F64, range: None };
    Reading { point: Arc::new(point), at: HubTime::from_nanos(1), sample: Sample::Good(Value::U64(1)) }
}

fn outbox(room: usize) -> (mpsc::Sender<Batch>, Outbox, mpsc::Receiver<Batch>) {
    let (out, received) = mpsc::channel(room);
    let outbox = Outbox::new(HubClock::starting_at(HubTime::ZERO), out.downgrade());
    (out, outbox, received)
}

#[test]
fn data_and_alarms_travel_apart() {
    let (_out, mut outbox, mut received) = outbox(4);
    let stream = Stream::parse("air").unwrap();
    outbox.send_or_drop(&stream, vec![reading(Class::Data), reading(Class::Alarm), reading(Class::Data)]).unwrap();
    let batches: Vec<_> =
        std::iter::from_fn(|| received.try_recv().ok()).map(|b| (b.class, b.readings.len())).collect();
    assert_eq!(batches, [(Class::Alarm, 1), (Class::Data, 2)]);
}

#[test]
fn a_pipeline_that_is_gone_is_told_of() {
    let (_out, mut outbox, received) = outbox(1);
    drop(received);
    assert_eq!(outbox.send_or_drop(&Stream::parse("air").unwrap(), vec![reading(Class::Data)]), Err(Closed));
}

#[test]
fn a_source_that_is_over_is_told_of_also_by_a_thread_that_hung() {
    let (out, mut outbox, _received) = outbox(1);
    drop(out);
    assert_eq!(outbox.send_or_drop(&Stream::parse("air").unwrap(), vec![reading(Class::Data)]), Err(Closed));
}

proptest! {
    /// However full the channel is: what was read is received, or told of as dropped, and the list of drops stays short.
    #[test]
    fn nothing_is_lost_in_silence(steps in prop::collection::vec((1_usize..5, any::<bool>()), 1..60)) {
        let (_out, mut outbox, mut received) = outbox(2);
        let stream = Stream::parse("air").unwrap();
        let (mut sent, mut counted, mut arrived, mut dropped) = (0, 0, 0, 0);
        let mut take = |batch: Batch| {
            assert!(batch.closes() && batch.dropped.len() <= 1, "{batch:?}");
            counted += batch.counts.read;
            arrived += batch.readings.len() as u64;
            dropped += batch.dropped.iter().map(|dropped| dropped.count).sum::<u64>();
        };
        for (count, reads) in steps {
            sent += count as u64;
            outbox.send_or_drop(&stream, vec![reading(Class::Data); count]).unwrap();
            if reads && let Ok(batch) = received.try_recv() {
                take(batch);
            }
        }
        while let Ok(batch) = received.try_recv() {
            take(batch);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(outbox.finish());
        while let Ok(batch) = received.try_recv() {
            take(batch);
        }
        prop_assert_eq!(counted, sent);
        prop_assert_eq!(arrived + dropped, sent);
    }
}
