//! The room's front: starts and stops the bus threads, and changes only those that differ.

use std::collections::BTreeMap;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use curb_model::{Batch, Fault, HubClock, Name, PointName, Room, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::check::Problem;
use crate::command::{BusHandle, WriteError, mailbox};
use crate::config::{BusConfig, Config, DeviceConfig};
use crate::health::{Board, Health};
use crate::thread::{self, Context, Ends, Polls};
use crate::trace::Trace;
use crate::write;

/// Why the source cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The config asks for something that cannot be; all of it.
    #[error("use the config ({} problems, the first: {})", .0.len(), .0.first().map(ToString::to_string).unwrap_or_default())]
    Config(Vec<Problem>),
    /// The system gave no thread.
    #[error("start a thread for bus {bus}")]
    Thread {
        /// Which bus.
        bus: Name,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// Whether the same call may work later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Thread { .. })
    }
}

/// The running room.
#[derive(Debug)]
pub struct Source {
    buses: BTreeMap<Name, Running>,
    /// Buses that hung when they were to stop. They end as soon as their drivers let them; until then they hold their ports.
    left: Vec<(Name, Running)>,
    clock: HubClock,
    out: mpsc::Sender<Batch>,
    polls: Polls,
}

#[derive(Debug)]
struct Running {
    config: BusConfig,
    board: Board,
    stop: CancellationToken,
    /// Closes when the thread has nothing left to do but return.
    done: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
    handle: BusHandle,
}

/// How long a thread that is to stop may not turn before it is left behind: more than two of its pulses.
const LEAVE_AFTER: Duration = Duration::from_secs(5);

/// How often a thread that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Running {
    /// Waits until it has ended; gives it back if it hangs. One that turns is waited for: it has readings to hand on.
    async fn join(mut self) -> Result<(), Self> {
        // An error is the closing that is waited for: the thread drops its end, it never sends.
        while timeout(LOOK_EVERY, &mut self.done).await.is_err() {
            if self.board.lock().stuck(Instant::now()) > LEAVE_AFTER {
                return Err(self);
            }
        }
        // A crash inside the bus is caught there; one outside of it has been printed by the panic hook.
        let _result = self.thread.join();
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.thread.is_finished()
    }
}

impl Source {
    /// Starts a thread for each bus. Readings leave through `out`; when it is full, polls wait and talkers' readings are
    /// counted as dropped. A bus whose port is not there is started all the same, and says so.
    ///
    /// # Errors
    /// The config has problems, or the system gives no thread.
    pub fn start(config: Config, clock: HubClock, out: mpsc::Sender<Batch>) -> Result<Self, Error> {
        Self::start_with(config, clock, out, Polls::Due)
    }

    /// The same without polls and settings of devices: only what is asked for through a [`BusHandle`] happens. For tools;
    /// a talker's line talks all the same.
    ///
    /// # Errors
    /// As of [`Source::start`].
    pub fn start_unpolled(config: Config, clock: HubClock, out: mpsc::Sender<Batch>) -> Result<Self, Error> {
        Self::start_with(config, clock, out, Polls::None)
    }

    fn start_with(config: Config, clock: HubClock, out: mpsc::Sender<Batch>, polls: Polls) -> Result<Self, Error> {
        let mut source = Self { buses: BTreeMap::new(), left: Vec::new(), clock, out, polls };
        let problems = config.check();
        if !problems.is_empty() {
            return Err(Error::Config(problems));
        }
        source.start_missing(config)?;
        Ok(source)
    }

    /// Makes `config` the running one. Buses that do not differ keep polling; those that do are stopped, and started anew.
    ///
    /// # Errors
    /// The config has problems (nothing is changed then), or the system gives no thread for a bus.
    ///
    /// # Cancel safety
    /// Dropped half way, buses may be stopped that should be started; the next call starts them.
    pub async fn apply(&mut self, config: Config) -> Result<(), Error> {
        let problems = config.check();
        if !problems.is_empty() {
            return Err(Error::Config(problems));
        }
        let differs = |name: &Name, running: &mut Running| config.buses.get(name) != Some(&running.config);
        let leaving: Vec<_> = self.buses.extract_if(.., differs).collect();
        leaving.iter().for_each(|(_, running)| running.stop.cancel());
        // All old ports are let go before a new one is opened: a port may have moved to another bus.
        self.left.retain(|(_, running)| !running.is_over());
        for (name, running) in leaving {
            self.join(name, running).await;
        }
        self.start_missing(config)
    }

    async fn join(&mut self, name: Name, running: Running) {
        if let Err(running) = running.join().await {
            tracing::error!(bus = %name, word = "bus-hung", "a bus does not stop, and is left behind");
            self.left.push((name, running));
        }
    }

    fn start_missing(&mut self, config: Config) -> Result<(), Error> {
        for (name, config) in config.buses {
            if self.buses.contains_key(&name) {
                continue;
            }
            let board = Board::default();
            let stop = CancellationToken::new();
            let (alive, done) = oneshot::channel();
            let context = Context {
                bus: name.clone(),
                clock: self.clock.clone(),
                board: board.clone(),
                stop: stop.clone(),
                timeout: config.link.timeout(),
                min_gap: config.link.min_gap(),
                polls: self.polls,
            };
            let trace = Trace::new(self.clock.clone());
            let (handle, orders) = mailbox(trace.clone());
            let thread =
                thread::start(config.clone(), context, Ends { out: self.out.downgrade(), orders, trace }, alive)
                    .map_err(|source| Error::Thread { bus: name.clone(), source })?;
            self.buses.insert(name, Running { config, board, stop, done, thread, handle });
        }
        Ok(())
    }

    /// The mailbox of a bus; `None` if there is none of that name.
    #[must_use]
    pub fn bus(&self, bus: &Name) -> Option<BusHandle> {
        self.buses.get(bus).map(|running| running.handle.clone())
    }

    /// The bus that a device hangs on.
    #[must_use]
    pub fn bus_of(&self, device: &Name) -> Option<BusHandle> {
        let mut buses = self.buses.values();
        buses.find(|running| running.config.devices.contains_key(device)).map(|running| running.handle.clone())
    }

    /// The way to a point for this value, if the config grants it. The bus looks again when it writes.
    ///
    /// # Errors
    /// There is no such point, it may not be written, or not with this value.
    pub fn permitted(&self, point: &PointName, value: &Value) -> Result<BusHandle, WriteError> {
        let unknown = || WriteError::Unknown(point.clone());
        let bus = self.buses.values().find_map(|bus| Some((bus, bus.config.devices.get(point.owner())?)));
        let (bus, device) = bus.ok_or_else(unknown)?;
        match device {
            DeviceConfig::Modbus(device) => {
                let found = device.points.iter().find(|other| other.point.name == *point).ok_or_else(unknown)?;
                write::permit(found, value)?;
            }
            DeviceConfig::Talker(_) => return Err(WriteError::NotGranted(point.clone())),
        }
        Ok(bus.handle.clone())
    }

    /// How the buses and devices are.
    #[must_use]
    pub fn health(&self) -> Health {
        let mut health = Health::default();
        let now = Instant::now();
        for (name, running) in &self.buses {
            running.board.report(name, &running.config.link.place(), now, &mut health);
        }
        for (name, running) in self.left.iter().filter(|(_, running)| !running.is_over()) {
            let detail = format!("it was to stop and did not; until it does it holds {}", running.config.link.place());
            let subject = format!("bus {name}");
            health.faults.push(Fault { room: Room::Source, subject, word: "bus-hung", detail });
        }
        health
    }

    /// Stops all buses: what was read is handed on, requests that have no answer yet are given up and make no reading,
    /// threads are joined, the sender is dropped. A thread that hangs in its driver is left behind after 5 s.
    ///
    /// # Cancel safety
    /// Dropped half way, the threads stop all the same, but nobody waits for them.
    pub async fn stop(mut self) {
        for running in self.buses.values() {
            running.stop.cancel();
        }
        while let Some((name, running)) = self.buses.pop_first() {
            self.join(name, running).await;
        }
    }
}

impl Drop for Source {
    /// A source that is dropped without [`Source::stop`] does not go on polling.
    fn drop(&mut self) {
        for running in self.buses.values() {
            running.stop.cancel();
        }
    }
}

#[cfg(test)]
mod tests;
