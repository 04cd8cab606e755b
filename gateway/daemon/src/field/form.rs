//! Requests to a bus and their answers as they go over the control socket. The only place that knows their JSON.
//!
//! Bytes are hexadecimal text. A question that writes has no form: whoever asks through the socket writes to granted points,
//! by [`Op::Write`](crate::control::Op::Write), or not at all.

use std::time::Duration;

use curb_model::{HubTime, Reason, Value};
use curb_source::{Chunk, Direction, Outcome, Parity, Probe, Probed, Question, SerialConfig, StopBits, Table};
use serde::{Deserialize, Serialize};

/// A form that stands for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misformed {
    #[error("{0:?} is not an even number of hexadecimal digits")]
    Hex(String),
    #[error(transparent)]
    Reason(#[from] curb_model::ParseReasonError),
    #[error("a question that writes does not go through the daemon")]
    Writes,
}

/// What is asked of a unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProbeForm {
    pub(crate) unit: u8,
    pub(crate) question: QuestionForm,
    /// Other settings of the line than its own, for this request only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) settings: Option<SettingsForm>,
    /// From the request's end to the answer's beginning; the bus's own if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout_ms: Option<u64>,
    /// How long polls wait for the next request.
    #[serde(default)]
    pub(crate) hold_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum QuestionForm {
    Read { table: TableForm, address: u16, quantity: u16 },
    Identify,
    ServerId,
    Listen,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TableForm {
    Coil,
    Discrete,
    Holding,
    Input,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SettingsForm {
    pub(crate) baud: u32,
    pub(crate) parity: ParityForm,
    /// Stop bits: 1 or 2.
    pub(crate) stop: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ParityForm {
    None,
    Even,
    Odd,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProbedForm {
    outcome: OutcomeForm,
    /// All bytes after the request.
    heard: String,
    took_us: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OutcomeForm {
    Registers(Vec<u16>),
    Bits(Vec<bool>),
    Identity(Vec<(u8, String)>),
    ServerId(String),
    Done,
    Exception(u8),
    /// The word of a [`Reason`].
    Failed(String),
    Unusable(String),
}

/// What came of a write to a granted point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WriteForm {
    /// It was done; `proof` is `read-back` or `echo`.
    Done { value: serde_json::Value, proof: String },
    /// It was not, or is not known to be; `word` is one of WIRE.md's.
    Refused { word: String, why: String },
}

/// Bytes on a bus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChunkForm {
    /// Hub time in nanoseconds.
    ht: i64,
    sent: bool,
    bytes: String,
    /// At least so many chunks before this one were not shown, because the caller was too slow.
    #[serde(default)]
    pub(crate) missed: u64,
}

impl TryFrom<&Probe> for ProbeForm {
    type Error = Misformed;

    fn try_from(probe: &Probe) -> Result<Self, Misformed> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let question = match &probe.question {
            Question::Read { table, address, quantity } => {
                QuestionForm::Read { table: (*table).into(), address: *address, quantity: *quantity }
            }
            Question::Identify => QuestionForm::Identify,
            Question::ServerId => QuestionForm::ServerId,
            Question::Listen => QuestionForm::Listen,
            Question::Write { .. } | Question::WriteCoil { .. } => return Err(Misformed::Writes),
        };
        Ok(Self {
            unit: probe.unit,
            question,
            settings: probe.settings.as_ref().map(SettingsForm::from),
            timeout_ms: probe.timeout.map(millis),
            hold_ms: millis(probe.hold),
        })
    }
}

impl ProbeForm {
    /// The request, for a line whose own settings are `own`; other settings mean something on a serial line only.
    pub(crate) fn probe(&self, own: Option<&SerialConfig>) -> Probe {
        let question = match self.question {
            QuestionForm::Read { table, address, quantity } => {
                Question::Read { table: table.into(), address, quantity }
            }
            QuestionForm::Identify => Question::Identify,
            QuestionForm::ServerId => Question::ServerId,
            QuestionForm::Listen => Question::Listen,
        };
        let settings = self.settings.as_ref().zip(own).map(|(form, own)| SerialConfig {
            baud: form.baud.max(1),
            parity: form.parity.into(),
            stop_bits: if form.stop == 2 { StopBits::Two } else { StopBits::One },
            ..own.clone()
        });
        let timeout = self.timeout_ms.map(Duration::from_millis);
        Probe { unit: self.unit, question, settings, timeout, hold: Duration::from_millis(self.hold_ms) }
    }
}

impl From<&SerialConfig> for SettingsForm {
    fn from(serial: &SerialConfig) -> Self {
        let stop = match serial.stop_bits {
            StopBits::One => 1,
            StopBits::Two => 2,
        };
        Self { baud: serial.baud, parity: serial.parity.into(), stop }
    }
}

impl From<Parity> for ParityForm {
    fn from(parity: Parity) -> Self {
        match parity {
            Parity::None => Self::None,
            Parity::Even => Self::Even,
            Parity::Odd => Self::Odd,
        }
    }
}

impl From<ParityForm> for Parity {
    fn from(form: ParityForm) -> Self {
        match form {
            ParityForm::None => Self::None,
            ParityForm::Even => Self::Even,
            ParityForm::Odd => Self::Odd,
        }
    }
}

impl From<Table> for TableForm {
    fn from(table: Table) -> Self {
        match table {
            Table::Coil => Self::Coil,
            Table::Discrete => Self::Discrete,
            Table::Holding => Self::Holding,
            Table::Input => Self::Input,
        }
    }
}

impl From<TableForm> for Table {
    fn from(form: TableForm) -> Self {
        match form {
            TableForm::Coil => Self::Coil,
            TableForm::Discrete => Self::Discrete,
            TableForm::Holding => Self::Holding,
            TableForm::Input => Self::Input,
        }
    }
}

impl From<&Probed> for ProbedForm {
    fn from(probed: &Probed) -> Self {
        let outcome = match &probed.outcome {
            Outcome::Registers(registers) => OutcomeForm::Registers(registers.clone()),
            Outcome::Bits(bits) => OutcomeForm::Bits(bits.clone()),
            Outcome::Identity(objects) => {
                OutcomeForm::Identity(objects.iter().map(|(id, value)| (*id, hex(value))).collect())
            }
            Outcome::ServerId(bytes) => OutcomeForm::ServerId(hex(bytes)),
            Outcome::Done => OutcomeForm::Done,
            Outcome::Exception(code) => OutcomeForm::Exception(*code),
            Outcome::Failed(reason) => OutcomeForm::Failed(reason.to_string()),
            Outcome::Unusable(why) => OutcomeForm::Unusable(why.clone()),
        };
        let took_us = u64::try_from(probed.took.as_micros()).unwrap_or(u64::MAX);
        Self { outcome, heard: hex(&probed.heard), took_us }
    }
}

impl TryFrom<ProbedForm> for Probed {
    type Error = Misformed;

    fn try_from(form: ProbedForm) -> Result<Self, Misformed> {
        let outcome = match form.outcome {
            OutcomeForm::Registers(registers) => Outcome::Registers(registers),
            OutcomeForm::Bits(bits) => Outcome::Bits(bits),
            OutcomeForm::Identity(objects) => {
                let object = |(id, value): (u8, String)| Ok::<_, Misformed>((id, unhex(&value)?));
                Outcome::Identity(objects.into_iter().map(object).collect::<Result<_, _>>()?)
            }
            OutcomeForm::ServerId(bytes) => Outcome::ServerId(unhex(&bytes)?),
            OutcomeForm::Done => Outcome::Done,
            OutcomeForm::Exception(code) => Outcome::Exception(code),
            OutcomeForm::Failed(reason) => Outcome::Failed(reason.parse::<Reason>()?),
            OutcomeForm::Unusable(why) => Outcome::Unusable(why),
        };
        Ok(Self { outcome, heard: unhex(&form.heard)?, took: Duration::from_micros(form.took_us) })
    }
}

impl ChunkForm {
    pub(crate) fn new(chunk: &Chunk, missed: u64) -> Self {
        let sent = match chunk.direction {
            Direction::Sent => true,
            Direction::Received => false,
        };
        Self { ht: chunk.at.as_nanos(), sent, bytes: hex(&chunk.bytes), missed }
    }
}

impl TryFrom<ChunkForm> for Chunk {
    type Error = Misformed;

    fn try_from(form: ChunkForm) -> Result<Self, Misformed> {
        let direction = if form.sent { Direction::Sent } else { Direction::Received };
        Ok(Self { at: HubTime::from_nanos(form.ht), direction, bytes: unhex(&form.bytes)?.into() })
    }
}

/// A value as JSON has it.
pub(crate) fn json_value(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(b) => (*b).into(),
        Value::I64(i) => (*i).into(),
        Value::U64(u) => (*u).into(),
        Value::F64(x) => x.get().into(),
        Value::Text(text) => text.as_ref().into(),
        Value::Bytes(_) => value.to_string().into(),
    }
}

/// Bytes as upper-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The bytes of hexadecimal digits.
///
/// # Errors
/// It is something else.
pub(crate) fn unhex(text: &str) -> Result<Vec<u8>, Misformed> {
    let wrong = || Misformed::Hex(text.to_owned());
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let pairs = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16));
    pairs.collect::<Result<_, _>>().map_err(|_checked_above| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_over_the_socket_comes_out_the_same() {
        let serial = SerialConfig { parity: Parity::None, ..SerialConfig::new("/dev/x", 9600) };
        let check = |question: Question, settings: Option<SerialConfig>| {
            let probe = Probe {
                unit: 3,
                question,
                settings,
                timeout: Some(Duration::from_millis(70)),
                hold: Duration::from_millis(5),
            };
            let json = serde_json::to_string(&ProbeForm::try_from(&probe).unwrap()).unwrap();
            let own = SerialConfig::new("/dev/x", 19_200);
            assert_eq!(serde_json::from_str::<ProbeForm>(&json).unwrap().probe(Some(&own)), probe, "{json}");
        };
        check(Question::Read { table: Table::Input, address: 100, quantity: 2 }, None);
        check(Question::Identify, Some(serial));
        check(Question::Listen, None);
        let check = |outcome: Outcome| {
            let probed = Probed { outcome, heard: vec![0, 255, 16], took: Duration::from_micros(12_345) };
            let json = serde_json::to_string(&ProbedForm::from(&probed)).unwrap();
            let back: ProbedForm = serde_json::from_str(&json).unwrap();
            assert_eq!(Probed::try_from(back).unwrap(), probed, "{json}");
        };
        check(Outcome::Registers(vec![1, 65_535]));
        check(Outcome::Identity(vec![(0, b"Acme".to_vec())]));
        check(Outcome::ServerId(vec![17, 255]));
        check(Outcome::Exception(11));
        check(Outcome::Failed(Reason::Crc));
        check(Outcome::Unusable("no such file".to_owned()));
    }

    #[test]
    fn a_raw_write_cannot_be_said_over_the_socket() {
        let question = Question::Write { address: 5, registers: vec![7] };
        let probe = Probe { unit: 3, question, settings: None, timeout: None, hold: Duration::ZERO };
        assert_eq!(ProbeForm::try_from(&probe), Err(Misformed::Writes));
        let json = r#"{"unit":3,"question":{"write":{"address":5,"registers":[7]}}}"#;
        assert!(serde_json::from_str::<ProbeForm>(json).is_err());
    }

    #[test]
    fn hex_is_strict() {
        assert_eq!(unhex("00ffA5"), Ok(vec![0, 255, 0xA5]));
        for wrong in ["0", "0g", "+1", "é"] {
            assert!(unhex(wrong).is_err(), "{wrong}");
        }
    }
}
