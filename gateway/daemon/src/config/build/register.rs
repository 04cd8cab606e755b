//! Where a point lies in a Modbus device, and whether it may be written.

use curb_model::{Access, PointName, Value, ValueType};
use curb_source::{EncodeError, Encoding, Grant, ModbusPoint};

use super::Part;
use super::device::EVERY_BOUNDS;
use super::point::{At, Raw, value_type};
use super::talker;
use crate::config::notation;
use crate::config::problem::Misfit;
use crate::config::report::Report;
use crate::config::schema;

/// Bases that make one number of several registers. 65,536 is how they are read without.
const RADIX: std::ops::RangeInclusive<u32> = 2..=65_535;

/// Whole numbers up to here have an `f64` each: 2⁵³.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A register or bit of a device that gives at most `max_registers` in one read.
pub(super) fn point(
    device: &Part<'_, schema::Device>,
    name: &PointName,
    max_registers: u16,
    report: &mut Report,
) -> Option<ModbusPoint> {
    let at = At::point(device, name)?;
    let raw = at.raw;
    at.misplaced(&talker::PLACE_KEYS, "no such key: only points of a device with decode have it", report);
    let every = raw.every.as_ref().map(|text| text.0.as_str());
    let every = at.notation("every", every, |text| notation::duration(text, &EVERY_BOUNDS), report);
    let point = value(&at, name, max_registers, report)?;
    let access = access(&at, &point, device.raw.mask_write.unwrap_or(false), report);
    let write = raw.write.as_ref().and_then(|write| grant(&at, write, &point, report));
    Some(ModbusPoint { every, access, write, ..point })
}

/// `access`: whether it can be read. What is said of reading it would be said in vain of a point that cannot.
fn access(at: &At<'_, '_>, point: &ModbusPoint, mask_write: bool, report: &mut Report) -> Access {
    if at.raw.access != Some(schema::Access::Write) {
        return Access::Read;
    }
    at.misplaced(&["every", "absent"], "no such key: the point is never read, as access says", report);
    if !point.table.is_writable() {
        let table = point.table.as_str();
        let expected = format!("\"read\": only holding registers and coils can be written, not {table}");
        at.wrong(&["access"], Misfit::expected(expected), report);
    } else if at.raw.write.is_none() {
        let misfit = Misfit::expected("a write beside it: a point that is neither read nor written does nothing");
        at.doubtful(
            "access",
            misfit.help("write = { min = 0, max = 100 }, or write = {} for a bool, a text or names"),
            report,
        );
    } else if !mask_write && (point.bits.is_some() || matches!(point.encoding, Encoding::U8(_) | Encoding::I8(_))) {
        let misfit = Misfit::expected("\"read\": the rest of its register cannot be left as it is without being read");
        at.wrong(&["access"], misfit.help("a device that knows function 22 has mask_write = true"), report);
    }
    Access::Write
}

/// A value in registers or in a bit, that is neither asked for nor granted yet.
pub(super) fn value(at: &At<'_, '_>, name: &PointName, max_registers: u16, report: &mut Report) -> Option<ModbusPoint> {
    let raw = at.raw;
    at.missing("register", "a register: register = \"holding:100\"", report);
    let register = raw.register.as_ref().map(|text| text.0.as_str());
    let register = at.notation("register", register, notation::register, report);
    let is_bit = register.is_some_and(|(table, _)| table.is_bits());
    let encoding = match raw.r#type {
        None if is_bit => Some(Encoding::Bool),
        None => {
            at.missing("type", notation::TYPES, report);
            None
        }
        Some(_) => at.encoding(report),
    };
    let encoding = encoding.filter(|&encoding| {
        let fits = !is_bit || encoding == Encoding::Bool;
        if !fits {
            at.wrong(&["type"], Misfit::expected("\"bool\", since coils and discrete inputs are bits"), report);
        }
        fits
    });
    let whole_bit = "no such key: a coil or discrete input is one bit";
    let (encoding, bits) = match encoding {
        Some(encoding) if is_bit => {
            at.misplaced(&["order", "byte", "bits", "radix", "exponent"], whole_bit, report);
            (Some(encoding), None)
        }
        Some(encoding) => {
            at.bits(encoding, report).map_or((Some(encoding), None), |(from, bits)| (Some(from), Some(bits)))
        }
        None => (None, None),
    };
    let kind = if is_bit { Some(Raw::BIT) } else { encoding.map(|encoding| Raw::of(encoding, bits)) };
    let conversion = at.conversion(kind, report);
    let (table, address) = register?;
    let encoding = encoding?;
    let width = if is_bit { 1 } else { encoding.registers() };
    if address.checked_add(width - 1).is_none() {
        let expected = format!("an address of at most {}: the value takes {width} registers", u16::MAX - (width - 1));
        at.wrong(&["register"], Misfit::expected(expected), report);
        return None;
    }
    if width > max_registers && !is_bit {
        let expected = format!("at most {max_registers} registers, as max_registers says: the value takes {width}");
        at.wrong(&["type"], Misfit::expected(expected), report);
        return None;
    }
    if !is_bit {
        order_counts(at, encoding, report);
    }
    let value_type = value_type(encoding, bits, &conversion);
    let point = ModbusPoint::new(at.describe(name, value_type, report), table, address, encoding);
    let radix = radix(at, encoding, bits.is_some(), report);
    let mut point = ModbusPoint { order: at.order(), bits, radix, conversion, ..point };
    if !is_bit {
        point.exponent = exponent(at, &point, max_registers, report);
    }
    Some(point)
}

/// An order that changes nothing was meant to change something.
fn order_counts(at: &At<'_, '_>, encoding: Encoding, report: &mut Report) {
    let is_text = matches!(encoding, Encoding::Text(_));
    if at.order().reverses_registers() && (is_text || encoding.registers() == 1) {
        let why = if is_text { "those of a text stand as they are" } else { "the value takes one" };
        let misfit = Misfit::expected(format!("no order of registers: {why}"));
        at.doubtful("order", misfit.help("BADC swaps the two bytes of each register"), report);
    }
}

fn radix(at: &At<'_, '_>, encoding: Encoding, has_bits: bool, report: &mut Report) -> Option<u32> {
    let radix = at.number("radix", at.raw.radix, RADIX, "a base", report)?;
    let fits = matches!(encoding, Encoding::U32 | Encoding::U64) && !has_bits;
    if !fits {
        let expected = "no radix: it makes one number of several registers, of type u32 or u64 and without bits";
        at.wrong(&["radix"], Misfit::expected(expected), report);
    }
    fits.then_some(radix)
}

/// The register of the power of ten, which must come with the value in one answer.
fn exponent(at: &At<'_, '_>, point: &ModbusPoint, max_registers: u16, report: &mut Report) -> Option<u16> {
    let text = at.raw.exponent.as_ref().map(|text| text.0.as_str());
    let (table, address) = at.notation("exponent", text, notation::register, report)?;
    let with = ModbusPoint { exponent: Some(address), ..point.clone() };
    let (_, span) = with.span();
    let number = !matches!(point.point.value_type, ValueType::Bool | ValueType::Text);
    let own = (point.address..=point.address.saturating_add(point.width() - 1)).contains(&address);
    let expected = if !number {
        "no exponent: the value is not a number".to_owned()
    } else if table != point.table {
        let table = point.table.as_str();
        format!("a register of the table that the value is in, such as {table}:{address}")
    } else if own {
        "a register that is not the value's own".to_owned()
    } else if span > max_registers {
        format!("a register near the value: both come in one read of at most {max_registers}, this takes {span}")
    } else {
        return Some(address);
    };
    at.wrong(&["exponent"], Misfit::expected(expected), report);
    None
}

/// `write`: what may be written.
fn grant(at: &At<'_, '_>, write: &schema::Write, point: &ModbusPoint, report: &mut Report) -> Option<Grant> {
    if !point.table.is_writable() {
        let table = point.table.as_str();
        let misfit =
            Misfit::expected(format!("no write: only holding registers and coils can be written, not {table}"));
        at.wrong(&["write"], misfit, report);
        return None;
    }
    let target = write.register.as_ref().map(|text| text.0.as_str());
    let target = match at.device.notation(&at.below(&["write", "register"]), target, notation::register, report) {
        Some((table, address)) if table == point.table => Some(address),
        Some((_, address)) => {
            let expected = format!("a register of the table that it is read from: {}:{address}", point.table.as_str());
            at.wrong(&["write", "register"], Misfit::expected(expected), report);
            None
        }
        None => None,
    };
    let below = at.below(&["write", "type"]);
    let encoding = at.device.notation(&below, write.r#type.as_deref(), notation::encoding, report);
    let is_text = |encoding| matches!(encoding, Encoding::Text(_));
    if encoding.is_some_and(|encoding| point.table.is_bits() || is_text(encoding) != is_text(point.encoding)) {
        let expected = "a type for the same values as those that are read";
        at.wrong(&["write", "type"], Misfit::expected(expected), report);
        return None;
    }
    let point = &point.as_written(Grant { bounds: None, target, encoding });
    if point.address.checked_add(point.width() - 1).is_none() {
        let expected = format!("an address of at most {}", u16::MAX - (point.width() - 1));
        at.wrong(&["write", "register"], Misfit::expected(expected), report);
    }
    let number = !matches!(point.point.value_type, ValueType::Bool | ValueType::Text);
    if !number {
        for bound in ["min", "max"] {
            let why = format!("no {bound}: the value is not a number");
            at.device.misplaced(&at.below(&["write", bound]), &why, report);
        }
        return Some(Grant { bounds: None, target, encoding });
    }
    for (bound, example) in [("min", "0"), ("max", "100")] {
        let expected = format!("a bound, since the value is a number: {bound} = {example}");
        at.device.missing(&at.below(&["write", bound]), Misfit::expected(expected), report);
    }
    let (min, max) = (write.min?, write.max?);
    if min >= max {
        let expected = "a least value that is smaller than the greatest".to_owned();
        let help = (min > max).then(|| format!("did you mean {{ min = {max}, max = {min} }}?"));
        at.wrong(&["write", "min"], Misfit { expected, help }, report);
        return None;
    }
    let held = |bound: &str, number: f64, report: &mut Report| {
        let overflows = |number: f64| {
            Value::from_f64(number).is_some_and(|value| {
                matches!(curb_source::encode(point, &value, None), Err(EncodeError::Overflow { .. }))
            })
        };
        // The greatest number of 64 bits has no f64 of its own, and is read as the one above.
        let nearest = if number > 0.0 { number.next_down() } else { number.next_up() };
        let beyond = overflows(number) && (number.abs() <= EXACT || overflows(nearest));
        // What stands beside the value decides how much it holds; that is known when it is written.
        if beyond && point.exponent.is_none() {
            let kind = write.r#type.as_deref().or(at.raw.r#type.as_deref()).unwrap_or("bool");
            let expected = format!("what {kind} can hold, after scale and offset");
            at.wrong(&["write", bound], Misfit::expected(expected), report);
        }
    };
    held("min", min, report);
    held("max", max, report);
    Some(Grant { bounds: Some((min, max)), target, encoding })
}
