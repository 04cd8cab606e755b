//! `[device.*]`: a Modbus device that is asked, or one that talks by itself.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use curb_model::{Access, Name, PointName};
use curb_source::{DeviceConfig, ModbusDevice, ModbusPoint, WriteWith};

use super::field::Medium;
use super::{Part, register, setup, talker};
use crate::config::notation;
use crate::config::problem::Misfit;
use crate::config::report::Report;
use crate::config::schema;

/// How often points are read, where neither the point nor its device says.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// A line of 115,200 bit/s carries some 100 requests a second; a day is the longest period that makes sense of "alive".
pub(super) const EVERY_BOUNDS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(86_400);
/// An answer takes at least its own time on the line; more than a minute would hold a bus for ever.
pub(super) const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(5)..=Duration::from_secs(60);
/// Devices that need more rest than a second are not known.
const MIN_GAP: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(5);
/// A read has 125 registers at most, so a larger hole cannot be.
const HOLE: RangeInclusive<u16> = 0..=ModbusDevice::MAX_REGISTERS - 1;

/// Reads a device and its points. Every point whose name is right goes to `names`.
pub(super) fn build(
    device: &Name,
    part: &Part<'_, schema::Device>,
    medium: Option<Medium>,
    names: &mut BTreeSet<PointName>,
    report: &mut Report,
) -> Option<DeviceConfig> {
    let points = points(device, part, report);
    names.extend(points.iter().cloned());
    let talks = part.value(&["decode"]).is_some();
    // Where bus and device contradict each other, one of them is not what was meant: their keys are not judged by it.
    match (medium, talks) {
        (Some(Medium::Talker), false) => {
            let expected = "decode, since the bus has a frame: \"csv\", \"json\", \"regex\", \"nmea\" or \"binary\"";
            part.missing(&["decode"], Misfit::expected(expected), report);
            None
        }
        (Some(Medium::Rtu | Medium::RtuOverTcp | Medium::Tcp), true) => {
            let misfit = Misfit::expected("no decode: devices on a bus without a frame are asked by Modbus")
                .help("for a device that talks by itself give the bus frame = { delimiter = \"\\n\" }");
            part.wrong(&["decode"], misfit, report);
            None
        }
        (Some(Medium::Talker) | None, true) => talker::build(part, &points, report),
        (Some(Medium::Rtu | Medium::RtuOverTcp | Medium::Tcp) | None, false) => {
            modbus(device, part, medium, &points, report)
        }
    }
}

/// The points whose names are right.
fn points(device: &Name, part: &Part<'_, schema::Device>, report: &mut Report) -> Vec<PointName> {
    let mut names = Vec::new();
    let points = part.raw.point.iter().flatten();
    for (text, _) in points {
        match notation::name(text) {
            Ok(name) => names.push(PointName::new(device.clone(), name)),
            Err(misfit) => {
                let below = ["point", text.as_str()];
                report.wrong(part.origin(&below), &part.key(&below), format!("the name {text:?}"), misfit);
            }
        }
    }
    let none = part.raw.point.as_ref().is_none_or(std::collections::BTreeMap::is_empty);
    // With a profile there are none because something is wrong with that, which is told.
    if none && part.value(&["profile"]).is_none() {
        let below = ["point"];
        let expected = format!("a point to read: [device.{device}.point.NAME]");
        report.missing(part.origin(&below), &part.key(&below), Misfit::expected(expected));
    }
    names
}

fn modbus(
    device: &Name,
    part: &Part<'_, schema::Device>,
    medium: Option<Medium>,
    names: &[PointName],
    report: &mut Report,
) -> Option<DeviceConfig> {
    let raw = &part.raw;
    part.misplaced(&["stale_after"], "no such key: only a device with decode grows stale by silence", report);
    for field in ["separator", "pattern", "checksum", "request"] {
        part.misplaced(&[field], "no such key: only a device with decode has it", report);
    }
    // Over TCP many a device answers to 255 only, and gateways keep 0 for themselves.
    let bounds = if medium == Some(Medium::Tcp) { 0..=255_u8 } else { 1..=247_u8 };
    part.missing(&["unit_id"], Misfit::expected("the device's Modbus address, 1 to 247"), report);
    let unit_id = part.number(&["unit_id"], raw.unit_id, bounds, "a unit id", report);
    let every = part.duration("every", raw.every.as_ref(), &EVERY_BOUNDS, report);
    let timeout = part.duration("timeout", raw.timeout.as_ref(), &TIMEOUT, report);
    let min_gap = part.duration("min_gap", raw.min_gap.as_ref(), &MIN_GAP, report);
    let registers = 1..=ModbusDevice::MAX_REGISTERS;
    let max_registers = part.number(&["max_registers"], raw.max_registers, registers, "registers in one read", report);
    let max_registers = max_registers.unwrap_or(ModbusDevice::MAX_REGISTERS);
    let max_bits = part.number(&["max_bits"], raw.max_bits, 1..=ModbusDevice::MAX_BITS, "bits in one read", report);
    let max_hole = part.number(&["max_hole"], raw.max_hole, HOLE, "registers between two points", report);
    let points = names.iter().filter_map(|name| register::point(part, name, max_registers, report));
    let points: Vec<ModbusPoint> = points.collect();
    let setup = setup::build(device, part, report);
    if !setup.is_empty() && !points.is_empty() && points.iter().all(|point| point.access == Access::Write) {
        let expected = "no setup: settings are told after a read was answered, and no point of this device is read";
        part.wrong(&["setup"], Misfit::expected(expected), report);
    }
    Some(DeviceConfig::Modbus(ModbusDevice {
        timeout,
        min_gap,
        max_registers,
        max_bits: max_bits.unwrap_or(ModbusDevice::MAX_BITS),
        max_hole: max_hole.unwrap_or(ModbusDevice::MAX_HOLE),
        mask_write: raw.mask_write.unwrap_or(false),
        write_with: raw.write_with.map_or(WriteWith::Auto, |with| match with {
            schema::WriteWith::Auto => WriteWith::Auto,
            schema::WriteWith::Single => WriteWith::Single,
            schema::WriteWith::Multiple => WriteWith::Multiple,
        }),
        setup,
        points,
        ..ModbusDevice::new(unit_id?, every.unwrap_or(EVERY))
    }))
}
