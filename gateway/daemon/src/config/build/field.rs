//! `[bus.*]` and `[device.*]`: what the source reads.

use std::collections::{BTreeMap, BTreeSet};

use curb_model::{Name, PointName};
use curb_source::{BusConfig, DataBits, Framing, Link, Parity, Rs485, SerialConfig, StopBits};

use super::{Part, device, named};
use crate::config::node::Node;
use crate::config::notation;
use crate::config::problem::{Misfit, did_you_mean};
use crate::config::report::Report;
use crate::config::schema;

/// Bytes of a talker's frame at most, where the bus says nothing: three times the longest sentence of the sensors on
/// streets today (NMEA 0183 has 82).
const MAX_FRAME: usize = 256;

/// Rates that adapters and devices usually have. Another one is possible, and more often a slip.
const USUAL_BAUD: [u32; 12] =
    [1_200, 2_400, 4_800, 9_600, 14_400, 19_200, 28_800, 38_400, 57_600, 76_800, 115_200, 230_400];

/// The field side of the configuration.
#[derive(Debug, Default)]
pub(super) struct Field {
    /// Buses with the devices that are right.
    pub(super) source: curb_source::Config,
    /// What the other tables may refer to, whether or not it is right in itself.
    pub(super) names: FieldNames,
}

/// Names that exist.
#[derive(Debug, Default)]
pub(super) struct FieldNames {
    /// Devices.
    pub(super) devices: BTreeSet<Name>,
    /// Points of devices.
    pub(super) points: BTreeSet<PointName>,
}

/// How devices are reached on a bus. Known even when the bus is wrong in its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Medium {
    /// Modbus RTU on a serial line.
    Rtu,
    /// Modbus TCP.
    Tcp,
    /// A line with a device that talks by itself.
    Talker,
}

/// Reads buses and devices, and puts the devices on their buses.
pub(super) fn build(root: &Node, report: &mut Report) -> Field {
    let buses: BTreeMap<Name, Part<'_, schema::Bus>> = named(root, "bus", report);
    let devices: BTreeMap<Name, Part<'_, schema::Device>> = named(root, "device", report);
    let mut field = Field::default();
    let mut mediums = BTreeMap::new();
    for (name, part) in &buses {
        mediums.insert(name, medium(part));
        if let Some(link) = link(part, report) {
            field.source.buses.insert(name.clone(), BusConfig { link, devices: BTreeMap::new() });
        }
    }
    one_bus_a_port(&buses, report);

    let mut on_bus: BTreeMap<&Name, Vec<(&Name, &Part<'_, schema::Device>)>> = BTreeMap::new();
    for (name, part) in &devices {
        let bus = bus_of(part, &buses, report);
        let medium = bus.and_then(|bus| mediums.get(bus).copied().flatten());
        let device = device::build(name, part, medium, &mut field.names.points, report);
        field.names.devices.insert(name.clone());
        let Some(bus) = bus else { continue };
        on_bus.entry(bus).or_default().push((name, part));
        if let (Some(device), Some(bus)) = (device, field.source.buses.get_mut(bus)) {
            bus.devices.insert(name.clone(), device);
        }
    }
    for (bus, medium) in mediums {
        let devices = on_bus.get(bus).map_or(&[][..], Vec::as_slice);
        if medium == Some(Medium::Talker) {
            one_talker(&buses[bus], devices, report);
        } else {
            own_unit_ids(bus, devices, report);
        }
    }
    if !report.has_errors() {
        // All of its rules are checked above, where the place is known. One that was added there alone still holds.
        for problem in field.source.check() {
            report.wrong(&root.origin, &[], problem.to_string(), Misfit::expected("what the source can run"));
        }
    }
    field
}

fn medium(part: &Part<'_, schema::Bus>) -> Option<Medium> {
    let stands = |field| part.value(&[field]).is_some();
    match (stands("serial"), stands("tcp")) {
        (true, false) if stands("frame") => Some(Medium::Talker),
        (true, false) => Some(Medium::Rtu),
        (false, true) => Some(Medium::Tcp),
        (true, true) | (false, false) => None,
    }
}

fn link(part: &Part<'_, schema::Bus>, report: &mut Report) -> Option<Link> {
    match medium(part) {
        Some(Medium::Tcp) => {
            for field in ["baud", "parity", "data", "stop", "frame"] {
                part.misplaced(&[field], "no such key on a tcp bus", report);
            }
            part.notation(&["tcp"], part.raw.tcp.as_deref(), tcp_address, report).map(Link::Tcp)
        }
        Some(Medium::Rtu) => serial(part, Medium::Rtu, report).map(Link::Rtu),
        Some(Medium::Talker) => {
            let serial = serial(part, Medium::Talker, report);
            let framing = frame(part, report)?;
            Some(Link::Talker { serial: serial?, framing })
        }
        None if part.value(&["tcp"]).is_some() => {
            part.wrong(&["tcp"], Misfit::expected("serial or tcp, not both"), report);
            None
        }
        None => {
            let expected = "serial = \"/dev/serial/by-path/…\" or tcp = \"host:port\"";
            report.missing(part.origin(&[]), &part.key(&["serial"]), Misfit::expected(expected));
            None
        }
    }
}

fn serial(part: &Part<'_, schema::Bus>, medium: Medium, report: &mut Report) -> Option<SerialConfig> {
    let raw = &part.raw;
    let path = part.path("serial", raw.serial.as_deref(), report);
    if let Some(path) = &path {
        by_path(part, path, report);
    }
    part.missing(&["baud"], Misfit::expected("the line's rate in bit/s, such as 9600 or 19200"), report);
    let baud = part.number(&["baud"], raw.baud, 50..=4_000_000_u32, "a rate in bit/s", report);
    if let Some(baud) = baud
        && !USUAL_BAUD.contains(&baud)
    {
        let text = baud.to_string();
        let usual = USUAL_BAUD.map(|usual| usual.to_string());
        let misfit = Misfit::expected("a usual rate, such as 9600, 19200 or 115200");
        let help = did_you_mean(&text, usual.iter().map(String::as_str));
        part.doubtful(&["baud"], Misfit { help, ..misfit }, report);
    }
    let data_bits = match (raw.data, medium) {
        (None | Some(8), _) => DataBits::Eight,
        (Some(7), Medium::Talker) => DataBits::Seven,
        (Some(_), Medium::Talker) => {
            part.wrong(&["data"], Misfit::expected("7 or 8 bits"), report);
            DataBits::Eight
        }
        (Some(_), Medium::Rtu | Medium::Tcp) => {
            part.wrong(&["data"], Misfit::expected("8 bits, which Modbus RTU needs"), report);
            DataBits::Eight
        }
    };
    let stop_bits = match raw.stop {
        None | Some(1) => StopBits::One,
        Some(2) => StopBits::Two,
        Some(_) => {
            part.wrong(&["stop"], Misfit::expected("1 or 2 bits"), report);
            StopBits::One
        }
    };
    let parity = match (raw.parity, medium) {
        (Some(schema::Parity::Even), _) | (None, Medium::Rtu | Medium::Tcp) => Parity::Even,
        (Some(schema::Parity::None), _) | (None, Medium::Talker) => Parity::None,
        (Some(schema::Parity::Odd), _) => Parity::Odd,
    };
    let rs485 = if medium == Medium::Talker { Rs485::Off } else { Rs485::Auto };
    Some(SerialConfig { path: path?, baud: baud?, data_bits, parity, stop_bits, rs485, latency: None })
}

/// Names that the kernel gives in the order of plugging move to another adapter after a glitch.
fn by_path(part: &Part<'_, schema::Bus>, path: &std::path::Path, report: &mut Report) {
    let name = path.to_str().and_then(|path| path.strip_prefix("/dev/")).unwrap_or("");
    if name.starts_with("ttyUSB") || name.starts_with("ttyACM") {
        let help = "see ls -l /dev/serial/by-path: that name stays with the socket, this one changes with the order of plugging";
        part.doubtful(&["serial"], Misfit::expected("a name below /dev/serial/by-path").help(help), report);
    }
}

fn frame(part: &Part<'_, schema::Bus>, report: &mut Report) -> Option<Framing> {
    let frame = part.raw.frame.as_ref()?;
    let what_ends = "the text that ends a frame: delimiter = \"\\n\"";
    part.missing(&["frame", "delimiter"], Misfit::expected(what_ends), report);
    let max = part.number(&["frame", "max"], frame.max, 1..=65_535_u16, "bytes in a frame", report);
    let max = if frame.max.is_some() { max.map(usize::from) } else { Some(MAX_FRAME) };
    let delimiter = frame.delimiter.as_deref()?;
    if delimiter.is_empty() || delimiter.len() > 8 {
        part.wrong(&["frame", "delimiter"], Misfit::expected("a text of 1 to 8 bytes"), report);
        return None;
    }
    Some(Framing::Delimiter { delimiter: delimiter.as_bytes().to_vec(), max: max? })
}

fn tcp_address(text: &str) -> Result<String, Misfit> {
    /// What IANA registered for Modbus.
    const PORT: u16 = 502;
    let (host, port) = notation::host_port(text, Some(PORT)).ok_or_else(|| Misfit::expected("host:port"))?;
    Ok(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

/// A port is held exclusively, so a second bus on it would never open.
fn one_bus_a_port(buses: &BTreeMap<Name, Part<'_, schema::Bus>>, report: &mut Report) {
    let mut taken: BTreeMap<&str, &Name> = BTreeMap::new();
    for (name, part) in buses {
        let Some(serial) = part.raw.serial.as_deref() else {
            continue;
        };
        if let Some(other) = taken.insert(serial, name) {
            part.wrong(&["serial"], Misfit::expected(format!("a port of its own: bus {other} has this one")), report);
        }
    }
}

/// The bus of a device, if there is one of that name.
fn bus_of<'a>(
    part: &Part<'_, schema::Device>,
    buses: &'a BTreeMap<Name, Part<'_, schema::Bus>>,
    report: &mut Report,
) -> Option<&'a Name> {
    part.missing(&["bus"], Misfit::expected("the name of a bus"), report);
    let wanted = part.raw.bus.as_deref()?;
    let known = buses.keys().find(|name| name.as_str() == wanted);
    if known.is_none() {
        let names = || buses.keys().map(Name::as_str);
        let expected = match buses.len() {
            0 => "a bus of this name: [bus.NAME]".to_owned(),
            _ => format!("the name of a bus: {}", names().collect::<Vec<_>>().join(", ")),
        };
        let misfit = Misfit { expected, help: did_you_mean(wanted, names()) };
        report.dangling(part.origin(&["bus"]), &part.key(&["bus"]), format!("{wanted:?}"), misfit);
    }
    known
}

fn one_talker(bus: &Part<'_, schema::Bus>, devices: &[(&Name, &Part<'_, schema::Device>)], report: &mut Report) {
    match devices {
        [_] => {}
        [] => {
            let misfit = Misfit::expected("a device with decode = \"csv\" on a bus with a frame");
            report.dangling(bus.origin(&[]), &bus.key(&[]), "no device", misfit);
        }
        [(first, _), others @ ..] => {
            for (_, part) in others {
                let expected = format!("one device on a bus with a frame: {first} is there already");
                part.wrong(&["bus"], Misfit::expected(expected), report);
            }
        }
    }
}

fn own_unit_ids(bus: &Name, devices: &[(&Name, &Part<'_, schema::Device>)], report: &mut Report) {
    let mut taken: BTreeMap<i64, &Name> = BTreeMap::new();
    for (name, part) in devices {
        let Some(unit_id) = part.raw.unit_id else {
            continue;
        };
        if let Some(other) = taken.insert(unit_id, name) {
            let expected = format!("a unit id of its own on bus {bus}: device {other} has this one");
            part.wrong(&["unit_id"], Misfit::expected(expected), report);
        }
    }
}
