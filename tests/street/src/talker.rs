//! A sensor that talks by itself: a line of decimal numbers with commas between, in a steady beat.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::clock::now_ms;
use crate::device::Signal;
use crate::error::Error;
use crate::pty::{Input, Listening, Port, send_paced};
use crate::record::{Log, Served, What};
use crate::worker::Worker;

/// One number of the line: tenths of a signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The point's own name.
    pub point: String,
    /// Unit of measure.
    pub unit: String,
    /// How it moves; the line has tenths of it.
    pub signal: Signal,
}

impl Column {
    /// A column in this unit.
    #[must_use]
    pub fn new(point: &str, unit: &str, signal: Signal) -> Self {
        Self { point: point.to_owned(), unit: unit.to_owned(), signal }
    }
}

#[derive(Debug, Clone)]
struct Script {
    device: Arc<str>,
    baud: u32,
    every: Duration,
    columns: Vec<Column>,
    log: Log,
}

/// A sensor that talks by itself, as a serial port for a listener.
#[derive(Debug)]
pub struct Talker {
    script: Script,
    link: PathBuf,
    worker: Option<Worker>,
}

impl Talker {
    /// A sensor behind the port `link`, unplugged, with nothing to say yet. Characters have ten bits.
    #[must_use]
    pub fn new(device: &str, link: &Path, baud: u32, every: Duration, log: &Log) -> Self {
        let script = Script { device: device.into(), baud, every, columns: Vec::new(), log: log.clone() };
        Self { script, link: link.to_owned(), worker: None }
    }

    /// With one more number in its line.
    #[must_use]
    pub fn column(mut self, column: Column) -> Self {
        self.script.columns.push(column);
        self
    }

    /// Plugs the sensor in: from now on it talks.
    ///
    /// # Errors
    /// There is no pseudo-terminal or no thread to be had, or something else is at the port's path.
    pub fn plug(&mut self) -> Result<(), Error> {
        self.worker = None;
        let port = Port::plug(&self.link)?;
        let script = self.script.clone();
        self.worker = Some(Worker::start("talker", move |stop| talk(port, script, stop))?);
        Ok(())
    }

    /// Pulls the plug.
    pub fn unplug(&mut self) {
        self.worker = None;
    }

    /// The device's name.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.script.device
    }

    /// The port.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.link
    }

    /// What it says, in order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.script.columns
    }
}

async fn talk(port: Port, script: Script, stop: CancellationToken) {
    let mut port = port.listen().expect("a new pseudo-terminal can be waited on");
    let mut beat = tokio::time::interval(script.every);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut lines = 0;
    let mut ignored = [0; 256];
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => {
                say(&port, &script, lines);
                lines += 1;
            }
            // A talker does not listen; what is sent to it must not pile up in the kernel.
            input = port.read(&mut ignored) => drop(input.unwrap_or(Input::Nobody)),
        }
    }
}

fn say(port: &Listening, script: &Script, n: u64) {
    let tenths: Vec<i64> = script.columns.iter().map(|column| column.signal.at(n)).collect();
    let texts: Vec<String> = tenths.iter().map(|tenths| format!("{}.{}", tenths / 10, tenths.rem_euclid(10))).collect();
    let line = texts.join(",") + "\n";
    let character = Duration::from_secs(10) / script.baud.max(1);
    let sent = send_paced(port, line.as_bytes(), Instant::now(), character);
    let columns = texts.iter().map(|text| text.parse().expect("written as a decimal number above")).collect();
    let what = What::Line { columns, heard: sent.heard };
    script.log.push(Served { device: Arc::clone(&script.device), at_ms: now_ms(), what });
}
