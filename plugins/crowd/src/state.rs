//! The bytes of what is remembered, version 1: whole numbers of 8 bytes, little-endian.
//!
//! ```text
//! nothing at all, if it was never called; else
//!
//! last call   hub time · 1 if UTC was known then, else 0 · UTC
//! each point  id · kind · length of its period · next period · day · spent · 1 if there is a total, else 0 · total · open periods
//!     each    period · readings · sum · most · 1 if one failed, else 0 · doubt
//! ```
//!
//! The counts of open periods stand in there as they are. They are on the hub's own card only, with everything else of that hub.

use curb_plugin::Reason;

use crate::memory::Memory;
use crate::rule::{Rule, Tally};

/// Of these bytes.
pub(crate) const VERSION: u32 = 1;

/// When the plugin was called last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Last {
    /// Hub time.
    pub(crate) time: i64,
    /// UTC in nanoseconds, if it was known.
    pub(crate) utc: Option<i64>,
}

/// A point as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) id: u64,
    pub(crate) kind: u64,
    pub(crate) length: i64,
    pub(crate) memory: Memory,
}

/// Writes them.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn last(&mut self, Last { time, utc }: Last) {
        self.put(&[time.cast_unsigned(), u64::from(utc.is_some()), utc.unwrap_or(0).cast_unsigned()]);
    }

    pub(crate) fn point(&mut self, id: u32, rule: &Rule, memory: &Memory) {
        let Memory { next, day, spent, total, open } = memory;
        let [length, next, day] = [rule.length, *next, *day].map(i64::cast_unsigned);
        let (is_total, total) = (u64::from(total.is_some()), total.unwrap_or(0));
        self.put(&[u64::from(id), rule.kind as u64, length, next, day, *spent, is_total, total]);
        self.put(&[u64::try_from(open.len()).unwrap_or(u64::MAX)]);
        for (period, Tally { readings, sum, most, failed, doubt }) in open {
            let (failed, doubt) = (u64::from(*failed), u64::from(doubt.0));
            self.put(&[period.cast_unsigned(), *readings, *sum, *most, failed, doubt]);
        }
    }

    fn put(&mut self, numbers: &[u64]) {
        numbers.iter().for_each(|number| self.bytes.extend_from_slice(&number.to_le_bytes()));
    }
}

/// Reads them: each of these is `None` if there are no bytes of this version.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    pub(crate) fn last(&mut self) -> Option<Last> {
        let [time, is_utc, utc] = self.take()?;
        Some(Last { time: time.cast_signed(), utc: (is_utc != 0).then_some(utc.cast_signed()) })
    }

    pub(crate) fn point(&mut self) -> Option<Kept> {
        let [id, kind, length, next, day, spent, is_total, total, open] = self.take()?;
        let [length, next, day] = [length, next, day].map(u64::cast_signed);
        let total = (is_total != 0).then_some(total);
        let mut memory = Memory { next, day, spent, total, open: Vec::new() };
        for _ in 0..open {
            let [period, readings, sum, most, failed, doubt] = self.take()?;
            let doubt = Reason(u8::try_from(doubt).ok()?);
            memory.open.push((period.cast_signed(), Tally { readings, sum, most, failed: failed != 0, doubt }));
        }
        (length > 0).then_some(Kept { id, kind, length, memory })
    }

    fn take<const N: usize>(&mut self) -> Option<[u64; N]> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            let (head, rest) = self.0.split_first_chunk()?;
            *number = u64::from_le_bytes(*head);
            self.0 = rest;
        }
        Some(numbers)
    }
}
