//! What the end-to-end tests start: the real `curb` and `depot` as processes, and peers that we did not write.
//!
//! A test reads: make a [`Site`], start a [`Mosquitto`] and an [`Ingest`], start a device ([`peers`], or one of the
//! street's simulators), start a [`Hub`], break something, and look at what people would look at: the log, `curb status`,
//! `mosquitto_sub`, `depot ledger`.
//!
//! Deliberately absent: any crate of the daemon. What is tested here is what is shipped.

#![expect(clippy::panic, reason = "what supports a test fails it by a panic that says why")]

pub mod fault;
mod hub;
mod mosquitto;
mod operator;
pub mod peers;
mod site;

use std::time::Duration;

pub use hub::Hub;
pub use mosquitto::{Mosquitto, Rights, ServerFiles, Subscriber};
pub use operator::{How, Operator, now};
pub use site::{HUB, Ingest, SITE, Site};

/// How long anything may take to happen. Two loaded cores are slow; what never happens fails all the same.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A loopback port that nobody listens on now.
///
/// # Panics
/// The machine has no free port.
#[must_use]
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
