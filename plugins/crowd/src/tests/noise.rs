//! The noise: the stream against its paper, the distribution against its formula.

use std::hash::Hasher;

use proptest::prelude::*;
use siphasher::sip::SipHasher24;

use crate::noise::{Noise, PARTS, Place};

fn seed(n: u64) -> Vec<u8> {
    n.to_le_bytes().repeat(4)
}

fn place(period: i64) -> Place<'static> {
    Place { point: "gate/passed", length: 900_000_000_000, period }
}

fn draws(epsilon: u64, seeds: u64, periods: i64) -> Vec<i64> {
    let noises = (0..seeds).map(|n| Noise::new(&seed(n)).unwrap());
    noises.flat_map(|noise| (0..periods).map(move |period| noise.at(place(period), epsilon))).collect()
}

#[test]
fn the_keyed_function_is_that_of_its_paper() {
    // Appendix A: key 00 to 0f, message 00 to 0e.
    let mut hasher = SipHasher24::new_with_key(&std::array::from_fn(|i| u8::try_from(i).unwrap()));
    hasher.write(&(0..15).collect::<Vec<u8>>());
    assert_eq!(hasher.finish(), 0xa129_ca61_49be_45e5);
}

#[test]
fn the_noise_of_a_place_stays_what_it_is() {
    // Another release of the plugin that drew otherwise would be a second sample of the same count.
    let noise = Noise::new(&[7; 32]).unwrap();
    let drawn: Vec<i64> = (0..12).map(|period| noise.at(place(period), 500)).collect();
    assert_eq!(drawn, GOLDEN);
}

const GOLDEN: [i64; 12] = [-3, 1, 1, -3, 3, -2, 10, 0, 1, 1, 0, -1];

/// Chi-square of the draws against e^(−ε·|y|), over the values that are expected ten times or more.
fn chi_square(draws: &[i64], epsilon: f64) -> (f64, usize) {
    let alpha = (-epsilon).exp();
    let expected = |y: i64| (1.0 - alpha) / (1.0 + alpha) * alpha.powf(y.abs() as f64) * draws.len() as f64;
    let mut cells = 0;
    let mut sum = 0.0;
    let (mut rest_found, mut rest_expected) = (draws.len() as f64, draws.len() as f64);
    for y in (-200..=200).filter(|y| expected(*y) >= 10.0) {
        let found = draws.iter().filter(|drawn| **drawn == y).count() as f64;
        sum += (found - expected(y)).powi(2) / expected(y);
        cells += 1;
        rest_found -= found;
        rest_expected -= expected(y);
    }
    (sum + (rest_found - rest_expected).powi(2) / rest_expected.max(1.0), cells)
}

#[test]
fn noise_is_distributed_as_epsilon_says() {
    for epsilon in [250, 500, 1_000, 1_500, 3_000] {
        let draws = draws(epsilon, 200, 100);
        let (sum, cells) = chi_square(&draws, epsilon as f64 / f64::from(PARTS));
        // Six standard deviations above the mean of chi-square: by chance once in a hundred million seeds, and seeds stand here.
        let cells = cells as f64;
        assert!(sum < cells + 6.0 * (2.0 * cells).sqrt(), "ε = {epsilon}/1000: χ² = {sum} over {cells} cells");
    }
}

#[test]
fn noise_of_one_period_says_nothing_about_that_of_another() {
    // Of neighbours in each way that places differ, the mean product over many seeds is 0 within six standard errors.
    let noises: Vec<Noise> = (0..10_000).map(|n| Noise::new(&seed(n)).unwrap()).collect();
    let here = place(5);
    let others = [
        (place(6), 500),
        (Place { point: "gate/passed2", ..here }, 500),
        (Place { length: here.length * 2, ..here }, 500),
        (here, 501),
    ];
    for (there, epsilon) in others {
        let products = noises.iter().map(|noise| (noise.at(here, 500) * noise.at(there, epsilon)) as f64);
        let products: Vec<f64> = products.collect();
        let count = products.len() as f64;
        let mean = products.iter().sum::<f64>() / count;
        let deviation = (products.iter().map(|product| product * product).sum::<f64>() / count).sqrt();
        assert!(mean.abs() < 6.0 * deviation / count.sqrt(), "{there:?}: {mean}");
    }
}

proptest! {
    #[test]
    fn another_hub_has_other_noise(a in any::<[u8; 32]>(), b in any::<[u8; 32]>()) {
        prop_assume!(a != b);
        let of = |seed: &[u8]| {
            let noise = Noise::new(seed).unwrap();
            (0..64).map(|period| noise.at(place(period), 100)).collect::<Vec<_>>()
        };
        prop_assert_eq!(of(&a), of(&a));
        prop_assert_ne!(of(&a), of(&b));
    }
}
