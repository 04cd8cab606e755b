//! What the pipeline is told: which plugins, in which order, under which limits.

use std::path::PathBuf;
use std::time::Duration;

use curb_model::{Glob, Name};

use crate::link::{COMPONENT_MAX, COMPONENT_MOST};
use crate::policy::Policy;

/// Everything the pipeline needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The plugins, in the order in which a reading meets them. Empty: no child process at all.
    pub plugins: Vec<PluginConfig>,
    /// How the plugin host is started.
    pub host: HostCommand,
    /// Folder of compiled components. Made with mode 0700 if it is not there; a folder that others may write to is not
    /// used, and every start compiles anew.
    pub cache: PathBuf,
    /// Folder of what plugins could not handle: the files that `curb plugin replay` reads. The pipeline names them, and whoever
    /// takes [`Leaving::Bundle`](crate::Leaving::Bundle) writes them. `None`: none are made.
    pub bundles: Option<PathBuf>,
    /// What may leave the hub, plugins or not.
    pub policy: Policy,
    /// How long a plugin's state may differ from what is on disk while it lets nothing out. With what it lets out it is
    /// written anyway.
    pub state_every: Duration,
}

/// The default of [`Config::state_every`].
pub const STATE_EVERY: Duration = Duration::from_secs(60);

/// The argument that makes [`HostCommand::exe`] a plugin host; it must end in [`plugin_host`](crate::plugin_host).
pub(crate) const HOST: &str = "plugin-host";

/// The argument that makes it a compiler; it must end in [`plugin_compile`](crate::plugin_compile).
pub(crate) const COMPILER: &str = "plugin-compile";

/// What host and compiler are told behind it by a process that explains traps ([`explain_traps`](crate::explain_traps)).
pub(crate) const EXPLAIN: &str = "--explain";

/// Where the plugin host comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCommand {
    /// The program that becomes plugin host and compiler; `/proc/self/exe` is the running binary even after its file was
    /// replaced by an update.
    pub exe: PathBuf,
    /// The socket of a host that somebody else starts, as another user. `None`: it is a child.
    pub socket: Option<PathBuf>,
}

impl Default for HostCommand {
    fn default() -> Self {
        Self { exe: PathBuf::from("/proc/self/exe"), socket: None }
    }
}

/// What runs the code of plugins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Engine {
    /// Compiled to the machine's own code.
    #[default]
    Cranelift,
    /// Compiled to a code that is interpreted: slower, and an answer to an error in the generator of machine code on the day that
    /// it becomes known.
    Pulley,
}

/// One plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginConfig {
    /// Its name: owner of the points and streams that it makes.
    pub name: Name,
    /// The component file. Read once when the plugin starts; a later change of the file is seen by the next
    /// [`Pipeline::apply`](crate::Pipeline::apply).
    pub component: PathBuf,
    /// The points that it sees. A point that no plugin names passes untouched.
    pub points: Vec<Glob>,
    /// Its settings, handed to the plugin as JSON.
    pub settings: serde_json::Value,
    /// Secret of this hub and plugin, for noise that can be replayed here and predicted nowhere else.
    pub seed: Vec<u8>,
    /// What runs its code.
    pub engine: Engine,
    /// What becomes of readings that it cannot handle.
    pub on_failure: OnFailure,
    /// What it may use.
    pub limits: Limits,
}

/// What becomes of readings that a plugin was to see, when it traps twice on them, declines them, rests, or cannot be
/// started. Of a batch that it cannot handle only those that it cannot handle alone, if it handles the others; these are never
/// held: they are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// They pass as they are.
    #[default]
    Pass,
    /// They are dropped, and told of as a gap with reason `plugin`.
    Drop,
    /// They wait in memory for the plugin, up to [`HOLD_READINGS`] a stream; the oldest beyond that are dropped as with
    /// [`OnFailure::Drop`]. Later readings of the same stream wait behind them.
    Hold,
}

/// Readings that may wait in one stream for a plugin that is slow, resting or starting. At 100 readings a second this is
/// 40 seconds, more than the longest restart back-off; at some 100 bytes each it is under half a megabyte a stream.
pub const HOLD_READINGS: usize = 4_096;

/// What one plugin may use. Everything beyond is a trap: that instance is thrown away, nobody else notices.
///
/// Not in this list because nobody needs to turn them: tables, instances, wasm stack, bytes per host call, log lines,
/// declared points. They are constants beside the code that enforces them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Size of the component file in bytes, at most [`COMPONENT_SIZE_MOST`]. Protects a hub against compiling for minutes, and a mobile
    /// link against a mistake.
    pub component: u64,
    /// Linear memory in bytes, summed over all memories of the plugin. Protects a hub of 1 GB against a leak or a bomb.
    pub memory: u64,
    /// Wall time of one call for a batch. Protects the readings behind it against a loop without end; counted in
    /// epochs of 5 ms, so a call is stopped at most two epochs late.
    pub call_time: Duration,
    /// Wall time of instantiation and `init`. Protects the start, and every restart after a trap.
    pub init_time: Duration,
    /// How long compiling the component may take. A filter in Rust takes some 20 ms here; a Pi is ten times slower, and a
    /// runtime of another language a hundred times larger.
    pub compile_time: Duration,
    /// How much memory compiling it may take, in bytes. Protects a hub of 1 GB.
    pub compile_memory: u64,
    /// Readings that one call may add. Protects the store's byte limit against a plugin that multiplies.
    pub rows_out: u32,
}

/// The largest component that may be granted.
pub const COMPONENT_SIZE_MOST: u64 = COMPONENT_MOST as u64;

impl Default for Limits {
    fn default() -> Self {
        Self {
            component: COMPONENT_MAX as u64,
            memory: 8 << 20,
            call_time: Duration::from_millis(250),
            init_time: Duration::from_secs(2),
            compile_time: Duration::from_secs(30),
            compile_memory: 128 << 20,
            rows_out: 1_000,
        }
    }
}
