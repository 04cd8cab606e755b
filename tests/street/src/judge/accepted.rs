//! What the reference ingester printed: one line per accepted message, as `depot ingest --help` documents it.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::Error;

/// A message that the core holds, or another copy of one.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Accepted {
    /// When the core had committed it, UTC milliseconds.
    pub received_ms: i64,
    /// The hub.
    pub hub: String,
    /// The run of the hub's daemon.
    pub run: String,
    /// The stream; one that begins with `_` carries records and no readings.
    pub stream: String,
    /// The message's number in run and stream.
    pub seq: u64,
    /// Whether the core held it already.
    pub duplicate: bool,
    /// Its readings.
    pub readings: Vec<Arrived>,
}

/// A reading as it arrived.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Arrived {
    /// `device/point`.
    pub point: String,
    /// Number, bool or text; null where it is bad.
    pub value: serde_json::Value,
    /// Unit of measure.
    pub unit: Option<String>,
    /// `good`, `uncertain:<reason>` or `bad:<reason>`.
    pub quality: String,
    /// When it was read, UTC milliseconds; `None` while the hub's clock was not trusted.
    pub time_ms: Option<i64>,
}

impl Arrived {
    /// What the reading says, if it says anything.
    pub(super) fn value(&self) -> Option<Value> {
        if let Some(number) = self.value.as_f64() {
            Some(Value::Number(number))
        } else if let Some(bit) = self.value.as_bool() {
            Some(Value::Bit(bit))
        } else {
            self.value.as_str().map(|text| Value::Text(text.to_owned()))
        }
    }
}

/// A value, as far as the street has any.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A bit.
    Bit(bool),
    /// A text. No simulated device serves one.
    Text(String),
}

/// Reads what an ingester prints while it prints.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    offset: u64,
    lines: usize,
    rest: Vec<u8>,
}

impl Follower {
    /// From the beginning of this file, which need not be there yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), offset: 0, lines: 0, rest: Vec::new() }
    }

    /// The messages of all lines that were finished since the last call.
    ///
    /// # Errors
    /// The file cannot be read, or a line is not what the ingester documents.
    pub fn more(&mut self) -> Result<Vec<Accepted>, Error> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        let mut file = File::open(&self.path).map_err(Error::file(&self.path))?;
        file.seek(SeekFrom::Start(self.offset)).map_err(Error::file(&self.path))?;
        let count = file.read_to_end(&mut self.rest).map_err(Error::file(&self.path))?;
        self.offset += count as u64;
        let finished = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let rest = self.rest.split_off(finished);
        let text = std::mem::replace(&mut self.rest, rest);
        let mut accepted = Vec::new();
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.lines += 1;
            let message = serde_json::from_slice(line);
            accepted.push(message.map_err(|source| Error::Output {
                path: self.path.clone(),
                line: self.lines,
                source,
            })?);
        }
        Ok(accepted)
    }
}
