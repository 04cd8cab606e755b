//! The bytes on a bus as they pass, for `curb bus dump`. Costs one comparison a chunk while nobody looks.
//!
//! A chunk is what one read or write brought; frames are put together by whoever looks, who has the time to.
//!
//! Deliberately absent: waiting for a slow looker. It loses chunks, and is told how many.

use curb_model::{HubClock, HubTime};
use tokio::sync::broadcast;

/// Chunks that a looker may be behind before it loses some: a second of a busy line. Every bus has this buffer whether
/// anybody looks or not, some 12 KiB.
const BEHIND: usize = 128;

/// Some bytes on a bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// When they had been read, or were handed to the port.
    pub at: HubTime,
    /// Which way they went.
    pub direction: Direction,
    /// The bytes, as they stand on the wire.
    pub bytes: Box<[u8]>,
}

/// Which way bytes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the hub.
    Sent,
    /// To the hub.
    Received,
}

/// Where the bytes of one bus are shown.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    clock: HubClock,
    out: broadcast::Sender<Chunk>,
}

impl Trace {
    pub(crate) fn new(clock: HubClock) -> Self {
        Self { clock, out: broadcast::Sender::new(BEHIND) }
    }

    pub(crate) fn show(&self, direction: Direction, bytes: &[u8]) {
        if self.out.receiver_count() > 0 && !bytes.is_empty() {
            // An error means that the last looker has just gone.
            drop(self.out.send(Chunk { at: self.clock.now(), direction, bytes: bytes.into() }));
        }
    }

    pub(crate) fn watch(&self) -> broadcast::Receiver<Chunk> {
        self.out.subscribe()
    }
}
