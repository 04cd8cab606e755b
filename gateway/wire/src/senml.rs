//! SenML in JSON (RFC 8428): the readings of one stream in one message.
//!
//! ```json
//! [{"bn":"meter/","bt":1795555555.123,"hub":"lamp-0042","run":"12-00a1b2c3d4e5f607","stream":"meter","seq":17,
//!   "read":34,"filtered":3,"refused":0,"n":"voltage","u":"V","v":230.1},
//!  {"n":"power","u":"W","v":12},
//!  {"n":"state/quality","vs":"bad:timeout"}]
//! ```
//!
//! - The first record carries the base name, the base time and Curb's labels. RFC 8428, section 4.4, has readers ignore
//!   labels that they do not know.
//! - `t` is left out where it is 0. Times are decimal seconds with millisecond resolution.
//! - A message from before the clock was trusted has no `bt` and no `t`, but `ht` in each record: hub time in
//!   nanoseconds, as text. It must not be dated until the run's clock record comes. (RFC 8428, section 4.5.3, would have
//!   a reader take such times as "now".)
//! - *Uncertain* is a value record and a quality record, *bad* a quality record alone.
//! - Integers beyond 2⁵³ go as `vs` with the label `type` (`u64` or `i64`), bytes as `vd` (base64url, no padding).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use curb_model::{Batch, HubTime, Name, Point, PointName, Reading, Reason, RunId, Sample, Stream, UtcOffset, Value};
use serde::ser::{SerializeMap, SerializeSeq as _};
use serde::{Deserialize, Serialize, Serializer};

use crate::Error;

const DOCUMENT: &str = "SenML";

/// Integers up to here are exact in a JSON number.
pub(crate) const EXACT: u64 = 1 << 53;

/// RFC 8428, section 4.5.3: a time below 2²⁸ s is relative to now. Such a wall clock cannot be right either.
const LEAST_MILLIS: i64 = (1 << 28) * 1_000;

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
    /// Unit of measure.
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

/// A record as it is read.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    bn: Option<Cow<'a, str>>,
    bt: Option<f64>,
    #[serde(borrow)]
    hub: Option<Cow<'a, str>>,
    #[serde(borrow)]
    run: Option<Cow<'a, str>>,
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    seq: Option<u64>,
    read: Option<u64>,
    filtered: Option<u64>,
    refused: Option<u64>,
    #[serde(borrow)]
    n: Option<Cow<'a, str>>,
    t: Option<f64>,
    #[serde(borrow)]
    u: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ht: Option<Cow<'a, str>>,
    v: Option<serde_json::Number>,
    vb: Option<bool>,
    #[serde(borrow)]
    vs: Option<Cow<'a, str>>,
    #[serde(borrow)]
    vd: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    value_type: Option<Cow<'a, str>>,
}

/// Freezes the readings of a batch to bytes. All its points must belong to one owner (one device, or one plugin).
/// Without readings the result is an empty list, which is never sent.
#[must_use]
pub fn encode(header: &Header, batch: &Batch) -> Vec<u8> {
    let dated = |offset: UtcOffset, at: HubTime| Some(at.utc_millis(offset)).filter(|&millis| millis > LEAST_MILLIS);
    let base = batch.readings.first().and_then(|first| dated(batch.offset?, first.at));
    let pack = Outgoing { header, base, offset: batch.offset, readings: &batch.readings };
    let mut bytes = Vec::with_capacity(HEADER_BYTES + batch.readings.len() * RECORD_BYTES);
    serde_json::to_writer(&mut bytes, &pack).expect("plain text and finite numbers always serialize");
    bytes
}

/// About what the first record has beside its reading, and what a reading takes. Only saves growing.
const HEADER_BYTES: usize = 192;
const RECORD_BYTES: usize = 40;

/// A message as it is written: record by record, without a copy of it in between.
struct Outgoing<'a> {
    header: &'a Header,
    /// Milliseconds; `None`: undated.
    base: Option<i64>,
    offset: Option<UtcOffset>,
    readings: &'a [Reading],
}

/// A record as it is written.
struct Outline<'a> {
    /// Stands in the first record only.
    header: Option<(&'a Header, Option<i64>)>,
    point: &'a Point,
    time: Stamp,
    content: Content<'a>,
}

#[derive(Clone, Copy)]
enum Content<'a> {
    Value(&'a Value),
    /// Which word, and why.
    Quality(&'static str, Reason),
}

#[derive(Clone, Copy)]
enum Stamp {
    /// Milliseconds after the base time.
    Relative(i64),
    Hub(HubTime),
}

impl Serialize for Outgoing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut header = Some((self.header, self.base));
        let mut records = serializer.serialize_seq(None)?;
        for reading in self.readings {
            let time = match (self.base, self.offset) {
                (Some(base), Some(offset)) => Stamp::Relative(reading.at.utc_millis(offset) - base),
                _ => Stamp::Hub(reading.at),
            };
            let (value, quality) = match &reading.sample {
                Sample::Good(value) => (Some(value), None),
                Sample::Uncertain(value, reason) => (Some(value), Some(("uncertain", *reason))),
                Sample::Bad(reason) => (None, Some(("bad", *reason))),
            };
            let value = value.map(Content::Value);
            let quality = quality.map(|(word, reason)| Content::Quality(word, reason));
            for content in value.into_iter().chain(quality) {
                records.serialize_element(&Outline { header: header.take(), point: &reading.point, time, content })?;
            }
        }
        records.end()
    }
}

impl Serialize for Outline<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_map(None)?;
        if let Some((header, base)) = self.header {
            record.serialize_entry("bn", &format_args!("{}/", header.stream.owner()))?;
            if let Some(base) = base {
                record.serialize_entry("bt", &seconds(base))?;
            }
            record.serialize_entry("hub", header.hub.as_str())?;
            record.serialize_entry("run", &format_args!("{}", header.run))?;
            record.serialize_entry("stream", header.stream.as_str())?;
            record.serialize_entry("seq", &header.seq)?;
            record.serialize_entry("read", &header.read)?;
            record.serialize_entry("filtered", &header.filtered)?;
            record.serialize_entry("refused", &header.refused)?;
        }
        let name = self.point.name.point();
        match self.content {
            Content::Value(_) => record.serialize_entry("n", name.as_str())?,
            Content::Quality(..) => record.serialize_entry("n", &format_args!("{name}/quality"))?,
        }
        if let (Content::Value(_), Some(unit)) = (self.content, self.point.unit.as_deref()) {
            record.serialize_entry("u", unit)?;
        }
        match self.time {
            Stamp::Relative(0) => {}
            Stamp::Relative(millis) => record.serialize_entry("t", &seconds(millis))?,
            Stamp::Hub(at) => record.serialize_entry("ht", &format_args!("{}", at.as_nanos()))?,
        }
        match self.content {
            Content::Value(value) => serialize_value(&mut record, value)?,
            Content::Quality(word, reason) => record.serialize_entry("vs", &format_args!("{word}:{reason}"))?,
        }
        record.end()
    }
}

fn serialize_value<M: SerializeMap>(record: &mut M, value: &Value) -> Result<(), M::Error> {
    match value {
        Value::Bool(b) => record.serialize_entry("vb", b),
        Value::I64(i) if i.unsigned_abs() <= EXACT => record.serialize_entry("v", i),
        Value::I64(i) => serialize_wide(record, format_args!("{i}"), "i64"),
        Value::U64(u) if *u <= EXACT => record.serialize_entry("v", u),
        Value::U64(u) => serialize_wide(record, format_args!("{u}"), "u64"),
        Value::F64(x) => record.serialize_entry("v", &number(x.get())),
        Value::Text(text) => record.serialize_entry("vs", text.as_ref()),
        Value::Bytes(bytes) => record.serialize_entry("vd", &URL_SAFE_NO_PAD.encode(bytes)),
    }
}

/// An integer that a JSON number cannot carry.
fn serialize_wide<M: SerializeMap>(record: &mut M, digits: fmt::Arguments<'_>, kind: &str) -> Result<(), M::Error> {
    record.serialize_entry("vs", &digits)?;
    record.serialize_entry("type", kind)
}

/// Whole numbers lose their `.0`: two bytes less, and the same number to every JSON reader.
#[expect(clippy::cast_possible_truncation, reason = "only whole numbers within ±2⁵³ are cast")]
#[expect(clippy::cast_precision_loss, reason = "2⁵³ is exact in f64")]
pub(crate) fn number(x: f64) -> serde_json::Number {
    let whole = x.trunc() == x && x.abs() <= EXACT as f64 && !(x == 0.0 && x.is_sign_negative());
    if whole { (x as i64).into() } else { serde_json::Number::from_f64(x).expect("Finite excludes NaN and infinities") }
}

/// Milliseconds as decimal seconds. The division rounds correctly, so the shortest decimal has three places at most.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 stay below 2⁵³ for 285,000 years")]
pub(crate) fn seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates; a time that far off is refused by its reader"
)]
pub(crate) fn millis(seconds: f64) -> i64 {
    (seconds * 1_000.0).round() as i64
}

/// Takes a message apart.
///
/// # Errors
/// The bytes are not a SenML pack as this module's head describes it.
pub fn decode(bytes: &[u8]) -> Result<Pack, Error> {
    let records: Vec<Wire<'_>> =
        serde_json::from_slice(bytes).map_err(|source| Error::Json { document: DOCUMENT, source })?;
    let first = records.first().ok_or_else(|| member("records", "[]", "at least one record"))?;
    let header = decode_header(first)?;
    let base_name = first.bn.as_deref().unwrap_or_default().to_owned();
    let base_time = first.bt.map(millis);
    let mut out: Vec<Record> = Vec::with_capacity(records.len());
    for record in &records {
        let time = decode_time(record, base_time)?;
        let name = record.n.as_deref().unwrap_or_default();
        if let Some(point) = name.strip_suffix("/quality") {
            let point = decode_name(&base_name, point)?;
            apply_quality(&mut out, point, time, record.vs.as_deref().unwrap_or_default())?;
        } else {
            let sample = Sample::Good(decode_value(record)?);
            let unit = record.u.as_deref().map(ToOwned::to_owned);
            out.push(Record { point: decode_name(&base_name, name)?, unit, time, sample });
        }
    }
    Ok(Pack { header, records: out })
}

fn member(member: &'static str, found: impl Into<String>, expected: &'static str) -> Error {
    Error::Member { document: DOCUMENT, member, found: found.into(), expected }
}

fn decode_header(first: &Wire<'_>) -> Result<Header, Error> {
    let text = |name, text: &Option<Cow<'_, str>>| {
        text.as_deref().map(ToOwned::to_owned).ok_or_else(|| member(name, "", "a text in the first record"))
    };
    let count = |name, count: Option<u64>| count.ok_or_else(|| member(name, "", "a count in the first record"));
    let (hub, run, stream) = (text("hub", &first.hub)?, text("run", &first.run)?, text("stream", &first.stream)?);
    Ok(Header {
        hub: Name::new(&hub).map_err(|_| member("hub", hub, "a name"))?,
        run: RunId::from_str(&run).map_err(|_| member("run", run, "<counter>-<16 hex digits>"))?,
        stream: Stream::parse(&stream).map_err(|_| member("stream", stream, "a stream name"))?,
        seq: count("seq", first.seq)?,
        read: count("read", first.read)?,
        filtered: count("filtered", first.filtered)?,
        refused: count("refused", first.refused)?,
    })
}

fn decode_name(base: &str, name: &str) -> Result<PointName, Error> {
    let full = format!("{base}{name}");
    PointName::parse(&full).map_err(|_| member("n", full, "device/point"))
}

fn decode_time(record: &Wire<'_>, base: Option<i64>) -> Result<Time, Error> {
    if let Some(ht) = &record.ht {
        let nanos = ht.parse().map_err(|_| member("ht", ht.as_ref(), "nanoseconds as text"))?;
        return Ok(Time::Hub(HubTime::from_nanos(nanos)));
    }
    let base = base.ok_or_else(|| member("bt", "", "a base time, or ht in each record"))?;
    Ok(Time::Utc(base.saturating_add(record.t.map_or(0, millis))))
}

fn decode_value(record: &Wire<'_>) -> Result<Value, Error> {
    if let Some(b) = record.vb {
        return Ok(Value::Bool(b));
    }
    if let Some(number) = &record.v {
        return number
            .as_u64()
            .map(Value::U64)
            .or_else(|| number.as_i64().map(Value::I64))
            .or_else(|| number.as_f64().and_then(Value::from_f64))
            .ok_or_else(|| member("v", number.to_string(), "a finite number"));
    }
    if let Some(text) = &record.vs {
        let wide = |_| member("vs", text.as_ref(), "an integer, as the label type says");
        return match record.value_type.as_deref() {
            Some("u64") => text.parse().map(Value::U64).map_err(wide),
            Some("i64") => text.parse().map(Value::I64).map_err(wide),
            _ => Ok(Value::Text(text.as_ref().into())),
        };
    }
    if let Some(data) = &record.vd {
        let bytes = URL_SAFE_NO_PAD.decode(data.as_bytes()).map_err(|_| member("vd", data.as_ref(), "base64url"))?;
        return Ok(Value::Bytes(bytes.into()));
    }
    Err(member("v", "", "one of v, vb, vs, vd"))
}

/// A quality record belongs to the value record before it, if that has its name and time; else it is a bad reading.
fn apply_quality(out: &mut Vec<Record>, point: PointName, time: Time, text: &str) -> Result<(), Error> {
    let wrong = || member("vs", text, "bad:<reason> or uncertain:<reason>");
    let (word, reason) = text.split_once(':').ok_or_else(wrong)?;
    let reason = Reason::from_str(reason).map_err(|_| wrong())?;
    match word {
        "bad" => out.push(Record { point, unit: None, time, sample: Sample::Bad(reason) }),
        "uncertain" => {
            let last = out.last_mut().filter(|last| last.point == point && last.time == time).ok_or_else(wrong)?;
            let value = last.sample.value().cloned().ok_or_else(wrong)?;
            last.sample = Sample::Uncertain(value, reason);
        }
        _ => return Err(wrong()),
    }
    Ok(())
}
