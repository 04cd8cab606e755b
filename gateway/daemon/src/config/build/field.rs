//! `[bus.*]` and `[device.*]`: what the source reads.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use curb_model::{Name, PointName};
use curb_source::{BusConfig, DataBits, DeviceConfig, Link, Parity, Rs485, SerialConfig, StopBits};

use super::{Part, device, fits, frame, named, setup};
use crate::config::node::Node;
use crate::config::notation;
use crate::config::problem::{Misfit, did_you_mean};
use crate::config::report::Report;
use crate::config::schema;
use crate::config::settings::ByHand;

/// How long an adapter may hold bytes back. Its timer has eight bits, in milliseconds.
const LATENCY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_millis(255);

/// Less, and a reconnect would cost readings; what is worth something after a year is worth something for ever.
const EXPIRE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(365 * 86_400);

/// Rates that adapters and devices usually have. Another one is possible, and more often a slip.
const USUAL_BAUD: [u32; 12] =
    [1_200, 2_400, 4_800, 9_600, 14_400, 19_200, 28_800, 38_400, 57_600, 76_800, 115_200, 230_400];

/// The field side of the configuration.
#[derive(Debug, Default)]
pub(super) struct Field {
    /// Buses with the devices that are right.
    pub(super) source: curb_source::Config,
    /// How long a device's readings are worth sending, where that has an end.
    pub(super) expire: BTreeMap<Name, Duration>,
    /// What devices are told by hand only.
    pub(super) by_hand: Vec<ByHand>,
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
    /// Modbus RTU frames over a connection.
    RtuOverTcp,
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
        if matches!(device, Some(DeviceConfig::Modbus(_))) {
            field.by_hand.extend(setup::by_hand(name, part, report));
        }
        let expire = part.duration("expire", part.raw.expire.as_ref(), &EXPIRE, report);
        field.expire.extend(expire.map(|after| (name.clone(), after)));
        field.names.devices.insert(name.clone());
        let Some(bus) = bus else { continue };
        on_bus.entry(bus).or_default().push((name, part));
        if let (Some(device), Some(bus)) = (device, field.source.buses.get_mut(bus)) {
            bus.devices.insert(name.clone(), device);
        }
    }
    for (bus, medium) in mediums {
        let (part, devices) = (&buses[bus], on_bus.get(bus).map_or(&[][..], Vec::as_slice));
        if medium == Some(Medium::Talker) {
            one_talker(part, devices, report);
        } else {
            own_unit_ids(bus, devices, report);
        }
        // Of what is wrong in itself it is not known what it asks for.
        let sound = devices.iter().map(|(_, device)| &device.key).chain([&part.key]);
        if !sound.into_iter().any(|key| report.has_errors_at(key))
            && let Some(config) = field.source.buses.get(bus)
        {
            fits::check(config, part, report);
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

/// The keys that say what a bus is, of which it has one.
const WAYS: [&str; 3] = ["serial", "tcp", "rtu_over_tcp"];

fn medium(part: &Part<'_, schema::Bus>) -> Option<Medium> {
    let stands = |field: &str| part.value(&[field]).is_some();
    match WAYS.map(stands) {
        [true, false, false] if stands("frame") => Some(Medium::Talker),
        [true, false, false] => Some(Medium::Rtu),
        [false, true, false] => Some(Medium::Tcp),
        [false, false, true] => Some(Medium::RtuOverTcp),
        _ => None,
    }
}

fn link(part: &Part<'_, schema::Bus>, report: &mut Report) -> Option<Link> {
    let on_a_network = |way: &str, report: &mut Report| {
        for field in ["baud", "parity", "data", "stop", "rs485", "latency", "frame"] {
            part.misplaced(&[field], &format!("no such key on a {way} bus"), report);
        }
    };
    match medium(part) {
        Some(Medium::Tcp) => {
            on_a_network("tcp", report);
            part.notation(&["tcp"], part.raw.tcp.as_deref(), tcp_address, report).map(Link::Tcp)
        }
        Some(Medium::RtuOverTcp) => {
            on_a_network("rtu_over_tcp", report);
            let address = part.raw.rtu_over_tcp.as_deref();
            part.notation(&["rtu_over_tcp"], address, rtu_over_tcp_address, report).map(Link::RtuOverTcp)
        }
        Some(Medium::Rtu) => serial(part, Medium::Rtu, report).map(Link::Rtu),
        Some(Medium::Talker) => {
            let serial = serial(part, Medium::Talker, report);
            let framing = frame::build(part, report)?;
            Some(Link::Talker { serial: serial?, framing })
        }
        None => {
            let mut ways = WAYS.into_iter().rev();
            if let Some(last) = ways.find(|way| part.value(&[way]).is_some()) {
                part.wrong(&[last], Misfit::expected("one of serial, tcp and rtu_over_tcp"), report);
            } else {
                let expected =
                    "serial = \"/dev/serial/by-path/…\", tcp = \"host:port\" or rtu_over_tcp = \"host:port\"";
                report.missing(part.origin(&[]), &part.key(&["serial"]), Misfit::expected(expected));
            }
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
        (Some(_), Medium::Rtu | Medium::RtuOverTcp | Medium::Tcp) => {
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
        (Some(schema::Parity::Even), _) | (None, Medium::Rtu | Medium::RtuOverTcp | Medium::Tcp) => Parity::Even,
        (Some(schema::Parity::None), _) | (None, Medium::Talker) => Parity::None,
        (Some(schema::Parity::Odd), _) => Parity::Odd,
    };
    let rs485 = match raw.rs485 {
        Some(schema::Rs485::Auto) => Rs485::Auto,
        Some(schema::Rs485::On) => Rs485::On,
        Some(schema::Rs485::Off) => Rs485::Off,
        // A talker's line is RS-232 as often as not, and its driver has nothing to switch.
        None if medium == Medium::Talker => Rs485::Off,
        None => Rs485::Auto,
    };
    let latency = part.duration("latency", raw.latency.as_ref(), &LATENCY, report);
    Some(SerialConfig { path: path?, baud: baud?, data_bits, parity, stop_bits, rs485, latency })
}

/// Names that the kernel gives in the order of plugging move to another adapter after a glitch.
fn by_path(part: &Part<'_, schema::Bus>, path: &std::path::Path, report: &mut Report) {
    let name = path.to_str().and_then(|path| path.strip_prefix("/dev/")).unwrap_or("");
    if name.starts_with("ttyUSB") || name.starts_with("ttyACM") {
        let help = "see ls -l /dev/serial/by-path: that name stays with the socket, this one changes with the order of plugging";
        part.doubtful(&["serial"], Misfit::expected("a name below /dev/serial/by-path").help(help), report);
    }
}

fn tcp_address(text: &str) -> Result<String, Misfit> {
    /// What IANA registered for Modbus.
    const PORT: u16 = 502;
    let (host, port) = notation::host_port(text, Some(PORT)).ok_or_else(|| no_address(text))?;
    Ok(shown(&host, port))
}

/// Serial servers have no usual port for this.
fn rtu_over_tcp_address(text: &str) -> Result<String, Misfit> {
    let without_port = notation::host_port(text, Some(1)).is_some();
    let (host, port) = notation::host_port(text, None).ok_or_else(|| {
        let misfit = no_address(text);
        if without_port { misfit.help("the port is set in the serial server; many have 4001") } else { misfit }
    })?;
    Ok(shown(&host, port))
}

fn no_address(text: &str) -> Misfit {
    let misfit = Misfit::expected("host:port");
    let is_port = |number: u64| (1..=u64::from(u16::MAX)).contains(&number);
    match text.rsplit_once(':').and_then(|(_, port)| port.parse().ok()) {
        Some(number) if !is_port(number) => misfit.help("a port is a number from 1 to 65535"),
        Some(_) | None => misfit,
    }
}

fn shown(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A port is held exclusively, so a second bus on it would never open. Two connections to one serial line would talk into
/// each other's frames.
fn one_bus_a_port(buses: &BTreeMap<Name, Part<'_, schema::Bus>>, report: &mut Report) {
    let mut taken: BTreeMap<(&str, &str), &Name> = BTreeMap::new();
    for (name, part) in buses {
        let places = [("serial", part.raw.serial.as_deref()), ("rtu_over_tcp", part.raw.rtu_over_tcp.as_deref())];
        for (field, place) in places {
            let Some(place) = place else { continue };
            if let Some(other) = taken.insert((field, place), name) {
                let expected = format!("a port of its own: bus {other} has this one");
                part.wrong(&[field], Misfit::expected(expected), report);
            }
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
            let misfit = Misfit::expected("a device with decode on a bus with a frame");
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
