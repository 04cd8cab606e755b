//! The way of every tool to a bus: through the running daemon, or alone.
//!
//! Beside the daemon a tool's requests go through the control socket and into the gaps between polls. Alone, the tool starts
//! the same `Source` with this one bus, which then asks nothing by itself. Either way the same bus code speaks, so that what a tool sees is what
//! the daemon would see.
//!
//! Deliberately absent: a fallback. Where the daemon runs and has the bus, the tool does not open the port itself.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use curb_model::{Batch, HubClock, HubTime, Name, PointName};
use curb_source::{
    BusConfig, BusHandle, Chunk, Config, DeviceConfig, Link, ModbusPoint, Outcome, Probe, ProbeError, Probed,
    SerialConfig, Source,
};
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::target::Bus;
use crate::control::{self, Call, Op, SOCKET};
use crate::field::{ChunkForm, Misformed, ProbeForm, ProbedForm, WRITE_PATIENCE, WriteForm};
use crate::turn;

/// Batches that nobody wants wait here to be thrown away; a bus that does not poll has hardly one.
const UNWANTED: usize = 16;

/// Why a tool gets nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Control(#[from] control::Error),
    #[error("open the line")]
    Start(#[source] curb_source::Error),
    #[error("ask the bus")]
    Probe(#[from] ProbeError),
    #[error("understand the daemon's answer")]
    Form(#[from] Misformed),
    #[error("read the daemon's answer")]
    Json(#[from] serde_json::Error),
    #[error("do that through the daemon: it writes granted points only; this needs it stopped (systemctl stop curb)")]
    RawBesideDaemon,
}

/// A way to a bus.
#[derive(Debug)]
pub(crate) enum Line {
    /// The running daemon has it.
    Daemon {
        /// Its socket's folder.
        run_dir: PathBuf,
        bus: Name,
        /// Other settings of the line for our requests.
        settings: Option<SerialConfig>,
    },
    /// Nobody has it.
    Own {
        source: Source,
        handle: BusHandle,
        /// Port or address, for errors.
        place: String,
        /// Throws readings away.
        sink: JoinSet<()>,
    },
}

/// The bytes on a bus.
#[derive(Debug)]
pub(crate) enum Watch {
    Daemon(Call),
    Own(broadcast::Receiver<Chunk>),
}

impl Line {
    /// A line to ask on.
    ///
    /// # Errors
    /// The daemon may not be talked to, or the bus cannot be started.
    pub(crate) fn to(bus: &Bus, run_dir: PathBuf) -> Result<Self, Error> {
        match (&bus.name, daemon_runs(&run_dir)?) {
            (Some(name), true) => Ok(Self::Daemon { run_dir, bus: name.clone(), settings: bus.settings.clone() }),
            (Some(_) | None, true | false) => Self::own(bus),
        }
    }

    fn own(bus: &Bus) -> Result<Self, Error> {
        let name = bus.name.clone().unwrap_or_else(|| Name::new("line").expect("a constant name is right"));
        let link = match (&bus.link, &bus.settings) {
            (Link::Rtu(_) | Link::Talker { .. }, Some(settings)) => Link::Rtu(settings.clone()),
            // Alone it is only listened to, which any line can.
            (Link::Talker { serial, .. }, None) => Link::Rtu(serial.clone()),
            (link, _) => link.clone(),
        };
        let asked = |device: &DeviceConfig| matches!(device, DeviceConfig::Modbus(_));
        let devices = bus.devices.iter().filter(|(_, device)| asked(device));
        let devices = devices.map(|(name, device)| (name.clone(), device.clone())).collect();
        let config = Config { buses: BTreeMap::from([(name.clone(), BusConfig { link, devices })]) };
        let (out, unwanted) = mpsc::channel(UNWANTED);
        let mut sink = JoinSet::new();
        sink.spawn(throw_away(unwanted));
        let clock = HubClock::starting_at(HubTime::ZERO);
        // Only what was asked for happens: no settings of the devices', no polls.
        let source = Source::start_unpolled(config, clock, out).map_err(Error::Start)?;
        let handle = source.bus(&name).expect("it has just been started");
        Ok(Self::Own { source, handle, place: bus.link.place(), sink })
    }

    /// Whether polls go on beside us.
    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self, Self::Daemon { .. })
    }

    /// Asks one thing, at the settings that the tool was started with where the probe has none.
    ///
    /// # Errors
    /// It could not be asked.
    ///
    /// # Cancel safety
    /// Dropped while it waits, the request may still be sent.
    pub(crate) async fn probe(&self, probe: Probe) -> Result<Probed, Error> {
        match self {
            Self::Own { handle, place, .. } => Ok(placed(handle.probe(probe).await?, place)),
            Self::Daemon { run_dir, bus, settings } => {
                let probe = Probe { settings: probe.settings.or_else(|| settings.clone()), ..probe };
                let probe = ProbeForm::try_from(&probe).map_err(|error| match error {
                    Misformed::Writes => Error::RawBesideDaemon,
                    Misformed::Hex(_) | Misformed::Reason(_) => Error::Form(error),
                })?;
                let op = Op::Probe { bus: bus.to_string(), probe };
                let form: ProbedForm = answer(run_dir, op).await?;
                Ok(placed(form.try_into()?, bus.as_str()))
            }
        }
    }

    /// Writes to a granted point what somebody has typed. What it means is the point's matter: `known` is the point as the
    /// config here has it, the daemon has its own.
    ///
    /// # Errors
    /// It could not be asked for; a write that was refused is a [`WriteForm::Refused`].
    ///
    /// # Cancel safety
    /// Dropped while it waits, the write may still be done.
    pub(crate) async fn write(
        &self,
        point: &PointName,
        known: Option<&ModbusPoint>,
        typed: &str,
    ) -> Result<WriteForm, Error> {
        let typed = serde_json::Value::from(typed);
        match self {
            Self::Own { handle, .. } => {
                let value = crate::field::value_for(known, &typed).expect("a text is a value");
                let written = handle.write(point.clone(), value, Instant::now() + WRITE_PATIENCE).await;
                Ok(WriteForm::from(&written))
            }
            Self::Daemon { run_dir, .. } => answer(run_dir, Op::Write { point: point.to_string(), value: typed }).await,
        }
    }

    /// The bytes from now on.
    ///
    /// # Errors
    /// The daemon refuses.
    ///
    /// # Cancel safety
    /// Dropping it hangs up.
    pub(crate) async fn watch(&self) -> Result<Watch, Error> {
        match self {
            Self::Own { handle, .. } => Ok(Watch::Own(handle.watch())),
            Self::Daemon { run_dir, bus, .. } => {
                Ok(Watch::Daemon(control::ask(run_dir, Op::Watch { bus: bus.to_string() }).await?))
            }
        }
    }

    /// Lets go of the port.
    ///
    /// # Cancel safety
    /// Dropped half way, the port is let go a little later.
    pub(crate) async fn close(self) {
        if let Self::Own { source, mut sink, .. } = self {
            source.stop().await;
            while sink.join_next().await.is_some() {}
        }
    }
}

impl Watch {
    /// The next bytes, and how many chunks before them were lost; `None` when the bus has ended.
    ///
    /// # Errors
    /// The daemon refuses or ends.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Option<(Chunk, u64)>, Error> {
        match self {
            Self::Daemon(call) => {
                let Some(line) = call.next().await? else { return Ok(None) };
                let form: ChunkForm = serde_json::from_str(line.get())?;
                let missed = form.missed;
                Ok(Some((form.try_into()?, missed)))
            }
            Self::Own(chunks) => {
                let mut missed = 0;
                loop {
                    match chunks.recv().await {
                        Ok(chunk) => return Ok(Some((chunk, missed))),
                        Err(broadcast::error::RecvError::Lagged(lost)) => missed += lost,
                        Err(broadcast::error::RecvError::Closed) => return Ok(None),
                    }
                }
            }
        }
    }
}

/// Whether registers may be written past all grants. What a daemon's bus is called, and how its address is spelt, must not
/// matter: while any daemon answers there, nothing is.
///
/// # Errors
/// A daemon runs, or it cannot be told.
pub(crate) fn needs_no_daemon(run_dir: &Path, state: &Path) -> Result<(), Error> {
    // One with another run folder than ours is known by its state.
    if daemon_runs(run_dir)? || turn::is_taken(state) { Err(Error::RawBesideDaemon) } else { Ok(()) }
}

/// Whether a daemon listens there.
fn daemon_runs(run_dir: &Path) -> Result<bool, Error> {
    let path = run_dir.join(SOCKET);
    match std::os::unix::net::UnixStream::connect(&path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(false),
        Err(source) => Err(control::Error::Connect { path, source }.into()),
    }
}

async fn answer<T: serde::de::DeserializeOwned>(run_dir: &Path, op: Op) -> Result<T, Error> {
    let mut call = control::ask(run_dir, op).await?;
    let gone = || control::Error::Talk(io::ErrorKind::UnexpectedEof.into());
    let line = call.next().await?.ok_or_else(gone)?;
    Ok(serde_json::from_str(line.get())?)
}

/// Says with what cannot be used where that is.
fn placed(probed: Probed, place: &str) -> Probed {
    if let Outcome::Unusable(why) = &probed.outcome {
        return Probed { outcome: Outcome::Unusable(format!("{place}: {why}")), ..probed };
    }
    probed
}

async fn throw_away(mut unwanted: mpsc::Receiver<Batch>) {
    while unwanted.recv().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn raw_writes_need_the_daemon_stopped_whatever_the_bus_is_called() {
        let (folder, state) = (tempfile::TempDir::new().unwrap(), tempfile::TempDir::new().unwrap());
        let allowed = || needs_no_daemon(folder.path(), state.path());
        assert!(allowed().is_ok());
        let listener = control::listen(folder.path()).unwrap();
        assert!(matches!(allowed(), Err(Error::RawBesideDaemon)));
        drop(listener);
        assert!(allowed().is_ok(), "a socket that was left behind is no daemon");
        // It listens elsewhere.
        let turn = turn::take(state.path()).await.unwrap();
        assert!(matches!(allowed(), Err(Error::RawBesideDaemon)));
        drop(turn);
        assert!(allowed().is_ok(), "nor is a file");
        assert!(needs_no_daemon(folder.path(), Path::new("/nonexistent")).is_ok());
    }
}
