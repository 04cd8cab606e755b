//! Noise that nobody can predict and everybody on this hub gets again: a keyed stream, and the discrete Laplace distribution
//! drawn from it in integers.
//!
//! **The mechanism.** To a count, a whole number that one passage changes by 1 at most, a whole number Y is added with
//! P(Y = y) ∝ e^(−ε·|y|). That is ε-differential privacy, and among all such mechanisms the best for every use of a count
//! (Ghosh, Roughgarden, Sundararajan: "Universally utility-maximizing privacy mechanisms", 2009: the geometric mechanism).
//!
//! **The draw** is exact (Canonne, Kamath, Steinke: "The discrete Gaussian for differential privacy", 2020, algorithms 1 and 2):
//! coins whose chances are fractions of integers, no logarithm, no float. So no two machines differ in a bit, and there is no
//! rounding through which a count shows (Mironov 2012).
//!
//! **The stream** is SipHash-2-4 in counter mode, keyed with the hub's secret: a pseudo-random function with a key of 128 bits
//! (Aumasson, Bernstein 2012). What it hashes: a name of this use, the rest of the secret, the length of the period and its
//! number, ε, the point's name, and the number of the draw. The same period of the same point has the same noise for ever, and
//! another one has noise of its own.
//!
//! Deliberately absent: a source of randomness. There is none here, and with one a restart would be a fresh sample.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip::SipHasher24;

/// The key of SipHash; what a seed has beyond goes into the message.
const KEY: usize = 16;
/// Keeps this stream apart from any other that is drawn from the same secret, and from a later one of this plugin.
const USE: &[u8] = b"curb crowd 1";
/// Parts of one ε: settings give it to three places.
pub const PARTS: u32 = 1_000;

/// Which noise: of one point in one period.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// `device/point`.
    pub point: &'a str,
    /// Length of the period in nanoseconds.
    pub length: i64,
    /// Number of the period.
    pub period: i64,
}

/// The secret.
#[derive(Clone)]
pub struct Noise {
    keyed: SipHasher24,
}

impl fmt::Debug for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Noise(of a secret)")
    }
}

impl Noise {
    /// `None`: the seed is too short to be a secret.
    #[must_use]
    pub fn new(seed: &[u8]) -> Option<Self> {
        let (key, rest) = seed.split_first_chunk::<KEY>()?;
        let mut keyed = SipHasher24::new_with_key(key);
        keyed.write(USE);
        keyed.write(rest);
        Some(Self { keyed })
    }

    /// The noise of this place, at `epsilon` (in [`PARTS`]; not 0).
    #[must_use]
    pub fn at(&self, place: Place<'_>, epsilon: u64) -> i64 {
        let mut stream = self.keyed;
        stream.write(&place.length.to_le_bytes());
        stream.write(&place.period.to_le_bytes());
        stream.write(&epsilon.to_le_bytes());
        // Last but for the counter of fixed width, so that it needs no length of its own.
        stream.write(place.point.as_bytes());
        Draws { stream, drawn: 0 }.laplace(epsilon, u64::from(PARTS))
    }
}

/// Random numbers, one behind the other.
struct Draws {
    stream: SipHasher24,
    drawn: u64,
}

impl Draws {
    fn word(&mut self) -> u64 {
        let mut stream = self.stream;
        stream.write(&self.drawn.to_le_bytes());
        self.drawn += 1;
        stream.finish()
    }

    /// One of 0 to `n` − 1, each as likely as the other.
    fn below(&mut self, n: u64) -> u64 {
        // 2⁶⁴ mod n words too many: these are drawn again.
        let surplus = n.wrapping_neg() % n;
        loop {
            let word = self.word();
            if word >= surplus {
                return word % n;
            }
        }
    }

    /// True with chance a / b.
    fn coin(&mut self, a: u64, b: u64) -> bool {
        self.below(b) < a
    }

    /// True with chance e^(−a/b), for a ≤ b: algorithm 1. It ends after two or three coins; after twenty once in 10¹⁸ times.
    fn decay(&mut self, a: u64, b: u64) -> bool {
        let mut coins = 1;
        while self.coin(a, b * coins) {
            coins += 1;
        }
        coins % 2 == 1
    }

    /// A whole number y with chance ∝ e^(−|y|·s/t): algorithm 2.
    fn laplace(&mut self, s: u64, t: u64) -> i64 {
        loop {
            let low = self.below(t);
            if !self.decay(low, t) {
                continue;
            }
            let mut high = 0;
            while self.decay(1, 1) {
                high += 1;
            }
            let size = i64::try_from((low + t * high) / s).unwrap_or(i64::MAX);
            let negative = self.coin(1, 2);
            // Zero has no sign: drawn with one, it would be twice as likely as it should be.
            if !(negative && size == 0) {
                return if negative { -size } else { size };
            }
        }
    }
}
