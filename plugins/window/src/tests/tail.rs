//! The percentile: exact as far as it says, near as far as it says, the same in any order.

use proptest::prelude::*;

use crate::tail::{TOP, Tail};

fn tail(values: &[f64]) -> Tail {
    let mut tail = Tail::default();
    values.iter().for_each(|value| tail.insert(*value));
    tail
}

fn p95(values: &[f64]) -> f64 {
    tail(values).p95(u32::try_from(values.len()).unwrap()).unwrap()
}

/// By nearest rank, of all values.
fn naive(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[(values.len() * 95).div_ceil(100) - 1]
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        -50.0..50.0f64,
        0.0..1e6f64,
        (0..20u8).prop_map(f64::from),
        Just(-0.0),
        any::<f32>().prop_filter("finite", |value| value.is_finite()).prop_map(f64::from)
    ]
}

#[test]
fn the_nearest_rank_is_told() {
    let check = |n: u32, expected: f64| {
        let values: Vec<f64> = (1..=n).map(f64::from).collect();
        assert_eq!((p95(&values), naive(&values)), (expected, expected), "of 1..={n}");
    };
    check(1, 1.0);
    check(2, 2.0);
    check(19, 19.0);
    check(20, 19.0);
    check(100, 95.0);
    check(639, 608.0);
}

#[test]
fn what_was_not_collected_is_not_told() {
    assert_eq!(Tail::default().p95(3), None);
    assert_eq!(tail(&[1.0, 2.0]).p95(3), None);
}

#[test]
fn many_equal_values_are_told_as_they_are_within_the_bound() {
    for value in [1.0, 0.0, -3.0, 230.4, 1e-3] {
        let told = p95(&vec![value; 5_000]);
        assert!((told - value).abs() <= value.abs() / 32.0, "{value}: {told}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn up_to_639_values_are_exact(values in prop::collection::vec(value(), 1..20 * TOP)) {
        prop_assert_eq!(p95(&values), naive(&values));
    }

    #[test]
    fn more_values_are_near(values in prop::collection::vec(100.0..1_000.0f64, 700..3_000)) {
        let (told, true_one) = (p95(&values), naive(&values));
        prop_assert!((told - true_one).abs() <= true_one / 32.0, "{told}, not {true_one}");
    }

    #[test]
    fn order_and_parts_do_not_matter(values in prop::collection::vec(value(), 1..1_500), cut in any::<prop::sample::Index>()) {
        let (a, b) = values.split_at(cut.index(values.len()));
        let (mut ab, mut ba) = (tail(a), tail(b));
        ab.join(&tail(b));
        ba.join(&tail(a));
        let n = u32::try_from(values.len()).unwrap();
        prop_assert_eq!(ab.p95(n), tail(&values).p95(n));
        prop_assert_eq!(ba.p95(n), tail(&values).p95(n));
    }
}
