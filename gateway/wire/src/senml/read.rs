//! From the members of records to readings: the rules of RFC 8428 that Curb uses, for every form.
//!
//! Records are taken one by one, so that a message of nonsense ends at its first record and not in memory.

use std::borrow::Cow;
use std::str::FromStr as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use curb_model::{HubTime, Name, PointName, Reason, RunId, Sample, Stream, Value};
use serde::Deserialize;

use super::member::{Label, millis};
use super::{DOCUMENT, Header, Pack, Record, Time};
use crate::Error;

/// A record as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a SenML record")]
pub(super) struct Wire<'a> {
    #[serde(borrow)]
    pub(super) bn: Option<Cow<'a, str>>,
    pub(super) bt: Option<f64>,
    #[serde(borrow)]
    pub(super) hub: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) run: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) stream: Option<Cow<'a, str>>,
    pub(super) seq: Option<u64>,
    pub(super) read: Option<u64>,
    pub(super) filtered: Option<u64>,
    pub(super) refused: Option<u64>,
    #[serde(borrow)]
    pub(super) n: Option<Cow<'a, str>>,
    pub(super) t: Option<f64>,
    #[serde(borrow)]
    pub(super) u: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) ht: Option<Cow<'a, str>>,
    pub(super) v: Option<serde_json::Number>,
    pub(super) vb: Option<bool>,
    #[serde(borrow)]
    pub(super) vs: Option<Cow<'a, str>>,
    /// Base64url, as text carries bytes.
    #[serde(borrow)]
    pub(super) vd: Option<Cow<'a, str>>,
    /// `vd` of a form that carries bytes as they are.
    #[serde(skip)]
    pub(super) octets: Option<&'a [u8]>,
    #[serde(borrow, rename = "type")]
    pub(super) value_type: Option<Cow<'a, str>>,
}

/// What has been read of a message.
#[derive(Debug, Default)]
pub(super) struct Reader {
    header: Option<Header>,
    base_name: String,
    base_time: Option<i64>,
    records: Vec<Record>,
}

impl Reader {
    /// Takes the next record.
    pub(super) fn push(&mut self, record: &Wire<'_>) -> Result<(), Error> {
        if self.header.is_none() {
            self.header = Some(read_header(record)?);
            self.base_name = record.bn.as_deref().unwrap_or_default().to_owned();
            self.base_time = record.bt.map(millis);
        }
        let time = read_time(record, self.base_time)?;
        let name = record.n.as_deref().unwrap_or_default();
        if let Some(point) = name.strip_suffix("/quality") {
            let point = read_name(&self.base_name, point)?;
            return apply_quality(&mut self.records, point, time, record.vs.as_deref().unwrap_or_default());
        }
        let sample = Sample::Good(read_value(record)?);
        let unit = record.u.as_deref().map(ToOwned::to_owned);
        self.records.push(Record { point: read_name(&self.base_name, name)?, unit, time, sample });
        Ok(())
    }

    /// The whole message.
    pub(super) fn finish(self) -> Result<Pack, Error> {
        let header = self.header.ok_or_else(|| wrong("records", "[]", "at least one record"))?;
        Ok(Pack { header, records: self.records })
    }
}

fn wrong(member: &'static str, found: impl Into<String>, expected: &'static str) -> Error {
    Error::Member { document: DOCUMENT, member, found: found.into(), expected }
}

fn read_header(first: &Wire<'_>) -> Result<Header, Error> {
    let text = |label: Label, text: &Option<Cow<'_, str>>| {
        text.as_deref().map(ToOwned::to_owned).ok_or_else(|| wrong(label.as_str(), "", "a text in the first record"))
    };
    let count = |label: Label, count: Option<u64>| {
        count.ok_or_else(|| wrong(label.as_str(), "", "a count in the first record"))
    };
    let hub = text(Label::Hub, &first.hub)?;
    let run = text(Label::Run, &first.run)?;
    let stream = text(Label::Stream, &first.stream)?;
    Ok(Header {
        hub: Name::new(&hub).map_err(|_| wrong("hub", hub, "a name"))?,
        run: RunId::from_str(&run).map_err(|_| wrong("run", run, "<counter>-<16 hex digits>"))?,
        stream: Stream::parse(&stream).map_err(|_| wrong("stream", stream, "a stream name"))?,
        seq: count(Label::Seq, first.seq)?,
        read: count(Label::Read, first.read)?,
        filtered: count(Label::Filtered, first.filtered)?,
        refused: count(Label::Refused, first.refused)?,
    })
}

fn read_name(base: &str, name: &str) -> Result<PointName, Error> {
    let full = format!("{base}{name}");
    PointName::parse(&full).map_err(|_| wrong("n", full, "device/point"))
}

fn read_time(record: &Wire<'_>, base: Option<i64>) -> Result<Time, Error> {
    if let Some(ht) = &record.ht {
        let nanos = ht.parse().map_err(|_| wrong("ht", ht.as_ref(), "nanoseconds as text"))?;
        return Ok(Time::Hub(HubTime::from_nanos(nanos)));
    }
    let base = base.ok_or_else(|| wrong("bt", "", "a base time, or ht in each record"))?;
    Ok(Time::Utc(base.saturating_add(record.t.map_or(0, millis))))
}

fn read_value(record: &Wire<'_>) -> Result<Value, Error> {
    if let Some(b) = record.vb {
        return Ok(Value::Bool(b));
    }
    if let Some(number) = &record.v {
        return number
            .as_u64()
            .map(Value::U64)
            .or_else(|| number.as_i64().map(Value::I64))
            .or_else(|| number.as_f64().and_then(Value::from_f64))
            .ok_or_else(|| wrong("v", number.to_string(), "a finite number"));
    }
    if let Some(text) = &record.vs {
        let wide = |_| wrong("vs", text.as_ref(), "an integer, as the label type says");
        return match record.value_type.as_deref() {
            Some("u64") => text.parse().map(Value::U64).map_err(wide),
            Some("i64") => text.parse().map(Value::I64).map_err(wide),
            _ => Ok(Value::Text(text.as_ref().into())),
        };
    }
    if let Some(octets) = record.octets {
        return Ok(Value::Bytes(octets.into()));
    }
    if let Some(data) = &record.vd {
        let bytes = URL_SAFE_NO_PAD.decode(data.as_bytes()).map_err(|_| wrong("vd", data.as_ref(), "base64url"))?;
        return Ok(Value::Bytes(bytes.into()));
    }
    Err(wrong("v", "", "one of v, vb, vs, vd"))
}

/// A quality record belongs to the value record before it, if that has its name and time; else it is a bad reading.
fn apply_quality(records: &mut Vec<Record>, point: PointName, time: Time, text: &str) -> Result<(), Error> {
    let not = || wrong("vs", text, "bad:<reason> or uncertain:<reason>");
    let (word, reason) = text.split_once(':').ok_or_else(not)?;
    let reason = Reason::from_str(reason).map_err(|_| not())?;
    match word {
        "bad" => records.push(Record { point, unit: None, time, sample: Sample::Bad(reason) }),
        "uncertain" => {
            let last = records.last_mut().filter(|last| last.point == point && last.time == time).ok_or_else(not)?;
            let value = last.sample.value().cloned().ok_or_else(not)?;
            last.sample = Sample::Uncertain(value, reason);
        }
        _ => return Err(not()),
    }
    Ok(())
}
