use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn interval() -> impl Strategy<Value = Interval> {
    (1_u64..60, 0_u64..6).prop_map(|(first, more)| Interval { first, last: first + more })
}

proptest! {
    /// The set holds what a plain set of numbers would hold, in as few intervals as can be; and a reader that applies the
    /// changes to stored rows ends up with the same intervals.
    #[test]
    fn set_and_stored_rows_equal_a_plain_set(adds in prop::collection::vec(interval(), 0..80), upto in 0_u64..70) {
        let (mut set, mut plain, mut rows) = (IntervalSet::default(), BTreeSet::new(), BTreeMap::new());
        for add in adds {
            let new = (add.first..=add.last).filter(|&n| plain.insert(n)).count();
            match set.insert_all(add) {
                Change::Held => prop_assert_eq!(new, 0),
                Change::Merged { gone, now } => {
                    prop_assert!(new > 0);
                    for first in gone {
                        prop_assert!(rows.remove(&first).is_some());
                    }
                    rows.insert(now.first, now.last);
                }
            }
        }
        let held: Vec<_> = set.iter().collect();
        prop_assert_eq!(held.iter().flat_map(|i| i.first..=i.last).collect::<BTreeSet<_>>(), plain.clone());
        prop_assert!(held.windows(2).all(|pair| pair[0].last + 1 < pair[1].first));
        prop_assert_eq!(held.iter().map(|i| (i.first, i.last)).collect::<BTreeMap<_, _>>(), rows);
        prop_assert_eq!(held.iter().copied().collect::<IntervalSet>(), set.clone());

        prop_assert_eq!(set.contiguous(), (1..).take_while(|n| plain.contains(n)).last().unwrap_or(0));
        prop_assert_eq!(set.contains(upto), plain.contains(&upto));
        let missing: Vec<u64> = set.missing(upto).iter().flat_map(|i| i.first..=i.last).collect();
        prop_assert_eq!(missing, (1..=upto).filter(|n| !plain.contains(n)).collect::<Vec<_>>());
    }
}

#[test]
fn in_order_arrival_is_one_interval_and_a_duplicate_changes_nothing() {
    let mut set = IntervalSet::default();
    for n in 1..=100_000 {
        assert_eq!(set.insert(n), Change::Merged { gone: vec![], now: Interval { first: 1, last: n } });
    }
    assert_eq!(set.insert(5), Change::Held);
    assert_eq!(set.iter().count(), 1);
}

#[test]
fn the_greatest_number_does_not_overflow() {
    let mut set = IntervalSet::default();
    assert_ne!(set.insert(u64::MAX), Change::Held);
    assert_ne!(set.insert(u64::MAX - 1), Change::Held);
    assert_eq!(set.insert(u64::MAX), Change::Held);
    assert_eq!(set.missing(u64::MAX), vec![Interval { first: 1, last: u64::MAX - 2 }]);
}
