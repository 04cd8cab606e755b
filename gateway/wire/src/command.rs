//! What the core asks a hub to do, what the hub answers, and the record that it keeps of it.
//!
//! A request comes on `cmd/<command>`, the answer goes to the request's MQTT 5 response topic with its correlation data, and
//! the record goes to `audit`. There is one command in this version: `write`.
//!
//! ```text
//! {"v":1,"point":"lamp/dim","value":50,"deadline":1795555555.5}
//! {"v":1,"ok":true,"hub":"lamp-0042","point":"lamp/dim","value":50,"proof":"read-back","time":1795555550.25}
//! {"v":1,"ok":false,"hub":"lamp-0042","point":"lamp/dim","word":"out-of-bounds","detail":"…","time":1795555550.25}
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use curb_model::{HubTime, PointName, Value};
use serde::{Deserialize, Serialize};

use crate::record::{Document, Identity, VERSION, nanos};
use crate::senml::{EXACT, millis, number, seconds};

/// The name of the one command: the last level of its topic.
pub const WRITE: &str = "write";

/// Bytes of a text value at most: more than any register map of text holds (128), so that an answer, a record and the memory
/// of commands stay small whatever is sent.
const TEXT_MAX: usize = 256;

/// `cmd/write`: this value is to stand at this point, before this time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawWrite", into = "RawWrite")]
pub struct Write {
    /// Which point.
    pub point: PointName,
    /// The value, as it is read: absolute, in the point's unit.
    pub value: Value,
    /// UTC in milliseconds since 1970. What has not been sent to the device by then is not sent at all.
    pub deadline_ms: i64,
}

/// How it is known that a value was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// It was read back.
    ReadBack,
    /// The device said so; what was written there cannot be read.
    Echo,
    /// It changed nothing but the hub's own queue, and is on its disk.
    Committed,
}

/// Why a command was not done, or is not known to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable, for programs.
    pub word: String,
    /// For people.
    pub detail: String,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The point, if the request could be read so far.
    pub point: Option<PointName>,
    /// What was to be written, if the request could be read so far.
    pub value: Option<Value>,
    /// Done, or why not.
    pub result: Result<Proof, Refusal>,
    /// When that was known: UTC in milliseconds since 1970; `None` while the hub's clock is not trusted.
    pub time_ms: Option<i64>,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawAnswer", into = "RawAnswer")]
pub struct Answer {
    /// The hub's name.
    pub hub: String,
    /// What came of it. Its value is told only if it was written.
    pub outcome: Outcome,
}

/// Where a command came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The city core, over MQTT.
    Core,
    /// A person or program on the hub, over the control socket.
    Socket,
    /// A person on the hub, by `curb write` while no daemon ran.
    Tool,
}

/// What an audit record tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    /// Hub time when it was known what came of it.
    pub ht: HubTime,
    /// Where it came from.
    pub origin: Origin,
    /// The command's name, as it was asked for.
    pub command: String,
    /// The request's correlation data, if it had any.
    pub correlation: Option<Vec<u8>>,
    /// What came of it.
    pub outcome: Outcome,
}

/// Topic `audit`: one command, executed or refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawAudit", into = "RawAudit")]
pub struct AuditRecord {
    /// Which message this is.
    pub id: Identity,
    /// What it tells.
    pub audit: Audit,
}

impl Document for Write {
    const NAME: &'static str = "write request";
}

impl Document for Answer {
    const NAME: &'static str = "answer";
}

impl Document for AuditRecord {
    const NAME: &'static str = "audit record";
}

/// How a text is to be read that is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Label {
    /// An unsigned integer beyond 2⁵³.
    U64,
    /// A signed one.
    I64,
}

/// A value's two members, the second mostly left out.
type Members = (serde_json::Value, Option<Label>);

#[derive(Serialize, Deserialize)]
struct RawWrite {
    v: u32,
    point: String,
    value: serde_json::Value,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    label: Option<Label>,
    deadline: f64,
}

#[derive(Serialize, Deserialize)]
struct RawAnswer {
    v: u32,
    ok: bool,
    hub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    point: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<serde_json::Value>,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    label: Option<Label>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<Proof>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    word: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<f64>,
}

#[derive(Serialize, Deserialize)]
struct RawAudit {
    v: u32,
    #[serde(flatten)]
    id: Identity,
    #[serde(with = "nanos")]
    ht: HubTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<f64>,
    origin: Origin,
    command: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    point: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<serde_json::Value>,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    label: Option<Label>,
    ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<Proof>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    word: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl TryFrom<RawWrite> for Write {
    type Error = String;

    fn try_from(raw: RawWrite) -> Result<Self, String> {
        Ok(Self { point: point(&raw.point)?, value: value((raw.value, raw.label))?, deadline_ms: millis(raw.deadline) })
    }
}

impl From<Write> for RawWrite {
    fn from(write: Write) -> Self {
        let (value, label) = members(&write.value);
        Self { v: VERSION, point: write.point.to_string(), value, label, deadline: seconds(write.deadline_ms) }
    }
}

impl TryFrom<RawAnswer> for Answer {
    type Error = String;

    fn try_from(raw: RawAnswer) -> Result<Self, String> {
        let outcome = Outcome {
            point: raw.point.as_deref().map(point).transpose()?,
            value: raw.value.map(|text| value((text, raw.label))).transpose()?,
            result: result(raw.ok, raw.proof, raw.word, raw.detail)?,
            time_ms: raw.time.map(millis),
        };
        Ok(Self { hub: raw.hub, outcome })
    }
}

impl From<Answer> for RawAnswer {
    fn from(Answer { hub, outcome }: Answer) -> Self {
        let Outcome { point, value, result, time_ms } = outcome;
        let (value, label) = value.filter(|_| result.is_ok()).as_ref().map(members).unzip();
        let (proof, word, detail) = told(result);
        Self {
            v: VERSION,
            ok: proof.is_some(),
            hub,
            point: point.map(|point| point.to_string()),
            value,
            label: label.flatten(),
            proof,
            word,
            detail,
            time: time_ms.map(seconds),
        }
    }
}

impl TryFrom<RawAudit> for AuditRecord {
    type Error = String;

    fn try_from(raw: RawAudit) -> Result<Self, String> {
        let bytes = |text: String| {
            URL_SAFE_NO_PAD.decode(&text).map_err(|_| format!("correlation is {text:?}, expected base64url"))
        };
        let outcome = Outcome {
            point: raw.point.as_deref().map(point).transpose()?,
            value: raw.value.map(|text| value((text, raw.label))).transpose()?,
            result: result(raw.ok, raw.proof, raw.word, raw.detail)?,
            time_ms: raw.time.map(millis),
        };
        let correlation = raw.correlation.map(bytes).transpose()?;
        let audit = Audit { ht: raw.ht, origin: raw.origin, command: raw.command, correlation, outcome };
        Ok(Self { id: raw.id, audit })
    }
}

impl From<AuditRecord> for RawAudit {
    fn from(AuditRecord { id, audit }: AuditRecord) -> Self {
        let Outcome { point, value, result, time_ms } = audit.outcome;
        let (value, label) = value.as_ref().map(members).unzip();
        let (proof, word, detail) = told(result);
        Self {
            v: VERSION,
            id,
            ht: audit.ht,
            time: time_ms.map(seconds),
            origin: audit.origin,
            command: audit.command,
            correlation: audit.correlation.map(|bytes| URL_SAFE_NO_PAD.encode(bytes)),
            point: point.map(|point| point.to_string()),
            value,
            label: label.flatten(),
            ok: proof.is_some(),
            proof,
            word,
            detail,
        }
    }
}

fn told(result: Result<Proof, Refusal>) -> (Option<Proof>, Option<String>, Option<String>) {
    match result {
        Ok(proof) => (Some(proof), None, None),
        Err(Refusal { word, detail }) => (None, Some(word), Some(detail)),
    }
}

fn result(
    ok: bool,
    proof: Option<Proof>,
    word: Option<String>,
    detail: Option<String>,
) -> Result<Result<Proof, Refusal>, String> {
    match (ok, proof, word) {
        (true, Some(proof), None) => Ok(Ok(proof)),
        (false, None, Some(word)) => Ok(Err(Refusal { word, detail: detail.unwrap_or_default() })),
        (true, ..) => Err("ok is true, expected proof and no word".to_owned()),
        (false, ..) => Err("ok is false, expected a word and no proof".to_owned()),
    }
}

fn point(text: &str) -> Result<PointName, String> {
    PointName::parse(text).map_err(|_| format!("point is {text:?}, expected device/point"))
}

/// A value as JSON. Raw bytes, which no command carries, are shown as text.
fn members(value: &Value) -> Members {
    match value {
        Value::Bool(b) => ((*b).into(), None),
        Value::I64(i) if i.unsigned_abs() <= EXACT => ((*i).into(), None),
        Value::I64(i) => (i.to_string().into(), Some(Label::I64)),
        Value::U64(u) if *u <= EXACT => ((*u).into(), None),
        Value::U64(u) => (u.to_string().into(), Some(Label::U64)),
        Value::F64(x) => (number(x.get()).into(), None),
        Value::Text(text) => (text.as_ref().into(), None),
        Value::Bytes(bytes) => (URL_SAFE_NO_PAD.encode(bytes).into(), None),
    }
}

fn value((value, label): Members) -> Result<Value, String> {
    let wrong = |expected: &str| format!("value is {value}, expected {expected}");
    match (&value, label) {
        (serde_json::Value::Bool(b), None) => Ok(Value::Bool(*b)),
        (serde_json::Value::Number(number), None) => number
            .as_u64()
            .map(Value::U64)
            .or_else(|| number.as_i64().map(Value::I64))
            .or_else(|| number.as_f64().and_then(Value::from_f64))
            .ok_or_else(|| wrong("a finite number")),
        (serde_json::Value::String(text), None) if text.len() <= TEXT_MAX => Ok(Value::Text(text.as_str().into())),
        (serde_json::Value::String(_), None) => Err(format!("value is a long text, expected {TEXT_MAX} bytes at most")),
        (serde_json::Value::String(text), Some(Label::U64)) => {
            text.parse().map(Value::U64).map_err(|_| wrong("an unsigned integer as text, as type says"))
        }
        (serde_json::Value::String(text), Some(Label::I64)) => {
            text.parse().map(Value::I64).map_err(|_| wrong("an integer as text, as type says"))
        }
        (_, Some(_)) => Err(wrong("text, as there is a type")),
        (serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_), None) => {
            Err("value is no value, expected a number, true, false or text".to_owned())
        }
    }
}
