//! The words that every room of Curb shares: [`Reading`], [`Sample`], [`Value`], [`Reason`], [`Point`], [`Batch`],
//! [`HubTime`], [`RunId`], [`Message`], [`Fault`].
//!
//! A reading is made in `source`, passes `pipeline`, is frozen to bytes in `store` and leaves through `uplink`. These
//! types are what the rooms hand to each other.
//!
//! Deliberately absent: input and output, serde, async. Bytes that others read have types of their own in `curb-wire`.

mod batch;
mod gap;
mod health;
mod hubtime;
mod name;
mod point;
mod queue;
mod reading;
mod value;

pub use batch::{Batch, Class, Counts, Dropped};
pub use gap::GapReason;
pub use health::{Fault, Room};
pub use hubtime::{HubClock, HubTime, UtcOffset};
pub use name::{Glob, Name, NameError, PointName, Stream};
pub use point::{Access, Point, PointSet, Usage, Writable};
pub use queue::{Lane, Message, Page, RowId, RunId, RunIdError};
pub use reading::{ParseReasonError, Reading, Reason, Sample};
pub use value::{Finite, Value, ValueType};

#[cfg(test)]
mod tests;
