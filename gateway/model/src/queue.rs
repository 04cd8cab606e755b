//! A message whose bytes are frozen, between the store that keeps it and the uplink that sends it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::Stream;

/// One life of the daemon: a start counter, and a nonce so that a wiped store or a cloned card never repeats one.
/// Written `<counter>-<16 hex digits>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId {
    /// How often the daemon has started on this store.
    pub counter: u64,
    /// Random.
    pub nonce: u64,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.counter, self.nonce)
    }
}

/// A text that is no run id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no run id (expected <counter>-<16 hex digits>)")]
pub struct RunIdError(Box<str>);

impl FromStr for RunId {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (counter, nonce) = text.split_once('-')?;
            let hex = nonce.len() == 16 && nonce.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            let nonce = hex.then(|| u64::from_str_radix(nonce, 16).ok())??;
            Some(Self { counter: counter.parse().ok()?, nonce })
        };
        parse().ok_or_else(|| RunIdError(text.into()))
    }
}

/// A row of the store. Rows are sent in the order of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId(pub i64);

/// Which topic a message goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// `data/<stream>`.
    Data,
    /// `alarm/<stream>`.
    Alarm,
    /// `run`.
    Run,
    /// `gap`.
    Gap,
    /// `clock`.
    Clock,
    /// `audit`.
    Audit,
}

/// A queued message. Its bytes never change again: a copy sent twice is the same copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its row, for `delivered` and `set_aside`.
    pub row: RowId,
    /// Which topic.
    pub lane: Lane,
    /// Which stream; with `run` and `seq` the identity that stands in the payload.
    pub stream: Stream,
    /// Which run numbered it.
    pub run: RunId,
    /// Its number in that stream and run, from 1.
    pub seq: u64,
    /// Its readings that no gap record tells of: 0 for records, and for data that was set aside and is
    /// [released](Self::is_released).
    pub readings: u32,
    /// The bytes on the wire.
    pub payload: Arc<[u8]>,
}

impl Message {
    /// Whether it was set aside once, and somebody has put it back. The core has been told that it will not come, so that
    /// receipts cover its number already: they say nothing about it.
    #[must_use]
    pub const fn is_released(&self) -> bool {
        matches!(self.lane, Lane::Data | Lane::Alarm) && self.readings == 0
    }
}

/// What a read of the queue gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// In the order of their rows.
    pub messages: Vec<Message>,
    /// Whether there is more behind them. If not, nothing is there until the queue says that it has changed.
    pub more: bool,
}
