//! Reads the field devices: Modbus RTU and TCP, and serial lines whose device talks by itself.
//!
//! The first room on the way of a reading. [`Source::start`] gives every bus a thread of its own; what it reads leaves as
//! [`curb_model::Batch`]es through one bounded channel to `pipeline`.
//!
//! ```text
//! plan   points → block reads (pure)              codec   registers, bytes and text ↔ values (pure)
//! poll   due times, back-off (pure); load, ahead  frame   bytes → frames, talk frames → values (pure)
//! thread one for each bus, started again after a crash
//! bus    asks, decodes, hands on                  talker  listens, or asks in words   outbox  the way out
//! command  what a bus is asked for besides        write   a value → requests (pure)   trace  bytes, for who looks
//! modbus tokio-modbus, speaking into memory
//! rtu    RTU frames on a serial wire or a serial server's; step says which answers are still owed
//! tcp    the same for Modbus TCP         port, connect  how ports and connections are opened
//! ```
//!
//! Promise: every good value is what the device held when it was asked for exactly this. A late, foreign, short or
//! garbled answer becomes a *bad* reading with its reason, never somebody else's value; a failed poll of n points is n
//! bad readings.
//!
//! Writes come the other way, through a [`BusHandle`]: only to points whose config grants it, before polls, read back.
//!
//! Deliberately absent: a last value that could be sent again, retries within a poll (the next poll is the retry), and any
//! knowledge of plugins, the store or the core.

mod bus;
mod check;
mod checksum;
mod codec;
mod command;
mod config;
mod connect;
mod frame;
mod health;
mod latency;
mod load;
mod modbus;
mod outbox;
mod plan;
mod poll;
mod port;
mod query;
mod reopen;
mod rs485;
mod rtu;
mod source;
mod step;
mod talk;
mod talker;
mod tcp;
mod thread;
mod trace;
mod write;

pub use check::Problem;
pub use codec::{EncodeError, Encoded, decode, encode};
pub use command::{BusHandle, Outcome, Probe, ProbeError, Probed, Proof, Question, WriteError, Written};
pub use config::{
    Bits, BusConfig, Checksum, ChecksumKind, Config, Conversion, DataBits, Decode, DeviceConfig, Encoding, Framing,
    Grant, Half, LengthPrefix, Link, MIN_GAP, ModbusDevice, ModbusPoint, Order, Parity, Pattern, PatternError, Place,
    RTU_TIMEOUT, Request, Rs485, STALE_AFTER, SerialConfig, Setup, StopBits, TCP_TIMEOUT, Table, TalkerDevice,
    TalkerPoint, WriteWith,
};
pub use health::{BusHealth, DeviceHealth, DeviceState, Health, LineCounters};
pub use load::{ANSWER, LineLoad, Load, Remedy, Tightest, load};
pub use source::{Error, Source};
pub use trace::{Chunk, Direction};
