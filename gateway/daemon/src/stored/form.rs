//! What passes through the control socket, and stands in an exported file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use curb_model::Lane;
use curb_store::{Kept, StreamWaiting};
use curb_uplink::reason_name;
use curb_wire::senml::{self, Time, content_type};
use serde::{Deserialize, Serialize};

/// What `curb store export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Exported {
    /// The queue, and what is set aside.
    All,
    /// What is set aside.
    Aside,
}

/// What is done with messages that are set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Change {
    /// Put back.
    Release,
    /// Deleted.
    Drop,
}

impl Change {
    /// The command's name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Drop => "drop",
        }
    }
}

/// The answer to `show`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shown {
    /// 1.
    pub(crate) v: u32,
    /// What is set aside, oldest first, without payloads.
    pub(crate) aside: Vec<RowLine>,
    /// What waits.
    pub(crate) waiting: Vec<WaitingLine>,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RowLine {
    /// Its name for `release` and `drop`.
    pub(crate) row: i64,
    pub(crate) run: String,
    pub(crate) stream: String,
    pub(crate) seq: u64,
    /// `data`, `alarm`, `run`, `gap`, `clock` or `audit`.
    pub(crate) lane: String,
    /// Of what is set aside: the reason code of its PUBACK, and the standard's words for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// 0 for records, and for what cannot be read.
    pub(crate) readings: u64,
    /// Of the payload.
    pub(crate) bytes: u64,
    /// UTC of the first and the last reading, in milliseconds since 1970; missing where they are not dated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) payload: Option<Payload>,
}

/// The bytes as they are sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Payload {
    /// JSON.
    Text(String),
    /// Anything else, with its content type: `application/senml+cbor` or `application/zlib`.
    Base64 { content_type: String, data: String },
}

/// What waits of a stream.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WaitingLine {
    pub(crate) run: String,
    pub(crate) stream: String,
    pub(crate) messages: u64,
    /// Without those of messages that were set aside and are put back: they were told as lost, and count when they arrive.
    pub(crate) readings: u64,
    pub(crate) bytes: u64,
    /// Messages that were set aside and are put back.
    #[serde(default)]
    pub(crate) released: u64,
}

/// One line of an export on its way: a message, or the end.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExportLine {
    Row(Box<RowLine>),
    /// These were all, and so many the policy denies.
    End {
        denied: u64,
    },
}

/// What was done.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Changed {
    /// 1.
    pub(crate) v: u32,
    pub(crate) done: Vec<i64>,
    /// Not set aside.
    pub(crate) absent: Vec<i64>,
    /// Left where they are: the policy denies what is in them.
    pub(crate) denied: Vec<i64>,
}

/// How much of a message is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    Head,
    Payload,
}

impl RowLine {
    pub(crate) fn new(kept: &Kept, depth: Depth) -> Self {
        let pack = has_readings(kept).then(|| senml::decode(&kept.payload).ok()).flatten();
        let records = pack.map(|pack| pack.records).unwrap_or_default();
        let utc = |record: &senml::Record| match record.time {
            Time::Utc(millis) => Some(millis),
            Time::Hub(_) => None,
        };
        Self {
            row: kept.row.0,
            run: kept.run.to_string(),
            stream: kept.stream.to_string(),
            seq: kept.seq,
            lane: lane(kept.lane).to_owned(),
            code: kept.code,
            reason: kept.code.map(|code| reason_name(code).to_owned()),
            readings: records.len() as u64,
            bytes: kept.payload.len() as u64,
            first_ms: records.iter().filter_map(utc).min(),
            last_ms: records.iter().filter_map(utc).max(),
            payload: (depth == Depth::Payload).then(|| Payload::new(&kept.payload)),
        }
    }
}

impl Payload {
    fn new(bytes: &[u8]) -> Self {
        let data = || STANDARD.encode(bytes);
        match (content_type(bytes), std::str::from_utf8(bytes)) {
            (None, Ok(text)) => Self::Text(text.to_owned()),
            (None, Err(_)) => Self::Base64 { content_type: "application/octet-stream".to_owned(), data: data() },
            (Some(kind), _) => Self::Base64 { content_type: kind.to_owned(), data: data() },
        }
    }
}

impl From<StreamWaiting> for WaitingLine {
    fn from(StreamWaiting { run, stream, rows, bytes, readings, released }: StreamWaiting) -> Self {
        Self { run: run.to_string(), stream, messages: rows, readings, bytes, released }
    }
}

/// Whether a message carries readings, and is no record.
pub(crate) const fn has_readings(kept: &Kept) -> bool {
    matches!(kept.lane, Lane::Data | Lane::Alarm)
}

const fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Data => "data",
        Lane::Alarm => "alarm",
        Lane::Run => "run",
        Lane::Gap => "gap",
        Lane::Clock => "clock",
        Lane::Audit => "audit",
    }
}
