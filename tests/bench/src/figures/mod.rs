//! The figures, one file for each setting in which some are taken.

mod line;
mod load;
mod outage;
mod plugins;
mod start;
mod street_hub;
mod wire;

use std::io::{self, Write as _};
use std::time::Duration;

use clap::ValueEnum;

use crate::bed::{Bed, Devices};
use crate::core::Core;
use crate::counting::{From, Tally};
use crate::error::Error;
use crate::meter::{CpuMeter, Memory};
use crate::table::{Goal, Table};

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Setting {
    /// Modbus TCP, 10 devices × 100 registers at 10 Hz: CPU time, delay
    Load,
    /// The same at 100 Hz, 100,000 points a second: CPU time, memory
    Fast,
    /// A street hub, 6 × 20 registers at 1 Hz: CPU time, memory, bytes to disk
    Street,
    /// Start-up to the first reading at the core
    Start,
    /// Bytes on the line for a reading, in each form, against a message for each reading
    Wire,
    /// Without the core: bytes to disk; and how fast what waited goes out when it is back
    Outage,
    /// Plugins: a reading's share in each way, starts, memory; a hub with three of them
    Plugins,
    /// Paced RS-485 lines, 9,600 to 115,200 8E1: polls, silences, a dead unit
    Line,
}

/// How long each part takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// After the first reading, before anything counts: caches fill, back-off settles.
    warm_up: Duration,
    load: Duration,
    street: Duration,
    line: Duration,
    starts: u32,
}

impl Times {
    /// For figures that are quoted.
    pub(crate) const FULL: Self = Self {
        warm_up: Duration::from_secs(5),
        load: Duration::from_secs(20),
        street: Duration::from_secs(60),
        line: Duration::from_secs(30),
        starts: 5,
    };

    /// To see whether it works.
    pub(crate) const QUICK: Self = Self {
        warm_up: Duration::from_secs(1),
        load: Duration::from_secs(4),
        street: Duration::from_secs(5),
        line: Duration::from_secs(4),
        starts: 1,
    };
}

/// Takes the figures of a setting.
pub(crate) async fn take(bed: &Bed, setting: Setting, times: Times, table: &mut Table) -> Result<(), Error> {
    match setting {
        Setting::Load => load::take(bed, times, table).await,
        Setting::Fast => load::take_fast(bed, times, table).await,
        Setting::Street => street_hub::take(bed, times, table).await,
        Setting::Start => start::take(bed, times, table).await,
        Setting::Wire => wire::take(bed, times, table).await,
        Setting::Outage => outage::take(bed, times, table).await,
        Setting::Plugins => plugins::take(bed, times, table).await,
        Setting::Line => line::take(bed, times, table).await,
    }
}

/// Says on the terminal what goes on; a run takes minutes.
fn progress(what: &str) -> Result<(), Error> {
    writeln!(io::stderr(), "bench: {what}").map_err(Error::Terminal)
}

/// Watches the C loop on devices behind TCP, and looks at its memory at the end.
async fn watch_loop(
    bed: &Bed,
    devices: &Devices,
    registers: u16,
    every: Duration,
    times: Times,
) -> Result<(Watched, Memory), Error> {
    let mut core = Core::listen(bed, From::Served).await?;
    let mut c_loop = bed.start_loop(every, registers, &devices.as_arguments())?;
    core.first_reading(|| c_loop.tail()).await?;
    core.collect(times.warm_up, &mut Tally::default()).await?;
    let pid = c_loop.id().ok_or_else(|| Error::Ended { program: "loop", log: c_loop.tail() })?;
    let watched = Watched::new(&mut core, pid, times.load).await?.correct("the C loop")?;
    let memory = Memory::of(pid)?;
    c_loop.kill().await?;
    Ok((watched, memory))
}

/// From the device's answer to the core: of half of the messages, and of all but one in a hundred.
fn delays(setting: &str, curb: &Watched, c_loop: &Watched, table: &mut Table) {
    for (percent, goal) in [(50, Goal::AtMost(5.0)), (99, Goal::AtMost(20.0))] {
        let figure = format!("{setting}: delay device → core, p{percent}");
        table.add(figure, "ms", curb.delay_ms(percent), ("C loop", c_loop.delay_ms(percent)), goal);
    }
}

/// What arrived from a process in some time, and what CPU time it took.
#[derive(Debug)]
struct Watched {
    tally: Tally,
    cpu: Duration,
    time: Duration,
}

impl Watched {
    /// Watches the process `pid` and its descendants. The CPU time is sampled each second, see [`CpuMeter`].
    async fn new(core: &mut Core, pid: u32, time: Duration) -> Result<Self, Error> {
        const SAMPLE: Duration = Duration::from_secs(1);
        let mut tally = Tally::default();
        let begin = tokio::time::Instant::now();
        let mut cpu = CpuMeter::start(pid)?;
        while let Some(rest) = time.checked_sub(begin.elapsed()).filter(|rest| !rest.is_zero()) {
            core.collect(rest.min(SAMPLE), &mut tally).await?;
            cpu.sample()?;
        }
        Ok(Self { tally, cpu: cpu.spent(), time: begin.elapsed() })
    }

    /// An error if a value was wrong: a figure for wrong work is worth nothing.
    fn correct(self, name: &'static str) -> Result<Self, Error> {
        let Tally { wrong, readings, .. } = self.tally;
        if wrong == 0 { Ok(self) } else { Err(Error::Wrong { name, wrong, readings }) }
    }

    /// CPU seconds for a million readings.
    fn cpu_per_million(&self) -> f64 {
        self.cpu.as_secs_f64() / self.tally.readings as f64 * 1e6
    }

    /// Per cent of one CPU.
    fn cpu_share(&self) -> f64 {
        100.0 * self.cpu.as_secs_f64() / self.time.as_secs_f64()
    }

    /// Readings in a second.
    fn rate(&self) -> f64 {
        self.tally.readings as f64 / self.time.as_secs_f64()
    }

    /// Milliseconds from the device's answer to the core.
    fn delay_ms(&self, percent: usize) -> f64 {
        1e3 * self.tally.delay(percent).unwrap_or_default().as_secs_f64()
    }

    /// A note if something came that should not.
    fn note_oddities(&self, name: &str, table: &mut Table) {
        let Tally { bad, duplicates, gaps, .. } = self.tally;
        if (bad, duplicates, gaps) != (0, 0, 0) {
            table.note(format!("{name}: {bad} bad readings, {duplicates} duplicate messages, {gaps} gap records"));
        }
    }
}
