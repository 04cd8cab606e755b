//! The last room of the hub: sends the queue to the city core over MQTT 5, and has it deleted once it is acknowledged.
//!
//! ```text
//! store ──next──► run ──► session (pure: window, ack table, holds) ──► client (MQTT) ──► dial (TCP, TLS) ──► broker
//!       ◄─delivered / receipt / set aside──┘            ◄── PUBACK, receipt ──┘
//! daemon ◄──commands── run ◄── cmd/+      daemon ──answers──► run ──► response topic
//! ```
//!
//! One task owns all of it. It reads rows through the [`Outbox`] that the daemon puts in front of the store, keeps at
//! most [`WINDOW`] of them in flight, and reports what became of each. A connection that shows *any* error is thrown
//! away with all that it knew; the next one starts from the rows that the store still holds. So a message arrives at
//! least once, in order per stream, and what arrives twice carries its identity.
//!
//! Deliberately absent: a queue (the store is the queue), any decision to lose a row except those that the broker calls
//! wrong in themselves, sessions at the broker, `QoS` 2, topic aliases.

mod address;
mod air;
mod backoff;
mod client;
mod command;
mod config;
mod dial;
mod doubt;
mod flight;
mod front;
mod gates;
mod health;
mod hold;
mod lost;
mod outbox;
mod reason;
mod receipts;
mod retained;
mod route;
mod run;
mod session;
mod size;
mod unreached;
mod wait;

pub use address::{Address, Login, Proxy};
pub use air::Budget;
pub use command::{Answer, COMMANDS, Command, ReplyTo};
pub use config::{Ack, Before, Config, Error, WINDOW};
pub use front::Uplink;
pub use health::{Health, State};
pub use outbox::{Closed, Outbox};
pub use reason::name as reason_name;
