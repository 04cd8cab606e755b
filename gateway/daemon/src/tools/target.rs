//! What a tool is pointed at: a bus of the config, a device of the config, or a line that no config knows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use curb_model::{HubClock, HubTime, Name, PointName};
use curb_source::{BusConfig, DeviceConfig, Link, ModbusDevice, ModbusPoint, SerialConfig, StopBits};

use super::args::LineArgs;
use crate::clock::{self, Verdict};
use crate::config::{ClockTrust, Library, Settings};

/// The rate of a line where nobody says one: what most devices leave the factory with.
const BAUD: u32 = 9_600;

/// Why a tool cannot tell what it is pointed at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("find {target:?}: it is no port, no host:port, and {config} has no such {what}{}", listed(.known))]
    Unknown { target: String, what: &'static str, config: String, known: Vec<String> },
    #[error("use {config}: it has {problems} problems; `curb check` shows them")]
    Config { config: String, problems: usize },
    #[error("use {0}: a device that talks by itself is not asked")]
    Talker(String),
    #[error("use {0} at other settings: it is no serial line")]
    NotSerial(String),
    #[error("ask unit {0}: on a serial line there are 1 to 247; only over TCP 0 to 255")]
    Unit(u8),
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; it has {}", names.join(", ")) }
}

/// A line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bus {
    /// As frames and answers are labelled.
    pub(crate) label: String,
    /// Its name in the config, by which the daemon knows it.
    pub(crate) name: Option<Name>,
    pub(crate) link: Link,
    /// The serial settings to use, where they are not the line's own.
    pub(crate) settings: Option<SerialConfig>,
    /// What the config has on it: its units, and how long each is waited for.
    pub(crate) devices: BTreeMap<Name, DeviceConfig>,
}

impl Bus {
    /// The Modbus addresses of the config's devices.
    pub(crate) fn units(&self) -> Vec<u8> {
        let unit = |device: &DeviceConfig| match device {
            DeviceConfig::Modbus(device) => Some(device.unit_id),
            DeviceConfig::Talker(_) => None,
        };
        self.devices.values().filter_map(unit).collect()
    }

    /// Whether a unit can be asked there, as in the config.
    ///
    /// # Errors
    /// Address 0 is for everybody on a serial line, and those above 247 are reserved.
    pub(crate) fn takes(&self, unit: u8) -> Result<(), Error> {
        match self.link {
            Link::Tcp(_) => Ok(()),
            Link::Rtu(_) | Link::RtuOverTcp(_) | Link::Talker { .. } if (1..=247).contains(&unit) => Ok(()),
            Link::Rtu(_) | Link::RtuOverTcp(_) | Link::Talker { .. } => Err(Error::Unit(unit)),
        }
    }
}

/// A device of the config, and the one point that was named.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Device {
    pub(crate) bus: Bus,
    pub(crate) name: Name,
    pub(crate) device: ModbusDevice,
    pub(crate) points: Vec<ModbusPoint>,
}

/// The settings, as far as they can be used.
#[derive(Debug)]
pub(crate) struct Known {
    config: String,
    settings: Option<Settings>,
    problems: usize,
    state: PathBuf,
    library: Library,
}

impl Known {
    /// Reads the config. That there is none is no fault: a port needs none.
    pub(crate) fn load(args: &LineArgs) -> Self {
        let loaded = crate::config::load(&crate::sources(&args.config));
        let config = args.config.config.display().to_string();
        let (problems, library) = (loaded.problems.len(), Library::new(loaded.paths.profiles));
        Self { config, problems, state: loaded.paths.state, library, settings: loaded.settings }
    }

    /// The profiles that a config here may name.
    pub(crate) const fn library(&self) -> &Library {
        &self.library
    }

    /// The daemon's state folder.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// UTC in milliseconds, if whom the config trusts vouches for the clock.
    ///
    /// # Cancel safety
    /// Nothing is changed.
    pub(crate) async fn time_ms(&self) -> Option<i64> {
        let trust = self.settings.as_ref().map_or(ClockTrust::Ntp, |settings| settings.clock.trust);
        let clock = HubClock::starting_at(HubTime::ZERO);
        match clock::look(trust, &clock).await {
            Verdict::Trusted(offset) => Some(clock.now().utc_millis(offset)),
            Verdict::Unsynchronised | Verdict::BeforeFloor => None,
        }
    }

    /// The settings.
    ///
    /// # Errors
    /// There are none that can be used.
    pub(crate) fn settings(&self) -> Result<&Settings, Error> {
        let error = || Error::Config { config: self.config.clone(), problems: self.problems };
        self.settings.as_ref().ok_or_else(error)
    }

    /// The folder of the daemon's socket, where the config says one.
    pub(crate) fn run_dir(&self) -> Option<&Path> {
        self.settings.as_ref().map(|settings| settings.paths.run.as_path())
    }

    /// The line that `text` means, to be listened to: also one with a device that talks by itself.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn heard_bus(&self, text: &str, args: &LineArgs) -> Result<Bus, Error> {
        let buses = || self.settings.iter().flat_map(|settings| &settings.source.buses);
        match buses().find(|(name, bus)| name.as_str() == text || is_place(&bus.link, text)) {
            Some((name, bus @ BusConfig { link: Link::Talker { serial, .. }, .. })) => {
                Ok(Bus { settings: with(serial, args), ..plain(name, bus) })
            }
            Some(_) | None => self.bus(text, args),
        }
    }

    /// The line that `text` means.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn bus(&self, text: &str, args: &LineArgs) -> Result<Bus, Error> {
        let buses = || self.settings.iter().flat_map(|settings| &settings.source.buses);
        let named = buses().find(|(name, bus)| name.as_str() == text || is_place(&bus.link, text));
        if let Some((name, bus)) = named {
            return configured(name, bus, args);
        }
        if text.contains('/') {
            // As a config would have it.
            let path = std::path::absolute(text).unwrap_or_else(|_no_folder| text.into());
            let own = SerialConfig::new(path, BAUD);
            let serial = with(&own, args).unwrap_or(own);
            return Ok(Bus {
                label: label(text),
                name: None,
                link: Link::Rtu(serial),
                settings: None,
                devices: BTreeMap::new(),
            });
        }
        if let Some((host, port)) = text.rsplit_once(':').filter(|(host, port)| !host.is_empty() && !port.is_empty()) {
            let address = format!("{host}:{port}");
            if args.resets_line() {
                return Err(Error::NotSerial(address));
            }
            let link = if args.mode == "rtu" { Link::RtuOverTcp(address) } else { Link::Tcp(address) };
            return Ok(Bus { label: label(text), name: None, link, settings: None, devices: BTreeMap::new() });
        }
        if self.settings.is_none() && self.problems > 0 {
            return Err(Error::Config { config: self.config.clone(), problems: self.problems });
        }
        let known = buses().map(|(name, _)| name.to_string()).collect();
        Err(Error::Unknown { target: text.to_owned(), what: "bus", config: self.config.clone(), known })
    }

    /// The device, or the device and its point, that `text` means.
    ///
    /// # Errors
    /// There is none, or it cannot be asked.
    pub(crate) fn device(&self, text: &str, args: Option<&LineArgs>) -> Result<Device, Error> {
        let (device_name, point_name) = text.split_once('/').map_or((text, None), |(device, _)| (device, Some(text)));
        let settings = self.settings()?;
        let unknown =
            |what, known| Err(Error::Unknown { target: text.to_owned(), what, config: self.config.clone(), known });
        let all = || settings.source.buses.iter().flat_map(|(bus, c)| c.devices.iter().map(move |d| (bus, c, d)));
        let Some((bus_name, bus, (name, device))) = all().find(|(_, _, (name, _))| name.as_str() == device_name) else {
            return unknown("device", all().map(|(_, _, (name, _))| name.to_string()).collect());
        };
        let DeviceConfig::Modbus(device) = device else { return Err(Error::Talker(device_name.to_owned())) };
        let points: Vec<ModbusPoint> = match point_name {
            None => device.points.clone(),
            Some(point) => device.points.iter().filter(|p| p.point.name.to_string() == point).cloned().collect(),
        };
        if points.is_empty() {
            return unknown("point", device.points.iter().map(|point| point.point.name.to_string()).collect());
        }
        let bus = match args {
            Some(args) => configured(bus_name, bus, args)?,
            None => plain(bus_name, bus),
        };
        Ok(Device { bus, name: name.clone(), device: device.clone(), points })
    }

    /// The point of this name, wherever it hangs.
    pub(crate) fn point(&self, name: &PointName) -> Option<&ModbusPoint> {
        crate::field::point(self.settings.as_ref()?, name)
    }
}

fn configured(name: &Name, bus: &BusConfig, args: &LineArgs) -> Result<Bus, Error> {
    let settings = match &bus.link {
        Link::Rtu(own) => with(own, args),
        Link::Tcp(_) | Link::RtuOverTcp(_) if args.resets_line() => return Err(Error::NotSerial(name.to_string())),
        Link::Tcp(_) | Link::RtuOverTcp(_) => None,
        Link::Talker { .. } => return Err(Error::Talker(name.to_string())),
    };
    Ok(Bus { settings, ..plain(name, bus) })
}

fn plain(name: &Name, bus: &BusConfig) -> Bus {
    let BusConfig { link, devices } = bus.clone();
    Bus { label: name.to_string(), name: Some(name.clone()), link, settings: None, devices }
}

/// Other settings than the line's own, if the command line says so.
fn with(own: &SerialConfig, args: &LineArgs) -> Option<SerialConfig> {
    let asked = SerialConfig {
        baud: args.baud.unwrap_or(own.baud),
        parity: args.parity.unwrap_or(own.parity),
        stop_bits: args.stop.map_or(own.stop_bits, |stop| if stop == 2 { StopBits::Two } else { StopBits::One }),
        ..own.clone()
    };
    (asked != *own).then_some(asked)
}

/// Whether a link leads to the port or address `text`, under whatever name.
fn is_place(link: &Link, text: &str) -> bool {
    let place = link.place();
    if place == text {
        return true;
    }
    match (Path::new(&place).canonicalize(), Path::new(text).canonicalize()) {
        (Ok(one), Ok(other)) => text.contains('/') && one == other,
        (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
    }
}

/// One word for a port or address.
fn label(text: &str) -> String {
    text.rsplit('/').next().filter(|last| !last.is_empty()).unwrap_or(text).replace(' ', "_")
}
