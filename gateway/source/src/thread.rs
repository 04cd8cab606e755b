//! The thread that a bus lives on, and what happens when the bus crashes.
//!
//! One named thread with a single-threaded runtime for each bus: a driver that blocks, or a panic over an answer that
//! nobody thought of, is that bus's trouble and nobody else's.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::Duration;

use curb_model::{Batch, HubClock, Name};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_serial::SerialStream;
use tokio_util::sync::CancellationToken;

use crate::bus::Bus;
use crate::command::Orders;
use crate::config::{BusConfig, DeviceConfig, Link, RTU_TIMEOUT};
use crate::health::Board;
use crate::outbox::Outbox;
use crate::port::Timing;
use crate::rtu::{RtuLine, Serial, Server};
use crate::step::LATE_LIMIT;
use crate::talker::Talker;
use crate::tcp::TcpLine;
use crate::trace::Trace;

/// Rest between a crash and the next start. Guessed: long enough that a bus that crashes at once costs nothing, short
/// enough that a single crash costs few polls.
const REST_AFTER_CRASH: Duration = Duration::from_secs(2);

/// How often a bus thread says on its board that it turns. One wake-up in two seconds is little beside its polls.
const PULSE: Duration = Duration::from_secs(2);

/// What every kind of bus needs.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) bus: Name,
    pub(crate) clock: HubClock,
    pub(crate) board: Board,
    pub(crate) stop: CancellationToken,
    /// How long a device may take to begin its answer, where the config does not say.
    pub(crate) timeout: Duration,
    /// Least silence before a request, where the config does not say.
    pub(crate) min_gap: Duration,
    pub(crate) polls: Polls,
}

/// Whether a bus asks by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Polls {
    /// As often as its config says.
    Due,
    /// Never: it does what it is asked for.
    None,
}

/// What a bus is joined to the rest of the hub by.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Where readings go. Weak: a thread that hangs does not keep the pipeline from its end.
    pub(crate) out: mpsc::WeakSender<Batch>,
    /// What it is asked for. A talker's bus lets go of it.
    pub(crate) orders: Orders,
    /// Where its bytes are shown.
    pub(crate) trace: Trace,
}

/// Starts the thread of a bus. `alive` is dropped when all is done.
pub(crate) fn start(
    config: BusConfig,
    context: Context,
    ends: Ends,
    alive: oneshot::Sender<()>,
) -> io::Result<JoinHandle<()>> {
    let Ends { out, mut orders, trace } = ends;
    spawn(context, out, alive, move |context, runtime, outbox| {
        runtime.block_on(beating(&context.board, live(&config, context, outbox, &mut orders, &trace)));
    })
}

/// Starts a thread that lives as `life` says, again after each crash.
fn spawn(
    context: Context,
    out: mpsc::WeakSender<Batch>,
    alive: oneshot::Sender<()>,
    mut life: impl FnMut(&Context, &Runtime, &mut Outbox) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    // Made on the thread: where a thread is refused, a runtime could not be dropped again within another one.
    let (ready, made) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name(format!("bus-{}", context.bus)).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error))),
        };
        // The starter waits for it.
        drop(ready.send(Ok(())));
        // Not part of what may crash: counts that are not sent yet outlive it.
        let mut outbox = Outbox::new(context.clock.clone(), out);
        supervise(&context, &runtime, || life(&context, &runtime, &mut outbox));
        runtime.block_on(beating(&context.board, outbox.finish()));
        context.board.lock().turned = None;
        // Not dropped: that would wait for a name look-up that hangs.
        runtime.shutdown_background();
        drop(outbox);
        drop(alive);
    })?;
    made.recv().map_err(io::Error::other)??;
    Ok(thread)
}

/// Does `work`, and says on the board that the thread turns: a driver that blocks it stops the pulse.
async fn beating<T>(board: &Board, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        board.lock().turned = Some(Instant::now());
        if let Ok(done) = tokio::time::timeout(PULSE, &mut work).await {
            return done;
        }
    }
}

/// One life of a bus.
async fn live(config: &BusConfig, context: &Context, outbox: &mut Outbox, orders: &mut Orders, trace: &Trace) {
    let devices = config.devices.iter();
    match &config.link {
        Link::Rtu(serial) => {
            let line = RtuLine::new(Serial(serial.clone()), rest_after_open(config), trace.clone());
            // What the adapter holds back counts as the unit's own time.
            let timing = Timing::of(serial, Duration::ZERO);
            Bus::new(line, Some(timing), devices, context, outbox, orders).run().await;
        }
        Link::RtuOverTcp(address) => {
            let line = RtuLine::new(Server(address.clone()), rest_after_open(config), trace.clone());
            Bus::new(line, None, devices, context, outbox, orders).run().await;
        }
        Link::Tcp(address) => {
            let line = TcpLine::new(address.clone(), trace.clone());
            Bus::new(line, None, devices, context, outbox, orders).run().await;
        }
        Link::Talker { serial, framing } => {
            for (name, device) in devices {
                if let DeviceConfig::Talker(device) = device {
                    Talker::<SerialStream>::new(name, device, serial, framing, context, trace).run(outbox).await;
                }
            }
        }
    }
}

/// How long a line is listened to before its first request. The life before this one may have ended in the middle of an
/// exchange: whatever unit it had asked, its answer has come by then. One that may take longer than a late answer is
/// believed to come has no use for it.
fn rest_after_open(config: &BusConfig) -> Duration {
    let timeouts = config.devices.values().map(|device| match device {
        DeviceConfig::Modbus(device) => device.timeout.unwrap_or_else(|| config.link.timeout()),
        DeviceConfig::Talker(_) => Duration::ZERO,
    });
    timeouts.fold(RTU_TIMEOUT, Duration::max).min(LATE_LIMIT)
}

/// Runs `life` until it ends by itself, and again after each crash until it is to stop.
fn supervise(context: &Context, runtime: &Runtime, mut life: impl FnMut()) {
    let Context { bus, board, stop, .. } = context;
    while let Err(payload) = catch_unwind(AssertUnwindSafe(&mut life)) {
        let detail = text_of(payload.as_ref());
        tracing::error!(%bus, word = "bus-crashed", detail, "a bus crashed and is started again");
        {
            let mut panel = board.lock();
            panel.bus.open = false;
            panel.bus.crashes += 1;
            panel.crashed = Some(detail.to_owned());
        }
        let rest = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(REST_AFTER_CRASH) => {}
            }
        };
        runtime.block_on(rest);
        if stop.is_cancelled() {
            break;
        }
    }
    board.lock().bus.open = false;
}

/// What a panic said.
fn text_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&'static str>().copied()).unwrap_or("no word")
}

#[cfg(test)]
pub(crate) mod tests;
