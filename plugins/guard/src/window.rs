//! The newest values of a point, their median, and how far they lie from it. Pure.
//!
//! A sorted copy is kept beside the order of arrival: an answer is then one walk, and a sort of std would be 4 KB of the
//! component.

/// The newest `size` values. Of an even number of values the middle is the greater of the two.
#[derive(Debug, Default)]
pub struct Window {
    /// By arrival, once full beginning at `oldest`.
    arrived: Vec<f64>,
    oldest: usize,
    sorted: Vec<f64>,
}

impl Window {
    /// How many values there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.arrived.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.arrived.is_empty()
    }

    /// Forgets all values.
    pub fn clear(&mut self) {
        self.arrived.clear();
        self.sorted.clear();
        self.oldest = 0;
    }

    /// Takes a value in; with more than `size` of them the oldest goes.
    pub fn push(&mut self, value: f64, size: usize) {
        if self.arrived.len() < size {
            self.arrived.push(value);
        } else {
            let gone = std::mem::replace(&mut self.arrived[self.oldest], value);
            self.oldest = (self.oldest + 1) % size;
            self.sorted.remove(self.place(gone));
        }
        self.sorted.insert(self.place(value), value);
    }

    fn place(&self, value: f64) -> usize {
        self.sorted.partition_point(|other| *other < value)
    }

    /// The value in the middle; `None` of nothing.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        self.sorted.get(self.sorted.len() / 2).copied()
    }

    /// The median absolute deviation: half of the values lie no farther from `median`, which is theirs.
    #[must_use]
    pub fn deviation(&self, median: f64) -> f64 {
        let middle = self.sorted.len() / 2;
        // Deviations grow from the middle to both sides; the two sides are merged until half of them are through.
        let (mut below, mut above) = self.sorted.split_at(middle);
        let mut deviation = 0.0;
        for _ in 0..=middle {
            let down = below.last().map(|value| median - value);
            let up = above.first().map(|value| value - median);
            match (down, up) {
                (Some(down), up) if up.is_none_or(|up| down < up) => {
                    deviation = down;
                    below = &below[..below.len() - 1];
                }
                (_, Some(up)) => {
                    deviation = up;
                    above = &above[1..];
                }
                (_, None) => break,
            }
        }
        deviation
    }
}
