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

use std::str::FromStr as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use curb_model::{Batch, HubTime, Name, PointName, Reading, Reason, RunId, Sample, Stream, UtcOffset, Value};
use serde::{Deserialize, Serialize};

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

#[derive(Serialize, Deserialize, Default)]
struct Wire<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    bn: Option<std::borrow::Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bt: Option<f64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    hub: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    run: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    stream: Option<std::borrow::Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filtered: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<u64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    n: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    u: Option<std::borrow::Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    t: Option<f64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    ht: Option<std::borrow::Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<serde_json::Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vb: Option<bool>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    vs: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    vd: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow, rename = "type", skip_serializing_if = "Option::is_none")]
    value_type: Option<std::borrow::Cow<'a, str>>,
}

/// Freezes the readings of a batch to bytes. All its points must belong to one owner (one device, or one plugin).
/// Without readings the result is an empty list, which is never sent.
#[must_use]
pub fn encode(header: &Header, batch: &Batch) -> Vec<u8> {
    let dated = |offset: UtcOffset, at: HubTime| Some(at.utc_millis(offset)).filter(|&millis| millis > LEAST_MILLIS);
    let base = batch.readings.first().and_then(|first| dated(batch.offset?, first.at));
    let mut records = Vec::with_capacity(batch.readings.len());
    for reading in &batch.readings {
        let time = match (base, batch.offset) {
            (Some(base), Some(offset)) => Stamp::Relative(reading.at.utc_millis(offset) - base),
            _ => Stamp::Hub(reading.at),
        };
        push(&mut records, reading, time);
    }
    if let Some(first) = records.first_mut() {
        first.bn = Some(format!("{}/", header.stream.owner()).into());
        first.bt = base.map(seconds);
        first.hub = Some(header.hub.as_str().into());
        first.run = Some(header.run.to_string().into());
        first.stream = Some(header.stream.as_str().into());
        first.seq = Some(header.seq);
        first.read = Some(header.read);
        first.filtered = Some(header.filtered);
        first.refused = Some(header.refused);
    }
    serde_json::to_vec(&records).expect("plain structs of text and finite numbers always serialize")
}

#[derive(Clone, Copy)]
enum Stamp {
    /// Milliseconds after the base time.
    Relative(i64),
    Hub(HubTime),
}

fn push<'a>(records: &mut Vec<Wire<'a>>, reading: &'a Reading, time: Stamp) {
    let (t, ht) = match time {
        Stamp::Relative(0) => (None, None),
        Stamp::Relative(millis) => (Some(seconds(millis)), None),
        Stamp::Hub(at) => (None, Some(at.as_nanos().to_string().into())),
    };
    let name = reading.point.name.point().as_str();
    let blank = || Wire { t, ht: ht.clone(), ..Wire::default() };
    let quality = |word: &str, reason: Reason| Wire {
        n: Some(format!("{name}/quality").into()),
        vs: Some(format!("{word}:{reason}").into()),
        ..blank()
    };
    let value = |value: &'a Value| Wire {
        n: Some(name.into()),
        u: reading.point.unit.as_deref().map(Into::into),
        ..with_value(blank(), value)
    };
    match &reading.sample {
        Sample::Good(good) => records.push(value(good)),
        Sample::Uncertain(doubtful, reason) => {
            records.push(value(doubtful));
            records.push(quality("uncertain", *reason));
        }
        Sample::Bad(reason) => records.push(quality("bad", *reason)),
    }
}

fn with_value<'a>(record: Wire<'a>, value: &'a Value) -> Wire<'a> {
    match value {
        Value::Bool(b) => Wire { vb: Some(*b), ..record },
        Value::I64(i) if i.unsigned_abs() <= EXACT => Wire { v: Some((*i).into()), ..record },
        Value::I64(i) => Wire { vs: Some(i.to_string().into()), value_type: Some("i64".into()), ..record },
        Value::U64(u) if *u <= EXACT => Wire { v: Some((*u).into()), ..record },
        Value::U64(u) => Wire { vs: Some(u.to_string().into()), value_type: Some("u64".into()), ..record },
        Value::F64(x) => Wire { v: Some(number(x.get())), ..record },
        Value::Text(text) => Wire { vs: Some(text.as_ref().into()), ..record },
        Value::Bytes(bytes) => Wire { vd: Some(URL_SAFE_NO_PAD.encode(bytes).into()), ..record },
    }
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
    let text = |name, text: &Option<std::borrow::Cow<'_, str>>| {
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
