//! From what was served to what should have been read: which point each word belongs to, and what it means.
//!
//! The decoding is written anew here, from the words of the hub's settings; no code is shared with the daemon.

use std::sync::Arc;

use crate::device::{Device, Kind, Order, Table};
use crate::judge::accepted::Value;
use crate::record::{Served, What};
use crate::talker::Talker;

/// A point of the hub's settings, as the judge knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// `device/point`.
    pub name: String,
    /// The device, which is also its stream.
    pub device: Arc<str>,
    /// Where on the device.
    pub place: Place,
    /// The unit that must arrive with it.
    pub unit: Option<String>,
    /// The threshold of the deadband that the hub applies to it; `None`: every reading is passed on.
    pub deadband: Option<f64>,
}

/// Where a point lies on its device.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// In a Modbus table.
    Register {
        /// The table.
        table: Table,
        /// The first address.
        address: u16,
        /// Type.
        kind: Kind,
        /// Word order.
        order: Order,
        /// What a raw step is worth.
        scale: Option<f64>,
    },
    /// In a line, counted from 0.
    Column(usize),
}

impl Point {
    /// The points of a Modbus device.
    #[must_use]
    pub fn of_device(device: &Device) -> Vec<Self> {
        let point = |register: &crate::device::Register| Self {
            name: format!("{}/{}", device.name, register.point),
            device: Arc::clone(&device.name),
            place: Place::Register {
                table: register.table,
                address: register.address,
                kind: register.kind,
                order: register.order,
                scale: register.scale,
            },
            unit: register.unit.clone(),
            deadband: None,
        };
        device.registers.iter().map(point).collect()
    }

    /// The points of a sensor that talks by itself.
    #[must_use]
    pub fn of_talker(talker: &Talker) -> Vec<Self> {
        let point = |(column, content): (usize, &crate::talker::Column)| Self {
            name: format!("{}/{}", talker.device(), content.point),
            device: talker.device().into(),
            place: Place::Column(column),
            unit: Some(content.unit.clone()),
            deadband: None,
        };
        talker.columns().iter().enumerate().map(point).collect()
    }

    /// With a deadband.
    #[must_use]
    pub fn deadband(mut self, threshold: f64) -> Self {
        self.deadband = Some(threshold);
        self
    }

    /// What this served answer or line is to the point.
    pub(super) fn look(&self, what: &What) -> Look {
        match (&self.place, what) {
            (
                Place::Register { table, address, kind, order, scale },
                What::Answer { table: of, address: first, words, heard },
            ) if table == of => {
                let from = address.checked_sub(*first).map(usize::from);
                let words = from.and_then(|from| words.get(from..from + usize::from(kind.width())));
                words.map_or(Look::Elsewhere, |words| Look::Offered(decode(*kind, *order, *scale, words), *heard))
            }
            (Place::Register { table, address, kind, .. }, What::Failed { table: of, address: first, count, .. })
                if table == of =>
            {
                let (from, to) = (u32::from(*address), u32::from(*address) + u32::from(kind.width()));
                let covered = from >= u32::from(*first) && to <= u32::from(*first) + u32::from(*count);
                if covered { Look::Failed } else { Look::Elsewhere }
            }
            (Place::Column(column), What::Line { columns, heard }) => {
                columns.get(*column).map_or(Look::Elsewhere, |number| Look::Offered(Value::Number(*number), *heard))
            }
            _ => Look::Elsewhere,
        }
    }
}

/// What one record is to one point.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Look {
    /// Not about it.
    Elsewhere,
    /// It was read, and this came; whether anybody heard it.
    Offered(Value, bool),
    /// It was to be read, and no good answer came.
    Failed,
}

/// A served value of a point.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Offer {
    pub(super) at_ms: i64,
    pub(super) value: Value,
    pub(super) heard: bool,
}

/// All that was served of a point, by time: its values, and the moments of failed reads.
pub(super) fn of_point(point: &Point, served: &[Served]) -> (Vec<Offer>, Vec<i64>) {
    let (mut offers, mut failed) = (Vec::new(), Vec::new());
    for Served { at_ms, what, .. } in served.iter().filter(|served| served.device == point.device) {
        match point.look(what) {
            Look::Elsewhere => {}
            Look::Offered(value, heard) => offers.push(Offer { at_ms: *at_ms, value, heard }),
            Look::Failed => failed.push(*at_ms),
        }
    }
    offers.sort_by_key(|offer| offer.at_ms);
    failed.sort_unstable();
    (offers, failed)
}

/// The moments of all failed reads of a device, by time.
pub(super) fn failures(device: &str, served: &[Served]) -> Vec<i64> {
    let failed = |served: &&Served| &*served.device == device && matches!(served.what, What::Failed { .. });
    let mut moments: Vec<i64> = served.iter().filter(failed).map(|served| served.at_ms).collect();
    moments.sort_unstable();
    moments
}

/// The value of these words. A float means the decimal number that it prints as; a scale like 0.1 divides by 10.
fn decode(kind: Kind, order: Order, scale: Option<f64>, words: &[u16]) -> Value {
    let wide = || match (order, words) {
        (Order::Abcd, [high, low]) | (Order::Cdab, [low, high]) => u32::from(*high) << 16 | u32::from(*low),
        _ => 0,
    };
    let raw = match kind {
        Kind::Bool => return Value::Bit(words[0] != 0),
        Kind::U16 => f64::from(words[0]),
        Kind::I16 => f64::from(words[0].cast_signed()),
        Kind::U32 => f64::from(wide()),
        Kind::I32 => f64::from(wide().cast_signed()),
        Kind::F32 => f32::from_bits(wide()).to_string().parse().unwrap_or(f64::NAN),
    };
    Value::Number(match scale {
        None => raw,
        Some(scale) if (1.0 / scale).round() > 1.0 && ((1.0 / scale).round() - 1.0 / scale).abs() < 1e-9 => {
            raw / (1.0 / scale).round()
        }
        Some(scale) => raw * scale,
    })
}
