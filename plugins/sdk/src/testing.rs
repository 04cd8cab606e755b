//! A plugin on its author's machine: readings in, what it makes of them out, no WebAssembly.
//!
//! ```
//! use curb_plugin::testing::{Bench, Fate};
//! use curb_plugin::{Filter, Now, Out, Rows, Setup, Value};
//!
//! struct Quiet;
//!
//! impl Filter for Quiet {
//!     fn init(_: &Setup) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!     fn process(&mut self, _: Now, rows: Rows<'_>, out: &mut Out) -> Result<(), String> {
//!         rows.filter(|row| row.value != Some(Value::Number(0.0))).for_each(|row| out.keep(&row));
//!         Ok(())
//!     }
//! }
//!
//! let mut bench = Bench::<Quiet>::start("{}", &["meter/power"]).unwrap();
//! assert_eq!(bench.read(1_000, &[("meter/power", 0.0)]), []);
//! let told = bench.read(2_000, &[("meter/power", 5.0)]);
//! assert_eq!((told[0].point.as_str(), told[0].number(), told[0].fate), ("meter/power", Some(5.0), Fate::Kept));
//! ```
//!
//! Deliberately absent: limits. What a hub stops (memory, time, rows) shows with `curb plugin test`, in the hub's own engine.

use crate::bindings::curb::plugin::types::{Columns, Emission, Point};
use crate::bindings::exports::curb::plugin::transform::Setup as RawSetup;
use crate::host::notebook::{DECLARED, FIRST, LINES, METRICS};
use crate::{Class, Filter, Now, Quality, Row, Rows, Saved, Setup, Stateful, Value, glue};

/// What has become of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It passes as it was.
    Kept,
    /// It passes with another quality.
    Marked,
    /// It is set aside.
    Rejected,
    /// The plugin has made it.
    Added,
    /// The same, on a point of alarms.
    Alarm,
}

/// A reading that comes out, or is set aside.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// `device/point`, or the name of a point of the plugin's own.
    pub point: String,
    /// Milliseconds of hub time.
    pub at: i64,
    /// The value; `None` if the reading is bad.
    pub value: Option<Owned>,
    /// How far to rely on it.
    pub quality: Quality,
    /// What has become of it.
    pub fate: Fate,
}

impl Told {
    /// The value, if it is a number or a bit.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self.value {
            Some(Owned::Number(n)) => Some(n),
            Some(Owned::Bool(b)) => Some(f64::from(u8::from(b))),
            Some(Owned::Text(_) | Owned::Bytes(_)) | None => None,
        }
    }
}

/// A value that nobody else holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Owned {
    /// A bit.
    Bool(bool),
    /// Any number; wide integers are rounded.
    Number(f64),
    /// Text.
    Text(String),
    /// Raw bytes.
    Bytes(Vec<u8>),
}

impl From<f64> for Owned {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Owned {
    fn from(bit: bool) -> Self {
        Self::Bool(bit)
    }
}

impl From<&str> for Owned {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A reading for a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// `device/point`.
    pub point: String,
    /// Milliseconds of hub time.
    pub at: i64,
    /// The value; `None` if the reading is bad.
    pub value: Option<Owned>,
    /// How far to rely on it.
    pub quality: Quality,
}

/// A running plugin.
#[derive(Debug)]
pub struct Bench<P> {
    plugin: Option<P>,
    settings: String,
    inputs: Vec<String>,
    seed: Vec<u8>,
    tick_ms: u32,
    /// What to add to hub time to get UTC, in milliseconds; `None`: the hub's clock is not trusted. 0 at first.
    pub utc_offset: Option<i64>,
}

impl<P: Filter> Bench<P> {
    /// Starts it with these settings, as JSON, and these points, as `device/point`, in their order.
    ///
    /// # Errors
    /// The plugin refuses a setting.
    pub fn start(settings: &str, inputs: &[&str]) -> Result<Self, String> {
        Self::seeded(settings, inputs, &[7; 32])
    }

    /// The same with another secret than all tests have.
    ///
    /// # Errors
    /// The plugin refuses a setting.
    pub fn seeded(settings: &str, inputs: &[&str], seed: &[u8]) -> Result<Self, String> {
        DECLARED.take();
        LINES.take();
        METRICS.take();
        let inputs = inputs.iter().map(|&name| name.to_owned()).collect();
        let mut bench = Self {
            plugin: None,
            settings: settings.to_owned(),
            inputs,
            seed: seed.to_vec(),
            tick_ms: 0,
            utc_offset: Some(0),
        };
        bench.init()?;
        Ok(bench)
    }

    fn init(&mut self) -> Result<(), String> {
        let inputs = self.inputs.iter().zip(0..);
        let inputs = inputs.map(|(name, id)| Point { id, name: name.clone(), unit: None }).collect();
        let setup = RawSetup { config: self.settings.clone(), inputs, seed: self.seed.clone() };
        self.tick_ms = self.plugin.insert(P::init(&Setup::new(setup))?).tick_ms();
        Ok(())
    }

    /// How often it wants to be called although nothing was read, in milliseconds.
    #[must_use]
    pub const fn tick_ms(&self) -> u32 {
        self.tick_ms
    }

    /// A batch of good readings at this time, in milliseconds.
    ///
    /// # Panics
    /// The plugin cannot handle it, or answers against the contract.
    pub fn read<V: Into<Owned> + Clone>(&mut self, at: i64, values: &[(&str, V)]) -> Vec<Told> {
        let given = values.iter().map(|(point, value)| Given {
            point: (*point).to_owned(),
            at,
            value: Some(value.clone().into()),
            quality: Quality::GOOD,
        });
        self.give(at, &given.collect::<Vec<_>>())
    }

    /// A batch, handled at `now`, in milliseconds.
    ///
    /// # Panics
    /// The plugin cannot handle it, or answers against the contract.
    pub fn give(&mut self, now: i64, given: &[Given]) -> Vec<Told> {
        self.try_give(now, given).expect("the plugin handles the batch")
    }

    /// A batch that the plugin may refuse.
    ///
    /// # Errors
    /// The plugin says that it cannot handle it.
    ///
    /// # Panics
    /// The plugin answers against the contract.
    pub fn try_give(&mut self, now: i64, given: &[Given]) -> Result<Vec<Told>, String> {
        let columns = self.columns(given);
        let now = self.now(now);
        let emission = glue::process(&mut self.plugin, now, &columns)?;
        Ok(self.told(&columns, emission))
    }

    /// Time has passed.
    ///
    /// # Panics
    /// The plugin fails, or answers against the contract.
    pub fn tick(&mut self, now: i64) -> Vec<Told> {
        let now = self.now(now);
        let added = glue::tick(&mut self.plugin, now).expect("the plugin handles the tick");
        self.added(&added)
    }

    /// The plugin is removed.
    ///
    /// # Panics
    /// The plugin fails, or answers against the contract.
    pub fn finish(&mut self, now: i64) -> Vec<Told> {
        let now = self.now(now);
        let added = glue::finish(&mut self.plugin, now).expect("the plugin ends");
        self.added(&added)
    }

    /// What it has logged since it was asked last.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        LINES.take()
    }

    /// A counter or gauge of its own.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        METRICS.with_borrow(|metrics| metrics.iter().find(|(known, _)| known == name).map(|(_, value)| *value))
    }

    fn now(&self, ms: i64) -> Now {
        Now { time: nanos(ms), utc_offset: self.utc_offset.map(nanos) }
    }

    fn columns(&self, given: &[Given]) -> Columns {
        let mut out = crate::Out::default();
        for reading in given {
            let place = self.inputs.iter().position(|name| *name == reading.point).expect("a point that it sees");
            let value = reading.value.as_ref().map(|value| match value {
                Owned::Bool(b) => Value::Bool(*b),
                Owned::Number(n) => Value::Number(*n),
                Owned::Text(text) => Value::Text(text),
                Owned::Bytes(bytes) => Value::Bytes(bytes),
            });
            let id = crate::PointId(u32::try_from(place).expect("few points"));
            out.add(id, nanos(reading.at), value, reading.quality);
        }
        out.into_emission().add
    }

    /// # Panics
    /// As a hub would stop it.
    fn told(&self, columns: &Columns, emission: Emission) -> Vec<Told> {
        let Emission { keep, add, remark, rejects } = emission;
        let rows: Vec<Row<'_>> = Rows::new(columns).collect();
        let marks = remark.iter().map(|mark| (mark.row, Fate::Marked, Some(Quality(mark.quality))));
        let named = keep.iter().map(|row| (*row, Fate::Kept, None)).chain(marks);
        let mut named: Vec<_> = named.chain(rejects.iter().map(|reject| (reject.row, Fate::Rejected, None))).collect();
        named.sort_by_key(|(row, ..)| *row);
        assert!(named.windows(2).all(|pair| pair[0].0 < pair[1].0), "a row is named twice: {named:?}");
        let told = named.into_iter().map(|(number, fate, quality)| {
            let row = &rows[usize::try_from(number).expect("a row")];
            let quality = quality.unwrap_or(row.quality);
            let value = row.value.filter(|_| !quality.is_bad()).map(owned);
            assert_eq!(value.is_none(), quality.is_bad(), "a row without a value cannot be marked anything but bad");
            Told { point: self.name(row.point.0), at: millis(row.at), value, quality, fate }
        });
        told.chain(self.added(&add)).collect()
    }

    fn added(&self, add: &Columns) -> Vec<Told> {
        let mut last = i64::MIN;
        let told = Rows::new(add).map(|row| {
            assert!(row.at >= last, "readings are added in the order of their times");
            last = row.at;
            assert_eq!(row.value.is_none(), row.quality.is_bad(), "a reading without a value is bad, and no other is");
            let class =
                DECLARED.with_borrow(|declared| declared[place(row.point.0).expect("a point of its own")].class);
            let fate = if class == Class::Alarm { Fate::Alarm } else { Fate::Added };
            Told {
                point: self.name(row.point.0),
                at: millis(row.at),
                value: row.value.map(owned),
                quality: row.quality,
                fate,
            }
        });
        told.collect()
    }

    fn name(&self, id: u32) -> String {
        match place(id) {
            Some(place) => DECLARED.with_borrow(|declared| declared[place].name.clone()),
            None => self.inputs[usize::try_from(id).expect("few points")].clone(),
        }
    }
}

impl<P: Stateful> Bench<P> {
    /// Stops it and starts it anew from its snapshot, as a power cut would; the bytes of that.
    ///
    /// # Panics
    /// The plugin cannot give its state out, or take it back.
    pub fn restart(&mut self) -> Vec<u8> {
        let saved = glue::snapshot(&self.plugin).expect("the plugin gives its state out");
        let data = saved.data.clone();
        self.restore(saved).expect("the plugin takes its state back");
        data
    }

    /// Starts it anew from this state.
    ///
    /// # Errors
    /// The plugin refuses it.
    pub fn restore(&mut self, saved: Saved) -> Result<(), String> {
        self.init()?;
        glue::restore(&mut self.plugin, saved)
    }
}

fn place(id: u32) -> Option<usize> {
    id.checked_sub(FIRST).and_then(|place| usize::try_from(place).ok())
}

const fn nanos(ms: i64) -> i64 {
    ms * 1_000_000
}

const fn millis(nanos: i64) -> i64 {
    nanos / 1_000_000
}

#[expect(clippy::cast_precision_loss, reason = "a test counts less far")]
fn owned(value: Value<'_>) -> Owned {
    match value {
        Value::Bool(b) => Owned::Bool(b),
        Value::Number(n) => Owned::Number(n),
        Value::Signed(n) => Owned::Number(n as f64),
        Value::Unsigned(n) => Owned::Number(n as f64),
        Value::Text(text) => Owned::Text(text.to_owned()),
        Value::Bytes(bytes) => Owned::Bytes(bytes.to_vec()),
    }
}
