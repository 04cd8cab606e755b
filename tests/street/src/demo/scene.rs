//! The demo's street: which devices stand in it, and the settings that a hub needs to read them.

use std::path::Path;
use std::time::Duration;

use crate::demo::settings::Settings;
use crate::device::{Behaviour, Device, Kind, Register, Signal, Table};
use crate::error::Error;
use crate::judge::Point;
use crate::record::Log;
use crate::rtu::{LineCounters, Parity, RtuLine};
use crate::talker::{Column, Talker};
use crate::tcp::TcpDevice;

/// The demo's site. Letters only: rumqttd takes no others in the O of a certificate.
pub(super) const SITE: &str = "harbour";
/// The demo's hub.
pub(super) const HUB: &str = "lamp-0042";
/// The deadband of the demo's plugin.
const DEADBAND: f64 = 0.5;
/// The streams that the plugin sees.
const QUIET: [&str; 2] = ["meter", "air"];

/// The devices, running.
#[derive(Debug)]
pub(crate) struct Scene {
    cabinet: RtuLine,
    units: Vec<(u8, Device)>,
    charger: TcpDevice,
    charger_device: Device,
    air: Talker,
    points: Vec<Point>,
    log: Log,
}

/// Four units, their signals in ranges that do not meet, so that a value tells its point. The last one will be dead.
fn units() -> Vec<(u8, Device)> {
    let meter = Device::new("meter")
        .with(Register::new("voltage", Table::Input, 0, Kind::U16, Signal::new(2250, 1, 100)).scale(0.1).unit("V"))
        .with(Register::new("power", Table::Input, 1, Kind::I32, Signal::new(12_000, 7, 3000)).scale(0.1).unit("W"))
        .with(Register::new("frequency", Table::Input, 4, Kind::F32, Signal::new(4950, 1, 100)).unit("Hz"));
    let light = Device::new("shelter-light")
        .with(Register::new("dim-level", Table::Holding, 100, Kind::U16, Signal::new(100, 3, 800)).scale(0.1).unit("%"))
        .with(
            Register::new("hours", Table::Holding, 102, Kind::U32, Signal::new(400_000, 1, 90_000))
                .low_word_first()
                .unit("h"),
        )
        .with(Register::new("on", Table::Coil, 0, Kind::Bool, Signal::new(0, 1, 2)));
    let pump = Device::new("pump")
        .with(Register::new("level", Table::Holding, 0, Kind::I16, Signal::new(-500, 3, 400)).scale(0.01).unit("m"))
        .with(Register::new("starts", Table::Holding, 1, Kind::U32, Signal::new(70_000, 1, 9000)));
    let sign = Device::new("sign")
        .with(Register::new("page", Table::Holding, 0, Kind::U16, Signal::new(30_000, 1, 1000)))
        .with(Register::new("brightness", Table::Holding, 1, Kind::U16, Signal::new(40_000, 1, 1000)).unit("lx"));
    vec![(1, meter), (2, light), (3, pump), (4, sign)]
}

fn charger() -> Device {
    Device::new("charger")
        .with(Register::new("energy", Table::Input, 0, Kind::U32, Signal::new(5_000_000, 13, 900_000)).unit("Wh"))
        .with(Register::new("current", Table::Input, 2, Kind::F32, Signal::new(600, 1, 2600)).unit("A"))
        .with(Register::new("plugged", Table::Discrete, 0, Kind::Bool, Signal::new(0, 1, 2)))
}

impl Scene {
    /// Puts the street up, with its ports in `folder`.
    pub(crate) fn put_up(folder: &Path) -> Result<Self, Error> {
        let log = Log::new();
        let units = units();
        let mut cabinet = RtuLine::new(&folder.join("tty-cabinet"), 19_200, Parity::Even, &log);
        for (id, device) in &units {
            let behaviour = if &*device.name == "sign" { Behaviour::Dead } else { Behaviour::Alive };
            cabinet = cabinet.unit(*id, device.clone(), behaviour);
        }
        cabinet.plug()?;
        let charger_device = charger();
        let charger = TcpDevice::start(charger_device.clone(), Behaviour::Alive, &log)?;
        let mut air = Talker::new("air", &folder.join("tty-air"), 9600, Duration::from_secs(1), &log)
            .column(Column::new("pm25", "ug/m3", Signal::new(80, 2, 240)))
            .column(Column::new("pm10", "ug/m3", Signal::new(400, 3, 450)));
        air.plug()?;
        let devices = units.iter().map(|(_, device)| device).chain([&charger_device]);
        let points = devices.flat_map(Point::of_device).chain(Point::of_talker(&air));
        let points = points.map(|point| if QUIET.contains(&&*point.device) { point.deadband(DEADBAND) } else { point });
        let points = points.collect();
        Ok(Self { cabinet, units, charger, charger_device, air, points, log })
    }

    /// The points of the hub's settings.
    pub(crate) fn points(&self) -> &[Point] {
        &self.points
    }

    /// What was served.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// What stands in the street, in a sentence.
    pub(super) fn describe(&self) -> String {
        format!(
            "street: {} Modbus units on one line of 19,200 baud 8E1 (sign is dead), a Modbus TCP charger on {}, an air \
             sensor that talks by itself",
            self.units.len(),
            self.charger.address()
        )
    }

    /// The hub's settings.
    pub(crate) fn settings(&self) -> Settings<'_> {
        Settings {
            serial: self.cabinet.path(),
            units: &self.units,
            charger: self.charger.address(),
            charger_device: &self.charger_device,
            air: &self.air,
            plugin_sees: &QUIET,
            deadband: DEADBAND,
        }
    }

    /// How the master on the line has behaved.
    pub(super) fn describe_line(&self) -> String {
        let LineCounters { requests, gap_violations, collided_bytes, damaged, .. } = self.cabinet.counters();
        format!(
            "line: {requests} requests, of which {gap_violations} too soon after the last frame; {damaged} damaged \
             frames, {collided_bytes} bytes into an answer"
        )
    }
}
