//! `[device.*.point.*]`: what a value is and how it lies, on whatever device. `register` and the talkers' part add where
//! it lies.

use std::collections::BTreeMap;
use std::sync::Arc;

use curb_model::{Class, Point, PointName, Stream, Usage, ValueType, Writable};
use curb_source::{Bits, Config, Conversion, DeviceConfig, Encoding, Half, ModbusPoint, Order, TalkerPoint};

use super::Part;
use crate::config::notation;
use crate::config::problem::Misfit;
use crate::config::report::Report;
use crate::config::schema;

/// Characters of a unit at most. The longest SenML unit has eight; field words such as `veh/h` are as short.
const MAX_UNIT: usize = 24;

/// Bytes of a name in an enumeration at most: it travels as a text value, in every message.
const MAX_NAME: usize = 64;

/// Every point of every device.
pub(super) fn all(source: &Config) -> impl Iterator<Item = Arc<Point>> + '_ {
    source.buses.values().flat_map(|bus| bus.devices.values()).flat_map(|device| -> Box<dyn Iterator<Item = _>> {
        match device {
            DeviceConfig::Modbus(device) => Box::new(device.points.iter().map(|point| Arc::clone(&point.point))),
            DeviceConfig::Talker(device) => Box::new(device.points.iter().map(|point| Arc::clone(&point.point))),
        }
    })
}

/// What of them can be written, and what names they have.
pub(super) fn usages(source: &Config) -> impl Iterator<Item = (PointName, Usage)> + '_ {
    let names = |conversion: &Conversion| conversion.names.values().cloned().collect();
    source.buses.values().flat_map(|bus| bus.devices.values()).flat_map(move |device| -> Vec<(PointName, Usage)> {
        match device {
            DeviceConfig::Modbus(device) => {
                let usage = |point: &ModbusPoint| Usage {
                    names: names(&point.conversion),
                    write: point.write.map(|grant| Writable { bounds: grant.bounds }),
                    access: point.access,
                };
                device.points.iter().map(|point| (point.point.name.clone(), usage(point))).collect()
            }
            DeviceConfig::Talker(device) => {
                let usage = |point: &TalkerPoint| Usage { names: names(&point.conversion), ..Usage::default() };
                device.points.iter().map(|point| (point.point.name.clone(), usage(point))).collect()
            }
        }
    })
}

/// A value before scale, offset and names: what can be said of it depends on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Raw {
    /// Bits of the registers or bytes that it is taken from.
    held: u8,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One bit.
    Bit,
    /// A whole number of so many bits.
    Whole { width: u8, signed: bool },
    /// A float, or a number in text.
    Float,
    /// Text.
    Text,
}

impl Raw {
    /// Of a coil or discrete input.
    pub(super) const BIT: Self = Self { held: 1, kind: Kind::Bit };

    /// Of registers or bytes.
    pub(super) fn of(encoding: Encoding, bits: Option<Bits>) -> Self {
        // Only a text takes more than four registers, and nothing is asked of how wide it is.
        let held = u8::try_from(encoding.registers() * 16).unwrap_or(u8::MAX);
        let signed = matches!(encoding, Encoding::I16 | Encoding::I24 | Encoding::I32 | Encoding::I64);
        let kind = match (encoding, bits) {
            (Encoding::Text(_), _) => Kind::Text,
            (_, Some(Bits { width: 1, .. })) | (Encoding::Bool, _) => Kind::Bit,
            (_, Some(Bits { width, .. })) => Kind::Whole { width, signed: false },
            (Encoding::F32 | Encoding::F64, None) => Kind::Float,
            (_, None) => Kind::Whole { width: encoding.bit_width(), signed },
        };
        Self { held, kind }
    }

    /// Of bytes in a frame.
    pub(super) fn of_bytes(encoding: Encoding, bits: Option<Bits>) -> Self {
        Self { held: u8::try_from(encoding.bytes() * 8).unwrap_or(u8::MAX), ..Self::of(encoding, bits) }
    }

    /// Of text in a frame.
    pub(super) const fn of_text(value_type: ValueType) -> Self {
        let kind = match value_type {
            ValueType::Bool => Kind::Bit,
            ValueType::Text => Kind::Text,
            ValueType::F32 | ValueType::F64 => Kind::Float,
            ValueType::U8 | ValueType::I8 => Kind::Whole { width: 8, signed: false },
            ValueType::U16 | ValueType::I16 => Kind::Whole { width: 16, signed: false },
            ValueType::U32 | ValueType::I32 => Kind::Whole { width: 32, signed: false },
            ValueType::U64 | ValueType::I64 => Kind::Whole { width: 64, signed: false },
        };
        Self { held: 64, kind }
    }

    const fn is_number(self) -> bool {
        matches!(self.kind, Kind::Whole { .. } | Kind::Float)
    }
}

/// The type of a value: that of its encoding, of its bits alone, or a text where it has names.
pub(super) fn value_type(encoding: Encoding, bits: Option<Bits>, conversion: &Conversion) -> ValueType {
    if !conversion.names.is_empty() {
        return ValueType::Text;
    }
    match bits.map(|bits| bits.width) {
        None => encoding.value_type(),
        Some(1) => ValueType::Bool,
        Some(2..=8) => ValueType::U8,
        Some(9..=16) => ValueType::U16,
        Some(17..=32) => ValueType::U32,
        Some(_) => ValueType::U64,
    }
}

/// A table of the device that says what a value is: one of its points, or of what is written to it at each connect.
pub(super) struct At<'a, 'n> {
    pub(super) device: &'a Part<'n, schema::Device>,
    pub(super) raw: &'a schema::Point,
    path: [&'a str; 2],
}

impl<'a, 'n> At<'a, 'n> {
    /// One of its points.
    pub(super) fn point(device: &'a Part<'n, schema::Device>, name: &'a PointName) -> Option<Self> {
        let raw = device.raw.point.as_ref()?.get(name.point().as_str())?;
        Some(Self { device, raw, path: ["point", name.point().as_str()] })
    }

    /// What stands at `path` and is read as a point is.
    pub(super) const fn new(device: &'a Part<'n, schema::Device>, path: [&'a str; 2], raw: &'a schema::Point) -> Self {
        Self { device, raw, path }
    }

    /// The path of a key from the device's table.
    pub(super) fn below<'b>(&'b self, fields: &[&'b str]) -> Vec<&'b str> {
        [&self.path, fields].concat()
    }

    /// The value at a key, or at a path of keys, does not fit.
    pub(super) fn wrong(&self, fields: &[&str], misfit: Misfit, report: &mut Report) {
        self.device.wrong(&self.below(fields), misfit, report);
    }

    /// The value at a key is probably not meant.
    pub(super) fn doubtful(&self, field: &str, misfit: Misfit, report: &mut Report) {
        self.device.doubtful(&self.below(&[field]), misfit, report);
    }

    /// A key is needed.
    pub(super) fn missing(&self, field: &str, expected: &str, report: &mut Report) {
        self.device.missing(&self.below(&[field]), Misfit::expected(expected), report);
    }

    /// Keys that have no meaning here.
    pub(super) fn misplaced(&self, fields: &[&str], why: &str, report: &mut Report) {
        for field in fields {
            self.device.misplaced(&self.below(&[field]), why, report);
        }
    }

    /// A value with a notation.
    pub(super) fn notation<V>(
        &self,
        field: &str,
        text: Option<&str>,
        read: impl FnOnce(&str) -> Result<V, Misfit>,
        report: &mut Report,
    ) -> Option<V> {
        self.device.notation(&self.below(&[field]), text, read, report)
    }

    /// A whole number within bounds.
    pub(super) fn number<N: TryFrom<i64> + PartialOrd + std::fmt::Display>(
        &self,
        field: &str,
        number: Option<i64>,
        bounds: std::ops::RangeInclusive<N>,
        what: &str,
        report: &mut Report,
    ) -> Option<N> {
        self.device.number(&self.below(&[field]), number, bounds, what, report)
    }

    /// What a point is, on whatever device.
    pub(super) fn describe(&self, name: &PointName, value_type: ValueType, report: &mut Report) -> Arc<Point> {
        let unit = self.raw.unit.as_deref().filter(|unit| {
            let fits = !unit.is_empty() && unit.chars().count() <= MAX_UNIT && !unit.contains(char::is_control);
            if !fits {
                let expected = format!("1 to {MAX_UNIT} characters, such as \"W\" or \"ug/m3\"");
                self.wrong(&["unit"], Misfit::expected(expected), report);
            }
            fits
        });
        Arc::new(Point {
            name: name.clone(),
            stream: Stream::device(name.owner()),
            class: Class::Data,
            unit: unit.map(Arc::from),
            value_type,
            range: self.range(value_type, report),
        })
    }

    /// `type` and `byte`: how the value lies in registers or bytes.
    pub(super) fn encoding(&self, report: &mut Report) -> Option<Encoding> {
        let encoding = self.notation("type", self.raw.r#type.as_deref(), notation::encoding, report);
        let half = self.raw.byte.map(|byte| match byte {
            schema::Byte::High => Half::High,
            schema::Byte::Low => Half::Low,
        });
        match (encoding, half) {
            (Some(Encoding::U8(_)), Some(half)) => Some(Encoding::U8(half)),
            (Some(Encoding::I8(_)), Some(half)) => Some(Encoding::I8(half)),
            (Some(_), Some(_)) => {
                self.wrong(&["byte"], Misfit::expected("no byte: only u8 and i8 are half a register"), report);
                encoding
            }
            (encoding, _) => encoding,
        }
    }

    /// `bits` of an unsigned number. A bool of several registers' bits is a bit of the number that they are: `type =
    /// "bool", bits = "3"` is bit 3 of a u16.
    pub(super) fn bits(&self, encoding: Encoding, report: &mut Report) -> Option<(Encoding, Bits)> {
        let text = self.raw.bits.as_ref().map(|text| text.0.as_str());
        let bits = self.notation("bits", text, notation::bits, report)?;
        let taken_from = if encoding == Encoding::Bool { Encoding::U16 } else { encoding };
        let width = taken_from.bit_width();
        if !taken_from.is_unsigned() {
            let misfit = Misfit::expected("no bits: they are taken from a u8, u16, u24, u32 or u64");
            self.wrong(&["bits"], misfit, report);
            None
        } else if bits.first + bits.width > width {
            let expected = format!("bits from 0 to {}: the number has {width}", width - 1);
            self.wrong(&["bits"], Misfit::expected(expected), report);
            None
        } else if encoding == Encoding::Bool && bits.width > 1 {
            let misfit = Misfit::expected("one bit, since the type is bool").help("for a number: type = \"u16\"");
            self.wrong(&["bits"], misfit, report);
            None
        } else {
            Some((taken_from, bits))
        }
    }

    /// `order` of bytes and registers.
    pub(super) fn order(&self) -> Order {
        self.raw.order.map_or_else(Order::default, |order| match order {
            schema::Order::Abcd => Order::Abcd,
            schema::Order::Cdab => Order::Cdab,
            schema::Order::Badc => Order::Badc,
            schema::Order::Dcba => Order::Dcba,
        })
    }

    /// `scale`, `offset`, `absent` and `enum`.
    pub(super) fn conversion(&self, raw: Option<Raw>, report: &mut Report) -> Conversion {
        let named = self.raw.names.is_some();
        let why = match raw {
            _ if named => Some("the value is a name"),
            Some(raw) if !raw.is_number() => Some("the type is not a number"),
            Some(_) | None => None,
        };
        if let Some(why) = why {
            for field in ["scale", "offset"] {
                self.misplaced(&[field], &format!("no {field}: {why}"), report);
            }
        } else if self.raw.scale.is_some_and(|scale| !scale.is_normal()) {
            self.wrong(&["scale"], Misfit::expected("a number other than 0, such as 0.1"), report);
        }
        let absent = self.absent(raw, report);
        let names = self.names(raw, report);
        Conversion { scale: self.raw.scale, offset: self.raw.offset, absent, names }
    }

    /// Raw numbers that mean "no value", which must be numbers that the registers can hold. Of a signed type they may also be
    /// written as the type reads them.
    fn absent(&self, raw: Option<Raw>, report: &mut Report) -> Vec<u64> {
        let Raw { held, kind } = raw.unwrap_or(Raw { held: 64, kind: Kind::Whole { width: 64, signed: true } });
        if kind == Kind::Text {
            self.misplaced(&["absent"], "no absent: an empty text is a text", report);
            return Vec::new();
        }
        let signed = matches!(kind, Kind::Whole { signed: true, .. });
        let most = ones(held);
        let mut numbers = Vec::new();
        for (index, &schema::Raw(number)) in self.raw.absent.iter().flatten().enumerate() {
            let twos = notation::raw(&number.to_string(), held);
            match twos.filter(|_| signed || number >= 0) {
                Some(number) => numbers.push(number),
                None => {
                    let misfit = Misfit::expected(format!("a raw number as the registers hold it, 0 to 0x{most:X}"));
                    let misfit = match twos {
                        Some(raw) => misfit.help(format!("{number} of a {held}-bit type is 0x{raw:X}")),
                        None => misfit,
                    };
                    self.wrong(&["absent", &index.to_string()], misfit, report);
                }
            }
        }
        numbers
    }

    fn names(&self, raw: Option<Raw>, report: &mut Report) -> BTreeMap<u64, Arc<str>> {
        let mut names: BTreeMap<u64, Arc<str>> = BTreeMap::new();
        let Some(written) = &self.raw.names else { return names };
        let width = match raw.map(|raw| raw.kind) {
            Some(Kind::Bit) => 1,
            Some(Kind::Whole { width, .. }) => width,
            Some(Kind::Float | Kind::Text) => {
                self.wrong(&["enum"], Misfit::expected("no enum: only whole numbers have names"), report);
                return names;
            }
            None => 64,
        };
        if written.is_empty() {
            let expected = "a name for each number: { 0 = \"off\", 1 = \"on\" }";
            self.wrong(&["enum"], Misfit::expected(expected), report);
        }
        // By number, so that of two keys for one number the shorter is taken and the other told.
        let mut written: Vec<(&String, &String)> = written.iter().collect();
        written.sort_by_key(|(key, _)| (key.len(), *key));
        for (key, name) in written {
            let below = ["enum", key.as_str()];
            let Some(number) = notation::raw(key, width) else {
                let expected = format!("a name for a number from 0 to {}, decimal or 0x…", ones(width));
                self.wrong(&below, Misfit::expected(expected), report);
                continue;
            };
            if name.is_empty() || name.len() > MAX_NAME || name.contains(char::is_control) {
                self.wrong(&below, Misfit::expected(format!("a name of 1 to {MAX_NAME} bytes")), report);
            } else if let Some((other, _)) = names.iter().find(|(_, known)| ***known == **name) {
                let expected = format!("a name of its own: {other} has this one");
                self.wrong(&below, Misfit::expected(expected), report);
            } else if let Some(other) = names.get(&number) {
                let expected = format!("one name for the number {number}, which is called {other:?}");
                self.wrong(&below, Misfit::expected(expected), report);
            } else {
                names.insert(number, name.as_str().into());
            }
        }
        names
    }

    fn range(&self, value_type: ValueType, report: &mut Report) -> Option<(f64, f64)> {
        let range = self.raw.range.as_deref()?;
        if matches!(value_type, ValueType::Bool | ValueType::Text) {
            let why = if self.raw.names.is_some() { "the value is a name" } else { "the type is not a number" };
            self.wrong(&["range"], Misfit::expected(format!("no range: {why}")), report);
            return None;
        }
        let &[least, most] = range else {
            self.wrong(&["range"], Misfit::expected("two numbers: [least, greatest]"), report);
            return None;
        };
        if least >= most {
            let help = (least > most).then(|| format!("did you mean [{most}, {least}]?"));
            let expected = "the least value first, then a greater one".to_owned();
            self.wrong(&["range"], Misfit { expected, help }, report);
            return None;
        }
        Some((least, most))
    }
}

const fn ones(width: u8) -> u64 {
    if width >= 64 { u64::MAX } else { (1 << width) - 1 }
}
