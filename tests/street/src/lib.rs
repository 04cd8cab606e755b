//! A street in a process: simulated devices, a core, faults, and a judge who was there.
//!
//! Tests and the demo start field devices ([`RtuLine`], [`TcpDevice`], [`Talker`]) and a core ([`Core`], or a [`Broker`] that misbehaves), let the real
//! binaries run between them ([`Process`]), and ask the judge ([`judge`]) whether what arrived is what was served. The
//! judge knows from the simulators' own [`Log`], never from the daemon, what a reading should be.
//!
//! Deliberately absent: any crate of the daemon. What checks it shares no code with it, so that a mistake in a decoder
//! or a filter cannot hide by being made twice.

mod broker;
mod clock;
mod core;
mod daemon;
mod device;
mod error;
mod ingester;
pub mod judge;
mod modbus;
mod process;
mod proxy;
mod pty;
mod record;
mod rtu;
mod talker;
mod tcp;
#[cfg(test)]
mod tests;
mod unit;
mod worker;

pub mod demo;
pub mod soak;

pub use crate::broker::{Broker, Fault};
pub use crate::clock::now_ms;
pub use crate::core::{Core, CoreFiles};
pub use crate::device::{Behaviour, Device, Kind, Order, Register, Signal, Table};
pub use crate::error::Error;
pub use crate::process::{Process, binary, eventually};
pub use crate::proxy::{Proxy, Weather};
pub use crate::record::{Failure, Log, Served, What};
pub use crate::rtu::{LineCounters, Parity, RtuLine};
pub use crate::talker::{Column, Talker};
pub use crate::tcp::TcpDevice;
