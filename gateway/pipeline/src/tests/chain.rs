//! Whatever a plugin answers, a batch closes, and a refused answer changes nothing.

use std::collections::{BTreeMap, HashMap};

use curb_model::{Class, HubTime, PointName, Stream};
use proptest::prelude::*;

use super::{batches, name, point};
use crate::chain::{Breach, Emission, Grant, Selection, apply, drop_seen};
use crate::columns::Columns;

/// The plugin sees `meter/a` and `meter/b`.
fn inputs() -> HashMap<PointName, u32> {
    [("meter/a", 0), ("meter/b", 1)].map(|(text, id)| (PointName::parse(text).unwrap(), id)).into()
}

fn emissions() -> impl Strategy<Value = Emission> {
    let rows = || prop::collection::btree_set(0..22u32, 0..12);
    (rows(), rows(), rows(), prop::sample::select(vec![0u8, 5 << 2 | 1, 1 << 2 | 2, 3]), any::<bool>()).prop_map(
        |(mut keep, mut remark, mut rejects, quality, apart)| {
            if apart {
                // Mostly answers that could be right; the others overlap.
                remark.retain(|row| !keep.contains(row));
                rejects.retain(|row| !keep.contains(row) && !remark.contains(row));
                let right = |rows: &mut std::collections::BTreeSet<u32>| rows.retain(|row| *row < 6);
                right(&mut keep);
                right(&mut remark);
                right(&mut rejects);
            }
            Emission {
                keep: keep.into_iter().collect(),
                add: Columns::default(),
                remark: remark.into_iter().map(|row| (row, quality)).collect(),
                rejects: rejects.into_iter().map(|row| (row, "no".into())).collect(),
            }
        },
    )
}

proptest! {
    #[test]
    fn a_batch_closes_whatever_the_answer(batch in batches(), emission in emissions()) {
        let Some(selection) = Selection::of(&batch, &inputs()) else { return Ok(()) };
        let own = BTreeMap::new();
        let grant = Grant { points: &own, rows_out: 10, now: HubTime::from_nanos(100) };
        let mut after = batch.clone();
        match apply(&mut after, &selection, emission, grant) {
            Err(_) => prop_assert_eq!(after, batch),
            Ok((own, tally)) => {
                prop_assert!(after.closes());
                prop_assert!(own.is_empty());
                prop_assert_eq!(tally.kept + tally.filtered + tally.rejected, selection.rows() as u64);
                prop_assert_eq!(after.counts.filtered, tally.filtered);
                prop_assert!(after.readings.is_sorted_by_key(|reading| reading.at));
                let unseen = |batch: &curb_model::Batch| {
                    let inputs = inputs();
                    batch.readings.iter().filter(|r| !inputs.contains_key(&r.point.name)).cloned().collect::<Vec<_>>()
                };
                prop_assert_eq!(unseen(&after), unseen(&batch));
            }
        }
    }

    #[test]
    fn a_batch_closes_without_what_the_plugin_sees(mut batch in batches()) {
        let before = batch.readings.len() as u64;
        let dropped = drop_seen(&mut batch, &inputs());
        prop_assert!(batch.closes());
        prop_assert_eq!(batch.readings.len() as u64 + dropped, before);
    }
}

#[test]
fn what_a_plugin_makes_is_on_its_own_stream_or_refused() {
    let plugin = name("quiet");
    let mut own_point = (*point("quiet/noise")).clone();
    own_point.stream = Stream::plugin(&plugin, &name("alarm"));
    own_point.class = Class::Alarm;
    let own = BTreeMap::from([(9, std::sync::Arc::new(own_point))]);
    let grant = Grant { points: &own, rows_out: 2, now: HubTime::from_nanos(100) };
    let source = curb_model::Batch::read(
        Stream::device(&name("meter")),
        Class::Data,
        None,
        vec![curb_model::Reading {
            point: point("meter/a"),
            at: HubTime::from_nanos(1),
            sample: curb_model::Sample::Good(curb_model::Value::Bool(true)),
        }],
    );
    let selection = Selection::of(&source, &inputs()).unwrap();
    let adding = |ids: &[u32], times: &[i64]| Emission {
        keep: vec![0],
        add: Columns {
            points: ids.to_vec(),
            times: times.to_vec(),
            values: vec![1.5; ids.len()],
            kinds: vec![3; ids.len()],
            quality: vec![0; ids.len()],
            others: vec![],
        },
        ..Emission::default()
    };
    let check = |emission, expected: Result<usize, Breach>| {
        let mut batch = source.clone();
        let result = apply(&mut batch, &selection, emission, grant);
        assert_eq!(batch, source);
        match (result, expected) {
            (Ok((batches, tally)), Ok(rows)) => {
                assert_eq!(tally.added, rows as u64);
                assert!(
                    batches.iter().all(|b| b.closes() && b.stream.as_str() == "quiet.alarm" && b.class == Class::Alarm)
                );
                assert_eq!(batches.iter().map(|b| b.readings.len()).sum::<usize>(), rows);
            }
            (result, expected) => assert_eq!(result.err(), expected.err()),
        }
    };
    check(adding(&[], &[]), Ok(0));
    check(adding(&[9, 9], &[50, 100]), Ok(2));
    check(adding(&[9, 9], &[100, 50]), Err(Breach::Time));
    check(adding(&[9], &[101]), Err(Breach::Time));
    check(adding(&[8], &[50]), Err(Breach::ForeignPoint(8)));
    check(adding(&[9, 9, 9], &[1, 2, 3]), Err(Breach::TooManyRows { rows: 3, limit: 2 }));
    check(Emission { keep: vec![1], ..Emission::default() }, Err(Breach::NoSuchRow { row: 1, rows: 1 }));
    check(Emission { keep: vec![0, 0], ..Emission::default() }, Err(Breach::RowOrder(0)));
    check(Emission { keep: vec![0], remark: vec![(0, 0)], ..Emission::default() }, Err(Breach::RowOrder(0)));
}
