//! The search finds the readings that a plugin cannot handle, and only those; and tries what is left in its order.

use proptest::prelude::*;

use super::batches;
use crate::bisect::{Bisect, Verdict, rows};
use crate::chain::{Emission, Selection};
use crate::config::OnFailure;

/// A plugin that keeps all, and cannot handle these rows. What it was given, in order, and how it ended.
fn search(count: usize, poison: &[usize], on_failure: OnFailure) -> (Vec<usize>, Verdict, Option<Bisect>) {
    let Some(mut bisect) = Bisect::of(count) else { return (vec![], Verdict::GiveUp, None) };
    let mut seen = Vec::new();
    loop {
        let range = bisect.next();
        assert!(!range.is_empty());
        let verdict = if poison.iter().any(|row| range.contains(row)) {
            bisect.failed(on_failure, "too much")
        } else {
            seen.extend(range.clone());
            let keep = (0..u32::try_from(range.len()).unwrap()).collect();
            bisect.handled(Emission { keep, ..Emission::default() })
        };
        if verdict != Verdict::GoOn {
            return (seen, verdict, Some(bisect));
        }
    }
}

proptest! {
    #[test]
    fn all_but_the_poison_is_handled_once_and_in_order(
        count in 2..1_000_usize,
        poison in prop::collection::vec(any::<prop::sample::Index>(), 1..3),
        passes in any::<bool>(),
    ) {
        let poison: std::collections::BTreeSet<usize> = poison.iter().map(|index| index.index(count)).collect();
        prop_assume!(poison.len() < count);
        let poison: Vec<usize> = poison.into_iter().collect();
        let on_failure = if passes { OnFailure::Pass } else { OnFailure::Drop };
        let (seen, verdict, bisect) = search(count, &poison, on_failure);
        prop_assert_eq!(verdict, Verdict::Done);
        let healthy: Vec<usize> = (0..count).filter(|row| !poison.contains(row)).collect();
        prop_assert_eq!(&seen, &healthy);
        let (emission, found, _) = bisect.unwrap().finish();
        let as_rows = |list: &[usize]| list.iter().map(|row| u32::try_from(*row).unwrap()).collect::<Vec<_>>();
        prop_assert_eq!(found, as_rows(&poison));
        prop_assert!(emission.keep.is_sorted());
        prop_assert_eq!(emission.keep.len(), if passes { count } else { healthy.len() });
        let rejected: Vec<u32> = emission.rejects.iter().map(|(row, _)| *row).collect();
        prop_assert_eq!(rejected, if passes { vec![] } else { as_rows(&poison) });
    }

    #[test]
    fn what_parts_have_added_comes_out_in_the_order_of_its_times(
        parts in prop::collection::vec((batches(), 0..50_i64), 2..5),
    ) {
        let mut bisect = Bisect::of(parts.len()).unwrap();
        let mut made = Vec::new();
        for (batch, later) in parts {
            let ids = batch.readings.iter().map(|r| (r.point.name.clone(), 3)).collect();
            let mut add = Selection::of(&batch, &ids).map(|selection| selection.columns).unwrap_or_default();
            add.times.iter_mut().for_each(|time| *time += later);
            made.extend((0..add.len()).map(|row| rows(&add, &(row..row + 1))));
            while bisect.next().len() > 1 {
                bisect.failed(OnFailure::Drop, "halve it");
            }
            bisect.handled(Emission { add, ..Emission::default() });
        }
        let (emission, ..) = bisect.finish();
        let out: Vec<_> = (0..emission.add.len()).map(|row| rows(&emission.add, &(row..row + 1))).collect();
        // Nothing is lost or changed, and a stable sort of it is what comes out.
        made.sort_by_key(|row| row.times[0]);
        prop_assert_eq!(out, made);
    }

    #[test]
    fn a_part_of_columns_is_what_a_part_of_the_batch_would_give(batch in batches(), cuts in any::<[prop::sample::Index; 2]>()) {
        prop_assume!(!batch.readings.is_empty());
        let ids = batch.readings.iter().map(|r| (r.point.name.clone(), 3)).collect();
        let whole = Selection::of(&batch, &ids).unwrap().columns;
        let mut ends = cuts.map(|cut| cut.index(whole.len() + 1));
        ends.sort_unstable();
        let [first, last] = ends;
        let mut part = batch.clone();
        part.readings = part.readings[first..last].to_vec();
        let expected = Selection::of(&part, &ids).map(|selection| selection.columns).unwrap_or_default();
        prop_assert_eq!(rows(&whole, &(first..last)), expected);
        let mut joined = rows(&whole, &(0..first));
        joined.append(rows(&whole, &(first..whole.len())));
        prop_assert_eq!(joined, whole);
    }
}

#[test]
fn a_plugin_that_handles_nothing_is_to_blame_itself() {
    let all: Vec<usize> = (0..8).collect();
    assert_eq!(search(8, &all, OnFailure::Pass).1, Verdict::GiveUp);
    assert_eq!(search(1, &[0], OnFailure::Pass).1, Verdict::GiveUp);
    // Nor is a batch searched for ever that is bad all over.
    let most: Vec<usize> = (0..1_000).filter(|row| row % 2 == 0).collect();
    assert_eq!(search(1_000, &most, OnFailure::Pass).1, Verdict::GiveUp);
}
