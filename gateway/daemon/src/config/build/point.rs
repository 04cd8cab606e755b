//! `[device.*.point.*]`: a register of a Modbus device, or a column of a talker's line.

use std::sync::Arc;

use curb_model::{Class, Point, PointName, Stream, ValueType};
use curb_source::{Config, Conversion, DeviceConfig, Encoding, ModbusPoint, Order, Place, TalkerPoint};

use super::Part;
use super::device::EVERY_BOUNDS;
use crate::config::notation;
use crate::config::problem::Misfit;
use crate::config::report::Report;
use crate::config::schema;

/// Characters of a unit at most. The longest SenML unit has eight; field words such as `veh/h` are as short.
const MAX_UNIT: usize = 24;

/// Every point of every device.
pub(super) fn all(source: &Config) -> impl Iterator<Item = Arc<Point>> + '_ {
    source.buses.values().flat_map(|bus| bus.devices.values()).flat_map(|device| -> Box<dyn Iterator<Item = _>> {
        match device {
            DeviceConfig::Modbus(device) => Box::new(device.points.iter().map(|point| Arc::clone(&point.point))),
            DeviceConfig::Talker(device) => Box::new(device.points.iter().map(|point| Arc::clone(&point.point))),
        }
    })
}

/// A table of the device, with the path to one of its points.
struct At<'a, 'n> {
    device: &'a Part<'n, schema::Device>,
    raw: &'a schema::Point,
    name: &'a PointName,
}

impl<'a, 'n> At<'a, 'n> {
    fn find(device: &'a Part<'n, schema::Device>, name: &'a PointName) -> Option<Self> {
        let raw = device.raw.point.as_ref()?.get(name.point().as_str())?;
        Some(Self { device, raw, name })
    }

    fn below<'b>(&'b self, field: &'b str) -> [&'b str; 3] {
        ["point", self.name.point().as_str(), field]
    }

    fn wrong(&self, field: &str, misfit: Misfit, report: &mut Report) {
        self.device.wrong(&self.below(field), misfit, report);
    }

    fn missing(&self, field: &str, expected: &str, report: &mut Report) {
        self.device.missing(&self.below(field), Misfit::expected(expected), report);
    }

    /// What a point is, on whatever device.
    fn point(&self, value_type: ValueType, report: &mut Report) -> Arc<Point> {
        let unit = self.raw.unit.as_deref().filter(|unit| {
            let fits = !unit.is_empty() && unit.chars().count() <= MAX_UNIT && !unit.contains(char::is_control);
            if !fits {
                self.wrong(
                    "unit",
                    Misfit::expected(format!("1 to {MAX_UNIT} characters, such as \"W\" or \"ug/m3\"")),
                    report,
                );
            }
            fits
        });
        Arc::new(Point {
            name: self.name.clone(),
            stream: Stream::device(self.name.owner()),
            class: Class::Data,
            unit: unit.map(Arc::from),
            value_type,
            range: self.range(value_type, report),
        })
    }

    fn range(&self, value_type: ValueType, report: &mut Report) -> Option<(f64, f64)> {
        let range = self.raw.range.as_deref()?;
        if matches!(value_type, ValueType::Bool | ValueType::Text) {
            self.wrong("range", Misfit::expected("no range: the type is not a number"), report);
            return None;
        }
        let &[least, most] = range else {
            self.wrong("range", Misfit::expected("two numbers: [least, greatest]"), report);
            return None;
        };
        if least >= most {
            let help = (least > most).then(|| format!("did you mean [{most}, {least}]?"));
            let expected = "the least value first, then a greater one".to_owned();
            self.wrong("range", Misfit { expected, help }, report);
            return None;
        }
        Some((least, most))
    }

    fn scale(&self, value_type: Option<ValueType>, report: &mut Report) -> Option<f64> {
        let scale = self.raw.scale?;
        if matches!(value_type, Some(ValueType::Bool | ValueType::Text)) {
            self.wrong("scale", Misfit::expected("no scale: the type is not a number"), report);
        } else if !scale.is_normal() {
            self.wrong("scale", Misfit::expected("a number other than 0, such as 0.1"), report);
        }
        Some(scale)
    }

    fn misplaced(&self, fields: &[&str], why: &str, report: &mut Report) {
        for field in fields {
            self.device.misplaced(&self.below(field), why, report);
        }
    }
}

/// A register or bit.
pub(super) fn modbus(device: &Part<'_, schema::Device>, name: &PointName, report: &mut Report) -> Option<ModbusPoint> {
    let at = At::find(device, name)?;
    let raw = at.raw;
    at.misplaced(&["column"], "no such key: only devices with decode have columns", report);
    at.missing("register", "a register: register = \"holding:100\"", report);
    let register = raw.register.as_ref().map(|text| text.0.as_str());
    let register = device.notation(&at.below("register"), register, notation::register, report);
    let every = raw.every.as_ref().map(|text| text.0.as_str());
    let every = device.notation(&at.below("every"), every, |text| notation::duration(text, &EVERY_BOUNDS), report);

    let bits = register.is_some_and(|(table, _)| table.is_bits());
    let value_type = match raw.r#type {
        None if bits => Some(ValueType::Bool),
        None => {
            at.missing("type", "a type: bool, u16, i16, u32, i32 or f32", report);
            None
        }
        Some(written) => {
            let value_type = value_type(written);
            let misfit = match (value_type, bits) {
                (ValueType::Bool, _) => None,
                (_, true) => Some("\"bool\", since coils and discrete inputs are bits"),
                (
                    ValueType::U8 | ValueType::I8 | ValueType::U64 | ValueType::I64 | ValueType::F64 | ValueType::Text,
                    false,
                ) => Some("a type of one or two registers: bool, u16, i16, u32, i32 or f32"),
                (ValueType::U16 | ValueType::I16 | ValueType::U32 | ValueType::I32 | ValueType::F32, false) => None,
            };
            if let Some(expected) = misfit {
                at.wrong("type", Misfit::expected(expected), report);
            }
            Some(value_type).filter(|_| misfit.is_none())
        }
    };
    let scale = at.scale(value_type, report);
    let absent = absent(&at, value_type, report);
    let (table, address) = register?;
    let value_type = value_type?;
    let width = registers(value_type);
    if address.checked_add(width - 1).is_none() {
        let expected = format!("an address of at most {}: the value takes {width} registers", u16::MAX - (width - 1));
        at.wrong("register", Misfit::expected(expected), report);
        return None;
    }
    let order = raw.order.map_or_else(Order::default, |order| match order {
        schema::Order::Abcd => Order::Abcd,
        schema::Order::Cdab => Order::Cdab,
    });
    let encoding = match value_type {
        ValueType::Bool => Encoding::Bool,
        ValueType::U16 => Encoding::U16,
        ValueType::I16 => Encoding::I16,
        ValueType::U32 => Encoding::U32,
        ValueType::I32 => Encoding::I32,
        ValueType::F32 => Encoding::F32,
        ValueType::U8 | ValueType::I8 | ValueType::U64 | ValueType::I64 | ValueType::F64 | ValueType::Text => {
            return None;
        }
    };
    let conversion = Conversion { scale, absent, ..Conversion::default() };
    let point = ModbusPoint::new(at.point(value_type, report), table, address, encoding);
    Some(ModbusPoint { order, conversion, every, ..point })
}

/// A column.
pub(super) fn csv(device: &Part<'_, schema::Device>, name: &PointName, report: &mut Report) -> Option<TalkerPoint> {
    let at = At::find(device, name)?;
    at.misplaced(&["register"], "no such key: a device with decode has columns", report);
    at.misplaced(&["order", "every", "absent"], "no such key: columns are text, sent when the device likes", report);
    at.missing("column", "a column of the line, from 1: column = 1", report);
    at.missing("type", "a type: bool, u16, i16, u32, i32, f32, f64 or text", report);
    let column = device.number(&at.below("column"), at.raw.column, 1..=1_000_u16, "a column", report);
    let value_type = at.raw.r#type.map(value_type);
    let scale = at.scale(value_type, report);
    let conversion = Conversion { scale, ..Conversion::default() };
    Some(TalkerPoint { point: at.point(value_type?, report), place: Place::Column(column?), conversion })
}

/// Raw numbers that mean "no value", which must be numbers that the registers can hold.
fn absent(at: &At<'_, '_>, value_type: Option<ValueType>, report: &mut Report) -> Vec<u64> {
    let most = match value_type.map(|value_type| (value_type, registers(value_type))) {
        Some((ValueType::Bool, _)) => 1,
        Some((_, 1)) => u64::from(u16::MAX),
        Some(_) | None => u64::from(u32::MAX),
    };
    let mut raw = Vec::new();
    for (index, &number) in at.raw.absent.iter().flatten().enumerate() {
        match u64::try_from(number).ok().filter(|&number| number <= most) {
            Some(number) => raw.push(number),
            None => {
                let index = index.to_string();
                let below = ["point", at.name.point().as_str(), "absent", index.as_str()];
                let misfit = Misfit::expected(format!("a raw number as the registers hold it, 0 to 0x{most:X}"));
                let misfit = if number < 0 { misfit.help("-1 of a 16-bit type is 0xFFFF") } else { misfit };
                at.device.wrong(&below, misfit, report);
            }
        }
    }
    raw
}

const fn registers(value_type: ValueType) -> u16 {
    match value_type {
        ValueType::U32 | ValueType::I32 | ValueType::F32 => 2,
        ValueType::Bool
        | ValueType::U8
        | ValueType::I8
        | ValueType::U16
        | ValueType::I16
        | ValueType::U64
        | ValueType::I64
        | ValueType::F64
        | ValueType::Text => 1,
    }
}

const fn value_type(written: schema::ValueType) -> ValueType {
    match written {
        schema::ValueType::Bool => ValueType::Bool,
        schema::ValueType::U16 => ValueType::U16,
        schema::ValueType::I16 => ValueType::I16,
        schema::ValueType::U32 => ValueType::U32,
        schema::ValueType::I32 => ValueType::I32,
        schema::ValueType::F32 => ValueType::F32,
        schema::ValueType::F64 => ValueType::F64,
        schema::ValueType::Text => ValueType::Text,
    }
}
