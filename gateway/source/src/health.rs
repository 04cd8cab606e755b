//! How the buses and devices are, for `curb status` and the core.
//!
//! Each bus thread writes its own [`Board`] under a short lock after a round; [`crate::Source::health`] reads them all.
//! Health is the age of the last good reading and counters that only grow, not a word like "connected".

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use curb_model::{Fault, HubTime, Name, Reading, Reason, Room};
use tokio::time::Instant;

/// The whole room.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    /// By name.
    pub buses: BTreeMap<Name, BusHealth>,
    /// By name, over all buses.
    pub devices: BTreeMap<Name, DeviceHealth>,
    /// What stands now.
    pub faults: Vec<Fault>,
}

/// One bus.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BusHealth {
    /// Whether the port or connection is there.
    pub open: bool,
    /// What came over the line, since the bus was started.
    pub counters: LineCounters,
    /// How often the bus has crashed and was started again.
    pub crashes: u64,
    /// How long the adapter may hold back what it has received; part of every time-out on this bus.
    pub latency: Duration,
}

/// What was seen on a line. Each kind of trouble has a name of its own, because each has a cause of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineCounters {
    /// Requests sent.
    pub requests: u64,
    /// Right answers; for a talker, frames.
    pub answers: u64,
    /// Answers with a Modbus exception.
    pub exceptions: u64,
    /// Requests without an answer in time.
    pub timeouts: u64,
    /// Answers of the right shape whose check sum does not fit.
    pub crc: u64,
    /// Answers that were cut short, or had the wrong shape; for a talker, frames that are too long or were joined late.
    pub framing: u64,
    /// Answers that came after their time.
    pub late: u64,
    /// Our own requests, heard back from the line.
    pub echo: u64,
    /// Right frames that were not for us: another master's requests, and the answers to them; for a talker, frames that speak
    /// of none of its points.
    pub foreign: u64,
    /// Of these, requests: only another master sends them.
    pub foreign_requests: u64,
    /// Right answers from another unit than was asked: two units with one address after a mistake, or a wrong one in the
    /// config.
    pub wrong_unit: u64,
    /// Answers whose end is missing.
    pub short: u64,
    /// Answers whose first bytes are missing: a transceiver that is switched from sending to receiving too late.
    pub headless: u64,
    /// Right answers with a pause inside of more than 1.5 characters, which the standard forbids and USB adapters make:
    /// no fault.
    pub split: u64,
    /// How often the line was not silent for long enough to ask, or said far more than an answer.
    pub babble: u64,
    /// Bytes that were part of no frame.
    pub noise_bytes: u64,
    /// How often the port or connection was opened again.
    pub reopened: u64,
}

/// One device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceHealth {
    /// Readings with a value.
    pub good: u64,
    /// Readings without one.
    pub bad: u64,
    /// Polls whose time came while the line was still busy: they were left out, not made up for.
    pub skipped: u64,
    /// When the last reading with a value was made.
    pub last_good: Option<HubTime>,
    /// How it is now.
    pub state: DeviceState,
}

impl DeviceHealth {
    /// Counts the readings of a poll or frame.
    pub(crate) fn add(&mut self, readings: &[Reading]) {
        for reading in readings {
            if reading.sample.value().is_some() {
                self.good += 1;
                self.last_good = Some(reading.at);
            } else {
                self.bad += 1;
            }
        }
        let brought_values = readings.iter().any(|reading| reading.sample.value().is_some());
        self.state = match readings.iter().find_map(|reading| reading.sample.reason()) {
            Some(reason) if !brought_values => DeviceState::Failing(reason),
            Some(_) | None => DeviceState::Answering,
        };
    }
}

/// How a device is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceState {
    /// Nothing is known yet.
    #[default]
    New,
    /// Its last poll or frame brought values.
    Answering,
    /// Its last poll or frame brought none.
    Failing(Reason),
    /// It is asked only now and then, until it answers.
    Silent(Reason),
}

/// What a bus thread shows to the outside.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board(Arc<Mutex<Panel>>);

/// What is on the board of one bus.
#[derive(Debug, Default)]
pub(crate) struct Panel {
    pub(crate) bus: BusHealth,
    pub(crate) devices: BTreeMap<Name, DeviceHealth>,
    /// Why the port is gone; `None` while it is there.
    pub(crate) gone: Option<String>,
    /// Which devices do not take a setting: the word, and which one.
    pub(crate) setup: BTreeMap<Name, (&'static str, String)>,
    /// When the thread last turned; `None` before it has begun, and after its end.
    pub(crate) turned: Option<Instant>,
    /// When a request of another master was last heard.
    pub(crate) foreign_master: Option<Instant>,
    /// What the bus died of, until it has worked again.
    pub(crate) crashed: Option<String>,
}

/// How long another master is a fault after its last request: some ask once in a minute.
const FOREIGN_MASTER_STANDS: Duration = Duration::from_secs(60);

/// How long a thread may not turn before it is said to hang. Above what a driver may rightly block it for: opening a USB
/// adapter that does not answer takes 5 s for each question that it is asked.
const HUNG_AFTER: Duration = Duration::from_secs(15);

impl Panel {
    /// For how long the thread has not turned.
    pub(crate) fn stuck(&self, now: Instant) -> Duration {
        self.turned.map_or(Duration::ZERO, |turned| now.duration_since(turned))
    }

    /// Takes over what a line has counted.
    pub(crate) fn count(&mut self, counters: LineCounters, now: Instant) {
        if counters.foreign_requests > self.bus.counters.foreign_requests {
            self.foreign_master = Some(now);
        }
        self.bus.counters = counters;
    }
}

impl Board {
    /// The board, for a short look or change. A bus that crashed while it held the lock leaves a board that is still
    /// true but for one count, so poisoning is ignored.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Panel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what is on this board to `health`.
    pub(crate) fn report(&self, bus: &Name, place: &str, now: Instant, health: &mut Health) {
        let panel = self.lock();
        let subject = format!("bus {bus}");
        if let Some(detail) = &panel.gone {
            let detail = format!("{place}: {detail}; it is opened again as soon as it is back");
            health.faults.push(Fault { room: Room::Source, subject: subject.clone(), word: "port-gone", detail });
        }
        if let Some(detail) = &panel.crashed {
            let detail = format!("{detail}; started again");
            health.faults.push(Fault { room: Room::Source, subject: subject.clone(), word: "bus-crashed", detail });
        }
        let stuck = panel.stuck(now);
        if stuck > HUNG_AFTER {
            let detail = format!("its thread has not turned for {} s: the driver of {place} hangs", stuck.as_secs());
            health.faults.push(Fault { room: Room::Source, subject: subject.clone(), word: "bus-hung", detail });
        }
        let heard = panel.foreign_master.filter(|heard| now.duration_since(*heard) < FOREIGN_MASTER_STANDS);
        if heard.is_some() {
            let requests = panel.bus.counters.foreign_requests;
            health.faults.push(Fault {
                room: Room::Source,
                subject: subject.clone(),
                word: "foreign-master",
                detail: format!("{requests} requests of another master were heard on {place}: a line bears only one"),
            });
        }
        for (device, (word, detail)) in &panel.setup {
            let (subject, detail) = (format!("device {device}"), detail.clone());
            health.faults.push(Fault { room: Room::Source, subject, word, detail });
        }
        for (device, state) in &panel.devices {
            if let DeviceState::Silent(reason) = state.state {
                health.faults.push(Fault {
                    room: Room::Source,
                    subject: format!("device {device}"),
                    word: "unit-silent",
                    detail: format!("no answer on bus {bus} ({reason}): check power, address and wiring"),
                });
            }
            health.devices.insert(device.clone(), state.clone());
        }
        health.buses.insert(bus.clone(), panel.bus.clone());
    }
}
