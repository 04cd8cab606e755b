//! Where and why a plugin panics, said to the hub before the instance ends: a trap alone says neither.
//!
//! Costs 2.2 KB of a component. Deliberately absent: a backtrace, which takes debug information (`curb plugin build` puts that into a
//! file beside the component).

use std::panic::{PanicHookInfo, set_hook};

use crate::error;

/// From now on. The hub tells the last line at level `error` of a call with its trap.
pub(crate) fn tell() {
    set_hook(Box::new(say));
}

fn say(info: &PanicHookInfo<'_>) {
    error(&info.to_string());
}
