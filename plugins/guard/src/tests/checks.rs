//! The checks alone, against the same told in other words.

use proptest::prelude::*;

use crate::spike::{Limit, Spike};
use crate::still;
use crate::window::Window;

/// The middle of these, the greater of two.
fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Sum of twelve evenly distributed numbers: nearly normal, with a deviation of 1.
fn noise(seed: &mut u64) -> f64 {
    let mut next = || {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(*seed >> 32).expect("32 bits")) / f64::from(u32::MAX)
    };
    (0..12).map(|_| next()).sum::<f64>() - 6.0
}

/// How many of these are spikes.
fn spikes(limit: Limit, values: impl Iterator<Item = f64>) -> usize {
    let mut spike = Spike::default();
    values.filter(|value| spike.is_spike(*value, limit)).count()
}

#[test]
fn steady_noise_is_hardly_ever_a_spike() {
    const READINGS: usize = 200_000;
    // The table of plugins/README.md: window, k, and how many of a million readings of normal noise are marked at most, with
    // a floor that is no help.
    for (window, k, most) in [(15, 5.0, 5_000), (15, 6.0, 2_000), (15, 8.0, 500), (31, 5.0, 400), (31, 6.0, 100)] {
        let mut seed = 1;
        let limit = Limit { k, floor: f64::MIN_POSITIVE, window, accept: 3 };
        let marked = spikes(limit, (0..READINGS).map(|_| 20.0 + noise(&mut seed)));
        assert!(marked * 1_000_000 / READINGS <= most, "window {window}, k {k}: {marked} of {READINGS}");
    }
}

proptest! {
    #[test]
    fn median_and_deviation_are_what_sorting_gives(values in prop::collection::vec(-4..4i8, 1..60), size in 5..20usize) {
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let mut window = Window::default();
        for (i, value) in values.iter().enumerate() {
            window.push(*value, size);
            let newest = &values[(i + 1).saturating_sub(size)..=i];
            let median = middle(newest.iter().copied());
            prop_assert_eq!(window.len(), newest.len());
            prop_assert_eq!(window.median(), Some(median));
            prop_assert_eq!(window.deviation(median), middle(newest.iter().map(|value| (value - median).abs())));
        }
    }

    #[test]
    fn noise_within_the_floor_is_never_a_spike(noise in prop::collection::vec(-1.0..=1.0f64, 1..200), k in 1.0..10.0f64) {
        // Two of them are up to 2 apart.
        let limit = Limit { k, floor: 2.0 / k * 1.000_001, window: 15, accept: 3 };
        prop_assert_eq!(spikes(limit, noise.into_iter()), 0);
    }

    #[test]
    fn a_spike_is_marked_and_its_neighbours_are_not(
        noise in prop::collection::vec(-1.0..=1.0f64, 40..80), place in 8..40usize, height in 10.0..1e6f64, up in any::<bool>(),
    ) {
        // No scale is greater than 1.4826 × 2, so that nothing within ±1 reaches 10 and nothing at ±10 and beyond escapes.
        let limit = Limit { k: 3.0, floor: 1.0, window: 15, accept: 3 };
        let mut spike = Spike::default();
        for (i, value) in noise.iter().enumerate() {
            let value = if i == place { if up { height } else { -height } } else { *value };
            prop_assert_eq!(spike.is_spike(value, limit), i == place, "{}: {}", i, value);
        }
    }

    #[test]
    fn a_step_is_accepted_with_the_reading_that_was_promised(
        before in prop::collection::vec(-1.0..=1.0f64, 15..40), after in prop::collection::vec(-1.0..=1.0f64, 20),
        height in prop_oneof![-1e9..-20.0f64, 20.0..1e9f64], accept in 2..7usize,
    ) {
        let limit = Limit { k: 3.0, floor: 1.0, window: 15, accept };
        let mut spike = Spike::default();
        prop_assert_eq!(before.iter().filter(|value| spike.is_spike(**value, limit)).count(), 0);
        for (i, value) in after.iter().enumerate() {
            prop_assert_eq!(spike.is_spike(value + height, limit), i + 1 < accept, "{}", i);
        }
    }

    #[test]
    fn no_point_is_doubted_for_longer_than_its_window(values in prop::collection::vec(-1e9..1e9f64, 1..200)) {
        let limit = Limit { k: 1.0, floor: 1.0, window: 9, accept: 4 };
        let mut spike = Spike::default();
        let mut row = 0;
        for value in values {
            row = if spike.is_spike(value, limit) { row + 1 } else { 0 };
            prop_assert!(row < limit.window);
        }
    }

    #[test]
    fn what_moves_is_never_stuck(steps in prop::collection::vec((1..3_000i64, 1.0..9.0f64, any::<bool>()), 1..60)) {
        let limit = still::Limit { after: 3_000, band: 0.9, rest: None };
        let (mut still, mut at, mut value) = (still::Still::default(), 0, 0.0);
        for (later, by, up) in steps {
            at += later;
            value += if up { by } else { -by };
            prop_assert!(!still.is_stuck(at, value, limit));
        }
    }
}
