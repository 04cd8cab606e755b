//! What a plugin says beside its answer. The hub keeps some 20 lines a call and counts the rest.

use crate::bindings::curb::plugin::log::Level;
use crate::host::{self, log};

/// For the author.
pub fn debug(message: &str) {
    log(Level::Debug, message);
}

/// For the curious operator.
pub fn info(message: &str) {
    log(Level::Info, message);
}

/// Something that an operator should look at some day.
pub fn warn(message: &str) {
    log(Level::Warn, message);
}

/// Something that an operator should look at now.
pub fn error(message: &str) {
    log(Level::Error, message);
}

/// Adds to a counter of this name, shown by `curb status`.
pub fn counter_add(name: &str, n: u64) {
    host::counter_add(name, n);
}

/// Sets a gauge of this name, shown by `curb status`.
pub fn gauge_set(name: &str, value: f64) {
    host::gauge_set(name, value);
}
