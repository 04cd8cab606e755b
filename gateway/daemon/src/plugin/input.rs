//! Readings as people and programs write them, as batches; and back. Pure.
//!
//! ```text
//! {"point":"meter/power","value":230.5,"ht":1000000000}     what `curb tap --json` prints; all but the point may be missing
//! meter/power 230.5 uncertain:range @1.5                     [point] value [quality] [@seconds]; - is no value, # a remark
//! ```
//!
//! A reading without a time comes with the one before it, or a second later if its point has been read by then. A batch is what one
//! device says in less than a second, each point once: nearer to a hub's rounds of polls no line can tell.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use curb_model::{
    Batch, Class, HubTime, Name, Point, PointName, PointSet, Reading, Sample, Stream, UtcOffset, ValueType,
};
use serde::Deserialize;

use crate::tap::{Kind, Line, Unreadable, sample};

/// The point of a line that names none.
const POINT: &str = "in/value";

/// From one reading of a point without a time to its next.
const STEP: Duration = Duration::from_secs(1);

/// A batch is shorter than this.
const BATCH: Duration = Duration::from_secs(1);

/// UTC is told in milliseconds.
const MILLISECOND: i64 = 1_000_000;

/// Characters of a line that are shown where it cannot be read.
const SHOWN: usize = 60;

/// How readings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON object a line.
    Json,
    /// `[point] value [quality] [@seconds]`.
    Plain,
}

/// What was read.
#[derive(Debug, PartialEq)]
pub(super) struct Input {
    pub(super) batches: Vec<Batch>,
    pub(super) points: PointSet,
    /// That of the first line.
    pub(super) form: Form,
    /// Readings that a tap was too slow for.
    pub(super) missed: u64,
}

/// A line that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(super) struct Wrong {
    /// From 1.
    pub(super) line: usize,
    pub(super) what: Unreadable,
}

/// A line as it is written, before there is a time for each.
#[derive(Debug)]
struct Row {
    point: PointName,
    stream: Stream,
    unit: Option<String>,
    sample: Sample,
    at: Option<HubTime>,
    utc_ms: Option<i64>,
}

/// A line of JSON, as much of it as is needed.
#[derive(Debug, Deserialize)]
struct Given {
    #[serde(default)]
    point: String,
    stream: Option<String>,
    value: Option<serde_json::Value>,
    kind: Option<Kind>,
    unit: Option<String>,
    quality: Option<String>,
    time_ms: Option<i64>,
    ht: Option<i64>,
    #[serde(default)]
    missed: u64,
    /// The first line of a capture: where it was made.
    capture: Option<String>,
    /// The first line of another kind of file.
    bundle: Option<String>,
}

/// Reads all lines.
///
/// # Errors
/// Each line that is none of ours.
pub(super) fn read(text: &str) -> Result<Input, Vec<Wrong>> {
    let (mut rows, mut wrong, mut form, mut missed) = (Vec::new(), Vec::new(), None, 0);
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let form = *form.get_or_insert(if text.starts_with('{') { Form::Json } else { Form::Plain });
        let row = match form {
            Form::Json => from_json(text, &mut missed),
            Form::Plain => from_plain(text).map(Some),
        };
        match row {
            Ok(row) => rows.extend(row),
            Err(what) => wrong.push(Wrong { line, what }),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let points = points(&rows);
    Ok(Input { batches: batches(rows, &points), points, form: form.unwrap_or(Form::Plain), missed })
}

fn from_json(text: &str, missed: &mut u64) -> Result<Option<Row>, Unreadable> {
    let shown = || text.chars().take(SHOWN).collect::<String>();
    let given: Given = serde_json::from_str(text)
        .map_err(|_| Unreadable::new(shown(), "a reading as `curb tap --json` prints it, as the first line is"))?;
    match given.capture.as_deref() {
        Some("pipeline") => return Ok(None),
        Some(_) => return Err(Unreadable::new(shown(), "readings: a capture at pipeline, not at uplink")),
        None => {}
    }
    if given.bundle.is_some() {
        return Err(Unreadable::new(shown(), "readings: `curb plugin replay` takes a bundle"));
    }
    *missed += given.missed;
    if given.point.is_empty() && given.missed > 0 {
        return Ok(None);
    }
    let point = point(&given.point)?;
    let stream = match given.stream.filter(|stream| !stream.is_empty()) {
        None => Stream::device(point.owner()),
        Some(stream) => {
            Stream::parse(&stream).map_err(|_| Unreadable::new(stream, "a stream: device, or plugin.output"))?
        }
    };
    let sample = sample(given.value.as_ref(), given.kind, given.quality.as_deref().filter(|text| !text.is_empty()))?;
    let at = given.ht.map(HubTime::from_nanos);
    Ok(Some(Row { point, stream, unit: given.unit, sample, at, utc_ms: given.time_ms }))
}

fn from_plain(text: &str) -> Result<Row, Unreadable> {
    let (name, rest) = match text.split_once(char::is_whitespace) {
        Some((first, rest)) if first.contains('/') && !first.starts_with('"') => (first, rest.trim()),
        None if text.contains('/') && !text.starts_with('"') => (text, ""),
        Some(_) | None => (POINT, text),
    };
    let point = point(name)?;
    let (value, kind, behind) = value(rest)?;
    let (mut quality, mut at) = (None, None);
    for word in behind.split_whitespace() {
        match word.strip_prefix('@') {
            Some(seconds) if at.is_none() => {
                let time = from_seconds(seconds);
                at = Some(time.ok_or_else(|| Unreadable::new(format!("{word:?}"), "@ and seconds, as @1.5"))?);
            }
            None if quality.is_none() && at.is_none() => quality = Some(word),
            Some(_) | None => {
                return Err(Unreadable::new(format!("{word:?}"), "nothing behind [point] value [quality] [@seconds]"));
            }
        }
    }
    let sample = sample(value.as_ref(), kind, quality)?;
    let stream = Stream::device(point.owner());
    Ok(Row { point, stream, unit: None, sample, at, utc_ms: None })
}

/// The value at the beginning of a text, and what stands behind it.
fn value(text: &str) -> Result<(Option<serde_json::Value>, Option<Kind>, &str), Unreadable> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if first == "-" {
        return Ok((None, None, &text[1..]));
    }
    if first.starts_with("0x") {
        return Ok((Some(first.into()), Some(Kind::Bytes), &text[first.len()..]));
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    let value = values.next().and_then(Result::ok).filter(|value| !value.is_null() && !value.is_array());
    let behind = &text[values.byte_offset()..];
    let is_whole = behind.is_empty() || behind.starts_with(char::is_whitespace);
    match value.filter(|value| is_whole && !value.is_object()) {
        Some(value) => Ok((Some(value), None, behind)),
        None => Err(Unreadable::new(
            format!("{first:?}"),
            "a number, true, false, a text in quotes, 0x and digits, or - for no value",
        )),
    }
}

fn point(name: &str) -> Result<PointName, Unreadable> {
    PointName::parse(name).map_err(|_| Unreadable::new(format!("{name:?}"), "device/point, each of a-z, 0-9 and -"))
}

/// Each point once, with the first unit that it has.
fn points(rows: &[Row]) -> PointSet {
    let point = |row: &Row| {
        let (name, stream, unit) = (row.point.clone(), row.stream.clone(), row.unit.as_deref().map(Into::into));
        Arc::new(Point { name, stream, class: Class::Data, unit, value_type: ValueType::F64, range: None })
    };
    // The last one of a name counts.
    rows.iter().rev().map(point).collect()
}

fn batches(rows: Vec<Row>, points: &PointSet) -> Vec<Batch> {
    let offsets = offsets(&rows);
    let mut batches: Vec<Batch> = Vec::new();
    // What the batch has, and what has been read at the time that it has come to.
    let (mut in_batch, mut read, mut time) = (BTreeSet::new(), BTreeSet::new(), HubTime::ZERO);
    for (row, offset) in rows.into_iter().zip(offsets) {
        let at = match row.at {
            Some(at) => at,
            None if read.contains(&row.point) => time.plus(STEP),
            None => time,
        };
        if at != time {
            read.clear();
        }
        time = at;
        read.insert(row.point.clone());
        let point = Arc::clone(points.get(&row.point).expect("each row's point is among them"));
        let reading = Reading { point, at, sample: row.sample };
        let open = batches.last_mut().filter(|batch| {
            let ends = batch.readings.first().zip(batch.readings.last());
            let is_in_time = ends.is_some_and(|(first, last)| at >= last.at && at.since(first.at) < BATCH);
            is_in_time && batch.stream == row.stream && batch.offset == offset && !in_batch.contains(&row.point)
        });
        match open {
            Some(batch) => {
                batch.readings.push(reading);
                batch.counts.read += 1;
            }
            None => {
                in_batch.clear();
                batches.push(Batch::read(row.stream, Class::Data, offset, vec![reading]));
            }
        }
        in_batch.insert(row.point);
    }
    batches
}

/// What to add to hub time for UTC, for each row. Lines tell UTC in whole milliseconds; where some of them can have had one offset,
/// they are given the one from which all of their milliseconds follow.
fn offsets(rows: &[Row]) -> Vec<Option<UtcOffset>> {
    let mut offsets: Vec<Option<UtcOffset>> = vec![None; rows.len()];
    // From which row on one offset holds, and between which bounds it lies.
    let mut open: Option<(usize, i64, i64)> = None;
    let close = |open: Option<(usize, i64, i64)>, end: usize, offsets: &mut Vec<Option<UtcOffset>>| {
        let Some((start, least, _)) = open else { return };
        for (row, offset) in rows[start..end].iter().zip(&mut offsets[start..end]) {
            *offset = row.at.and(row.utc_ms).map(|_| UtcOffset::from_nanos(least));
        }
    };
    for (place, row) in rows.iter().enumerate() {
        let (Some(at), Some(ms)) = (row.at, row.utc_ms) else { continue };
        let least = ms.saturating_mul(MILLISECOND).saturating_sub(at.as_nanos());
        let most = least.saturating_add(MILLISECOND);
        open = match open {
            Some((start, low, high)) if least.max(low) < most.min(high) => {
                Some((start, least.max(low), most.min(high)))
            }
            before => {
                close(before, place, &mut offsets);
                Some((place, least, most))
            }
        };
    }
    close(open, rows.len(), &mut offsets);
    offsets
}

/// A reading as a line.
pub(super) fn line(form: Form, reading: &Reading, stream: &Stream, offset: Option<UtcOffset>) -> String {
    let line = Line::new(reading, stream, offset, 0);
    match form {
        Form::Json => serde_json::to_string(&line).unwrap_or_default(),
        Form::Plain => {
            let value = match (&line.value, line.kind) {
                (None, _) => "-".to_owned(),
                (Some(serde_json::Value::String(digits)), Some(Kind::Bytes)) => digits.clone(),
                (Some(value), _) => value.to_string(),
            };
            let quality = if reading.sample.is_good() { String::new() } else { format!(" {}", line.quality) };
            format!("{} {value}{quality} @{}", line.point, seconds(reading.at))
        }
    }
}

/// The name that a plugin gets from its file, if nobody gives it one.
pub(super) fn name_of(component: &std::path::Path) -> Name {
    let stem = component.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().replace('_', "-");
    Name::new(&stem).unwrap_or_else(|_| Name::new("plugin").expect("it is a name"))
}

fn seconds(at: HubTime) -> String {
    let nanos = at.as_nanos();
    let (sign, nanos) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let text = format!("{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn from_seconds(text: &str) -> Option<HubTime> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 9 || !is_number(whole) || !is_number(part) {
        return None;
    }
    let nanos: i64 = format!("{part:0<9}").parse().ok()?;
    let whole: i64 = whole.parse().ok()?;
    Some(HubTime::from_nanos(whole.checked_mul(1_000_000_000)?.checked_add(nanos)?.checked_mul(sign)?))
}

#[cfg(test)]
mod tests;
