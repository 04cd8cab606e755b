//! One reading as a line: of `curb tap --json`, of a capture, of what goes into and comes out of `curb plugin run`, and in the
//! bundle of what a plugin could not handle. The only place that knows this form, both ways.

use curb_model::{HubTime, Reading, Reason, Sample, Stream, UtcOffset, Value};
use serde::{Deserialize, Serialize};

use crate::field::{json_value, unhex};

/// Whole numbers up to here are the same to a plugin, signed or not.
const EXACT: u64 = 1 << 53;

/// One line of `curb tap --json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// `device/point`; empty in a line that only says what was missed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) point: String,
    /// The stream that carries it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) stream: String,
    /// The value, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<serde_json::Value>,
    /// What the value is, where it does not say so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<Kind>,
    /// Unit of measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<String>,
    /// `good`, `uncertain:<reason>` or `bad:<reason>`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) quality: String,
    /// UTC in milliseconds since 1970, while the clock is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time_ms: Option<i64>,
    /// Hub time in nanoseconds.
    #[serde(default)]
    pub(crate) ht: i64,
    /// At least so many readings were not shown because the caller was too slow.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) missed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(super) const fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Line {
    pub(crate) fn new(reading: &Reading, stream: &Stream, offset: Option<UtcOffset>, missed: u64) -> Self {
        Self {
            point: reading.point.name.to_string(),
            stream: stream.to_string(),
            value: reading.sample.value().map(json_value),
            kind: reading.sample.value().and_then(Kind::of),
            unit: reading.point.unit.as_deref().map(ToOwned::to_owned),
            quality: quality(&reading.sample),
            time_ms: offset.map(|offset| reading.at.utc_millis(offset)),
            ht: reading.at.as_nanos(),
            missed,
        }
    }

    /// The line for people: `meter/power = 12.3 W`, and what is wrong with it; with `verbose` all that is known.
    pub(crate) fn text(&self, verbose: bool) -> String {
        let value = self.value.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let unit = self.unit.as_deref().unwrap_or_default();
        let quality = if self.quality == "good" && !verbose { "" } else { &self.quality };
        let at = HubTime::from_nanos(self.ht);
        let text = format!("{at} {} = {value} {unit} {quality}", self.point);
        if !verbose {
            return text.trim_end().to_owned();
        }
        let time = self.time_ms.map_or_else(|| "undated".to_owned(), crate::clock::text);
        format!("{time} {text} stream {}", self.stream)
    }
}

/// What JSON does not say of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A whole number without a sign, larger than a float holds.
    Unsigned,
    /// Bytes: `0x` and hexadecimal digits.
    Bytes,
}

impl Kind {
    /// `None`: the value says it.
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::U64(n) if *n > EXACT => Some(Self::Unsigned),
            Value::Bytes(_) => Some(Self::Bytes),
            Value::Bool(_) | Value::I64(_) | Value::U64(_) | Value::F64(_) | Value::Text(_) => None,
        }
    }
}

/// What cannot be taken for a reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found {found}, expected {expected}")]
pub(crate) struct Unreadable {
    pub(crate) found: String,
    pub(crate) expected: &'static str,
}

impl Unreadable {
    pub(crate) fn new(found: impl ToString, expected: &'static str) -> Self {
        Self { found: found.to_string(), expected }
    }
}

/// `good`, `uncertain:<reason>` or `bad:<reason>`.
fn quality(sample: &Sample) -> String {
    match sample {
        Sample::Good(_) => "good".to_owned(),
        Sample::Uncertain(_, reason) => format!("uncertain:{reason}"),
        Sample::Bad(reason) => format!("bad:{reason}"),
    }
}

/// What a line says, read back. Without a quality a value is good, and its absence bad, reason absent.
///
/// # Errors
/// It is no value, no quality, or one that does not go with the other.
pub(crate) fn sample(
    json: Option<&serde_json::Value>,
    kind: Option<Kind>,
    quality: Option<&str>,
) -> Result<Sample, Unreadable> {
    const QUALITY: &str = "good, uncertain:<reason> or bad:<reason>, as timeout, range, stale";
    let value = json.filter(|json| !json.is_null()).map(|json| value(json, kind)).transpose()?;
    let (word, reason) = match quality.map(|text| text.split_once(':').unwrap_or((text, ""))) {
        None => (if value.is_some() { "good" } else { "bad" }, None),
        Some((word, "")) => (word, None),
        Some((word, reason)) => {
            let reason = reason.parse::<Reason>().map_err(|_| Unreadable::new(format!("{reason:?}"), QUALITY))?;
            (word, Some(reason))
        }
    };
    match (word, value, reason) {
        ("good", Some(value), None) => Ok(Sample::Good(value)),
        ("uncertain", Some(value), Some(reason)) => Ok(Sample::Uncertain(value, reason)),
        ("bad", None, reason) => Ok(Sample::Bad(reason.unwrap_or(Reason::Absent))),
        ("good" | "uncertain", None, _) => Err(Unreadable::new("no value", "one, or the quality bad:<reason>")),
        ("bad", Some(value), _) => Err(Unreadable::new(value, "no value beside the quality bad")),
        _ => Err(Unreadable::new(format!("{:?}", quality.unwrap_or_default()), QUALITY)),
    }
}

fn value(json: &serde_json::Value, kind: Option<Kind>) -> Result<Value, Unreadable> {
    const VALUE: &str = "a finite number, true, false or a text";
    match (json, kind) {
        (serde_json::Value::Bool(bit), None) => Ok(Value::Bool(*bit)),
        (serde_json::Value::String(text), None) => Ok(Value::Text(text.as_str().into())),
        (serde_json::Value::String(text), Some(Kind::Bytes)) => {
            let bytes = text.strip_prefix("0x").and_then(|digits| unhex(digits).ok());
            let bytes = bytes.ok_or_else(|| Unreadable::new(json, "0x and an even number of hexadecimal digits"))?;
            Ok(Value::Bytes(bytes.into()))
        }
        (serde_json::Value::Number(number), Some(Kind::Unsigned)) if number.is_u64() => {
            Ok(Value::U64(number.as_u64().unwrap_or_default()))
        }
        (serde_json::Value::Number(number), None) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Ok(Value::I64(whole)),
            (None, Some(whole)) => Ok(Value::U64(whole)),
            (None, None) => {
                let number = number.as_f64().and_then(Value::from_f64);
                number.ok_or_else(|| Unreadable::new(json, VALUE))
            }
        },
        _ => Err(Unreadable::new(json, VALUE)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use curb_model::{Class, Point, PointName, ValueType};

    use super::*;

    fn reading(sample: Sample) -> Reading {
        let name = PointName::parse("meter/power").unwrap();
        let (stream, unit) = (Stream::device(name.owner()), Some("W".into()));
        let point = Point { name, stream, class: Class::Data, unit, value_type: ValueType::U16, range: None };
        Reading { point: Arc::new(point), at: HubTime::ZERO, sample }
    }

    #[test]
    fn lines_read_like_sentences() {
        let stream = Stream::parse("meter").unwrap();
        let line = |sample: Sample| Line::new(&reading(sample), &stream, None, 0);
        assert_eq!(line(Sample::Bad(Reason::Timeout)).text(false), "0.000s meter/power = - W bad:timeout");
        let good = line(Sample::Good(Value::U64(12)));
        assert_eq!(good.text(false), "0.000s meter/power = 12 W");
        assert_eq!(good.text(true), "undated 0.000s meter/power = 12 W good stream meter");
    }

    /// It is read back as the plugin would see it: small whole numbers have no sign that it could know.
    fn check(sample_before: Sample, expected: Sample) {
        let line = Line::new(&reading(sample_before), &Stream::parse("meter").unwrap(), None, 0);
        let line: Line = serde_json::from_str(&serde_json::to_string(&line).unwrap()).unwrap();
        assert_eq!(sample(line.value.as_ref(), line.kind, Some(&line.quality)), Ok(expected));
    }

    #[test]
    fn what_a_line_says_is_read_back_to_the_last_bit() {
        let float = |x| Value::from_f64(x).unwrap();
        for value in [
            Value::Bool(true),
            Value::I64(i64::MIN),
            Value::I64(i64::MAX),
            Value::U64(EXACT + 1),
            Value::U64(u64::MAX),
            float(0.1 + 0.2),
            float(-0.0),
            float(5.0),
            float(f64::MIN_POSITIVE),
            float(f64::MAX),
            Value::Text("\"0x\"\n".into()),
            Value::Text("0xAB".into()),
            Value::Bytes([0, 0xAB].into()),
        ] {
            check(Sample::Good(value.clone()), Sample::Good(value.clone()));
            check(Sample::Uncertain(value.clone(), Reason::Range), Sample::Uncertain(value, Reason::Range));
        }
        check(Sample::Good(Value::U64(12)), Sample::Good(Value::I64(12)));
        for reason in [Reason::Timeout, Reason::Exception(11), Reason::Port] {
            check(Sample::Bad(reason), Sample::Bad(reason));
        }
    }
}
