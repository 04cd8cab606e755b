//! What the pipeline says of itself.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use curb_model::{Fault, Name, Point, PointSet, Room};
use tokio::time::Instant;

use crate::chain::Tally;
use crate::link::Metric;

/// The pipeline at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    /// Process id of the plugin host; `None` while there is none.
    pub host_pid: Option<u32>,
    /// How often the host had to be started again.
    pub restarts: u64,
    /// Readings that the policy refused since the pipeline started.
    pub refused: u64,
    /// Every configured plugin.
    pub plugins: BTreeMap<Name, PluginHealth>,
    /// What stands wrong now: `plugin-settings`, `plugin-failed`, `plugin-trapped`, `plugin-poison`, `plugin-state`, `plugin-wear`,
    /// `host-down`, `host-restarted`.
    pub faults: Vec<Fault>,
}

/// One plugin at one moment. Counts are readings since the pipeline started, unless said otherwise.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PluginHealth {
    /// What it is doing.
    pub state: PluginState,
    /// Calls that ended in a trap: a limit, a bug, an answer against the contract, or the host's death in mid-call.
    pub traps: u64,
    /// Batches that the plugin itself declined with an error.
    pub declined: u64,
    /// Readings that it saw and let pass, with or without another quality.
    pub kept: u64,
    /// Of the kept, those that it marked with another quality.
    pub remarked: u64,
    /// Readings that it left out.
    pub filtered: u64,
    /// Readings that it refused; dropped with reason `plugin`.
    pub rejected: u64,
    /// Readings that it made.
    pub added: u64,
    /// Readings that it cannot handle although it handles others of the same batch; they are among `bypassed` or `rejected`.
    pub poison: u64,
    /// Readings that passed unseen because it could not handle them.
    pub bypassed: u64,
    /// Readings that were dropped because it could not handle them.
    pub dropped: u64,
    /// Bytes of what it remembers; 0 for a plugin without state.
    pub state_bytes: u64,
    /// How often that was sent to the disk.
    pub states_written: u64,
    /// How often it had to start without what it remembered.
    pub states_lost: u64,
    /// The file that reproduces what it could not handle last, if there is one.
    pub bundle: Option<PathBuf>,
    /// Its own counters and gauges. Counters are sums since the pipeline started.
    pub metrics: BTreeMap<Box<str>, f64>,
}

/// What a plugin is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PluginState {
    /// Being compiled or initialized.
    #[default]
    Starting,
    /// Ready for readings.
    Running,
    /// Trapped again and again; a fresh instance is tried after a pause.
    Resting,
    /// Refused for good: bad settings, no component, wrong world. A new configuration is needed.
    Failed,
}

impl PluginState {
    /// The word in `curb status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Resting => "resting",
            Self::Failed => "failed",
        }
    }
}

/// Metrics of one plugin that are kept.
const METRICS: usize = 64;

impl PluginHealth {
    /// Adds what a call did.
    pub(crate) fn count(&mut self, tally: Tally, metrics: Vec<Metric>) {
        self.kept += tally.kept;
        self.remarked += tally.remarked;
        self.filtered += tally.filtered;
        self.rejected += tally.rejected;
        self.added += tally.added;
        for Metric { name, adds, value } in metrics {
            let name: Box<str> = name.into();
            if self.metrics.len() >= METRICS && !self.metrics.contains_key(&name) {
                continue;
            }
            let sum = self.metrics.entry(name).or_default();
            *sum = if adds { *sum + value } else { value };
        }
    }
}

/// How long a fault that came and went is shown: long enough for a person who was called to see it.
const SHOWN: Duration = Duration::from_secs(60);

/// Where the pipeline's task writes and [`Pipeline::health`](crate::Pipeline::health) reads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board(Arc<Mutex<Sheet>>);

#[derive(Debug, Default)]
pub(crate) struct Sheet {
    pub(crate) host_pid: Option<u32>,
    pub(crate) restarts: u64,
    pub(crate) refused: u64,
    pub(crate) host_trouble: Option<Trouble>,
    pub(crate) plugins: BTreeMap<Name, PluginSheet>,
}

#[derive(Debug, Default)]
pub(crate) struct PluginSheet {
    pub(crate) health: PluginHealth,
    pub(crate) trouble: Option<Trouble>,
    /// Points that the plugin declared.
    pub(crate) points: Vec<Arc<Point>>,
}

/// Something that is wrong, or was a moment ago.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    pub(crate) word: &'static str,
    pub(crate) detail: String,
    /// Since when it is over; `None` while it lasts.
    pub(crate) over: Option<Instant>,
}

impl Trouble {
    fn is_shown(&self, now: Instant) -> bool {
        self.over.is_none_or(|over| now.saturating_duration_since(over) < SHOWN)
    }

    fn fault(&self, subject: String) -> Fault {
        Fault { room: Room::Pipeline, subject, word: self.word, detail: self.detail.clone() }
    }
}

impl Board {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Sheet> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does nothing for a plugin that is no longer configured.
    pub(crate) fn plugin(&self, name: &Name, write: impl FnOnce(&mut PluginSheet)) {
        if let Some(sheet) = self.lock().plugins.get_mut(name) {
            write(sheet);
        }
    }

    /// What has gone wrong with the plugin since this was asked last.
    pub(crate) fn take_trouble(&self, name: &Name) -> Option<Trouble> {
        self.lock().plugins.get_mut(name)?.trouble.take()
    }

    pub(crate) fn points(&self) -> PointSet {
        self.lock().plugins.values().flat_map(|sheet| sheet.points.iter().map(Arc::clone)).collect()
    }

    pub(crate) fn health(&self, now: Instant) -> Health {
        let sheet = self.lock();
        let host = sheet.host_trouble.iter().filter(|t| t.is_shown(now)).map(|t| t.fault("plugin host".to_owned()));
        let plugins = sheet.plugins.iter().filter_map(|(name, plugin)| {
            let trouble = plugin.trouble.as_ref().filter(|trouble| trouble.is_shown(now))?;
            Some(trouble.fault(format!("plugin {name}")))
        });
        Health {
            host_pid: sheet.host_pid,
            restarts: sheet.restarts,
            refused: sheet.refused,
            plugins: sheet.plugins.iter().map(|(name, plugin)| (name.clone(), plugin.health.clone())).collect(),
            faults: host.chain(plugins).collect(),
        }
    }
}
