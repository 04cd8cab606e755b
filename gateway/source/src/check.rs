//! What is wrong with a config, all of it at once, so that a person can mend a file in one go.
//!
//! Deliberately absent: where in which file it stands. The daemon knows, by the names in each [`Problem`].

use std::collections::{BTreeMap, BTreeSet};

use curb_model::{Access, Name, PointName};

use crate::config::{
    Bits, BusConfig, Config, Conversion, DataBits, Decode, DeviceConfig, Encoding, Framing, Link, ModbusDevice,
    ModbusPoint, Place, TalkerDevice,
};

/// Something that the source cannot do, found before it starts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A Modbus device on a talker's line, or the other way round.
    #[error("device {device} cannot be on bus {bus}: one is Modbus, the other is not")]
    Kind {
        /// The bus.
        bus: Name,
        /// The device.
        device: Name,
    },
    /// Modbus RTU needs eight bits.
    #[error("bus {bus}: Modbus RTU needs 8 data bits, found 7")]
    SevenBits {
        /// The bus.
        bus: Name,
    },
    /// A rate of zero.
    #[error("bus {bus}: a baud rate of 0")]
    NoBaud {
        /// The bus.
        bus: Name,
    },
    /// Marks or sizes by which no frame can be told.
    #[error(
        "bus {bus}: frames need marks that differ, and a size that they fit into, at most 4096 bytes with a start mark"
    )]
    NoFrame {
        /// The bus.
        bus: Name,
    },
    /// Nobody could tell which of two talkers a line came from.
    #[error("bus {bus}: a line with a talker carries exactly one device, found {found}")]
    Talkers {
        /// The bus.
        bus: Name,
        /// How many devices it has.
        found: usize,
    },
    /// Address 0 is for everybody, and those above 247 are reserved.
    #[error("device {device}: unit_id {found} is not within 1 to 247")]
    UnitId {
        /// The device.
        device: Name,
        /// What was given.
        found: u8,
    },
    /// Two devices would answer at once, or one would be read twice.
    #[error("device {device}: unit_id {unit_id} on bus {bus} is also that of {other}")]
    UnitTaken {
        /// The bus.
        bus: Name,
        /// The device.
        device: Name,
        /// The device that has the address already.
        other: Name,
        /// The address.
        unit_id: u8,
    },
    /// A time of zero.
    #[error("device {device}: {what} must be longer than 0")]
    NoTime {
        /// The device.
        device: Name,
        /// Which setting.
        what: &'static str,
    },
    /// A request without a byte.
    #[error("device {device}: a request of nothing")]
    NoRequest {
        /// The device.
        device: Name,
    },
    /// A type that cannot lie where it is said to, or that cannot be treated as it is said to be.
    #[error("point {point}: {what}")]
    Type {
        /// The point.
        point: PointName,
        /// What cannot be.
        what: &'static str,
    },
    /// More than one read may ask for.
    #[error("point {point}: takes {found} registers in one read, and the device gives {most} at most")]
    Span {
        /// The point.
        point: PointName,
        /// Registers that must be read together.
        found: u16,
        /// The device's limit.
        most: u16,
    },
    /// Nobody would notice that it is there, or that it has come back.
    #[error("device {device}: settings are told after a read was answered, and it has no point that is read")]
    SettingsUnread {
        /// The device.
        device: Name,
    },
    /// A limit on reads that no read keeps.
    #[error("device {device}: a limit of {found} on what one read may ask for; it lies within 1 and {most}")]
    Limit {
        /// The device.
        device: Name,
        /// What was given.
        found: u16,
        /// What the protocol allows.
        most: u16,
    },
    /// Beyond register 65,535.
    #[error("point {point}: ends beyond the last address, 65535")]
    Address {
        /// The point.
        point: PointName,
    },
    /// A place that the frames of this device do not have.
    #[error("point {point}: {what}")]
    Place {
        /// The point.
        point: PointName,
        /// What cannot be.
        what: &'static str,
    },
    /// A scale of zero, or not a number.
    #[error("point {point}: the scale must be a number other than 0, and the offset a number")]
    Scale {
        /// The point.
        point: PointName,
    },
}

impl Config {
    /// Everything that stands in the way of running this.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (name, bus) in &self.buses {
            check_link(name, bus, &mut problems);
            let mut units: BTreeMap<u8, &Name> = BTreeMap::new();
            for (device_name, device) in &bus.devices {
                match (&bus.link, device) {
                    (Link::Rtu(_) | Link::RtuOverTcp(_) | Link::Tcp(_), DeviceConfig::Modbus(device)) => {
                        if let Some(other) = units.insert(device.unit_id, device_name) {
                            problems.push(Problem::UnitTaken {
                                bus: name.clone(),
                                device: device_name.clone(),
                                other: other.clone(),
                                unit_id: device.unit_id,
                            });
                        }
                        if !matches!(bus.link, Link::Tcp(_)) && !(1..=247).contains(&device.unit_id) {
                            problems.push(Problem::UnitId { device: device_name.clone(), found: device.unit_id });
                        }
                        check_modbus(device_name, device, &mut problems);
                    }
                    (Link::Talker { .. }, DeviceConfig::Talker(device)) => {
                        check_talker(device_name, device, &mut problems);
                    }
                    (Link::Rtu(_) | Link::RtuOverTcp(_) | Link::Tcp(_), DeviceConfig::Talker(_))
                    | (Link::Talker { .. }, DeviceConfig::Modbus(_)) => {
                        problems.push(Problem::Kind { bus: name.clone(), device: device_name.clone() });
                    }
                }
            }
        }
        problems
    }
}

fn check_link(name: &Name, bus: &BusConfig, problems: &mut Vec<Problem>) {
    match &bus.link {
        Link::Rtu(serial) | Link::Talker { serial, .. } if serial.baud == 0 => {
            problems.push(Problem::NoBaud { bus: name.clone() });
        }
        Link::Rtu(_) | Link::RtuOverTcp(_) | Link::Tcp(_) | Link::Talker { .. } => {}
    }
    match &bus.link {
        Link::Rtu(serial) if serial.data_bits == DataBits::Seven => {
            problems.push(Problem::SevenBits { bus: name.clone() });
        }
        Link::Talker { framing, .. } => {
            if !framing_fits(framing) {
                problems.push(Problem::NoFrame { bus: name.clone() });
            }
            if bus.devices.len() != 1 {
                problems.push(Problem::Talkers { bus: name.clone(), found: bus.devices.len() });
            }
        }
        Link::Rtu(_) | Link::RtuOverTcp(_) | Link::Tcp(_) => {}
    }
}

fn framing_fits(framing: &Framing) -> bool {
    match framing {
        Framing::Delimiter { delimiter, max } => !delimiter.is_empty() && *max > 0,
        Framing::Marks { start, stop, max } => {
            !start.is_empty() && !stop.is_empty() && start != stop && (1..=Framing::MOST_WITH_MARK).contains(max)
        }
        Framing::Fixed { start, len } => (start.len() + 1..=Framing::MOST_WITH_MARK).contains(len),
        Framing::Length(prefix) => {
            let least = prefix.at.saturating_add(prefix.width);
            matches!(prefix.width, 1 | 2)
                && prefix.at >= prefix.start.len()
                && (least..=Framing::MOST_WITH_MARK).contains(&prefix.max)
        }
        Framing::Silence { gap, max } => !gap.is_zero() && *max > 0,
    }
}

fn check_modbus(name: &Name, device: &ModbusDevice, problems: &mut Vec<Problem>) {
    let mut no_time: BTreeSet<&'static str> = BTreeSet::new();
    if device.every.is_zero() || device.points.iter().any(|point| point.every.is_some_and(|every| every.is_zero())) {
        no_time.insert("every");
    }
    if device.timeout.is_some_and(|timeout| timeout.is_zero()) {
        no_time.insert("timeout");
    }
    problems.extend(no_time.into_iter().map(|what| Problem::NoTime { device: name.clone(), what }));
    for (found, most) in
        [(device.max_registers, ModbusDevice::MAX_REGISTERS), (device.max_bits, ModbusDevice::MAX_BITS)]
    {
        if !(1..=most).contains(&found) {
            problems.push(Problem::Limit { device: name.clone(), found, most });
        }
    }
    if !device.setup.is_empty() && device.points.iter().all(|point| point.access == Access::Write) {
        problems.push(Problem::SettingsUnread { device: name.clone() });
    }
    for point in &device.points {
        check_modbus_point(point, device, problems);
    }
}

fn check_modbus_point(point: &ModbusPoint, device: &ModbusDevice, problems: &mut Vec<Problem>) {
    let name = &point.point.name;
    let mut wrong = |what| problems.push(Problem::Type { point: name.clone(), what });
    let whole = point.bits.is_none() && point.radix.is_none() && point.exponent.is_none();
    if point.table.is_bits() && !(whole && point.encoding == Encoding::Bool) {
        wrong("a coil or discrete input is one bit: type bool");
    }
    if let Some(bits) = point.bits
        && (!point.encoding.is_unsigned() || bits.width == 0 || bits.first + bits.width > point.encoding.bit_width())
    {
        wrong("bits are taken from an unsigned number, and lie within it");
    }
    if point.radix.is_some_and(|radix| radix < 2)
        || point.radix.is_some() && !matches!(point.encoding, Encoding::U32 | Encoding::U64)
    {
        wrong("a radix, of at least 2, makes one number of several registers: type u32 or u64");
    }
    if matches!(point.encoding, Encoding::Text(0 | 129..)) {
        wrong("a text has 1 to 128 bytes");
    }
    if matches!(point.encoding, Encoding::Text(_)) && point.conversion != Conversion::default() {
        wrong("a text has neither scale nor names");
    }
    if (point.write.is_some() || point.access == Access::Write) && !point.table.is_writable() {
        wrong("only holding registers and coils can be written");
    }
    if point.access == Access::Write && shares_its_register(point) && !device.mask_write {
        wrong("what stands beside it in its register cannot be read: its device would have to know function 22");
    }
    let (first, span) = point.span();
    let most = if point.table.is_bits() { device.max_bits } else { device.max_registers };
    if first.checked_add(span - 1).is_none() || point.address.checked_add(point.width() - 1).is_none() {
        problems.push(Problem::Address { point: name.clone() });
    } else if span > most {
        problems.push(Problem::Span { point: name.clone(), found: span, most });
    }
    check_conversion(name, &point.conversion, problems);
}

/// Whether a write of it has to leave other bits of its register as they are.
fn shares_its_register(point: &ModbusPoint) -> bool {
    point.bits.is_some() || matches!(point.encoding, Encoding::U8(_) | Encoding::I8(_))
}

fn check_talker(name: &Name, device: &TalkerDevice, problems: &mut Vec<Problem>) {
    let request = device.request.as_ref();
    let times = [
        ("stale_after", Some(device.stale_after)),
        ("every", request.map(|request| request.every)),
        ("timeout", request.map(|request| request.timeout)),
    ];
    for (what, _) in times.into_iter().filter(|(_, time)| time.is_some_and(|time| time.is_zero())) {
        problems.push(Problem::NoTime { device: name.clone(), what });
    }
    if request.is_some_and(|request| request.bytes.is_empty()) {
        problems.push(Problem::NoRequest { device: name.clone() });
    }
    for point in &device.points {
        let what = match (&device.decode, &point.place) {
            (Decode::Csv { .. }, Place::Column(0)) | (Decode::Nmea, Place::Field { field: 0, .. }) => {
                Some("columns and fields count from 1")
            }
            (Decode::Regex(pattern), Place::Group(group)) if !pattern.names().any(|name| name == group) => {
                Some("the pattern has no such group")
            }
            (Decode::Binary { .. }, Place::Bytes { encoding, bits, .. }) => check_bytes(*encoding, *bits),
            (Decode::Csv { .. }, Place::Column(_))
            | (Decode::Json, Place::Pointer(_))
            | (Decode::Regex(_), Place::Group(_))
            | (Decode::Nmea, Place::Field { .. }) => None,
            _ => Some("its place does not fit what its device sends"),
        };
        problems.extend(what.map(|what| Problem::Place { point: point.point.name.clone(), what }));
        check_conversion(&point.point.name, &point.conversion, problems);
    }
}

fn check_bytes(encoding: Encoding, bits: Option<Bits>) -> Option<&'static str> {
    if let Some(bits) = bits
        && (!encoding.is_unsigned() || bits.width == 0 || bits.first.saturating_add(bits.width) > encoding.bit_width())
    {
        return Some("bits are taken from an unsigned number, and lie within it");
    }
    matches!(encoding, Encoding::Text(0 | 129..)).then_some("a text has 1 to 128 bytes")
}

fn check_conversion(point: &PointName, conversion: &Conversion, problems: &mut Vec<Problem>) {
    let Conversion { scale, offset, .. } = conversion;
    if scale.is_some_and(|scale| !scale.is_normal()) || offset.is_some_and(|offset| !offset.is_finite()) {
        problems.push(Problem::Scale { point: point.clone() });
    }
}
