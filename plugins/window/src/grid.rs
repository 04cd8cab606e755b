//! Where windows end: each multiple of `every`, of hub time or of UTC. Pure.
//!
//! UTC is hub time and an offset that is not known at first and may move. Ends never move with it: those up to a certain one
//! stay where they were, and only what comes behind it follows the new offset. So no reading is ever in two parts, or in none.

/// The times at which a part ends and the next one begins. A part is what lies behind one end up to and with the next: a
/// reading at 12:00:00.000 belongs to the minute that ends then, as a meter's does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// From one end to the next, in nanoseconds; positive.
    every: i64,
    /// What is added to hub time before it is divided: 0, or the UTC offset.
    shift: i64,
    moved: Option<Moved>,
}

/// How ends lay before the offset moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// What was added to hub time.
    pub shift: i64,
    /// The last end of that kind.
    pub last: i64,
}

/// Offsets that differ less than this from the one that windows are aligned to do not move them, in nanoseconds; nor does a
/// hundredth of `every`. A hub's clock is slewed all the time, and a moved window is an odd one. A guess.
const STILL: i64 = 1_000_000_000;

impl Grid {
    /// Ends at multiples of `every`, in nanoseconds, of hub time and `shift`.
    #[must_use]
    pub const fn new(every: i64, shift: i64, moved: Option<Moved>) -> Self {
        Self { every, shift, moved }
    }

    /// What it was made of.
    #[must_use]
    pub const fn into_parts(self) -> (i64, i64, Option<Moved>) {
        (self.every, self.shift, self.moved)
    }

    /// The first end at `time` or behind it: that of the part to which a reading of this time belongs.
    ///
    /// Behind a move the first end is the one that leaves a part of half of `every` to one and a half.
    #[must_use]
    pub fn end_of(&self, time: i64) -> i64 {
        match self.moved {
            Some(moved) if time <= moved.last => self.up(time, moved.shift),
            Some(moved) => self.up(time.max(moved.last + self.every / 2 + 1), self.shift),
            None => self.up(time, self.shift),
        }
    }

    /// The last end before `time`.
    #[must_use]
    pub fn before(&self, time: i64) -> i64 {
        let end = self.end_of(time);
        match self.moved {
            Some(moved) if time > moved.last && end == self.end_of(moved.last + 1) => moved.last,
            Some(_) | None => end - self.every,
        }
    }

    /// The end that lies `parts` before this one.
    #[must_use]
    pub fn back(&self, end: i64, parts: u32) -> i64 {
        (0..parts).fold(end, |end, _| self.before(end))
    }

    /// Whether the part that ends there is as long as all are.
    #[must_use]
    pub fn is_regular(&self, end: i64) -> bool {
        end - self.before(end) == self.every
    }

    /// Hub time is so much later than it was, in nanoseconds: so are all ends.
    pub fn shift(&mut self, nanos: i64) {
        self.shift -= nanos;
        if let Some(moved) = &mut self.moved {
            moved.shift -= nanos;
            moved.last += nanos;
        }
    }

    /// The UTC offset is this at `now`: follows it if it has moved, one move at a time. Parts that may hold readings stay as
    /// they are.
    pub fn follow(&mut self, now: i64, offset: i64) {
        let still = STILL.min(self.every / 100).unsigned_abs();
        let is_moving = self.moved.is_some_and(|moved| now <= self.end_of(moved.last + 1));
        if offset.abs_diff(self.shift) > still && !is_moving {
            self.moved = Some(Moved { shift: self.shift, last: self.end_of(now) });
            self.shift = offset;
        }
    }

    const fn up(&self, time: i64, shift: i64) -> i64 {
        ((time + shift - 1).div_euclid(self.every) + 1) * self.every - shift
    }
}
