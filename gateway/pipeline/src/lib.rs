//! Runs sandboxed plugins over readings, between `source` and `store`.

mod config;
mod error;
mod health;
mod pipeline;

pub use config::{Config, HOLD_READINGS, HostCommand, Limits, OnFailure, PluginConfig};
pub use error::{EngineError, Error};
pub use health::{Health, PluginHealth, PluginState};
pub use pipeline::{Pipeline, inspect, plugin_host};
