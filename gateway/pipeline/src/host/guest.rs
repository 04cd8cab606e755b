//! What a plugin may ask of its host: declare a point, say a line, count something. All of it bounded, none of it blocks.

use std::collections::BTreeMap;

use curb_model::Name;

use crate::host::Outlet;
use crate::host::bindings::curb::plugin::{log, metrics, points, types};
use crate::host::engine::Usage;
use crate::link::{Declared, FromHost, Metric, Slot};

/// Host calls in one call of the plugin. A storm of them costs 60 ns each and is no way to work.
const HOST_CALLS: u32 = 10_000;

/// Log lines in one call of the plugin; more are counted and told of in one line. Protects the log of the hub.
const LOG_LINES: u32 = 20;

/// Bytes of one log line.
const LOG_BYTES: usize = 400;

/// Points of a plugin's own. Protects the table of points at the core.
pub(crate) const OWN_POINTS: u32 = 256;

/// Different metrics of a plugin.
const METRICS: usize = 64;

/// The state of one instance.
pub(super) struct Guest {
    pub(super) usage: Usage,
    slot: Slot,
    outlet: Outlet,
    ids: OwnIds,
    /// All points that any instance of this plugin has declared.
    pub(super) declared: Vec<Declared>,
    /// Points may be declared: the plugin is in `init`.
    pub(super) declaring: bool,
    metrics: BTreeMap<String, (bool, f64)>,
    calls: u32,
    lines: u32,
    /// The last line at level `error` of this call, logged or not: of a plugin that panics, where and why.
    last_error: Option<String>,
}

/// Which ids a plugin's own points get.
pub(super) struct OwnIds {
    /// Of points that it declared in an earlier life.
    pub(super) known: Vec<(String, u32)>,
    /// Of the first other one.
    pub(super) first: u32,
}

impl Guest {
    pub(super) fn new(usage: Usage, slot: Slot, outlet: Outlet, ids: OwnIds, declared: Vec<Declared>) -> Self {
        Self {
            usage,
            slot,
            outlet,
            ids,
            declared,
            declaring: true,
            metrics: BTreeMap::new(),
            calls: 0,
            lines: 0,
            last_error: None,
        }
    }

    /// After a call of the plugin: what it counted, and the lines that were too many. The next call starts afresh.
    pub(super) fn end_call(&mut self) -> Vec<Metric> {
        if let Some(more) = self.lines.checked_sub(LOG_LINES).filter(|more| *more > 0) {
            self.say(log::Level::Warn, format!("{more} more lines in this call were not logged"));
        }
        (self.calls, self.lines, self.last_error) = (0, 0, None);
        std::mem::take(&mut self.metrics)
            .into_iter()
            .map(|(name, (adds, value))| Metric { name, adds, value })
            .collect()
    }

    /// What it said last, if it said that something is wrong. Asked before the call is ended.
    pub(super) fn last_error(&mut self) -> Option<String> {
        self.last_error.take()
    }

    fn say(&self, level: log::Level, text: String) {
        let level = match level {
            log::Level::Debug => 0,
            log::Level::Info => 1,
            log::Level::Warn => 2,
            log::Level::Error => 3,
        };
        self.outlet.send(&FromHost::Log { slot: self.slot, level, text });
    }

    fn count_call(&mut self) -> wasmtime::Result<()> {
        self.calls += 1;
        if self.calls > HOST_CALLS { Err(wasmtime::Error::new(TooManyCalls)) } else { Ok(()) }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("makes more than {HOST_CALLS} host calls in one call")]
struct TooManyCalls;

impl types::Host for Guest {}

impl points::Host for Guest {
    fn declare(
        &mut self,
        name: String,
        unit: Option<String>,
        output: String,
        class: points::Class,
    ) -> wasmtime::Result<Result<u32, String>> {
        self.count_call()?;
        if !self.declaring {
            return Ok(Err("points are declared in init".to_owned()));
        }
        if let Some(error) = [&name, &output].into_iter().find_map(|text| Name::new(text).err()) {
            return Ok(Err(error.to_string()));
        }
        let count = u32::try_from(self.declared.len()).expect("at most OWN_POINTS");
        let known = self.ids.known.iter().find(|(known, _)| *known == name).map(|(_, id)| *id);
        let id = known.unwrap_or(self.ids.first + count);
        let point = Declared { id, name, unit, output, alarm: class == points::Class::Alarm };
        // A fresh instance declares what the one before it did; the ids stay.
        if let Some(known) = self.declared.iter().find(|known| known.name == point.name) {
            let same = Declared { id: known.id, ..point } == *known;
            return Ok(if same { Ok(known.id) } else { Err(format!("{} was declared otherwise", known.name)) });
        }
        if count >= OWN_POINTS {
            return Ok(Err(format!("a plugin has at most {OWN_POINTS} points")));
        }
        self.declared.push(point);
        Ok(Ok(id))
    }
}

impl log::Host for Guest {
    fn log(&mut self, level: log::Level, mut message: String) -> wasmtime::Result<()> {
        self.count_call()?;
        self.lines += 1;
        message.truncate(message.floor_char_boundary(LOG_BYTES));
        if message.contains(['\n', '\r']) {
            // One line is one line, also in the log of a hub, where another might be taken for the hub's own.
            message = message.replace(['\n', '\r'], " ");
        }
        if level == log::Level::Error {
            self.last_error = Some(message.clone());
        }
        if self.lines <= LOG_LINES {
            self.say(level, message);
        }
        Ok(())
    }
}

impl metrics::Host for Guest {
    #[expect(clippy::cast_precision_loss, reason = "a counter beyond 2^53 may be rounded")]
    fn counter_add(&mut self, name: String, n: u64) -> wasmtime::Result<()> {
        self.count_call()?;
        if let Some(metric) = self.metric(name) {
            *metric = (true, if metric.0 { metric.1 + n as f64 } else { n as f64 });
        }
        Ok(())
    }

    fn gauge_set(&mut self, name: String, v: f64) -> wasmtime::Result<()> {
        self.count_call()?;
        if let Some(metric) = self.metric(name) {
            *metric = (false, v);
        }
        Ok(())
    }
}

impl Guest {
    /// `None` if the plugin has too many, or the name is none.
    fn metric(&mut self, name: String) -> Option<&mut (bool, f64)> {
        let known = self.metrics.contains_key(&name);
        let fits = known || (self.metrics.len() < METRICS && Name::new(&name).is_ok());
        fits.then(|| self.metrics.entry(name).or_insert((true, 0.0)))
    }
}
