//! How full a bus will be, and how long its slowest answer takes, before anything is wired. Pure.
//!
//! A poll takes a silence, 8 characters of request, the unit's own time, and 5 characters and the data of its answer. Three
//! figures follow from that and the periods:
//!
//! - the **load**: of each second, the part in which the line is taken. Above 1 there are polls that are never made.
//! - the **worst cycle**: the longest that any point waits from its due time to its answer, if everything is due at once and
//!   one unit is silent. A round is not interrupted, and whoever has waited longest goes first ([`crate::poll`]), so that
//!   each other round comes before a point at most once: as in the analysis of messages on a CAN bus, but with a bound that
//!   needs no iteration, because nobody has a higher priority.
//! - the **tightest point**: the one whose worst answer comes nearest to its next due time, or is later.
//!
//! Assumed: a unit begins to answer after the time that is passed in, [`ANSWER`] where nobody knows better, and the silent
//! one takes its whole time-out. The silent are rationed, so that there is one at a time.
//!
//! Deliberately absent: what cannot be known of a network (for a connection only requests per second are told), writes, and
//! blocks that a device refuses.

use std::time::Duration;

use curb_model::{Name, PointName};

use crate::config::{BusConfig, DeviceConfig, Link, ModbusDevice, SerialConfig};
use crate::modbus::Limits;
use crate::plan;
use crate::port::Timing;

/// How long a unit takes to begin its answer, where nobody has measured it. Meters and dimmers take 2 to 30 ms, most about
/// this long.
pub const ANSWER: Duration = Duration::from_millis(10);

/// What a remedy aims at: a line that is a little too full again tomorrow is no remedy.
const COMFORTABLE: f64 = 0.9;

/// Rates that units can usually be set to.
const RATES: [u32; 5] = [9_600, 19_200, 38_400, 57_600, 115_200];

/// Periods that a person would write, in milliseconds.
const PERIODS_MS: [u64; 20] = [
    100, 200, 250, 500, 1_000, 2_000, 3_000, 5_000, 10_000, 15_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000,
    900_000, 1_800_000, 3_600_000, 86_400_000,
];

/// How full a bus is.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Requests that are due in a second, on average. 0 for a device that talks by itself.
    pub requests_per_second: f64,
    /// What follows for a serial line with Modbus units; `None` for anything else.
    pub line: Option<LineLoad>,
}

/// How full a serial line is.
#[derive(Debug, Clone, PartialEq)]
pub struct LineLoad {
    /// The part of its time in which it is taken; 1 is all of it, above that it does not fit.
    pub share: f64,
    /// How long it takes to ask for everything once, if every unit answers.
    pub cycle: Duration,
    /// The longest from a point's due time to its answer, if everything is due at once and one unit is silent.
    pub worst_cycle: Duration,
    /// `None` if there is no point.
    pub tightest: Option<Tightest>,
    /// What would fit, each by itself; empty if it does.
    pub remedies: Vec<Remedy>,
}

/// The point that has least time to spare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tightest {
    /// Its name.
    pub point: PointName,
    /// How often it is due.
    pub every: Duration,
    /// How long its answer takes at worst. Where this is longer than `every`, polls are left out while a unit is silent.
    pub within: Duration,
}

/// The least change of its kind with which a bus is comfortably filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// A faster line, in bit/s.
    Baud(u32),
    /// A longer period of one device.
    Every {
        /// Which.
        device: Name,
        /// The period.
        every: Duration,
    },
    /// All periods so many times as long.
    Slower(u32),
    /// No rest before requests to devices whose config says nothing of one, if they stand that.
    NoRest,
}

/// Predicts how full `bus` is, if its units begin to answer after `answer`.
#[must_use]
pub fn load(bus: &BusConfig, answer: Duration) -> Load {
    let devices: Vec<(&Name, &ModbusDevice)> = modbus(bus).collect();
    let requests = devices.iter().flat_map(|(_, device)| plan::rounds(device));
    let requests_per_second = requests.map(|round| round.blocks.len() as f64 / round.period.as_secs_f64()).sum();
    let line = match &bus.link {
        Link::Rtu(serial) if serial.baud > 0 => {
            let usual = Limits { timeout: bus.link.timeout(), min_gap: bus.link.min_gap() };
            Some(line_load(serial, usual, &devices, answer))
        }
        Link::Rtu(_) | Link::RtuOverTcp(_) | Link::Tcp(_) | Link::Talker { .. } => None,
    };
    Load { requests_per_second, line }
}

fn modbus(bus: &BusConfig) -> impl Iterator<Item = (&Name, &ModbusDevice)> {
    bus.devices.iter().filter_map(|(name, device)| match device {
        DeviceConfig::Modbus(device) => Some((name, device)),
        DeviceConfig::Talker(_) => None,
    })
}

/// The line's time for one device.
#[derive(Debug)]
struct Costs {
    rounds: Vec<Costed>,
    /// All its rounds, once.
    all: Duration,
    /// One try, if it does not answer.
    silent: Duration,
}

#[derive(Debug)]
struct Costed {
    period: Duration,
    /// Each block's time, and one of its points.
    blocks: Vec<(Duration, PointName)>,
}

impl Costed {
    fn all(&self) -> Duration {
        self.blocks.iter().map(|(cost, _)| *cost).sum()
    }
}

/// An adapter whose latency the config does not give is taken to have none: it is not there to be asked.
fn timing_of(serial: &SerialConfig) -> Timing {
    Timing::of(serial, serial.latency.unwrap_or_default())
}

/// `usual` is what holds where the device does not say.
fn costs(timing: &Timing, usual: Limits, device: &ModbusDevice, answer: Duration) -> Costs {
    let before = timing.silence.max(device.min_gap.unwrap_or(usual.min_gap));
    let timeout = device.timeout.unwrap_or(usual.timeout);
    let mut silent = Duration::ZERO;
    let rounds: Vec<Costed> = plan::rounds(device)
        .into_iter()
        .map(|round| {
            let frames = |block: &plan::Block| before + timing.exchange(usize::from(block.ask.data_len()));
            // The first block decides: after a time-out the rest of a round is left out.
            silent = round
                .blocks
                .iter()
                .take(1)
                .map(|block| frames(block) + timeout + timing.latency)
                .fold(silent, Duration::max);
            let cost = |block: &plan::Block| {
                let point = &device.points[block.points[0].point].point.name;
                (frames(block) + answer, point.clone())
            };
            Costed { period: round.period, blocks: round.blocks.iter().map(cost).collect() }
        })
        .collect();
    Costs { all: rounds.iter().map(Costed::all).sum(), rounds, silent }
}

fn line_load(serial: &SerialConfig, usual: Limits, devices: &[(&Name, &ModbusDevice)], answer: Duration) -> LineLoad {
    let timing = timing_of(serial);
    let costs: Vec<Costs> = devices.iter().map(|(_, device)| costs(&timing, usual, device, answer)).collect();
    let cycle: Duration = costs.iter().map(|device| device.all).sum();
    let mut worst_cycle = cycle;
    let mut tightest: Option<Tightest> = None;
    for (index, device) in costs.iter().enumerate() {
        let others = costs.iter().enumerate().filter(|(other, _)| *other != index);
        let silent = others.map(|(_, other)| other.silent.saturating_sub(other.all)).max().unwrap_or_default();
        for round in &device.rounds {
            let mut behind = round.all();
            for (cost, point) in &round.blocks {
                behind -= *cost;
                let within = cycle + silent - behind;
                worst_cycle = worst_cycle.max(within);
                let slack = |every: Duration, within: Duration| every.as_secs_f64() - within.as_secs_f64();
                let is_tighter = |than: &Tightest| slack(round.period, within) < slack(than.every, than.within);
                if tightest.as_ref().is_none_or(is_tighter) {
                    tightest = Some(Tightest { point: point.clone(), every: round.period, within });
                }
            }
        }
    }
    let share = costs.iter().map(share_of).sum();
    let remedies = if share > 1.0 { remedies(serial, usual, devices, answer) } else { Vec::new() };
    LineLoad { share, cycle, worst_cycle, tightest, remedies }
}

fn share_of(costs: &Costs) -> f64 {
    costs.rounds.iter().map(|round| round.all().as_secs_f64() / round.period.as_secs_f64()).sum()
}

fn remedies(serial: &SerialConfig, usual: Limits, devices: &[(&Name, &ModbusDevice)], answer: Duration) -> Vec<Remedy> {
    let share_if = |usual: Limits, baud: u32, device: &ModbusDevice| {
        let timing = timing_of(&SerialConfig { baud, ..serial.clone() });
        share_of(&costs(&timing, usual, device, answer))
    };
    let share = |baud: u32, device: &ModbusDevice| share_if(usual, baud, device);
    let all = |baud| -> f64 { devices.iter().map(|(_, device)| share(baud, device)).sum() };
    let baud = RATES.into_iter().filter(|&rate| rate > serial.baud).find(|&rate| all(rate) <= COMFORTABLE);
    let now = all(serial.baud);
    // The least change is that of the device whose period grows least, in proportion.
    let mut least: Option<(f64, Remedy)> = None;
    for (name, device) in devices {
        let others = now - share(serial.baud, device);
        let fits = |&every: &Duration| {
            every > device.every
                && others + share(serial.baud, &ModbusDevice { every, ..(*device).clone() }) <= COMFORTABLE
        };
        if let Some(every) = PERIODS_MS.into_iter().map(Duration::from_millis).find(fits) {
            let change = every.as_secs_f64() / device.every.as_secs_f64();
            if least.as_ref().is_none_or(|(than, _)| change < *than) {
                least = Some((change, Remedy::Every { device: (*name).clone(), every }));
            }
        }
    }
    let every = least.map(|(_, remedy)| remedy);
    let slower = || (2..).find(|&times| now / f64::from(times) <= COMFORTABLE).map(Remedy::Slower);
    let restless = Limits { min_gap: Duration::ZERO, ..usual };
    let without: f64 = devices.iter().map(|(_, device)| share_if(restless, serial.baud, device)).sum();
    let no_rest = (without <= COMFORTABLE).then_some(Remedy::NoRest);
    baud.map(Remedy::Baud).into_iter().chain(every.or_else(slower)).chain(no_rest).collect()
}

#[cfg(test)]
mod tests;
