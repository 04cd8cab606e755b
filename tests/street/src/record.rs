//! What the simulators have served, in their own words: the truth that the judge holds everything against.

use std::sync::{Arc, Mutex, PoisonError};

use crate::device::Table;

/// One answer, silence or line.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// The device's name, as the hub's settings have it.
    pub device: Arc<str>,
    /// UTC milliseconds: when the last byte left, or when the request that got no good answer was complete.
    pub at_ms: i64,
    /// What was served.
    pub what: What,
}

/// What a device did.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// It answered a read, correctly and without undue delay.
    Answer {
        /// Which table was read.
        table: Table,
        /// The first address.
        address: u16,
        /// The words on the wire; a bit is a word of 0 or 1.
        words: Vec<u16>,
        /// Whether somebody had the port open to the end.
        heard: bool,
    },
    /// It was asked and gave no answer that may be used.
    Failed {
        /// Which table was to be read.
        table: Table,
        /// The first address.
        address: u16,
        /// How many registers or bits.
        count: u16,
        /// In what way.
        failure: Failure,
    },
    /// It spoke by itself.
    Line {
        /// The numbers of the line, in the order of its columns.
        columns: Vec<f64>,
        /// Whether somebody had the port open from beginning to end.
        heard: bool,
    },
}

/// How an answer failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No answer at all.
    Silent,
    /// A good answer, too late.
    Late,
    /// An answer that is damaged, too short, or somebody else's.
    Spoilt,
    /// A Modbus exception with this code.
    Exception(u8),
}

/// The record that all simulators of a street write. Clones share it.
///
/// It grows for as long as the street stands: about 100 bytes an answer, 10 MB an hour for the demo's street.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Served>>>);

impl Log {
    /// An empty record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything served so far, in the order in which it was finished.
    #[must_use]
    pub fn served(&self) -> Vec<Served> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn push(&self, served: Served) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(served);
    }
}
