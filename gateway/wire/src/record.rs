//! Run, gap and clock records, and the receipt: JSON objects with `"v":1`.
//!
//! The first three are queued, numbered and receipted like data, as the streams `_run`, `_gap` and `_clock`, and carry
//! the same identity (`hub`, `run`, `stream`, `seq`) in their payload.

use std::collections::BTreeMap;

use curb_model::{GapReason, HubTime, RunId, Stream, UtcOffset};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The version of every document here.
pub const VERSION: u32 = 1;

/// Identity of a record, the same members as in the first record of a SenML message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The hub's name.
    pub hub: String,
    /// The daemon's life, `<counter>-<16 hex digits>`.
    #[serde(with = "text")]
    pub run: RunId,
    /// `_run`, `_gap`, `_clock` or `_audit`.
    pub stream: String,
    /// The record's number in stream and run, from 1.
    pub seq: u64,
}

/// Cumulative counters of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCounts {
    /// The greatest message number given out.
    pub seq: u64,
    /// Readings made.
    pub read: u64,
    /// Left out by plugins.
    pub filtered: u64,
    /// Refused by policy.
    pub refused: u64,
}

/// What a run record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunEvent {
    /// The first message of a run. `previous` names the one before.
    Opened,
    /// Counters that moved without a message since, at most once a minute.
    Counts,
    /// The last message of a run that ended cleanly: final counters.
    Closed,
}

/// The run before this one, as its store held it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its id.
    #[serde(with = "text")]
    pub run: RunId,
    /// Whether it wrote its `closed` record.
    pub clean: bool,
    /// The last durable counters of each stream: nothing above these is coming.
    pub streams: BTreeMap<String, StreamCounts>,
}

/// Topic `run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// 1.
    pub v: u32,
    /// Which message this is.
    #[serde(flatten)]
    pub id: Identity,
    /// What happened.
    pub event: RunEvent,
    /// Hub time of the record, nanoseconds as text.
    #[serde(with = "nanos")]
    pub ht: HubTime,
    /// The daemon's version.
    pub version: String,
    /// With `opened`: the run before, if this store has seen one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// With `counts` and `closed`: counters by stream.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub streams: BTreeMap<String, StreamCounts>,
}

/// Topic `gap`: readings that were made and will not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapRecord {
    /// 1.
    pub v: u32,
    /// Which message this is.
    #[serde(flatten)]
    pub id: Identity,
    /// What is missing.
    pub gap: Gap,
}

/// The readings that a gap record speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The run whose readings are missing; it may be an earlier one.
    #[serde(with = "text")]
    pub run: RunId,
    /// Their stream.
    pub stream: String,
    /// Why.
    #[serde(with = "gap_reason")]
    pub reason: GapReason,
    /// First message number; `null` for readings that were dropped before they had one.
    pub from: Option<u64>,
    /// Last message number; `null` with `from`.
    pub to: Option<u64>,
    /// Hub time of the first missing reading, nanoseconds as text.
    #[serde(with = "nanos")]
    pub from_ht: HubTime,
    /// Hub time of the last missing reading.
    #[serde(with = "nanos")]
    pub to_ht: HubTime,
    /// How many readings. If a message in the range arrived all the same, it counts as delivered.
    pub count: u64,
}

/// What a clock record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockEvent {
    /// The clock is trusted from now on: undated readings of this run are dated with `offset`.
    Trusted,
    /// The wall clock jumped; readings keep the time that they have.
    Stepped,
    /// The clock is no longer trusted.
    Lost,
}

/// Topic `clock`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockRecord {
    /// 1.
    pub v: u32,
    /// Which message this is.
    #[serde(flatten)]
    pub id: Identity,
    /// What happened.
    pub event: ClockEvent,
    /// Hub time then, nanoseconds as text.
    #[serde(with = "nanos")]
    pub ht: HubTime,
    /// UTC minus hub time, nanoseconds as text; `null` with `lost`.
    #[serde(with = "offset")]
    pub offset: Option<UtcOffset>,
    /// Who vouches for the clock: `ntp` or `system`.
    pub trust: String,
}

/// Topic `receipt`, core to hub: everything of this run and stream up to and with `seq` is held by the core, or covered
/// by gap records. Cumulative: a later one says all that an earlier one said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// 1.
    pub v: u32,
    /// The run.
    #[serde(with = "text")]
    pub run: RunId,
    /// The stream.
    #[serde(with = "text")]
    pub stream: Stream,
    /// The last number held.
    pub seq: u64,
}

/// A document that is a JSON object with a version.
pub trait Document: Serialize + serde::de::DeserializeOwned {
    /// What it is called in errors.
    const NAME: &'static str;

    /// The bytes on the wire.
    #[must_use]
    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text keys and finite numbers always serialize")
    }

    /// Reads the bytes.
    ///
    /// # Errors
    /// Not JSON, another version, or a member missing or wrong.
    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let json = |source| Error::Json { document: Self::NAME, source };
        let Version { v } = serde_json::from_slice(bytes).map_err(json)?;
        if v != VERSION {
            return Err(Error::Version { document: Self::NAME, found: v });
        }
        serde_json::from_slice(bytes).map_err(json)
    }
}

impl Document for RunRecord {
    const NAME: &'static str = "run record";
}

impl Document for GapRecord {
    const NAME: &'static str = "gap record";
}

impl Document for ClockRecord {
    const NAME: &'static str = "clock record";
}

impl Document for Receipt {
    const NAME: &'static str = "receipt";
}

/// Members that are text with a grammar of their own.
mod text {
    use std::fmt::Display;

    use curb_model::{RunId, Stream};
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) trait FromText: Sized {
        fn from_text(text: &str) -> Option<Self>;
    }

    impl FromText for RunId {
        fn from_text(text: &str) -> Option<Self> {
            text.parse().ok()
        }
    }

    impl FromText for Stream {
        fn from_text(text: &str) -> Option<Self> {
            Self::parse(text).ok()
        }
    }

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(value)
    }

    pub(super) fn deserialize<'de, T: FromText, D: Deserializer<'de>>(input: D) -> Result<T, D::Error> {
        let text = String::deserialize(input)?;
        T::from_text(&text).ok_or_else(|| de::Error::custom(format_args!("unexpected text {text:?}")))
    }
}

pub(crate) mod nanos {
    use curb_model::HubTime;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(crate) fn serialize<S: Serializer>(time: &HubTime, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(&time.as_nanos())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<HubTime, D::Error> {
        let text = String::deserialize(input)?;
        text.parse().map(HubTime::from_nanos).map_err(|_| de::Error::custom("expected nanoseconds as text"))
    }
}

mod offset {
    use curb_model::UtcOffset;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(offset: &Option<UtcOffset>, out: S) -> Result<S::Ok, S::Error> {
        offset.map(|offset| offset.as_nanos().to_string()).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<UtcOffset>, D::Error> {
        let text = Option::<String>::deserialize(input)?;
        let parse = |text: String| text.parse().map(UtcOffset::from_nanos);
        text.map(parse).transpose().map_err(|_| de::Error::custom("expected nanoseconds as text, or null"))
    }
}

mod gap_reason {
    use curb_model::GapReason;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(reason: &GapReason, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(reason.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<GapReason, D::Error> {
        let text = String::deserialize(input)?;
        text.parse().map_err(|()| de::Error::custom(format_args!("unknown gap reason {text:?}")))
    }
}
