//! The settings of the demo's hub, as an installer would write them.

use std::fmt::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

use crate::demo::scene::{HUB, SITE};
use crate::device::{Device, Register};
use crate::talker::{Column, Talker};

/// Longer than a unit thinks, shorter than a poll period: the dead unit must not cost the others their turn.
const TIMEOUT: &str = "300ms";

/// What the hub must know of the street.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings<'a> {
    pub(super) serial: &'a Path,
    pub(super) units: &'a [(u8, Device)],
    pub(super) charger: SocketAddr,
    pub(super) charger_device: &'a Device,
    pub(super) air: &'a Talker,
    /// The streams that go through the plugin.
    pub(super) plugin_sees: &'a [&'a str],
    pub(super) deadband: f64,
}

impl Settings<'_> {
    /// The text of `curb.toml`. The core is at `url`, with `core` for its further settings; the certificates are in `ca`, the hub's own files go to `folder`.
    pub(crate) fn to_toml(self, url: &str, core: &str, ca: &Path, folder: &Path, plugin: &Path) -> String {
        let mut text = String::new();
        self.hub(&mut text, url, core, &ca.join("hubs").join(HUB), folder)
            .and_then(|()| self.buses(&mut text))
            .and_then(|()| self.devices(&mut text))
            .and_then(|()| self.plugin(&mut text, plugin))
            .expect("a string takes whatever is written");
        text
    }

    fn hub(self, out: &mut String, url: &str, core: &str, identity: &Path, folder: &Path) -> fmt::Result {
        writeln!(out, "# Settings of the demo's hub. gateway/daemon/curb.example.toml explains every key.")?;
        writeln!(out, "[hub]\nsite = {SITE:?}\n")?;
        writeln!(out, "# A message is done with when the ingester has it, not when the broker has it.")?;
        writeln!(out, "[core]\nurl = {url:?}\nack = \"core\"")?;
        writeln!(out, "# One hub need not be considerate of ten thousand others.\n{core}\n")?;
        writeln!(out, "[identity]")?;
        writeln!(out, "key = {}", quoted(&identity.join("hub.key")))?;
        writeln!(out, "certificate = {}", quoted(&identity.join("hub.crt")))?;
        writeln!(out, "roots = {}\n", quoted(&identity.join("roots.pem")))?;
        writeln!(out, "[paths]")?;
        writeln!(out, "state = {}", quoted(&folder.join("state")))?;
        writeln!(out, "run = {}", quoted(&folder.join("run")))?;
        writeln!(out, "cache = {}\n", quoted(&folder.join("cache")))?;
        writeln!(out, "# This machine's clock is taken at its word.\n[clock]\ntrust = \"system\"")
    }

    fn buses(self, out: &mut String) -> fmt::Result {
        writeln!(out, "\n[bus.cabinet]\nserial = {}\nbaud = 19200\nparity = \"even\"", quoted(self.serial))?;
        writeln!(out, "\n[bus.charger]\ntcp = \"{}\"", self.charger)?;
        writeln!(out, "\n[bus.air]\nserial = {}\nbaud = 9600", quoted(self.air.path()))?;
        writeln!(out, "frame = {{ delimiter = \"\\n\", max = 128 }}")
    }

    fn devices(self, out: &mut String) -> fmt::Result {
        for (id, device) in self.units {
            modbus_device(out, device, "cabinet", *id)?;
            writeln!(out, "timeout = {TIMEOUT:?}")?;
            modbus_points(out, device)?;
        }
        modbus_device(out, self.charger_device, "charger", 1)?;
        modbus_points(out, self.charger_device)?;
        let air = self.air.device();
        writeln!(out, "\n[device.{air}]\nbus = \"air\"\ndecode = \"csv\"")?;
        for (number, Column { point, unit, .. }) in (1..).zip(self.air.columns()) {
            writeln!(out, "\n[device.{air}.point.{point}]\ncolumn = {number}\ntype = \"f64\"\nunit = {unit:?}")?;
        }
        Ok(())
    }

    fn plugin(self, out: &mut String, component: &Path) -> fmt::Result {
        let globs: Vec<String> = self.plugin_sees.iter().map(|device| format!("{device}/*")).collect();
        writeln!(out, "\n[plugin.quiet]\norder = 10\ncomponent = {}", quoted(component))?;
        writeln!(out, "points = {globs:?}\nsettings = {{ default = {:?} }}", self.deadband)
    }
}

fn modbus_device(out: &mut String, device: &Device, bus: &str, id: u8) -> fmt::Result {
    writeln!(out, "\n[device.{}]\nbus = {bus:?}\nunit_id = {id}\nevery = \"1s\"\nmin_gap = \"0s\"", device.name)
}

fn modbus_points(out: &mut String, device: &Device) -> fmt::Result {
    for Register { point, table, address, kind, order, scale, unit, .. } in &device.registers {
        writeln!(out, "\n[device.{}.point.{point}]", device.name)?;
        writeln!(out, "register = \"{}:{address}\"\ntype = {:?}", table.as_str(), kind.as_str())?;
        if kind.width() > 1 {
            writeln!(out, "order = {:?}", order.as_str())?;
        }
        if let Some(scale) = scale {
            writeln!(out, "scale = {scale:?}")?;
        }
        if let Some(unit) = unit {
            writeln!(out, "unit = {unit:?}")?;
        }
    }
    Ok(())
}

/// A path as a TOML string.
fn quoted(path: &Path) -> String {
    format!("{:?}", path.to_string_lossy())
}
