//! The fields of a frame: little-endian numbers, counted text and lists. Nothing is allocated for a count that the bytes
//! at hand cannot fill.

use crate::columns::{Columns, Other};
use crate::link::{Metric, Now};
use crate::state::{SNAPSHOT_MAX, Saved};

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damaged {
    #[error("the body ends too early")]
    Short,
    #[error("{0} bytes behind the body")]
    Long(usize),
    #[error("unknown kind {0}")]
    Kind(u8),
    #[error("a text is not UTF-8")]
    Utf8,
    #[error("an id that nobody can have given")]
    Id,
}

/// Writes a frame, or bytes without one.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Room for the length is left in front.
    pub(crate) fn frame() -> Self {
        Self(vec![0; 4])
    }

    pub(crate) fn into_frame(mut self) -> Vec<u8> {
        let len = u32::try_from(self.0.len() - 4).expect("a frame is shorter than 4 GiB");
        self.0[..4].copy_from_slice(&len.to_le_bytes());
        self.0
    }

    /// For a writer that began with nothing.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn u8(&mut self, n: u8) -> &mut Self {
        self.0.push(n);
        self
    }

    pub(crate) fn u32(&mut self, n: u32) -> &mut Self {
        self.raw(&n.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, n: u64) -> &mut Self {
        self.raw(&n.to_le_bytes())
    }

    pub(crate) fn i64(&mut self, n: i64) -> &mut Self {
        self.raw(&n.to_le_bytes())
    }

    pub(crate) fn f64(&mut self, n: f64) -> &mut Self {
        self.raw(&n.to_le_bytes())
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len()).raw(bytes)
    }

    pub(crate) fn option<T>(
        &mut self,
        value: Option<&T>,
        write: impl for<'w> FnOnce(&'w mut Self, &T) -> &'w mut Self,
    ) -> &mut Self {
        match value {
            None => self.u8(0),
            Some(value) => write(self.u8(1), value),
        }
    }

    pub(crate) fn list<T>(
        &mut self,
        list: &[T],
        write: impl for<'w> Fn(&'w mut Self, &T) -> &'w mut Self,
    ) -> &mut Self {
        self.count(list.len());
        for item in list {
            write(self, item);
        }
        self
    }

    pub(crate) fn columns(&mut self, columns: &Columns) -> &mut Self {
        self.list(&columns.points, |w, id| w.u32(*id))
            .list(&columns.times, |w, time| w.i64(*time))
            .list(&columns.values, |w, value| w.f64(*value))
            .bytes(&columns.kinds)
            .bytes(&columns.quality)
            .list(&columns.others, |w, (row, other)| {
                let w = w.u32(*row);
                match other {
                    Other::Signed(n) => w.u8(0).i64(*n),
                    Other::Unsigned(n) => w.u8(1).u64(*n),
                    Other::Text(text) => w.u8(2).text(text),
                    Other::Raw(bytes) => w.u8(3).bytes(bytes),
                }
            })
    }

    pub(crate) fn saved(&mut self, saved: &Saved) -> &mut Self {
        self.u32(saved.version).bytes(&saved.data)
    }

    pub(crate) fn now(&mut self, now: Now) -> &mut Self {
        self.i64(now.hub).option(now.utc_offset.as_ref(), |w, offset| w.i64(*offset))
    }

    pub(crate) fn metrics(&mut self, metrics: &[Metric]) -> &mut Self {
        self.list(metrics, |w, metric| w.text(&metric.name).u8(u8::from(metric.adds)).f64(metric.value))
    }

    fn count(&mut self, n: usize) -> &mut Self {
        self.u32(u32::try_from(n).expect("what goes into a frame is shorter than 4 GiB"))
    }

    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

/// Reads the body of a frame.
#[derive(Debug)]
pub(crate) struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The body is read to its end.
    pub(crate) const fn finish(&self) -> Result<(), Damaged> {
        if self.0.is_empty() { Ok(()) } else { Err(Damaged::Long(self.0.len())) }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Damaged> {
        self.array().map(|[n]| n)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Damaged> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Damaged::Kind(other)),
        }
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Damaged> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Damaged> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Damaged> {
        self.array().map(i64::from_le_bytes)
    }

    pub(crate) fn f64(&mut self) -> Result<f64, Damaged> {
        self.array().map(f64::from_le_bytes)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let len = self.count(1)?;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Damaged::Short)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn text(&mut self) -> Result<String, Damaged> {
        std::str::from_utf8(self.bytes()?).map(str::to_owned).map_err(|_| Damaged::Utf8)
    }

    pub(crate) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Damaged>,
    ) -> Result<Option<T>, Damaged> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    /// `least`: bytes that an item has at least.
    pub(crate) fn list<T>(
        &mut self,
        least: usize,
        read: impl Fn(&mut Self) -> Result<T, Damaged>,
    ) -> Result<Vec<T>, Damaged> {
        (0..self.count(least)?).map(|_| read(self)).collect()
    }

    pub(crate) fn columns(&mut self) -> Result<Columns, Damaged> {
        Ok(Columns {
            points: self.list(4, Self::u32)?,
            times: self.list(8, Self::i64)?,
            values: self.list(8, Self::f64)?,
            kinds: self.bytes()?.to_vec(),
            quality: self.bytes()?.to_vec(),
            others: self.list(9, |r| {
                let row = r.u32()?;
                let other = match r.u8()? {
                    0 => Other::Signed(r.i64()?),
                    1 => Other::Unsigned(r.u64()?),
                    2 => Other::Text(r.text()?.into()),
                    3 => Other::Raw(r.bytes()?.into()),
                    kind => return Err(Damaged::Kind(kind)),
                };
                Ok((row, other))
            })?,
        })
    }

    pub(crate) fn saved(&mut self) -> Result<Saved, Damaged> {
        let (version, data) = (self.u32()?, self.bytes()?);
        if data.len() > SNAPSHOT_MAX {
            return Err(Damaged::Long(data.len() - SNAPSHOT_MAX));
        }
        Ok(Saved { version, data: data.into() })
    }

    pub(crate) fn now(&mut self) -> Result<Now, Damaged> {
        Ok(Now { hub: self.i64()?, utc_offset: self.option(Self::i64)? })
    }

    pub(crate) fn metrics(&mut self) -> Result<Vec<Metric>, Damaged> {
        self.list(13, |r| Ok(Metric { name: r.text()?, adds: r.flag()?, value: r.f64()? }))
    }

    fn count(&mut self, least: usize) -> Result<usize, Damaged> {
        let count = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if count.saturating_mul(least) > self.0.len() { Err(Damaged::Short) } else { Ok(count) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (array, rest) = self.0.split_first_chunk::<N>().ok_or(Damaged::Short)?;
        self.0 = rest;
        Ok(*array)
    }
}
