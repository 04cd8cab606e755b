//! Deadband: a reading that says nothing new stays on the hub.
//!
//! Settings: `default` (a number, 0 if left out: every change passes), `percent` (a share of the last value that passed, 0 if left
//! out), `points` (a table from `device/point` to another threshold, or to a table of `threshold` and `percent`), `max_silence` (a
//! duration like `"60s"`; left out, a point may be silent for ever). The rule itself stands in [`rule::Memory::passes`]. It forgets at
//! a restart, which only sends more.
//!
//! Deliberately absent: ticks. Behind the longest silence the next reading passes; nothing is told of a point that is not read, for
//! a value must be a reading. That a device is silent is news which the hub has by itself, as bad readings.

pub mod rule;
mod settings;
#[cfg(test)]
mod tests;

use curb_plugin::{Filter, Now, Out, PointId, Quality, Row, Rows, Setup, Value};

use crate::rule::{Band, Memory, Table};

/// A reading without its point and time, as the rule keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// `None` for a bad reading.
    pub value: Option<Held>,
    /// Quality and reason.
    pub quality: Quality,
}

/// A value that is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Held {
    /// A bit: passes when it changes, whatever the threshold.
    Bool(bool),
    /// Any number; wide integers are rounded, as in arithmetic on floats.
    Number(f64),
    /// Text.
    Text(Box<str>),
    /// Raw bytes.
    Bytes(Box<[u8]>),
}

#[expect(clippy::cast_precision_loss, reason = "a threshold on a wide integer is a float as well")]
impl From<&Row<'_>> for Sample {
    fn from(row: &Row<'_>) -> Self {
        let value = row.value.map(|value| match value {
            Value::Bool(b) => Held::Bool(b),
            Value::Number(n) => Held::Number(n),
            Value::Signed(n) => Held::Number(n as f64),
            Value::Unsigned(n) => Held::Number(n as f64),
            Value::Text(text) => Held::Text(text.into()),
            Value::Bytes(bytes) => Held::Bytes(bytes.into()),
        });
        Self { value, quality: row.quality }
    }
}

/// The plugin.
#[derive(Debug)]
pub struct Deadband {
    default: Band,
    bands: Table<PointId, Band>,
    memory: Memory<PointId>,
}

impl Filter for Deadband {
    fn init(setup: &Setup) -> Result<Self, String> {
        let (default, bands) = settings::bands(setup.settings()?, setup.inputs().map(|(id, name, _)| (id, name)))?;
        Ok(Self { default, bands, memory: Memory::default() })
    }

    fn process(&mut self, _: Now, rows: Rows<'_>, out: &mut Out) -> Result<(), String> {
        for row in rows {
            let band = self.bands.get(&row.point).copied().unwrap_or(self.default);
            if self.memory.passes(row.point, row.at, Sample::from(&row), band) {
                out.keep(&row);
            }
        }
        Ok(())
    }
}

#[cfg(target_arch = "wasm32")]
curb_plugin::export!(Deadband);

curb_plugin::manifest!("../settings.json");
