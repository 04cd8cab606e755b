//! What a plugin takes for a reading: in this process, without the link to a host, which costs the same for every plugin.
//!
//! Fuel is what the engine counts of the plugin's own instructions: the same on every machine, so that a test can hold it to a
//! number. It is counted in an engine of its own, for counting takes time; everything else is that of a hub.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use curb_model::Reading;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::{Live, Plugin, link};
use crate::columns::Columns;
use crate::component;
use crate::config::PluginConfig;
use crate::host::Outlet;
use crate::host::engine;
use crate::host::ticker::{Clock, Ticker};
use crate::link::{FromHost, Input, Load, Now};
use crate::runner::RunnerError;
use crate::state::Ids;

/// Readings of one measurement, at least: some milliseconds of a filter that takes 100 ns for each.
const READINGS: usize = 20_000;

/// Calls of one measurement, at least, where each has many rows.
const CALLS: usize = 20;

/// Of so many measurements the fastest counts: the others say what else the machine did.
const ROUNDS: usize = 3;

/// Between the last of the readings and the first, where they are gone through again.
const AGAIN: Duration = Duration::from_secs(1);

/// What calls with so many rows take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Rows of one call.
    pub rows: usize,
    /// Nanoseconds for a reading.
    pub ns: f64,
    /// Fuel for a reading.
    pub fuel: f64,
}

/// Measures calls of each of these numbers of rows. The plugin sees `readings` one after the other, again and again, each time from
/// a fresh instance on.
///
/// # Errors
/// There is no reading; the plugin does not start, or cannot handle them.
pub fn measure(config: &PluginConfig, readings: &[Reading], rows: &[usize]) -> Result<Vec<Measured>, RunnerError> {
    if readings.is_empty() {
        return Err(RunnerError::Failed("there are none".to_owned()));
    }
    let component = component::read(&config.component, config.limits.component)
        .map_err(|error| RunnerError::Component(error.to_string()))?;
    let subject = Subject::new(config, component, readings);
    let ticker = Ticker::start().map_err(RunnerError::Host)?;
    let timed = subject.on(engine::engine(config.engine, config.limits.memory), &ticker, |plugin| {
        rows.iter().map(|rows| subject.time(plugin, *rows)).collect::<Result<Vec<f64>, _>>()
    });
    let fuelled = subject.on(engine::metered(config.engine, config.limits.memory), &ticker, |plugin| {
        rows.iter().map(|rows| subject.fuel(plugin, *rows)).collect::<Result<Vec<f64>, _>>()
    });
    ticker.stop();
    let both = timed?.into_iter().zip(fuelled?);
    Ok(rows.iter().zip(both).map(|(rows, (ns, fuel))| Measured { rows: *rows, ns, fuel }).collect())
}

/// A plugin and what it is to see.
struct Subject {
    component: Vec<u8>,
    load: Load,
    /// Its rows, from the first reading's time on.
    columns: Columns,
    /// From the first reading to where they begin again, in nanoseconds.
    span: i64,
}

impl Subject {
    fn new(config: &PluginConfig, component: Vec<u8>, readings: &[Reading]) -> Self {
        let (mut ids, mut columns, mut inputs) = (Ids::default(), Columns::default(), Vec::new());
        for reading in readings {
            let name = reading.point.name.to_string();
            let is_new = !ids.inputs.contains_key(&name);
            let id = ids.input(&name);
            if is_new {
                inputs.push(Input { id, name, unit: reading.point.unit.as_deref().map(ToOwned::to_owned) });
            }
            columns.push(id, reading);
        }
        columns.sort_by_time();
        let first = columns.times.first().copied().unwrap_or_default();
        columns.times.iter_mut().for_each(|time| *time -= first);
        let again = i64::try_from(AGAIN.as_nanos()).unwrap_or(i64::MAX);
        let span = columns.times.last().copied().unwrap_or_default().saturating_add(again);
        let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let load = Load {
            slot: 0,
            name: config.name.to_string(),
            code: Vec::new(),
            settings: config.settings.to_string(),
            inputs,
            seed: config.seed.clone(),
            own: Vec::new(),
            first_own: ids.next,
            state: None,
            engine: config.engine,
            memory: config.limits.memory,
            call_ms: ms(config.limits.call_time),
            init_ms: ms(config.limits.init_time),
        };
        Self { component, load, columns, span }
    }

    /// With the plugin under this engine.
    fn on<T>(
        &self,
        engine: wasmtime::Result<Engine>,
        ticker: &Ticker,
        measure: impl FnOnce(&mut Plugin<'_>) -> Result<T, RunnerError>,
    ) -> Result<T, RunnerError> {
        let refused = |error: wasmtime::Error| RunnerError::Component(format!("{error:#}"));
        let engine = engine.map_err(refused)?;
        ticker.watch(&engine);
        let component = Component::new(&engine, &self.component).map_err(refused)?;
        let clock: Clock = ticker.clock();
        let outlet = Outlet(Arc::new(Mutex::new(Box::new(io::sink()))));
        let mut plugin = Plugin {
            engine: &engine,
            clock: &clock,
            outlet: &outlet,
            linked: link(&engine, &component).map_err(refused)?,
            load: self.load.clone(),
            declared: Vec::new(),
            live: None,
        };
        measure(&mut plugin)
    }

    /// Nanoseconds for a reading.
    #[expect(clippy::cast_precision_loss, reason = "a few seconds in nanoseconds, and a few thousand readings")]
    fn time(&self, plugin: &mut Plugin<'_>, rows: usize) -> Result<f64, RunnerError> {
        let calls = calls(rows);
        let mut best = f64::INFINITY;
        for _ in 0..ROUNDS {
            start(plugin)?;
            let questions: Vec<_> = (0..calls).map(|call| self.question(call, rows)).collect();
            let begun = Instant::now();
            for (now, columns) in questions {
                answer(plugin, now, columns)?;
            }
            best = best.min(begun.elapsed().as_nanos() as f64 / (calls * rows) as f64);
        }
        Ok(best)
    }

    /// Fuel for a reading.
    #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 nobody counts")]
    fn fuel(&self, plugin: &mut Plugin<'_>, rows: usize) -> Result<f64, RunnerError> {
        let calls = calls(rows);
        start(plugin)?;
        let before = left(plugin)?;
        for call in 0..calls {
            let (now, columns) = self.question(call, rows);
            answer(plugin, now, columns)?;
        }
        Ok((before - left(plugin)?) as f64 / (calls * rows) as f64)
    }

    /// The rows of a call, and its time: that of its last row.
    fn question(&self, call: usize, rows: usize) -> (Now, Columns) {
        let mut columns = Columns::default();
        for index in call * rows..(call + 1) * rows {
            let (round, place) = (index / self.columns.len(), index % self.columns.len());
            let mut row = crate::bisect::rows(&self.columns, &(place..place + 1));
            row.times[0] += i64::try_from(round).unwrap_or(i64::MAX).saturating_mul(self.span);
            columns.append(row);
        }
        (Now { hub: columns.times.last().copied().unwrap_or_default(), utc_offset: None }, columns)
    }
}

fn calls(rows: usize) -> usize {
    (READINGS / rows.max(1)).max(CALLS)
}

fn start(plugin: &mut Plugin<'_>) -> Result<(), RunnerError> {
    let answer = plugin.reset(None);
    if let FromHost::Refused { text, .. } = answer {
        return Err(RunnerError::Settings(text));
    }
    if matches!(answer, FromHost::Ready { .. }) { Ok(()) } else { Err(failed(answer)) }
}

fn answer(plugin: &mut Plugin<'_>, now: Now, columns: Columns) -> Result<(), RunnerError> {
    let answer = plugin.process(now, columns);
    if matches!(answer, FromHost::Done { .. }) { Ok(()) } else { Err(failed(answer)) }
}

fn failed(answer: FromHost) -> RunnerError {
    match answer {
        FromHost::Trapped { text, .. } | FromHost::Declined { text, .. } | FromHost::Unrestored { text, .. } => {
            RunnerError::Failed(text)
        }
        FromHost::Ready { .. }
        | FromHost::Refused { .. }
        | FromHost::Done { .. }
        | FromHost::Added { .. }
        | FromHost::Snapshot { .. }
        | FromHost::Log { .. } => RunnerError::Failed("the engine answers what it was not asked".to_owned()),
    }
}

/// Fuel that the instance has still.
fn left(plugin: &Plugin<'_>) -> Result<u64, RunnerError> {
    let fuel = |live: &Live| live.store.get_fuel().map_err(|error| RunnerError::Failed(error.to_string()));
    plugin.live.as_ref().map_or(Ok(0), fuel)
}
