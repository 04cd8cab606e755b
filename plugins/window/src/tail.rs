//! The greatest values of a part, for the 95th percentile. Pure, bounded, and the same whatever order values come in.
//!
//! The percentile of n values is the (n / 20 + 1)-th greatest (nearest rank). The greatest [`TOP`] are kept as they are, so it is
//! exact for up to 20 · TOP − 1 = 639 values. Of those below only a count for each sixteenth of a power of two is kept, for the
//! greatest [`REST`] of these that occur, the lowest with all that is lower still: so for more values it is within 1/32 (3.2 %),
//! and at most the true one's neighbour above where the greatest twentieth is spread over more than REST sixteenths.
//!
//! Joining two tails gives the tail of all values: what is not in the TOP of a part is not in the TOP of the whole.

/// How many of the greatest values are exact.
pub const TOP: usize = 32;

/// For how many sixteenths of a power of two there is a count.
pub const REST: usize = 32;

/// The greatest values, and roughly the others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tail {
    /// Descending.
    pub top: Vec<f64>,
    /// Sixteenth and count, descending; empty unless `top` is full.
    pub rest: Vec<(u16, u32)>,
}

impl Tail {
    /// Takes a value in.
    pub fn insert(&mut self, value: f64) {
        let place = self.top.partition_point(|other| *other >= value);
        self.top.insert(place, value);
        if self.top.len() > TOP
            && let Some(least) = self.top.pop()
        {
            self.count(sixteenth(least), 1);
        }
    }

    /// Takes in what another one holds.
    pub fn join(&mut self, other: &Self) {
        for value in &other.top {
            self.insert(*value);
        }
        for (sixteenth, count) in &other.rest {
            self.count(*sixteenth, *count);
        }
    }

    /// The 95th percentile of `n` values; `None` if these are not the values that were taken in.
    #[must_use]
    pub fn p95(&self, n: u32) -> Option<f64> {
        let rank = usize::try_from(n / 20).ok()?;
        let known = self.rest.iter().fold(self.top.len(), |sum, (_, count)| sum + *count as usize);
        if known != usize::try_from(n).ok()? {
            return None;
        }
        if let Some(value) = self.top.get(rank) {
            return Some(*value);
        }
        let mut passed = self.top.len();
        let (sixteenth, _) = self.rest.iter().find(|(_, count)| {
            passed += *count as usize;
            passed > rank
        })?;
        Some(middle(*sixteenth))
    }

    fn count(&mut self, sixteenth: u16, count: u32) {
        let place = self.rest.partition_point(|(other, _)| *other > sixteenth);
        match self.rest.get_mut(place) {
            Some((other, sum)) if *other == sixteenth => *sum += count,
            Some(_) | None => self.rest.insert(place, (sixteenth, count)),
        }
        if self.rest.len() > REST
            && let Some((_, lowest)) = self.rest.pop()
            && let Some((_, sum)) = self.rest.last_mut()
        {
            *sum += lowest;
        }
    }
}

/// Floats of the same sign, exponent and first four bits of the fraction, numbered in the order of the floats.
const fn sixteenth(value: f64) -> u16 {
    let bits = value.to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    (ordered >> 48) as u16
}

/// The float in the middle of a sixteenth; 0 for those around it.
const fn middle(sixteenth: u16) -> f64 {
    let ordered = (sixteenth as u64) << 48 | 1 << 47;
    let bits = if ordered >> 63 == 1 { ordered & !(1 << 63) } else { !ordered };
    let value = f64::from_bits(bits);
    if value.is_normal() { value } else { 0.0 }
}
