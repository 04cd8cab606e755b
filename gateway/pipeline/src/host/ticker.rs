//! Epochs: what stops a plugin that does not stop. On a thread of its own, because nothing that a plugin can hold up may
//! decide when it is held up too long.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use wasmtime::{Engine, EngineWeak};

/// Length of an epoch. Short against every limit, long against the cost of a wake-up.
const EPOCH: Duration = Duration::from_millis(5);

/// The thread. It sleeps while no plugin runs: a hub at rest is not woken 200 times a second.
#[derive(Debug)]
pub(super) struct Ticker {
    clock: Clock,
    thread: JoinHandle<()>,
}

/// Says when plugins run.
#[derive(Debug, Clone)]
pub(super) struct Clock(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    running: usize,
    stopped: bool,
    engines: Vec<EngineWeak>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("running", &self.running).finish_non_exhaustive()
    }
}

impl Ticker {
    pub(super) fn start() -> io::Result<Self> {
        let clock = Clock(Arc::default());
        let ticking = clock.clone();
        let thread = thread::Builder::new().name("epochs".to_owned()).spawn(move || ticking.tick())?;
        Ok(Self { clock, thread })
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// From now on this engine's epochs go on while any plugin runs.
    pub(super) fn watch(&self, engine: &Engine) {
        let mut state = self.clock.lock();
        state.engines.retain(|engine| engine.upgrade().is_some());
        state.engines.push(engine.weak());
    }

    pub(super) fn stop(self) {
        self.clock.lock().stopped = true;
        self.clock.0.changed.notify_all();
        drop(self.thread.join());
    }
}

impl Clock {
    /// The deadline, in epochs beyond the current one, that lies between `limit` and two epochs later.
    pub(super) fn epochs(limit: Duration) -> u64 {
        let epochs = limit.as_nanos().div_ceil(EPOCH.as_nanos()) + 1;
        u64::try_from(epochs).unwrap_or(u64::MAX)
    }

    /// Epochs go on until the returned guard is dropped.
    pub(super) fn run(&self) -> Running<'_> {
        self.lock().running += 1;
        self.0.changed.notify_all();
        Running(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self) {
        let mut state = self.lock();
        let mut over = Instant::now() + EPOCH;
        loop {
            if state.running == 0 {
                state = self
                    .0
                    .changed
                    .wait_while(state, |state| state.running == 0 && !state.stopped)
                    .unwrap_or_else(PoisonError::into_inner);
                over = Instant::now() + EPOCH;
            }
            let rest = over.saturating_duration_since(Instant::now());
            state = self
                .0
                .changed
                .wait_timeout_while(state, rest, |state| !state.stopped)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            if state.stopped && state.running == 0 {
                return;
            }
            let (epochs, next) = passed(over, Instant::now());
            over = next;
            for engine in state.engines.iter().filter_map(EngineWeak::upgrade) {
                (0..epochs).for_each(|_| engine.increment_epoch());
            }
        }
    }
}

/// How many epochs are over, if the first of them was to be over then, and when the next one is. A busy machine wakes this thread
/// late, most of all if it is busy with the plugin that is to be stopped: what it was late by must not be the plugin's.
fn passed(over: Instant, now: Instant) -> (u64, Instant) {
    let late = now.saturating_duration_since(over);
    let behind = u32::try_from(late.as_nanos() / EPOCH.as_nanos()).unwrap_or(u32::MAX);
    let epochs = if now < over { 0 } else { behind.saturating_add(1) };
    (u64::from(epochs), over + EPOCH * epochs)
}

/// A plugin is running.
#[derive(Debug)]
pub(super) struct Running<'a>(&'a Clock);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
