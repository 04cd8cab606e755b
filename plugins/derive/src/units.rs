//! Units of one kind, and the way from one to another: those that profiles of devices use, and what people ask for instead.
//!
//! Factors are fractions of whole numbers, so that a conversion rounds twice at most and 1 kWh is 3.6 MJ, not 3.5999.

use crate::expression::{Op, Two};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Temperature,
    Energy,
    Power,
    Speed,
    Pressure,
    Volume,
    Length,
    Time,
    Light,
}

/// x of this unit are (x − zero) · times / by of the first unit of its kind.
type Unit = (&'static str, Kind, u32, u32, f64);

const UNITS: [Unit; 30] = [
    ("Cel", Kind::Temperature, 1, 1, 0.0),
    ("degC", Kind::Temperature, 1, 1, 0.0),
    ("degF", Kind::Temperature, 5, 9, 32.0),
    ("K", Kind::Temperature, 1, 1, 273.15),
    ("J", Kind::Energy, 1, 1, 0.0),
    ("kJ", Kind::Energy, 1_000, 1, 0.0),
    ("MJ", Kind::Energy, 1_000_000, 1, 0.0),
    ("Wh", Kind::Energy, 3_600, 1, 0.0),
    ("kWh", Kind::Energy, 3_600_000, 1, 0.0),
    ("MWh", Kind::Energy, 3_600_000_000, 1, 0.0),
    ("W", Kind::Power, 1, 1, 0.0),
    ("kW", Kind::Power, 1_000, 1, 0.0),
    ("MW", Kind::Power, 1_000_000, 1, 0.0),
    ("m/s", Kind::Speed, 1, 1, 0.0),
    ("km/h", Kind::Speed, 5, 18, 0.0),
    ("kn", Kind::Speed, 463, 900, 0.0),
    ("Pa", Kind::Pressure, 1, 1, 0.0),
    ("hPa", Kind::Pressure, 100, 1, 0.0),
    ("mbar", Kind::Pressure, 100, 1, 0.0),
    ("kPa", Kind::Pressure, 1_000, 1, 0.0),
    ("bar", Kind::Pressure, 100_000, 1, 0.0),
    ("l", Kind::Volume, 1, 1, 0.0),
    ("m3", Kind::Volume, 1_000, 1, 0.0),
    ("mm", Kind::Length, 1, 1, 0.0),
    ("cm", Kind::Length, 10, 1, 0.0),
    ("m", Kind::Length, 1_000, 1, 0.0),
    ("s", Kind::Time, 1, 1, 0.0),
    ("min", Kind::Time, 60, 1, 0.0),
    ("h", Kind::Time, 3_600, 1, 0.0),
    ("lx", Kind::Light, 1, 1, 0.0),
];

fn unit(name: &str) -> Option<&'static Unit> {
    UNITS.iter().find(|(known, ..)| *known == name)
}

/// The operations that make a number of `from` one of `to`; `None`: one of them is no unit of the table, or they do not
/// measure the same.
#[must_use]
pub fn conversion(from: &str, to: &str) -> Option<Vec<Op>> {
    let (_, kind, times, by, zero) = unit(from)?;
    let (_, other, to_times, to_by, to_zero) = unit(to).filter(|(_, other, ..)| other == kind)?;
    debug_assert_eq!(kind, other, "as filtered");
    let mut ops = Vec::new();
    let mut then = |number: f64, nothing: f64, two: Two| {
        if number != nothing {
            ops.extend([Op::Number(number), Op::Two(two)]);
        }
    };
    let (times, by) = (u64::from(*times) * u64::from(*to_by), u64::from(*by) * u64::from(*to_times));
    let common = common(times, by);
    // Up to 2⁵³ a float is exact; no pair of the table comes near.
    #[expect(clippy::cast_precision_loss, reason = "as said")]
    let (times, by) = ((times / common) as f64, (by / common) as f64);
    then(*zero, 0.0, Two::Subtract);
    then(times, 1.0, Two::Multiply);
    then(by, 1.0, Two::Divide);
    then(*to_zero, 0.0, Two::Add);
    Some(ops)
}

/// The greatest number that both are multiples of.
const fn common(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
