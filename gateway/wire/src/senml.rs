//! SenML (RFC 8428): the readings of one stream in one message, as JSON or CBOR, deflated or not.
//!
//! ```json
//! [{"bn":"meter/","bt":1795555555.123,"hub":"lamp-0042","run":"12-00a1b2c3d4e5f607","stream":"meter","seq":17,
//!   "read":34,"filtered":3,"refused":0,"n":"voltage","u":"V","v":230.1},
//!  {"n":"power","u":"W","v":12},
//!  {"n":"state/quality","vs":"bad:timeout"}]
//! ```
//!
//! ```text
//! Batch ──member──► labels and fields ──json | cbor──► bytes ──form──► deflated, if that is shorter
//! Pack  ◄──read───  labels and fields ◄──json | cbor── bytes ◄──form── told by the first byte
//! ```
//!
//! - The first record carries the base name, the base time and Curb's labels. RFC 8428, section 4.4, has readers ignore
//!   labels that they do not know.
//! - `t` is left out where it is 0. Times are decimal seconds with millisecond resolution.
//! - A message from before the clock was trusted has no `bt` and no `t`, but `ht` in each record: hub time in
//!   nanoseconds, as text. It must not be dated until the run's clock record comes. (RFC 8428, section 4.5.3, would have
//!   a reader take such times as "now".)
//! - *Uncertain* is a value record and a quality record, *bad* a quality record alone.
//! - Integers beyond 2⁵³ go as `vs` with the label `type` (`u64` or `i64`), bytes as `vd` (in JSON base64url, no padding).

mod cbor;
mod form;
mod json;
mod member;
mod read;

use curb_model::{Batch, HubTime, Name, PointName, RunId, Sample, Stream};

pub use form::{Compress, Encoding, Form, INFLATED_MAX, content_type};
pub(crate) use member::{EXACT, millis, number, seconds};

use crate::Error;
use form::Seen;
use member::Outgoing;

const DOCUMENT: &str = "SenML";

/// What stands in the first record: the message's identity, and the stream's counters up to and with this message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The hub's name.
    pub hub: Name,
    /// The daemon's life that numbered the message.
    pub run: RunId,
    /// The stream.
    pub stream: Stream,
    /// The message's number in stream and run, from 1.
    pub seq: u64,
    /// Readings made on this stream in this run.
    pub read: u64,
    /// Of these, left out by plugins.
    pub filtered: u64,
    /// Of these, refused by policy.
    pub refused: u64,
}

/// A message taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Pack {
    /// Identity and counters.
    pub header: Header,
    /// The readings.
    pub records: Vec<Record>,
}

/// One reading as the core sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// `device/point`.
    pub point: PointName,
    /// Unit of measure; `None` also where the form leaves it to the table of points.
    pub unit: Option<String>,
    /// When it was read.
    pub time: Time,
    /// What came.
    pub sample: Sample,
}

/// When a reading was made, as far as the hub could tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// UTC in milliseconds since 1970.
    Utc(i64),
    /// Hub time: add the offset of the run's clock record to get UTC.
    Hub(HubTime),
}

/// Freezes the readings of a batch to bytes. All its points must belong to one owner (one device, or one plugin).
/// Without readings the result is an empty list, which is never sent.
#[must_use]
pub fn encode(header: &Header, batch: &Batch, form: Form) -> Vec<u8> {
    let pack = Outgoing::new(header, batch);
    let plain = match form.encoding {
        Encoding::Json => json::encode(&pack),
        Encoding::Cbor => cbor::encode(&pack),
    };
    match form.compress {
        Compress::None => plain,
        Compress::Deflate => form::deflate(plain),
    }
}

/// Takes a message of any form apart.
///
/// # Errors
/// The bytes are not a SenML pack as this module's head describes it, or become more than [`INFLATED_MAX`].
pub fn decode(bytes: &[u8]) -> Result<Pack, Error> {
    match form::seen(bytes) {
        Seen::Text => json::decode(bytes),
        Seen::Cbor => cbor::decode(bytes),
        Seen::Zlib => {
            let plain = form::inflate(bytes)?;
            match form::seen(&plain) {
                Seen::Text => json::decode(&plain),
                Seen::Cbor => cbor::decode(&plain),
                // One layer: a stream within a stream is nobody's message.
                Seen::Zlib => Err(Error::Inflate { document: DOCUMENT }),
            }
        }
    }
}
