//! What the pipeline says of itself.

use std::collections::BTreeMap;

use curb_model::{Fault, Name};

/// The pipeline at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    /// Process id of the plugin host; `None` while there is none.
    pub host_pid: Option<u32>,
    /// How often the host had to be started again.
    pub restarts: u64,
    /// Every configured plugin.
    pub plugins: BTreeMap<Name, PluginHealth>,
    /// What stands wrong now: `plugin-settings`, `plugin-failed`, `plugin-trapped`, `host-down`, `host-restarted`.
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
    /// Readings that passed unseen because it could not handle them.
    pub bypassed: u64,
    /// Readings that were dropped because it could not handle them.
    pub dropped: u64,
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
