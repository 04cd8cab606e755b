//! `curb` as it is measured: settings, start, and a clean end.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use street::Process;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use crate::bed::{Bed, SITE};
use crate::clock;
use crate::error::Error;

/// How long a clean end may take; curb's own grace time is 10 s.
const END: Duration = Duration::from_secs(20);

/// Which plugins are on the way. All of them let all readings pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plugin {
    None,
    Deadband,
    /// Guard, alarm and deadband, each of which sees every reading.
    Three,
}

/// A bus and the devices on it, each with the same number of registers.
#[derive(Debug, Clone)]
pub(crate) struct Bus {
    /// The bus's own lines of settings.
    link: String,
    units: Vec<u8>,
    registers: u16,
    every: Duration,
    timeout: Option<Duration>,
    /// The first unit has a point `dim` in holding register 100 that may be written, and is hardly ever read.
    dims: bool,
}

impl Bus {
    /// A Modbus TCP device on a port of this machine.
    pub(crate) fn tcp(port: &str, registers: u16, every: Duration) -> Self {
        let link = format!("tcp = \"127.0.0.1:{port}\"\n");
        Self { link, units: vec![1], registers, every, timeout: None, dims: false }
    }

    /// A serial line, 8E1.
    pub(crate) fn rtu(path: &str, baud: u32, units: &[u8], registers: u16, every: Duration, timeout: Duration) -> Self {
        let link = format!("serial = \"{path}\"\nbaud = {baud}\nparity = \"even\"\n");
        Self { link, units: units.to_vec(), registers, every, timeout: Some(timeout), dims: false }
    }

    /// With a point that may be written.
    pub(crate) fn dims(mut self) -> Self {
        self.dims = true;
        self
    }
}

/// A running curb.
#[derive(Debug)]
pub(crate) struct Hub {
    process: Process,
    /// When it was started, since 1970.
    pub(crate) started: Duration,
    /// Its state folder.
    pub(crate) state: PathBuf,
    socket: PathBuf,
}

impl Hub {
    /// Writes settings into a folder of this name, and starts curb on a new state folder.
    pub(crate) fn start(bed: &Bed, name: &str, buses: &[Bus], plugin: Plugin) -> Result<Self, Error> {
        Self::start_on(bed, name, buses, plugin, (bed.tls_port, ""))
    }

    /// The same with the core on another port, and lines of settings for `[core]`.
    pub(crate) fn start_on(
        bed: &Bed,
        name: &str,
        buses: &[Bus],
        plugin: Plugin,
        core: (u16, &str),
    ) -> Result<Self, Error> {
        let folder = bed.folder.join(name);
        let state = folder.join("state");
        let run = folder.join("run");
        for folder in [&state, &run] {
            fs::create_dir_all(folder).map_err(Error::file(folder))?;
        }
        let config = folder.join("curb.toml");
        fs::write(&config, settings(bed, &folder, buses, plugin, core)).map_err(Error::file(&config))?;
        let arguments =
            ["run".as_ref(), "--config".as_ref(), config.as_os_str(), "--run-dir".as_ref(), run.as_os_str()];
        let started = clock::now();
        let socket = run.join("control.sock");
        Ok(Self { process: Process::start("curb", &bed.curb, arguments, &folder)?, started, state, socket })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> Result<u32, Error> {
        self.process.id().ok_or_else(|| Error::Ended { program: "curb", log: self.log() })
    }

    /// Writes `value` to a point through the control socket, and says how long its answer took.
    pub(crate) async fn write(&self, point: &str, value: u16) -> Result<Duration, Error> {
        let request = format!("{{\"v\":1,\"op\":\"write\",\"point\":\"{point}\",\"value\":{value}}}\n");
        let begin = tokio::time::Instant::now();
        let line = self.ask(&request).await?;
        let took = begin.elapsed();
        let program = "curb";
        if line.contains("\"ok\":true") && line.contains("read-back") {
            Ok(took)
        } else {
            Err(Error::Line { program, line })
        }
    }

    /// Its own report, and of that the number at `pointer`.
    pub(crate) async fn says(&self, pointer: &'static str) -> Result<u64, Error> {
        let (report, line) = self.report().await?;
        report.pointer(pointer).and_then(serde_json::Value::as_u64).ok_or(Error::Line { program: "curb", line })
    }

    /// Good readings since its start, by its own count.
    pub(crate) async fn readings(&self) -> Result<u64, Error> {
        let (report, line) = self.report().await?;
        let devices = report["devices"].as_object().ok_or(Error::Line { program: "curb", line })?;
        Ok(devices.values().filter_map(|device| device["good"].as_u64()).sum())
    }

    /// What `curb status --json` prints, and the line that it came in.
    async fn report(&self) -> Result<(serde_json::Value, String), Error> {
        let line = self.ask("{\"v\":1,\"op\":\"status\"}\n").await?;
        let mut answer: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        Ok((answer["answer"].take(), line))
    }

    async fn ask(&self, request: &str) -> Result<String, Error> {
        let answer = async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            stream.write_all(request.as_bytes()).await?;
            BufReader::new(stream).lines().next_line().await
        };
        Ok(answer.await.map_err(Error::file(&self.socket))?.unwrap_or_default())
    }

    pub(crate) fn log(&self) -> String {
        self.process.tail()
    }

    /// Ends it cleanly. The end is not measured, but a daemon that fails to end has not worked well before either.
    pub(crate) async fn end(mut self) -> Result<(), Error> {
        self.process.terminate()?;
        let ended = self.process.wait(END).await?;
        if ended.success() { Ok(()) } else { Err(Error::Run { program: "curb", ended, log: self.log() }) }
    }
}

fn settings(bed: &Bed, folder: &std::path::Path, buses: &[Bus], plugin: Plugin, (port, core): (u16, &str)) -> String {
    let (folder, hub) = (folder.display(), &bed.hub);
    let mut text = format!(
        "[hub]\nsite = \"{SITE}\"\n\n[core]\nurl = \"mqtts://localhost:{port}\"\n{core}\n\
         [identity]\nkey = \"{}\"\ncertificate = \"{}\"\nroots = \"{}\"\n\n\
         [paths]\nstate = \"{folder}/state\"\nrun = \"{folder}/run\"\ncache = \"{folder}/cache\"\n\n\
         [clock]\ntrust = \"system\"\n",
        hub.key.display(),
        hub.certificate.display(),
        hub.roots.display(),
    );
    let mut write = |part: std::fmt::Arguments<'_>| text.write_fmt(part).expect("text takes all that is written to it");
    if plugin == Plugin::Deadband {
        let component = bed.plugin.display();
        write(format_args!("\n[plugin.quiet]\norder = 10\ncomponent = \"{component}\"\npoints = [\"*/*\"]\n"));
        write(format_args!("settings = {{ default = 0.5 }}\non_failure = \"pass\"\n"));
    }
    if plugin == Plugin::Three {
        let three = [
            ("guard", "{ min = 0, max = 65535 }"),
            ("alarm", "{ rules = { high = { point = \"b0u1/r0\", above = 70000 } } }"),
            ("deadband", "{ default = 0 }"),
        ];
        for (order, (name, settings)) in three.into_iter().enumerate() {
            let component = bed.plugin.with_file_name(format!("{name}.wasm"));
            let component = component.display();
            write(format_args!(
                "\n[plugin.{name}]\norder = {order}\ncomponent = \"{component}\"\npoints = [\"*/*\"]\n"
            ));
            write(format_args!("settings = {settings}\non_failure = \"pass\"\n"));
        }
    }
    for (number, bus) in buses.iter().enumerate() {
        write(format_args!("\n[bus.b{number}]\n{}", bus.link));
        for unit in &bus.units {
            let every = bus.every.as_millis();
            write(format_args!("\n[device.b{number}u{unit}]\nbus = \"b{number}\"\nunit_id = {unit}\n"));
            // The units are known: they need no more than the 3.5 characters.
            write(format_args!("every = \"{every}ms\"\nmin_gap = \"0s\"\n"));
            if let Some(timeout) = bus.timeout {
                write(format_args!("timeout = \"{}ms\"\n", timeout.as_millis()));
            }
            if bus.dims && Some(unit) == bus.units.first() {
                write(format_args!(
                    "[device.b{number}u{unit}.point.dim]\nregister = \"holding:100\"\ntype = \"u16\"\n"
                ));
                write(format_args!("every = \"1day\"\nwrite = {{ min = 0, max = 1000 }}\n"));
            }
            for register in 0..bus.registers {
                let header = format!("[device.b{number}u{unit}.point.r{register}]");
                write(format_args!("{header}\nregister = \"input:{register}\"\ntype = \"u16\"\nunit = \"W\"\n"));
            }
        }
    }
    text
}
