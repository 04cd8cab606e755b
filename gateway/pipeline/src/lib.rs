//! Runs sandboxed plugins over readings, between `source` and `store`.
//!
//! A plugin is a WebAssembly component against `plugins/wit`. Plugins run in one child process, the plugin host, which
//! holds no key and is expected to die:
//!
//! ```text
//!            input                                                     output
//! source ──► batches ──► lane of each stream ──► plugin by plugin ──► batches, state ──► store
//!                                   │ columns        ▲ row numbers
//!                        ───────────┼────────────────┼───────────── link: frames on two pipes
//!                                   ▼                │              host: a thread, an engine, limits for each plugin
//! ```
//!
//! | Module | |
//! |---|---|
//! | `chain`, `columns` | what a plugin sees of a batch, what its answer does to it (pure) |
//! | `bisect` | which readings of a batch a plugin cannot handle (pure) |
//! | `flow`, `lane`, `stage` | which batch is where, what a failure means (pure) |
//! | `state`, `wear` | what a plugin must not forget, as it is kept between runs, and how much of it (pure) |
//! | `policy`, `gather` | behind them: what may leave the hub, and how much of it in one message (pure) |
//! | `manifest` | what a component says of itself (pure) |
//! | `anatomy`, `strip` | what a component is made of, and the same without what only its author needs (pure) |
//! | `examine` | what shows of a component file without running it |
//! | `lines` | how much of a plugin's log is logged |
//! | `link`, `codec` | frames between parent and child |
//! | `process`, `pipeline` | the child as a process, the task, the front |
//! | `compile`, `cache` | code of components: made in a process of its own, kept |
//! | `bundle` | a batch that a plugin could not handle, with all that it takes to see that again (pure) |
//! | `runner` | one plugin alone, for its author: the same flow and host, and the time of the readings |
//! | `host` | the child: engine, limits, imports, and what it gives up |
//!
//! The parent believes nothing that the child says: every answer is checked against the batch that it answers.
//! Deliberately absent: native plugins, plugins that see another plugin's points, and anything that could keep a reading
//! from passing because no plugin is configured: then there is no child at all.

mod anatomy;
mod bisect;
mod bundle;
mod cache;
mod chain;
mod codec;
mod columns;
mod compile;
mod component;
mod config;
mod error;
mod examine;
mod flow;
mod gather;
mod health;
mod host;
mod lane;
mod leaving;
mod lines;
mod link;
mod manifest;
mod pipeline;
mod policy;
mod process;
mod runner;
mod stage;
mod state;
mod strip;
mod wear;

#[cfg(test)]
mod tests;

pub use anatomy::{Anatomy, Objection, World};
pub use bundle::{Bundle, Call, LeftOut};
pub use config::{
    COMPONENT_SIZE_MOST, Config, Engine, HOLD_READINGS, HostCommand, Limits, OnFailure, PluginConfig, STATE_EVERY,
};
pub use error::{EngineError, Error};
pub use examine::{Examined, Refused, examine};
pub use health::{Health, PluginHealth, PluginState};
#[doc(hidden)]
pub use host::confine;
pub use host::{
    Alone, Inspected, Instance, Measured, Rows, explain_traps, inspect, inspect_within, measure, plugin_compile,
    plugin_host,
};
pub use leaving::Leaving;
pub use manifest::{Manifest, ManifestError};
pub use pipeline::Pipeline;
pub use policy::{Policy, Text};
pub use runner::{Runner, RunnerError, Said};
pub use state::{Ids, Saved};
pub use strip::strip;
