//! What is wrong with a config, all of it at once, so that a person can mend a file in one go.
//!
//! Deliberately absent: where in which file it stands. The daemon knows, by the names in each [`Problem`].

use std::collections::{BTreeMap, BTreeSet};

use curb_model::{Name, PointName};

use crate::config::{BusConfig, Config, CsvDevice, DataBits, DeviceConfig, Link, ModbusDevice};

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
    /// An empty delimiter or frame size.
    #[error("bus {bus}: frames need a delimiter and a size of at least 1")]
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
    /// A type that this kind of device cannot hold.
    #[error("point {point}: type {value_type} cannot be read from {place}")]
    Type {
        /// The point.
        point: PointName,
        /// Its type.
        value_type: &'static str,
        /// Where it was to be read from.
        place: &'static str,
    },
    /// Beyond register 65,535.
    #[error("point {point}: ends beyond the last address, 65535")]
    Address {
        /// The point.
        point: PointName,
    },
    /// Columns count from 1.
    #[error("point {point}: columns count from 1")]
    Column {
        /// The point.
        point: PointName,
    },
    /// A scale of zero, or not a number.
    #[error("point {point}: the scale must be a number other than 0")]
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
                    (Link::Rtu(_) | Link::Tcp(_), DeviceConfig::Modbus(device)) => {
                        if let Some(other) = units.insert(device.unit_id, device_name) {
                            problems.push(Problem::UnitTaken {
                                bus: name.clone(),
                                device: device_name.clone(),
                                other: other.clone(),
                                unit_id: device.unit_id,
                            });
                        }
                        let serial = matches!(bus.link, Link::Rtu(_));
                        if serial && !(1..=247).contains(&device.unit_id) {
                            problems.push(Problem::UnitId { device: device_name.clone(), found: device.unit_id });
                        }
                        check_modbus(device_name, device, &mut problems);
                    }
                    (Link::Talker { .. }, DeviceConfig::Csv(device)) => {
                        check_csv(device_name, device, &mut problems);
                    }
                    (Link::Rtu(_) | Link::Tcp(_), DeviceConfig::Csv(_))
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
        Link::Rtu(_) | Link::Tcp(_) | Link::Talker { .. } => {}
    }
    match &bus.link {
        Link::Rtu(serial) if serial.data_bits == DataBits::Seven => {
            problems.push(Problem::SevenBits { bus: name.clone() });
        }
        Link::Talker { delimiter, max_frame, .. } => {
            if delimiter.is_empty() || *max_frame == 0 {
                problems.push(Problem::NoFrame { bus: name.clone() });
            }
            if bus.devices.len() != 1 {
                problems.push(Problem::Talkers { bus: name.clone(), found: bus.devices.len() });
            }
        }
        Link::Rtu(_) | Link::Tcp(_) => {}
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
    for point in &device.points {
        let name = &point.point.name;
        match point.span() {
            None => problems.push(Problem::Type {
                point: name.clone(),
                value_type: point.point.value_type.as_str(),
                place: if point.table.is_bits() { "a bit" } else { "registers" },
            }),
            Some(span) if point.address.checked_add(span - 1).is_none() => {
                problems.push(Problem::Address { point: name.clone() });
            }
            Some(_) => {}
        }
        check_scale(name, point.scale, problems);
    }
}

fn check_csv(name: &Name, device: &CsvDevice, problems: &mut Vec<Problem>) {
    if device.stale_after.is_zero() {
        problems.push(Problem::NoTime { device: name.clone(), what: "stale_after" });
    }
    for point in &device.points {
        if point.column == 0 {
            problems.push(Problem::Column { point: point.point.name.clone() });
        }
        check_scale(&point.point.name, point.scale, problems);
    }
}

fn check_scale(point: &PointName, scale: Option<f64>, problems: &mut Vec<Problem>) {
    if scale.is_some_and(|scale| !scale.is_normal()) {
        problems.push(Problem::Scale { point: point.clone() });
    }
}
